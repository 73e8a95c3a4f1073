
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_proxy_int.h"


/*
 * Views of services are shared by all who use the same endpoints in the same
 * way, and keep what balancing has to remember.
 */


static ngx_uint_t ngx_mesh_view_is(ngx_mesh_view_t *view,
    ngx_keyval_t *labels, ngx_uint_t nlabels, ngx_str_t *hash);
static ngx_mesh_view_t *ngx_mesh_view_create(ngx_mesh_service_t *service,
    ngx_keyval_t *labels, ngx_uint_t nlabels, ngx_str_t *hash);
static ngx_int_t ngx_mesh_view_members(ngx_mesh_view_t *view);
static ngx_uint_t ngx_mesh_view_labelled(ngx_mesh_view_t *view,
    ngx_mesh_endpoint_t *e);


static ngx_inline u_char *
ngx_mesh_view_copy(u_char *p, ngx_str_t *dst, ngx_str_t *src)
{
    dst->len = src->len;
    dst->data = p;

    return src->len ? ngx_cpymem(p, src->data, src->len) : p;
}


ngx_mesh_view_t *
ngx_mesh_view_get(ngx_mesh_service_t *service, ngx_mesh_proxy_conf_t *conf,
    const ngx_mesh_codec_t *codec, ngx_mesh_target_t *target, ngx_str_t *hash)
{
    uint32_t          key;
    ngx_uint_t        nlabels;
    ngx_queue_t      *q, *bucket;
    ngx_keyval_t     *labels;
    ngx_mesh_view_t  *view;

    labels = target ? target->labels : NULL;
    nlabels = target ? target->nlabels : 0;

    if (hash == NULL || hash->len == 0) {
        hash = &service->hash;
    }

    key = ngx_crc32_short(service->name.data, service->name.len);
    bucket = &ngx_mesh_worker.views[key % NGX_MESH_VIEWS];

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        view = ngx_queue_data(q, ngx_mesh_view_t, queue);

        if (view->service == service && view->conf == conf->link
            && view->codec == codec
            && ngx_mesh_view_is(view, labels, nlabels, hash))
        {
            ngx_mesh_table_release(service);
            view->refs++;
            return view;
        }
    }

    view = ngx_mesh_view_create(service, labels, nlabels, hash);
    if (view == NULL) {
        ngx_mesh_table_release(service);
        return NULL;
    }

    view->conf = conf->link;
    view->codec = codec;

    ngx_queue_insert_tail(bucket, &view->queue);

    if (ngx_mesh_view_members(view) != NGX_OK
        || ngx_mesh_balancer_init(view) != NGX_OK)
    {
        ngx_mesh_view_release(view);
        return NULL;
    }

    return view;
}


static ngx_uint_t
ngx_mesh_view_is(ngx_mesh_view_t *view, ngx_keyval_t *labels,
    ngx_uint_t nlabels, ngx_str_t *hash)
{
    ngx_uint_t  i;

    if (view->nlabels != nlabels || !ngx_mesh_equal(&view->hash, hash)) {
        return 0;
    }

    for (i = 0; i < nlabels; i++) {
        if (!ngx_mesh_equal(&view->labels[i].key, &labels[i].key)
            || !ngx_mesh_equal(&view->labels[i].value, &labels[i].value))
        {
            return 0;
        }
    }

    return 1;
}


/* the view outlives routes, so it has what they say itself */

static ngx_mesh_view_t *
ngx_mesh_view_create(ngx_mesh_service_t *service, ngx_keyval_t *labels,
    ngx_uint_t nlabels, ngx_str_t *hash)
{
    size_t            size;
    u_char           *p;
    ngx_uint_t        i;
    ngx_mesh_view_t  *view;

    size = sizeof(ngx_mesh_view_t)
           + service->nendpoints * sizeof(ngx_mesh_member_t)
           + nlabels * sizeof(ngx_keyval_t) + hash->len;

    for (i = 0; i < nlabels; i++) {
        size += labels[i].key.len + labels[i].value.len;
    }

    view = ngx_calloc(size, ngx_cycle->log);
    if (view == NULL) {
        return NULL;
    }

    view->service = service;
    view->refs = 1;
    view->members = (ngx_mesh_member_t *)
                                 ((u_char *) view + sizeof(ngx_mesh_view_t));
    view->labels = (ngx_keyval_t *) (view->members + service->nendpoints);
    view->nlabels = nlabels;

    p = (u_char *) (view->labels + nlabels);

    for (i = 0; i < nlabels; i++) {
        p = ngx_mesh_view_copy(p, &view->labels[i].key, &labels[i].key);
        p = ngx_mesh_view_copy(p, &view->labels[i].value, &labels[i].value);
    }

    (void) ngx_mesh_view_copy(p, &view->hash, hash);

    view->balancer = hash->len ? NGX_MESH_BALANCER_HASH : service->balancer;

    return view;
}


static ngx_int_t
ngx_mesh_view_members(ngx_mesh_view_t *view)
{
    ngx_uint_t            i;
    ngx_mesh_member_t    *m;
    ngx_mesh_endpoint_t  *e;

    for (i = 0; i < view->service->nendpoints; i++) {
        e = &view->service->endpoints[i];

        if (!ngx_mesh_view_labelled(view, e)) {
            continue;
        }

        if (e->protocol.len
            && !ngx_mesh_equal(&e->protocol, (ngx_str_t *) &view->codec->name))
        {
            view->foreign = 1;
            continue;
        }

        m = &view->members[view->nmembers];

        m->peer = ngx_mesh_peer_get(e);
        if (m->peer == NULL) {
            return NGX_ERROR;
        }

        view->nmembers++;

        m->bundle = ngx_mesh_peer_bundle(m->peer, view->conf, view->codec,
                                         &e->host);
        if (m->bundle == NULL) {
            return NGX_ERROR;
        }

        m->endpoint = e;
        m->weight = e->weight;
        m->backup = e->backup;
        m->down = e->down || e->weight == 0;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_mesh_view_labelled(ngx_mesh_view_t *view, ngx_mesh_endpoint_t *e)
{
    ngx_uint_t  i, j;

    for (i = 0; i < view->nlabels; i++) {

        for (j = 0; j < e->nlabels; j++) {
            if (ngx_mesh_equal(&view->labels[i].key, &e->labels[j].key)
                && ngx_mesh_equal(&view->labels[i].value, &e->labels[j].value))
            {
                break;
            }
        }

        if (j == e->nlabels) {
            return 0;
        }
    }

    return 1;
}


void
ngx_mesh_view_release(ngx_mesh_view_t *view)
{
    ngx_uint_t  i;

    if (--view->refs) {
        return;
    }

    for (i = 0; i < view->nmembers; i++) {
        ngx_mesh_peer_release(view->members[i].peer);
    }

    if (view->points) {
        ngx_free(view->points);
    }

    ngx_queue_remove(&view->queue);
    ngx_mesh_table_release(view->service);
    ngx_free(view);
}
