
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_stream.h"


static char *ngx_mesh_stream_slot_result(ngx_conf_t *cf, ngx_command_t *cmd,
    char *rc);
static char *ngx_mesh_stream_next_param(ngx_conf_t *cf,
    ngx_mesh_proxy_conf_t *pc, ngx_str_t *value);
static ngx_int_t ngx_mesh_stream_pattern(ngx_str_t *pattern);
static ngx_int_t ngx_mesh_stream_check_srv_conf(ngx_conf_t *cf,
    ngx_mesh_stream_srv_conf_t *conf, ngx_uint_t buffer_size_set);
static ngx_int_t ngx_mesh_stream_share_link(ngx_conf_t *cf,
    ngx_mesh_stream_srv_conf_t *conf);


/*
 * The stock slots say what is wrong but not what would be right: these say
 * both, from the bounds that the command's "post" points to.
 */

char *
ngx_mesh_stream_msec_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_mesh_stream_slot_result(cf, cmd,
                                       ngx_conf_set_msec_slot(cf, cmd, conf));
}


char *
ngx_mesh_stream_size_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_mesh_stream_slot_result(cf, cmd,
                                       ngx_conf_set_size_slot(cf, cmd, conf));
}


char *
ngx_mesh_stream_num_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_mesh_stream_slot_result(cf, cmd,
                                       ngx_conf_set_num_slot(cf, cmd, conf));
}


static char *
ngx_mesh_stream_slot_result(ngx_conf_t *cf, ngx_command_t *cmd, char *rc)
{
    ngx_str_t                 *value;
    ngx_mesh_stream_bounds_t  *bounds;

    if (rc == NGX_CONF_OK || rc == NGX_CONF_ERROR
        || ngx_strncmp(rc, "invalid", 7) != 0)
    {
        return rc;
    }

    bounds = cmd->post;
    value = cf->args->elts;

    return ngx_mesh_stream_invalid(cf, &value[1], bounds->right);
}


char *
ngx_mesh_stream_check_bounds(ngx_conf_t *cf, void *post, void *data)
{
    ngx_mesh_stream_bounds_t *bounds = post;
    ngx_uint_t *np = data;

    ngx_str_t  *value;

    if (*np >= bounds->low && *np <= bounds->high) {
        return NGX_CONF_OK;
    }

    value = cf->args->elts;

    return ngx_mesh_stream_invalid(cf, &value[1], bounds->right);
}


char *
ngx_mesh_stream_invalid(ngx_conf_t *cf, ngx_str_t *value, char *right)
{
    ngx_str_t  *name;

    name = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive, "
                       "it must be %s", value, name, right);

    return NGX_CONF_ERROR;
}


char *
ngx_mesh_stream_heartbeat(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_stream_srv_conf_t *mscf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") != 0) {
        return ngx_mesh_stream_msec_slot(cf, cmd, conf);
    }

    if (mscf->link.heartbeat != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    mscf->link.heartbeat = 0;

    return NGX_CONF_OK;
}


char *
ngx_mesh_stream_multiplex(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_stream_srv_conf_t *mscf = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    if (mscf->link.multiplex != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        mscf->link.multiplex = 1;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        mscf->link.multiplex = 0;

    } else {
        return ngx_mesh_stream_invalid(cf, &value[1], "\"on\" or \"off\"");
    }

    mscf->link.links = 1;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (mscf->link.multiplex == 0) {
        return ngx_mesh_stream_invalid(cf, &value[2],
                                       "given with \"on\" only");
    }

    if (ngx_strncmp(value[2].data, "links=", 6) == 0) {
        n = ngx_atoi(value[2].data + 6, value[2].len - 6);

        if (n >= 1 && n <= 64) {
            mscf->link.links = n;
            return NGX_CONF_OK;
        }
    }

    return ngx_mesh_stream_invalid(cf, &value[2],
                                   "links=N with N from 1 to 64");
}


