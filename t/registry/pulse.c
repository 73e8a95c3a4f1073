
/*
 * Copyright (C) nginx-mesh authors
 *
 * What workers see of an agent that is busy.
 */


#include "unit.h"
#include "ngx_mesh_registry_int.h"


void pulse_tests(void);


void
pulse_tests(void)
{
    ngx_mesh_pulse_t   *agent, *holder;
    ngx_atomic_uint_t   beats;

    agent = &ngx_mesh_registry_region->agent;
    holder = &ngx_mesh_registry_region->holder;

    agent->pid = ngx_pid;
    holder->pid = ngx_pid + 1;

    beats = agent->beats;
    ngx_mesh_agent_busy();

    ok(agent->patience == ngx_current_msec + NGX_MESH_AGENT_PATIENCE
       && holder->patience == 0, "who is busy is waited for, nobody else");

    ngx_mesh_agent_busy();
    ngx_current_msec += 1000;
    ngx_mesh_agent_idle();

    ok(agent->patience == ngx_current_msec + NGX_MESH_AGENT_PATIENCE,
       "the end of a part is not the end of all");
    ok(agent->beats == beats + 1 && agent->time == ngx_current_msec,
       "... it is a sign of life");

    ngx_mesh_agent_idle();

    ok(agent->patience == 0 && agent->beats == beats + 2, "the end of all");
    ok(holder->beats == 0, "another one has shown nothing");

    agent->pid = 0;
    holder->pid = 0;
}
