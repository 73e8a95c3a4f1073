
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_METRICS_H_INCLUDED_
#define _NGX_MESH_METRICS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MESH_VERSION  "0.1.0"       /* as mesh_build_info says */


/*
 * Counters.  A worker counts in its own memory and adds what is new to the
 * shared cells once a second (ngx_mesh_metrics_flush()).  Nothing here takes
 * a lock but the creation of a series, which is rare.
 */


/* plain counters, one for all services */

typedef enum {
    NGX_MESH_M_RECV = 0,           /* mesh_io_total{op=}: our system calls */
    NGX_MESH_M_SEND,
    NGX_MESH_M_CONNECT,
    NGX_MESH_M_CLOSE,

    NGX_MESH_M_SESSIONS,           /* client connections taken */
    NGX_MESH_M_ONEWAY,             /* one-way requests forwarded */
    NGX_MESH_M_HB_CLIENT,          /* heartbeats answered to clients */
    NGX_MESH_M_HB_PROVIDER,        /* heartbeats answered to providers */
    NGX_MESH_M_HB_SENT,            /* heartbeats of ours to providers */
    NGX_MESH_M_READONLY,           /* READONLY of a provider */
    NGX_MESH_M_NOTICE,             /* READONLY of ours to clients */
    NGX_MESH_M_STRAY,              /* answers late, twice or unknown */
    NGX_MESH_M_ABANDONED,          /* answers whose caller is gone */
    NGX_MESH_M_CALLBACK,           /* provider's requests on shared links */
    NGX_MESH_M_RETRY,              /* written once, sent again */
    NGX_MESH_M_REDIRECT,           /* never written, sent elsewhere */
    NGX_MESH_M_NO_BUDGET,          /* retries the budget forbade */
    NGX_MESH_M_BAD_CLIENT,         /* mesh_protocol_errors_total{side=} */
    NGX_MESH_M_BAD_PROVIDER,
    NGX_MESH_M_CHECKSUM_CLIENT,    /* mesh_damaged_frames_total */
    NGX_MESH_M_CHECKSUM_PROVIDER,
    NGX_MESH_M_COMMAND_CLIENT,
    NGX_MESH_M_COMMAND_PROVIDER,
    NGX_MESH_M_OVERSIZE,           /* frames above mesh_max_frame skipped */
    NGX_MESH_M_UNREADABLE,         /* bodies without a readable name */
    NGX_MESH_M_HEADER_TIMEOUT,     /* mesh_client_closed_total{reason=} */
    NGX_MESH_M_CLIENT_TIMEOUT,
    NGX_MESH_M_CLIENT_SLOW,
    NGX_MESH_M_PAUSED,             /* times a client's reading was paused */
    NGX_MESH_M_LINK_FAILED,        /* mesh_link_failures_total{reason=} */
    NGX_MESH_M_LINK_CONNECT,
    NGX_MESH_M_LINK_SILENT,
    NGX_MESH_M_HANDED_OVER,        /* mesh_handovers_total{event=} */
    NGX_MESH_M_HANDOVER_TAKEN,
    NGX_MESH_M_HANDOVER_FAILED,
    NGX_MESH_M_HANDOVER_PAUSED,
    NGX_MESH_M_PARKED_FOUND,       /* mesh_parked_requests_total{result=} */
    NGX_MESH_M_PARKED_ABSENT,
    NGX_MESH_M_PARKED_TIMEOUT,
    NGX_MESH_M_PARKED_GONE,
    NGX_MESH_M_WANTS,              /* interfaces asked for */
    NGX_MESH_M_WANTS_FULL,         /* mesh_wants_refused_total{reason=} */
    NGX_MESH_M_WANTS_RATE,
    NGX_MESH_M_WANTS_ZONE,
    NGX_MESH_M_WANTS_BUFFER,
    NGX_MESH_M_NOMEM,
    NGX_MESH_M_DROPPED,            /* calls counted as "other" */

    NGX_MESH_M_N
} ngx_mesh_counter_e;


/* gauges of one worker; it keeps them exact, a flush publishes them */

typedef enum {
    NGX_MESH_G_SESSIONS = 0,
    NGX_MESH_G_LINKS,
    NGX_MESH_G_REQUESTS,           /* in flight */
    NGX_MESH_G_PARKED,             /* of them, wait for their service */
    NGX_MESH_G_BUFFERS,            /* bytes in partial frames and queues */
    NGX_MESH_G_SLOTS_RESTING,      /* abandoned, waiting for their answers */

    NGX_MESH_G_N
} ngx_mesh_gauge_e;


extern uint64_t    ngx_mesh_counters[NGX_MESH_M_N];
extern ngx_int_t   ngx_mesh_gauges[NGX_MESH_G_N];

#define ngx_mesh_count(n)        ngx_mesh_counters[n]++
#define ngx_mesh_gauge(n, d)     ngx_mesh_gauges[n] += (d)


/* upper bounds of the buckets in microseconds; the last one is infinite */

#define NGX_MESH_BUCKETS         16

extern const uint64_t  ngx_mesh_bucket_bounds[NGX_MESH_BUCKETS - 1];


/* calls by service, method, protocol, status and result: a histogram */

