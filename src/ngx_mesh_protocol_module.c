
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh.h"
#include "ngx_mesh_protocol.h"


/* protocol NAME {} in mesh {}: checks a declaration and makes a codec of it */


#define NGX_MESH_PROTOCOL_MAX_FRAME  0x7fffffff

/* bytes and texts of a template that there is always room for */

#define NGX_MESH_PROTOCOL_TEMPLATE   256
#define NGX_MESH_PROTOCOL_TEXTS      3


typedef struct {
    ngx_mesh_declared_t  *declared;     /* of the block being parsed */
} ngx_mesh_protocol_conf_t;


static void *ngx_mesh_protocol_create_conf(ngx_cycle_t *cycle);
static char *ngx_mesh_protocol(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_mesh_protocol_name(ngx_conf_t *cf, ngx_mesh_core_conf_t *ccf,
    ngx_str_t *name);
static ngx_int_t ngx_mesh_protocol_arrays(ngx_conf_t *cf,
    ngx_mesh_declared_t *d);
static char *ngx_mesh_protocol_check(ngx_conf_t *cf, ngx_str_t *name,
    ngx_mesh_declared_t *d);
static char *ngx_mesh_protocol_check_id(ngx_conf_t *cf, ngx_str_t *name,
    ngx_mesh_declared_t *d);
static ngx_uint_t ngx_mesh_protocol_overlap(ngx_mesh_field_t *a, size_t offset,
    size_t size);
static char *ngx_mesh_protocol_incomplete(ngx_conf_t *cf, ngx_str_t *name,
    char *what);
static ngx_uint_t ngx_mesh_protocol_has_kind(ngx_mesh_declared_t *d,
    ngx_uint_t kind);
static char *ngx_mesh_protocol_check_facts(ngx_conf_t *cf, ngx_str_t *name,
    ngx_mesh_declared_t *d);
static char *ngx_mesh_protocol_check_template(ngx_conf_t *cf, ngx_str_t *name,
    ngx_mesh_declared_t *d, ngx_array_t *parts, char *what);


static ngx_command_t  ngx_mesh_protocol_commands[] = {

    { ngx_string("protocol"),
      NGX_MESH_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_mesh_protocol,
      0,
      0,
      NULL },

    { ngx_string("magic"),
      NGX_MESH_PROTOCOL_CONF|NGX_CONF_TAKE23,
      ngx_mesh_protocol_magic,
      0,
      0,
      NULL },

    { ngx_string("length"),
      NGX_MESH_PROTOCOL_CONF|NGX_CONF_2MORE,
      ngx_mesh_protocol_length,
      0,
      0,
      NULL },

    { ngx_string("id"),
      NGX_MESH_PROTOCOL_CONF|NGX_CONF_2MORE,
      ngx_mesh_protocol_id,
      0,
      0,
      NULL },

    { ngx_string("kind"),
      NGX_MESH_PROTOCOL_CONF|NGX_CONF_2MORE,
      ngx_mesh_protocol_kind,
      0,
      0,
      NULL },

    { ngx_string("status"),
      NGX_MESH_PROTOCOL_CONF|NGX_CONF_2MORE,
      ngx_mesh_protocol_status,
      0,
      0,
      NULL },

    { ngx_string("timeout"),
      NGX_MESH_PROTOCOL_CONF|NGX_CONF_2MORE,
      ngx_mesh_protocol_timeout,
      0,
      0,
      NULL },

    { ngx_string("max_frame"),
      NGX_MESH_PROTOCOL_CONF|NGX_CONF_TAKE1,
      ngx_mesh_protocol_max_frame,
      0,
      0,
      NULL },

    { ngx_string("strings"),
      NGX_MESH_PROTOCOL_CONF|NGX_CONF_TAKE23,
      ngx_mesh_protocol_strings,
      0,
      0,
      NULL },

    { ngx_string("map"),
      NGX_MESH_PROTOCOL_CONF|NGX_CONF_TAKE3|NGX_CONF_TAKE4,
      ngx_mesh_protocol_map,
      0,
      0,
      NULL },

    { ngx_string("fact"),
      NGX_MESH_PROTOCOL_CONF|NGX_CONF_TAKE3|NGX_CONF_TAKE4,
      ngx_mesh_protocol_fact,
      0,
      0,
      NULL },

    { ngx_string("error"),
      NGX_MESH_PROTOCOL_CONF|NGX_CONF_TAKE1,
      ngx_mesh_protocol_template,
      0,
      offsetof(ngx_mesh_declared_t, error),
      NULL },

    { ngx_string("error_status"),
      NGX_MESH_PROTOCOL_CONF|NGX_CONF_1MORE,
      ngx_mesh_protocol_error_status,
      0,
      0,
      NULL },

    { ngx_string("heartbeat"),
      NGX_MESH_PROTOCOL_CONF|NGX_CONF_TAKE1,
      ngx_mesh_protocol_template,
      0,
      offsetof(ngx_mesh_declared_t, heartbeat),
      NULL },

    { ngx_string("heartbeat_answer"),
      NGX_MESH_PROTOCOL_CONF|NGX_CONF_TAKE1,
      ngx_mesh_protocol_template,
      0,
      offsetof(ngx_mesh_declared_t, answer),
      NULL },

      ngx_null_command
};


static ngx_str_t  ngx_mesh_protocol_module_name = ngx_string("mesh_protocol");


static ngx_mesh_module_t  ngx_mesh_protocol_module_ctx = {
    &ngx_mesh_protocol_module_name,
    ngx_mesh_protocol_create_conf,         /* create configuration */
    NULL                                   /* init configuration */
};


ngx_module_t  ngx_mesh_protocol_module = {
    NGX_MODULE_V1,
    &ngx_mesh_protocol_module_ctx,         /* module context */
    ngx_mesh_protocol_commands,            /* module directives */
    NGX_MESH_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_mesh_protocol_create_conf(ngx_cycle_t *cycle)
{
    return ngx_pcalloc(cycle->pool, sizeof(ngx_mesh_protocol_conf_t));
}


ngx_mesh_declared_t *
ngx_mesh_protocol_declared(ngx_conf_t *cf)
{
    ngx_mesh_protocol_conf_t  *pcf;

    pcf = ngx_mesh_get_conf(cf->cycle, &ngx_mesh_protocol_module);

    return pcf->declared;
}


static char *
ngx_mesh_protocol(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                       *rv;
    ngx_str_t                  *value, name;
    ngx_uint_t                  i;
    ngx_conf_t                  save;
    ngx_mesh_codec_t           *codec;
    ngx_mesh_declared_t        *d;
    ngx_mesh_core_conf_t       *ccf;
    const ngx_mesh_codec_t    **slot;
    ngx_mesh_protocol_conf_t   *pcf;

    pcf = ngx_mesh_get_conf(cf->cycle, &ngx_mesh_protocol_module);
    ccf = ngx_mesh_get_conf(cf->cycle, &ngx_mesh_core_module);

    value = cf->args->elts;
    name = value[1];

    if (ccf->protocols == NULL) {
        ccf->protocols = ngx_array_create(cf->pool, 4,
                                          sizeof(ngx_mesh_codec_t *));
        if (ccf->protocols == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    rv = ngx_mesh_protocol_name(cf, ccf, &name);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    d = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_declared_t));
    codec = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_codec_t));

    if (d == NULL || codec == NULL
        || ngx_mesh_protocol_arrays(cf, d) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    d->max_frame = NGX_MESH_PROTOCOL_MAX_FRAME;
    d->timeout_unit = 1;

    for (i = 0; i < NGX_MESH_ERR_N; i++) {
        d->error_status[i] = 1;
    }

    pcf->declared = d;

    save = *cf;
    cf->cmd_type = NGX_MESH_PROTOCOL_CONF;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_mesh_protocol_check(cf, &name, d);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    ngx_mesh_declared_init(codec, &name, d);

    slot = ngx_array_push(ccf->protocols);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = codec;

    return NGX_CONF_OK;
}


static char *
ngx_mesh_protocol_name(ngx_conf_t *cf, ngx_mesh_core_conf_t *ccf,
    ngx_str_t *name)
{
    ngx_uint_t                i;
    const ngx_mesh_codec_t  **declared;

    if (name->len == 0 || name->len > 64 || ngx_mesh_codec_find(name)
        || ngx_mesh_protocol_is(name, "auto"))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid protocol name \"%V\", it must be of 1 to "
                           "64 characters, and not \"auto\" or the name of a "
                           "protocol that is built in", name);
        return NGX_CONF_ERROR;
    }

    declared = ccf->protocols->elts;

    for (i = 0; i < ccf->protocols->nelts; i++) {
        if (declared[i]->name.len == name->len
            && ngx_memcmp(declared[i]->name.data, name->data, name->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate protocol \"%V\"", name);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_mesh_protocol_arrays(ngx_conf_t *cf, ngx_mesh_declared_t *d)
{
    if (ngx_array_init(&d->magics, cf->pool, 1, sizeof(ngx_mesh_magic_t))
        != NGX_OK
        || ngx_array_init(&d->lengths[0], cf->pool, 1,
                          sizeof(ngx_mesh_field_t))
           != NGX_OK
        || ngx_array_init(&d->lengths[1], cf->pool, 1,
                          sizeof(ngx_mesh_field_t))
           != NGX_OK
        || ngx_array_init(&d->kinds, cf->pool, 4, sizeof(ngx_mesh_kind_t))
           != NGX_OK
        || ngx_array_init(&d->ok, cf->pool, 1, sizeof(uint64_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static char *
ngx_mesh_protocol_incomplete(ngx_conf_t *cf, ngx_str_t *name, char *what)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "protocol \"%V\" %s", name, what);

    return NGX_CONF_ERROR;
}


/* what can only be seen when all of the block is known */

static char *
ngx_mesh_protocol_check(ngx_conf_t *cf, ngx_str_t *name,
    ngx_mesh_declared_t *d)
{
    char  *rv;

    if (d->lengths[0].nelts == 0 || d->lengths[1].nelts == 0) {
        return ngx_mesh_protocol_incomplete(cf, name,
                            "needs a \"length\" for requests and responses");
    }

    if (d->kind.size
        && (!ngx_mesh_protocol_has_kind(d, NGX_MESH_FRAME_RESPONSE)
            || (!ngx_mesh_protocol_has_kind(d, NGX_MESH_FRAME_REQUEST)
                && !ngx_mesh_protocol_has_kind(d, NGX_MESH_FRAME_ONEWAY))))
    {
        return ngx_mesh_protocol_incomplete(cf, name,
                     "has a \"kind\" without \"request=\" and \"response=\"");
    }

    if (d->answer == NULL
        && ngx_mesh_protocol_has_kind(d, NGX_MESH_FRAME_HEARTBEAT))
    {
        return ngx_mesh_protocol_incomplete(cf, name,
              "has a \"kind\" of heartbeats and no \"heartbeat_answer\"");
    }

    if (d->heartbeat
        && !ngx_mesh_protocol_has_kind(d, NGX_MESH_FRAME_ACK))
    {
        return ngx_mesh_protocol_incomplete(cf, name,
              "has a \"heartbeat\" and no \"kind ... heartbeat_answer=\"");
    }

    rv = ngx_mesh_protocol_check_id(cf, name, d);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_mesh_protocol_check_facts(cf, name, d);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_mesh_protocol_check_template(cf, name, d, d->error, "error");

    if (rv == NGX_CONF_OK) {
        rv = ngx_mesh_protocol_check_template(cf, name, d, d->heartbeat,
                                              "heartbeat");
    }

    if (rv == NGX_CONF_OK) {
        rv = ngx_mesh_protocol_check_template(cf, name, d, d->answer,
                                              "heartbeat_answer");
    }

    return rv;
}


/* ids are written, so that nothing else of the header may be where they are */

static char *
ngx_mesh_protocol_check_id(ngx_conf_t *cf, ngx_str_t *name,
    ngx_mesh_declared_t *d)
{
    char              *what;
    ngx_uint_t         i, to;
    ngx_mesh_field_t  *id, *length;
    ngx_mesh_magic_t  *magic;

    id = &d->id;

    if (id->size == 0 || d->after.size) {
        return NGX_CONF_OK;
    }

    what = ngx_mesh_protocol_overlap(id, d->kind.offset, d->kind.size)
           ? "kind"
           : ngx_mesh_protocol_overlap(id, d->status.offset, d->status.size)
           ? "status"
           : ngx_mesh_protocol_overlap(id, d->timeout.offset, d->timeout.size)
           ? "timeout" : NULL;

    for (to = 0; to < 2; to++) {
        length = d->lengths[to].elts;

        for (i = 0; i < d->lengths[to].nelts; i++) {
            if (ngx_mesh_protocol_overlap(id, length[i].offset,
                                          length[i].size))
            {
                what = "length";
            }
        }
    }

    magic = d->magics.elts;

    for (i = 0; i < d->magics.nelts; i++) {
        if (ngx_mesh_protocol_overlap(id, magic[i].offset, magic[i].value.len))
        {
            what = "magic";
        }
    }

    if (what == NULL) {
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"id\" of protocol \"%V\" has bytes %ui to %ui, "
                       "where its \"%s\" is too", name,
                       (ngx_uint_t) id->offset,
                       (ngx_uint_t) id->offset + id->size - 1, what);

    return NGX_CONF_ERROR;
}


static ngx_uint_t
ngx_mesh_protocol_overlap(ngx_mesh_field_t *a, size_t offset, size_t size)
{
    return size && offset < (size_t) a->offset + a->size
           && a->offset < offset + size;
}


static ngx_uint_t
ngx_mesh_protocol_has_kind(ngx_mesh_declared_t *d, ngx_uint_t kind)
{
    ngx_uint_t        i;
    ngx_mesh_kind_t  *kinds;

    kinds = d->kinds.elts;

    for (i = 0; i < d->kinds.nelts; i++) {
        if (kinds[i].kind == kind) {
            return 1;
        }
    }

    return 0;
}


static char *
ngx_mesh_protocol_check_facts(ngx_conf_t *cf, ngx_str_t *name,
    ngx_mesh_declared_t *d)
{
    ngx_uint_t        i;
    ngx_mesh_fact_t  *fact;

    for (i = 0; i < NGX_MESH_FACT_N; i++) {
        fact = &d->facts[i];

        if (fact->how == NGX_MESH_FACT_NTH) {

            if (!d->strings.declared) {
                return ngx_mesh_protocol_incomplete(cf, name,
                                      "has a fact of \"nth\" and no "
                                      "\"strings\"");
            }

            if (d->strings.lengths && fact->n >= d->strings.lengths->nelts) {
                return ngx_mesh_protocol_incomplete(cf, name,
                                      "has a fact of \"nth\" beyond the last "
                                      "of \"lengths=\"");
            }

            d->strings.n = ngx_max(d->strings.n, fact->n + 1);
        }

        if (fact->how == NGX_MESH_FACT_KEY && !d->map.declared) {
            return ngx_mesh_protocol_incomplete(cf, name,
                                      "has a fact of \"key\" and no \"map\"");
        }
    }

    if (d->map.after) {

        if (!d->strings.declared) {
            return ngx_mesh_protocol_incomplete(cf, name,
                                      "has a \"map after\" and no "
                                      "\"strings\"");
        }

        /* all of them stand before the map where their number is known */

        if (d->strings.lengths) {
            d->strings.n = d->strings.lengths->nelts;
        }
    }

    return NGX_CONF_OK;
}


/* with an id a frame of ours has to have it, and a length that is right */

static char *
ngx_mesh_protocol_check_template(ngx_conf_t *cf, ngx_str_t *name,
    ngx_mesh_declared_t *d, ngx_array_t *parts, char *what)
{
    size_t            at;
    ngx_uint_t        i, id, fixed, texts, to;
    ngx_mesh_part_t  *part;
    ngx_mesh_field_t *length;

    if (parts == NULL) {
        return NGX_CONF_OK;
    }

    part = parts->elts;
    to = (parts == d->heartbeat) ? NGX_MESH_TO_PROVIDER : NGX_MESH_TO_CLIENT;
    length = d->lengths[to].elts;
    id = 0;
    at = 0;
    fixed = 1;
    texts = 0;

    for (i = 0; i < parts->nelts; i++) {

        switch (part[i].type) {

        case NGX_MESH_PART_ID:
            id = 1;

            if (fixed && d->after.size == 0 && at != d->id.offset) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%s\" of protocol \"%V\" has {id} at %uz, "
                                   "it must be at %ui", what, name, at,
                                   (ngx_uint_t) d->id.offset);
                return NGX_CONF_ERROR;
            }

            at += d->id.size;
            break;

        case NGX_MESH_PART_LENGTH:
            if (d->lengths[to].nelts != 1 || (fixed && at != length->offset)) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%s\" of protocol \"%V\" has {length} "
                                   "where no \"length\" is declared", what,
                                   name);
                return NGX_CONF_ERROR;
            }

            part[i].field = *length;
            part[i].add = d->add[to];
            at += length->size;
            break;

        case NGX_MESH_PART_TEXT:
            if (parts != d->error) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%s\" of protocol \"%V\" has {text}, "
                                   "which only an \"error\" has", what, name);
                return NGX_CONF_ERROR;
            }

            fixed = 0;
            texts++;
            at += 5;
            break;

        case NGX_MESH_PART_STATUS:
            part[i].field.little = d->status.little;
            at += part[i].field.size;
            break;

        default: /* NGX_MESH_PART_BYTES */
            at += part[i].bytes.len;
        }
    }

    if (d->id.size && !id) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" of protocol \"%V\" has no {id}", what,
                           name);
        return NGX_CONF_ERROR;
    }

    if (at > NGX_MESH_PROTOCOL_TEMPLATE || texts > NGX_MESH_PROTOCOL_TEXTS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" of protocol \"%V\" is too long, it may have "
                           "%d bytes, of which each {text} takes 5, and %d "
                           "{text}", what, name, NGX_MESH_PROTOCOL_TEMPLATE,
                           NGX_MESH_PROTOCOL_TEXTS);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_mesh_protocol_known(ngx_str_t *protocol)
{
    ngx_uint_t                i;
    ngx_mesh_core_conf_t     *ccf;
    const ngx_mesh_codec_t  **declared;

    if (ngx_mesh_codec_find(protocol)) {
        return 1;
    }

    ccf = ngx_mesh_get_conf((ngx_cycle_t *) ngx_cycle, &ngx_mesh_core_module);

    if (ccf == NULL || ccf->protocols == NULL) {
        return 0;
    }

    declared = ccf->protocols->elts;

    for (i = 0; i < ccf->protocols->nelts; i++) {
        if (declared[i]->name.len == protocol->len
            && ngx_strncmp(declared[i]->name.data, protocol->data,
                           protocol->len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}
