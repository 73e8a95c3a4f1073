
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mesh_api_route.h"
#include "ngx_mesh_metrics.h"


/*
 * The description of the API, made of the tables that the API itself goes by:
 * its operations, and the fields that specs are read with.
 */


#define NGX_MESH_API_REF  "{\"$ref\":\"#/components/schemas/"


typedef struct {
    char                  *name;
    ngx_mesh_api_field_t  *fields;
    char                  *required;       /* JSON, or NULL */
} ngx_mesh_api_schema_t;


typedef struct {
    char                  *path;
    ngx_uint_t             method;
    char                  *body;           /* schemas, NULL: none */
    char                  *answer;
} ngx_mesh_api_shape_t;


static ngx_int_t ngx_mesh_api_openapi(ngx_mesh_api_call_t *call);
static void ngx_mesh_api_openapi_paths(ngx_mesh_json_t *json);
static ngx_uint_t ngx_mesh_api_openapi_first(ngx_mesh_api_op_t *op);
static void ngx_mesh_api_openapi_op(ngx_mesh_json_t *json,
    ngx_mesh_api_op_t *op, char *method);
static void ngx_mesh_api_openapi_parameters(ngx_mesh_json_t *json,
    ngx_mesh_api_op_t *op);
static void ngx_mesh_api_openapi_parameter(ngx_mesh_json_t *json,
    ngx_str_t *name, char *in, char *schema, char *summary);
static void ngx_mesh_api_openapi_answers(ngx_mesh_json_t *json,
    ngx_mesh_api_op_t *op, ngx_mesh_api_shape_t *shape);
static void ngx_mesh_api_openapi_answer(ngx_mesh_json_t *json,
    ngx_uint_t status, char *what, char *schema, ngx_uint_t lines);
static ngx_mesh_api_shape_t *ngx_mesh_api_openapi_shape(ngx_mesh_api_op_t *op);
static void ngx_mesh_api_openapi_schemas(ngx_mesh_json_t *json);
static void ngx_mesh_api_openapi_field(ngx_mesh_json_t *json,
    ngx_mesh_api_field_t *field);
static void ngx_mesh_api_openapi_raw(ngx_mesh_json_t *json, char *s);


ngx_mesh_api_op_t  ngx_mesh_api_openapi_ops[] = {

    { ngx_string("openapi.json"), NGX_HTTP_GET, 0,
      ngx_mesh_api_openapi,
      "This description" },

    { ngx_null_string, 0, 0, NULL, NULL }
};


static ngx_mesh_api_schema_t  ngx_mesh_api_schemas[] = {
    { "Service", ngx_mesh_api_service_fields, NULL },
    { "NewService", ngx_mesh_api_service_fields, "[\"name\"]" },
    { "Endpoint", ngx_mesh_api_endpoint_fields, NULL },
    { "NewEndpoint", ngx_mesh_api_endpoint_fields, "[\"address\"]" },
    { "Override", ngx_mesh_api_override_fields, NULL },
    { "Call", ngx_mesh_api_explain_fields, "[\"service\"]" },
    { NULL, NULL, NULL }
};


#define NGX_MESH_API_ANY  0xffffffff

/* what cannot be told from the operation itself */

