
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_proxy_int.h"


/* pauses between dials of an endpoint that does not answer, ms */

#define NGX_MESH_DIAL_MIN   100
#define NGX_MESH_DIAL_MAX   2000

/* Dubbo waits so long (ms) between READONLY and closing, by default */

#define NGX_MESH_READONLY   10000


static ngx_mesh_peer_t *ngx_mesh_peer_first(uint32_t hash);
static ngx_mesh_peer_t *ngx_mesh_peer_create(ngx_mesh_endpoint_t *endpoint,
    uint32_t hash);


static ngx_mesh_peer_t *
ngx_mesh_peer_first(uint32_t hash)
{
    ngx_rbtree_node_t  *node, *sentinel;

    node = ngx_mesh_worker.peers.root;
    sentinel = ngx_mesh_worker.peers.sentinel;

    while (node != sentinel) {

        if (hash == node->key) {
            return (ngx_mesh_peer_t *) node;
        }

        node = (hash < node->key) ? node->left : node->right;
    }

    return NULL;
}


ngx_mesh_peer_t *
ngx_mesh_peer_find(ngx_mesh_endpoint_t *endpoint)
{
    ngx_queue_t      *q;
    ngx_mesh_peer_t  *peer, *first;

    first = ngx_mesh_peer_first(ngx_crc32_short(endpoint->name.data,
                                                endpoint->name.len));
    if (first == NULL) {
        return NULL;
    }

    peer = first;

    do {
        if (ngx_cmp_sockaddr(peer->sockaddr, peer->socklen,
                             endpoint->sockaddr, endpoint->socklen, 1)
            == NGX_OK)
        {
            return peer;
        }

        q = ngx_queue_next(&peer->queue);
        peer = ngx_queue_data(q, ngx_mesh_peer_t, queue);

    } while (peer != first);

    return NULL;
}


ngx_mesh_peer_t *
ngx_mesh_peer_get(ngx_mesh_endpoint_t *endpoint)
{
    uint32_t          hash;
    ngx_mesh_peer_t  *peer, *first;

    peer = ngx_mesh_peer_find(endpoint);

    if (peer) {

        if (peer->fail_timeout == 0) {

            /* a link was all that was known of it */

            peer->max_fails = endpoint->max_fails;
            peer->fail_timeout = endpoint->fail_timeout;
            peer->slow_start = endpoint->slow_start;
        }

        peer->refs++;

        return peer;
    }

    hash = ngx_crc32_short(endpoint->name.data, endpoint->name.len);
    first = ngx_mesh_peer_first(hash);

    peer = ngx_mesh_peer_create(endpoint, hash);

    if (peer == NULL) {
        return NULL;
    }

    if (first) {
        ngx_queue_insert_tail(&first->queue, &peer->queue);

    } else {
        ngx_rbtree_insert(&ngx_mesh_worker.peers, &peer->node);
        peer->in_tree = 1;
    }

    return peer;
}


/* one block holds the peer, its address and its name */

static ngx_mesh_peer_t *
ngx_mesh_peer_create(ngx_mesh_endpoint_t *endpoint, uint32_t hash)
{
    u_char           *p;
    ngx_mesh_peer_t  *peer;

    peer = ngx_calloc(sizeof(ngx_mesh_peer_t) + endpoint->socklen
                      + endpoint->name.len, ngx_cycle->log);
    if (peer == NULL) {
        return NULL;
    }

    p = (u_char *) peer + sizeof(ngx_mesh_peer_t);

    peer->sockaddr = (struct sockaddr *) p;
    peer->socklen = endpoint->socklen;
    p = ngx_cpymem(p, endpoint->sockaddr, endpoint->socklen);

    peer->name.data = p;
    peer->name.len = endpoint->name.len;
    ngx_memcpy(p, endpoint->name.data, endpoint->name.len);

    peer->node.key = hash;
    peer->refs = 1;
    peer->max_fails = endpoint->max_fails;
    peer->fail_timeout = endpoint->fail_timeout;
    peer->slow_start = endpoint->slow_start;
    peer->stats = ngx_mesh_metrics_endpoint(&peer->name);

    ngx_queue_init(&peer->queue);

    return peer;
}


/* views and links hold a reference each */

void
ngx_mesh_peer_release(ngx_mesh_peer_t *peer)
{
    ngx_mesh_peer_t    *next;
    ngx_mesh_bundle_t  *bundle;

    if (--peer->refs) {
        return;
    }

    next = NULL;

    if (!ngx_queue_empty(&peer->queue)) {
        next = ngx_queue_data(ngx_queue_next(&peer->queue), ngx_mesh_peer_t,
                              queue);
        ngx_queue_remove(&peer->queue);
    }

    if (peer->in_tree) {
        ngx_rbtree_delete(&ngx_mesh_worker.peers, &peer->node);
    }

    if (peer->in_tree && next) {

        /* the others of this hash stay in the tree through the next one */

        ngx_rbtree_insert(&ngx_mesh_worker.peers, &next->node);
        next->in_tree = 1;
    }

    while (peer->bundles) {
        bundle = peer->bundles;
        peer->bundles = bundle->next;

#if (NGX_SSL)
        if (bundle->ssl_session) {
            ngx_ssl_free_session(bundle->ssl_session);
        }
#endif

        ngx_free(bundle);
    }

    ngx_free(peer);
}


