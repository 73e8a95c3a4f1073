
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_reconcile.h"
#include "ngx_mesh_registry_int.h"


/* others write into the table, too */

#define NGX_MESH_RECONCILE_TRIES  64

/* ms between tries while the table has no room, from one to the other */
#define NGX_MESH_RECONCILE_RETRY  1000
#define NGX_MESH_RECONCILE_LATER  30000

/* ms until a read is wanted by whom others came before, or who has no lease */
#define NGX_MESH_RECONCILE_AGAIN  100

#define NGX_MESH_RECONCILE_TEXT   128


typedef struct {
    ngx_mesh_subscription_t     *subscription;
    ngx_mesh_reconcile_state_t  *state;
    ngx_mesh_update_t           *update;
    ngx_array_t                 *wants;      /* NULL: none are said */
    ngx_uint_t                   left_out;
    ngx_mesh_guard_t             guard;
    ngx_uint_t                   changes;    /* ops but for the answer */

    ngx_mesh_answer_t            before;
    ngx_mesh_answer_t            answer;
    u_char                       reason[NGX_MESH_RECONCILE_TEXT];
    u_char                       unmapped[NGX_MESH_RECONCILE_TEXT];
} ngx_mesh_reconcile_t;


static ngx_int_t ngx_mesh_reconcile_done(ngx_mesh_reconcile_t *r,
    ngx_int_t rc, ngx_msec_t *again);
static ngx_mesh_reconcile_state_t *ngx_mesh_reconcile_state(
    ngx_mesh_subscription_t *s);
static ngx_int_t ngx_mesh_reconcile_run(ngx_mesh_reconcile_t *r,
    ngx_pool_t *pool);
static void ngx_mesh_reconcile_crowded(ngx_mesh_reconcile_t *r,
    ngx_pool_t *pool);
static ngx_uint_t ngx_mesh_reconcile_once(ngx_mesh_reconcile_t *r,
    ngx_pool_t *pool);
static ngx_int_t ngx_mesh_reconcile_plan(ngx_mesh_reconcile_t *r,
    ngx_mesh_plan_t *plan);
static ngx_int_t ngx_mesh_reconcile_guarded(ngx_mesh_reconcile_t *r,
    ngx_mesh_plan_t *plan);
static ngx_uint_t ngx_mesh_reconcile_ours(void *data, ngx_str_t *owner);
static void ngx_mesh_reconcile_before(ngx_mesh_reconcile_t *r,
    ngx_mesh_plan_t *plan);
static ngx_int_t ngx_mesh_reconcile_answer(ngx_mesh_reconcile_t *r,
    ngx_mesh_plan_t *plan);
static void ngx_mesh_reconcile_said(ngx_mesh_reconcile_t *r);
static void ngx_mesh_reconcile_held(ngx_mesh_reconcile_t *r);
static void ngx_mesh_reconcile_found(ngx_mesh_reconcile_t *r);
static ngx_uint_t ngx_mesh_reconcile_answered(ngx_mesh_reconcile_t *r);
static ngx_int_t ngx_mesh_reconcile_suspects(ngx_mesh_reconcile_t *r,
    ngx_mesh_plan_t *plan);
static ngx_int_t ngx_mesh_reconcile_remember(ngx_mesh_suspect_t *suspect,
    ngx_mesh_plan_entry_t *entry, ngx_msec_t since, ngx_pool_t *pool);
static void ngx_mesh_reconcile_pause(ngx_mesh_reconcile_state_t *state,
    ngx_uint_t what);
static void ngx_mesh_reconcile_told(ngx_mesh_reconcile_t *r);
static void ngx_mesh_reconcile_share(ngx_mesh_reconcile_state_t *state,
    uint64_t found, uint64_t held, uint64_t unmapped);
static void ngx_mesh_reconcile_later(ngx_mesh_reconcile_state_t *state);
static void ngx_mesh_reconcile_retry(ngx_event_t *ev);
static void ngx_mesh_reconcile_cleanup(void *data);


/* whose answers have no room: the first is said, and that there is none more */
static ngx_uint_t  ngx_mesh_reconcile_nfull;