char *
ngx_mesh_stream_deadline(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_stream_srv_conf_t *mscf = conf;

    ngx_str_t  *value;

    if (mscf->proxy.deadline != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "auto") == 0) {
        mscf->proxy.deadline = NGX_MESH_DEADLINE_AUTO;

    } else if (ngx_strcmp(value[1].data, "always") == 0) {
        mscf->proxy.deadline = NGX_MESH_DEADLINE_ALWAYS;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        mscf->proxy.deadline = NGX_MESH_DEADLINE_OFF;

    } else {
        return ngx_mesh_stream_invalid(cf, &value[1],
                                       "\"auto\", \"always\" or \"off\"");
    }

    return NGX_CONF_OK;
}


char *
ngx_mesh_stream_next_upstream(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_stream_srv_conf_t *mscf = conf;

    char                   *rv;
    ngx_str_t              *value;
    ngx_uint_t              i;
    ngx_mesh_proxy_conf_t  *pc;

    pc = &mscf->proxy;

    if (pc->next_upstream != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    pc->next_upstream = 0;
    pc->tries = 2;
    pc->budget = 20;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "off") == 0 && cf->args->nelts != 2) {
            return ngx_mesh_stream_invalid(cf, &value[i],
                                           "the only parameter");
        }

        rv = ngx_mesh_stream_next_param(cf, pc, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (pc->next_upstream == 0) {
        return "needs at least one of \"error\", \"timeout\" and \"off\"";
    }

    return NGX_CONF_OK;
}


static char *
ngx_mesh_stream_next_param(ngx_conf_t *cf, ngx_mesh_proxy_conf_t *pc,
    ngx_str_t *value)
{
    ngx_int_t  n;

    if (ngx_strcmp(value->data, "error") == 0) {
        pc->next_upstream |= NGX_MESH_NEXT_ERROR;

    } else if (ngx_strcmp(value->data, "timeout") == 0) {
        pc->next_upstream |= NGX_MESH_NEXT_TIMEOUT;

    } else if (ngx_strcmp(value->data, "off") == 0) {
        pc->next_upstream = NGX_MESH_NEXT_OFF;

    } else if (ngx_strncmp(value->data, "tries=", 6) == 0) {
        n = ngx_atoi(value->data + 6, value->len - 6);

        if (n < 1 || n > 16) {
            return ngx_mesh_stream_invalid(cf, value,
                                           "tries=N with N from 1 to 16");
        }

        pc->tries = n;

    } else if (ngx_strncmp(value->data, "budget=", 7) == 0) {
        n = NGX_ERROR;

        if (value->data[value->len - 1] == '%') {
            n = ngx_atoi(value->data + 7, value->len - 8);
        }

        if (n < 0 || n > 100) {
            return ngx_mesh_stream_invalid(cf, value,
                                           "budget=N% with N from 0 to 100");
        }

        pc->budget = n;

    } else {
        return ngx_mesh_stream_invalid(cf, value,
                   "one of error, timeout, off, tries=N and budget=N%");
    }

    return NGX_CONF_OK;
}