typedef struct {
    uint64_t           bucket[NGX_MESH_BUCKETS];   /* not cumulative */
    uint64_t           sum;                        /* microseconds */
    uint64_t           received;                   /* request bytes */
    uint64_t           sent;                       /* response bytes */

    /* private to the metrics */
    void              *cell;
    void              *next;
    ngx_uint_t         dirty;
} ngx_mesh_calls_t;


/* by endpoint */

typedef enum {
    NGX_MESH_E_REQUESTS = 0,
    NGX_MESH_E_FAILURES,           /* calls failed by a lost link or time */
    NGX_MESH_E_CONNECTS,
    NGX_MESH_E_CONNECT_FAILURES,
    NGX_MESH_E_RESETS,             /* links lost with calls in flight */
    NGX_MESH_E_SILENT,             /* links closed for silence */
    NGX_MESH_E_EJECTED,            /* times max_fails was reached */
    NGX_MESH_E_SENT,               /* bytes */
    NGX_MESH_E_RECEIVED,

    NGX_MESH_E_N
} ngx_mesh_endpoint_counter_e;


typedef struct {
    uint64_t           n[NGX_MESH_E_N];

    void              *cell;
    void              *next;
    ngx_uint_t         dirty;
} ngx_mesh_endpoint_stats_t;


/*
 * The worker's accumulator for these labels, made at the first call and kept
 * until the worker ends.  Never NULL: when the shared budget is spent, or
 * there is no mesh zone, it is the one named "other".  Empty names become
 * "unknown".  The first call for new labels takes the mutex of the zone, so
 * none of these may be called with it held.
 *
 * Names of a client's invention spend the budget as good ones do: a service
 * that is in no table should be counted without its name.
 */
ngx_mesh_calls_t *ngx_mesh_metrics_calls(ngx_str_t *service,
    ngx_str_t *method, ngx_str_t *protocol, ngx_uint_t status,
    ngx_uint_t result);

ngx_mesh_endpoint_stats_t *ngx_mesh_metrics_endpoint(ngx_str_t *endpoint);

/* failures the proxy answered itself, by NGX_MESH_ERR_*; kept apart so that
   a service's label and an error's name need no series of every method */
void ngx_mesh_metrics_error(ngx_str_t *service, ngx_uint_t err);

/* adds what is new to the shared cells and publishes the gauges */
void ngx_mesh_metrics_flush(void);

/* the sum of a gauge as living workers published it last */
int64_t ngx_mesh_metrics_total(ngx_uint_t index);


static ngx_inline void
ngx_mesh_metrics_observe(ngx_mesh_calls_t *calls, uint64_t us)
{
    ngx_uint_t  i;

    /* most calls end in the first few buckets */

    for (i = 0; i < NGX_MESH_BUCKETS - 1; i++) {
        if (us <= ngx_mesh_bucket_bounds[i]) {
            break;
        }
    }

    calls->bucket[i]++;
    calls->sum += us;
    calls->dirty = 1;
}


/* the agent's metrics, which its room installs the source of */

typedef enum {
    NGX_MESH_A_UP = 0,
    NGX_MESH_A_BEAT,               /* milliseconds */
    NGX_MESH_A_LEASE,
    NGX_MESH_A_FENCE,
    NGX_MESH_A_TAKEOVERS,
    NGX_MESH_A_WRITTEN,
    NGX_MESH_A_ERRORS,
    NGX_MESH_A_FAILED,
    NGX_MESH_A_REVISION
} ngx_mesh_agent_metric_e;

extern int64_t  (*ngx_mesh_metrics_agent)(ngx_uint_t index);


/* lifecycle, called by the core module */

/* less is not worth it: the gauges of all process slots alone take half */
#define NGX_MESH_METRICS_MIN_SIZE  (128 * 1024)

/*
 * Creates the metrics region in a fresh zone (*region is NULL), or checks the
 * one of the old cycle; "size" is the budget in bytes.  NGX_ERROR: it does not
 * fit, or the old one was made by other code; NGX_DECLINED: the old one is
 * good but of another size, and remains as it is.
 */
ngx_int_t ngx_mesh_metrics_init_zone(ngx_slab_pool_t *shpool, size_t size,
    void **region);

/*
 * Start and end of a process: chooses the region, zeroes this slot's gauges.
 * Accumulators stay valid after the end but what they count is lost.
 */
ngx_int_t ngx_mesh_metrics_init_process(void *region, ngx_slab_pool_t *shpool);
void ngx_mesh_metrics_exit_process(void);


/* Prometheus text of everything in the region of this cycle, as a chain
   allocated from the pool; NULL: out of memory */
ngx_chain_t *ngx_mesh_metrics_text(ngx_pool_t *pool);

/*
 * The same in parts: appends to the buffer what fits.  The cursor starts
 * zeroed; NGX_OK: that was all, NGX_AGAIN: the next part needs a new buffer of
 * NGX_MESH_METRICS_BUFFER bytes.
 */

#define NGX_MESH_METRICS_BUFFER  65536

typedef struct {
    ngx_uint_t         family;
    size_t             at;         /* cells of the arena done */
    size_t             end;        /* cells there were at the start */
    ngx_uint_t         titled;
} ngx_mesh_metrics_cursor_t;

ngx_int_t ngx_mesh_metrics_text_part(ngx_mesh_metrics_cursor_t *cursor,
    ngx_buf_t *b);


#endif /* _NGX_MESH_METRICS_H_INCLUDED_ */