ngx_int_t
ngx_mesh_reconcile(ngx_mesh_subscription_t *s, ngx_mesh_update_t *update,
    ngx_msec_t *again)
{
    ngx_int_t                    rc;
    ngx_pool_t                  *pool;
    ngx_array_t                  wants;
    ngx_mesh_reconcile_t         r;
    ngx_mesh_reconcile_state_t  *state;

    *again = NGX_MESH_RECONCILE_AGAIN;

    state = ngx_mesh_reconcile_state(s);
    if (state == NULL) {
        return NGX_ERROR;
    }

    ngx_mesh_reconcile_pause(state, update->what);

    if (update->what == NGX_MESH_UPDATE_SAME && state->nsuspects == 0
        && !state->unsettled)
    {
        s->forced = 0;
        ngx_mesh_source_count(s->source, NGX_MESH_SOURCE_C_SAME);
        return NGX_OK;
    }

    ngx_memzero(&r, sizeof(ngx_mesh_reconcile_t));

    r.subscription = s;
    r.state = state;
    r.update = update;

    pool = ngx_create_pool(16384, ngx_cycle->log);
    if (pool == NULL) {
        ngx_mesh_reconcile_later(state);
        return NGX_ERROR;
    }

    rc = NGX_OK;

    if (update->what == NGX_MESH_UPDATE_SET) {
        r.wants = &wants;
        rc = ngx_mesh_plan_wants(s, update->records, pool, &wants,
                                 &r.left_out);
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_reconcile_run(&r, pool);
    }

    ngx_destroy_pool(pool);

    return ngx_mesh_reconcile_done(&r, rc, again);
}


