
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_registry_int.h"


#define NGX_MESH_REGISTRY_KEEP  16


static ngx_int_t ngx_mesh_registry_check_dir(ngx_cycle_t *cycle,
    ngx_mesh_core_conf_t *ccf, char *path);
static ngx_int_t ngx_mesh_registry_dir_error(ngx_cycle_t *cycle,
    ngx_mesh_core_conf_t *ccf, ngx_err_t err, char *path, char *what);


char *
ngx_mesh_registry_state_path(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_mesh_core_conf_t *ccf = conf;

    u_char      *p;
    ngx_int_t    keep;
    ngx_str_t   *value;
    ngx_path_t  *path;

    if (ccf->state_keep) {
        return "is duplicate";
    }

    value = cf->args->elts;
    ccf->state_keep = NGX_MESH_REGISTRY_KEEP;

    if (cf->args->nelts == 3) {

        keep = NGX_ERROR;

        if (ngx_strncmp(value[2].data, "keep=", 5) == 0) {
            keep = ngx_atoi(value[2].data + 5, value[2].len - 5);
        }

        if (keep < 2 || keep > 100000
            || ngx_strcmp(value[1].data, "off") == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in \"state_path\" "
                               "directive, it must be keep=N after a path, "
                               "N from 2 to 100000", &value[2]);
            return NGX_CONF_ERROR;
        }

        ccf->state_keep = keep;
    }

    if (ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    if (value[1].len == 0) {
        return "needs a path or \"off\"";
    }

    ccf->state_path = value[1];

    if (ngx_conf_full_name(cf->cycle, &ccf->state_path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    while (ccf->state_path.len > 1
           && ccf->state_path.data[ccf->state_path.len - 1] == '/')
    {
        ccf->state_path.len--;
    }

    p = ngx_pnalloc(cf->pool, 2 * ccf->state_path.len + sizeof("/agent") + 1);
    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));

    if (p == NULL || path == NULL) {
        return NGX_CONF_ERROR;
    }

    path->name.data = p;
    path->name.len = ngx_sprintf(p, "%V/agent%Z", &ccf->state_path) - p - 1;

    p += path->name.len + 1;
    (void) ngx_sprintf(p, "%V%Z", &ccf->state_path);
    ccf->state_path.data = p;

    path->manager = ngx_mesh_agent_manager;
    path->data = ccf;

    if (cf->conf_file && cf->conf_file->file.fd != NGX_INVALID_FILE) {
        path->conf_file = cf->conf_file->file.name.data;
        path->line = cf->conf_file->line;
    }

    ccf->agent_path = path;

    /* nginx makes the directories of its paths even to test a configuration */

    if (ngx_test_config || ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_CONF_OK;
    }

    return ngx_add_path(cf, &ccf->agent_path) == NGX_OK ? NGX_CONF_OK
                                                        : NGX_CONF_ERROR;
}


ngx_int_t
ngx_mesh_registry_init_conf(ngx_cycle_t *cycle)
{
    char                  *path;
    u_char                *slash;
    ngx_int_t              rc;
    ngx_file_info_t        fi;
    ngx_mesh_core_conf_t  *ccf;

    ccf = ngx_mesh_get_conf(cycle, &ngx_mesh_core_module);

    if (ccf == NULL) {
        return NGX_OK;
    }

    if (ngx_mesh_registry_init_sources(ccf, cycle->log) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mesh_source_init();

    if (ccf->agent_path == NULL || ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_OK;
    }

    path = (char *) ccf->state_path.data;
    rc = ngx_mesh_registry_check_dir(cycle, ccf, path);

    if (rc == NGX_DECLINED) {
        slash = (u_char *) strrchr(path, '/');
        *slash = '\0';

        if (stat(slash == ccf->state_path.data ? "/" : path, &fi) == -1
            || !ngx_is_dir(&fi))
        {
            rc = ngx_mesh_registry_dir_error(cycle, ccf, 0, path,
                                             "does not exist, make it");
            *slash = '/';
            return rc;
        }

        *slash = '/';
        rc = NGX_OK;

        /* nginx makes what is below as its user's; this one is nobody's */

        if (!ngx_test_config && mkdir(path, 0755) == -1
            && ngx_errno != NGX_EEXIST)
        {
            return ngx_mesh_registry_dir_error(cycle, ccf, ngx_errno, path,
                                               "cannot be made");
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_mesh_registry_check_dir(cycle, ccf,
                                         (char *) ccf->agent_path->name.data);
    }

    return rc == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


/* NGX_DECLINED: it is not there */

static ngx_int_t
ngx_mesh_registry_check_dir(ngx_cycle_t *cycle, ngx_mesh_core_conf_t *ccf,
    char *path)
{
    ngx_file_info_t  fi;

    if (lstat(path, &fi) == -1) {

        if (ngx_errno == NGX_ENOENT || ngx_errno == NGX_ENOTDIR) {
            return NGX_DECLINED;
        }

        /* who tests may be somebody else */

        return ngx_test_config ? NGX_OK
                               : ngx_mesh_registry_dir_error(cycle, ccf,
                                         ngx_errno, path, "cannot be used");
    }

    /* nginx gives what it finds there to its user, wherever a link leads */

    if (ngx_is_link(&fi)) {
        return ngx_mesh_registry_dir_error(cycle, ccf, 0, path,
                               "is a symbolic link, it must be a directory");
    }

    if (!ngx_is_dir(&fi)) {
        return ngx_mesh_registry_dir_error(cycle, ccf, 0, path,
                                           "is no directory");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_registry_dir_error(ngx_cycle_t *cycle, ngx_mesh_core_conf_t *ccf,
    ngx_err_t err, char *path, char *what)
{
    if (ccf->agent_path->conf_file) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, err,
                      "\"state_path\": \"%s\" %s in %s:%ui", path, what,
                      ccf->agent_path->conf_file, ccf->agent_path->line);

    } else {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, err,
                      "\"state_path\": \"%s\" %s", path, what);
    }

    return NGX_ERROR;
}
