
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_consul.h"


/* answers in a row that are no Consul's before another address is asked */
#define NGX_MESH_CONSUL_BAD    3

#define NGX_MESH_CONSUL_TOKEN_MAX  4096


static void ngx_mesh_consul_move(ngx_mesh_consul_t *consul);
static ngx_int_t ngx_mesh_consul_token_read(ngx_mesh_consul_t *consul,
    ngx_fd_t fd, size_t size);
static ngx_int_t ngx_mesh_consul_token_set(ngx_mesh_consul_t *consul,
    u_char *token, size_t len);
static void ngx_mesh_consul_token_error(ngx_mesh_consul_t *consul,
    ngx_err_t err, char *what);


/* two tokens may be written in one second */

#if (NGX_LINUX)
#define ngx_mesh_consul_nsec(fi)  ((fi)->st_mtim.tv_nsec)
#else
#define ngx_mesh_consul_nsec(fi)  0
#endif

#define ngx_mesh_consul_after(a, b)                                           \
    ((ngx_msec_int_t) ((a) - (b)) > 0)


/*
 * Asks the current address, as long as that works.  One that has failed is
 * tried by one watch alone; the others learn from that how it went.
 */

ngx_uint_t
ngx_mesh_consul_choose(ngx_mesh_consul_watch_t *w, ngx_uint_t except,
    ngx_msec_t *delay)
{
    ngx_uint_t               i, n, addr;
    ngx_mesh_consul_t       *consul;
    ngx_mesh_consul_addr_t  *a;

    consul = w->consul;
    n = consul->source->addrs.nelts;
    addr = consul->current;

    *delay = 0;

    if (n > 1 && addr == except) {

        for (i = 1; i < n; i++) {
            a = &consul->addrs[(addr + i) % n];

            if (a->backoff == 0
                || !ngx_mesh_consul_after(a->until, ngx_current_msec))
            {
                return (addr + i) % n;
            }
        }
    }

    a = &consul->addrs[addr];

    if (a->backoff == 0) {
        return addr;
    }

    if (ngx_mesh_consul_after(a->until, ngx_current_msec)) {
        *delay = a->until - ngx_current_msec;

    } else if (a->probe && a->probe != w) {
        *delay = 250 + ngx_random() % 500;

    } else {
        a->probe = w;
    }

    return addr;
}


void
ngx_mesh_consul_works(ngx_mesh_consul_watch_t *w, ngx_uint_t addr)
{
    ngx_queue_t              *q, *queue;
    ngx_uint_t                i;
    ngx_mesh_consul_t        *consul;
    ngx_mesh_consul_addr_t   *a;
    ngx_mesh_consul_watch_t  *other;

    consul = w->consul;
    a = &consul->addrs[addr];

    a->bad = 0;
    a->probe = NULL;

    if (a->backoff == 0) {
        return;
    }

    a->backoff = 0;

    /* whoever waits for it need not wait any longer; not all at once, and
       once: what fails then may do so by itself */

    for (i = 0; i < 2; i++) {
        queue = i ? &consul->rotated : &consul->watched;

        for (q = ngx_queue_head(queue);
             q != ngx_queue_sentinel(queue);
             q = ngx_queue_next(q))
        {
            other = ngx_queue_data(q, ngx_mesh_consul_watch_t, queue);

            if (other != w
                && (other->delayed || (other->failing && !other->woken))
                && !other->slow && !other->busy && !other->waits)
            {
                other->woken = other->failing ? 1 : other->woken;
                ngx_mesh_consul_later(other, ngx_random() % 500);
            }
        }
    }
}


void
ngx_mesh_consul_fails(ngx_mesh_consul_watch_t *w, ngx_uint_t addr)
{
    ngx_mesh_consul_t       *consul;
    ngx_mesh_consul_addr_t  *a;

    consul = w->consul;
    a = &consul->addrs[addr];

    if (a->probe == w) {
        a->probe = NULL;
    }

    /* all that were waiting there fail at once: that is one failure */

    if (a->backoff == 0
        || !ngx_mesh_consul_after(a->until, ngx_current_msec))
    {
        a->backoff = ngx_mesh_discovery_backoff(a->backoff);
        a->until = ngx_current_msec + a->backoff;
    }

    if (addr == consul->current) {
        ngx_mesh_consul_move(consul);
    }
}


/* to the address that may be asked first, in the order of the directive */

static void
ngx_mesh_consul_move(ngx_mesh_consul_t *consul)
{
    ngx_uint_t               i, n, next;
    ngx_mesh_consul_addr_t  *a, *best;

    n = consul->source->addrs.nelts;
    best = NULL;

    for (i = 1; i <= n; i++) {
        next = (consul->current + i) % n;
        a = &consul->addrs[next];

        if (a->backoff == 0) {
            consul->current = next;
            return;
        }

        if (best == NULL || ngx_mesh_consul_after(best->until, a->until)) {
            best = a;
        }
    }

    consul->current = best - consul->addrs;
}


/*
 * The token is read when its file has changed, or when it was refused.  One
 * that was read before is used on as long as there is no other.
 */

