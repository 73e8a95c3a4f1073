
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_proxy_int.h"


/* a connection gives way to others after so many full buffers, and what came
   of them is written before more is made */

#define NGX_MESH_READ_TURNS  2

/* smaller frames are copied, so that few of them do not hold a buffer */

#define NGX_MESH_SLICE_MIN   8192

#define ngx_mesh_recv_holds(p)                                               \
    ((p) >= ngx_mesh_worker.recv                                             \
     && (p) < ngx_mesh_worker.recv + NGX_MESH_RECV_SIZE)


static ngx_mesh_chunk_t *ngx_mesh_chunk_slice(u_char *p, size_t size);
static ngx_int_t ngx_mesh_read_part(ngx_mesh_reader_t *reader,
    ngx_mesh_frame_pt handler, void *data, u_char *p, size_t n);
static ngx_int_t ngx_mesh_read_hold(ngx_mesh_reader_t *reader, u_char *p,
    size_t n, u_char *p2, size_t n2);
static void ngx_mesh_read_lost(ngx_mesh_reader_t *reader, u_char *p, size_t n);
static ngx_int_t ngx_mesh_read_save(ngx_mesh_reader_t *reader, u_char *p,
    size_t n, size_t size);
static ssize_t ngx_mesh_recv(ngx_connection_t *c, ngx_mesh_reader_t *reader,
    size_t *base);


/*
 * Sizes that are kept for reuse are powers of two: memory that goes back to
 * the system with every frame comes back with a page fault for every page.
 */

static ngx_inline ngx_uint_t
ngx_mesh_chunk_class(size_t *size)
{
    size_t      n;
    ngx_uint_t  class;

    n = NGX_MESH_CHUNK_SIZE;

    for (class = 0; class < NGX_MESH_CHUNK_CLASSES; class++) {
        if (*size <= n) {
            *size = n;
            break;
        }

        n <<= 1;
    }

    return class;
}


ngx_mesh_chunk_t *
ngx_mesh_chunk_alloc(size_t size)
{
    ngx_buf_t              *b;
    ngx_uint_t              class;
    ngx_mesh_chunk_t       *chunk;
    ngx_mesh_chunk_list_t  *list;

    size += sizeof(ngx_mesh_chunk_t);
    class = ngx_mesh_chunk_class(&size);
    chunk = NULL;

    if (class < NGX_MESH_CHUNK_CLASSES) {
        list = &ngx_mesh_worker.chunks[class];
        chunk = list->first;
    }

    if (chunk) {
        list->first = (ngx_mesh_chunk_t *) chunk->chain.next;
        list->size -= size;

    } else {
        chunk = ngx_alloc(size, ngx_cycle->log);
        if (chunk == NULL) {
            ngx_mesh_count(NGX_MESH_M_NOMEM);
            return NULL;
        }

        ngx_memzero(chunk, sizeof(ngx_mesh_chunk_t));
        chunk->size = size;

        b = &chunk->buf;
        b->start = (u_char *) chunk + sizeof(ngx_mesh_chunk_t);
        b->temporary = 1;

        chunk->chain.buf = b;
    }

    b = &chunk->buf;
    b->pos = b->start;
    b->last = b->start;
    b->end = (u_char *) chunk + size;

    chunk->chain.next = NULL;
    chunk->refs = 1;

    ngx_mesh_gauge(NGX_MESH_G_BUFFERS, (ngx_int_t) chunk->size);

    return chunk;
}


void
ngx_mesh_chunk_free(ngx_mesh_chunk_t *chunk)
{
    size_t                  size;
    ngx_uint_t              class;
    ngx_mesh_chunk_list_t  *list;

    if (--chunk->refs) {
        return;
    }

    if (chunk->parent) {
        ngx_mesh_chunk_free(chunk->parent);

        chunk->chain.next = (ngx_chain_t *) ngx_mesh_worker.slices;
        ngx_mesh_worker.slices = chunk;
        return;
    }

    ngx_mesh_gauge(NGX_MESH_G_BUFFERS, - (ngx_int_t) chunk->size);

    size = chunk->size;
    class = ngx_mesh_chunk_class(&size);

    if (class < NGX_MESH_CHUNK_CLASSES) {
        list = &ngx_mesh_worker.chunks[class];

        if (list->size + size <= NGX_MESH_CHUNKS_KEPT) {
            chunk->chain.next = (ngx_chain_t *) list->first;
            list->first = chunk;
            list->size += size;
            return;
        }
    }

    ngx_free(chunk);
}


