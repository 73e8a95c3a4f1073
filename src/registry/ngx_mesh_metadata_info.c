
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_metadata_int.h"


/*
 * MetadataInfo of Dubbo: app, revision and a map of ServiceInfo, each with
 * name, group, version, protocol, port, path and a map of parameters.  JSON
 * leaves out what is null.
 */


/* one service as either form has it; strings are not copied yet */

typedef struct {
    ngx_str_t    name;
    ngx_str_t    path;
    ngx_str_t    group;
    ngx_str_t    version;
    ngx_str_t    protocol;
    int64_t      port;
} ngx_mesh_metadata_raw_t;


/* where copies go: references make a lot out of a few bytes */

typedef struct {
    ngx_pool_t  *pool;
    ngx_array_t *services;
    size_t       left;
} ngx_mesh_metadata_room_t;


static ngx_int_t ngx_mesh_metadata_tree_service(ngx_mesh_tree_t *value,
    ngx_mesh_metadata_room_t *room);
static ngx_int_t ngx_mesh_metadata_tree_params(ngx_mesh_tree_t *map,
    ngx_mesh_metadata_room_t *room, ngx_mesh_metadata_service_t *service);
static ngx_int_t ngx_mesh_metadata_json_service(cJSON *value,
    ngx_mesh_metadata_room_t *room);
static ngx_int_t ngx_mesh_metadata_json_params(cJSON *map,
    ngx_mesh_metadata_room_t *room, ngx_mesh_metadata_service_t *service);
static ngx_str_t ngx_mesh_metadata_json_string(cJSON *value, char *name);
static ngx_mesh_metadata_service_t *ngx_mesh_metadata_add(
    ngx_mesh_metadata_raw_t *raw, ngx_mesh_metadata_room_t *room);
static ngx_keyval_t *ngx_mesh_metadata_pairs(ngx_mesh_metadata_room_t *room,
    ngx_uint_t n);
static ngx_int_t ngx_mesh_metadata_copy(ngx_str_t *s,
    ngx_mesh_metadata_room_t *room);
static ngx_uint_t ngx_mesh_metadata_take(ngx_mesh_metadata_room_t *room,
    size_t n);
static ngx_int_t ngx_mesh_metadata_full(ngx_mesh_metadata_room_t *room,
    char **why);
static ngx_int_t ngx_mesh_metadata_check(ngx_str_t *revision,
    ngx_str_t *answered, ngx_uint_t found, char **why);


