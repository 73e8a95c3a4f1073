
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_reconcile.h"
#include "ngx_mesh_operator.h"


/*
 * What has to be changed so that the table is what a registry says.  Items,
 * wants and suspects are in the order of their keys, so that each is looked
 * at once.
 */


static ngx_int_t ngx_mesh_plan_want(ngx_mesh_subscription_t *s,
    ngx_mesh_record_t *record, ngx_pool_t *pool, ngx_mesh_plan_want_t *want);
static ngx_int_t ngx_mesh_plan_service_name(ngx_mesh_record_t *record,
    ngx_str_t *interface, ngx_pool_t *pool, ngx_mesh_service_t *service);
static int ngx_libc_cdecl ngx_mesh_plan_order(const void *one,
    const void *two);
static ngx_mesh_store_item_t *ngx_mesh_plan_next(ngx_mesh_plan_t *plan,
    ngx_uint_t *i);
static ngx_int_t ngx_mesh_plan_look(ngx_mesh_plan_t *plan,
    ngx_mesh_plan_entry_t *entry, ngx_mesh_guard_entry_t *guarded,
    ngx_mesh_suspect_t *suspect, ngx_msec_t since, ngx_uint_t same);
static ngx_int_t ngx_mesh_plan_number(ngx_mesh_plan_t *plan);
static ngx_int_t ngx_mesh_plan_hold(ngx_mesh_plan_t *plan,
    ngx_mesh_store_item_t *item);
static ngx_int_t ngx_mesh_plan_bring(ngx_mesh_plan_t *plan);
static ngx_int_t ngx_mesh_plan_leave(ngx_mesh_plan_t *plan,
    ngx_mesh_store_item_t *item, ngx_mesh_service_t *service);
static ngx_uint_t ngx_mesh_plan_brings(ngx_mesh_plan_t *plan,
    ngx_str_t *service);
static ngx_uint_t ngx_mesh_plan_first(ngx_array_t *items, ngx_str_t *key);
static ngx_mesh_store_item_t *ngx_mesh_plan_service(ngx_mesh_plan_t *plan,
    ngx_str_t *key);