static ngx_mesh_api_shape_t  ngx_mesh_api_shapes[] = {
    { "", NGX_HTTP_GET, NULL, NGX_MESH_API_REF "Root\"}" },
    { "status", NGX_HTTP_GET, NULL, NGX_MESH_API_REF "Status\"}" },
    { "status/zone", NGX_HTTP_GET, NULL, NGX_MESH_API_REF "Zone\"}" },
    { "status/agent", NGX_HTTP_GET, NULL, NGX_MESH_API_REF "Agent\"}" },
    { "openapi.json", NGX_HTTP_GET, NULL, "{\"type\":\"object\"}" },
    { "services", NGX_HTTP_GET, NULL, NGX_MESH_API_REF "ServiceList\"}" },
    { "services", NGX_HTTP_POST, NGX_MESH_API_REF "NewService\"}", NULL },
    { "services/{service}", NGX_MESH_API_ANY,
      NGX_MESH_API_REF "Service\"}", NGX_MESH_API_REF "ServiceObject\"}" },
    { "services/{service}/endpoints", NGX_HTTP_GET, NULL,
      NGX_MESH_API_REF "EndpointList\"}" },
    { "services/{service}/endpoints", NGX_HTTP_PUT,
      "{\"type\":\"array\",\"items\":" NGX_MESH_API_REF "NewEndpoint\"}}",
      NULL },
    { "services/{service}/endpoints", NGX_HTTP_POST,
      NGX_MESH_API_REF "NewEndpoint\"}", NULL },
    { "services/{service}/endpoints/{id}", NGX_MESH_API_ANY,
      NGX_MESH_API_REF "Endpoint\"}", NGX_MESH_API_REF "EndpointObject\"}" },
    { "services/{service}/endpoints/{id}/override", NGX_MESH_API_ANY,
      NGX_MESH_API_REF "Override\"}", NGX_MESH_API_REF "OverrideObject\"}" },
    { "routes", NGX_HTTP_GET, NULL, NGX_MESH_API_REF "RouteList\"}" },
    { "routes/{route}", NGX_MESH_API_ANY,
      NGX_MESH_API_REF "Route\"}", NGX_MESH_API_REF "RouteObject\"}" },
    { "batch", NGX_HTTP_POST, NGX_MESH_API_REF "Batch\"}", NULL },
    { "snapshot", NGX_HTTP_GET, NULL, NGX_MESH_API_REF "Snapshot\"}" },
    { "snapshot", NGX_HTTP_PUT, NGX_MESH_API_REF "Snapshot\"}", NULL },
    { "revisions", NGX_HTTP_GET, NULL, NGX_MESH_API_REF "Revisions\"}" },
    { "revisions/{revision}", NGX_HTTP_GET, NULL,
      NGX_MESH_API_REF "Revision\"}" },
    { "revisions/{revision}/diff", NGX_HTTP_GET, NULL,
      NGX_MESH_API_REF "Diff\"}" },
    { "revisions/{revision}/rollback", NGX_HTTP_POST, NULL,
      NGX_MESH_API_REF "Written\"}" },
    { "registries", NGX_HTTP_GET, NULL,
      NGX_MESH_API_REF "RegistryList\"}" },
    { "registries/{registry}", NGX_HTTP_GET, NULL,
      NGX_MESH_API_REF "RegistryObject\"}" },
    { "registries/{registry}/resync", NGX_HTTP_POST, NULL,
      NGX_MESH_API_REF "Resync\"}" },
    { "watch", NGX_HTTP_GET, NULL, NGX_MESH_API_REF "Changes\"}" },
    { "explain", NGX_HTTP_POST, NGX_MESH_API_REF "Call\"}",
      NGX_MESH_API_REF "Explanation\"}" },
    { NULL, 0, NULL, NULL }
};


static struct {
    ngx_uint_t   method;
    char        *name;
} ngx_mesh_api_openapi_methods[] = {
    { NGX_HTTP_GET, "get" },
    { NGX_HTTP_PUT, "put" },
    { NGX_HTTP_POST, "post" },
    { NGX_HTTP_PATCH, "patch" },
    { NGX_HTTP_DELETE, "delete" },
    { 0, NULL }
};


/* schemas that are no list of fields, as members of an object */

