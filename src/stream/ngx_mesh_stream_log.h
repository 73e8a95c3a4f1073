
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_STREAM_LOG_H_INCLUDED_
#define _NGX_MESH_STREAM_LOG_H_INCLUDED_


#include "ngx_mesh_stream.h"


/* what the two halves of the access log share */


#define NGX_MESH_STREAM_LOG_ESCAPE_DEFAULT  0
#define NGX_MESH_STREAM_LOG_ESCAPE_JSON     1
#define NGX_MESH_STREAM_LOG_ESCAPE_NONE     2

/* literals up to this length are copied as one piece of this length */
#define NGX_MESH_STREAM_LOG_PIECE           16


typedef struct {
    ngx_str_t                    literal;      /* text before the value */
    ngx_mesh_stream_get_pt       get;
    uintptr_t                    data;
    ngx_uint_t                   escape;       /* unsigned  escape:1; */
} ngx_mesh_stream_log_op_t;


typedef struct {
    ngx_str_t                    name;
    ngx_array_t                  ops;          /* ngx_mesh_stream_log_op_t */
    ngx_str_t                    tail;         /* text after the last value */

    ngx_uint_t                   escape;
    size_t                       factor;       /* growth by escaping */
    size_t                       absent;       /* length of an absent value */
    size_t                       size;         /* of all the literals */

    unsigned                     slow:1;       /* needs a shadow session */
    unsigned                     attached:1;   /* needs attachments */
} ngx_mesh_stream_log_fmt_t;


/*
 * The first fields are those of nginx's own log modules: they look into the
 * buffer of a file that is named in their directives, too.
 */

typedef struct {
    u_char                      *start;
    u_char                      *pos;
    u_char                      *last;

    ngx_event_t                 *event;
    ngx_msec_t                   flush;
    ngx_int_t                    gzip;
} ngx_mesh_stream_log_buf_t;


typedef struct {
    ngx_open_file_t             *file;
    time_t                       disk_full_time;
    time_t                       error_log_time;
    ngx_syslog_peer_t           *syslog_peer;
    ngx_mesh_stream_log_fmt_t   *format;
    ngx_mesh_stream_log_fmt_t   *filter;       /* "if=" */
} ngx_mesh_stream_log_t;


ngx_int_t ngx_mesh_stream_log_variable(ngx_stream_session_t *s,
    ngx_mesh_call_t *call, uintptr_t data, ngx_str_t *value);
void ngx_mesh_stream_log_flush(ngx_open_file_t *file, ngx_log_t *log);
void ngx_mesh_stream_log_flush_handler(ngx_event_t *ev);


#endif /* _NGX_MESH_STREAM_LOG_H_INCLUDED_ */
