
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_REGISTRY_INT_H_INCLUDED_
#define _NGX_MESH_REGISTRY_INT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_mesh.h"
#include "ngx_mesh_journal.h"
#include "ngx_mesh_registry.h"
#include "ngx_mesh_discovery.h"


/* private to the room: the agent's part of the zone, and who shares it */

#define NGX_MESH_REGISTRY_MAGIC   0x746e656761687365ULL
#define NGX_MESH_REGISTRY_LAYOUT  2

#define NGX_MESH_REGISTRY_JOBS    16

/* ms between beats; who misses so many is taken for hung */
#define NGX_MESH_AGENT_BEAT       200
#define NGX_MESH_AGENT_MISSED     3

/* the same where cache managers are in its process, which work without it */
#define NGX_MESH_AGENT_SHARED     25

/* so many are killed for it; the ones after have twice the time each, until
   one has shown so many beats: a machine may be slow for long */
#define NGX_MESH_AGENT_KILLS      4
#define NGX_MESH_AGENT_DOUBLED    6
#define NGX_MESH_AGENT_HEALTHY    1500

/* ms that the disk, or a job, may take */
#define NGX_MESH_AGENT_PATIENCE   30000


/* a process that has to show that it is not stuck */

typedef struct {
    ngx_atomic_t               pid;          /* 0: there is none */
    ngx_atomic_t               slot;         /* of ngx_processes */
    ngx_atomic_t               beats;
    ngx_atomic_t               time;         /* of the last, ngx_current_msec */
    ngx_atomic_t               patience;     /* no beats until then; 0: none */
    ngx_atomic_t               limit;        /* beats that may be missed */
} ngx_mesh_pulse_t;


/* states of a job; who changes one owns the rest */

#define NGX_MESH_JOB_FREE         0
#define NGX_MESH_JOB_READY        1
#define NGX_MESH_JOB_DONE         3
#define NGX_MESH_JOB_USED         4          /* its file is to go */

/* these with the pid of who has it in hand: nobody else changes it then */

#define NGX_MESH_JOB_FILLING      16         /* filled, or emptied; plus pid */
#define NGX_MESH_JOB_RUNNING                                                  \
    ((ngx_atomic_uint_t) 1 << (8 * sizeof(ngx_atomic_uint_t) - 1))

typedef struct {
    ngx_atomic_t               state;
    ngx_atomic_t               pid;          /* of the worker */
    ngx_atomic_t               agent;        /* that runs it */
    uint64_t                   id;
    uint32_t                   type;
    uint32_t                   status;
    uint16_t                   args;         /* lengths; the file follows */
    uint16_t                   file;
    uint16_t                   result;
    uint8_t                    output;       /* there is a file */
    u_char                     data[NGX_MESH_JOB_ARGS + 1];
} ngx_mesh_mail_t;


typedef struct {
    uint64_t                   magic;
    uint32_t                   layout;
    uint32_t                   size;

    ngx_mesh_pulse_t           agent;        /* the newest one */
    ngx_mesh_pulse_t           holder;       /* of the lease, of this master */
    ngx_atomic_t               killed;       /* pid of the last */
    ngx_atomic_t               kills;

    ngx_atomic_t               lease;
    ngx_atomic_t               fence;
    ngx_atomic_t               takeovers;
    ngx_atomic_t               frozen;

    /* counts what there was to wake for, where nothing else can wake */
    ngx_atomic_t               agent_calls;
    ngx_atomic_t               worker_calls;

    ngx_atomic_t               filled;       /* from the journal, if any */
    ngx_atomic_t               path;         /* checksum of the directory's */
    ngx_atomic_t               moved;        /* it is another one now */
    uint64_t                   ancestor;     /* epoch of the table it was
                                                copied from, or 0 */
    ngx_atomic_t               sequence;
    ngx_atomic_t               journalled;
    ngx_atomic_t               written;
    ngx_atomic_t               errors;
    ngx_atomic_t               error;
    ngx_atomic_t               error_since;

    /* the same of what registries said */
    ngx_atomic_t               learned_sequence;
    ngx_atomic_t               learned;
    ngx_atomic_t               learned_written;

    /* odd while it is written */
    ngx_atomic_t               noting;
    uint64_t                   noted;        /* revision */
    uint8_t                    author;
    uint8_t                    comment;
    u_char                     note[2 * NGX_MESH_JOURNAL_NOTE];

    ngx_atomic_t               leaving;      /* workers tell what they have */
    ngx_atomic_t               unwanted;     /* there is no agent now */
    ngx_atomic_t               ids;
    ngx_mesh_mail_t            mail[NGX_MESH_REGISTRY_JOBS];
    ngx_mesh_source_status_t   sources[NGX_MESH_SOURCES];
} ngx_mesh_registry_region_t;


extern ngx_mesh_registry_region_t  *ngx_mesh_registry_region;
extern ngx_mesh_core_conf_t        *ngx_mesh_registry_conf;


/* ngx_mesh_source.c: installs what it does for workers */
void ngx_mesh_source_init(void);