ngx_int_t
ngx_mesh_consul_token(ngx_mesh_consul_t *consul, ngx_uint_t anyway)
{
    ngx_fd_t          fd;
    ngx_int_t         rc;
    ngx_file_info_t   fi;
    u_char           *name;

    if (consul->conf->token_file.len == 0) {
        return NGX_DECLINED;
    }

    name = consul->conf->token_file.data;

    if (ngx_file_info(name, &fi) == NGX_FILE_ERROR) {
        ngx_mesh_consul_token_error(consul, ngx_errno, "cannot be read");
        return consul->header.len ? NGX_DECLINED : NGX_ERROR;
    }

    if (!anyway && !consul->bad_token
        && consul->token_mtime == ngx_file_mtime(&fi)
        && consul->token_nsec == ngx_mesh_consul_nsec(&fi)
        && consul->token_size == ngx_file_size(&fi)
        && consul->token_uniq == ngx_file_uniq(&fi))
    {
        return NGX_DECLINED;
    }

    fd = ngx_open_file(name, NGX_FILE_RDONLY|O_NONBLOCK, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_mesh_consul_token_error(consul, ngx_errno, "cannot be read");
        return consul->header.len ? NGX_DECLINED : NGX_ERROR;
    }

    consul->token_mtime = ngx_file_mtime(&fi);
    consul->token_nsec = ngx_mesh_consul_nsec(&fi);
    consul->token_size = ngx_file_size(&fi);
    consul->token_uniq = ngx_file_uniq(&fi);

    rc = ngx_mesh_consul_token_read(consul, fd, NGX_MESH_CONSUL_TOKEN_MAX);

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      ngx_close_file_n " \"%s\" failed", name);
    }

    return rc;
}


static ngx_int_t
ngx_mesh_consul_token_read(ngx_mesh_consul_t *consul, ngx_fd_t fd, size_t size)
{
    u_char   *p, *last, *end;
    ssize_t   n;
    u_char    buf[NGX_MESH_CONSUL_TOKEN_MAX + 1];

    n = read(fd, buf, size + 1);

    if (n == -1) {
        ngx_mesh_consul_token_error(consul, ngx_errno, "cannot be read");
        return consul->header.len ? NGX_DECLINED : NGX_ERROR;
    }

    p = buf;
    last = buf + n;

    while (p < last && *p <= ' ') {
        p++;
    }

    while (last > p && last[-1] <= ' ') {
        last--;
    }

    for (end = p; end < last; end++) {
        if (*end <= ' ' || *end >= 0x7f) {
            break;
        }
    }

    if (p == last || end != last || (size_t) n > size) {
        ngx_mesh_consul_token_error(consul, 0, p == last ? "is empty"
                                                    : "is no token");
        ngx_memzero(buf, sizeof(buf));
        return consul->header.len ? NGX_DECLINED : NGX_ERROR;
    }

    n = ngx_mesh_consul_token_set(consul, p, last - p);

    ngx_memzero(buf, sizeof(buf));

    return n;
}


static ngx_int_t
ngx_mesh_consul_token_set(ngx_mesh_consul_t *consul, u_char *token, size_t len)
{
    u_char            *p;
    size_t             size;
    static ngx_str_t   name = ngx_string("X-Consul-Token: ");

    consul->bad_token = 0;

    size = name.len + len + 2;

    if (consul->header.len == size
        && ngx_memcmp(consul->header.data + name.len, token, len) == 0)
    {
        return NGX_DECLINED;
    }

    p = ngx_alloc(size, ngx_cycle->log);
    if (p == NULL) {
        return consul->header.len ? NGX_DECLINED : NGX_ERROR;
    }

    if (consul->header.data) {
        ngx_memzero(consul->header.data, consul->header.len);
        ngx_free(consul->header.data);
    }

    consul->header.data = p;
    consul->header.len = size;

    p = ngx_cpymem(p, name.data, name.len);
    p = ngx_cpymem(p, token, len);
    ngx_memcpy(p, CRLF, 2);

    return NGX_OK;
}


/* it is a state of the registry, which is logged once */

static void
ngx_mesh_consul_token_error(ngx_mesh_consul_t *consul, ngx_err_t err,
    char *what)
{
    u_char     *p, *last;
    ngx_str_t   error;
    u_char      buf[NGX_MESH_SOURCE_TEXT];

    if (consul->bad_token) {
        return;
    }

    consul->bad_token = 1;

    if (consul->header.len) {

        /* the one before still serves; a refusal tells if it does not */

        return;
    }

    last = buf + sizeof(buf);
    p = ngx_slprintf(buf, last, "\"token_file=%V\" %s",
                     &consul->conf->token_file, what);

    if (err) {
        p = ngx_slprintf(p, last, " (%d: ", err);
        p = ngx_strerror(err, p, last - p);
        p = ngx_slprintf(p, last, ")");
    }

    error.data = buf;
    error.len = p - buf;

    consul->good = 0;
    ngx_mesh_source_state(consul->source, NGX_MESH_SOURCE_ERROR, NULL, &error);
}
