
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mesh_codec.h"
#include "ngx_mesh_metrics_region.h"


/* a title, or a family that is not made of cells, is shorter */
#define NGX_MESH_METRICS_FAMILY_MAX  4096

/* all labels of a cell, escaped */
#define NGX_MESH_METRICS_TEXT_MAX                                             \
    (NGX_MESH_METRICS_LABELS * NGX_MESH_METRICS_LABEL_MAX * 2 + 256)


typedef struct ngx_mesh_metrics_family_s  ngx_mesh_metrics_family_t;


typedef struct {
    ngx_str_t       labels;
    ngx_uint_t      index;
} ngx_mesh_metrics_sample_t;


/*
 * A family is either a table of samples or made of all cells of a kind, and
 * its function writes the samples or those of one cell.
 */

struct ngx_mesh_metrics_family_s {
    ngx_str_t                         name;
    ngx_str_t                         type;
    ngx_str_t                         help;

    const ngx_mesh_metrics_sample_t  *samples;
    ngx_uint_t                        n;      /* samples */

    ngx_uint_t                        kind;   /* of the cells, or KINDS */
    ngx_uint_t                        index;  /* of the value in them */

    u_char                         *(*write)(
                                           const ngx_mesh_metrics_family_t *f,
                                           u_char *p,
                                           ngx_mesh_metrics_cell_t *cell,
                                           ngx_str_t *labels);
};


static ngx_int_t ngx_mesh_metrics_text_cells(
    const ngx_mesh_metrics_family_t *f, ngx_mesh_metrics_cursor_t *cursor,
    ngx_buf_t *b);
static u_char *ngx_mesh_metrics_text_title(const ngx_mesh_metrics_family_t *f,
    u_char *p);
static u_char *ngx_mesh_metrics_text_info(const ngx_mesh_metrics_family_t *f,
    u_char *p, ngx_mesh_metrics_cell_t *cell, ngx_str_t *labels);
static u_char *ngx_mesh_metrics_text_counters(
    const ngx_mesh_metrics_family_t *f, u_char *p,
    ngx_mesh_metrics_cell_t *cell, ngx_str_t *labels);
static u_char *ngx_mesh_metrics_text_gauges(
    const ngx_mesh_metrics_family_t *f, u_char *p,
    ngx_mesh_metrics_cell_t *cell, ngx_str_t *labels);
static u_char *ngx_mesh_metrics_text_agent(const ngx_mesh_metrics_family_t *f,
    u_char *p, ngx_mesh_metrics_cell_t *cell, ngx_str_t *labels);
static u_char *ngx_mesh_metrics_text_value(const ngx_mesh_metrics_family_t *f,
    u_char *p, ngx_mesh_metrics_cell_t *cell, ngx_str_t *labels);
static u_char *ngx_mesh_metrics_text_calls(const ngx_mesh_metrics_family_t *f,
    u_char *p, ngx_mesh_metrics_cell_t *cell, ngx_str_t *labels);
static u_char *ngx_mesh_metrics_text_histogram(
    const ngx_mesh_metrics_family_t *f, u_char *p,
    ngx_mesh_metrics_cell_t *cell, ngx_str_t *labels);

static uint64_t ngx_mesh_metrics_text_counter(ngx_uint_t index);
static uint64_t ngx_mesh_metrics_text_sum(ngx_mesh_metrics_cell_t *cell);
static u_char *ngx_mesh_metrics_text_labels(u_char *p,
    ngx_mesh_metrics_cell_t *cell);
static u_char *ngx_mesh_metrics_text_escape(u_char *p, u_char *src,
    size_t len);
static u_char *ngx_mesh_metrics_text_seconds(u_char *p, uint64_t us);


int64_t  (*ngx_mesh_metrics_agent)(ngx_uint_t index);


static ngx_str_t  ngx_mesh_metrics_results[] = {
    ngx_string("ok"),
    ngx_string("exception"),
    ngx_string("error"),
    ngx_string("other")
};