static char  ngx_mesh_api_openapi_fixed[] =
    "\"Batch\":{\"type\":\"object\",\"required\":[\"ops\"],"
      "\"additionalProperties\":false,\"properties\":{"
        "\"ops\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
          "\"required\":[\"method\",\"path\"],"
          "\"additionalProperties\":false,\"properties\":{"
            "\"method\":{\"enum\":[\"POST\",\"PUT\",\"PATCH\",\"DELETE\"]},"
            "\"path\":{\"type\":\"string\"},\"body\":{},"
            "\"if_match\":{\"type\":\"string\"},"
            "\"if_none_match\":{\"type\":\"string\"}}}}}},"
    "\"Snapshot\":{\"type\":\"object\",\"required\":[\"items\"],"
      "\"additionalProperties\":false,\"properties\":{"
        "\"epoch\":{\"type\":\"string\"},\"revision\":{\"type\":\"integer\"},"
        "\"items\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
          "\"required\":[\"path\",\"spec\"],\"additionalProperties\":false,"
          "\"properties\":{\"path\":{\"type\":\"string\"},"
            "\"spec\":{\"type\":\"object\"}}}}}},"
    "\"Target\":{\"type\":\"object\",\"additionalProperties\":false,"
      "\"properties\":{\"service\":{\"type\":\"string\",\"minLength\":1},"
        "\"labels\":" NGX_MESH_API_REF "Strings\"},"
        "\"weight\":{\"type\":\"integer\",\"minimum\":0,"
          "\"maximum\":1000000},"
        "\"rewrite\":{\"type\":\"array\","
          "\"items\":{\"enum\":[\"version\",\"group\"]}},"
        "\"fallback\":{\"type\":\"object\",\"additionalProperties\":false,"
          "\"properties\":{\"service\":{\"type\":\"string\"},"
            "\"labels\":" NGX_MESH_API_REF "Strings\"}}}}},"
    "\"Strings\":{\"type\":\"object\","
      "\"additionalProperties\":{\"type\":\"string\"}},"
    "\"Pattern\":{\"anyOf\":[{\"type\":[\"string\",\"null\"]},"
      "{\"type\":\"array\",\"minItems\":1,"
        "\"items\":{\"type\":[\"string\",\"null\"]}}],"
      "\"description\":\"abc, abc*, *abc, ~expression, *, null: not there\"},"
    "\"Match\":{\"type\":\"object\",\"additionalProperties\":false,"
      "\"properties\":{"
        "\"protocol\":" NGX_MESH_API_REF "Pattern\"},"
        "\"service\":" NGX_MESH_API_REF "Pattern\"},"
        "\"interface\":" NGX_MESH_API_REF "Pattern\"},"
        "\"method\":" NGX_MESH_API_REF "Pattern\"},"
        "\"version\":" NGX_MESH_API_REF "Pattern\"},"
        "\"group\":" NGX_MESH_API_REF "Pattern\"},"
        "\"caller\":" NGX_MESH_API_REF "Pattern\"},"
        "\"app\":" NGX_MESH_API_REF "Pattern\"},"
        "\"listener\":" NGX_MESH_API_REF "Pattern\"},"
        "\"percent\":{\"type\":\"number\",\"minimum\":0,\"maximum\":100},"
        "\"by\":{\"type\":\"string\"}},"
      "\"patternProperties\":{\"^attachment\\\\..+\":"
        NGX_MESH_API_REF "Pattern\"}}},"
    "\"Route\":{\"type\":\"object\",\"additionalProperties\":false,"
      "\"properties\":{"
        "\"priority\":{\"type\":\"integer\",\"minimum\":-1000000000,"
          "\"maximum\":1000000000},"
        "\"match\":{\"anyOf\":[" NGX_MESH_API_REF "Match\"},"
          "{\"type\":\"array\",\"items\":" NGX_MESH_API_REF "Match\"}}]},"
        "\"to\":{\"anyOf\":[" NGX_MESH_API_REF "Target\"},"
          "{\"type\":\"array\",\"items\":" NGX_MESH_API_REF "Target\"}}]},"
        "\"deny\":{\"type\":\"string\"},"
        "\"timeout\":{\"type\":\"string\"},"
        "\"tries\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100},"
        "\"hash\":{\"type\":\"string\"},"
        "\"set\":" NGX_MESH_API_REF "Strings\"},"
        "\"remove\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}";


