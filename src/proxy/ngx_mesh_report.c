
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_proxy_int.h"


/* a typed answer's text is cut at this length */

#define NGX_MESH_TEXT_SIZE  1024


/*
 * What a log will want to know of the call: an array of the values of
 * conf->attachments with the calling application behind them, then the bytes.
 */

ngx_mesh_chunk_t *
ngx_mesh_report_keep(ngx_mesh_session_t *ms, ngx_mesh_facts_t *facts)
{
    size_t                   size;
    u_char                  *p;
    ngx_str_t               *names, *values, value;
    ngx_uint_t               i, n;
    ngx_array_t             *wanted;
    ngx_mesh_chunk_t        *chunk;
    const ngx_mesh_codec_t  *codec;

    wanted = ms->conf->attachments;

    if (wanted == NULL) {
        return NULL;
    }

    codec = ms->reader.codec;
    names = wanted->elts;
    n = wanted->nelts;

    size = (n + 1) * sizeof(ngx_str_t) + facts->app.len;

    for (i = 0; i < n; i++) {
        if (codec->attachment(codec, facts, &names[i], &value) == NGX_OK) {
            size += value.len;
        }
    }

    chunk = ngx_mesh_chunk_alloc(size);
    if (chunk == NULL) {
        return NULL;
    }

    values = (ngx_str_t *) chunk->buf.start;
    p = chunk->buf.start + (n + 1) * sizeof(ngx_str_t);

    for (i = 0; i <= n; i++) {

        if (i == n) {
            value = facts->app;

        } else if (codec->attachment(codec, facts, &names[i], &value)
                   != NGX_OK)
        {
            ngx_str_null(&values[i]);
            continue;
        }

        /* text made of numbers may have grown meanwhile, never the buffer */

        value.len = ngx_min(value.len, (size_t) (chunk->buf.end - p));
        values[i].data = p;
        values[i].len = value.len;
        p = ngx_cpymem(p, value.data, value.len);
    }

    return chunk;
}


void
ngx_mesh_report_reply(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry,
    ngx_mesh_peer_t *peer, ngx_mesh_frame_t *f, ngx_uint_t err,
    ngx_str_t *text, ngx_mesh_call_t *call)
{
    size_t                   n, size;
    u_char                  *dst, *p, *last, buf[NGX_MESH_TEXT_SIZE];
    ngx_str_t                line;
    const ngx_mesh_codec_t  *codec;

    codec = ms->reader.codec;
    last = buf + NGX_MESH_TEXT_SIZE;

    p = ngx_slprintf(buf, last, "nginx-mesh: %V (%V)", text,
                     ngx_mesh_codec_error_name(err));

    if (entry) {
        p = ngx_slprintf(p, last, ", service \"%V\", method \"%V\"",
                         &entry->key, &entry->method);
    }

    if (peer) {
        p = ngx_slprintf(p, last, ", endpoint %V", &peer->name);
    }

    line.data = buf;
    line.len = p - buf;

    size = line.len * 3 + 256;
    dst = NULL;

    if (codec->error) {
        dst = ngx_mesh_out_reserve(&ms->out, size);

    } else if (f->kind == NGX_MESH_FRAME_REQUEST) {

        /* the end of the connection is all that this protocol can tell */

        ms->failed = 1;
        ngx_post_event(ms->connection->write, &ngx_posted_events);
    }

    if (dst) {
        n = codec->error(codec, dst, size, f, err, &line);

        if (n) {
            ngx_mesh_out_commit(&ms->out, n);
            ngx_mesh_session_post(ms);
            call->answered = 1;

        } else {
            ngx_mesh_out_cancel(&ms->out);
        }

        call->response_length = n;
    }

    call->status = f->status;
    call->result = NGX_MESH_RESULT_ERROR;

    ngx_log_debug2(NGX_LOG_DEBUG_STREAM, ms->connection->log, 0,
                   "mesh call %uL failed: %V", f->id, &line);
}


void
ngx_mesh_report_call(ngx_mesh_session_t *ms, ngx_mesh_entry_t *entry,
    ngx_mesh_chunk_t *attachments, ngx_mesh_peer_t *peer,
    ngx_mesh_call_t *call)
{
    ngx_str_t          *service, *method, none, *codec;
    ngx_uint_t          n;
    ngx_mesh_calls_t   *calls;

    ngx_str_null(&none);

    /* names that no table knows get no series of their own */

    service = (entry && entry->known) ? &entry->service : NULL;
    method = entry ? &entry->method : &none;
    codec = (ngx_str_t *) &ms->reader.codec->name;

    if (service && entry->ok && call->status == entry->ok_status
        && call->result == NGX_MESH_RESULT_OK)
    {
        calls = entry->ok;

    } else {
        calls = ngx_mesh_metrics_calls(service, service ? method : &none,
                                       codec, call->status, call->result);

        if (service && call->result == NGX_MESH_RESULT_OK) {
            entry->ok = calls;
            entry->ok_status = call->status;
        }
    }

    ngx_mesh_metrics_observe(calls, call->time);
    calls->received += call->request_length;
    calls->sent += call->response_length;

    if (call->error) {
        ngx_mesh_metrics_error(service, call->error);
    }

    if (ms->conf->log == NULL) {
        return;
    }

    call->codec = ms->reader.codec;

    if (entry) {
        call->service = entry->known ? entry->service : entry->key;
        call->interface = entry->interface;
        call->method = entry->method;
        call->version = entry->version;
        call->group = entry->group;
        call->revision = entry->revision;

        if (entry->rule) {
            call->route = entry->rule->name;
        }
    }

    if (attachments) {
        n = ms->conf->attachments->nelts;
        call->attachments = (ngx_str_t *) attachments->buf.start;
        call->app = call->attachments[n];
    }

    if (peer) {
        call->upstream_addr = peer->name;
    }

    ms->conf->log(ms, call);
}
