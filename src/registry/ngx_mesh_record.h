
/*
 * Copyright (C) nginx-mesh authors
 */


#ifndef _NGX_MESH_RECORD_H_INCLUDED_
#define _NGX_MESH_RECORD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>
#include "ngx_mesh_discovery.h"


/*
 * Private to the room: what SDKs write into registries, as records.  Nothing
 * here waits, or knows a connection.  All memory is of the pool.
 */


/*
 * A provider's URL as Dubbo registers it, percent-encoded as a whole or not.
 * NGX_OK; NGX_DECLINED: it is none of ours (another category, protocol or
 * interface, enabled=false, no port), *why says so; NGX_ERROR: no memory.
 * Weight, warmup, timestamp, group and version are honoured as a consumer of
 * Dubbo does; disabled=true drains; the other parameters an operator
 * selects by are labels.  The endpoint's id is its name, its owner is left
 * for the caller.
 */
ngx_int_t ngx_mesh_record_dubbo(ngx_str_t *url, ngx_str_t *interface,
    ngx_pool_t *pool, ngx_mesh_record_t *record, char **why);

/*
 * Configurators: "override://" and "absent://" URLs of one interface, all of
 * them, laid on the records of its providers as Dubbo does.  A record that is
 * disabled by one stays, and drains: an operator's word is no loss that a
 * guard should hold.  What is not weight, warmup or disabled is named in
 * *unsupported, which is left empty otherwise.  The records are unique then.
 */
ngx_int_t ngx_mesh_record_configure(ngx_array_t *urls /* ngx_str_t */,
    ngx_array_t *records, ngx_pool_t *pool, ngx_str_t *unsupported);

/*
 * Leaves one record of each address, group and version: that of the process
 * that was started last; and puts them into an order that does not depend on
 * the answer's.
 */
void ngx_mesh_record_unique(ngx_array_t *records);

/*
 * An answer of Consul's /v1/health/service/NAME, the array of entries: Dubbo's
 * and SOFARPC's records and those of plain services, with weights by the state
 * of their checks; the records are unique.  Instances in maintenance drain,
 * critical ones are left out.  Fills in what of the update an operator should
 * know, nothing else of it.
 * NGX_DECLINED: the document is not what Consul answers, *why says so.
 */
ngx_int_t ngx_mesh_record_consul(ngx_mesh_subscription_t *s, cJSON *entries,
    ngx_pool_t *pool, ngx_array_t *records, ngx_mesh_update_t *update,
    char **why);


#endif /* _NGX_MESH_RECORD_H_INCLUDED_ */
