
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_resp.h"
#include "ngx_mesh_registry_int.h"


#define NGX_MESH_RESP_LINE   65536

#define NGX_MESH_RESP_LARGE  (256 * 1024)


/* a name for what differs between versions of hiredis */

#if (HIREDIS_MAJOR >= 1)
typedef size_t  ngx_mesh_resp_count_t;
#else
typedef int     ngx_mesh_resp_count_t;
#endif


typedef struct {
    ngx_queue_t                queue;
    ngx_mesh_resp_handler_pt   handler;
    void                      *data;
    ngx_uint_t                 replies;      /* still to come */
    ngx_msec_t                 sent;
} ngx_mesh_resp_command_t;


static void ngx_mesh_resp_received(ngx_mesh_net_t *net, u_char *p, size_t n);
static ngx_uint_t ngx_mesh_resp_large(redisReader *reader);
static void ngx_mesh_resp_connected(ngx_mesh_net_t *net);
static void ngx_mesh_resp_closed(ngx_mesh_net_t *net, char *reason);
static void ngx_mesh_resp_fail(ngx_mesh_resp_t *resp, char *reason);
static void ngx_mesh_resp_reply(ngx_mesh_resp_t *resp,
    ngx_mesh_reply_t *reply);
static ngx_uint_t ngx_mesh_resp_push(ngx_mesh_resp_t *resp,
    ngx_mesh_reply_t *reply);
static void ngx_mesh_resp_timer_handler(ngx_event_t *ev);
static void ngx_mesh_resp_timer(ngx_mesh_resp_t *resp);

static ngx_mesh_reply_t *ngx_mesh_resp_object(const redisReadTask *task,
    size_t bytes);
static void *ngx_mesh_resp_string(const redisReadTask *task, char *p,
    size_t len);
static void *ngx_mesh_resp_array(const redisReadTask *task,
    ngx_mesh_resp_count_t n);
static void *ngx_mesh_resp_integer(const redisReadTask *task, long long n);
static void *ngx_mesh_resp_nil(const redisReadTask *task);
static void ngx_mesh_resp_free(void *object);

#if (HIREDIS_MAJOR >= 1)
static void *ngx_mesh_resp_double(const redisReadTask *task, double n,
    char *p, size_t len);
static void *ngx_mesh_resp_bool(const redisReadTask *task, int n);
#endif


static redisReplyObjectFunctions  ngx_mesh_resp_functions = {
    .createString = ngx_mesh_resp_string,
    .createArray = ngx_mesh_resp_array,
    .createInteger = ngx_mesh_resp_integer,
    .createNil = ngx_mesh_resp_nil,
#if (HIREDIS_MAJOR >= 1)
    .createDouble = ngx_mesh_resp_double,
    .createBool = ngx_mesh_resp_bool,
#endif
    .freeObject = ngx_mesh_resp_free
};