#define ngx_mesh_metrics_counter(name, help, index)                           \
    { ngx_string(name), ngx_string("counter"), ngx_string(help),              \
      NULL, 0, NGX_MESH_METRICS_KINDS, index, ngx_mesh_metrics_text_counters }

#define ngx_mesh_metrics_labelled(name, help, samples)                        \
    { ngx_string(name), ngx_string("counter"), ngx_string(help),              \
      samples, sizeof(samples) / sizeof(samples[0]), NGX_MESH_METRICS_KINDS,  \
      0, ngx_mesh_metrics_text_counters }

#define ngx_mesh_metrics_gauge(name, help, index)                             \
    { ngx_string(name), ngx_string("gauge"), ngx_string(help),                \
      NULL, 0, NGX_MESH_METRICS_KINDS, index, ngx_mesh_metrics_text_gauges }

#define ngx_mesh_metrics_agent_counter(name, help, index)                     \
    { ngx_string(name), ngx_string("counter"), ngx_string(help),              \
      NULL, 0, NGX_MESH_METRICS_KINDS, index, ngx_mesh_metrics_text_agent }

#define ngx_mesh_metrics_agent_gauge(name, help, index)                       \
    { ngx_string(name), ngx_string("gauge"), ngx_string(help),                \
      NULL, 0, NGX_MESH_METRICS_KINDS, index, ngx_mesh_metrics_text_agent }

#define ngx_mesh_metrics_endpoints(name, help, index)                         \
    { ngx_string(name), ngx_string("counter"), ngx_string(help),              \
      NULL, 0, NGX_MESH_METRICS_ENDPOINT, index, ngx_mesh_metrics_text_value }


static const ngx_mesh_metrics_sample_t  ngx_mesh_metrics_io[] = {
    { ngx_string("op=\"recv\""), NGX_MESH_M_RECV },
    { ngx_string("op=\"send\""), NGX_MESH_M_SEND },
    { ngx_string("op=\"connect\""), NGX_MESH_M_CONNECT },
    { ngx_string("op=\"close\""), NGX_MESH_M_CLOSE }
};


static const ngx_mesh_metrics_sample_t  ngx_mesh_metrics_heartbeats[] = {
    { ngx_string("from=\"client\""), NGX_MESH_M_HB_CLIENT },
    { ngx_string("from=\"provider\""), NGX_MESH_M_HB_PROVIDER },
    { ngx_string("from=\"proxy\""), NGX_MESH_M_HB_SENT }
};


static const ngx_mesh_metrics_sample_t  ngx_mesh_metrics_readonly[] = {
    { ngx_string("from=\"provider\""), NGX_MESH_M_READONLY },
    { ngx_string("from=\"proxy\""), NGX_MESH_M_NOTICE }
};


static const ngx_mesh_metrics_sample_t  ngx_mesh_metrics_protocol[] = {
    { ngx_string("side=\"client\""), NGX_MESH_M_BAD_CLIENT },
    { ngx_string("side=\"provider\""), NGX_MESH_M_BAD_PROVIDER }
};


static const ngx_mesh_metrics_sample_t  ngx_mesh_metrics_damaged[] = {
    { ngx_string("side=\"client\",reason=\"checksum\""),
      NGX_MESH_M_CHECKSUM_CLIENT },
    { ngx_string("side=\"provider\",reason=\"checksum\""),
      NGX_MESH_M_CHECKSUM_PROVIDER },
    { ngx_string("side=\"client\",reason=\"command\""),
      NGX_MESH_M_COMMAND_CLIENT },
    { ngx_string("side=\"provider\",reason=\"command\""),
      NGX_MESH_M_COMMAND_PROVIDER }
};


