
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_json.h"


/*
 * cJSON is lenient: it ends strings at NULs, takes control characters and
 * what is no UTF-8, and keeps one name twice.  A text is looked at first.
 */

typedef struct {
    u_char                 *p;
    u_char                 *last;
    ngx_uint_t              depth;
    ngx_uint_t              values;
    ngx_mesh_json_error_t  *error;
} ngx_mesh_json_scan_t;


static ngx_int_t ngx_mesh_json_scan(ngx_str_t *text,
    ngx_mesh_json_error_t *error);
static ngx_int_t ngx_mesh_json_scan_string(ngx_mesh_json_scan_t *scan);
static ngx_int_t ngx_mesh_json_scan_number(ngx_mesh_json_scan_t *scan);
static ngx_int_t ngx_mesh_json_wrong(ngx_mesh_json_scan_t *scan, char *text);
static void ngx_mesh_json_free(void *data);
static ngx_int_t ngx_mesh_json_unique(cJSON *value, ngx_pool_t *pool,
    ngx_mesh_json_error_t *error);
static ngx_int_t ngx_mesh_json_unique_keys(cJSON *object, ngx_pool_t *pool,
    ngx_mesh_json_error_t *error);
static int ngx_libc_cdecl ngx_mesh_json_order(const void *one,
    const void *two);
static int ngx_libc_cdecl ngx_mesh_json_member_order(const void *one,
    const void *two);
static cJSON *ngx_mesh_json_member(cJSON **members, ngx_uint_t n, char *name);
static ngx_int_t ngx_mesh_json_merge_member(cJSON *target, cJSON *child,
    cJSON *old);


cJSON *
ngx_mesh_json_parse(ngx_str_t *text, ngx_pool_t *pool,
    ngx_mesh_json_error_t *error)
{
    cJSON               *value;
    const char          *end;
    ngx_pool_cleanup_t  *cln;

    ngx_memzero(error, sizeof(ngx_mesh_json_error_t));

    if (ngx_mesh_json_scan(text, error) != NGX_OK) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    end = NULL;

    value = cJSON_ParseWithLengthOpts((char *) text->data, text->len, &end, 0);

    if (value == NULL) {
        error->text = "the body is not JSON";
        error->offset = end ? (size_t) ((u_char *) end - text->data) : 0;
        return NULL;
    }

    cln->handler = ngx_mesh_json_free;
    cln->data = value;

    while (end < (char *) text->data + text->len
           && (*end == ' ' || *end == '\t' || *end == '\r' || *end == '\n'))
    {
        end++;
    }

    if (end < (char *) text->data + text->len) {
        error->text = "something follows the JSON value";
        error->offset = (u_char *) end - text->data;
        return NULL;
    }

    if (ngx_mesh_json_unique(value, pool, error) != NGX_OK) {
        return NULL;
    }

    return value;
}


static void
ngx_mesh_json_free(void *data)
{
    cJSON_Delete(data);
}


static ngx_int_t
ngx_mesh_json_wrong(ngx_mesh_json_scan_t *scan, char *text)
{
    scan->error->text = text;

    return NGX_ERROR;
}


static ngx_int_t
ngx_mesh_json_scan(ngx_str_t *text, ngx_mesh_json_error_t *error)
{
    ngx_int_t             rc;
    ngx_mesh_json_scan_t  scan;

    scan.p = text->data;
    scan.last = text->data + text->len;
    scan.depth = 0;
    scan.values = 0;
    scan.error = error;

    for (rc = NGX_OK; scan.p < scan.last && rc == NGX_OK; /* void */ ) {

        switch (*scan.p) {

        case '{':
        case '[':
            if (++scan.depth > NGX_MESH_JSON_DEPTH) {
                rc = ngx_mesh_json_wrong(&scan, "nested too deeply");
                break;
            }

            scan.p++;
            scan.values++;
            break;

        case '}':
        case ']':
            scan.depth -= (scan.depth > 0);
            scan.p++;
            break;

        case '"':
            rc = ngx_mesh_json_scan_string(&scan);
            break;

        case ',':
            if (++scan.values > NGX_MESH_JSON_VALUES) {
                rc = ngx_mesh_json_wrong(&scan, "too many values");
                break;
            }

            scan.p++;
            break;

        case '-': case '0': case '1': case '2': case '3': case '4':
        case '5': case '6': case '7': case '8': case '9':
            rc = ngx_mesh_json_scan_number(&scan);
            break;

        case ' ': case '\t': case '\r': case '\n':
        case ':':
            scan.p++;
            break;

        default:
            if (*scan.p < 'a' || *scan.p > 'z') {
                rc = ngx_mesh_json_wrong(&scan, "the body is not JSON");
                break;
            }

            scan.p++;
        }
    }

    error->offset = scan.p - text->data;

    return rc;
}


