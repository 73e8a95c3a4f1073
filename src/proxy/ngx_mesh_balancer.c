
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_proxy_int.h"


/* points on the ring for an endpoint of average weight */

#define NGX_MESH_POINTS  160

/* ms for which sums of weights that grow are good enough */

#define NGX_MESH_SUMS    100


static ngx_int_t ngx_mesh_balancer_weight(ngx_mesh_member_t *m);
static ngx_mesh_member_t *ngx_mesh_balancer_next(ngx_mesh_view_t *view,
    uint32_t hash, size_t size, ngx_uint_t backup, ngx_uint_t mask,
    ngx_mesh_peer_t *avoid);
static ngx_mesh_member_t *ngx_mesh_balancer_equal(ngx_mesh_view_t *view,
    size_t size, ngx_uint_t backup, ngx_uint_t mask, ngx_mesh_peer_t *avoid);
static ngx_mesh_member_t *ngx_mesh_balancer_smooth(ngx_mesh_view_t *view,
    size_t size, ngx_uint_t backup, ngx_uint_t mask, ngx_mesh_peer_t *avoid);
static ngx_mesh_member_t *ngx_mesh_balancer_least(ngx_mesh_view_t *view,
    size_t size, ngx_uint_t backup, ngx_uint_t mask, ngx_mesh_peer_t *avoid);
static ngx_mesh_member_t *ngx_mesh_balancer_random(ngx_mesh_view_t *view,
    size_t size, ngx_uint_t backup, ngx_uint_t mask, ngx_mesh_peer_t *avoid);
static void ngx_mesh_balancer_sums(ngx_mesh_view_t *view);
static ngx_mesh_member_t *ngx_mesh_balancer_draw(ngx_mesh_view_t *view);
static ngx_mesh_member_t *ngx_mesh_balancer_hash(ngx_mesh_view_t *view,
    uint32_t hash, size_t size, ngx_uint_t backup, ngx_uint_t mask,
    ngx_mesh_peer_t *avoid);
static ngx_uint_t ngx_mesh_balancer_reason(ngx_mesh_view_t *view, size_t size);
static ngx_int_t ngx_mesh_balancer_ring(ngx_mesh_view_t *view);
static int ngx_libc_cdecl ngx_mesh_balancer_cmp_points(const void *one,
    const void *two);


static const char  *ngx_mesh_balancer_facts[] = {
    "protocol", "service", "interface", "method", "version", "group",
    "caller", "app", "listener", NULL
};


/* whether some of the weights are not what they will be */

static ngx_inline ngx_uint_t
ngx_mesh_balancer_warming(ngx_mesh_view_t *view)
{
    if (view->warm == 0) {
        return 0;
    }

    if (ngx_mesh_wall_clock() < view->warm) {
        return 1;
    }

    view->warm = 0;

    if (view->balancer == NGX_MESH_BALANCER_RANDOM) {
        ngx_mesh_balancer_sums(view);
    }

    return 0;
}


static ngx_inline ngx_uint_t
ngx_mesh_balancer_usable(ngx_mesh_member_t *m, size_t size, ngx_uint_t backup,
    ngx_uint_t mask, ngx_mesh_peer_t *avoid)
{
    return m->backup == backup
           && m->peer != avoid
           && (ngx_mesh_peer_state(m, size) & ~mask) == 0;
}


/* a has fewer requests than b in proportion to their weights */

static ngx_inline ngx_uint_t
ngx_mesh_balancer_less(ngx_mesh_member_t *a, ngx_mesh_member_t *b)
{
    return a->peer->requests * (uint64_t) ngx_mesh_balancer_weight(b)
           < b->peer->requests * (uint64_t) ngx_mesh_balancer_weight(a);
}


/* the configured weight, less while slow start or a warm-up goes on */

static ngx_int_t
ngx_mesh_balancer_weight(ngx_mesh_member_t *m)
{
    uint64_t          now;
    ngx_int_t         weight;
    ngx_msec_t        passed;
    ngx_mesh_peer_t  *peer;

    peer = m->peer;
    weight = m->weight;

    if (m->warming) {
        now = ngx_mesh_wall_clock();
        weight = ngx_mesh_endpoint_weight(m->endpoint, now);

        if (now >= m->endpoint->started + m->endpoint->warmup) {
            m->warming = 0;
        }
    }

    if (!peer->starting) {
        return weight;
    }

    passed = ngx_current_msec - peer->recovered;

    if (passed >= peer->slow_start) {
        peer->starting = 0;
        return weight;
    }

    weight = (ngx_int_t) ((uint64_t) weight * passed / peer->slow_start);

    return ngx_max(weight, 1);
}


