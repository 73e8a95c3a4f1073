
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_PROXY_INT_H_INCLUDED_
#define _NGX_MESH_PROXY_INT_H_INCLUDED_


#include "ngx_mesh_proxy.h"
#include <ngx_event_connect.h>
#include "ngx_mesh_metrics.h"
#include "ngx_mesh_want.h"


/* what the files of this room share; nobody outside includes it */


#define NGX_MESH_RECV_SIZE       65408    /* receive buffer of a worker: with
                                             its header a chunk of 64 KiB */
#define NGX_MESH_CHUNK_SIZE      4096     /* smallest, with its header */
#define NGX_MESH_CHUNK_CLASSES   5        /* doubled each, up to 64 KiB */
#define NGX_MESH_CHUNKS_KEPT     1048576  /* bytes of each class */
#define NGX_MESH_WRITE_AT_ONCE   20000    /* bytes queued in one turn */
#define NGX_MESH_SLOT_BITS       18
#define NGX_MESH_SLOT_MASK       ((1 << NGX_MESH_SLOT_BITS) - 1)
#define NGX_MESH_SLOTS_MAX       (NGX_MESH_SLOT_MASK - 1)
#define NGX_MESH_SLOT_NONE       NGX_MESH_SLOT_MASK   /* never given out */
#define NGX_MESH_SLOTS_PAGE      64
#define NGX_MESH_REST            600000   /* ms an abandoned slot rests */
#define NGX_MESH_TICK            10       /* ms */
#define NGX_MESH_WHEEL           512      /* ticks of one round */
#define NGX_MESH_LINK_IDLE       60000    /* ms an id-less link is kept */
#define NGX_MESH_LINGER          200      /* ms between notice and close */
#define NGX_MESH_LINGER_ROUNDS   10       /* of them calls may overlap */
#define NGX_MESH_VIEWS           256      /* buckets */
#define NGX_MESH_MEMOS           8
#define NGX_MESH_ENTRIES_MAX     8192     /* cached routes of a worker */


typedef struct ngx_mesh_chunk_s    ngx_mesh_chunk_t;
typedef struct ngx_mesh_request_s  ngx_mesh_request_t;
typedef struct ngx_mesh_link_s     ngx_mesh_link_t;
typedef struct ngx_mesh_peer_s     ngx_mesh_peer_t;
typedef struct ngx_mesh_bundle_s   ngx_mesh_bundle_t;
typedef struct ngx_mesh_view_s     ngx_mesh_view_t;
typedef struct ngx_mesh_entry_s    ngx_mesh_entry_t;
typedef struct ngx_mesh_parked_s   ngx_mesh_parked_t;


/*
 * Bytes on their way out, or a frame not complete yet.  The chain link is
 * first so that a queue of chunks is a chain that send_chain() takes.
 */

struct ngx_mesh_chunk_s {
    ngx_chain_t                chain;
    ngx_buf_t                  buf;
    size_t                     size;           /* allocated, with header */
    ngx_uint_t                 refs;
    ngx_mesh_chunk_t          *parent;         /* holds the bytes, or NULL */
};


typedef struct {
    ngx_mesh_chunk_t          *first;
    size_t                     size;
} ngx_mesh_chunk_list_t;


typedef struct {
    ngx_mesh_chunk_t          *first;
    ngx_mesh_chunk_t          *last;
    size_t                     size;           /* bytes not sent yet */
    size_t                     begun;          /* of them TLS holds already */
    uint64_t                   queued;         /* bytes ever queued */
} ngx_mesh_out_t;

#define ngx_mesh_out_sent(out)                                               \
    ((out)->queued - (out)->size + (out)->begun)


typedef struct {
    const ngx_mesh_codec_t    *codec;          /* NULL: not detected yet */
    ngx_mesh_chunk_t          *part;           /* frame not complete yet */
    ngx_mesh_chunk_t          *hold;           /* bytes that have to wait */
    size_t                     need;           /* size of the whole frame */
    size_t                     skip;           /* bytes of a refused frame */
    unsigned                   client:1;       /* at the other end */
    unsigned                   stop:1;         /* hand out no more frames */
    unsigned                   halt:1;         /* nor read any, what waits is
                                                  handed out */
    unsigned                   crowded:1;      /* refused for lack of room */
    uint8_t                    nhead;
    u_char                     head[NGX_MESH_HEAD_MAX];
} ngx_mesh_reader_t;


/*
 * Called for each whole frame; chunk is not NULL when the frame has a chunk of
 * its own that may be kept by taking a reference.  NGX_OK: go on; NGX_BUSY:
 * the frame was not taken, it and what follows wait for the next read;
 * NGX_DONE: the connection is gone.
 */
