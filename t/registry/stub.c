
/*
 * Copyright (C) nginx-mesh authors
 *
 * What the jobs need of nginx and of the rest of their room.
 */


#include "unit.h"
#include "ngx_mesh_registry_int.h"


volatile ngx_msec_t          ngx_current_msec;
ngx_pid_t                    ngx_pid;

ngx_mesh_registry_region_t  *ngx_mesh_registry_region;
ngx_mesh_core_conf_t        *ngx_mesh_registry_conf;


void
ngx_mesh_registry_wake_agent(void)
{
    /* void: the test looks by itself */
}


void
ngx_mesh_registry_wake_workers(void)
{
    /* void */
}


void
ngx_time_update(void)
{
    ngx_current_msec++;
}


/* the two formats there are */

u_char *
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    buf += sprintf((char *) buf, "job.%016llx",
                   (unsigned long long) va_arg(args, uint64_t));
    va_end(args);

    *buf++ = '\0';

    return buf;
}


u_char *
ngx_snprintf(u_char *buf, size_t max, const char *fmt, ...)
{
    char       *name;
    va_list     args;
    ngx_str_t  *dir;

    va_start(args, fmt);
    dir = va_arg(args, ngx_str_t *);
    name = va_arg(args, char *);
    va_end(args);

    return buf + snprintf((char *) buf, max, "%.*s/%s", (int) dir->len,
                          dir->data, name);
}