/*
 * A large frame in the receive buffer is not copied: a chunk without bytes of
 * its own refers to it, and the worker receives into another buffer then.
 */

static ngx_mesh_chunk_t *
ngx_mesh_chunk_slice(u_char *p, size_t size)
{
    ngx_buf_t         *b;
    ngx_mesh_chunk_t  *chunk;

    chunk = ngx_mesh_worker.slices;

    if (chunk) {
        ngx_mesh_worker.slices = (ngx_mesh_chunk_t *) chunk->chain.next;

    } else {
        chunk = ngx_calloc(sizeof(ngx_mesh_chunk_t), ngx_cycle->log);
        if (chunk == NULL) {
            return NULL;
        }

        chunk->buf.temporary = 1;
        chunk->chain.buf = &chunk->buf;
    }

    b = &chunk->buf;
    b->start = p;
    b->pos = p;
    b->last = p + size;
    b->end = b->last;

    chunk->chain.next = NULL;
    chunk->refs = 1;

    chunk->parent = ngx_mesh_worker.rchunk;
    chunk->parent->refs++;

    return chunk;
}


/* the worker's receive buffer is counted only while frames in it wait */

ngx_int_t
ngx_mesh_recv_buffer(void)
{
    ngx_mesh_chunk_t  *chunk;

    chunk = ngx_mesh_chunk_alloc(NGX_MESH_RECV_SIZE);
    if (chunk == NULL) {
        return NGX_ERROR;
    }

    if (ngx_mesh_worker.rchunk) {
        ngx_mesh_gauge(NGX_MESH_G_BUFFERS,
                       (ngx_int_t) ngx_mesh_worker.rchunk->size);
        ngx_mesh_chunk_free(ngx_mesh_worker.rchunk);
    }

    ngx_mesh_gauge(NGX_MESH_G_BUFFERS, - (ngx_int_t) chunk->size);

    ngx_mesh_worker.rchunk = chunk;
    ngx_mesh_worker.recv = chunk->buf.start;

    return NGX_OK;
}


u_char *
ngx_mesh_out_reserve(ngx_mesh_out_t *out, size_t size)
{
    ngx_mesh_chunk_t  *chunk;

    chunk = out->last;

    if (chunk == NULL || (size_t) (chunk->buf.end - chunk->buf.last) < size) {

        chunk = ngx_mesh_chunk_alloc(size);
        if (chunk == NULL) {
            return NULL;
        }

        if (out->last) {
            out->last->chain.next = &chunk->chain;

        } else {
            out->first = chunk;
        }

        out->last = chunk;
    }

    return chunk->buf.last;
}


void
ngx_mesh_out_commit(ngx_mesh_out_t *out, size_t size)
{
    out->last->buf.last += size;
    out->size += size;
    out->queued += size;
}


void
ngx_mesh_out_cancel(ngx_mesh_out_t *out)
{
    if (out->size == 0 && out->first == out->last) {
        ngx_mesh_out_destroy(out);
    }
}


void
ngx_mesh_out_append(ngx_mesh_out_t *out, ngx_mesh_chunk_t *chunk)
{
    size_t  size;

    size = chunk->buf.last - chunk->buf.pos;

    /* its end is closed: others may still read what is behind */

    chunk->buf.end = chunk->buf.last;
    chunk->chain.next = NULL;

    if (out->last) {
        out->last->chain.next = &chunk->chain;

    } else {
        out->first = chunk;
    }

    out->last = chunk;
    out->size += size;
    out->queued += size;
}