static ngx_int_t
ngx_mesh_api_openapi(ngx_mesh_api_call_t *call)
{
    u_char           *p;
    ngx_str_t         url;
    ngx_mesh_json_t  *json;

    p = ngx_pnalloc(call->pool, call->root.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    url.data = p;
    url.len = ngx_sprintf(p, "%V1", &call->root) - p;

    json = call->json;

    ngx_mesh_json_open(json, '{');

    ngx_mesh_json_key(json, "openapi");
    ngx_mesh_json_text(json, "3.1.0");

    ngx_mesh_json_key(json, "info");
    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "title");
    ngx_mesh_json_text(json, "nginx-mesh");
    ngx_mesh_json_key(json, "version");
    ngx_mesh_json_text(json, NGX_MESH_VERSION);
    ngx_mesh_json_close(json, '}');

    ngx_mesh_json_key(json, "servers");
    ngx_mesh_json_open(json, '[');
    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "url");
    ngx_mesh_json_string(json, &url);
    ngx_mesh_json_close(json, '}');
    ngx_mesh_json_close(json, ']');

    ngx_mesh_json_key(json, "paths");
    ngx_mesh_api_openapi_paths(json);

    ngx_mesh_json_key(json, "components");
    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "schemas");
    ngx_mesh_api_openapi_schemas(json);
    ngx_mesh_json_close(json, '}');

    ngx_mesh_json_close(json, '}');

    return NGX_OK;
}


static void
ngx_mesh_api_openapi_paths(ngx_mesh_json_t *json)
{
    u_char              *p;
    ngx_str_t            path;
    ngx_uint_t           i;
    ngx_mesh_api_op_t   *op, *o, **ops, **more;

    ngx_mesh_json_open(json, '{');

    for (ops = ngx_mesh_api_ops; *ops; ops++) {
        for (op = *ops; op->handler; op++) {

            if (!ngx_mesh_api_openapi_first(op)) {
                continue;
            }

            p = ngx_pnalloc(json->pool, op->path.len + 1);
            if (p == NULL) {
                json->failed = 1;
                return;
            }

            path.data = p;
            path.len = ngx_sprintf(p, "/%V", &op->path) - p;

            ngx_mesh_json_name(json, &path);
            ngx_mesh_json_open(json, '{');

            for (more = ngx_mesh_api_ops; *more; more++) {
                for (o = *more; o->handler; o++) {

                    if (!ngx_mesh_equal(&o->path, &op->path)) {
                        continue;
                    }

                    for (i = 0; ngx_mesh_api_openapi_methods[i].name; i++) {
                        if (ngx_mesh_api_openapi_methods[i].method
                            == o->method)
                        {
                            ngx_mesh_api_openapi_op(json, o,
                                        ngx_mesh_api_openapi_methods[i].name);
                        }
                    }
                }
            }

            ngx_mesh_json_close(json, '}');
        }
    }

    ngx_mesh_json_close(json, '}');
}


/* whether no operation before is of the same path */

static ngx_uint_t
ngx_mesh_api_openapi_first(ngx_mesh_api_op_t *op)
{
    ngx_mesh_api_op_t  *o, **ops;

    for (ops = ngx_mesh_api_ops; *ops; ops++) {
        for (o = *ops; o->handler; o++) {
            if (ngx_mesh_equal(&o->path, &op->path)) {
                return o == op;
            }
        }
    }

    return 0;
}


