
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_redis_server.h"


/* reads of one interface take at most a tenth of the time, but one comes in
   a second */
#define NGX_MESH_REDIS_PAUSE     20
#define NGX_MESH_REDIS_LONGEST   1000


static ngx_uint_t ngx_mesh_redis_server_line(ngx_str_t *line, char *name,
    ngx_str_t *value);
static void ngx_mesh_redis_server_id(u_char *id, ngx_str_t *value);
static ngx_uint_t ngx_mesh_redis_server_same(u_char *one, u_char *two);


void
ngx_mesh_redis_server_info(ngx_mesh_redis_server_t *server, ngx_str_t *text)
{
    u_char      *p, *end, *last;
    ngx_int_t    n;
    ngx_str_t    line, value;
    ngx_uint_t   role, limited;

    role = server->role;
    limited = 0;
    last = text->data + text->len;

    for (p = text->data; p < last; p = end + 1) {

        for (end = p; end < last && *end != LF; end++) {
            /* void */
        }

        line.data = p;
        line.len = end - p;

        if (line.len && line.data[line.len - 1] == CR) {
            line.len--;
        }

        if (ngx_mesh_redis_server_line(&line, "run_id:", &value)) {
            ngx_mesh_redis_server_id(server->run_id, &value);
            server->known = (server->run_id[0] != '\0');

        } else if (ngx_mesh_redis_server_line(&line, "master_replid:",
                                              &value))
        {
            ngx_mesh_redis_server_id(server->replid, &value);

        } else if (ngx_mesh_redis_server_line(&line, "master_replid2:",
                                              &value))
        {
            ngx_mesh_redis_server_id(server->replid2, &value);

        } else if (ngx_mesh_redis_server_line(&line, "uptime_in_seconds:",
                                              &value))
        {
            n = ngx_atoi(value.data, value.len);
            server->uptime = n == NGX_ERROR ? 0 : n;

        } else if (ngx_mesh_redis_server_line(&line, "maxmemory:", &value)) {
            limited = (value.len != 1 || value.data[0] != '0');

        } else if (ngx_mesh_redis_server_line(&line,
                                              "maxmemory_policy:allkeys-",
                                              &value))
        {
            server->evicts = limited;

        } else if (role == NGX_MESH_REDIS_ROLE_UNKNOWN
                   && ngx_mesh_redis_server_line(&line, "role:", &value)
                   && value.len)
        {
            server->role = value.data[0] == 's' ? NGX_MESH_REDIS_ROLE_REPLICA
                                                : NGX_MESH_REDIS_ROLE_MASTER;

        } else if (role == NGX_MESH_REDIS_ROLE_UNKNOWN
                   && ngx_mesh_redis_server_line(&line, "master_link_status:",
                                                 &value))
        {
            server->synced = (value.len == 2
                              && ngx_strncmp(value.data, "up", 2) == 0);
        }
    }
}


static ngx_uint_t
ngx_mesh_redis_server_line(ngx_str_t *line, char *name, ngx_str_t *value)
{
    size_t  len;

    len = ngx_strlen(name);

    if (line->len < len || ngx_strncmp(line->data, name, len) != 0) {
        return 0;
    }

    value->data = line->data + len;
    value->len = line->len - len;

    return 1;
}


static void
ngx_mesh_redis_server_id(u_char *id, ngx_str_t *value)
{
    size_t  len;

    len = ngx_min(value->len, NGX_MESH_REDIS_ID);

    ngx_memcpy(id, value->data, len);
    id[len] = '\0';
}


void
ngx_mesh_redis_server_role(ngx_mesh_redis_server_t *server,
    ngx_mesh_reply_t *reply)
{
    ngx_str_t          *s;
    ngx_mesh_reply_t  **element;

    if (reply->type != REDIS_REPLY_ARRAY || reply->nelements == 0
        || reply->elements[0]->type != REDIS_REPLY_STRING)
    {
        return;
    }

    element = reply->elements;
    s = &element[0]->str;

    if (ngx_strcmp(s->data, "slave") == 0
        || ngx_strcmp(s->data, "replica") == 0)
    {
        server->role = NGX_MESH_REDIS_ROLE_REPLICA;
        server->synced = (reply->nelements > 3
                          && element[3]->type == REDIS_REPLY_STRING
                          && ngx_strcmp(element[3]->str.data, "connected")
                             == 0);

    } else if (ngx_strcmp(s->data, "sentinel") == 0) {
        server->role = NGX_MESH_REDIS_ROLE_SENTINEL;

    } else {
        server->role = NGX_MESH_REDIS_ROLE_MASTER;
    }
}


char *
ngx_mesh_redis_server_wrong(ngx_mesh_redis_server_t *server,
    ngx_uint_t master)
{
    if (server->role == NGX_MESH_REDIS_ROLE_SENTINEL) {
        return "it is a Sentinel, which needs \"sentinel=\"";
    }

    if (server->role != NGX_MESH_REDIS_ROLE_REPLICA) {
        return NULL;
    }

    if (master) {
        return "it is a replica, not the master";
    }

    return server->synced ? NULL
                          : "it is a replica that is not in step with its "
                            "master";
}


ngx_uint_t
ngx_mesh_redis_server_doubtful(ngx_mesh_redis_server_t *known,
    ngx_mesh_redis_server_t *server, ngx_uint_t first, ngx_msec_t session)
{
    if (first) {
        return server->known && server->uptime * 1000 < session;
    }

    if (!known->known || !server->known) {
        return 1;
    }

    if (ngx_strcmp(known->run_id, server->run_id) == 0) {
        return 0;
    }

    /* a replica has its master's, and keeps it as the second one when it
       becomes the master itself */

    return !ngx_mesh_redis_server_same(known->replid, server->replid)
           && !ngx_mesh_redis_server_same(known->replid, server->replid2);
}


/* zeroes stand for none */

static ngx_uint_t
ngx_mesh_redis_server_same(u_char *one, u_char *two)
{
    u_char  *p;

    for (p = one; *p == '0'; p++) {
        /* void */
    }

    return *p != '\0' && ngx_strcmp(one, two) == 0;
}


ngx_msec_t
ngx_mesh_redis_server_pause(ngx_msec_t took)
{
    return ngx_min(ngx_max(took * 9, NGX_MESH_REDIS_PAUSE),
                   NGX_MESH_REDIS_LONGEST);
}
