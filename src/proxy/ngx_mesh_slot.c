
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_proxy_int.h"


/*
 * The id that a provider sees is generation << NGX_MESH_SLOT_BITS | slot.
 * Slots are reused first-in first-out, so that a generation of a slot comes
 * back as late as can be; slots never move, so that requests can be linked
 * into lists.
 */


static ngx_int_t ngx_mesh_slot_grow(ngx_mesh_link_t *link);


ngx_mesh_request_t *
ngx_mesh_slot_get(ngx_mesh_link_t *link)
{
    ngx_queue_t         *q;
    ngx_mesh_request_t  *r;

    if (ngx_queue_empty(&link->free) && ngx_mesh_slot_grow(link) != NGX_OK) {

        /* callers that give up early must not use up the table of others */

        if (ngx_queue_empty(&link->resting)) {
            return NULL;
        }

        q = ngx_queue_head(&link->resting);
        ngx_mesh_slot_free(ngx_queue_data(q, ngx_mesh_request_t, by_link));
    }

    q = ngx_queue_head(&link->free);
    ngx_queue_remove(q);

    r = ngx_queue_data(q, ngx_mesh_request_t, by_link);

    r->generation++;
    r->active = 1;
    r->resting = 0;
    r->kept = 0;
    r->dead = 0;
    r->oneway = 0;
    r->chunk = NULL;
    r->attachments = NULL;

    ngx_queue_insert_tail(&link->used, q);

    link->nused++;
    link->bundle->peer->requests++;

    return r;
}


static ngx_int_t
ngx_mesh_slot_grow(ngx_mesh_link_t *link)
{
    ngx_uint_t            i, n;
    ngx_mesh_request_t   *page, **pages;

    if (link->nslots + NGX_MESH_SLOTS_PAGE > NGX_MESH_SLOTS_MAX) {
        return NGX_DECLINED;
    }

    if (link->nslots / NGX_MESH_SLOTS_PAGE == link->npages) {
        n = link->npages ? link->npages * 2 : 4;

        pages = ngx_alloc(n * sizeof(ngx_mesh_request_t *), &link->log);
        if (pages == NULL) {
            return NGX_ERROR;
        }

        if (link->npages) {
            ngx_memcpy(pages, link->pages,
                       link->npages * sizeof(ngx_mesh_request_t *));
            ngx_free(link->pages);
        }

        link->pages = pages;
        link->npages = n;
    }

    page = ngx_calloc(NGX_MESH_SLOTS_PAGE * sizeof(ngx_mesh_request_t),
                      &link->log);
    if (page == NULL) {
        return NGX_ERROR;
    }

    link->pages[link->nslots / NGX_MESH_SLOTS_PAGE] = page;

    for (i = 0; i < NGX_MESH_SLOTS_PAGE; i++) {
        page[i].slot = link->nslots + i;
        page[i].link = link;
        ngx_queue_insert_tail(&link->free, &page[i].by_link);
    }

    link->nslots += NGX_MESH_SLOTS_PAGE;

    return NGX_OK;
}


uint64_t
ngx_mesh_slot_id(ngx_mesh_link_t *link, ngx_mesh_request_t *r)
{
    uint64_t  id;

    id = r->generation << NGX_MESH_SLOT_BITS | r->slot;

    if (link->bundle->codec->id_bits < 64) {
        id &= ((uint64_t) 1 << link->bundle->codec->id_bits) - 1;
    }

    return id;
}


ngx_mesh_request_t *
ngx_mesh_slot_find(ngx_mesh_link_t *link, uint64_t id)
{
    uint32_t             slot;
    ngx_mesh_request_t  *r;

    if (link->bundle->codec->id_bits == 0) {

        if (ngx_queue_empty(&link->used)) {
            return NULL;
        }

        r = ngx_queue_data(ngx_queue_head(&link->used), ngx_mesh_request_t,
                           by_link);

        return r->offset < ngx_mesh_out_sent(&link->out) ? r : NULL;
    }

    slot = id & NGX_MESH_SLOT_MASK;

    if (slot >= link->nslots) {
        return NULL;
    }

    r = &link->pages[slot / NGX_MESH_SLOTS_PAGE][slot % NGX_MESH_SLOTS_PAGE];

    if ((!r->active && !r->resting) || ngx_mesh_slot_id(link, r) != id) {
        return NULL;
    }

    /* nobody can answer what was not sent */

    if (r->active && r->offset >= ngx_mesh_out_sent(&link->out)) {
        return NULL;
    }

    return r;
}


void
ngx_mesh_slot_free(ngx_mesh_request_t *r)
{
    ngx_mesh_link_t  *link;

    link = r->link;

    if (r->kept) {
        ngx_mesh_chunk_free(r->chunk);
        r->kept = 0;
    }

    r->chunk = NULL;

    if (r->attachments) {
        ngx_mesh_chunk_free(r->attachments);
        r->attachments = NULL;
    }

    if (r->active) {
        r->active = 0;
        link->nused--;
        link->bundle->peer->requests--;
    }

    if (r->resting) {
        r->resting = 0;
        ngx_mesh_gauge(NGX_MESH_G_SLOTS_RESTING, -1);
    }

    ngx_queue_remove(&r->by_link);
    ngx_queue_insert_tail(&link->free, &r->by_link);
}


/* the answer may still come: its id must not be given out before */

void
ngx_mesh_slot_rest(ngx_mesh_request_t *r)
{
    ngx_mesh_link_t  *link;

    link = r->link;

    ngx_mesh_slot_free(r);

    r->resting = 1;
    r->rest = ngx_current_msec + NGX_MESH_REST;

    ngx_queue_remove(&r->by_link);
    ngx_queue_insert_tail(&link->resting, &r->by_link);

    ngx_mesh_gauge(NGX_MESH_G_SLOTS_RESTING, 1);
}


void
ngx_mesh_slot_expire(ngx_mesh_link_t *link)
{
    ngx_queue_t         *q;
    ngx_mesh_request_t  *r;

    while (!ngx_queue_empty(&link->resting)) {
        q = ngx_queue_head(&link->resting);
        r = ngx_queue_data(q, ngx_mesh_request_t, by_link);

        if ((ngx_msec_int_t) (r->rest - ngx_current_msec) > 0) {
            return;
        }

        ngx_mesh_slot_free(r);
    }
}


void
ngx_mesh_slot_destroy(ngx_mesh_link_t *link)
{
    ngx_uint_t  i;

    while (!ngx_queue_empty(&link->resting)) {
        ngx_mesh_slot_free(ngx_queue_data(ngx_queue_head(&link->resting),
                                          ngx_mesh_request_t, by_link));
    }

    for (i = 0; i < link->nslots / NGX_MESH_SLOTS_PAGE; i++) {
        ngx_free(link->pages[i]);
    }

    if (link->pages) {
        ngx_free(link->pages);
    }

    link->nslots = 0;
}