static ngx_int_t
ngx_mesh_json_scan_string(ngx_mesh_json_scan_t *scan)
{
    u_char    *next;
    uint32_t   c;

    for (scan->p++; scan->p < scan->last; /* void */ ) {

        if (*scan->p == '"') {
            scan->p++;
            return NGX_OK;
        }

        if (*scan->p < 0x20) {
            return ngx_mesh_json_wrong(scan, "a control character in a "
                                             "string");
        }

        if (*scan->p == '\\') {

            if (scan->last - scan->p >= 6
                && ngx_memcmp(scan->p + 1, "u0000", 5) == 0)
            {
                return ngx_mesh_json_wrong(scan, "\\u0000 in a string");
            }

            scan->p += 2;
            continue;
        }

        if (*scan->p < 0x80) {
            scan->p++;
            continue;
        }

        next = scan->p;
        c = ngx_utf8_decode(&next, scan->last - scan->p);

        if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
            return ngx_mesh_json_wrong(scan, "the body is not UTF-8");
        }

        scan->p = next;
    }

    return ngx_mesh_json_wrong(scan, "a string does not end");
}


/* as strtod(), which reads them, but without its own additions */

static ngx_int_t
ngx_mesh_json_scan_number(ngx_mesh_json_scan_t *scan)
{
    u_char      *p, *last, *start;
    ngx_uint_t   digits;

    p = scan->p;
    last = scan->last;
    digits = 0;

    p += (*p == '-');

    for (start = p; p < last && *p >= '0' && *p <= '9'; p++) {
        digits++;
    }

    if (digits == 0 || (digits > 1 && *start == '0')) {
        return ngx_mesh_json_wrong(scan, "a number that is not JSON");
    }

    if (p < last && *p == '.') {

        for (digits = 0, p++; p < last && *p >= '0' && *p <= '9'; p++) {
            digits++;
        }
    }

    if (digits && p < last && (*p == 'e' || *p == 'E')) {
        p++;
        p += (p < last && (*p == '+' || *p == '-'));

        for (digits = 0; p < last && *p >= '0' && *p <= '9'; p++) {
            digits++;
        }
    }

    if (digits == 0) {
        return ngx_mesh_json_wrong(scan, "a number that is not JSON");
    }

    scan->p = p;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_json_unique(cJSON *value, ngx_pool_t *pool,
    ngx_mesh_json_error_t *error)
{
    cJSON  *child;

    if (cJSON_IsObject(value)
        && ngx_mesh_json_unique_keys(value, pool, error) != NGX_OK)
    {
        return NGX_ERROR;
    }

    cJSON_ArrayForEach(child, value) {

        if ((cJSON_IsObject(child) || cJSON_IsArray(child))
            && ngx_mesh_json_unique(child, pool, error) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_json_unique_keys(cJSON *object, ngx_pool_t *pool,
    ngx_mesh_json_error_t *error)
{
    char        **keys;
    cJSON        *child;
    ngx_int_t     rc;
    ngx_uint_t    i, n;

    n = cJSON_GetArraySize(object);

    if (n < 2) {
        return NGX_OK;
    }

    keys = ngx_alloc(n * sizeof(char *), pool->log);
    if (keys == NULL) {
        return NGX_ERROR;
    }

    i = 0;

    cJSON_ArrayForEach(child, object) {
        keys[i++] = child->string;
    }

    ngx_qsort(keys, (size_t) n, sizeof(char *), ngx_mesh_json_order);

    rc = NGX_OK;

    for (i = 1; i < n; i++) {

        if (ngx_strcmp(keys[i - 1], keys[i]) == 0) {
            error->text = "a name that stands twice in one object";
            error->pointer.data = (u_char *) keys[i];
            error->pointer.len = ngx_strlen(keys[i]);
            rc = NGX_ERROR;
            break;
        }
    }

    ngx_free(keys);

    return rc;
}


static int ngx_libc_cdecl
ngx_mesh_json_order(const void *one, const void *two)
{
    return ngx_strcmp(*(char **) one, *(char **) two);
}


/*
 * A patch may have as many names as its text has room for, and no name twice:
 * a sorted list of what the target has serves all of them.  They are found
 * before the first one goes.
 */

ngx_int_t
ngx_mesh_json_merge(cJSON *target, cJSON *patch)
{
    cJSON       *child, **members, **old;
    ngx_int_t    rc;
    ngx_uint_t   i, n;

    n = cJSON_GetArraySize(target);
    i = cJSON_GetArraySize(patch);

    members = ngx_alloc((n + i + 1) * sizeof(cJSON *), ngx_cycle->log);
    if (members == NULL) {
        return NGX_ERROR;
    }

    old = members + n;
    i = 0;

    cJSON_ArrayForEach(child, target) {
        members[i++] = child;
    }

    ngx_qsort(members, (size_t) n, sizeof(cJSON *),
              ngx_mesh_json_member_order);

    i = 0;

    cJSON_ArrayForEach(child, patch) {
        old[i++] = ngx_mesh_json_member(members, n, child->string);
    }

    rc = NGX_OK;
    i = 0;

    cJSON_ArrayForEach(child, patch) {
        rc = ngx_mesh_json_merge_member(target, child, old[i++]);

        if (rc != NGX_OK) {
            break;
        }
    }

    ngx_free(members);

    return rc;
}


static int ngx_libc_cdecl
ngx_mesh_json_member_order(const void *one, const void *two)
{
    return ngx_strcmp((*(cJSON **) one)->string, (*(cJSON **) two)->string);
}


static cJSON *
ngx_mesh_json_member(cJSON **members, ngx_uint_t n, char *name)
{
    int         order;
    ngx_uint_t  first, middle;

    for (first = 0; first < n; /* void */ ) {

        middle = first + (n - first) / 2;
        order = ngx_strcmp(members[middle]->string, name);

        if (order == 0) {
            return members[middle];
        }

        if (order < 0) {
            first = middle + 1;

        } else {
            n = middle;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_mesh_json_merge_member(cJSON *target, cJSON *child, cJSON *old)
{
    cJSON  *value;

    if (cJSON_IsNull(child)) {
        cJSON_Delete(cJSON_DetachItemViaPointer(target, old));
        return NGX_OK;
    }

    if (cJSON_IsObject(child)) {

        /* a patch of what is no object yet loses its nulls too */

        if (old && cJSON_IsObject(old)) {
            value = cJSON_DetachItemViaPointer(target, old);
            old = NULL;

        } else {
            value = cJSON_CreateObject();
        }

    } else {
        value = cJSON_Duplicate(child, 1);
    }

    if (value == NULL) {
        return NGX_ERROR;
    }

    if (cJSON_IsObject(child)
        && ngx_mesh_json_merge(value, child) != NGX_OK)
    {
        cJSON_Delete(value);
        return NGX_ERROR;
    }

    cJSON_Delete(cJSON_DetachItemViaPointer(target, old));

    if (!cJSON_AddItemToObject(target, child->string, value)) {
        cJSON_Delete(value);
        return NGX_ERROR;
    }

    return NGX_OK;
}