ngx_mesh_bundle_t *
ngx_mesh_peer_bundle(ngx_mesh_peer_t *peer, ngx_mesh_link_conf_t *conf,
    const ngx_mesh_codec_t *codec, ngx_str_t *host)
{
    ngx_str_t           name;
    ngx_mesh_bundle_t  *bundle;

    ngx_str_null(&name);

#if (NGX_SSL)
    if (conf->ssl) {

        /* one address may be known by several names, each with its own
           certificate */

        name = conf->ssl_name.len ? conf->ssl_name : *host;
    }
#endif

    for (bundle = peer->bundles; bundle; bundle = bundle->next) {
        if (bundle->conf == conf && bundle->codec == codec
            && bundle->host.len == name.len
            && ngx_memcmp(bundle->host.data, name.data, name.len) == 0)
        {
            return bundle;
        }
    }

    bundle = ngx_calloc(sizeof(ngx_mesh_bundle_t) + name.len, ngx_cycle->log);
    if (bundle == NULL) {
        return NULL;
    }

    bundle->host.len = name.len;
    bundle->host.data = (u_char *) bundle + sizeof(ngx_mesh_bundle_t);
    ngx_memcpy(bundle->host.data, name.data, name.len);

    bundle->peer = peer;
    bundle->conf = conf;
    bundle->codec = codec;
    ngx_queue_init(&bundle->links);

    bundle->next = peer->bundles;
    peer->bundles = bundle;

    return bundle;
}


ngx_uint_t
ngx_mesh_peer_state(ngx_mesh_member_t *m, size_t size)
{
    ngx_uint_t          state;
    ngx_queue_t        *q;
    ngx_mesh_link_t    *link;
    ngx_mesh_peer_t    *peer;
    ngx_mesh_bundle_t  *bundle;

    peer = m->peer;
    bundle = m->bundle;

    state = m->down ? NGX_MESH_PEER_DOWN : 0;

    if (peer->max_fails && peer->fails >= peer->max_fails
        && ngx_current_msec - peer->checked <= peer->fail_timeout)
    {
        state |= NGX_MESH_PEER_EJECTED;
    }

    if (peer->is_readonly) {
        if ((ngx_msec_int_t) (peer->readonly - ngx_current_msec) > 0) {
            state |= NGX_MESH_PEER_READONLY;

        } else {
            peer->is_readonly = 0;
        }
    }

    if (bundle->nlinks == 0) {

        if (peer->backoff
            && (ngx_msec_int_t) (peer->dial_after - ngx_current_msec) > 0)
        {
            state |= NGX_MESH_PEER_BACKOFF;
        }

        return state;
    }

    q = ngx_queue_head(&bundle->links);
    link = ngx_queue_data(q, ngx_mesh_link_t, queue);

    if (bundle->nlinks == 1 && !link->draining
        && ngx_mesh_link_full(link, size))
    {
        state |= NGX_MESH_PEER_FULL;
    }

    return state;
}


void
ngx_mesh_peer_failed(ngx_mesh_peer_t *peer, ngx_uint_t dial)
{
    ngx_msec_t  pause;

    if (ngx_current_msec - peer->checked > peer->fail_timeout) {
        peer->fails = 0;
    }

    peer->fails++;
    peer->checked = ngx_current_msec;

    peer->stats->dirty = 1;

    if (dial) {
        peer->stats->n[NGX_MESH_E_CONNECT_FAILURES]++;

        pause = NGX_MESH_DIAL_MIN << ngx_min(peer->dial_fails, 5);
        pause = ngx_min(pause, NGX_MESH_DIAL_MAX);
        pause -= ngx_random() % (pause / 4);

        if (dial != NGX_MESH_DIAL_MUTE || peer->dial_fails) {
            peer->dial_after = ngx_current_msec + pause;
            peer->backoff = 1;
        }

        peer->dial_fails++;
    }

    if (peer->max_fails && peer->fails >= peer->max_fails) {

        peer->starting = 0;

        if (!peer->ejected) {
            peer->ejected = 1;
            peer->stats->n[NGX_MESH_E_EJECTED]++;

            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "endpoint %V is unavailable after %ui failures",
                          &peer->name, peer->fails);
        }
    }
}


/* an answer came: the peer is alive */

void
ngx_mesh_peer_ok(ngx_mesh_peer_t *peer)
{
    peer->dial_fails = 0;
    peer->backoff = 0;
    peer->fails = 0;

    if (peer->ejected) {
        peer->ejected = 0;

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "endpoint %V is available again", &peer->name);

        if (peer->slow_start) {
            peer->starting = 1;
            peer->recovered = ngx_current_msec;
        }
    }

    if (peer->starting
        && ngx_current_msec - peer->recovered >= peer->slow_start)
    {
        peer->starting = 0;
    }
}


void
ngx_mesh_peer_set_readonly(ngx_mesh_peer_t *peer)
{
    peer->is_readonly = 1;
    peer->readonly = ngx_current_msec + NGX_MESH_READONLY;
}
