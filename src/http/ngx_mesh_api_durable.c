
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api.h"
#include "ngx_mesh_registry.h"


/*
 * The answer to a write waits until it is in the journal, but not for long:
 * it is in force anyway, and the answer says which it is.
 */

#define NGX_MESH_API_DURABLE_WAIT  1000


typedef struct {
    ngx_mesh_registry_hook_t   hook;
    ngx_event_t                timer;
    ngx_connection_t           dummy;
    ngx_mesh_api_call_t       *call;
    ngx_uint_t                 waiting;
} ngx_mesh_api_durable_t;


static void ngx_mesh_api_durable_say(ngx_mesh_api_call_t *call,
    ngx_uint_t durable);
static void ngx_mesh_api_durable_look(void *data);
static void ngx_mesh_api_durable_timeout(ngx_event_t *ev);
static void ngx_mesh_api_durable_cleanup(void *data);
static void ngx_mesh_api_durable_send(ngx_mesh_api_durable_t *d,
    ngx_uint_t durable);


ngx_int_t
ngx_mesh_api_durable(ngx_http_request_t *r, ngx_mesh_api_call_t *call)
{
    ngx_int_t                rc;
    ngx_http_cleanup_t      *cln;
    ngx_mesh_api_durable_t  *d;

    rc = ngx_mesh_registry_durable(call->revision);

    if (rc != NGX_AGAIN) {
        ngx_mesh_api_durable_say(call, rc == NGX_OK);
        return NGX_OK;
    }

    d = ngx_pcalloc(r->pool, sizeof(ngx_mesh_api_durable_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (d == NULL || cln == NULL) {
        ngx_mesh_api_durable_say(call, 0);
        return NGX_OK;
    }

    d->call = call;
    d->waiting = 1;

    d->hook.handler = ngx_mesh_api_durable_look;
    d->hook.data = d;

    d->dummy.fd = (ngx_socket_t) -1;
    d->dummy.data = d;
    d->timer.handler = ngx_mesh_api_durable_timeout;
    d->timer.data = &d->dummy;
    d->timer.log = ngx_cycle->log;

    cln->handler = ngx_mesh_api_durable_cleanup;
    cln->data = d;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_mesh_registry_hook(&d->hook);
    ngx_add_timer(&d->timer, NGX_MESH_API_DURABLE_WAIT);

    return NGX_DONE;
}


static void
ngx_mesh_api_durable_say(ngx_mesh_api_call_t *call, ngx_uint_t durable)
{
    ngx_mesh_json_key(call->json, "durable");
    ngx_mesh_json_bool(call->json, durable);
    ngx_mesh_json_close(call->json, '}');
}


static void
ngx_mesh_api_durable_look(void *data)
{
    ngx_mesh_api_durable_t *d = data;

    ngx_int_t  rc;

    rc = ngx_mesh_registry_durable(d->call->revision);

    if (rc != NGX_AGAIN) {
        ngx_mesh_api_durable_send(d, rc == NGX_OK);
    }
}


static void
ngx_mesh_api_durable_timeout(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_mesh_api_durable_t  *d;

    c = ev->data;
    d = c->data;

    ngx_mesh_api_durable_send(d, ngx_mesh_registry_durable(d->call->revision)
                                 == NGX_OK);
}


static void
ngx_mesh_api_durable_cleanup(void *data)
{
    ngx_mesh_api_durable_t *d = data;

    if (!d->waiting) {
        return;
    }

    d->waiting = 0;

    ngx_mesh_registry_unhook(&d->hook);

    if (d->timer.timer_set) {
        ngx_del_timer(&d->timer);
    }
}


static void
ngx_mesh_api_durable_send(ngx_mesh_api_durable_t *d, ngx_uint_t durable)
{
    ngx_http_request_t  *r;

    ngx_mesh_api_durable_cleanup(d);

    r = d->call->request;

    ngx_mesh_api_durable_say(d->call, durable);

    ngx_mesh_api_end(r, ngx_mesh_api_send(r, d->call));
}
