
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_REGISTRY_H_INCLUDED_
#define _NGX_MESH_REGISTRY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The room "registry": the agent, one process of nginx that may wait for a
 * disk or for somebody else's server, and what workers say to it and hear
 * from it.  Nothing of the functions for workers waits.
 */


/* configuration and lifecycle, called by the modules */

/* the directive "state_path" */
char *ngx_mesh_registry_state_path(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* the directives "registry" and "guard" */
char *ngx_mesh_registry_source(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_mesh_registry_guard(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* when all is parsed: registries that services name are there, and a state
   path; the directory, which a test of a configuration only
   looks at.  NGX_ERROR: something is wrong, which was logged */
ngx_int_t ngx_mesh_registry_init_conf(ngx_cycle_t *cycle);

/*
 * The agent's part of a zone: made in a fresh one (*region is NULL), or
 * looked at.  NGX_DECLINED: another version made it.
 */
ngx_int_t ngx_mesh_registry_init_zone(ngx_slab_pool_t *shpool, void **region);

/* bytes of it at most */
#define NGX_MESH_REGISTRY_ZONE_SIZE  65536

/*
 * In the master when a configuration is in force, with the table open and
 * before the configuration's services are applied: a fresh zone gets what the
 * operator had.
 */
void ngx_mesh_registry_init_module(ngx_cycle_t *cycle);

/* there is no mesh any more, and soon no zone */
void ngx_mesh_registry_forget(void);

ngx_int_t ngx_mesh_registry_init_process(ngx_cycle_t *cycle);
void ngx_mesh_registry_exit_process(ngx_cycle_t *cycle);


/* wake-ups */

/*
 * Called in this process soon after any process has changed the table, the
 * journal got further or a job is done; what it is one has to look for.  More
 * may be called than there was reason to.
 */

typedef struct {
    ngx_queue_t              queue;          /* private */
    void                   (*handler)(void *data);
    void                    *data;
} ngx_mesh_registry_hook_t;

/* adds a hook of the caller's memory; a hook may remove itself and others */
void ngx_mesh_registry_hook(ngx_mesh_registry_hook_t *hook);
void ngx_mesh_registry_unhook(ngx_mesh_registry_hook_t *hook);

/* from any process */
void ngx_mesh_registry_wake_agent(void);
void ngx_mesh_registry_wake_workers(void);

/* both, at the end of this turn of events; ngx_mesh_live_commit() calls it */
void ngx_mesh_registry_committed(void);


/* state */

#define NGX_MESH_LEASE_NONE    0             /* not yet */
#define NGX_MESH_LEASE_HELD    1             /* by this instance of nginx */
#define NGX_MESH_LEASE_OTHER   2             /* an upgrade is under way */
#define NGX_MESH_LEASE_FAILED  3             /* the directory is unusable */
#define NGX_MESH_LEASE_OFF     4             /* there is no state_path */

typedef struct {
    ngx_uint_t               lease;
    ngx_pid_t                agent;          /* 0: none */
    ngx_msec_t               beat;           /* ms since it last showed */
    uint64_t                 fence;
    uint64_t                 takeovers;
    ngx_uint_t               frozen;         /* this zone has a successor */

    uint64_t                 sequence;       /* of the newest journal file */
    uint64_t                 journalled;     /* revision */
    uint64_t                 written;        /* files */
    uint64_t                 errors;
    ngx_err_t                error;          /* 0: the journal is well */
    time_t                   error_since;
} ngx_mesh_registry_status_t;

void ngx_mesh_registry_status(ngx_mesh_registry_status_t *status);

/*
 * Whether the operator's changes may be committed here.  NGX_OK;
 * NGX_BUSY: the lease is another instance's, or this zone has a successor:
 * they would be lost; NGX_AGAIN: no agent of this zone has had the lease yet.
 */
ngx_int_t ngx_mesh_registry_writable(void);

/*
 * Whether the table's revision is on the disk.  NGX_OK; NGX_AGAIN: not yet, a
 * hook will be called; NGX_DECLINED: there is no journal, or it cannot be
 * written just now.
 */
ngx_int_t ngx_mesh_registry_durable(uint64_t revision);

/*
 * Who made the change that led to a revision and what they say of it, for the
 * journal: after the commit, in the same turn of events.  A file that has
 * several changes gets the last note.
 */
void ngx_mesh_registry_note(uint64_t revision, ngx_str_t *author,
    ngx_str_t *comment);


/* jobs: what workers have the agent do */

#define NGX_MESH_JOB_ARGS      1536          /* bytes, of args and file */
#define NGX_MESH_JOB_RESULT    1024
#define NGX_MESH_JOB_TYPES     16

/* statuses of our own; handlers use those of HTTP */
#define NGX_MESH_JOB_LOST      0             /* the agent died with it */
#define NGX_MESH_JOB_EXPIRED   1             /* no agent took it in time */
#define NGX_MESH_JOB_UNKNOWN   2             /* it does not know the type */

typedef struct ngx_mesh_registry_job_s  ngx_mesh_registry_job_t;

struct ngx_mesh_registry_job_s {
    ngx_uint_t               type;
    ngx_str_t                args;           /* any bytes */
    ngx_str_t                file;           /* a path, or empty; the agent
                                                reads it as nginx's user */
    void                   (*handler)(ngx_mesh_registry_job_t *job);
    void                    *data;

    /* for the handler, while it runs */
    ngx_uint_t               status;
    ngx_str_t                result;
    ngx_str_t                output;         /* path with a NUL behind it;
                                                gone when the handler is */

    /* private */
    ngx_queue_t              queue;
    ngx_uint_t               slot;
    uint64_t                 id;
    ngx_msec_t               started;
};

/*
 * Has the agent do something; the caller's memory is needed until the handler
 * is called, always later.  NGX_DECLINED: there is no agent, or the arguments
 * are too long.
 */
ngx_int_t ngx_mesh_registry_job(ngx_mesh_registry_job_t *job);

/* the handler will not be called any more; what was begun is done all the
   same */
void ngx_mesh_registry_job_cancel(ngx_mesh_registry_job_t *job);


/* a job as the agent sees it */

typedef struct {
    ngx_uint_t               type;
    ngx_str_t                args;
    ngx_str_t                file;           /* with a NUL behind it */

    ngx_uint_t               status;         /* to be set */
    ngx_str_t                result;         /* data has room of
                                                NGX_MESH_JOB_RESULT bytes */
    ngx_pool_t              *pool;           /* until the handler returns */
    int                      dir;            /* of the agent: journals */

    /* private */
    uint64_t                 id;
    ngx_uint_t               output;
} ngx_mesh_registry_task_t;

typedef void (*ngx_mesh_registry_job_pt)(ngx_mesh_registry_task_t *task);

/* installed while the configuration is read; NULL removes it */
void ngx_mesh_registry_job_handler(ngx_uint_t type,
    ngx_mesh_registry_job_pt handler);

/* a file for a result that is long: its descriptor, which the caller closes;
   -1: *err is the error */
int ngx_mesh_registry_job_output(ngx_mesh_registry_task_t *task,
    ngx_err_t *err);


#endif /* _NGX_MESH_REGISTRY_H_INCLUDED_ */