typedef ngx_int_t (*ngx_mesh_frame_pt)(void *data, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk);

/* called for a frame above the limit, of which only the header was seen; not
   NGX_OK: it cannot be skipped */
typedef ngx_int_t (*ngx_mesh_oversize_pt)(void *data, ngx_mesh_frame_t *f);


struct ngx_mesh_session_s {
    ngx_connection_t          *connection;
    ngx_mesh_proxy_conf_t     *conf;
    off_t                     *received;
    void                      *data;
    void                     (*finalize)(void *data, ngx_int_t rc);

    ngx_mesh_reader_t          reader;
    ngx_mesh_out_t             out;

    ngx_queue_t                requests;
    ngx_uint_t                 nrequests;
    ngx_uint_t                 noneways;       /* of them */

    ngx_queue_t                links;          /* pinned ones */
    ngx_queue_t                reverse;        /* provider's calls */
    uint64_t                   reverse_id;
    ngx_uint_t                 nreverse;

    ngx_queue_t                leave;          /* waits to be handed over, or
                                                  for the answer */
    void                      *channel;        /* that it went by */

    ngx_queue_t                partial;        /* half a frame since ... */
    ngx_queue_t                paused;
    ngx_msec_t                 since;
    ngx_mesh_chunk_t          *part;           /* frame the time runs for */
    off_t                      part_from;      /* bytes received by then */
    ngx_msec_t                 active;         /* last byte in or out */

    uint8_t                    serial;         /* as the client last used */
    uint8_t                    variant;
    uint8_t                    rounds;         /* of draining, if untold */
    unsigned                   in_partial:1;
    unsigned                   in_paused:1;
    unsigned                   draining:1;
    unsigned                   failed:1;       /* to be closed, posted */
    unsigned                   slow:1;
    unsigned                   leaving:1;      /* will be handed over */
    unsigned                   moving:1;       /* was sent, unanswered */
    unsigned                   untold:1;       /* drains and was not told */
};


/* a request of a provider that a client has to answer */

typedef struct {
    ngx_queue_t                queue;
    uint64_t                   id;             /* as the client sees it */
    uint64_t                   link_id;
    ngx_mesh_link_t           *link;
} ngx_mesh_reverse_t;


/* one slot of a link's table: a request in flight, or resting, or free */

struct ngx_mesh_request_s {
    uint64_t                   id;             /* the caller's */
    uint64_t                   generation;
    uint32_t                   slot;
    uint32_t                   tries;
    uint32_t                   earlier;        /* tries before the fallback */
    uint32_t                   key;            /* hash of the fact */

    ngx_mesh_session_t        *session;
    ngx_mesh_link_t           *link;           /* NULL: it is parked */
    ngx_mesh_entry_t          *entry;

    ngx_queue_t                by_session;
    ngx_queue_t                by_link;        /* used, resting or free */
    ngx_queue_t                by_time;        /* in the wheel */

    uint64_t                   start;          /* us */
    uint64_t                   deadline;       /* us, of the call */
    uint64_t                   limit;          /* us, of this try */

    uint64_t                   offset;         /* in the link's stream */
    u_char                    *pos;            /* frame, while it is kept */
    ngx_mesh_chunk_t          *chunk;
    size_t                     size;
    ngx_mesh_chunk_t          *attachments;    /* kept for the log */
    ngx_msec_t                 rest;           /* slot rests until */

    uint8_t                    serial;
    uint8_t                    variant;
    unsigned                   active:1;
    unsigned                   resting:1;
    unsigned                   kept:1;         /* we hold a ref of chunk */
    unsigned                   dead:1;         /* unsent, to be purged */
    unsigned                   oneway:1;       /* until its link connects */
};


struct ngx_mesh_link_s {
    ngx_connection_t          *connection;
    ngx_mesh_bundle_t         *bundle;
    ngx_mesh_session_t        *owner;          /* pinned to it, or NULL */
    ngx_queue_t                queue;          /* of bundle or of owner */
    ngx_queue_t                all;            /* of the worker */

    ngx_mesh_reader_t          reader;
    ngx_mesh_out_t             out;

    ngx_mesh_request_t       **pages;
    ngx_uint_t                 npages;
    ngx_uint_t                 nslots;
    ngx_queue_t                used;           /* in order of queueing */
    ngx_queue_t                resting;
    ngx_queue_t                free;
    ngx_uint_t                 nused;

    ngx_msec_t                 received;       /* when something came */
    ngx_msec_t                 framed;         /* when a whole frame came */
    ngx_msec_t                 sent;           /* when a call was queued */
    ngx_msec_t                 asked;          /* unanswered heartbeat */
    ngx_msec_t                 interval;       /* until the next heartbeat */
    ngx_event_t                timer;
    ngx_connection_t           dummy;          /* for the timer's log */