/* ngx_mesh_source_conf.c */

/* when all is parsed; NGX_ERROR: something is wrong, which was logged */
ngx_int_t ngx_mesh_registry_init_sources(ngx_mesh_core_conf_t *ccf,
    ngx_log_t *log);


/* ngx_mesh_registry.c */

/* has the agent's or the workers' handler called when they are woken */
ngx_int_t ngx_mesh_registry_listen(ngx_uint_t agent,
    void (*handler)(void));


/* ngx_mesh_registry_want.c: the registries of a configuration, to workers */

void ngx_mesh_registry_want(ngx_mesh_core_conf_t *ccf);


/* ngx_mesh_registry_watch.c: a worker keeps an eye on the agent */

void ngx_mesh_registry_watch(void);

/* in a worker that leaves: an agent that hangs is killed before */
void ngx_mesh_registry_leave(void);

/* in any process that waits for the table's lock, with who has it: an agent is
   killed for that */
void ngx_mesh_registry_held(ngx_pid_t owner);


/* ngx_mesh_registry_job.c */

void ngx_mesh_registry_jobs(void);           /* in workers, when woken */

/* in the agent; "tidy" also looks for what died */
void ngx_mesh_registry_tasks(int dir, ngx_uint_t tidy);
void ngx_mesh_registry_job_tidy(int dir);


/* ngx_mesh_agent.c */

ngx_msec_t ngx_mesh_agent_manager(void *data);
void ngx_mesh_agent_start(ngx_mesh_core_conf_t *ccf);
void ngx_mesh_agent_stop(void);

/* whether this process may change what is the agent's: some calls of the
   system, for it may have been stopped for any time.  NGX_DECLINED: no */
ngx_int_t ngx_mesh_agent_leads(void);


/* ngx_mesh_agent_pulse.c */

/* a sign of life */
void ngx_mesh_agent_pulse(ngx_mesh_pulse_t *pulse);

/* around what may take long, and around parts of it: the agent is not taken
   for hung */
void ngx_mesh_agent_busy(void);
void ngx_mesh_agent_idle(void);

/* much memory was needed for a moment; once a second what is free of it is
   given back */
void ngx_mesh_agent_large(void);
void ngx_mesh_agent_trim(void);


/* ngx_mesh_lease.c */

typedef struct {
    int                        dir;
    int                        fd;
    int                        next;
    uint64_t                   fence;
    ngx_uint_t                 stored;       /* the fence is in the file */
    ngx_uint_t                 announced;
    ngx_uint_t                 held;
    ngx_uint_t                 other;        /* who holds it is no child of
                                                this master */
} ngx_mesh_lease_t;

/*
 * Takes the lease, with a fence above the one in the file and "least".
 * NGX_AGAIN: somebody has it; NGX_ERROR: *err is the error.
 */
ngx_int_t ngx_mesh_lease_take(ngx_mesh_lease_t *lease, uint64_t least,
    ngx_err_t *err);

/*
 * Has the fence at least above another one, and puts it into the file if it is
 * not there, as a full disk may have it.
 */
void ngx_mesh_lease_raise(ngx_mesh_lease_t *lease, uint64_t least);

/* whether it is still held: a directory may go, and another one come */
ngx_int_t ngx_mesh_lease_check(ngx_mesh_lease_t *lease);

/* whether somebody waits for it */
ngx_uint_t ngx_mesh_lease_wanted(ngx_mesh_lease_t *lease);

void ngx_mesh_lease_close(ngx_mesh_lease_t *lease);


/* ngx_mesh_agent_journal.c */

/* imports what another instance wrote meanwhile; the lease is held, and gets
   a fence above that of any file */
void ngx_mesh_agent_journal_adopt(ngx_mesh_lease_t *lease);

/* writes what is not written yet */
void ngx_mesh_agent_journal_write(ngx_mesh_lease_t *lease);

/* fills a fresh zone from the directory */
void ngx_mesh_agent_journal_fill(ngx_mesh_core_conf_t *ccf, ngx_log_t *log);

/* 0: all is well */
void ngx_mesh_agent_journal_state(ngx_err_t err, char *what);

/* whether it was made of this table, or of the one this was copied from */
ngx_uint_t ngx_mesh_agent_journal_ours(ngx_mesh_journal_header_t *header);

/* of a file that is written now, after one of the sequence "last" */
void ngx_mesh_agent_journal_header(ngx_mesh_journal_header_t *header,
    ngx_mesh_lease_t *lease, uint64_t revision, uint64_t last);


/* ngx_mesh_agent_learned.c: the same for what registries said */

/* before the operator's, which takes the place of it */
void ngx_mesh_agent_learned_adopt(ngx_mesh_lease_t *lease);

/* once a second; "last": there will not be another time */
void ngx_mesh_agent_learned_write(ngx_mesh_lease_t *lease, ngx_uint_t last);

void ngx_mesh_agent_learned_fill(ngx_mesh_core_conf_t *ccf, int dir,
    ngx_log_t *log);


#endif /* _NGX_MESH_REGISTRY_INT_H_INCLUDED_ */