static const ngx_mesh_metrics_sample_t  ngx_mesh_metrics_handover[] = {
    { ngx_string("event=\"sent\""), NGX_MESH_M_HANDED_OVER },
    { ngx_string("event=\"received\""), NGX_MESH_M_HANDOVER_TAKEN },
    { ngx_string("event=\"failed\""), NGX_MESH_M_HANDOVER_FAILED },
    { ngx_string("event=\"paused\""), NGX_MESH_M_HANDOVER_PAUSED }
};


static const ngx_mesh_metrics_sample_t  ngx_mesh_metrics_closed[] = {
    { ngx_string("reason=\"header_timeout\""), NGX_MESH_M_HEADER_TIMEOUT },
    { ngx_string("reason=\"client_timeout\""), NGX_MESH_M_CLIENT_TIMEOUT },
    { ngx_string("reason=\"slow\""), NGX_MESH_M_CLIENT_SLOW }
};


static const ngx_mesh_metrics_sample_t  ngx_mesh_metrics_links[] = {
    { ngx_string("reason=\"reset\""), NGX_MESH_M_LINK_FAILED },
    { ngx_string("reason=\"connect\""), NGX_MESH_M_LINK_CONNECT },
    { ngx_string("reason=\"silent\""), NGX_MESH_M_LINK_SILENT }
};


static const ngx_mesh_metrics_sample_t  ngx_mesh_metrics_parked[] = {
    { ngx_string("result=\"found\""), NGX_MESH_M_PARKED_FOUND },
    { ngx_string("result=\"absent\""), NGX_MESH_M_PARKED_ABSENT },
    { ngx_string("result=\"timeout\""), NGX_MESH_M_PARKED_TIMEOUT },
    { ngx_string("result=\"gone\""), NGX_MESH_M_PARKED_GONE }
};


static const ngx_mesh_metrics_sample_t  ngx_mesh_metrics_refused[] = {
    { ngx_string("reason=\"max_services\""), NGX_MESH_M_WANTS_FULL },
    { ngx_string("reason=\"rate\""), NGX_MESH_M_WANTS_RATE },
    { ngx_string("reason=\"zone\""), NGX_MESH_M_WANTS_ZONE },
    { ngx_string("reason=\"worker_buffer\""), NGX_MESH_M_WANTS_BUFFER }
};