    ngx_pool_t                *pool;
    ngx_log_t                  log;

    uint8_t                    serial;
    uint8_t                    variant;
    unsigned                   connected:1;
    unsigned                   answered:1;     /* proved to speak */
    unsigned                   draining:1;
    unsigned                   failed:1;
    unsigned                   waiting:1;      /* heartbeat unanswered */
    unsigned                   stale:1;        /* dead frames are queued */
    unsigned                   damaged:1;      /* sent a bad frame, is logged */
};


/* the links to a peer made with one configuration */

struct ngx_mesh_bundle_s {
    ngx_mesh_bundle_t         *next;
    ngx_mesh_peer_t           *peer;
    ngx_mesh_link_conf_t      *conf;
    const ngx_mesh_codec_t    *codec;
    ngx_queue_t                links;
    ngx_uint_t                 nlinks;
    ngx_str_t                  host;           /* name for TLS */
#if (NGX_SSL)
    ngx_ssl_session_t         *ssl_session;
#endif
};


struct ngx_mesh_peer_s {
    ngx_rbtree_node_t          node;           /* key: hash of the address */
    ngx_queue_t                queue;          /* same hash */
    ngx_str_t                  name;
    struct sockaddr           *sockaddr;
    socklen_t                  socklen;
    ngx_mesh_bundle_t         *bundles;
    ngx_mesh_endpoint_stats_t *stats;

    ngx_uint_t                 refs;
    ngx_uint_t                 requests;       /* in flight */
    ngx_uint_t                 used;           /* at that sweep */

    ngx_uint_t                 max_fails;
    ngx_msec_t                 fail_timeout;
    ngx_msec_t                 slow_start;
    ngx_uint_t                 fails;
    ngx_msec_t                 checked;        /* last failure */
    ngx_msec_t                 recovered;      /* slow start began */
    ngx_msec_t                 readonly;       /* not used until */
    ngx_msec_t                 dial_after;
    ngx_uint_t                 dial_fails;

    unsigned                   in_tree:1;      /* the first of its hash */
    unsigned                   ejected:1;      /* was logged as such */
    unsigned                   starting:1;     /* slow start goes on */
    unsigned                   is_readonly:1;
    unsigned                   backoff:1;
};


typedef struct {
    ngx_mesh_peer_t           *peer;
    ngx_mesh_bundle_t         *bundle;
    ngx_mesh_endpoint_t       *endpoint;
    ngx_int_t                  weight;
    ngx_int_t                  current;
    unsigned                   backup:1;
    unsigned                   down:1;
    unsigned                   warming:1;      /* its weight grows */
} ngx_mesh_member_t;


typedef struct {
    uint32_t                   hash;
    uint32_t                   member;
} ngx_mesh_point_t;


/* a service as this worker uses it, for one codec and way of linking */

struct ngx_mesh_view_s {
    ngx_queue_t                queue;
    ngx_mesh_service_t        *service;
    ngx_mesh_link_conf_t      *conf;
    const ngx_mesh_codec_t    *codec;
    ngx_keyval_t              *labels;         /* of the endpoints in it */
    ngx_uint_t                 nlabels;
    ngx_uint_t                 balancer;
    ngx_str_t                  hash;           /* fact to hash on */
    ngx_uint_t                 refs;

    ngx_mesh_member_t         *members;
    ngx_uint_t                 nmembers;
    ngx_uint_t                 next;           /* round robin, equal weights */
    uint64_t                   warm;           /* until then some weights grow,
                                                  ms since 1970 */
    ngx_msec_t                 summed;         /* the sums of them are from */
    unsigned                   equal:1;
    unsigned                   backups:1;
    unsigned                   foreign:1;      /* some endpoints speak other
                                                  protocols */

    ngx_mesh_point_t          *points;
    ngx_uint_t                 npoints;

    ngx_int_t                  tokens;         /* retry budget, percents */
};


/* a route that calls of an entry may take, with what it leads to */

typedef struct {
    ngx_mesh_route_t          *route;
    ngx_mesh_entry_t         **entries;        /* of the targets, made when
                                                  they are first needed */
    ngx_uint_t                 n;
} ngx_mesh_choice_t;


/*
 * A cached result of routing.  Where routes may be taken, that is the entry of
 * calls that take none; others get one of its branches.
 */

struct ngx_mesh_entry_s {
    ngx_queue_t                lru;
    ngx_mesh_entry_t          *next;
    uint32_t                   hash;
    ngx_uint_t                 refs;
    uint64_t                   revision;