ngx_int_t
ngx_mesh_metadata_tree(ngx_mesh_tree_t *value, ngx_str_t *revision,
    ngx_pool_t *pool, ngx_array_t *services, char **why)
{
    ngx_str_t                  answered;
    ngx_mesh_tree_t           *map, *v;
    ngx_mesh_metadata_room_t   room;

    answered = ngx_mesh_tree_string(value, "revision");
    map = ngx_mesh_tree_find(value, "services");

    if (ngx_mesh_metadata_check(revision, &answered,
                                map && map->type == NGX_MESH_TREE_MAP, why)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    room.pool = pool;
    room.services = services;
    room.left = NGX_MESH_METADATA_ROOM;

    for (v = map->u.box.first; v; v = v->next) {

        v = v->next;

        if (ngx_mesh_metadata_tree_service(v, &room) != NGX_OK) {
            return ngx_mesh_metadata_full(&room, why);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_metadata_tree_service(ngx_mesh_tree_t *value,
    ngx_mesh_metadata_room_t *room)
{
    ngx_mesh_tree_t              *port;
    ngx_mesh_metadata_raw_t       raw;
    ngx_mesh_metadata_service_t  *service;

    raw.name = ngx_mesh_tree_string(value, "name");
    raw.path = ngx_mesh_tree_string(value, "path");
    raw.group = ngx_mesh_tree_string(value, "group");
    raw.version = ngx_mesh_tree_string(value, "version");
    raw.protocol = ngx_mesh_tree_string(value, "protocol");

    port = ngx_mesh_tree_find(value, "port");
    raw.port = (port && port->type == NGX_MESH_SERIAL_INT) ? port->u.num : 0;

    service = ngx_mesh_metadata_add(&raw, room);

    if (service == NULL) {
        return NGX_ERROR;
    }

    return ngx_mesh_metadata_tree_params(ngx_mesh_tree_find(value, "params"),
                                         room, service);
}


static ngx_int_t
ngx_mesh_metadata_tree_params(ngx_mesh_tree_t *map,
    ngx_mesh_metadata_room_t *room, ngx_mesh_metadata_service_t *service)
{
    ngx_uint_t        n;
    ngx_keyval_t     *kv;
    ngx_mesh_tree_t  *v, *key;

    if (map == NULL || map->type != NGX_MESH_TREE_MAP) {
        return NGX_OK;
    }

    for (n = 0, v = map->u.box.first; v; v = v->next) {
        n++;
    }

    kv = ngx_mesh_metadata_pairs(room, n / 2);
    if (kv == NULL) {
        return NGX_ERROR;
    }

    service->params = kv;

    for (v = map->u.box.first; v; v = v->next) {

        key = v;
        v = v->next;

        if (key->type != NGX_MESH_SERIAL_STRING
            || v->type != NGX_MESH_SERIAL_STRING)
        {
            continue;
        }

        kv->key = key->u.str;
        kv->value = v->u.str;

        if (ngx_mesh_metadata_copy(&kv->key, room) != NGX_OK
            || ngx_mesh_metadata_copy(&kv->value, room) != NGX_OK)
        {
            return NGX_ERROR;
        }

        kv++;
    }

    service->nparams = kv - service->params;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_metadata_json(cJSON *value, ngx_str_t *revision, ngx_pool_t *pool,
    ngx_array_t *services, char **why)
{
    cJSON                     *map, *v;
    ngx_str_t                  answered;
    ngx_mesh_metadata_room_t   room;

    answered = ngx_mesh_metadata_json_string(value, "revision");
    map = cJSON_GetObjectItemCaseSensitive(value, "services");

    if (ngx_mesh_metadata_check(revision, &answered, cJSON_IsObject(map), why)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    room.pool = pool;
    room.services = services;
    room.left = NGX_MESH_METADATA_ROOM;

    cJSON_ArrayForEach(v, map) {
        if (ngx_mesh_metadata_json_service(v, &room) != NGX_OK) {
            return ngx_mesh_metadata_full(&room, why);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_metadata_json_service(cJSON *value, ngx_mesh_metadata_room_t *room)
{
    cJSON                        *port;
    ngx_mesh_metadata_raw_t       raw;
    ngx_mesh_metadata_service_t  *service;

    raw.name = ngx_mesh_metadata_json_string(value, "name");
    raw.path = ngx_mesh_metadata_json_string(value, "path");
    raw.group = ngx_mesh_metadata_json_string(value, "group");
    raw.version = ngx_mesh_metadata_json_string(value, "version");
    raw.protocol = ngx_mesh_metadata_json_string(value, "protocol");

    port = cJSON_GetObjectItemCaseSensitive(value, "port");
    raw.port = cJSON_IsNumber(port) ? port->valueint : 0;

    service = ngx_mesh_metadata_add(&raw, room);

    if (service == NULL) {
        return NGX_ERROR;
    }

    return ngx_mesh_metadata_json_params(
                        cJSON_GetObjectItemCaseSensitive(value, "params"),
                        room, service);
}


static ngx_int_t
ngx_mesh_metadata_json_params(cJSON *map, ngx_mesh_metadata_room_t *room,
    ngx_mesh_metadata_service_t *service)
{
    cJSON         *v;
    ngx_keyval_t  *kv;

    if (!cJSON_IsObject(map)) {
        return NGX_OK;
    }

    kv = ngx_mesh_metadata_pairs(room, cJSON_GetArraySize(map));
    if (kv == NULL) {
        return NGX_ERROR;
    }

    service->params = kv;

    cJSON_ArrayForEach(v, map) {

        if (!cJSON_IsString(v)) {
            continue;
        }

        kv->key.data = (u_char *) v->string;
        kv->key.len = ngx_strlen(v->string);
        kv->value.data = (u_char *) v->valuestring;
        kv->value.len = ngx_strlen(v->valuestring);

        if (ngx_mesh_metadata_copy(&kv->key, room) != NGX_OK
            || ngx_mesh_metadata_copy(&kv->value, room) != NGX_OK)
        {
            return NGX_ERROR;
        }

        kv++;
    }

    service->nparams = kv - service->params;

    return NGX_OK;
}


static ngx_str_t
ngx_mesh_metadata_json_string(cJSON *value, char *name)
{
    cJSON      *v;
    ngx_str_t   s;

    ngx_str_null(&s);

    v = cJSON_GetObjectItemCaseSensitive(value, name);

    if (cJSON_IsString(v)) {
        s.data = (u_char *) v->valuestring;
        s.len = ngx_strlen(v->valuestring);
    }

    return s;
}


/* what has no name is kept all the same: nobody will ask for it */

static ngx_mesh_metadata_service_t *
ngx_mesh_metadata_add(ngx_mesh_metadata_raw_t *raw,
    ngx_mesh_metadata_room_t *room)
{
    ngx_mesh_metadata_service_t  *service;

    if (!ngx_mesh_metadata_take(room, sizeof(ngx_mesh_metadata_service_t))) {
        return NULL;
    }

    service = ngx_array_push(room->services);
    if (service == NULL) {
        return NULL;
    }

    ngx_memzero(service, sizeof(ngx_mesh_metadata_service_t));

    service->path = raw->path.len ? raw->path : raw->name;
    service->group = raw->group;
    service->version = raw->version;
    service->protocol = raw->protocol;

    if (raw->port > 0 && raw->port < 65536) {
        service->port = (ngx_uint_t) raw->port;
    }

    if (ngx_mesh_metadata_copy(&service->path, room) != NGX_OK
        || ngx_mesh_metadata_copy(&service->group, room) != NGX_OK
        || ngx_mesh_metadata_copy(&service->version, room) != NGX_OK
        || ngx_mesh_metadata_copy(&service->protocol, room) != NGX_OK)
    {
        return NULL;
    }

    return service;
}


static ngx_keyval_t *
ngx_mesh_metadata_pairs(ngx_mesh_metadata_room_t *room, ngx_uint_t n)
{
    if (!ngx_mesh_metadata_take(room, (n + 1) * sizeof(ngx_keyval_t))) {
        return NULL;
    }

    return ngx_palloc(room->pool, (n + 1) * sizeof(ngx_keyval_t));
}


static ngx_int_t
ngx_mesh_metadata_copy(ngx_str_t *s, ngx_mesh_metadata_room_t *room)
{
    if (s->len == 0) {
        return NGX_OK;
    }

    if (!ngx_mesh_metadata_take(room, s->len)) {
        return NGX_ERROR;
    }

    s->data = ngx_pstrdup(room->pool, s);

    return s->data ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_mesh_metadata_take(ngx_mesh_metadata_room_t *room, size_t n)
{
    if (n > room->left) {
        room->left = 0;
        return 0;
    }

    room->left -= n;

    return 1;
}


static ngx_int_t
ngx_mesh_metadata_full(ngx_mesh_metadata_room_t *room, char **why)
{
    if (room->left) {
        return NGX_ERROR;
    }

    *why = "it answered more than can be kept";

    return NGX_DECLINED;
}


static ngx_int_t
ngx_mesh_metadata_check(ngx_str_t *revision, ngx_str_t *answered,
    ngx_uint_t found, char **why)
{
    if (answered->len == 0 || !found) {
        *why = "it answered something else than metadata";
        return NGX_DECLINED;
    }

    /* it changed its services meanwhile, which the registry will tell */

    if (answered->len != revision->len
        || ngx_memcmp(answered->data, revision->data, revision->len) != 0)
    {
        *why = "it has another revision by now";
        return NGX_DECLINED;
    }

    return NGX_OK;
}