ngx_int_t
ngx_mesh_out_flush(ngx_mesh_out_t *out, ngx_connection_t *c)
{
    off_t              sent;
    size_t             size;
    ssize_t            n;
    ngx_chain_t       *cl;
    ngx_mesh_chunk_t  *chunk;

    while (out->first && c->write->ready) {

        chunk = out->first;
        size = chunk->buf.last - chunk->buf.pos;

        if (size == 0) {
            cl = chunk->chain.next;

        } else if (out->first == out->last
#if (NGX_SSL)
                   || c->ssl
#endif
                  )
        {
            ngx_mesh_count(NGX_MESH_M_SEND);

            n = c->send(c, chunk->buf.pos, size);

            if (n == NGX_ERROR) {
                return NGX_ERROR;
            }

            if (n == NGX_AGAIN || n == 0) {
#if (NGX_SSL)
                if (c->ssl) {

                    /* SSL_write() wants to see the same bytes again */

                    out->begun = size;
                }
#endif
                return NGX_AGAIN;
            }

            chunk->buf.pos += n;
            out->size -= n;
            out->begun = 0;

            cl = ((size_t) n == size) ? chunk->chain.next : &chunk->chain;

        } else {
            ngx_mesh_count(NGX_MESH_M_SEND);

            sent = c->sent;

            /* without the limit an empty chunk at the end, as is left when
               frames are taken back, would have it write nothing for ever */

            cl = c->send_chain(c, &chunk->chain, (off_t) out->size);

            if (cl == NGX_CHAIN_ERROR) {
                return NGX_ERROR;
            }

            out->size -= (size_t) (c->sent - sent);
        }

        while (out->first && &out->first->chain != cl) {
            chunk = out->first;
            out->first = (ngx_mesh_chunk_t *) chunk->chain.next;
            ngx_mesh_chunk_free(chunk);
        }

        if (out->first == NULL) {
            out->last = NULL;
        }
    }

    return out->first ? NGX_AGAIN : NGX_OK;
}


void
ngx_mesh_out_destroy(ngx_mesh_out_t *out)
{
    ngx_mesh_chunk_t  *chunk;

    while (out->first) {
        chunk = out->first;
        out->first = (ngx_mesh_chunk_t *) chunk->chain.next;
        ngx_mesh_chunk_free(chunk);
    }

    out->last = NULL;
    out->size = 0;
    out->begun = 0;
}


void
ngx_mesh_reader_destroy(ngx_mesh_reader_t *reader)
{
    if (reader->part) {
        ngx_mesh_worker.partial_size -= reader->part->size;
        ngx_mesh_chunk_free(reader->part);
        reader->part = NULL;
    }

    if (reader->hold) {
        ngx_mesh_chunk_free(reader->hold);
        reader->hold = NULL;
    }

    reader->nhead = 0;
    reader->skip = 0;
}