    ngx_mesh_proxy_conf_t     *conf;
    ngx_str_t                  interface;
    ngx_str_t                  version;
    ngx_str_t                  group;
    ngx_str_t                  method;
    ngx_str_t                  key;            /* [group/]interface[:version] */
    ngx_str_t                  service;        /* name for logs and metrics */

    const ngx_mesh_codec_t    *codec;
    ngx_mesh_view_t           *view;           /* NULL: see error */
    ngx_uint_t                 error;          /* NGX_MESH_ERR_* */
    ngx_msec_t                 timeout;        /* of a route, 0: none */
    ngx_uint_t                 tries;

    ngx_mesh_rules_t          *rules;          /* that choices are of */
    ngx_mesh_choice_t         *choices;        /* NULL: there are none */
    ngx_uint_t                 nchoices;

    ngx_mesh_entry_t          *parent;         /* of a branch */
    ngx_mesh_rule_t           *rule;           /* that a branch belongs to */
    ngx_mesh_target_t         *target;         /* NULL: the call's service */
    ngx_mesh_entry_t          *fallback;       /* the branch's own */
    ngx_mesh_edit_t           *edit;           /* of its requests, or NULL */

    ngx_str_t                  wanted;         /* interface that "pending" is
                                                  about */
    uint32_t                   age;            /* of the worker, when it was
                                                  last looked at */
    uint8_t                    pending;        /* NGX_MESH_WANT_* */

    ngx_mesh_calls_t          *ok;
    ngx_uint_t                 ok_status;
    unsigned                   idempotent:1;
    unsigned                   grouped:1;
    unsigned                   cached:1;
    unsigned                   poor:1;         /* memory was short: the next
                                                  call gets another */
    unsigned                   known:1;        /* somebody gave the service
                                                  its name */
};


/*
 * The beginning of a request's body that led to an entry: where it comes
 * again, names need not be read, nor the entry be looked for.
 */

typedef struct {
    ngx_mesh_proxy_conf_t     *conf;
    const ngx_mesh_codec_t    *codec;
    ngx_mesh_entry_t          *entry;
    uint64_t                   probe;          /* bytes that end the method */
    uint32_t                   probe_at;       /* from the frame's start */
    uint32_t                   len;            /* of the prefix */
    uint8_t                    serial;
    ngx_uint_t                 misses;         /* of known, in a row */
    ngx_mesh_facts_t           facts;          /* data as offsets */
    ngx_mesh_known_t          *known;
    u_char                     prefix[1];      /* from the body's start */
} ngx_mesh_memo_t;


typedef struct {
    u_char                    *recv;           /* NGX_MESH_RECV_SIZE */
    u_char                    *scratch;        /* NGX_MESH_RECV_SIZE */
    ngx_mesh_chunk_t          *rchunk;         /* holds recv */
    ngx_mesh_chunk_t          *slices;         /* free ones */
    ngx_mesh_chunk_list_t      chunks[NGX_MESH_CHUNK_CLASSES];
    size_t                     buffer_max;
    size_t                     partial_size;   /* held by half frames */

    uint64_t                   now;            /* us, monotonic */
    ngx_event_t                clock;
    ngx_uint_t                 clock_valid;

    ngx_queue_t                wheel[NGX_MESH_WHEEL];
    uint64_t                   turned;         /* last tick done */
    ngx_event_t                tick;
    ngx_event_t                second;
    ngx_connection_t           dummy;
    ngx_uint_t                 nwheel;

    uint32_t                   age;            /* seconds; 0: there are no
                                                  registries */

    ngx_queue_t                links;
    ngx_queue_t                partial;
    ngx_queue_t                paused;
    ngx_uint_t                 nsessions;

    ngx_rbtree_t               peers;
    ngx_rbtree_node_t          sentinel;
    ngx_queue_t                views[NGX_MESH_VIEWS];
    ngx_uint_t                 sweeps;
    uint64_t                   swept;          /* revision */

    ngx_mesh_entry_t         **entries;
    ngx_uint_t                 nbuckets;
    ngx_uint_t                 nentries;
    ngx_queue_t                lru;

    ngx_mesh_memo_t           *memos[NGX_MESH_MEMOS];
    ngx_uint_t                 memo_turn;
} ngx_mesh_worker_t;


extern ngx_mesh_worker_t  ngx_mesh_worker;


/* ngx_mesh_buffer.c */

/* a chunk with room for at least "size" bytes; NULL: no memory */
ngx_mesh_chunk_t *ngx_mesh_chunk_alloc(size_t size);
void ngx_mesh_chunk_free(ngx_mesh_chunk_t *chunk);

/* gives the worker another receive buffer */
ngx_int_t ngx_mesh_recv_buffer(void);