ngx_int_t
ngx_mesh_resp_connect(ngx_mesh_resp_t *resp)
{
    resp->reader = redisReaderCreateWithFunctions(&ngx_mesh_resp_functions);
    if (resp->reader == NULL) {
        return NGX_ERROR;
    }

    resp->reader->privdata = resp;

    ngx_queue_init(&resp->pending);
    resp->generation++;
    resp->heard = ngx_current_msec;
    resp->answered = ngx_current_msec;
    resp->bytes = 0;
    resp->elements = 0;

    ngx_memzero(&resp->timer, sizeof(ngx_event_t));
    resp->timer.handler = ngx_mesh_resp_timer_handler;
    resp->timer.data = resp;
    resp->timer.log = ngx_cycle->log;
    resp->timer.cancelable = 1;

    resp->net.data = resp;
    resp->net.source = resp->source;
    resp->net.addr = resp->addr;
    resp->net.connect_timeout = resp->timeout;
    resp->net.connected = ngx_mesh_resp_connected;
    resp->net.received = ngx_mesh_resp_received;
    resp->net.closed = ngx_mesh_resp_closed;

    if (ngx_mesh_net_connect(&resp->net) != NGX_OK) {
        redisReaderFree(resp->reader);
        resp->reader = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_mesh_resp_close(ngx_mesh_resp_t *resp)
{
    ngx_queue_t              *q;
    ngx_mesh_resp_command_t  *command;

    if (resp->reader == NULL) {
        return;
    }

    ngx_mesh_net_close(&resp->net);

    if (resp->bytes + resp->reader->len > NGX_MESH_RESP_LARGE) {
        ngx_mesh_agent_large();
    }

    redisReaderFree(resp->reader);
    resp->reader = NULL;
    resp->generation++;

    if (resp->timer.timer_set) {
        ngx_del_timer(&resp->timer);
    }

    while (!ngx_queue_empty(&resp->pending)) {
        q = ngx_queue_head(&resp->pending);
        command = ngx_queue_data(q, ngx_mesh_resp_command_t, queue);

        ngx_queue_remove(q);
        ngx_free(command);
    }

    if (resp->pool) {
        ngx_destroy_pool(resp->pool);
        resp->pool = NULL;
    }
}


ngx_int_t
ngx_mesh_resp_send(ngx_mesh_resp_t *resp, ngx_str_t *args, ngx_uint_t n,
    ngx_uint_t replies, ngx_mesh_resp_handler_pt handler, void *data)
{
    int                       len;
    char                     *text;
    size_t                   *lengths;
    ngx_int_t                 rc;
    ngx_uint_t                i;
    const char              **argv;
    ngx_mesh_resp_command_t  *command;

    if (resp->reader == NULL) {
        return NGX_ERROR;
    }

    /* the arguments as hiredis takes them are behind the command */

    command = ngx_alloc(sizeof(ngx_mesh_resp_command_t)
                        + n * (sizeof(char *) + sizeof(size_t)),
                        ngx_cycle->log);
    if (command == NULL) {
        return NGX_ERROR;
    }

    argv = (const char **) (command + 1);
    lengths = (size_t *) (argv + n);

    for (i = 0; i < n; i++) {
        argv[i] = (char *) args[i].data;
        lengths[i] = args[i].len;
    }

    rc = NGX_ERROR;
    len = redisFormatCommandArgv(&text, n, argv, lengths);

    if (len > 0) {
        rc = ngx_mesh_net_send(&resp->net, (u_char *) text, len);

        /* it may have been a password */

        ngx_explicit_memzero(text, len);
        redisFreeCommand(text);
    }

    if (rc != NGX_OK) {
        ngx_free(command);
        return NGX_ERROR;
    }

    command->handler = handler;
    command->data = data;
    command->replies = replies;
    command->sent = ngx_current_msec;

    ngx_queue_insert_tail(&resp->pending, &command->queue);
    ngx_mesh_resp_timer(resp);

    return NGX_OK;
}


void
ngx_mesh_resp_detach(ngx_mesh_resp_t *resp, void *data)
{
    ngx_queue_t              *q;
    ngx_mesh_resp_command_t  *command;

    if (resp->reader == NULL) {
        return;
    }

    for (q = ngx_queue_head(&resp->pending);
         q != ngx_queue_sentinel(&resp->pending);
         q = ngx_queue_next(q))
    {
        command = ngx_queue_data(q, ngx_mesh_resp_command_t, queue);

        if (command->data == data) {
            command->handler = NULL;
        }
    }
}


static void
ngx_mesh_resp_connected(ngx_mesh_net_t *net)
{
    ngx_mesh_resp_t  *resp;

    resp = net->data;
    resp->heard = ngx_current_msec;
    resp->answered = ngx_current_msec;
}


static void
ngx_mesh_resp_received(ngx_mesh_net_t *net, u_char *p, size_t n)
{
    void             *object;
    ngx_uint_t        generation;
    redisReader      *reader;
    ngx_mesh_resp_t  *resp;

    resp = net->data;
    reader = resp->reader;
    generation = resp->generation;

    resp->heard = ngx_current_msec;

    if (ngx_mesh_resp_large(reader)) {
        ngx_mesh_resp_fail(resp, "a reply is too large");
        return;
    }

    if (redisReaderFeed(reader, (char *) p, n) != REDIS_OK) {
        ngx_mesh_resp_fail(resp, reader->errstr);
        return;
    }

    for ( ;; ) {
        object = NULL;

        if (redisReaderGetReply(reader, &object) != REDIS_OK) {

            /* what was too much for us is no lack of memory */

            ngx_mesh_resp_fail(resp, resp->elements > NGX_MESH_RESP_ELEMENTS
                                     || resp->bytes > NGX_MESH_RESP_BYTES
                                     ? "a reply is too large"
                                     : reader->errstr);
            return;
        }

        if (object == NULL) {
            return;
        }

        ngx_mesh_resp_reply(resp, object);

        if (resp->generation != generation) {
            return;
        }
    }
}


/* what is not a reply yet; a line, too, which would be searched for its end
   again and again */

static ngx_uint_t
ngx_mesh_resp_large(redisReader *reader)
{
    size_t  rest;

    rest = reader->len - reader->pos;

    return rest > NGX_MESH_RESP_BYTES
           || (rest > NGX_MESH_RESP_LINE
               && memchr(reader->buf + reader->pos, LF, NGX_MESH_RESP_LINE)
                  == NULL);
}


/* hands it out; the owner may close the connection meanwhile */

static void
ngx_mesh_resp_reply(ngx_mesh_resp_t *resp, ngx_mesh_reply_t *reply)
{
    void                      *data;
    ngx_pool_t                *pool;
    ngx_queue_t               *q;
    ngx_mesh_resp_command_t   *command;
    ngx_mesh_resp_handler_pt   handler;

    if (resp->bytes > NGX_MESH_RESP_LARGE) {
        ngx_mesh_agent_large();
    }

    pool = resp->pool;
    resp->pool = NULL;
    resp->bytes = 0;
    resp->elements = 0;

    if (ngx_mesh_resp_push(resp, reply)) {
        goto done;
    }

    if (ngx_queue_empty(&resp->pending)) {

        /* as one that has too many clients says, and closes */

        ngx_mesh_resp_fail(resp, reply->type == REDIS_REPLY_ERROR
                                 ? (char *) reply->str.data
                                 : "a reply that nothing was asked for");
        goto done;
    }

    resp->answered = ngx_current_msec;

    q = ngx_queue_head(&resp->pending);
    command = ngx_queue_data(q, ngx_mesh_resp_command_t, queue);

    handler = command->handler;
    data = command->data;

    if (--command->replies == 0 || reply->type == REDIS_REPLY_ERROR) {
        ngx_queue_remove(q);
        ngx_free(command);
    }

    if (handler) {
        handler(data, reply);
    }

done:

    ngx_destroy_pool(pool);
}


/* 1: it was a message, which is not a reply to anything */

static ngx_uint_t
ngx_mesh_resp_push(ngx_mesh_resp_t *resp, ngx_mesh_reply_t *reply)
{
    ngx_str_t          *kind;
    ngx_uint_t          n;
    ngx_mesh_reply_t  **element;

    if (resp->push == NULL || reply->type != REDIS_REPLY_ARRAY
        || reply->nelements < 3)
    {
        return 0;
    }

    element = reply->elements;
    kind = &element[0]->str;
    n = reply->nelements;

    if (element[0]->type != REDIS_REPLY_STRING
        || element[n - 1]->type != REDIS_REPLY_STRING
        || element[n - 2]->type != REDIS_REPLY_STRING)
    {
        return 0;
    }

    if ((n == 3 && kind->len == 7
         && ngx_strncmp(kind->data, "message", 7) == 0)
        || (n == 4 && kind->len == 8
            && ngx_strncmp(kind->data, "pmessage", 8) == 0))
    {
        resp->push(resp, &element[n - 2]->str, &element[n - 1]->str);
        return 1;
    }

    return 0;
}


static void
ngx_mesh_resp_closed(ngx_mesh_net_t *net, char *reason)
{
    ngx_mesh_resp_fail(net->data, reason ? reason : "closed by the server");
}


/* tells those who wait for replies, in their order, then the owner */

static void
ngx_mesh_resp_fail(ngx_mesh_resp_t *resp, char *reason)
{
    void                      *data;
    u_char                     text[NGX_MESH_RESP_TEXT];
    ngx_str_t                  s;
    ngx_queue_t               *q;
    ngx_uint_t                 generation;
    ngx_mesh_resp_command_t   *command;
    ngx_mesh_resp_handler_pt   handler;

    s.data = text;
    s.len = ngx_cpystrn(text, (u_char *) reason, sizeof(text)) - text;

    generation = resp->generation;

    while (!ngx_queue_empty(&resp->pending)) {
        q = ngx_queue_head(&resp->pending);
        command = ngx_queue_data(q, ngx_mesh_resp_command_t, queue);

        handler = command->handler;
        data = command->data;

        ngx_queue_remove(q);
        ngx_free(command);

        if (handler) {
            handler(data, NULL);

            if (resp->generation != generation) {
                return;
            }
        }
    }

    ngx_mesh_resp_close(resp);

    resp->closed(resp, &s);
}


static void
ngx_mesh_resp_timer(ngx_mesh_resp_t *resp)
{
    if (!resp->timer.timer_set) {
        ngx_add_timer(&resp->timer, resp->timeout);
    }
}


/* silence is not to be waited out, nor a reply that comes for ever */

static void
ngx_mesh_resp_timer_handler(ngx_event_t *ev)
{
    ngx_msec_t                since;
    ngx_queue_t              *q;
    ngx_msec_int_t            silence, reply;
    ngx_mesh_resp_t          *resp;
    ngx_mesh_resp_command_t  *command;

    resp = ev->data;

    if (ngx_queue_empty(&resp->pending)) {
        return;
    }

    q = ngx_queue_head(&resp->pending);
    command = ngx_queue_data(q, ngx_mesh_resp_command_t, queue);

    since = command->sent;

    if ((ngx_msec_int_t) (resp->answered - since) > 0) {
        since = resp->answered;
    }

    reply = (ngx_msec_int_t) (since + resp->patience - ngx_current_msec);

    if ((ngx_msec_int_t) (resp->heard - since) > 0) {
        since = resp->heard;
    }

    silence = (ngx_msec_int_t) (since + resp->timeout - ngx_current_msec);

    if (reply <= 0 || silence <= 0) {
        ngx_mesh_resp_fail(resp, "no reply in time");
        return;
    }

    ngx_add_timer(ev, (ngx_msec_t) ngx_min(reply, silence));
}


/* objects of a reply are of its pool, the root is made first */

static ngx_mesh_reply_t *
ngx_mesh_resp_object(const redisReadTask *task, size_t bytes)
{
    ngx_mesh_resp_t   *resp;
    ngx_mesh_reply_t  *reply, *parent;

    resp = task->privdata;

    if (resp->pool == NULL) {
        resp->pool = ngx_create_pool(bytes > 512 ? 16384 : 1024,
                                     ngx_cycle->log);
        if (resp->pool == NULL) {
            return NULL;
        }
    }

    resp->bytes += sizeof(ngx_mesh_reply_t) + bytes;

    if (resp->bytes > NGX_MESH_RESP_BYTES) {
        return NULL;
    }

    reply = ngx_pcalloc(resp->pool, sizeof(ngx_mesh_reply_t));
    if (reply == NULL) {
        return NULL;
    }

    reply->type = task->type;

    if (task->parent) {
        parent = task->parent->obj;
        parent->elements[task->idx] = reply;
    }

    return reply;
}


static void *
ngx_mesh_resp_string(const redisReadTask *task, char *p, size_t len)
{
    u_char            *dst, *last;
    ngx_mesh_resp_t   *resp;
    ngx_mesh_reply_t  *reply;

    reply = ngx_mesh_resp_object(task, len + 1);
    if (reply == NULL) {
        return NULL;
    }

    resp = task->privdata;

    reply->str.data = ngx_pnalloc(resp->pool, len + 1);
    if (reply->str.data == NULL) {
        return NULL;
    }

    dst = reply->str.data;
    last = ngx_cpymem(dst, p, len);
    *last = '\0';
    reply->str.len = len;

    if (task->type != REDIS_REPLY_ERROR) {
        return reply;
    }

    /* it is going to be a part of a line */

    for ( /* void */ ; dst < last; dst++) {
        if (*dst < ' ' || *dst == 0x7f) {
            *dst = ' ';
        }
    }

    return reply;
}


static void *
ngx_mesh_resp_array(const redisReadTask *task, ngx_mesh_resp_count_t n)
{
    size_t             size;
    ngx_mesh_resp_t   *resp;
    ngx_mesh_reply_t  *reply;

    resp = task->privdata;

    if (n < 0 || (ngx_uint_t) n > NGX_MESH_RESP_ELEMENTS
        || (resp->elements += n) > NGX_MESH_RESP_ELEMENTS)
    {
        resp->elements = NGX_MESH_RESP_ELEMENTS + 1;
        return NULL;
    }

    size = n * sizeof(ngx_mesh_reply_t *);

    reply = ngx_mesh_resp_object(task, size);
    if (reply == NULL) {
        return NULL;
    }

    reply->elements = ngx_pcalloc(resp->pool, size);
    if (reply->elements == NULL) {
        return NULL;
    }

    reply->nelements = n;

    return reply;
}


static void *
ngx_mesh_resp_integer(const redisReadTask *task, long long n)
{
    ngx_mesh_reply_t  *reply;

    reply = ngx_mesh_resp_object(task, 0);

    if (reply) {
        reply->integer = n;
    }

    return reply;
}


static void *
ngx_mesh_resp_nil(const redisReadTask *task)
{
    ngx_mesh_reply_t  *reply;

    reply = ngx_mesh_resp_object(task, 0);

    if (reply) {
        reply->type = REDIS_REPLY_NIL;
    }

    return reply;
}


#if (HIREDIS_MAJOR >= 1)

/* of the protocol's version 3, which nobody asked for */

static void *
ngx_mesh_resp_double(const redisReadTask *task, double n, char *p, size_t len)
{
    return ngx_mesh_resp_object(task, 0);
}


static void *
ngx_mesh_resp_bool(const redisReadTask *task, int n)
{
    return ngx_mesh_resp_object(task, 0);
}

#endif


static void
ngx_mesh_resp_free(void *object)
{
    /* void: the pool goes as a whole */
}


static struct {
    char                      *word;
    ngx_uint_t                 class;
} ngx_mesh_resp_classes[] = {
    { "NOAUTH", NGX_MESH_RESP_CONFIG },
    { "WRONGPASS", NGX_MESH_RESP_CONFIG },
    { "NOPERM", NGX_MESH_RESP_CONFIG },
    { "WRONGTYPE", NGX_MESH_RESP_CONFIG },
    { "NOPROTO", NGX_MESH_RESP_CONFIG },
    { "DENIED", NGX_MESH_RESP_CONFIG },
    { "LOADING", NGX_MESH_RESP_TRANSIENT },
    { "BUSY", NGX_MESH_RESP_TRANSIENT },
    { "MASTERDOWN", NGX_MESH_RESP_TRANSIENT },
    { "READONLY", NGX_MESH_RESP_TRANSIENT },
    { "CLUSTERDOWN", NGX_MESH_RESP_TRANSIENT },
    { "TRYAGAIN", NGX_MESH_RESP_TRANSIENT },
    { "OOM", NGX_MESH_RESP_TRANSIENT },
    { "MOVED", NGX_MESH_RESP_CLUSTER },
    { "ASK", NGX_MESH_RESP_CLUSTER },
    { NULL, 0 }
};


ngx_uint_t
ngx_mesh_resp_class(ngx_str_t *error)
{
    size_t      len;
    ngx_uint_t  i;

    for (len = 0; len < error->len && error->data[len] != ' '; len++) {
        /* void */
    }

    for (i = 0; ngx_mesh_resp_classes[i].word; i++) {

        if (ngx_strlen(ngx_mesh_resp_classes[i].word) == len
            && ngx_strncmp(ngx_mesh_resp_classes[i].word, error->data, len)
               == 0)
        {
            return ngx_mesh_resp_classes[i].class;
        }
    }

    return NGX_MESH_RESP_OTHER;
}


ngx_uint_t
ngx_mesh_resp_is(ngx_mesh_reply_t *reply, char *word)
{
    size_t  len;

    len = ngx_strlen(word);

    return reply->type == REDIS_REPLY_ERROR
           && reply->str.len >= len
           && ngx_strncmp(reply->str.data, word, len) == 0
           && (reply->str.len == len || reply->str.data[len] == ' ');
}