ngx_mesh_member_t *
ngx_mesh_balancer_pick(ngx_mesh_view_t *view, uint32_t hash, size_t size,
    ngx_mesh_peer_t *avoid, ngx_uint_t *err)
{
    ngx_uint_t          i, backup;
    ngx_mesh_member_t  *m;

    /* what is put up with, when nothing better is left */

    static const ngx_uint_t  masks[] = {
        0,
        NGX_MESH_PEER_READONLY,
        NGX_MESH_PEER_READONLY|NGX_MESH_PEER_EJECTED
    };

    for (i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {

        for (backup = 0; backup <= view->backups; backup++) {
            m = ngx_mesh_balancer_next(view, hash, size, backup, masks[i],
                                       avoid);
            if (m) {
                return m;
            }
        }
    }

    if (avoid) {
        return ngx_mesh_balancer_pick(view, hash, size, NULL, err);
    }

    *err = ngx_mesh_balancer_reason(view, size);

    return NULL;
}


static ngx_uint_t
ngx_mesh_balancer_reason(ngx_mesh_view_t *view, size_t size)
{
    ngx_uint_t  i, state, err;

    err = NGX_MESH_ERR_NO_ENDPOINT;

    for (i = 0; i < view->nmembers; i++) {
        state = ngx_mesh_peer_state(&view->members[i], size);

        if (state & NGX_MESH_PEER_DOWN) {
            continue;
        }

        if (state & NGX_MESH_PEER_FULL) {
            return NGX_MESH_ERR_OVERLOAD;
        }

        err = NGX_MESH_ERR_CLOSED;
    }

    return err;
}


static ngx_mesh_member_t *
ngx_mesh_balancer_next(ngx_mesh_view_t *view, uint32_t hash, size_t size,
    ngx_uint_t backup, ngx_uint_t mask, ngx_mesh_peer_t *avoid)
{
    switch (view->balancer) {

    case NGX_MESH_BALANCER_RANDOM:
        return ngx_mesh_balancer_random(view, size, backup, mask, avoid);

    case NGX_MESH_BALANCER_LEAST_REQUEST:
        return ngx_mesh_balancer_least(view, size, backup, mask, avoid);

    case NGX_MESH_BALANCER_HASH:
        if (hash && view->npoints) {
            return ngx_mesh_balancer_hash(view, hash, size, backup, mask,
                                          avoid);
        }

        break;

    default: /* NGX_MESH_BALANCER_ROUND_ROBIN */
        break;
    }

    if (view->equal && !ngx_mesh_balancer_warming(view)) {
        return ngx_mesh_balancer_equal(view, size, backup, mask, avoid);
    }

    return ngx_mesh_balancer_smooth(view, size, backup, mask, avoid);
}


/* with equal weights smooth round robin is plain round robin */

static ngx_mesh_member_t *
ngx_mesh_balancer_equal(ngx_mesh_view_t *view, size_t size, ngx_uint_t backup,
    ngx_uint_t mask, ngx_mesh_peer_t *avoid)
{
    ngx_uint_t          i, n;
    ngx_mesh_member_t  *m;

    n = view->next;

    for (i = 0; i < view->nmembers; i++) {

        if (n >= view->nmembers) {
            n = 0;
        }

        m = &view->members[n++];

        if (!ngx_mesh_balancer_usable(m, size, backup, mask, avoid)) {
            continue;
        }

        /* "random" comes here too, its members hold sums */

        if (m->peer->starting && ngx_mesh_balancer_weight(m) < m->weight
            && view->balancer != NGX_MESH_BALANCER_RANDOM)
        {
            return ngx_mesh_balancer_smooth(view, size, backup, mask, avoid);
        }

        view->next = n;

        return m;
    }

    return NULL;
}


static ngx_mesh_member_t *
ngx_mesh_balancer_smooth(ngx_mesh_view_t *view, size_t size, ngx_uint_t backup,
    ngx_uint_t mask, ngx_mesh_peer_t *avoid)
{
    ngx_int_t           weight, total;
    ngx_uint_t          i;
    ngx_mesh_member_t  *m, *best;

    best = NULL;
    total = 0;

    for (i = 0; i < view->nmembers; i++) {
        m = &view->members[i];

        if (!ngx_mesh_balancer_usable(m, size, backup, mask, avoid)) {
            continue;
        }

        weight = ngx_mesh_balancer_weight(m);

        m->current += weight;
        total += weight;

        if (best == NULL || m->current > best->current) {
            best = m;
        }
    }

    if (best) {
        best->current -= total;
    }

    return best;
}


static ngx_mesh_member_t *
ngx_mesh_balancer_least(ngx_mesh_view_t *view, size_t size, ngx_uint_t backup,
    ngx_uint_t mask, ngx_mesh_peer_t *avoid)
{
    ngx_int_t           weight, total;
    ngx_uint_t          i, many;
    ngx_mesh_member_t  *m, *least, *best;

    least = NULL;
    many = 0;

    for (i = 0; i < view->nmembers; i++) {
        m = &view->members[i];

        if (!ngx_mesh_balancer_usable(m, size, backup, mask, avoid)) {
            continue;
        }

        if (least == NULL || ngx_mesh_balancer_less(m, least)) {
            least = m;
            many = 0;

        } else if (!ngx_mesh_balancer_less(least, m)) {
            many = 1;
        }
    }

    if (!many) {
        return least;
    }

    /* smooth round robin among those that are equally good */

    best = NULL;
    total = 0;

    for (i = 0; i < view->nmembers; i++) {
        m = &view->members[i];

        if (!ngx_mesh_balancer_usable(m, size, backup, mask, avoid)
            || ngx_mesh_balancer_less(least, m))
        {
            continue;
        }

        weight = ngx_mesh_balancer_weight(m);

        m->current += weight;
        total += weight;

        if (best == NULL || m->current > best->current) {
            best = m;
        }
    }

    best->current -= total;

    return best;
}


static ngx_mesh_member_t *
ngx_mesh_balancer_random(ngx_mesh_view_t *view, size_t size, ngx_uint_t backup,
    ngx_uint_t mask, ngx_mesh_peer_t *avoid)
{
    ngx_uint_t          i, n;
    ngx_mesh_member_t  *m, *best;

    best = NULL;
    n = 0;

    if (ngx_mesh_balancer_warming(view)
        && ngx_current_msec - view->summed >= NGX_MESH_SUMS)
    {
        ngx_mesh_balancer_sums(view);
    }

    /* two choices; a few more draws where some cannot be used */

    for (i = 0; i < 8 && n < 2; i++) {
        m = ngx_mesh_balancer_draw(view);

        if (m == NULL) {
            return NULL;
        }

        if (m == best
            || !ngx_mesh_balancer_usable(m, size, backup, mask, avoid))
        {
            continue;
        }

        if (best == NULL || ngx_mesh_balancer_less(m, best)) {
            best = m;
        }

        n++;
    }

    if (best) {
        return best;
    }

    n = ngx_random() % view->nmembers;

    for (i = 0; i < view->nmembers; i++, n++) {
        m = &view->members[n % view->nmembers];

        if (ngx_mesh_balancer_usable(m, size, backup, mask, avoid)) {
            return m;
        }
    }

    return NULL;
}


/* members hold the sums of the weights up to theirs */

static void
ngx_mesh_balancer_sums(ngx_mesh_view_t *view)
{
    ngx_int_t           total;
    ngx_uint_t          i;
    ngx_mesh_member_t  *m;

    for (i = 0, total = 0; i < view->nmembers; i++) {
        m = &view->members[i];

        total += m->warming ? ngx_mesh_balancer_weight(m) : m->weight;
        m->current = total;
    }

    view->summed = ngx_current_msec;
}


static ngx_mesh_member_t *
ngx_mesh_balancer_draw(ngx_mesh_view_t *view)
{
    ngx_int_t   x, total;
    ngx_uint_t  i, j, k;

    if (view->nmembers == 0) {
        return NULL;
    }

    total = view->members[view->nmembers - 1].current;

    if (total == 0) {
        return NULL;
    }

    x = ngx_random() % total;

    i = 0;
    j = view->nmembers - 1;

    while (i < j) {
        k = (i + j) / 2;

        if (x < view->members[k].current) {
            j = k;

        } else {
            i = k + 1;
        }
    }

    return &view->members[i];
}


static ngx_mesh_member_t *
ngx_mesh_balancer_hash(ngx_mesh_view_t *view, uint32_t hash, size_t size,
    ngx_uint_t backup, ngx_uint_t mask, ngx_mesh_peer_t *avoid)
{
    ngx_uint_t          i, j, k;
    ngx_mesh_member_t  *m;

    i = 0;
    j = view->npoints;

    while (i < j) {
        k = (i + j) / 2;

        if (view->points[k].hash < hash) {
            i = k + 1;

        } else {
            j = k;
        }
    }

    /* the next usable endpoint of the ring stands in for a missing one */

    for (k = 0; k < view->npoints; k++, i++) {

        if (i >= view->npoints) {
            i = 0;
        }

        m = &view->members[view->points[i].member];

        if (ngx_mesh_balancer_usable(m, size, backup, mask, avoid)) {
            return m;
        }
    }

    return NULL;
}


ngx_int_t
ngx_mesh_balancer_init(ngx_mesh_view_t *view)
{
    uint64_t            now, warm;
    ngx_uint_t          i, n;
    ngx_mesh_member_t  *m;

    view->equal = 1;
    now = ngx_mesh_wall_clock();

    for (i = 0; i < view->nmembers; i++) {
        m = &view->members[i];

        if (m->weight != view->members[0].weight) {
            view->equal = 0;
        }

        if (m->backup) {
            view->backups = 1;
        }

        warm = m->endpoint->started + m->endpoint->warmup;

        if (m->endpoint->warmup && now < warm) {
            m->warming = 1;
            view->warm = ngx_max(view->warm, warm);
        }
    }

    if (view->nmembers == 0) {
        return NGX_OK;
    }

    /* workers start at different places, or they would march in step */

    view->next = ngx_random() % view->nmembers;

    switch (view->balancer) {

    case NGX_MESH_BALANCER_HASH:
        return ngx_mesh_balancer_ring(view);

    case NGX_MESH_BALANCER_ROUND_ROBIN:
        if (view->equal) {
            break;
        }

        /* fall through */

    case NGX_MESH_BALANCER_LEAST_REQUEST:

        n = ngx_random() % ngx_min(2 * view->nmembers, 64);

        while (n--) {
            (void) ngx_mesh_balancer_smooth(view, 0, 0, 0, NULL);
        }

        break;

    case NGX_MESH_BALANCER_RANDOM:
        ngx_mesh_balancer_sums(view);
        break;

    default:
        break;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_balancer_ring(ngx_mesh_view_t *view)
{
    u_char              buf[NGX_INT_T_LEN + 1], *last;
    uint32_t            base;
    uint64_t            total;
    ngx_uint_t          i, j, n;
    ngx_mesh_member_t  *m;

    total = 0;

    for (i = 0; i < view->nmembers; i++) {
        total += view->members[i].weight;
    }

    if (total == 0) {
        return NGX_OK;
    }

    /* every member rounds up, so that a light one has a point too */

    view->points = ngx_alloc((NGX_MESH_POINTS + 1) * view->nmembers
                             * sizeof(ngx_mesh_point_t), ngx_cycle->log);
    if (view->points == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < view->nmembers; i++) {
        m = &view->members[i];

        n = (ngx_uint_t) (((uint64_t) NGX_MESH_POINTS * view->nmembers
                           * m->weight + total - 1) / total);

        base = ngx_murmur_hash2(m->peer->name.data, m->peer->name.len);

        for (j = 0; j < n; j++) {
            last = ngx_sprintf(buf, "%ui", j);
            view->points[view->npoints].hash =
                                   ngx_murmur_hash2(buf, last - buf)
                                   ^ (base * 2654435761u);
            view->points[view->npoints++].member = i;
        }
    }

    ngx_qsort(view->points, view->npoints, sizeof(ngx_mesh_point_t),
              ngx_mesh_balancer_cmp_points);

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_mesh_balancer_cmp_points(const void *one, const void *two)
{
    const ngx_mesh_point_t  *a, *b;

    a = one;
    b = two;

    return (a->hash > b->hash) - (a->hash < b->hash);
}


char *
ngx_mesh_balancer_parse(ngx_array_t *args, ngx_mesh_service_t *service)
{
    ngx_str_t    *value;
    ngx_uint_t    i;
    const char  **fact;

    static const struct {
        const char  *name;
        ngx_uint_t   balancer;
    } balancers[] = {
        { "round_robin", NGX_MESH_BALANCER_ROUND_ROBIN },
        { "random", NGX_MESH_BALANCER_RANDOM },
        { "least_request", NGX_MESH_BALANCER_LEAST_REQUEST },
        { "hash", NGX_MESH_BALANCER_HASH },
        { NULL, 0 }
    };

    value = args->elts;

    for (i = 0; balancers[i].name; i++) {
        if (ngx_strcmp(value[1].data, balancers[i].name) == 0) {
            break;
        }
    }

    if (balancers[i].name == NULL) {
        return "must be round_robin, random, least_request or hash FACT";
    }

    service->balancer = balancers[i].balancer;

    if (service->balancer != NGX_MESH_BALANCER_HASH) {
        return (args->nelts == 2) ? NULL : "takes a fact with hash only";
    }

    if (args->nelts != 3) {
        return "hash needs a fact, such as method or attachment.NAME";
    }

    service->hash = value[2];

    if (value[2].len > sizeof("attachment.") - 1
        && ngx_strncmp(value[2].data, "attachment.", 11) == 0)
    {
        return NULL;
    }

    for (fact = ngx_mesh_balancer_facts; *fact; fact++) {
        if (ngx_strcmp(value[2].data, *fact) == 0) {
            return NULL;
        }
    }

    return "hash fact must be protocol, service, interface, method, version, "
           "group, caller, app, listener or attachment.NAME";
}