static const ngx_mesh_metrics_family_t  ngx_mesh_metrics_families[] = {

    { ngx_string("mesh_requests_total"),
      ngx_string("counter"),
      ngx_string("Calls that ended."),
      NULL, 0, NGX_MESH_METRICS_CALLS, 0, ngx_mesh_metrics_text_calls },

    { ngx_string("mesh_request_duration_seconds"),
      ngx_string("histogram"),
      ngx_string("Time from a request's arrival to the end of its call."),
      NULL, 0, NGX_MESH_METRICS_CALLS, 0, ngx_mesh_metrics_text_histogram },

    { ngx_string("mesh_request_bytes_total"),
      ngx_string("counter"),
      ngx_string("Bytes of request frames of calls that ended."),
      NULL, 0, NGX_MESH_METRICS_CALLS, NGX_MESH_METRICS_RECEIVED,
      ngx_mesh_metrics_text_value },

    { ngx_string("mesh_response_bytes_total"),
      ngx_string("counter"),
      ngx_string("Bytes of response frames sent to clients."),
      NULL, 0, NGX_MESH_METRICS_CALLS, NGX_MESH_METRICS_SENT,
      ngx_mesh_metrics_text_value },

    { ngx_string("mesh_errors_total"),
      ngx_string("counter"),
      ngx_string("Failures answered by the proxy itself."),
      NULL, 0, NGX_MESH_METRICS_ERROR, 0, ngx_mesh_metrics_text_value },

    ngx_mesh_metrics_endpoints("mesh_endpoint_requests_total",
        "Requests written to the endpoint.",
        NGX_MESH_E_REQUESTS),

    ngx_mesh_metrics_endpoints("mesh_endpoint_failures_total",
        "Requests failed by a lost link or by time.",
        NGX_MESH_E_FAILURES),

    ngx_mesh_metrics_endpoints("mesh_endpoint_connects_total",
        "Attempts to connect to the endpoint.",
        NGX_MESH_E_CONNECTS),

    ngx_mesh_metrics_endpoints("mesh_endpoint_connect_failures_total",
        "Attempts to connect that failed.",
        NGX_MESH_E_CONNECT_FAILURES),

    ngx_mesh_metrics_endpoints("mesh_endpoint_resets_total",
        "Links lost with requests in flight.",
        NGX_MESH_E_RESETS),

    ngx_mesh_metrics_endpoints("mesh_endpoint_silent_total",
        "Links closed for silence.",
        NGX_MESH_E_SILENT),

    ngx_mesh_metrics_endpoints("mesh_endpoint_ejections_total",
        "Times the endpoint was taken out by its failures.",
        NGX_MESH_E_EJECTED),

    ngx_mesh_metrics_endpoints("mesh_endpoint_sent_bytes_total",
        "Bytes sent to the endpoint.",
        NGX_MESH_E_SENT),

    ngx_mesh_metrics_endpoints("mesh_endpoint_received_bytes_total",
        "Bytes received from the endpoint.",
        NGX_MESH_E_RECEIVED),

    ngx_mesh_metrics_labelled("mesh_io_total",
        "System calls on connections of the mesh.",
        ngx_mesh_metrics_io),

    ngx_mesh_metrics_counter("mesh_client_connections_total",
        "Client connections accepted.",
        NGX_MESH_M_SESSIONS),

    ngx_mesh_metrics_labelled("mesh_client_closed_total",
        "Client connections closed by the proxy.",
        ngx_mesh_metrics_closed),

    ngx_mesh_metrics_counter("mesh_client_pauses_total",
        "Times the reading of a client was paused.",
        NGX_MESH_M_PAUSED),

    ngx_mesh_metrics_counter("mesh_oneway_requests_total",
        "One-way requests forwarded.",
        NGX_MESH_M_ONEWAY),

    ngx_mesh_metrics_labelled("mesh_heartbeats_total",
        "Heartbeats by who sent them.",
        ngx_mesh_metrics_heartbeats),

    ngx_mesh_metrics_labelled("mesh_readonly_total",
        "Notices that the sender takes no new calls.",
        ngx_mesh_metrics_readonly),

    ngx_mesh_metrics_counter("mesh_stray_responses_total",
        "Responses that were late, repeated or to no request.",
        NGX_MESH_M_STRAY),

    ngx_mesh_metrics_counter("mesh_abandoned_responses_total",
        "Responses whose client was gone.",
        NGX_MESH_M_ABANDONED),

    ngx_mesh_metrics_counter("mesh_callbacks_refused_total",
        "Requests of providers on shared links.",
        NGX_MESH_M_CALLBACK),

    ngx_mesh_metrics_counter("mesh_retries_total",
        "Requests sent again after they had been written.",
        NGX_MESH_M_RETRY),

    ngx_mesh_metrics_counter("mesh_redirects_total",
        "Requests sent elsewhere before they had been written.",
        NGX_MESH_M_REDIRECT),

    ngx_mesh_metrics_counter("mesh_retry_budget_exhausted_total",
        "Retries the budget did not allow.",
        NGX_MESH_M_NO_BUDGET),

    ngx_mesh_metrics_labelled("mesh_protocol_errors_total",
        "Connections closed for bytes that are no frames.",
        ngx_mesh_metrics_protocol),

    ngx_mesh_metrics_labelled("mesh_damaged_frames_total",
        "Frames that went no further, although their length held.",
        ngx_mesh_metrics_damaged),

    ngx_mesh_metrics_labelled("mesh_handovers_total",
        "Client connections passed from a leaving worker to another.",
        ngx_mesh_metrics_handover),

    ngx_mesh_metrics_counter("mesh_oversize_frames_total",
        "Frames above the limit, skipped.",
        NGX_MESH_M_OVERSIZE),

    ngx_mesh_metrics_counter("mesh_unreadable_requests_total",
        "Requests whose service or method could not be read.",
        NGX_MESH_M_UNREADABLE),

    ngx_mesh_metrics_labelled("mesh_link_failures_total",
        "Links to endpoints lost.",
        ngx_mesh_metrics_links),

    ngx_mesh_metrics_labelled("mesh_parked_requests_total",
        "Requests that waited for their service to be found, by the end.",
        ngx_mesh_metrics_parked),

    ngx_mesh_metrics_counter("mesh_wants_total",
        "Interfaces that registries were asked for because of a call.",
        NGX_MESH_M_WANTS),

    ngx_mesh_metrics_labelled("mesh_wants_refused_total",
        "Calls whose service was not looked for, or not waited for.",
        ngx_mesh_metrics_refused),

    ngx_mesh_metrics_counter("mesh_nomem_total",
        "Allocations that failed.",
        NGX_MESH_M_NOMEM),

    ngx_mesh_metrics_counter("mesh_series_dropped_total",
        "Times labels were replaced by other for lack of room.",
        NGX_MESH_M_DROPPED),

    ngx_mesh_metrics_gauge("mesh_client_connections",
        "Client connections open.",
        NGX_MESH_G_SESSIONS),

    ngx_mesh_metrics_gauge("mesh_links",
        "Links to endpoints open.",
        NGX_MESH_G_LINKS),

    ngx_mesh_metrics_gauge("mesh_requests_in_flight",
        "Requests waiting for their responses.",
        NGX_MESH_G_REQUESTS),

    ngx_mesh_metrics_gauge("mesh_requests_parked",
        "Of them, requests waiting for their service to be found.",
        NGX_MESH_G_PARKED),

    ngx_mesh_metrics_gauge("mesh_buffered_bytes",
        "Bytes in partial frames and unsent output.",
        NGX_MESH_G_BUFFERS),

    ngx_mesh_metrics_gauge("mesh_slots_resting",
        "Abandoned requests whose responses may still come.",
        NGX_MESH_G_SLOTS_RESTING),

    ngx_mesh_metrics_agent_gauge("mesh_agent_up",
                       "1: the agent shows signs of life.",
                       NGX_MESH_A_UP),
    ngx_mesh_metrics_agent_gauge("mesh_agent_beat_age_seconds",
                       "Time since the agent's last sign of life.",
                       NGX_MESH_A_BEAT),
    ngx_mesh_metrics_agent_gauge("mesh_agent_lease",
                       "1: this instance of nginx holds the lease.",
                       NGX_MESH_A_LEASE),
    ngx_mesh_metrics_agent_gauge("mesh_agent_lease_fence",
                       "Number of the lease, which grows with each.",
                       NGX_MESH_A_FENCE),
    ngx_mesh_metrics_agent_counter("mesh_agent_takeovers_total",
                       "Times an agent took the lease.",
                       NGX_MESH_A_TAKEOVERS),
    ngx_mesh_metrics_agent_counter("mesh_agent_journal_writes_total",
                       "Journal files written.",
                       NGX_MESH_A_WRITTEN),
    ngx_mesh_metrics_agent_counter("mesh_agent_journal_errors_total",
                       "Times the journal could not be written.",
                       NGX_MESH_A_ERRORS),
    ngx_mesh_metrics_agent_gauge("mesh_agent_journal_failed",
                       "1: the journal cannot be written just now.",
                       NGX_MESH_A_FAILED),
    ngx_mesh_metrics_agent_gauge("mesh_agent_journal_revision",
                       "Revision of the table up to which the journal has "
                       "what the operator changed.",
                       NGX_MESH_A_REVISION),

    { ngx_string("mesh_build_info"),
      ngx_string("gauge"),
      ngx_string("Version of the modules."),
      NULL, 0, NGX_MESH_METRICS_KINDS, 0, ngx_mesh_metrics_text_info }
};


