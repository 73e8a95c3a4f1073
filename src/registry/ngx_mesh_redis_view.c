
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_redis_view.h"


/* a value may come so much later than it says, ms */
#define NGX_MESH_REDIS_GRACE  5000

/* what a lead loses with every value: a clock that was fast may be put right
   slowly */
#define NGX_MESH_REDIS_DECAY  1000


static ngx_int_t ngx_mesh_redis_view_add(ngx_mesh_redis_view_t *view,
    ngx_str_t *url, int64_t value, uint32_t hash);
static void ngx_mesh_redis_view_moved(ngx_mesh_redis_view_t *view,
    ngx_mesh_redis_field_t *f, int64_t value);
static int64_t ngx_mesh_redis_view_left(ngx_mesh_redis_view_t *view,
    ngx_mesh_redis_field_t *f);
static void ngx_mesh_redis_view_judge(ngx_mesh_redis_view_t *view,
    ngx_mesh_redis_field_t *f, ngx_uint_t hold, ngx_uint_t *alive);
static void ngx_mesh_redis_view_use(ngx_mesh_redis_view_t *view,
    ngx_mesh_redis_field_t *f, ngx_uint_t alive);
static void ngx_mesh_redis_view_remove(ngx_mesh_redis_view_t *view,
    ngx_mesh_redis_field_t *f);
static void ngx_mesh_redis_view_due(ngx_mesh_redis_view_t *view, int64_t ms);
static int64_t ngx_mesh_redis_number(ngx_str_t *s);


void
ngx_mesh_redis_view_init(ngx_mesh_redis_view_t *view, ngx_msec_t session)
{
    ngx_memzero(view, sizeof(ngx_mesh_redis_view_t));

    ngx_rbtree_init(&view->tree, &view->sentinel, ngx_str_rbtree_insert_value);
    view->session = session;
}


void
ngx_mesh_redis_view_share(ngx_mesh_redis_view_t *view, size_t *total,
    size_t most)
{
    view->total = total;
    view->most = most;
}


void
ngx_mesh_redis_view_clear(ngx_mesh_redis_view_t *view)
{
    ngx_mesh_redis_field_t  *f;

    while ((f = ngx_mesh_redis_view_next(view, NULL)) != NULL) {
        ngx_mesh_redis_view_remove(view, f);
    }
}


void
ngx_mesh_redis_view_begin(ngx_mesh_redis_view_t *view, int64_t now,
    int64_t clock)
{
    view->generation++;
    view->now = now;
    view->clock = clock;
    view->fields = 0;
}


