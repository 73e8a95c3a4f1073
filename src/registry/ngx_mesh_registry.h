
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


/* registries: what is known of them, whether the agent lives or not */

#define NGX_MESH_DISCOVERY_LAZY    0         /* at the first call */
#define NGX_MESH_DISCOVERY_ALL     1         /* all that the registry has */
#define NGX_MESH_DISCOVERY_LISTED  2         /* services of configuration and
                                                API alone */


/* states */

#define NGX_MESH_SOURCE_STOPPED   0          /* not begun, or no lease */
#define NGX_MESH_SOURCE_STARTING  1          /* nothing heard yet */
#define NGX_MESH_SOURCE_OK        2
#define NGX_MESH_SOURCE_ERROR     3          /* what it had goes on serving */

#define NGX_MESH_SOURCES          32         /* "registry" directives */
#define NGX_MESH_SOURCE_NAME      64         /* bytes */
#define NGX_MESH_SOURCE_TEXT      200


/*
 * What others than the agent know of a registry: in the zone, written by the
 * agent alone; "writing" is odd meanwhile.  Times are ms since 1970.
 */

typedef struct {
    ngx_atomic_t               writing;
    uint32_t                   name_len;
    u_char                     name[NGX_MESH_SOURCE_NAME];
    u_char                     type[16];     /* NUL ends it */
    uint32_t                   state;
    uint32_t                   address_len;  /* it is, or was, connected to */
    u_char                     address[NGX_MESH_SOURCE_TEXT];
    uint32_t                   error_len;    /* the last one */
    u_char                     error[NGX_MESH_SOURCE_TEXT];
    uint64_t                   error_time;
    uint64_t                   since;        /* of the state */
    uint64_t                   heard;        /* last good answer */
    uint64_t                   catalog;      /* last list of all it has */
    uint64_t                   index;        /* its own counter, if any */
    uint64_t                   backoff;      /* ms until the next try, at the
                                                time it was set; 0: none */
    uint64_t                   subscriptions;
    uint64_t                   watched;      /* of these, not rotated */
    uint64_t                   endpoints;
    uint64_t                   held;         /* subscriptions held by guard */
    uint64_t                   unmapped;     /* services not understood */
    uint64_t                   connections;

    /* counters since the zone is there */
    uint64_t                   updates;      /* that changed the table */
    uint64_t                   same;
    uint64_t                   unknown;
    uint64_t                   errors;
    uint64_t                   switches;     /* to another address */
} ngx_mesh_source_status_t;


/* a "registry" of the configuration; strings are the configuration's */

typedef struct {
    ngx_str_t                name;
    ngx_str_t                type;
    ngx_uint_t               discovery;      /* NGX_MESH_DISCOVERY_* */
    ngx_str_t               *urls;           /* in the pool; for people */
    ngx_uint_t               nurls;
    ngx_mesh_source_status_t status;         /* a copy */
} ngx_mesh_source_info_t;

/* type of a job: "0" or, with force, "1", then the name of a registry, a NUL
   and an interface or nothing; 404: there is no such one, 423: this instance
   asks none */
#define NGX_MESH_JOB_RESYNC    7

/* of the n-th; NGX_DECLINED: there are no more; NGX_ERROR: no memory */
ngx_int_t ngx_mesh_source_info(ngx_uint_t n, ngx_pool_t *pool,
    ngx_mesh_source_info_t *info);


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