#define NGX_MESH_METRICS_FAMILIES                                             \
    (sizeof(ngx_mesh_metrics_families) / sizeof(ngx_mesh_metrics_families[0]))


ngx_chain_t *
ngx_mesh_metrics_text(ngx_pool_t *pool)
{
    ngx_int_t                   rc;
    ngx_buf_t                  *b;
    ngx_chain_t                *out, *cl, **ll;
    ngx_mesh_metrics_cursor_t   cursor;

    ngx_memzero(&cursor, sizeof(ngx_mesh_metrics_cursor_t));

    ll = &out;

    do {
        cl = ngx_alloc_chain_link(pool);
        if (cl == NULL) {
            return NULL;
        }

        b = ngx_create_temp_buf(pool, NGX_MESH_METRICS_BUFFER);
        if (b == NULL) {
            return NULL;
        }

        rc = ngx_mesh_metrics_text_part(&cursor, b);

        cl->buf = b;
        *ll = cl;
        ll = &cl->next;

    } while (rc == NGX_AGAIN);

    *ll = NULL;

    return out;
}


ngx_int_t
ngx_mesh_metrics_text_part(ngx_mesh_metrics_cursor_t *cursor, ngx_buf_t *b)
{
    const ngx_mesh_metrics_family_t  *f;

    if (cursor->family == 0 && !cursor->titled) {

        /* the same cells in all families, whatever is added meanwhile */

        ngx_mesh_metrics_flush();

        if (ngx_mesh_metrics_region) {
            cursor->end = ngx_mesh_metrics_region->used;
            ngx_memory_barrier();
        }
    }

    while (cursor->family < NGX_MESH_METRICS_FAMILIES) {
        f = &ngx_mesh_metrics_families[cursor->family];

        if (!cursor->titled) {
            if (b->end - b->last < NGX_MESH_METRICS_FAMILY_MAX) {
                return NGX_AGAIN;
            }

            b->last = ngx_mesh_metrics_text_title(f, b->last);

            if (f->kind == NGX_MESH_METRICS_KINDS) {
                b->last = f->write(f, b->last, NULL, NULL);
                cursor->family++;
                continue;
            }

            cursor->titled = 1;
            cursor->at = 0;
        }

        if (ngx_mesh_metrics_text_cells(f, cursor, b) == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        cursor->titled = 0;
        cursor->family++;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_metrics_text_cells(const ngx_mesh_metrics_family_t *f,
    ngx_mesh_metrics_cursor_t *cursor, ngx_buf_t *b)
{
    size_t                    lines;
    u_char                    buf[NGX_MESH_METRICS_TEXT_MAX];
    ngx_str_t                 labels;
    ngx_mesh_metrics_cell_t  *cell;

    lines = (f->write == ngx_mesh_metrics_text_histogram)
            ? NGX_MESH_BUCKETS + 2 : 1;

    labels.data = buf;

    for ( /* void */ ; cursor->at < cursor->end; cursor->at += cell->size) {
        cell = ngx_mesh_metrics_cell(ngx_mesh_metrics_region, cursor->at);

        if (cell->kind != f->kind) {
            continue;
        }

        /* the last resorts are shown once they were needed */

        if (cursor->at < ngx_mesh_metrics_region->first
            && ngx_mesh_metrics_text_sum(cell) == 0)
        {
            continue;
        }

        labels.len = ngx_mesh_metrics_text_labels(buf, cell) - buf;

        /* suffix, "le" and value of a line have room in another 96 bytes */

        if ((size_t) (b->end - b->last)
            < lines * (f->name.len + labels.len + 96))
        {
            return NGX_AGAIN;
        }

        b->last = f->write(f, b->last, cell, &labels);
    }

    return NGX_OK;
}


static u_char *
ngx_mesh_metrics_text_title(const ngx_mesh_metrics_family_t *f, u_char *p)
{
    return ngx_sprintf(p, "# HELP %V %V\n# TYPE %V %V\n",
                       &f->name, &f->help, &f->name, &f->type);
}


static u_char *
ngx_mesh_metrics_text_info(const ngx_mesh_metrics_family_t *f, u_char *p,
    ngx_mesh_metrics_cell_t *cell, ngx_str_t *labels)
{
    return ngx_sprintf(p, "%V{version=\"" NGX_MESH_VERSION "\"} 1\n",
                       &f->name);
}


static u_char *
ngx_mesh_metrics_text_counters(const ngx_mesh_metrics_family_t *f, u_char *p,
    ngx_mesh_metrics_cell_t *cell, ngx_str_t *labels)
{
    ngx_uint_t                        i;
    const ngx_mesh_metrics_sample_t  *sample;

    if (f->samples == NULL) {
        return ngx_sprintf(p, "%V %uL\n", &f->name,
                           ngx_mesh_metrics_text_counter(f->index));
    }

    for (i = 0; i < f->n; i++) {
        sample = &f->samples[i];

        p = ngx_sprintf(p, "%V{%V} %uL\n", &f->name, &sample->labels,
                        ngx_mesh_metrics_text_counter(sample->index));
    }

    return p;
}


static u_char *
ngx_mesh_metrics_text_gauges(const ngx_mesh_metrics_family_t *f, u_char *p,
    ngx_mesh_metrics_cell_t *cell, ngx_str_t *labels)
{
    return ngx_sprintf(p, "%V %L\n", &f->name,
                       ngx_mesh_metrics_total(f->index));
}


static u_char *
ngx_mesh_metrics_text_agent(const ngx_mesh_metrics_family_t *f, u_char *p,
    ngx_mesh_metrics_cell_t *cell, ngx_str_t *labels)
{
    int64_t  n;

    n = ngx_mesh_metrics_agent ? ngx_mesh_metrics_agent(f->index) : 0;

    if (f->index == NGX_MESH_A_BEAT) {
        p = ngx_sprintf(p, "%V ", &f->name);
        p = ngx_mesh_metrics_text_seconds(p, (uint64_t) n * 1000);
        *p++ = LF;

        return p;
    }

    return ngx_sprintf(p, "%V %L\n", &f->name, n);
}


static u_char *
ngx_mesh_metrics_text_value(const ngx_mesh_metrics_family_t *f, u_char *p,
    ngx_mesh_metrics_cell_t *cell, ngx_str_t *labels)
{
    return ngx_sprintf(p, "%V{%V} %uL\n", &f->name, labels,
                       (uint64_t) cell->value[f->index]);
}


static u_char *
ngx_mesh_metrics_text_calls(const ngx_mesh_metrics_family_t *f, u_char *p,
    ngx_mesh_metrics_cell_t *cell, ngx_str_t *labels)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = 0;

    for (i = 0; i < NGX_MESH_BUCKETS; i++) {
        n += cell->value[i];
    }

    return ngx_sprintf(p, "%V{%V} %uL\n", &f->name, labels, n);
}


static u_char *
ngx_mesh_metrics_text_histogram(const ngx_mesh_metrics_family_t *f, u_char *p,
    ngx_mesh_metrics_cell_t *cell, ngx_str_t *labels)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = 0;

    for (i = 0; i < NGX_MESH_BUCKETS; i++) {
        n += cell->value[i];

        p = ngx_sprintf(p, "%V_bucket{%V,le=\"", &f->name, labels);

        if (i < NGX_MESH_BUCKETS - 1) {
            p = ngx_mesh_metrics_text_seconds(p, ngx_mesh_bucket_bounds[i]);

        } else {
            p = ngx_cpymem(p, "+Inf", 4);
        }

        p = ngx_sprintf(p, "\"} %uL\n", n);
    }

    p = ngx_sprintf(p, "%V_sum{%V} ", &f->name, labels);
    p = ngx_mesh_metrics_text_seconds(p, cell->value[NGX_MESH_METRICS_SUM]);

    return ngx_sprintf(p, "\n%V_count{%V} %uL\n", &f->name, labels, n);
}


static uint64_t
ngx_mesh_metrics_text_counter(ngx_uint_t index)
{
    return ngx_mesh_metrics_region ? ngx_mesh_metrics_region->counter[index]
                                   : 0;
}


int64_t
ngx_mesh_metrics_total(ngx_uint_t index)
{
    int64_t                  n;
    ngx_pid_t                pid;
    ngx_uint_t               i;
    ngx_mesh_metrics_row_t  *row;

    if (ngx_mesh_metrics_region == NULL) {
        return 0;
    }

    n = 0;

    for (i = 0; i < NGX_MAX_PROCESSES; i++) {
        row = ngx_mesh_metrics_row(ngx_mesh_metrics_region, i);
        pid = (ngx_pid_t) row->pid;

        /* a process that was killed could not clear its row */

        if (pid == 0 || (kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH)) {
            continue;
        }

        n += (ngx_atomic_int_t) row->value[index];
    }

    return n;
}


static uint64_t
ngx_mesh_metrics_text_sum(ngx_mesh_metrics_cell_t *cell)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = 0;

    for (i = 0; i < ngx_mesh_metrics_values[cell->kind]; i++) {
        n += cell->value[i];
    }

    return n;
}


