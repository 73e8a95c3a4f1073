
/*
 * Copyright (C) nginx-mesh authors
 */


#include "ngx_mesh_metadata_int.h"


/*
 * An instance registers its metadata as tags "key=value", or as Meta:
 *
 *   dubbo.endpoints                   [{"port":20880,"protocol":"dubbo"},...]
 *   dubbo.metadata.revision           "0": nothing is exported
 *   dubbo.metadata.storage-type       "remote": in a metadata centre
 *   dubbo.metadata-service.url-params {"port":"20881","protocol":"dubbo",...}
 *   timestamp, and whatever the user adds
 */


/* a URL in a record has no more bytes */
#define NGX_MESH_METADATA_URL  65535


static ngx_uint_t ngx_mesh_metadata_critical(cJSON *entry);
static ngx_int_t ngx_mesh_metadata_host(ngx_mesh_metadata_instance_t *in);
static void ngx_mesh_metadata_ports(ngx_mesh_metadata_instance_t *in);
static ngx_int_t ngx_mesh_metadata_asked(ngx_mesh_metadata_instance_t *in,
    ngx_pool_t *pool);
static char *ngx_mesh_metadata_value(cJSON *service, char *name);
static char *ngx_mesh_metadata_text(cJSON *value, char *name);
static ngx_uint_t ngx_mesh_metadata_number(cJSON *value);
static ngx_int_t ngx_mesh_metadata_url(ngx_mesh_metadata_instance_t *in,
    ngx_mesh_metadata_service_t *service, ngx_uint_t port, ngx_pool_t *pool,
    ngx_str_t *url);
static ngx_int_t ngx_mesh_metadata_inherit(ngx_mesh_metadata_instance_t *in,
    ngx_mesh_metadata_service_t *service, ngx_array_t *params);
static ngx_int_t ngx_mesh_metadata_pair(ngx_array_t *params, char *key,
    size_t len, char *value);
static ngx_uint_t ngx_mesh_metadata_plain(ngx_str_t *s, ngx_uint_t key);


ngx_int_t
ngx_mesh_metadata_instance(cJSON *entry, ngx_pool_t *pool,
    ngx_mesh_metadata_instance_t *in)
{
    char  *s;

    ngx_memzero(in, sizeof(ngx_mesh_metadata_instance_t));

    in->entry = entry;
    in->service = cJSON_GetObjectItemCaseSensitive(entry, "Service");

    if (!cJSON_IsObject(in->service)) {
        return NGX_DECLINED;
    }

    s = ngx_mesh_metadata_value(in->service, "dubbo.metadata.revision");

    if (s == NULL || ngx_mesh_metadata_host(in) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_mesh_metadata_critical(entry)) {
        return NGX_DONE;
    }

    if (ngx_strcmp(s, "0") != 0) {
        in->revision.data = (u_char *) s;
        in->revision.len = ngx_strlen(s);
    }

    for ( /* void */ ; *s; s++) {
        if ((u_char) *s < ' ') {
            return NGX_DECLINED;
        }
    }

    in->port = ngx_mesh_metadata_number(
                    cJSON_GetObjectItemCaseSensitive(in->service, "Port"));

    s = ngx_mesh_metadata_value(in->service, "dubbo.metadata.storage-type");
    in->remote = (s && ngx_strcmp(s, "remote") == 0);

    ngx_mesh_metadata_ports(in);

    return ngx_mesh_metadata_asked(in, pool);
}


/* one that drains is critical too, but goes on answering */

