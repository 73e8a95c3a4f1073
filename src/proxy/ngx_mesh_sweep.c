
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_proxy_int.h"


/*
 * Calls find out by themselves what the table has become; links do not.  When
 * it has changed, those to endpoints that are in no service used here, or in
 * use nowhere, take no calls any more and are closed once they are idle.
 */


static void ngx_mesh_sweep_view(ngx_mesh_view_t *view);
static ngx_uint_t ngx_mesh_sweep_links(void);


void
ngx_mesh_sweep(void)
{
    uint64_t            revision;
    ngx_uint_t          i;
    ngx_queue_t        *q;
    ngx_mesh_worker_t  *w;

    w = &ngx_mesh_worker;

    if (ngx_queue_empty(&w->links)) {
        return;
    }

    revision = ngx_mesh_live_revision();

    if (revision == w->swept) {
        return;
    }

    w->sweeps++;

    for (i = 0; i < NGX_MESH_VIEWS; i++) {
        for (q = ngx_queue_head(&w->views[i]);
             q != ngx_queue_sentinel(&w->views[i]);
             q = ngx_queue_next(q))
        {
            ngx_mesh_sweep_view(ngx_queue_data(q, ngx_mesh_view_t, queue));
        }
    }

    if (ngx_mesh_sweep_links() == 0) {
        w->swept = revision;
    }
}


/* a view may be an old one, so what its service has now counts */

static void
ngx_mesh_sweep_view(ngx_mesh_view_t *view)
{
    ngx_uint_t            i, all;
    ngx_mesh_peer_t      *peer;
    ngx_mesh_service_t   *service;
    ngx_mesh_endpoint_t  *e;

    service = ngx_mesh_live_find_name(&view->service->name);

    if (service == NULL) {
        return;
    }

    all = (service == view->service && view->nlabels == 0);

    for (i = 0; all && i < view->nmembers; i++) {
        if (!view->members[i].down) {
            view->members[i].peer->used = ngx_mesh_worker.sweeps;
        }
    }

    for (i = 0; !all && i < service->nendpoints; i++) {
        e = &service->endpoints[i];
        peer = e->down ? NULL : ngx_mesh_peer_find(e);

        if (peer) {
            peer->used = ngx_mesh_worker.sweeps;
        }
    }

    ngx_mesh_table_release(service);
}


/* how many have to be looked at again, as they are not connected yet */

static ngx_uint_t
ngx_mesh_sweep_links(void)
{
    ngx_uint_t        later;
    ngx_queue_t      *q;
    ngx_mesh_link_t  *link;

    later = 0;

    for (q = ngx_queue_head(&ngx_mesh_worker.links);
         q != ngx_queue_sentinel(&ngx_mesh_worker.links);
         q = ngx_queue_next(q))
    {
        link = ngx_queue_data(q, ngx_mesh_link_t, all);

        /* one of a client's own ends with it, and may have callbacks */

        if (link->owner || link->draining
            || link->bundle->peer->used == ngx_mesh_worker.sweeps)
        {
            continue;
        }

        if (link->connected) {
            link->draining = 1;

        } else {
            later++;
        }
    }

    return later;
}