static u_char *
ngx_mesh_metrics_text_labels(u_char *p, ngx_mesh_metrics_cell_t *cell)
{
    u_char  *src;

    src = ngx_mesh_metrics_labels(cell);

    if (cell->kind == NGX_MESH_METRICS_ENDPOINT) {
        p = ngx_cpymem(p, "endpoint=\"", sizeof("endpoint=\"") - 1);
        p = ngx_mesh_metrics_text_escape(p, src, cell->len[0]);
        *p++ = '"';

        return p;
    }

    p = ngx_cpymem(p, "service=\"", sizeof("service=\"") - 1);
    p = ngx_mesh_metrics_text_escape(p, src, cell->len[0]);

    if (cell->kind == NGX_MESH_METRICS_ERROR) {
        return ngx_sprintf(p, "\",error=\"%V\"",
                           ngx_mesh_codec_error_name(cell->result));
    }

    src += cell->len[0];
    p = ngx_cpymem(p, "\",method=\"", sizeof("\",method=\"") - 1);
    p = ngx_mesh_metrics_text_escape(p, src, cell->len[1]);

    src += cell->len[1];
    p = ngx_cpymem(p, "\",protocol=\"", sizeof("\",protocol=\"") - 1);
    p = ngx_mesh_metrics_text_escape(p, src, cell->len[2]);

    return ngx_sprintf(p, "\",status=\"%uD\",result=\"%V\"", cell->status,
                       &ngx_mesh_metrics_results[cell->result]);
}


static u_char *
ngx_mesh_metrics_text_escape(u_char *p, u_char *src, size_t len)
{
    u_char  *end;

    for (end = src + len; src < end; src++) {

        switch (*src) {

        case '\n':
            *p++ = '\\';
            *p++ = 'n';
            break;

        case '"':
        case '\\':
            *p++ = '\\';
            *p++ = *src;
            break;

        default:
            *p++ = *src;
        }
    }

    return p;
}


static u_char *
ngx_mesh_metrics_text_seconds(u_char *p, uint64_t us)
{
    p = ngx_sprintf(p, "%uL.%06uL", us / 1000000, us % 1000000);

    while (p[-1] == '0') {
        p--;
    }

    if (p[-1] == '.') {
        p--;
    }

    return p;
}