ngx_int_t
ngx_mesh_plan_read(ngx_mesh_plan_t *plan, ngx_mesh_store_t *store,
    ngx_str_t *interface, ngx_str_t *registry)
{
    ngx_str_t               prefix, key;
    ngx_uint_t              i;
    ngx_mesh_store_query_t  queries[3];

    ngx_memzero(queries, sizeof(queries));

    queries[0].type = NGX_MESH_ITEM_SERVICE;
    queries[0].items = &plan->services;
    queries[1].type = NGX_MESH_ITEM_ENDPOINT;
    queries[1].items = &plan->endpoints;
    queries[2].type = NGX_MESH_ITEM_ANSWER;
    queries[2].items = &plan->answers;

    if (interface) {

        /* what begins with the interface's name and a NUL is inside of it */

        if (ngx_mesh_item_found_key(&key, interface, registry, plan->pool)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        prefix.data = key.data;
        prefix.len = interface->len + 1;

        queries[0].prefix = &prefix;
        queries[1].prefix = &prefix;
        queries[2].prefix = &key;
        queries[2].exact = 1;
    }

    for (i = 0; i < 3; i++) {
        if (ngx_array_init(queries[i].items, plan->pool, 16,
                           sizeof(ngx_mesh_store_item_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_array_init(&plan->entries, plan->pool, 16,
                       sizeof(ngx_mesh_plan_entry_t))
        != NGX_OK
        || ngx_array_init(&plan->ops, plan->pool, 16,
                          sizeof(ngx_mesh_store_op_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mesh_store_select(store, queries, 3, NULL, plan->pool,
                                 &plan->revision);
}


ngx_int_t
ngx_mesh_plan_wants(ngx_mesh_subscription_t *s, ngx_array_t *records,
    ngx_pool_t *pool, ngx_array_t *wants, ngx_uint_t *left_out)
{
    ngx_int_t              rc;
    ngx_uint_t             i, n;
    ngx_mesh_record_t     *record;
    ngx_mesh_plan_want_t  *want;

    record = records ? records->elts : NULL;
    n = records ? records->nelts : 0;
    *left_out = 0;

    if (ngx_array_init(wants, pool, n + 1, sizeof(ngx_mesh_plan_want_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        want = ngx_array_push(wants);

        rc = ngx_mesh_plan_want(s, &record[i], pool, want);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED) {
            wants->nelts--;
            (*left_out)++;
        }
    }

    want = wants->elts;
    ngx_qsort(want, wants->nelts, sizeof(ngx_mesh_plan_want_t),
              ngx_mesh_plan_order);

    /* of one address that is there twice what serves is first */

    for (i = 0, n = 0; i < wants->nelts; i++) {
        if (n == 0
            || !ngx_mesh_equal(&want[n - 1].op.key, &want[i].op.key))
        {
            want[n++] = want[i];
        }
    }

    wants->nelts = n;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_plan_want(ngx_mesh_subscription_t *s, ngx_mesh_record_t *record,
    ngx_pool_t *pool, ngx_mesh_plan_want_t *want)
{
    ngx_int_t            rc;
    ngx_mesh_service_t   service;
    ngx_mesh_endpoint_t  ep;

    rc = ngx_mesh_plan_service_name(record, &s->sn.str, pool, &service);

    if (rc != NGX_OK) {
        return rc;
    }

    ep = record->ep;
    ep.owner = s->source->name;

    if (ep.name.len == 0) {
        ep.name = ep.id;
    }

    if (ep.id.len == 0) {
        ep.id = ep.name;
    }

    if (ep.id.len == 0) {
        return NGX_DECLINED;
    }

    rc = ngx_mesh_item_address(&ep, pool);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ep.fail_timeout == 0) {
        ep.max_fails = NGX_MESH_DEFAULT_MAX_FAILS;
        ep.fail_timeout = NGX_MESH_DEFAULT_FAIL_TIMEOUT;
    }

    want->said = !ep.down || ep.drain;

    if (ngx_mesh_item_put_endpoint(&want->op, &service, &ep, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    return want->op.key.len <= NGX_MESH_STORE_KEY_MAX ? NGX_OK : NGX_DECLINED;
}


/* NGX_DECLINED: the name would not say what the record says */

static ngx_int_t
ngx_mesh_plan_service_name(ngx_mesh_record_t *record, ngx_str_t *interface,
    ngx_pool_t *pool, ngx_mesh_service_t *service)
{
    u_char     *p;
    ngx_str_t   name;

    ngx_memzero(service, sizeof(ngx_mesh_service_t));

    name.data = ngx_pnalloc(pool, record->group.len + interface->len
                                  + record->version.len + 2);
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    p = name.data;

    if (record->group.len) {
        p = ngx_cpymem(p, record->group.data, record->group.len);
        *p++ = '/';
    }

    p = ngx_cpymem(p, interface->data, interface->len);

    if (record->version.len) {
        *p++ = ':';
        p = ngx_cpymem(p, record->version.data, record->version.len);
    }

    name.len = p - name.data;

    if (ngx_strlchr(name.data, p, '\0') != NULL
        || ngx_mesh_table_parse_key(&name, service) != NGX_OK
        || !ngx_mesh_equal(&service->group, &record->group)
        || !ngx_mesh_equal(&service->interface, interface))
    {
        return NGX_DECLINED;
    }

    if (service->version.len == 0 && record->version.len) {
        name.len -= record->version.len + 1;
        service->name = name;
    }

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_mesh_plan_order(const void *one, const void *two)
{
    int                    rc;
    ngx_mesh_plan_want_t  *a, *b;

    a = (ngx_mesh_plan_want_t *) one;
    b = (ngx_mesh_plan_want_t *) two;

    rc = (int) ngx_mesh_store_order(a->op.type, &a->op.key, b->op.type,
                                    &b->op.key);

    if (rc == 0) {
        rc = (int) b->said - (int) a->said;
    }

    /* always the same one, in whatever order they came */

    return rc ? rc : (int) ngx_mesh_compare(&a->op.value, &b->op.value);
}


/* the next endpoint of the owner */

static ngx_mesh_store_item_t *
ngx_mesh_plan_next(ngx_mesh_plan_t *plan, ngx_uint_t *i)
{
    ngx_str_t               service, id, owner;
    ngx_mesh_store_item_t  *item;

    item = plan->endpoints.elts;

    for ( /* void */ ; *i < plan->endpoints.nelts; (*i)++) {

        if (ngx_mesh_item_split(&item[*i].key, &service, &id, &owner) == NGX_OK
            && ngx_mesh_equal(&owner, &plan->owner))
        {
            return &item[*i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_mesh_plan_pair(ngx_mesh_plan_t *plan, ngx_array_t *wants,
    ngx_mesh_reconcile_state_t *state, ngx_msec_t since)
{
    ngx_int_t                order;
    ngx_uint_t               i, k, n, nwants;
    ngx_mesh_suspect_t      *suspect, *last;
    ngx_mesh_plan_want_t    *want;
    ngx_mesh_plan_entry_t   *entry;
    ngx_mesh_store_item_t   *item;
    ngx_mesh_guard_entry_t  *guarded;

    want = wants ? wants->elts : NULL;
    nwants = wants ? wants->nelts : 0;

    suspect = state ? state->suspects : NULL;
    last = state ? state->suspects + state->nsuspects : NULL;

    plan->guarded = ngx_pcalloc(plan->pool,
                                (plan->endpoints.nelts + nwants + 1)
                                * sizeof(ngx_mesh_guard_entry_t));
    if (plan->guarded == NULL) {
        return NGX_ERROR;
    }

    for (i = 0, k = 0, n = 0; /* void */ ; n++) {

        item = ngx_mesh_plan_next(plan, &i);

        if (item == NULL && k == nwants) {
            break;
        }

        order = (item == NULL) ? 1 : (k == nwants) ? -1
                : ngx_mesh_store_order(item->type, &item->key,
                                       want[k].op.type, &want[k].op.key);

        entry = ngx_array_push(&plan->entries);
        if (entry == NULL) {
            return NGX_ERROR;
        }

        entry->item = order <= 0 ? item : NULL;
        entry->want = order >= 0 ? &want[k] : NULL;

        i += (order <= 0);
        k += (order >= 0);

        guarded = &plan->guarded[n];

        while (suspect < last && entry->item
               && ngx_mesh_compare(&suspect->key, &item->key) < 0)
        {
            suspect++;
        }

        if (ngx_mesh_plan_look(plan, entry, guarded,
                               suspect < last ? suspect : NULL, since,
                               wants == NULL)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_mesh_plan_number(plan);
}


static ngx_int_t
ngx_mesh_plan_look(ngx_mesh_plan_t *plan, ngx_mesh_plan_entry_t *entry,
    ngx_mesh_guard_entry_t *guarded, ngx_mesh_suspect_t *suspect,
    ngx_msec_t since, ngx_uint_t same)
{
    ngx_str_t             *key, id, owner;
    ngx_mesh_endpoint_t    ep;
    ngx_mesh_plan_want_t  *want;

    entry->same = 0;
    guarded->said = entry->want ? entry->want->said : 0;

    key = entry->item ? &entry->item->key : &entry->want->op.key;
    (void) ngx_mesh_item_split(key, &entry->service, &id, &owner);

    if (entry->item == NULL) {
        return NGX_OK;
    }

    /* one of another version's layout is written anew, or removed */

    if (ngx_mesh_item_endpoint_read(entry->item, &ep, plan->pool) != NGX_OK) {
        return NGX_OK;
    }

    guarded->serves = !ep.down && !ep.drain && ep.weight;
    guarded->suspect = ep.suspect;
    guarded->since = since;

    if (suspect && !ngx_mesh_equal(&suspect->key, key)) {
        suspect = NULL;
    }

    if (suspect) {
        guarded->since = suspect->since;
    }

    if (!same) {
        return NGX_OK;
    }

    if (!ep.suspect) {
        entry->same = 1;
        guarded->said = 1;

    } else if (suspect && suspect->value.len) {

        want = ngx_pcalloc(plan->pool, sizeof(ngx_mesh_plan_want_t));
        if (want == NULL) {
            return NGX_ERROR;
        }

        want->op.type = entry->item->type;
        want->op.key = entry->item->key;
        want->op.value = suspect->value;
        entry->want = want;
    }

    return NGX_OK;
}


/* services in turn; of one that is not for this registry nothing is wanted */

static ngx_int_t
ngx_mesh_plan_number(ngx_mesh_plan_t *plan)
{
    ngx_uint_t              i, number, exempt;
    ngx_mesh_service_t      service;
    ngx_mesh_plan_entry_t  *entry;
    ngx_mesh_store_item_t  *item;

    entry = plan->entries.elts;
    number = 0;
    exempt = 0;

    for (i = 0; i < plan->entries.nelts; i++) {

        if (i == 0
            || !ngx_mesh_equal(&entry[i].service, &entry[i - 1].service))
        {
            number++;
            item = ngx_mesh_plan_service(plan, &entry[i].service);

            exempt = (item && !ngx_mesh_learned_owns(item)
                      && ngx_mesh_item_service_read(item, &service) == NGX_OK
                      && service.registries.len
                      && !ngx_mesh_list_has(&service.registries,
                                            &plan->owner));
        }

        plan->guarded[i].service = number;
        plan->guarded[i].exempt = exempt;

        if (exempt) {
            entry[i].want = NULL;
            entry[i].same = 0;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_plan_endpoints(ngx_mesh_plan_t *plan)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    ngx_mesh_store_op_t    *op;
    ngx_mesh_plan_entry_t  *entry;

    entry = plan->entries.elts;

    for (i = 0; i < plan->entries.nelts; i++) {

        rc = NGX_OK;

        if (plan->guarded[i].held) {
            rc = ngx_mesh_plan_hold(plan, entry[i].item);

        } else if (entry[i].same) {
            continue;

        } else if (entry[i].want == NULL) {
            rc = entry[i].item ? ngx_mesh_plan_remove(plan, entry[i].item)
                               : NGX_OK;

        } else if (entry[i].item == NULL
                   || !ngx_mesh_equal(&entry[i].item->value,
                                      &entry[i].want->op.value))
        {
            op = ngx_array_push(&plan->ops);
            rc = op ? NGX_OK : NGX_ERROR;

            if (op) {
                *op = entry[i].want->op;
            }
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_plan_hold(ngx_mesh_plan_t *plan, ngx_mesh_store_item_t *item)
{
    ngx_mesh_service_t    service;
    ngx_mesh_endpoint_t   ep;
    ngx_mesh_store_op_t  *op;

    if (ngx_mesh_item_endpoint_read(item, &ep, plan->pool) != NGX_OK
        || ep.suspect)
    {
        return NGX_OK;
    }

    ep.suspect = 1;

    op = ngx_array_push(&plan->ops);
    if (op == NULL) {
        return NGX_ERROR;
    }

    /* only its value is of interest: the key is that of the item */

    ngx_memzero(&service, sizeof(ngx_mesh_service_t));

    if (ngx_mesh_item_put_endpoint(op, &service, &ep, plan->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    op->key = item->key;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_plan_remove(ngx_mesh_plan_t *plan, ngx_mesh_store_item_t *item)
{
    ngx_mesh_store_op_t  *op;

    op = ngx_array_push(&plan->ops);
    if (op == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(op, sizeof(ngx_mesh_store_op_t));

    op->type = item->type;
    op->key = item->key;
    op->remove = 1;

    item->removed = 1;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_plan_services(ngx_mesh_plan_t *plan,
    ngx_uint_t (*gone)(void *data, ngx_str_t *owner), void *data)
{
    ngx_uint_t              i;
    ngx_mesh_service_t      service;
    ngx_mesh_store_item_t  *item;

    if (ngx_mesh_plan_bring(plan) != NGX_OK) {
        return NGX_ERROR;
    }

    item = plan->services.elts;

    for (i = 0; i < plan->services.nelts; i++) {

        if (ngx_mesh_item_service_read(&item[i], &service) == NGX_OK
            && gone(data, &service.owner)
            && !(ngx_mesh_equal(&service.owner, &plan->owner)
                 && ngx_mesh_plan_brings(plan, &item[i].key))
            && ngx_mesh_plan_leave(plan, &item[i], &service) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* services that nobody has yet */

static ngx_int_t
ngx_mesh_plan_bring(ngx_mesh_plan_t *plan)
{
    ngx_str_t               name;
    ngx_uint_t              i, done;
    ngx_mesh_service_t      service;
    ngx_mesh_store_op_t    *op;
    ngx_mesh_plan_entry_t  *entry;

    entry = plan->entries.elts;
    done = 0;

    for (i = 0; i < plan->entries.nelts; i++) {

        if (i && plan->guarded[i].service != plan->guarded[i - 1].service) {
            done = 0;
        }

        if (done
            || (entry[i].want == NULL && !entry[i].same
                && !plan->guarded[i].held))
        {
            continue;
        }

        done = 1;

        if (ngx_mesh_plan_service(plan, &entry[i].service)) {
            continue;
        }

        op = ngx_array_push(&plan->ops);

        if (op == NULL
            || ngx_mesh_item_service_key_name(&entry[i].service, &name,
                                              plan->pool)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_memzero(&service, sizeof(ngx_mesh_service_t));
        (void) ngx_mesh_table_parse_key(&name, &service);
        service.owner = plan->owner;

        if (ngx_mesh_item_put_service(op, &service, plan->pool) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * The service is its owner's as long as he has an endpoint there, then that of
 * the first who has.  Overrides stay: who comes again is what he was.
 */

static ngx_int_t
ngx_mesh_plan_leave(ngx_mesh_plan_t *plan, ngx_mesh_store_item_t *item,
    ngx_mesh_service_t *service)
{
    ngx_str_t               key, id, owner, heir;
    ngx_uint_t              i;
    ngx_mesh_store_op_t    *op;
    ngx_mesh_store_item_t  *inside;

    ngx_str_null(&heir);
    inside = plan->endpoints.elts;

    for (i = ngx_mesh_plan_first(&plan->endpoints, &item->key);
         i < plan->endpoints.nelts;
         i++)
    {
        if (ngx_mesh_item_split(&inside[i].key, &key, &id, &owner) != NGX_OK
            || !ngx_mesh_equal(&key, &item->key))
        {
            break;
        }

        if (inside[i].removed) {
            continue;
        }

        if (ngx_mesh_equal(&owner, &service->owner)) {
            return NGX_OK;
        }

        if (heir.len == 0) {
            heir = owner;
        }
    }

    if (heir.len == 0 && ngx_mesh_plan_brings(plan, &item->key)) {
        heir = plan->owner;
    }

    if (heir.len == 0) {
        return ngx_mesh_plan_remove(plan, item);
    }

    op = ngx_array_push(&plan->ops);
    if (op == NULL) {
        return NGX_ERROR;
    }

    return ngx_mesh_item_leave_service(op, item, &heir, plan->pool);
}


/* whether an endpoint of the service is wanted */

static ngx_uint_t
ngx_mesh_plan_brings(ngx_mesh_plan_t *plan, ngx_str_t *service)
{
    ngx_uint_t              low, high, middle;
    ngx_mesh_plan_entry_t  *entry;

    entry = plan->entries.elts;
    low = 0;
    high = plan->entries.nelts;

    while (low < high) {
        middle = low + (high - low) / 2;

        if (ngx_mesh_compare(&entry[middle].service, service) < 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    for ( /* void */ ;
         low < plan->entries.nelts
         && ngx_mesh_equal(&entry[low].service, service);
         low++)
    {
        if (entry[low].want || entry[low].same || plan->guarded[low].held) {
            return 1;
        }
    }

    return 0;
}


/* the first item that may be the key, or inside of it */

static ngx_uint_t
ngx_mesh_plan_first(ngx_array_t *items, ngx_str_t *key)
{
    ngx_uint_t              low, high, middle;
    ngx_mesh_store_item_t  *item;

    item = items->elts;
    low = 0;
    high = items->nelts;

    while (low < high) {
        middle = low + (high - low) / 2;

        if (ngx_mesh_compare(&item[middle].key, key) < 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low;
}


static ngx_mesh_store_item_t *
ngx_mesh_plan_service(ngx_mesh_plan_t *plan, ngx_str_t *key)
{
    ngx_uint_t              i;
    ngx_mesh_store_item_t  *item;

    i = ngx_mesh_plan_first(&plan->services, key);
    item = plan->services.elts;

    return i < plan->services.nelts
           && ngx_mesh_equal(&item[i].key, key) ? &item[i] : NULL;
}