/*
 * Room for "size" bytes in one piece at the end of the queue; what was really
 * written is said to ngx_mesh_out_commit().
 */
u_char *ngx_mesh_out_reserve(ngx_mesh_out_t *out, size_t size);
void ngx_mesh_out_commit(ngx_mesh_out_t *out, size_t size);

/* nothing was written: no chunk is kept for it */
void ngx_mesh_out_cancel(ngx_mesh_out_t *out);

/* queues the chunk itself; takes over the caller's reference */
void ngx_mesh_out_append(ngx_mesh_out_t *out, ngx_mesh_chunk_t *chunk);

/* NGX_OK: all is sent; NGX_AGAIN; NGX_ERROR */
ngx_int_t ngx_mesh_out_flush(ngx_mesh_out_t *out, ngx_connection_t *c);
void ngx_mesh_out_destroy(ngx_mesh_out_t *out);

/*
 * Reads what is there and hands out whole frames.  NGX_AGAIN: no more for
 * now; NGX_DECLINED: end of stream; NGX_ERROR: the connection failed;
 * NGX_ABORT: bytes that begin no frame, the first of them are left in
 * reader->head; NGX_DONE: "data" is gone.  Where reader->codec is NULL, the
 * first bytes choose one of the codecs.
 */
ngx_int_t ngx_mesh_read(ngx_connection_t *c, ngx_mesh_reader_t *reader,
    ngx_array_t *codecs, size_t max_frame, ngx_mesh_frame_pt handler,
    ngx_mesh_oversize_pt oversize, void *data, off_t *received);

/* the same for bytes already read into a buffer of somebody else */
ngx_int_t ngx_mesh_read_buffer(ngx_mesh_reader_t *reader,
    ngx_array_t *codecs, size_t max_frame, ngx_mesh_frame_pt handler,
    ngx_mesh_oversize_pt oversize, void *data, u_char *p, size_t n);

void ngx_mesh_reader_destroy(ngx_mesh_reader_t *reader);

#define ngx_mesh_reader_partial(r)                                           \
    ((r)->part != NULL || (r)->nhead || (r)->skip)


/* ngx_mesh_worker.c */

/* microseconds, read once in a turn of the event loop */
uint64_t ngx_mesh_now(void);

/* puts the request into the wheel by its limit, or takes it out */
void ngx_mesh_wheel_add(ngx_mesh_request_t *r);
void ngx_mesh_wheel_del(ngx_mesh_request_t *r);


/* ngx_mesh_session.c */

/* something was queued for the client: it will be written this turn */
void ngx_mesh_session_post(ngx_mesh_session_t *ms);

/* called when a request of the session is over */
void ngx_mesh_session_done(ngx_mesh_session_t *ms);

/* lets paused sessions go on when there is room again */
void ngx_mesh_session_resume_all(void);

/* closes sessions that owe the rest of a frame for too long */
void ngx_mesh_session_check_partial(void);

/* queues a frame for the client, by reference when it has a chunk */
ngx_int_t ngx_mesh_session_queue(ngx_mesh_session_t *ms, u_char *p, size_t size,
    ngx_mesh_chunk_t *chunk);


/* ngx_mesh_session_end.c */

/* the worker leaves: the session is handed over, or drained */
void ngx_mesh_session_retire(ngx_mesh_session_t *ms);

/* ends the session once it is answered what it asked for */
void ngx_mesh_session_drain(ngx_mesh_session_t *ms);

/* closes a drained session after a moment of silence */
void ngx_mesh_session_linger(ngx_mesh_session_t *ms);
void ngx_mesh_session_drained(ngx_mesh_session_t *ms);
ngx_uint_t ngx_mesh_session_rests(ngx_mesh_session_t *ms);
void ngx_mesh_session_close(ngx_mesh_session_t *ms, ngx_int_t rc);

/* another process has it now */
void ngx_mesh_session_moved(ngx_mesh_session_t *ms);

/* takes it out of the lists of those that are waited for */
void ngx_mesh_session_unlist(ngx_mesh_session_t *ms);


/* ngx_mesh_handover.c */

/* NGX_OK: the session will be handed over; NGX_DECLINED: it cannot */
ngx_int_t ngx_mesh_handover_leave(ngx_mesh_session_t *ms);

/* NGX_OK: it is on its way, do not touch it; NGX_AGAIN, NGX_BUSY: not yet */
ngx_int_t ngx_mesh_handover_try(ngx_mesh_session_t *ms);
void ngx_mesh_handover_keep(ngx_mesh_session_t *ms);
void ngx_mesh_handover_forget(ngx_mesh_session_t *ms);
void ngx_mesh_handover_done(void);
void ngx_mesh_handover_exit_process(void);