static ngx_uint_t
ngx_mesh_metadata_critical(cJSON *entry)
{
    char   *id, *status;
    cJSON  *check;

    cJSON_ArrayForEach(check,
                       cJSON_GetObjectItemCaseSensitive(entry, "Checks"))
    {
        id = ngx_mesh_metadata_text(check, "CheckID");
        status = ngx_mesh_metadata_text(check, "Status");

        if (status == NULL || ngx_strcmp(status, "critical") != 0) {
            continue;
        }

        if (id == NULL
            || (ngx_strcmp(id, "_node_maintenance") != 0
                && ngx_strncmp(id, "_service_maintenance:", 21) != 0))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_mesh_metadata_host(ngx_mesh_metadata_instance_t *in)
{
    char  *s;

    s = ngx_mesh_metadata_text(in->service, "Address");

    if (s == NULL || *s == '\0') {
        s = ngx_mesh_metadata_text(
                        cJSON_GetObjectItemCaseSensitive(in->entry, "Node"),
                        "Address");
    }

    if (s == NULL || *s == '\0') {
        return NGX_DECLINED;
    }

    in->host.data = (u_char *) s;
    in->host.len = ngx_strlen(s);

    return NGX_OK;
}


static void
ngx_mesh_metadata_ports(ngx_mesh_metadata_instance_t *in)
{
    char   *s, *protocol;
    cJSON  *list, *v;

    s = ngx_mesh_metadata_value(in->service, "dubbo.endpoints");
    list = s ? cJSON_Parse(s) : NULL;

    if (!cJSON_IsArray(list)) {

        /* a single protocol was not worth a list to early versions of 3.0 */

        cJSON_Delete(list);
        in->dubbo = in->port;
        return;
    }

    cJSON_ArrayForEach(v, list) {
        protocol = ngx_mesh_metadata_text(v, "protocol");

        if (protocol && ngx_strcmp(protocol, "dubbo") == 0) {
            in->dubbo = ngx_mesh_metadata_number(
                                cJSON_GetObjectItemCaseSensitive(v, "port"));
        }
    }

    cJSON_Delete(list);
}


/* without a word about it the metadata is where the services are */

static ngx_int_t
ngx_mesh_metadata_asked(ngx_mesh_metadata_instance_t *in, ngx_pool_t *pool)
{
    char       *s, *protocol;
    cJSON      *params;
    ngx_str_t   name;

    ngx_str_set(&in->asked, "dubbo");

    s = ngx_mesh_metadata_value(in->service,
                                "dubbo.metadata-service.url-params");
    if (s == NULL) {
        in->asked_port = in->remote ? 0 : in->dubbo;
        return NGX_OK;
    }

    params = cJSON_Parse(s);
    protocol = ngx_mesh_metadata_text(params, "protocol");

    in->asked_port = ngx_mesh_metadata_number(
                            cJSON_GetObjectItemCaseSensitive(params, "port"));

    if (protocol) {
        name.data = (u_char *) protocol;
        name.len = ngx_strlen(protocol);

        in->asked.len = name.len;
        in->asked.data = ngx_pstrdup(pool, &name);
    }

    cJSON_Delete(params);

    return in->asked.data ? NGX_OK : NGX_ERROR;
}


static char *
ngx_mesh_metadata_value(cJSON *service, char *name)
{
    char    *s;
    cJSON   *tag;
    size_t   len;

    len = ngx_strlen(name);

    cJSON_ArrayForEach(tag,
                       cJSON_GetObjectItemCaseSensitive(service, "Tags"))
    {
        s = cJSON_IsString(tag) ? tag->valuestring : "";

        if (ngx_strncmp(s, name, len) == 0 && s[len] == '=') {
            return s + len + 1;
        }
    }

    return ngx_mesh_metadata_text(
                    cJSON_GetObjectItemCaseSensitive(service, "Meta"), name);
}


static char *
ngx_mesh_metadata_text(cJSON *value, char *name)
{
    value = cJSON_GetObjectItemCaseSensitive(value, name);

    return cJSON_IsString(value) ? value->valuestring : NULL;
}


/* a port, as a number or as text; 0: none */

static ngx_uint_t
ngx_mesh_metadata_number(cJSON *value)
{
    ngx_int_t  n;

    n = 0;

    if (cJSON_IsNumber(value)) {
        n = value->valueint;

    } else if (cJSON_IsString(value)) {
        n = ngx_atoi((u_char *) value->valuestring,
                     ngx_strlen(value->valuestring));
    }

    return (n > 0 && n < 65536) ? (ngx_uint_t) n : 0;
}


ngx_uint_t
ngx_mesh_metadata_foreign(ngx_mesh_metadata_service_t *service)
{
    ngx_str_t   list, part;
    ngx_uint_t  i;

    if (ngx_mesh_registry_is(&service->protocol, "dubbo")) {
        return 0;
    }

    /* a port of Triple may take calls of Dubbo as well */

    for (i = 0; i < service->nparams; i++) {

        if (!ngx_mesh_registry_is(&service->params[i].key, "ext.protocol")) {
            continue;
        }

        list = service->params[i].value;

        while (ngx_mesh_list_part(&list, &part)) {
            if (ngx_mesh_registry_is(&part, "dubbo")) {
                return 0;
            }
        }
    }

    return 1;
}


cJSON *
ngx_mesh_metadata_entry(ngx_mesh_metadata_instance_t *in,
    ngx_mesh_metadata_service_t *service, ngx_pool_t *pool)
{
    char         *names[] = { "ID", "Weights", "Namespace", "Partition" };
    cJSON        *entry, *s, *v, *meta;
    ngx_str_t     url, path;
    ngx_uint_t    i, port;

    port = service->port ? service->port : in->dubbo;

    path.len = service->path.len + 1;
    path.data = ngx_pnalloc(pool, path.len);

    if (path.data == NULL
        || ngx_mesh_metadata_url(in, service, port, pool, &url) != NGX_OK)
    {
        return NULL;
    }

    (void) ngx_cpystrn(path.data, service->path.data, path.len);

    entry = cJSON_CreateObject();
    s = cJSON_AddObjectToObject(entry, "Service");
    meta = cJSON_AddObjectToObject(s, "Meta");
    v = cJSON_AddArrayToObject(s, "Tags");

    /* whatever fails: the last one does then, too */

    (void) cJSON_AddItemToArray(v, cJSON_CreateString("dubbo"));
    (void) cJSON_AddStringToObject(s, "Service", (char *) path.data);
    (void) cJSON_AddStringToObject(meta, "url", (char *) url.data);

    v = cJSON_GetObjectItemCaseSensitive(in->entry, "Node");

    if (v) {
        (void) cJSON_AddItemReferenceToObject(entry, "Node", v);
    }

    v = cJSON_GetObjectItemCaseSensitive(in->entry, "Checks");

    if (v) {
        (void) cJSON_AddItemReferenceToObject(entry, "Checks", v);
    }

    for (i = 0; i < sizeof(names) / sizeof(char *); i++) {
        v = cJSON_GetObjectItemCaseSensitive(in->service, names[i]);

        if (v) {
            (void) cJSON_AddItemReferenceToObject(s, names[i], v);
        }
    }

    (void) cJSON_AddNumberToObject(s, "Port", (double) port);

    if (cJSON_GetObjectItemCaseSensitive(meta, "url") == NULL
        || cJSON_AddStringToObject(s, "Address", (char *) in->host.data)
           == NULL)
    {
        cJSON_Delete(entry);
        return NULL;
    }

    return entry;
}


/* as its URL would be; what says the same of all services comes last */

static ngx_int_t
ngx_mesh_metadata_url(ngx_mesh_metadata_instance_t *in,
    ngx_mesh_metadata_service_t *service, ngx_uint_t port, ngx_pool_t *pool,
    ngx_str_t *url)
{
    u_char        *p, *last;
    size_t         len;
    ngx_uint_t     i, v6;
    ngx_array_t    params;
    ngx_keyval_t  *kv;

    if (ngx_array_init(&params, pool, service->nparams + 8,
                       sizeof(ngx_keyval_t))
        != NGX_OK
        || ngx_mesh_metadata_inherit(in, service, &params) != NGX_OK)
    {
        return NGX_ERROR;
    }

    kv = params.elts;
    v6 = (ngx_strlchr(in->host.data, in->host.data + in->host.len, ':')
          != NULL);

    len = sizeof("dubbo://[]:65535/?group=&version=")
          + service->protocol.len + in->host.len + service->path.len
          + service->group.len + service->version.len;

    for (i = 0; i < params.nelts; i++) {
        len += kv[i].key.len + kv[i].value.len + 2;
    }

    len = ngx_min(len, NGX_MESH_METADATA_URL + 1);

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    url->data = p;
    last = p + len - 1;

    p = ngx_slprintf(p, last, v6 ? "%V://[%V]:%ui/%V?group=%V&version=%V"
                                 : "%V://%V:%ui/%V?group=%V&version=%V",
                     &service->protocol, &in->host, port, &service->path,
                     &service->group, &service->version);

    for (i = 0; i < params.nelts; i++) {

        if (kv[i].key.len + kv[i].value.len + 2 <= (size_t) (last - p)) {
            p = ngx_slprintf(p, last, "&%V=%V", &kv[i].key, &kv[i].value);
        }
    }

    *p = '\0';
    url->len = p - url->data;

    return NGX_OK;
}


/* those of the service, and those of the instance that it does not have */

static ngx_int_t
ngx_mesh_metadata_inherit(ngx_mesh_metadata_instance_t *in,
    ngx_mesh_metadata_service_t *service, ngx_array_t *params)
{
    char          *s, *eq;
    cJSON         *v;
    ngx_uint_t     i;
    ngx_keyval_t  *kv;

    for (i = 0; i < service->nparams; i++) {

        if (!ngx_mesh_metadata_plain(&service->params[i].key, 1)
            || !ngx_mesh_metadata_plain(&service->params[i].value, 0))
        {
            continue;
        }

        kv = ngx_array_push(params);
        if (kv == NULL) {
            return NGX_ERROR;
        }

        *kv = service->params[i];
    }

    cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(in->service,
                                                           "Tags"))
    {
        s = cJSON_IsString(v) ? v->valuestring : "";
        eq = strchr(s, '=');

        if (eq && ngx_mesh_metadata_pair(params, s, eq - s, eq + 1)
                  != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(in->service,
                                                           "Meta"))
    {
        if (cJSON_IsString(v)
            && ngx_mesh_metadata_pair(params, v->string,
                                      ngx_strlen(v->string), v->valuestring)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_metadata_pair(ngx_array_t *params, char *key, size_t len,
    char *value)
{
    ngx_str_t      k, v;
    ngx_uint_t     i;
    ngx_keyval_t  *kv;

    k.data = (u_char *) key;
    k.len = len;
    v.data = (u_char *) value;
    v.len = ngx_strlen(value);

    /* what is about the metadata is of no use in a record */

    if (!ngx_mesh_metadata_plain(&k, 1) || !ngx_mesh_metadata_plain(&v, 0)
        || (len > 14 && ngx_strncmp(key, "dubbo.metadata", 14) == 0)
        || ngx_mesh_registry_is(&k, "dubbo.endpoints")
        || ngx_mesh_registry_is(&k, "meta-v"))
    {
        return NGX_OK;
    }

    kv = params->elts;

    for (i = 0; i < params->nelts; i++) {
        if (kv[i].key.len == len
            && ngx_memcmp(kv[i].key.data, key, len) == 0)
        {
            return NGX_OK;
        }
    }

    kv = ngx_array_push(params);
    if (kv == NULL) {
        return NGX_ERROR;
    }

    kv->key = k;
    kv->value = v;

    return NGX_OK;
}


/* what a URL without escapes can have, and group and version have a place */

static ngx_uint_t
ngx_mesh_metadata_plain(ngx_str_t *s, ngx_uint_t key)
{
    u_char      *p;
    ngx_uint_t   i;

    for (i = 0; i < s->len; i++) {
        p = s->data + i;

        if (*p < ' ' || *p == '&' || (key && *p == '=')) {
            return 0;
        }
    }

    if (!key) {
        return s->len > 0;
    }

    return s->len > 0 && !ngx_mesh_registry_is(s, "group")
           && !ngx_mesh_registry_is(s, "version");
}


ngx_int_t
ngx_mesh_metadata_place(ngx_mesh_metadata_place_t *place, ngx_str_t *host,
    ngx_uint_t port, ngx_uint_t http)
{
    ngx_addr_t         addr;
    ngx_pool_t        *pool;
    struct sockaddr   *sa;

    ngx_memzero(place, sizeof(ngx_mesh_metadata_place_t));

    pool = ngx_create_pool(256, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_parse_addr(pool, &addr, host->data, host->len) != NGX_OK) {
        ngx_destroy_pool(pool);
        return NGX_DECLINED;
    }

    sa = (struct sockaddr *) place->sockaddr;

    ngx_memcpy(sa, addr.sockaddr, addr.socklen);
    ngx_destroy_pool(pool);

    ngx_inet_set_port(sa, (in_port_t) port);

    place->addr.sockaddr = sa;
    place->addr.socklen = addr.socklen;
    place->addr.name.data = place->text;
    place->addr.name.len = ngx_sock_ntop(sa, addr.socklen, place->text,
                                         NGX_SOCKADDR_STRLEN, 1);
    place->addr.host = place->addr.name;
    place->addr.url = place->addr.name;
    place->http = http;

    return NGX_OK;
}