static void
ngx_mesh_api_openapi_op(ngx_mesh_json_t *json, ngx_mesh_api_op_t *op,
    char *method)
{
    char                  *body;
    ngx_mesh_api_shape_t  *shape;

    shape = ngx_mesh_api_openapi_shape(op);

    ngx_mesh_json_key(json, method);
    ngx_mesh_json_open(json, '{');

    ngx_mesh_json_key(json, "summary");
    ngx_mesh_json_text(json, op->summary);

    ngx_mesh_json_key(json, "parameters");
    ngx_mesh_api_openapi_parameters(json, op);

    if (op->flags & NGX_MESH_API_BODY) {
        body = (op->method == NGX_HTTP_PATCH || shape == NULL
                || shape->body == NULL)
               ? "{\"type\":\"object\"}" : shape->body;

        ngx_mesh_json_key(json, "requestBody");
        ngx_mesh_json_open(json, '{');
        ngx_mesh_json_key(json, "required");
        ngx_mesh_json_bool(json, 1);
        ngx_mesh_json_key(json, "content");
        ngx_mesh_json_open(json, '{');
        ngx_mesh_json_key(json, "application/json");
        ngx_mesh_json_open(json, '{');
        ngx_mesh_json_key(json, "schema");
        ngx_mesh_api_openapi_raw(json, body);
        ngx_mesh_json_close(json, '}');
        ngx_mesh_json_close(json, '}');
        ngx_mesh_json_close(json, '}');
    }

    ngx_mesh_json_key(json, "responses");
    ngx_mesh_api_openapi_answers(json, op, shape);

    ngx_mesh_json_close(json, '}');
}


static void
ngx_mesh_api_openapi_parameters(ngx_mesh_json_t *json, ngx_mesh_api_op_t *op)
{
    u_char                    *p, *last;
    ngx_str_t                  name;
    ngx_mesh_api_arg_t        *arg, *header;

    static ngx_mesh_api_arg_t  headers[] = {
        { ngx_string("If-Match"), NULL, 0, 0, "{\"type\":\"string\"}",
          "ETag it must have" },
        { ngx_string("If-None-Match"), NULL, 0, 0, "{\"type\":\"string\"}",
          "*: it must not exist" },
        { ngx_string("X-Mesh-Revision"), NULL, 0, 0,
          "{\"type\":\"integer\",\"minimum\":1}",
          "Revision the table must have" },
        { ngx_null_string, NULL, 0, 0, NULL, NULL }
    };

    ngx_mesh_json_open(json, '[');

    last = op->path.data + op->path.len;

    for (p = op->path.data; p < last; p++) {

        if (*p != '{') {
            continue;
        }

        name.data = p + 1;
        p = ngx_strlchr(p, last, '}');
        name.len = p - name.data;

        ngx_mesh_api_openapi_parameter(json, &name, "path",
                                       "{\"type\":\"string\","
                                       "\"minLength\":1}", NULL);
    }

    for (arg = ngx_mesh_api_args; arg->name.len; arg++) {

        if (ngx_mesh_api_arg_takes(arg, op)) {
            ngx_mesh_api_openapi_parameter(json, &arg->name, "query",
                                           arg->schema, arg->summary);
        }
    }

    if (op->flags & NGX_MESH_API_WRITE) {
        for (header = headers; header->name.len; header++) {
            ngx_mesh_api_openapi_parameter(json, &header->name, "header",
                                           header->schema, header->summary);
        }
    }

    ngx_mesh_json_close(json, ']');
}


static void
ngx_mesh_api_openapi_parameter(ngx_mesh_json_t *json, ngx_str_t *name,
    char *in, char *schema, char *summary)
{
    ngx_mesh_json_open(json, '{');

    ngx_mesh_json_key(json, "name");
    ngx_mesh_json_string(json, name);
    ngx_mesh_json_key(json, "in");
    ngx_mesh_json_text(json, in);

    if (ngx_strcmp(in, "path") == 0) {
        ngx_mesh_json_key(json, "required");
        ngx_mesh_json_bool(json, 1);
    }

    if (summary) {
        ngx_mesh_json_key(json, "description");
        ngx_mesh_json_text(json, summary);
    }

    ngx_mesh_json_key(json, "schema");
    ngx_mesh_api_openapi_raw(json, schema);

    ngx_mesh_json_close(json, '}');
}