ngx_int_t
ngx_mesh_redis_view_field(ngx_mesh_redis_view_t *view, ngx_str_t *url,
    ngx_str_t *value)
{
    int64_t                  n;
    uint32_t                 hash;
    ngx_mesh_redis_field_t  *f;

    n = ngx_mesh_redis_number(value);
    hash = ngx_crc32_long(url->data, url->len);

    view->fields++;

    f = (ngx_mesh_redis_field_t *) ngx_str_rbtree_lookup(&view->tree, url,
                                                         hash);
    if (f == NULL) {
        return ngx_mesh_redis_view_add(view, url, n, hash);
    }

    f->generation = view->generation;

    if (n != f->value) {
        ngx_mesh_redis_view_moved(view, f, n);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_redis_view_add(ngx_mesh_redis_view_t *view, ngx_str_t *url,
    int64_t value, uint32_t hash)
{
    size_t                   size;
    ngx_mesh_redis_field_t  *f;

    size = sizeof(ngx_mesh_redis_field_t) + url->len;

    if (view->total && *view->total + size > view->most) {
        return NGX_DECLINED;
    }

    f = ngx_alloc(size, ngx_cycle->log);
    if (f == NULL) {
        return NGX_ERROR;
    }

    if (view->total) {
        *view->total += size;
    }

    ngx_memzero(f, sizeof(ngx_mesh_redis_field_t));

    f->sn.node.key = hash;
    f->sn.str.len = url->len;
    f->sn.str.data = (u_char *) (f + 1);
    ngx_memcpy(f->sn.str.data, url->data, url->len);

    f->value = value;
    f->seen = view->now;
    f->lead = value - view->now;
    f->generation = view->generation;
    f->fixed = ngx_mesh_redis_url_is(url, "dynamic", "false");

    /* who was not there in a read shortly before has written it now, whatever
       his clock says */

    f->doubtful = !f->fixed
                  && view->clock > value
                  && (view->last == 0
                      || view->now - view->last > (int64_t) view->session);

    f->far = value - view->clock
             > (int64_t) (view->session + NGX_MESH_REDIS_GRACE);

    ngx_rbtree_insert(&view->tree, &f->sn.node);

    return NGX_OK;
}


static void
ngx_mesh_redis_view_moved(ngx_mesh_redis_view_t *view,
    ngx_mesh_redis_field_t *f, int64_t value)
{
    int64_t  step;

    step = value - f->value;

    if (step < 0) {

        /* the clock was put back: what was learned of it is void */

        f->nsteps = 0;
        f->lead = value - view->now;

    } else {
        f->lead = ngx_max(value - view->now, f->lead - NGX_MESH_REDIS_DECAY);

        if (view->now - view->last <= 2 * (int64_t) view->session) {
            f->steps[f->nsteps++ % NGX_MESH_REDIS_STEPS] = step;
        }
    }

    f->value = value;
    f->seen = view->now;
    f->doubtful = 0;
    f->held = 0;
    f->far = 0;
    f->dead = 0;
}


/* others would miss the room of what nobody makes use of */

void
ngx_mesh_redis_view_drop(ngx_mesh_redis_view_t *view)
{
    ngx_mesh_redis_field_t  *f, *next;

    for (f = ngx_mesh_redis_view_next(view, NULL); f; f = next) {
        next = ngx_mesh_redis_view_next(view, f);

        if (!f->used) {
            ngx_mesh_redis_view_remove(view, f);
        }
    }
}


void
ngx_mesh_redis_view_end(ngx_mesh_redis_view_t *view)
{
    ngx_mesh_redis_field_t  *f;

    view->had = 0;
    view->lost = 0;
    view->holding = 0;

    for (f = ngx_mesh_redis_view_next(view, NULL);
         f;
         f = ngx_mesh_redis_view_next(view, f))
    {
        if (!f->used && (f->dead || f->generation != view->generation)) {
            continue;
        }

        view->had++;

        if (f->generation != view->generation) {
            view->lost++;
            view->holding += (f->held != 0);

        } else {
            f->held = f->dead ? f->held : 0;
        }
    }
}


ngx_uint_t
ngx_mesh_redis_view_hold(ngx_mesh_redis_view_t *view, ngx_uint_t unregistered,
    ngx_uint_t flags)
{
    ngx_uint_t  lost;

    if (view->lost <= unregistered) {
        return 0;
    }

    lost = view->lost - view->holding;

    if (lost <= unregistered) {
        return NGX_MESH_REDIS_HOLD_HELD;
    }

    if ((flags & NGX_MESH_REDIS_DOUBT) || view->holding
        || view->lost == view->had)
    {
        return NGX_MESH_REDIS_HOLD_HELD|NGX_MESH_REDIS_HOLD_LOST;
    }

    if (flags & NGX_MESH_REDIS_FRESH) {
        return 0;
    }

    return (lost - unregistered) * 2 >= view->had ? NGX_MESH_REDIS_HOLD_LOST
                                                  : 0;
}


void
ngx_mesh_redis_view_settle(ngx_mesh_redis_view_t *view, ngx_uint_t hold)
{
    ngx_uint_t               alive;
    ngx_mesh_redis_field_t  *f, *next;

    view->last = view->now;
    view->doubtful = 0;
    view->used = 0;
    view->suspects = 0;
    view->holding = 0;
    view->dropped = 0;
    view->changed = 0;
    view->due = 0;

    alive = 0;

    for (f = ngx_mesh_redis_view_next(view, NULL); f; f = next) {
        next = ngx_mesh_redis_view_next(view, f);
        ngx_mesh_redis_view_judge(view, f, hold, &alive);
    }

    for (f = ngx_mesh_redis_view_next(view, NULL);
         f;
         f = ngx_mesh_redis_view_next(view, f))
    {
        ngx_mesh_redis_view_use(view, f, alive);
    }
}


static void
ngx_mesh_redis_view_judge(ngx_mesh_redis_view_t *view,
    ngx_mesh_redis_field_t *f, ngx_uint_t hold, ngx_uint_t *alive)
{
    int64_t     left;
    ngx_uint_t  keep;

    if (f->generation != view->generation) {

        keep = hold & (f->held ? NGX_MESH_REDIS_HOLD_HELD
                               : NGX_MESH_REDIS_HOLD_LOST);

        if (!f->used || !keep || (f->held && view->now >= f->held)) {
            view->changed |= f->used;
            view->dropped += f->used;
            ngx_mesh_redis_view_remove(view, f);
            return;
        }

        view->holding++;

        if (f->held == 0) {
            f->held = view->now + view->session;
        }

        ngx_mesh_redis_view_due(view, f->held - view->now);
        return;
    }

    if (f->fixed) {
        (*alive)++;
        return;
    }

    left = ngx_mesh_redis_view_left(view, f);

    if (left <= 0) {

        if (!f->dead) {
            f->dead = 1;
            f->held = view->now + view->session;
        }

        return;
    }

    if (f->doubtful) {

        /* looked at more often, until it has moved or its time is over */

        view->doubtful++;
        ngx_mesh_redis_view_due(view, ngx_min(left, (int64_t) view->session
                                                    / 6));
        return;
    }

    (*alive)++;
    ngx_mesh_redis_view_due(view, left);
}


/*
 * ms until it is dead, unless its value moves.  The lead is that of a value
 * which was seen just when it was written, as good as that is known: a value
 * is as old as its lead is smaller.
 */

static int64_t
ngx_mesh_redis_view_left(ngx_mesh_redis_view_t *view,
    ngx_mesh_redis_field_t *f)
{
    int64_t     session, step;
    ngx_uint_t  i;

    if (f->far) {
        return f->value + NGX_MESH_REDIS_GRACE - view->clock;
    }

    session = view->session;
    step = 0;

    for (i = 0; i < ngx_min(f->nsteps, NGX_MESH_REDIS_STEPS); i++) {
        step = i ? ngx_min(step, f->steps[i]) : f->steps[i];
    }

    /* values move twice in a session, which may be longer than is assumed */

    session = ngx_max(session, 2 * step);

    return f->value - f->lead + session + NGX_MESH_REDIS_GRACE - view->now;
}


static void
ngx_mesh_redis_view_use(ngx_mesh_redis_view_t *view,
    ngx_mesh_redis_field_t *f, ngx_uint_t alive)
{
    ngx_uint_t  used, suspect;

    suspect = f->held || (f->doubtful && !f->known);

    if (f->dead) {

        /* all at once do not die: the last ones are kept for a while */

        used = f->used && alive == 0 && view->now < f->held;

        if (used) {
            ngx_mesh_redis_view_due(view, f->held - view->now);
        }

    } else {

        /* a remnant gets calls only where nobody else would */

        used = !f->doubtful || f->known || alive == 0;
    }

    if (f->used != used || (used && f->suspect != suspect)) {
        view->changed = 1;
    }

    f->used = used;
    f->suspect = suspect;

    view->used += used;
    view->suspects += (used && suspect);
}


static void
ngx_mesh_redis_view_due(ngx_mesh_redis_view_t *view, int64_t ms)
{
    if (view->due == 0 || ms < view->due) {
        view->due = ngx_max(ms, 1);
    }
}


static void
ngx_mesh_redis_view_remove(ngx_mesh_redis_view_t *view,
    ngx_mesh_redis_field_t *f)
{
    ngx_rbtree_delete(&view->tree, &f->sn.node);

    if (view->total) {
        *view->total -= sizeof(ngx_mesh_redis_field_t) + f->sn.str.len;
    }

    ngx_free(f);
}


ngx_mesh_redis_field_t *
ngx_mesh_redis_view_next(ngx_mesh_redis_view_t *view,
    ngx_mesh_redis_field_t *field)
{
    ngx_rbtree_node_t  *node;

    if (field) {
        node = ngx_rbtree_next(&view->tree, &field->sn.node);

    } else if (view->tree.root == &view->sentinel) {
        node = NULL;

    } else {
        node = ngx_rbtree_min(view->tree.root, &view->sentinel);
    }

    return (ngx_mesh_redis_field_t *) node;
}


/* 0: it is none */

static int64_t
ngx_mesh_redis_number(ngx_str_t *s)
{
    size_t   i;
    int64_t  n;

    if (s->len == 0 || s->len > 18) {
        return 0;
    }

    for (i = 0, n = 0; i < s->len; i++) {

        if (s->data[i] < '0' || s->data[i] > '9') {
            return 0;
        }

        n = n * 10 + (s->data[i] - '0');
    }

    return n;
}


ngx_uint_t
ngx_mesh_redis_url_is(ngx_str_t *url, char *name, char *value)
{
    size_t   n, m;
    u_char  *p, *last;

    n = ngx_strlen(name);
    m = ngx_strlen(value);
    last = url->data + url->len;

    for (p = url->data; p < last; p++) {

        if (*p == '?' || *p == '&') {
            p++;

        } else if (last - p > 3 && p[0] == '%'
                   && ((p[1] == '3' && (p[2] | 0x20) == 'f')
                       || (p[1] == '2' && p[2] == '6')))
        {
            p += 3;

        } else {
            continue;
        }

        if ((size_t) (last - p) <= n || ngx_strncmp(p, name, n) != 0) {
            p--;
            continue;
        }

        if (p[n] == '=') {
            p += n + 1;

        } else if (last - p >= (ssize_t) n + 3 && p[n] == '%'
                   && p[n + 1] == '3' && (p[n + 2] | 0x20) == 'd')
        {
            p += n + 3;

        } else {
            p--;
            continue;
        }

        return (size_t) (last - p) >= m && ngx_strncmp(p, value, m) == 0
               && (p + m == last || p[m] == '&' || p[m] == '%');
    }

    return 0;
}


ngx_uint_t
ngx_mesh_redis_rule_alive(ngx_str_t *url, ngx_str_t *value, int64_t clock)
{
    return ngx_mesh_redis_url_is(url, "dynamic", "false")
           || ngx_mesh_redis_number(value) + NGX_MESH_REDIS_GRACE >= clock;
}