ngx_int_t
ngx_mesh_read(ngx_connection_t *c, ngx_mesh_reader_t *reader,
    ngx_array_t *codecs, size_t max_frame, ngx_mesh_frame_pt handler,
    ngx_mesh_oversize_pt oversize, void *data, off_t *received)
{
    size_t             base;
    ssize_t            n;
    ngx_int_t          rc;
    ngx_uint_t         turns;
    ngx_mesh_chunk_t  *hold;

    base = 0;

    if (reader->hold && !reader->stop) {
        hold = reader->hold;
        reader->hold = NULL;

        rc = ngx_mesh_read_buffer(reader, codecs, max_frame, handler, oversize,
                                  data, hold->buf.start,
                                  hold->buf.last - hold->buf.start);
        ngx_mesh_chunk_free(hold);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (turns = 0; /* void */ ; turns++) {

        if (((reader->stop || reader->halt) && reader->part == NULL)
            || reader->hold || !c->read->ready)
        {
            return NGX_AGAIN;
        }

        if (turns == NGX_MESH_READ_TURNS) {
            ngx_post_event(c->read, &ngx_posted_next_events);
            return NGX_AGAIN;
        }

        n = ngx_mesh_recv(c, reader, &base);

        if (n == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n == 0) {
            return NGX_DECLINED;
        }

        *received += n;

        if (reader->part) {

            /* the rest of the frame came first, other bytes followed it */

            if (reader->part->buf.last < reader->part->buf.start + reader->need)
            {
                continue;
            }

            rc = ngx_mesh_read_part(reader, handler, data,
                                    ngx_mesh_worker.recv, base);
            if (rc != NGX_OK) {
                return rc;
            }

            n = base;
            base = 0;

            if (n == 0 || reader->hold) {
                continue;
            }
        }

        rc = ngx_mesh_read_buffer(reader, codecs, max_frame, handler, oversize,
                                  data, ngx_mesh_worker.recv, base + n);
        if (rc != NGX_OK) {
            return rc;
        }
    }
}


/*
 * Without a partial frame, *base is the number of header bytes put before
 * what was read; with one, it is the number of bytes read beyond that frame.
 */

static ssize_t
ngx_mesh_recv(ngx_connection_t *c, ngx_mesh_reader_t *reader, size_t *base)
{
    size_t             rest;
    ssize_t            n;
    ngx_buf_t          b[2];
    ngx_chain_t        cl[2];
    ngx_mesh_chunk_t  *part;

    if (ngx_mesh_worker.rchunk->refs > 1 && ngx_mesh_recv_buffer() != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mesh_count(NGX_MESH_M_RECV);

    part = reader->part;

    if (part == NULL) {
        *base = reader->nhead;

        ngx_memcpy(ngx_mesh_worker.recv, reader->head, reader->nhead);

        n = c->recv(c, ngx_mesh_worker.recv + *base,
                    NGX_MESH_RECV_SIZE - *base);

        if (n > 0) {
            reader->nhead = 0;
        }

        return n;
    }

    rest = part->buf.start + reader->need - part->buf.last;
    *base = 0;

    if (reader->stop || reader->halt) {

        /* whoever is to stop reads this frame to its end and nothing more */

        n = c->recv(c, part->buf.last, rest);

        if (n > 0) {
            part->buf.last += n;
        }

        return n;
    }

    ngx_memzero(b, sizeof(b));

    b[0].pos = part->buf.last;
    b[0].last = part->buf.last;
    b[0].end = part->buf.last + rest;
    b[1].pos = ngx_mesh_worker.recv;
    b[1].last = b[1].pos;
    b[1].end = b[1].pos + NGX_MESH_RECV_SIZE;

    cl[0].buf = &b[0];
    cl[0].next = &cl[1];
    cl[1].buf = &b[1];
    cl[1].next = NULL;

    n = c->recv_chain(c, cl, 0);

    if (n > 0) {
        *base = ((size_t) n > rest) ? n - rest : 0;
        part->buf.last += n - *base;
    }

    return n;
}


/* n more bytes at p were read behind the frame */

static ngx_int_t
ngx_mesh_read_part(ngx_mesh_reader_t *reader, ngx_mesh_frame_pt handler,
    void *data, u_char *p, size_t n)
{
    ngx_int_t                rc;
    ngx_mesh_frame_t         f;
    ngx_mesh_chunk_t        *part;
    const ngx_mesh_codec_t  *codec;

    codec = reader->codec;
    part = reader->part;
    reader->part = NULL;
    ngx_mesh_worker.partial_size -= part->size;

    f.client = reader->client;

    if (codec->head(codec, part->buf.start, reader->need, &f) != NGX_OK
        || (f.check && codec->whole(codec, part->buf.start, &f) != NGX_OK))
    {
        ngx_mesh_read_lost(reader, part->buf.start, reader->need);
        ngx_mesh_chunk_free(part);
        return NGX_ABORT;
    }

    rc = handler(data, part->buf.start, &f, part);

    if (rc == NGX_BUSY) {
        rc = ngx_mesh_read_hold(reader, part->buf.start, f.size, p, n);
    }

    ngx_mesh_chunk_free(part);

    return rc;
}


/* keeps what came until whoever is busy reads again */

static ngx_int_t
ngx_mesh_read_hold(ngx_mesh_reader_t *reader, u_char *p, size_t n, u_char *p2,
    size_t n2)
{
    ngx_mesh_chunk_t  *hold;

    hold = ngx_mesh_chunk_alloc(n + n2);
    if (hold == NULL) {
        return NGX_ERROR;
    }

    hold->buf.last = ngx_cpymem(hold->buf.start, p, n);

    if (n2) {
        hold->buf.last = ngx_cpymem(hold->buf.last, p2, n2);
    }

    reader->hold = hold;

    return NGX_OK;
}


/* whoever has to explain it may look at the first bytes */

static void
ngx_mesh_read_lost(ngx_mesh_reader_t *reader, u_char *p, size_t n)
{
    n = ngx_min(n, NGX_MESH_HEAD_MAX);

    ngx_memcpy(reader->head, p, n);
    reader->nhead = (uint8_t) n;
}


ngx_int_t
ngx_mesh_read_buffer(ngx_mesh_reader_t *reader, ngx_array_t *codecs,
    size_t max_frame, ngx_mesh_frame_pt handler, ngx_mesh_oversize_pt oversize,
    void *data, u_char *p, size_t n)
{
    u_char                  *last;
    ngx_int_t                rc;
    ngx_mesh_chunk_t        *chunk;
    ngx_mesh_frame_t         f;
    const ngx_mesh_codec_t  *codec;

    last = p + n;

    while (p < last) {
        n = last - p;

        if (reader->skip) {
            n = ngx_min(n, reader->skip);
            reader->skip -= n;
            p += n;
            continue;
        }

        rc = NGX_OK;

        if (reader->codec == NULL) {
            rc = ngx_mesh_codec_detect(codecs->elts, codecs->nelts, p, n,
                                       &reader->codec);
        }

        codec = reader->codec;

        if (rc == NGX_OK) {
            f.client = reader->client;
            rc = codec->head(codec, p, n, &f);
        }

        if (rc == NGX_AGAIN) {
            ngx_memcpy(reader->head, p, n);
            reader->nhead = (uint8_t) n;
            return NGX_OK;
        }

        if (rc != NGX_OK) {
            ngx_mesh_read_lost(reader, p, n);
            return NGX_ABORT;
        }

        /* what half frames may hold is limited too: large ones are refused
           then, as long as they are not here already */

        reader->crowded = (f.size <= max_frame
                           && f.size > n && f.size > NGX_MESH_RECV_SIZE
                           && ngx_mesh_worker.partial_size + f.size
                              > ngx_mesh_worker.buffer_max);

        if (f.size > max_frame || reader->crowded) {

            rc = oversize(data, &f);
            if (rc != NGX_OK) {
                return rc;
            }

            reader->skip = f.size;
            continue;
        }

        if (f.size > n) {
            return ngx_mesh_read_save(reader, p, n, f.size);
        }

        if (f.check && codec->whole(codec, p, &f) != NGX_OK) {
            ngx_mesh_read_lost(reader, p, n);
            return NGX_ABORT;
        }

        n = f.size;
        chunk = NULL;

        if (n > NGX_MESH_SLICE_MIN && ngx_mesh_recv_holds(p)) {
            chunk = ngx_mesh_chunk_slice(p, n);
        }

        rc = handler(data, p, &f, chunk);

        if (chunk) {
            ngx_mesh_chunk_free(chunk);
        }

        if (rc == NGX_BUSY) {
            return ngx_mesh_read_hold(reader, p, last - p, NULL, 0);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        p += n;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_read_save(ngx_mesh_reader_t *reader, u_char *p, size_t n, size_t size)
{
    reader->part = ngx_mesh_chunk_alloc(size);
    if (reader->part == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_worker.partial_size += reader->part->size;

    reader->need = size;
    reader->part->buf.last = ngx_cpymem(reader->part->buf.start, p, n);

    return NGX_OK;
}