char *
ngx_mesh_stream_idempotent(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_stream_srv_conf_t *mscf = conf;

    u_char                 *p;
    ngx_str_t              *value;
    ngx_uint_t              i;
    ngx_mesh_idempotent_t  *ip;

    if (mscf->proxy.idempotent == NGX_CONF_UNSET_PTR) {
        mscf->proxy.idempotent = ngx_array_create(cf->pool, 4,
                                               sizeof(ngx_mesh_idempotent_t));
        if (mscf->proxy.idempotent == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        ip = ngx_array_push(mscf->proxy.idempotent);
        if (ip == NULL) {
            return NGX_CONF_ERROR;
        }

        /* the service may have a version, so the last colon counts */

        p = value[i].data + value[i].len;

        while (p > value[i].data && p[-1] != ':') {
            p--;
        }

        if (p == value[i].data) {
            goto invalid;
        }

        ip->service.data = value[i].data;
        ip->service.len = p - 1 - value[i].data;

        ip->method.data = p;
        ip->method.len = value[i].data + value[i].len - p;

        if (ngx_mesh_stream_pattern(&ip->service) != NGX_OK
            || ngx_mesh_stream_pattern(&ip->method) != NGX_OK)
        {
            goto invalid;
        }
    }

    return NGX_CONF_OK;

invalid:

    return ngx_mesh_stream_invalid(cf, &value[i],
               "service:method, each with at most one \"*\" at its beginning "
               "or end, such as com.example.*:get*");
}


static ngx_int_t
ngx_mesh_stream_pattern(ngx_str_t *pattern)
{
    size_t      i;
    ngx_uint_t  n;

    n = 0;

    for (i = 0; i < pattern->len; i++) {

        if (pattern->data[i] != '*') {
            continue;
        }

        if (i != 0 && i != pattern->len - 1) {
            return NGX_ERROR;
        }

        n++;
    }

    return (pattern->len == 0 || n > 1) ? NGX_ERROR : NGX_OK;
}


char *
ngx_mesh_stream_default_service(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_stream_srv_conf_t *mscf = conf;

    ngx_str_t  *value;

    if (mscf->proxy.default_service.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return ngx_mesh_stream_invalid(cf, &value[1],
                                       "the name of a service in mesh {}");
    }

    if (ngx_mesh_require(cf, "mesh_default_service", &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    mscf->proxy.default_service = value[1];

    return NGX_CONF_OK;
}


void *
ngx_mesh_stream_create_srv_conf(ngx_conf_t *cf)
{
    ngx_mesh_stream_srv_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_mesh_stream_srv_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->proxy.codecs = NULL;
     *     conf->proxy.tries = 0;
     *     conf->proxy.budget = 0;
     *     conf->proxy.default_service = { 0, NULL };
     *     conf->proxy.listener = { 0, NULL };
     *     conf->proxy.link = NULL;
     *     conf->proxy.attachments = NULL;
     *     conf->proxy.log = NULL;
     *     conf->link.links = 0;
     *     conf->logs = NULL;
     *     conf->off = 0;
     */

    conf->proxy.timeout = NGX_CONF_UNSET_MSEC;
    conf->proxy.discovery_timeout = NGX_CONF_UNSET_MSEC;
    conf->proxy.header_timeout = NGX_CONF_UNSET_MSEC;
    conf->proxy.client_timeout = NGX_CONF_UNSET_MSEC;
    conf->proxy.deadline = NGX_CONF_UNSET_UINT;
    conf->proxy.max_frame = NGX_CONF_UNSET_SIZE;
    conf->proxy.buffer_size = NGX_CONF_UNSET_SIZE;
    conf->proxy.client_buffer = NGX_CONF_UNSET_SIZE;
    conf->proxy.max_requests = NGX_CONF_UNSET_UINT;
    conf->proxy.next_upstream = NGX_CONF_UNSET_UINT;
    conf->proxy.idempotent = NGX_CONF_UNSET_PTR;
    conf->proxy.handover = NGX_CONF_UNSET;
    conf->proxy.handover_timeout = NGX_CONF_UNSET_MSEC;

    conf->link.connect_timeout = NGX_CONF_UNSET_MSEC;
    conf->link.heartbeat = NGX_CONF_UNSET_MSEC;
    conf->link.link_buffer = NGX_CONF_UNSET_SIZE;
    conf->link.multiplex = NGX_CONF_UNSET;

#if (NGX_SSL)
    ngx_mesh_stream_ssl_create(&conf->ssl);
#endif

    return conf;
}


char *
ngx_mesh_stream_merge_srv_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_mesh_stream_srv_conf_t *prev = parent;
    ngx_mesh_stream_srv_conf_t *conf = child;

    ngx_uint_t              set;
    ngx_mesh_link_conf_t   *plc, *lc;
    ngx_mesh_proxy_conf_t  *ppc, *pc;

    ppc = &prev->proxy;
    pc = &conf->proxy;

    plc = &prev->link;
    lc = &conf->link;

    ngx_conf_merge_msec_value(pc->timeout, ppc->timeout, 3000);
    ngx_conf_merge_msec_value(pc->discovery_timeout, ppc->discovery_timeout,
                              1000);
    ngx_conf_merge_msec_value(pc->header_timeout, ppc->header_timeout, 10000);
    ngx_conf_merge_msec_value(pc->client_timeout, ppc->client_timeout, 600000);
    ngx_conf_merge_uint_value(pc->deadline, ppc->deadline,
                              NGX_MESH_DEADLINE_AUTO);

    set = (pc->buffer_size != NGX_CONF_UNSET_SIZE
           || ppc->buffer_size != NGX_CONF_UNSET_SIZE);

    ngx_conf_merge_size_value(pc->max_frame, ppc->max_frame, 8 * 1024 * 1024);
    ngx_conf_merge_size_value(pc->buffer_size, ppc->buffer_size,
                              ngx_min(16 * 1024, pc->max_frame));
    ngx_conf_merge_size_value(pc->client_buffer, ppc->client_buffer,
                              16 * 1024 * 1024);
    ngx_conf_merge_uint_value(pc->max_requests, ppc->max_requests, 1024);

    if (pc->next_upstream == NGX_CONF_UNSET_UINT) {

        if (ppc->next_upstream == NGX_CONF_UNSET_UINT) {
            ppc->next_upstream = NGX_MESH_NEXT_ERROR;
            ppc->tries = 2;
            ppc->budget = 20;
        }

        pc->next_upstream = ppc->next_upstream;
        pc->tries = ppc->tries;
        pc->budget = ppc->budget;
    }

    ngx_conf_merge_value(pc->handover, ppc->handover, 1);
    ngx_conf_merge_msec_value(pc->handover_timeout, ppc->handover_timeout,
                              10000);
    ngx_conf_merge_ptr_value(pc->idempotent, ppc->idempotent, NULL);
    ngx_conf_merge_str_value(pc->default_service, ppc->default_service, "");

    ngx_conf_merge_msec_value(lc->connect_timeout, plc->connect_timeout, 500);
    ngx_conf_merge_msec_value(lc->heartbeat, plc->heartbeat, 15000);
    ngx_conf_merge_size_value(lc->link_buffer, plc->link_buffer,
                              4 * 1024 * 1024);

    if (lc->multiplex == NGX_CONF_UNSET) {

        if (plc->multiplex == NGX_CONF_UNSET) {
            plc->multiplex = 1;
            plc->links = 1;
        }

        lc->multiplex = plc->multiplex;
        lc->links = plc->links;
    }

    if (conf->logs == NULL && !conf->off) {
        conf->logs = prev->logs;
        conf->off = prev->off;
    }

    if (pc->codecs && ngx_mesh_stream_check_srv_conf(cf, conf, set) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

#if (NGX_SSL)
    if (ngx_mesh_stream_ssl_merge(cf, prev, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
#endif

    if (pc->codecs && ngx_mesh_stream_share_link(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_mesh_stream_check_srv_conf(ngx_conf_t *cf,
    ngx_mesh_stream_srv_conf_t *conf, ngx_uint_t buffer_size_set)
{
    ngx_mesh_proxy_conf_t       *pc;
    ngx_stream_core_srv_conf_t  *cscf;

    pc = &conf->proxy;
    cscf = ngx_stream_conf_get_module_srv_conf(cf, ngx_stream_core_module);

    if (cscf->handler != ngx_mesh_stream_handler) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"mesh_pass\" conflicts with another content directive, "
                      "such as \"proxy_pass\", remove one of them "
                      "in server at %s:%ui", cscf->file_name, cscf->line);
        return NGX_ERROR;
    }

    if (buffer_size_set && pc->buffer_size > pc->max_frame) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"mesh_buffer_size\" %uz is larger than "
                      "\"mesh_max_frame\" %uz, make it smaller "
                      "in server at %s:%ui",
                      pc->buffer_size, pc->max_frame,
                      cscf->file_name, cscf->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_stream_share_link(ngx_conf_t *cf, ngx_mesh_stream_srv_conf_t *conf)
{
    ngx_mesh_stream_main_conf_t  *mmcf;

    mmcf = ngx_stream_conf_get_module_main_conf(cf, ngx_mesh_stream_module);

    conf->link.max_frame = conf->proxy.max_frame;
    conf->link.buffer_size = conf->proxy.buffer_size;

    conf->proxy.link = ngx_mesh_link_conf_share(&mmcf->links, &conf->link);

    return conf->proxy.link ? NGX_OK : NGX_ERROR;
}