/* ngx_mesh_handover_receive.c */

ngx_int_t ngx_mesh_handover_init_process(ngx_cycle_t *cycle);


/* ngx_mesh_request.c */

/* a retry costs 100 tokens; a call earns the percents of the budget */

#define NGX_MESH_TOKENS_RETRY  100
#define NGX_MESH_TOKENS_FIRST  1000
#define NGX_MESH_TOKENS_MAX    25600

/* what a typed answer says, by NGX_MESH_ERR_* */
extern ngx_str_t  ngx_mesh_request_texts[];

/* takes a whole request frame of a client, that came at "start", to its end or
   to a link, or parks it, as the one that is tried again or (NULL) anew.  How
   it failed, NGX_MESH_ERR_NONE: it did not */
ngx_uint_t ngx_mesh_request_take(ngx_mesh_session_t *ms, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk, uint64_t start,
    ngx_mesh_parked_t *parked);

/* ms that a call of this entry may take */
uint64_t ngx_mesh_request_timeout(ngx_mesh_session_t *ms,
    ngx_mesh_entry_t *entry, ngx_mesh_frame_t *f, ngx_mesh_facts_t *facts);

/* answers a request of which no body was read */
void ngx_mesh_request_refuse(ngx_mesh_session_t *ms, ngx_mesh_frame_t *f,
    ngx_uint_t err, ngx_str_t *text);

/* the link that a frame of "size" goes by, but to another endpoint than "avoid"
   where there is one; NULL and the reason in "err" */
ngx_mesh_link_t *ngx_mesh_request_link(ngx_mesh_session_t *ms,
    ngx_mesh_entry_t *entry, uint8_t variant, uint32_t key, size_t size,
    ngx_mesh_peer_t *avoid, ngx_uint_t *err);

/* makes a request whose frame is queued one of the session, and of the wheel */
void ngx_mesh_request_enter(ngx_mesh_request_t *r, ngx_mesh_session_t *ms);


/* ngx_mesh_request_end.c */

/* gives a whole answer to its caller and frees the slot */
void ngx_mesh_request_answer(ngx_mesh_request_t *r, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk);

/* a typed answer instead; the slot is freed, or rests when "rest" */
void ngx_mesh_request_fail(ngx_mesh_request_t *r, ngx_uint_t err,
    ngx_uint_t rest, ngx_str_t *text);

/* the link that a one-way call waited for is connected: the call is over */
void ngx_mesh_request_gone(ngx_mesh_request_t *r);

/* the link of the request is gone: another endpoint, or a typed answer */
void ngx_mesh_request_lost(ngx_mesh_request_t *r, ngx_uint_t written,
    ngx_str_t *reason);

/* the limit of this try has passed */
void ngx_mesh_request_expire(ngx_mesh_request_t *r);

/* the caller is gone */
void ngx_mesh_request_abandon(ngx_mesh_request_t *r);


/* ngx_mesh_park.c */

#define ngx_mesh_park_looks(entry)  ((entry)->age != ngx_mesh_worker.age)

/*
 * Called where ngx_mesh_park_looks(): that is at the first call of an entry,
 * once a second, and always while its service may still be found.  NGX_OK: the
 * call is parked, and has the reference to the entry; NGX_DECLINED: it goes on;
 * NGX_BUSY: too many calls of the client wait.
 */
ngx_int_t ngx_mesh_park_look(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry,
    u_char *p, ngx_mesh_frame_t *f, ngx_mesh_chunk_t *chunk,
    ngx_mesh_facts_t *facts, uint64_t start, ngx_mesh_parked_t *parked);

/* sets what may still be heard of the interface of an entry, whose service has
   no endpoints, or is NULL */
void ngx_mesh_park_pending(ngx_mesh_entry_t *entry, ngx_str_t *interface,
    ngx_mesh_service_t *service);

/* a parked request's time is over; its caller is gone */
void ngx_mesh_park_expire(ngx_mesh_request_t *r);
void ngx_mesh_park_abandon(ngx_mesh_request_t *r);

/* each second, and each tick while calls are in flight */
void ngx_mesh_park_second(void);
void ngx_mesh_park_tick(void);

void ngx_mesh_park_init_process(void);


/* ngx_mesh_report.c */

/* what the log of this call will want to know of its facts, or NULL */
ngx_mesh_chunk_t *ngx_mesh_report_keep(ngx_mesh_session_t *ms,
    ngx_mesh_facts_t *facts);

/* queues a typed answer and notes it in the call */
void ngx_mesh_report_reply(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry,
    ngx_mesh_peer_t *peer, ngx_mesh_frame_t *f, ngx_uint_t err,
    ngx_str_t *text, ngx_mesh_call_t *call);