static ngx_int_t
ngx_mesh_reconcile_done(ngx_mesh_reconcile_t *r, ngx_int_t rc,
    ngx_msec_t *again)
{
    if (rc == NGX_ERROR) {
        ngx_mesh_reconcile_later(r->state);
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    r->state->delay = 0;

    if (r->update->what != NGX_MESH_UPDATE_UNKNOWN) {
        r->subscription->forced = 0;
    }

    if (r->guard.held) {
        *again = r->guard.again;
        return NGX_AGAIN;
    }

    return NGX_OK;
}


static ngx_mesh_reconcile_state_t *
ngx_mesh_reconcile_state(ngx_mesh_subscription_t *s)
{
    ngx_pool_cleanup_t          *cln;
    ngx_mesh_reconcile_state_t  *state;

    if (s->guard) {
        return s->guard;
    }

    cln = ngx_pool_cleanup_add(s->pool, sizeof(ngx_mesh_reconcile_state_t));
    if (cln == NULL) {
        return NULL;
    }

    state = cln->data;
    ngx_memzero(state, sizeof(ngx_mesh_reconcile_state_t));

    cln->handler = ngx_mesh_reconcile_cleanup;

    state->subscription = s;
    state->unsettled = 1;

    state->retry.handler = ngx_mesh_reconcile_retry;
    state->retry.data = state;
    state->retry.log = ngx_cycle->log;
    state->retry.cancelable = 1;

    s->guard = state;

    return state;
}


/* NGX_OK; NGX_AGAIN: others were always first, or the lease is gone */

static ngx_int_t
ngx_mesh_reconcile_run(ngx_mesh_reconcile_t *r, ngx_pool_t *pool)
{
    ngx_uint_t   rc, tries;
    ngx_pool_t  *temp;

    rc = NGX_MESH_STORE_CONFLICT;

    for (tries = 0;
         rc == NGX_MESH_STORE_CONFLICT && tries < NGX_MESH_RECONCILE_TRIES;
         tries++)
    {
        temp = ngx_create_pool(16384, ngx_cycle->log);
        if (temp == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_mesh_reconcile_once(r, temp);

        if (rc == NGX_MESH_STORE_OK || rc == NGX_MESH_STORE_SAME) {
            ngx_mesh_reconcile_told(r);

            if (r->update->what != NGX_MESH_UPDATE_UNKNOWN) {
                ngx_mesh_reconcile_fits(&r->state->full);
            }

            ngx_mesh_source_count(r->subscription->source,
                                  r->update->what == NGX_MESH_UPDATE_UNKNOWN
                                  ? NGX_MESH_SOURCE_C_UNKNOWN
                                  : r->changes ? NGX_MESH_SOURCE_C_UPDATES
                                               : NGX_MESH_SOURCE_C_SAME);
        }

        ngx_destroy_pool(temp);
    }

    switch (rc) {

    case NGX_MESH_STORE_OK:
    case NGX_MESH_STORE_SAME:
        return NGX_OK;

    case NGX_MESH_STORE_CONFLICT:
        return NGX_AGAIN;

    case NGX_MESH_STORE_FULL:
        ngx_mesh_reconcile_crowded(r, pool);
        return NGX_ERROR;

    default:
        return NGX_ERROR;
    }
}


/* what is left of the zone may be enough to tell that it is not */

static void
ngx_mesh_reconcile_crowded(ngx_mesh_reconcile_t *r, ngx_pool_t *pool)
{
    ngx_mesh_update_t     update;
    ngx_mesh_reconcile_t  told;

    if (r->update->what == NGX_MESH_UPDATE_UNKNOWN) {
        return;
    }

    ngx_memzero(&update, sizeof(ngx_mesh_update_t));
    ngx_memzero(&told, sizeof(ngx_mesh_reconcile_t));

    update.what = NGX_MESH_UPDATE_UNKNOWN;
    ngx_str_set(&update.reason, "it does not fit into the zone");

    told.subscription = r->subscription;
    told.state = r->state;
    told.update = &update;

    ngx_mesh_reconcile_pause(r->state, update.what);
    (void) ngx_mesh_reconcile_run(&told, pool);
}


static ngx_uint_t
ngx_mesh_reconcile_once(ngx_mesh_reconcile_t *r, ngx_pool_t *pool)
{
    ngx_uint_t        rc;
    ngx_mesh_plan_t   plan;

    ngx_memzero(&plan, sizeof(ngx_mesh_plan_t));

    plan.pool = pool;
    plan.owner = r->subscription->source->name;

    if (ngx_mesh_reconcile_plan(r, &plan) != NGX_OK) {
        return NGX_MESH_STORE_NOMEM;
    }

    if (plan.ops.nelts == 0) {
        rc = NGX_MESH_STORE_SAME;

    } else {
        rc = ngx_mesh_reconcile_commit(&plan, &r->state->full);
    }

    if ((rc == NGX_MESH_STORE_OK || rc == NGX_MESH_STORE_SAME)
        && r->update->what != NGX_MESH_UPDATE_UNKNOWN)
    {
        if (ngx_mesh_reconcile_suspects(r, &plan) != NGX_OK) {
            return NGX_MESH_STORE_NOMEM;
        }
    }

    return rc;
}


static ngx_int_t
ngx_mesh_reconcile_plan(ngx_mesh_reconcile_t *r, ngx_mesh_plan_t *plan)
{
    if (ngx_mesh_plan_read(plan, ngx_mesh_live(), &r->subscription->sn.str,
                           &plan->owner)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_mesh_reconcile_before(r, plan);

    if (r->update->what != NGX_MESH_UPDATE_UNKNOWN
        && (ngx_mesh_reconcile_guarded(r, plan) != NGX_OK
            || ngx_mesh_plan_endpoints(plan) != NGX_OK
            || ngx_mesh_plan_services(plan, ngx_mesh_reconcile_ours,
                                      &plan->owner)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    r->changes = plan->ops.nelts;

    return ngx_mesh_reconcile_answer(r, plan);
}


static ngx_int_t
ngx_mesh_reconcile_guarded(ngx_mesh_reconcile_t *r, ngx_mesh_plan_t *plan)
{
    uint64_t                     now;
    ngx_msec_t                   passed;
    ngx_mesh_guard_t            *guard;
    ngx_mesh_core_conf_t        *ccf;

    ccf = ngx_mesh_registry_conf;
    guard = &r->guard;
    passed = 0;

    ngx_memzero(guard, sizeof(ngx_mesh_guard_t));

    guard->percent = ccf->guard;
    guard->min = ccf->guard_min;
    guard->hold = ccf->guard_hold;
    guard->now = ngx_current_msec;
    guard->forced = r->update->forced || r->subscription->forced;
    guard->independent = r->update->independent;

    /* an agent that died knows no more than what it wrote; while nothing was
       heard no time has passed */

    if (r->before.held && !r->before.unknown) {
        now = ngx_mesh_wall_clock();

        if (now > r->before.time) {
            passed = (ngx_msec_t) ngx_min(now - r->before.time,
                                          (uint64_t) guard->hold);
        }
    }

    if (ngx_mesh_plan_pair(plan, r->wants, r->state, guard->now - passed)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_mesh_guard(guard, plan->guarded, plan->entries.nelts);

    return NGX_OK;
}


static ngx_uint_t
ngx_mesh_reconcile_ours(void *data, ngx_str_t *owner)
{
    return ngx_mesh_equal(data, owner);
}


static void
ngx_mesh_reconcile_before(ngx_mesh_reconcile_t *r, ngx_mesh_plan_t *plan)
{
    ngx_str_t  interface, registry;

    if (plan->answers.nelts == 0
        || ngx_mesh_item_answer_read(plan->answers.elts, &interface, &registry,
                                     &r->before)
           != NGX_OK)
    {
        ngx_memzero(&r->before, sizeof(ngx_mesh_answer_t));
    }
}


/* what is said of the endpoints, in an item of its own */

static ngx_int_t
ngx_mesh_reconcile_answer(ngx_mesh_reconcile_t *r, ngx_mesh_plan_t *plan)
{
    ngx_str_t            *interface;
    ngx_mesh_answer_t    *answer;
    ngx_mesh_store_op_t  *op;

    interface = &r->subscription->sn.str;
    answer = &r->answer;

    ngx_mesh_reconcile_said(r);

    if (plan->answers.nelts && ngx_mesh_reconcile_answered(r)) {
        return NGX_OK;
    }

    /* the clock of what is held must not begin anew with each word of it */

    if (answer->time == 0 || answer->held == 0
        || answer->held != r->before.held || r->before.unknown
        || answer->suspects > r->before.suspects)
    {
        answer->time = ngx_mesh_wall_clock();
    }

    op = ngx_array_push(&plan->ops);
    if (op == NULL) {
        return NGX_ERROR;
    }

    return ngx_mesh_item_put_answer(op, interface, &plan->owner, answer,
                                    plan->pool);
}


static void
ngx_mesh_reconcile_said(ngx_mesh_reconcile_t *r)
{
    ngx_mesh_answer_t  *answer;

    answer = &r->answer;

    *answer = r->before;
    answer->unknown = (r->update->what == NGX_MESH_UPDATE_UNKNOWN);

    if (answer->unknown) {
        answer->reason = r->update->reason;

        if (r->update->unmapped.len) {
            answer->unmapped = r->update->unmapped;
        }

    } else {
        answer->known = 1;
        ngx_mesh_reconcile_held(r);
    }

    if (r->wants) {
        ngx_mesh_reconcile_found(r);
    }
}


static void
ngx_mesh_reconcile_held(ngx_mesh_reconcile_t *r)
{
    ngx_mesh_answer_t  *answer;

    answer = &r->answer;

    answer->suspects = r->guard.held;
    answer->held = 0;
    answer->reason.data = r->reason;
    answer->reason.len = 0;

    if (r->guard.held) {
        answer->held = r->before.held ? r->before.held : ngx_mesh_wall_clock();
        answer->reason.len = ngx_sprintf(r->reason,
                                         "%ui of %ui endpoints are gone",
                                         r->guard.held, r->guard.had)
                             - r->reason;
    }
}


static void
ngx_mesh_reconcile_found(ngx_mesh_reconcile_t *r)
{
    ngx_mesh_answer_t  *answer;

    answer = &r->answer;

    answer->found = r->wants->nelts;
    answer->unmapped = r->update->unmapped;
    answer->unsupported = r->update->unsupported;

    if (r->left_out && answer->unmapped.len == 0) {
        answer->unmapped.data = r->unmapped;
        answer->unmapped.len = ngx_sprintf(r->unmapped,
                                       "%ui without a usable address or name",
                                       r->left_out)
                               - r->unmapped;
    }
}


static ngx_uint_t
ngx_mesh_reconcile_answered(ngx_mesh_reconcile_t *r)
{
    ngx_mesh_answer_t  *a, *b;

    a = &r->answer;
    b = &r->before;

    return a->known == b->known && a->unknown == b->unknown
           && a->found == b->found && a->suspects == b->suspects
           && a->held == b->held
           && ngx_mesh_equal(&a->reason, &b->reason)
           && ngx_mesh_equal(&a->unmapped, &b->unmapped)
           && ngx_mesh_equal(&a->unsupported, &b->unsupported);
}


/* who was stopped and has lost the lease meanwhile says nothing any more */

ngx_uint_t
ngx_mesh_reconcile_commit(ngx_mesh_plan_t *plan, ngx_uint_t *full)
{
    ngx_uint_t                rc;
    ngx_mesh_store_result_t   result;

    if (ngx_mesh_agent_leads() != NGX_OK) {
        return NGX_MESH_STORE_CONFLICT;
    }

    rc = ngx_mesh_live_commit(plan->ops.elts, plan->ops.nelts, plan->revision,
                              0, &result, ngx_cycle->log);

    if (rc == NGX_MESH_STORE_OK || rc == NGX_MESH_STORE_SAME
        || rc == NGX_MESH_STORE_CONFLICT || *full)
    {
        return rc;
    }

    *full = 1;

    if (ngx_mesh_reconcile_nfull++) {
        return rc;
    }

    if (rc == NGX_MESH_STORE_FULL) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mesh registry \"%V\": what it says needs %uzk of the "
                      "mesh zone, %uzk are free, %uzk of them in one piece: "
                      "enlarge the zone", &plan->owner,
                      result.needed / 1024 + 1, result.free / 1024,
                      result.largest / 1024);

    } else {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "mesh registry \"%V\": what it says cannot be stored: "
                      "%ui", &plan->owner, rc);
    }

    return rc;
}


void
ngx_mesh_reconcile_fits(ngx_uint_t *full)
{
    if (*full == 0) {
        return;
    }

    *full = 0;

    if (--ngx_mesh_reconcile_nfull == 0) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mesh registry: what registries say fits into the zone "
                      "again");
    }
}


static ngx_int_t
ngx_mesh_reconcile_suspects(ngx_mesh_reconcile_t *r, ngx_mesh_plan_t *plan)
{
    ngx_uint_t                   i;
    ngx_pool_t                  *pool;
    ngx_mesh_suspect_t          *suspects;
    ngx_mesh_plan_entry_t       *entry;
    ngx_mesh_reconcile_state_t  *state;

    state = r->state;
    entry = plan->entries.elts;
    pool = NULL;
    suspects = NULL;

    if (r->guard.held) {
        pool = ngx_create_pool(4096, ngx_cycle->log);
        if (pool == NULL) {
            return NGX_ERROR;
        }

        suspects = ngx_palloc(pool,
                              r->guard.held * sizeof(ngx_mesh_suspect_t));
        if (suspects == NULL) {
            ngx_destroy_pool(pool);
            return NGX_ERROR;
        }
    }

    r->guard.held = 0;

    for (i = 0; i < plan->entries.nelts; i++) {

        if (!plan->guarded[i].held) {
            continue;
        }

        if (ngx_mesh_reconcile_remember(&suspects[r->guard.held++], &entry[i],
                                        plan->guarded[i].since, pool)
            != NGX_OK)
        {
            ngx_destroy_pool(pool);
            return NGX_ERROR;
        }
    }

    if (state->pool) {
        ngx_destroy_pool(state->pool);
    }

    state->pool = pool;
    state->suspects = suspects;
    state->nsuspects = r->guard.held;
    state->unsettled = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_reconcile_remember(ngx_mesh_suspect_t *suspect,
    ngx_mesh_plan_entry_t *entry, ngx_msec_t since, ngx_pool_t *pool)
{
    ngx_memzero(suspect, sizeof(ngx_mesh_suspect_t));

    suspect->since = since;
    suspect->key.len = entry->item->key.len;
    suspect->key.data = ngx_pstrdup(pool, &entry->item->key);

    if (suspect->key.data == NULL) {
        return NGX_ERROR;
    }

    if (entry->want) {
        suspect->value.len = entry->want->op.value.len;
        suspect->value.data = ngx_pstrdup(pool, &entry->want->op.value);

        if (suspect->value.data == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* while a registry says nothing, no time passes for what it missed before */

static void
ngx_mesh_reconcile_pause(ngx_mesh_reconcile_state_t *state, ngx_uint_t what)
{
    ngx_uint_t  i;
    ngx_msec_t  lost;

    if (what == NGX_MESH_UPDATE_UNKNOWN) {

        if (!state->stopped) {
            state->stopped = 1;
            state->paused = ngx_current_msec;
        }

        state->unsettled = 1;
        return;
    }

    if (!state->stopped) {
        return;
    }

    state->stopped = 0;
    lost = ngx_current_msec - state->paused;

    for (i = 0; i < state->nsuspects; i++) {
        state->suspects[i].since += lost;
    }
}


/* in the log and in the status of the source */

static void
ngx_mesh_reconcile_told(ngx_mesh_reconcile_t *r)
{
    ngx_str_t          *name, *interface;
    ngx_mesh_answer_t  *a;

    name = &r->subscription->source->name;
    interface = &r->subscription->sn.str;
    a = &r->answer;

    ngx_mesh_reconcile_share(r->state, a->found, a->held != 0,
                             a->unmapped.len != 0);

    if (a->suspects > r->before.suspects) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "mesh registry \"%V\": of \"%V\" %V, they are held",
                      name, interface, &a->reason);

    } else if (a->suspects < r->before.suspects) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "mesh registry \"%V\": of \"%V\" %ui endpoints are held "
                      "no more, %ui still are", name, interface,
                      r->before.suspects - a->suspects, a->suspects);
    }
}


static void
ngx_mesh_reconcile_share(ngx_mesh_reconcile_state_t *state, uint64_t found,
    uint64_t held, uint64_t unmapped)
{
    ngx_mesh_source_share(state->subscription->source,
                          (int64_t) (found - state->found),
                          (int64_t) (held - state->held),
                          (int64_t) (unmapped - state->unmapped));

    state->found = found;
    state->held = held;
    state->unmapped = unmapped;
}


/* the registry is asked again: what it says then is newer than what it said */

static void
ngx_mesh_reconcile_later(ngx_mesh_reconcile_state_t *state)
{
    state->unsettled = 1;

    if (state->retry.timer_set) {
        return;
    }

    state->delay = state->delay ? ngx_min(2 * state->delay,
                                          NGX_MESH_RECONCILE_LATER)
                                : NGX_MESH_RECONCILE_RETRY;

    ngx_add_timer(&state->retry, state->delay);
}


static void
ngx_mesh_reconcile_retry(ngx_event_t *ev)
{
    ngx_mesh_subscription_t     *s;
    ngx_mesh_reconcile_state_t  *state;

    state = ev->data;
    s = state->subscription;

    s->source->type->resync(s->source, s);
}


static void
ngx_mesh_reconcile_cleanup(void *data)
{
    ngx_mesh_reconcile_state_t *state = data;

    if (state->retry.timer_set) {
        ngx_del_timer(&state->retry);
    }

    if (state->pool) {
        ngx_destroy_pool(state->pool);
        state->pool = NULL;
    }

    /* nothing is said: the agent may be leaving */
    ngx_mesh_reconcile_nfull -= state->full;

    ngx_mesh_reconcile_share(state, 0, 0, 0);
}


void
ngx_mesh_reconcile_forget(ngx_mesh_subscription_t *s, ngx_uint_t keep)
{
    ngx_mesh_reconcile_state_t  *state;

    state = s->guard;

    if (!keep && ngx_mesh_reconcile_gone(s) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mesh registry \"%V\": what it said of \"%V\" cannot "
                      "be removed", &s->source->name, &s->sn.str);
    }

    /* the memory is the subscription's, and goes with it */

    if (state) {
        ngx_mesh_reconcile_cleanup(state);
        state->suspects = NULL;
        state->nsuspects = 0;
        state->unsettled = 1;
        state->stopped = 0;
        state->delay = 0;
    }
}