static void
ngx_mesh_api_openapi_answers(ngx_mesh_json_t *json, ngx_mesh_api_op_t *op,
    ngx_mesh_api_shape_t *shape)
{
    char        *answer;
    ngx_uint_t   i;

    static struct {
        ngx_uint_t   status;
        ngx_uint_t   write;
        char        *what;
    } errors[] = {
        { 400, 0, "Something is not right about the request" },
        { 403, 0, "Not permitted" },
        { 404, 0, "It is not there" },
        { 405, 1, "Read-only here" },
        { 409, 1, "It belongs to somebody else, or is in use" },
        { 410, 0, "What was asked for is forgotten" },
        { 412, 1, "It is not as the request demands" },
        { 413, 1, "The body is too large" },
        { 415, 1, "The body is no application/json" },
        { 422, 0, "A field is wrong" },
        { 423, 1, "Not now: the table is another instance's" },
        { 428, 1, "A precondition is required here" },
        { 503, 0, "Not now" },
        { 507, 1, "The zone is full" },
    };

    answer = (op->flags & NGX_MESH_API_COMMIT)
             ? NGX_MESH_API_REF "Written\"}"
             : (shape && shape->answer) ? shape->answer
                                        : "{\"type\":\"object\"}";

    ngx_mesh_json_open(json, '{');

    ngx_mesh_api_openapi_answer(json, 200, "Done", answer,
                                op->flags & NGX_MESH_API_LINES);

    if (op->flags & NGX_MESH_API_COMMIT) {
        ngx_mesh_api_openapi_answer(json, 201, "Created", answer, 0);
    }

    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {

        if (!errors[i].write
            || (op->flags & (NGX_MESH_API_WRITE|NGX_MESH_API_BODY)))
        {
            ngx_mesh_api_openapi_answer(json, errors[i].status, errors[i].what,
                                        NGX_MESH_API_REF "Error\"}", 0);
        }
    }

    ngx_mesh_json_close(json, '}');
}


static void
ngx_mesh_api_openapi_answer(ngx_mesh_json_t *json, ngx_uint_t status,
    char *what, char *schema, ngx_uint_t lines)
{
    u_char     buf[NGX_INT_T_LEN];
    ngx_str_t  name;

    name.data = buf;
    name.len = ngx_sprintf(buf, "%ui", status) - buf;

    ngx_mesh_json_name(json, &name);
    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "description");
    ngx_mesh_json_text(json, what);
    ngx_mesh_json_key(json, "content");
    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "application/json");
    ngx_mesh_json_open(json, '{');
    ngx_mesh_json_key(json, "schema");
    ngx_mesh_api_openapi_raw(json, schema);
    ngx_mesh_json_close(json, '}');

    if (status >= NGX_HTTP_BAD_REQUEST) {
        ngx_mesh_json_key(json, "application/problem+json");
        ngx_mesh_json_open(json, '{');
        ngx_mesh_json_key(json, "schema");
        ngx_mesh_api_openapi_raw(json, NGX_MESH_API_REF "Problem\"}");
        ngx_mesh_json_close(json, '}');
    }

    if (lines) {
        ngx_mesh_json_key(json, "application/x-ndjson");
        ngx_mesh_json_open(json, '{');
        ngx_mesh_json_key(json, "schema");
        ngx_mesh_api_openapi_raw(json, NGX_MESH_API_REF "Line\"}");
        ngx_mesh_json_close(json, '}');
    }

    ngx_mesh_json_close(json, '}');
    ngx_mesh_json_close(json, '}');
}