/* counts and logs a call that is over */
void ngx_mesh_report_call(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry,
    ngx_mesh_chunk_t *attachments, ngx_mesh_peer_t *peer,
    ngx_mesh_call_t *call);


/* ngx_mesh_slot.c */

ngx_mesh_request_t *ngx_mesh_slot_get(ngx_mesh_link_t *link);
void ngx_mesh_slot_free(ngx_mesh_request_t *r);
void ngx_mesh_slot_rest(ngx_mesh_request_t *r);
ngx_mesh_request_t *ngx_mesh_slot_find(ngx_mesh_link_t *link, uint64_t id);
uint64_t ngx_mesh_slot_id(ngx_mesh_link_t *link, ngx_mesh_request_t *r);
void ngx_mesh_slot_expire(ngx_mesh_link_t *link);
void ngx_mesh_slot_destroy(ngx_mesh_link_t *link);


/* ngx_mesh_link.c */

/*
 * Is there no room for so many bytes?  Some of an earlier frame may always be
 * on their way, so what is larger than the buffer needs but half of it.
 */
#define ngx_mesh_link_full(link, n)                                          \
    ((link)->out.size + ngx_min(n, (link)->bundle->conf->link_buffer / 2)    \
     > (link)->bundle->conf->link_buffer)

/* a link of the bundle that takes "size" more bytes, dialled if need be;
   *err says why there is none */
ngx_mesh_link_t *ngx_mesh_link_get(ngx_mesh_bundle_t *bundle,
    ngx_mesh_session_t *owner, uint8_t variant, size_t size, ngx_uint_t *err);

/* queues a frame; pos tells where it stands */
ngx_int_t ngx_mesh_link_queue(ngx_mesh_link_t *link, u_char *p, size_t size,
    ngx_mesh_chunk_t *chunk, u_char **pos);
void ngx_mesh_link_post(ngx_mesh_link_t *link);

/* takes frames of dead requests out of what is not sent yet */
void ngx_mesh_link_purge(ngx_mesh_link_t *link);
void ngx_mesh_link_purge_all(void);

/* a slot was freed: a draining link may be over */
void ngx_mesh_link_done(ngx_mesh_link_t *link);
void ngx_mesh_link_close(ngx_mesh_link_t *link, char *reason,
    ngx_uint_t failure);
void ngx_mesh_link_close_all(void);

/* connected, and TLS is done: what waits is sent */
void ngx_mesh_link_ready(ngx_mesh_link_t *link);


/* ngx_mesh_link_read.c */

void ngx_mesh_link_read_handler(ngx_event_t *rev);
void ngx_mesh_link_timer_handler(ngx_event_t *ev);


/* ngx_mesh_link_ssl.c */

#if (NGX_SSL)
ngx_int_t ngx_mesh_link_ssl_init(ngx_mesh_link_t *link);
#endif


/* ngx_mesh_peer.c */

/* the peer of that address, made if new; the caller owns a reference */
ngx_mesh_peer_t *ngx_mesh_peer_get(ngx_mesh_endpoint_t *endpoint);

/* the same, if there is one already, without a reference */
ngx_mesh_peer_t *ngx_mesh_peer_find(ngx_mesh_endpoint_t *endpoint);
void ngx_mesh_peer_release(ngx_mesh_peer_t *peer);
ngx_mesh_bundle_t *ngx_mesh_peer_bundle(ngx_mesh_peer_t *peer,
    ngx_mesh_link_conf_t *conf, const ngx_mesh_codec_t *codec,
    ngx_str_t *host);

#define NGX_MESH_PEER_DOWN      0x01     /* by configuration, weight 0 */
#define NGX_MESH_PEER_EJECTED   0x02     /* too many failures */
#define NGX_MESH_PEER_BACKOFF   0x04     /* may not be dialled yet */
#define NGX_MESH_PEER_READONLY  0x08
#define NGX_MESH_PEER_FULL      0x10     /* its links take no more */

ngx_uint_t ngx_mesh_peer_state(ngx_mesh_member_t *m, size_t size);

#define NGX_MESH_DIAL_REFUSED   1        /* there was no connection */
#define NGX_MESH_DIAL_MUTE      2        /* one that ended without a word: only
                                            several in a row are waited out */

void ngx_mesh_peer_failed(ngx_mesh_peer_t *peer, ngx_uint_t dial);
void ngx_mesh_peer_ok(ngx_mesh_peer_t *peer);
void ngx_mesh_peer_set_readonly(ngx_mesh_peer_t *peer);


/* ngx_mesh_sweep.c */

/* each second: links to endpoints that no service has any more are drained */
void ngx_mesh_sweep(void);


/* ngx_mesh_route.c */

/* the route of a call; its reference belongs to the caller.  Reads more
   facts of the frame if the route depends on them.  NULL: no memory. */
ngx_mesh_entry_t *ngx_mesh_route_find(ngx_mesh_session_t *ms, u_char *p,
    ngx_mesh_frame_t *f, ngx_mesh_facts_t *facts);
void ngx_mesh_route_release(ngx_mesh_entry_t *entry);

/* the service of an entry's names; sees whether its group counts.  The
   reference is the caller's; NULL: there is none. */
ngx_mesh_service_t *ngx_mesh_route_service(ngx_mesh_entry_t *entry);

/* whether a call may be sent twice, by what its service is called */
ngx_uint_t ngx_mesh_route_idempotent(ngx_mesh_entry_t *entry);

/* one fact of a call by its name; NGX_DECLINED: the call has none.  Reads
   the attachments if they are needed. */
ngx_int_t ngx_mesh_route_fact(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry,
    u_char *p, ngx_mesh_frame_t *f, ngx_mesh_facts_t *facts, ngx_str_t *name,
    ngx_str_t *value);

/* the hash of the fact that the entry, which has a view, balances by; 0: it
   balances otherwise, or the call has no such fact */
uint32_t ngx_mesh_route_key(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry,
    u_char *p, ngx_mesh_frame_t *f, ngx_mesh_facts_t *facts);

/* the same for a request that got another entry, from the frame it has kept;
   sets its key.  NGX_ERROR: no memory. */
ngx_int_t ngx_mesh_route_rekey(ngx_mesh_request_t *r);


/* ngx_mesh_choice.c */

/* finds the routes that calls of an entry may take */
void ngx_mesh_choice_init(ngx_mesh_entry_t *entry, ngx_mesh_rules_t *rules);

/* what becomes of calls while their routes are not known for lack of memory:
   they must not go where a route may keep them from going */
void ngx_mesh_choice_none(ngx_mesh_entry_t *entry);

void ngx_mesh_choice_drop(ngx_mesh_entry_t *entry);

/* the branch that a call takes, or the entry itself; the reference to the
   entry becomes one to the branch.  NULL: no memory. */
ngx_mesh_entry_t *ngx_mesh_choice_take(ngx_mesh_session_t *ms,
    ngx_mesh_entry_t *entry, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_facts_t *facts);

/* the same for a branch none of whose endpoints can be used; NULL: that is
   all, and the reference stays */
ngx_mesh_entry_t *ngx_mesh_choice_fallback(ngx_mesh_entry_t *entry);

/* a request as its route changes it, f updated, in a chunk of the caller's;
   NULL: *err says why not */
ngx_mesh_chunk_t *ngx_mesh_choice_edit(ngx_mesh_session_t *ms,
    ngx_mesh_entry_t *entry, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_facts_t *facts, ngx_uint_t *err);


/* ngx_mesh_view.c */

/*
 * A service as it is used for a target of a route (NULL: any endpoint),
 * balanced by a fact (empty: as the service says).  Takes over the reference
 * to the service.  NULL: no memory.
 */
ngx_mesh_view_t *ngx_mesh_view_get(ngx_mesh_service_t *service,
    ngx_mesh_proxy_conf_t *conf, const ngx_mesh_codec_t *codec,
    ngx_mesh_target_t *target, ngx_str_t *hash);
void ngx_mesh_view_release(ngx_mesh_view_t *view);


/* ngx_mesh_memo.c */

/* the entry of a request that begins as an earlier one did, its facts set as
   if they had been read; NULL: none, read on.  The reference is the caller's.
   */
ngx_mesh_entry_t *ngx_mesh_memo_find(ngx_mesh_session_t *ms, u_char *p,
    ngx_mesh_frame_t *f, ngx_uint_t want, ngx_mesh_facts_t *facts);

/* remembers what the facts of a request led to */
void ngx_mesh_memo_add(ngx_mesh_entry_t *entry, u_char *p, ngx_mesh_frame_t *f,
    ngx_mesh_facts_t *facts);
void ngx_mesh_memo_drop(ngx_mesh_entry_t *entry);


/* ngx_mesh_balancer.c */

/* NULL: none may be used; *err says why.  "avoid" failed just now; hash is 0
   when the call lacks the fact to hash on. */
ngx_mesh_member_t *ngx_mesh_balancer_pick(ngx_mesh_view_t *view,
    uint32_t hash, size_t size, ngx_mesh_peer_t *avoid, ngx_uint_t *err);
ngx_int_t ngx_mesh_balancer_init(ngx_mesh_view_t *view);


#endif /* _NGX_MESH_PROXY_INT_H_INCLUDED_ */