static ngx_mesh_api_shape_t *
ngx_mesh_api_openapi_shape(ngx_mesh_api_op_t *op)
{
    ngx_mesh_api_shape_t  *shape;

    for (shape = ngx_mesh_api_shapes; shape->path; shape++) {
        if ((shape->method & op->method)
            && ngx_strlen(shape->path) == op->path.len
            && ngx_strncmp(shape->path, op->path.data, op->path.len) == 0)
        {
            return shape;
        }
    }

    return NULL;
}


static void
ngx_mesh_api_openapi_schemas(ngx_mesh_json_t *json)
{
    ngx_mesh_api_field_t   *field;
    ngx_mesh_api_schema_t  *schema;

    ngx_mesh_json_open(json, '{');

    for (schema = ngx_mesh_api_schemas; schema->name; schema++) {

        ngx_mesh_json_key(json, schema->name);
        ngx_mesh_json_open(json, '{');
        ngx_mesh_json_key(json, "type");
        ngx_mesh_json_text(json, "object");
        ngx_mesh_json_key(json, "additionalProperties");
        ngx_mesh_json_bool(json, 0);

        if (schema->required) {
            ngx_mesh_json_key(json, "required");
            ngx_mesh_api_openapi_raw(json, schema->required);
        }

        ngx_mesh_json_key(json, "properties");
        ngx_mesh_json_open(json, '{');

        for (field = schema->fields; field->name; field++) {
            ngx_mesh_json_key(json, field->name);
            ngx_mesh_api_openapi_field(json, field);
        }

        ngx_mesh_json_close(json, '}');
        ngx_mesh_json_close(json, '}');
    }

    ngx_mesh_json_bytes(json, (u_char *) ",", 1);
    ngx_mesh_json_bytes(json, (u_char *) ngx_mesh_api_openapi_fixed,
                        sizeof(ngx_mesh_api_openapi_fixed) - 1);
    ngx_mesh_json_bytes(json, (u_char *) ",", 1);
    ngx_mesh_json_bytes(json, (u_char *) ngx_mesh_api_answer_schemas,
                        ngx_strlen(ngx_mesh_api_answer_schemas));

    ngx_mesh_json_close(json, '}');
}


static void
ngx_mesh_api_openapi_field(ngx_mesh_json_t *json, ngx_mesh_api_field_t *field)
{
    ngx_mesh_json_open(json, '{');

    switch (field->type) {

    case NGX_MESH_API_NUMBER:
        ngx_mesh_json_key(json, "type");
        ngx_mesh_json_text(json, "integer");
        ngx_mesh_json_key(json, "minimum");
        ngx_mesh_json_number(json, 0);
        ngx_mesh_json_key(json, "maximum");
        ngx_mesh_json_number(json, field->max);
        break;

    case NGX_MESH_API_TIME:
        ngx_mesh_json_key(json, "type");
        ngx_mesh_api_openapi_raw(json, "[\"string\",\"integer\"]");
        break;

    case NGX_MESH_API_BOOL:
        ngx_mesh_json_key(json, "type");
        ngx_mesh_json_text(json, "boolean");
        break;

    case NGX_MESH_API_LABELS:
        ngx_mesh_json_key(json, "type");
        ngx_mesh_json_text(json, "object");
        ngx_mesh_json_key(json, "additionalProperties");
        ngx_mesh_api_openapi_raw(json, "{\"type\":\"string\"}");
        break;

    default:
        ngx_mesh_json_key(json, "type");
        ngx_mesh_json_text(json, "string");
        ngx_mesh_json_key(json, "maxLength");
        ngx_mesh_json_number(json, field->max);
    }

    ngx_mesh_json_key(json, "description");
    ngx_mesh_json_text(json, field->summary);

    ngx_mesh_json_close(json, '}');
}


static void
ngx_mesh_api_openapi_raw(ngx_mesh_json_t *json, char *s)
{
    ngx_str_t  text;

    text.data = (u_char *) s;
    text.len = ngx_strlen(s);

    ngx_mesh_json_raw(json, &text);
}
