
/*
 * Copyright (C) nginx-mesh authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mesh_rule_int.h"


/*
 * Each rule is found by the most telling of its conditions: by the exact
 * values of several names together, by the beginning or end of one, or not at
 * all, and then it is looked at for every call.
 */


/* combinations of values a rule is entered under; above, fewer names count */

#define NGX_MESH_INDEX_EXPAND  64

/* names that tell services apart */

#define NGX_MESH_INDEX_STRONG                                                \
    (1 << NGX_MESH_NAME_SERVICE | 1 << NGX_MESH_NAME_INTERFACE               \
     | 1 << NGX_MESH_NAME_KEY)


typedef struct {
    uint64_t             hash;
    uint32_t             position;
    uint32_t             affix;
} ngx_mesh_index_key_t;


typedef struct {
    ngx_mesh_rules_t    *set;
    ngx_array_t          keys;           /* ngx_mesh_index_key_t */
    ngx_array_t          rest;           /* uint32_t */
    ngx_array_t          signatures;
    ngx_array_t          lengths[NGX_MESH_NAMES * 2];
    ngx_uint_t           naffixes;
} ngx_mesh_index_t;


static ngx_int_t ngx_mesh_index_route(ngx_mesh_index_t *index, ngx_uint_t n);
static ngx_int_t ngx_mesh_index_signature(ngx_mesh_index_t *index,
    ngx_uint_t mask);
static ngx_int_t ngx_mesh_index_length(ngx_mesh_index_t *index,
    ngx_mesh_key_t *key);
static ngx_int_t ngx_mesh_index_keys(ngx_mesh_route_t *route,
    ngx_array_t *keys);
static ngx_uint_t ngx_mesh_index_exact(ngx_mesh_test_t *test);
static ngx_mesh_test_t *ngx_mesh_index_affixed(ngx_mesh_route_t *route,
    ngx_uint_t names);
static ngx_uint_t ngx_mesh_index_affix_of(ngx_mesh_alt_t *alt,
    ngx_str_t *text);
static ngx_uint_t ngx_mesh_index_choose(ngx_mesh_route_t *route,
    ngx_mesh_test_t **chosen);
static ngx_int_t ngx_mesh_index_exacts(ngx_mesh_route_t *route,
    ngx_array_t *keys, ngx_mesh_test_t **chosen, ngx_uint_t mask);
static ngx_int_t ngx_mesh_index_values(ngx_array_t *keys,
    ngx_mesh_test_t **tests, uint64_t seed);
static ngx_int_t ngx_mesh_index_affix(ngx_mesh_route_t *route,
    ngx_array_t *keys, ngx_mesh_test_t *test);
static ngx_int_t ngx_mesh_index_key(ngx_array_t *keys, uint64_t hash,
    ngx_uint_t affix, size_t length);
static ngx_int_t ngx_mesh_index_finish(ngx_mesh_index_t *index);
static ngx_int_t ngx_mesh_index_slots(ngx_mesh_index_t *index);
static ngx_int_t ngx_mesh_index_affixes(ngx_mesh_index_t *index);
static int ngx_libc_cdecl ngx_mesh_index_cmp(const void *one,
    const void *two);
static int ngx_libc_cdecl ngx_mesh_index_cmp_u32(const void *one,
    const void *two);

static ngx_uint_t ngx_mesh_find_signatures(ngx_mesh_rules_t *set,
    ngx_str_t *names, ngx_uint_t *last);
static ngx_uint_t ngx_mesh_find_affixes(ngx_mesh_rules_t *set,
    ngx_mesh_affix_t *affix, ngx_str_t *name, ngx_str_t *names, ngx_uint_t n,
    ngx_uint_t *last);
static ngx_uint_t ngx_mesh_find_list(ngx_mesh_rules_t *set, uint32_t *list,
    ngx_uint_t count, ngx_str_t *names, ngx_uint_t n, ngx_uint_t *last);


#define ngx_mesh_index_seed(kind, n)                                         \
    (((uint64_t) (kind) << 32 | (n)) * NGX_MESH_HASH_K + 1)


ngx_int_t
ngx_mesh_rules_index(ngx_mesh_rules_t *set, ngx_pool_t *temp)
{
    ngx_uint_t        i;
    ngx_mesh_index_t  index;

    ngx_memzero(&index, sizeof(ngx_mesh_index_t));

    index.set = set;

    if (ngx_array_init(&index.keys, temp, set->nroutes + 1,
                       sizeof(ngx_mesh_index_key_t))
        != NGX_OK
        || ngx_array_init(&index.rest, temp, 16, sizeof(uint32_t)) != NGX_OK
        || ngx_array_init(&index.signatures, set->pool, 8,
                          sizeof(ngx_mesh_signature_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_MESH_NAMES * 2; i++) {
        if (ngx_array_init(&index.lengths[i], temp, 4, sizeof(uint32_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < set->nroutes; i++) {
        if (ngx_mesh_index_route(&index, i) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_mesh_index_finish(&index);
}


static ngx_int_t
ngx_mesh_index_route(ngx_mesh_index_t *index, ngx_uint_t n)
{
    uint32_t              *rest;
    ngx_uint_t             i;
    ngx_mesh_key_t        *found;
    ngx_mesh_route_t      *route;
    ngx_mesh_index_key_t  *key;

    route = index->set->routes[n];

    if (route->nkeys == 0) {
        rest = ngx_array_push(&index->rest);
        if (rest == NULL) {
            return NGX_ERROR;
        }

        *rest = (uint32_t) n;

        return NGX_OK;
    }

    if (route->mask
        && ngx_mesh_index_signature(index, route->mask) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < route->nkeys; i++) {
        found = &route->keys[i];

        key = ngx_array_push(&index->keys);

        if (key == NULL
            || (!route->mask && ngx_mesh_index_length(index, found) != NGX_OK))
        {
            return NGX_ERROR;
        }

        key->hash = found->hash;
        key->position = (uint32_t) n;
        key->affix = !route->mask;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_index_signature(ngx_mesh_index_t *index, ngx_uint_t mask)
{
    ngx_uint_t             i;
    ngx_mesh_signature_t  *s;

    s = index->signatures.elts;

    for (i = 0; i < index->signatures.nelts; i++) {
        if (s[i].mask == mask) {
            return NGX_OK;
        }
    }

    s = ngx_array_push(&index->signatures);
    if (s == NULL) {
        return NGX_ERROR;
    }

    s->mask = mask;
    s->seed = ngx_mesh_index_seed(1, mask);
    index->set->hashed |= mask;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_index_length(ngx_mesh_index_t *index, ngx_mesh_key_t *key)
{
    uint32_t     *length;
    ngx_uint_t    i;
    ngx_array_t  *lengths;

    index->naffixes++;

    lengths = &index->lengths[key->affix];
    length = lengths->elts;

    for (i = 0; i < lengths->nelts; i++) {
        if (length[i] == key->length) {
            return NGX_OK;
        }
    }

    length = ngx_array_push(lengths);
    if (length == NULL) {
        return NGX_ERROR;
    }

    *length = key->length;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_rules_keys(ngx_mesh_route_t *route)
{
    ngx_array_t  keys;

    if (ngx_array_init(&keys, route->pool, 1, sizeof(ngx_mesh_key_t))
        != NGX_OK
        || ngx_mesh_index_keys(route, &keys) != NGX_OK)
    {
        return NGX_ERROR;
    }

    route->keys = keys.elts;
    route->nkeys = keys.nelts;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_index_keys(ngx_mesh_route_t *route, ngx_array_t *keys)
{
    ngx_uint_t        mask;
    ngx_mesh_test_t  *test, *chosen[NGX_MESH_NAMES];

    mask = ngx_mesh_index_choose(route, chosen);

    if (mask & NGX_MESH_INDEX_STRONG) {
        return ngx_mesh_index_exacts(route, keys, chosen, mask);
    }

    test = ngx_mesh_index_affixed(route, NGX_MESH_INDEX_STRONG);

    if (test == NULL && mask) {
        return ngx_mesh_index_exacts(route, keys, chosen, mask);
    }

    if (test == NULL) {
        test = ngx_mesh_index_affixed(route, ~0);
    }

    return test ? ngx_mesh_index_affix(route, keys, test) : NGX_OK;
}


/* whether all values are exact ones of the same name */

static ngx_uint_t
ngx_mesh_index_exact(ngx_mesh_test_t *test)
{
    ngx_uint_t  i;

    for (i = 0; i < test->nalts; i++) {
        if (test->alts[i].op != NGX_MESH_RULE_EXACT
            || test->alts[i].name != test->alts[0].name)
        {
            return 0;
        }
    }

    return test->nalts != 0;
}


/* a condition whose values all say how a name begins or ends */

static ngx_mesh_test_t *
ngx_mesh_index_affixed(ngx_mesh_route_t *route, ngx_uint_t names)
{
    ngx_str_t         text;
    ngx_uint_t        i, j;
    ngx_mesh_test_t  *test;

    for (i = 0; i < route->ntests; i++) {
        test = &route->tests[i];

        for (j = 0; j < test->nalts; j++) {
            if (!(names & 1 << test->alts[j].name)
                || ngx_mesh_index_affix_of(&test->alts[j], &text)
                   == NGX_MESH_NAMES * 2)
            {
                break;
            }
        }

        if (j && j == test->nalts) {
            return test;
        }
    }

    return NULL;
}


/* its number: that of the name, and of the name reversed; none: 2 * NAMES */

static ngx_uint_t
ngx_mesh_index_affix_of(ngx_mesh_alt_t *alt, ngx_str_t *text)
{
    *text = alt->value;

    switch (alt->op) {

    case NGX_MESH_RULE_EXACT:
    case NGX_MESH_RULE_PREFIX:
        break;

    case NGX_MESH_RULE_SUFFIX:
        return alt->name + NGX_MESH_NAMES;

    default:
        if (!alt->anchored) {
            return NGX_MESH_NAMES * 2;
        }

        *text = alt->literal;
        break;
    }

    return alt->name;
}


/* one condition of each name, as many as make not too many combinations */

static ngx_uint_t
ngx_mesh_index_choose(ngx_mesh_route_t *route, ngx_mesh_test_t **chosen)
{
    ngx_uint_t        i, mask, total, name, round, strong;
    ngx_mesh_test_t  *test;

    mask = 0;
    total = 1;

    for (round = 0; round < 2; round++) {

        for (i = 0; i < route->ntests; i++) {
            test = &route->tests[i];

            if (!ngx_mesh_index_exact(test)) {
                continue;
            }

            name = test->alts[0].name;
            strong = (1 << name & NGX_MESH_INDEX_STRONG) ? 1 : 0;

            if ((mask & 1 << name) || strong == round) {
                continue;
            }

            if (mask && total * test->nalts > NGX_MESH_INDEX_EXPAND) {
                continue;
            }

            mask |= 1 << name;
            total *= test->nalts;
            chosen[name] = test;
        }
    }

    return mask;
}


static ngx_int_t
ngx_mesh_index_exacts(ngx_mesh_route_t *route, ngx_array_t *keys,
    ngx_mesh_test_t **chosen, ngx_uint_t mask)
{
    ngx_uint_t        i, k;
    ngx_mesh_test_t  *tests[NGX_MESH_NAMES + 1];

    for (i = 0, k = 0; i < NGX_MESH_NAMES; i++) {
        if (mask & 1 << i) {
            tests[k++] = chosen[i];
        }
    }

    tests[k] = NULL;

    route->mask = (uint32_t) mask;

    return ngx_mesh_index_values(keys, tests, ngx_mesh_index_seed(1, mask));
}


static ngx_int_t
ngx_mesh_index_values(ngx_array_t *keys, ngx_mesh_test_t **tests,
    uint64_t seed)
{
    uint64_t    hash;
    ngx_uint_t  i;

    if (*tests == NULL) {
        return ngx_mesh_index_key(keys, seed, 0, 0);
    }

    for (i = 0; i < (*tests)->nalts; i++) {
        hash = ngx_mesh_hash_str(0, &(*tests)->alts[i].value);

        if (ngx_mesh_index_values(keys, tests + 1,
                                  ngx_mesh_hash_mix(seed, hash))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_index_affix(ngx_mesh_route_t *route, ngx_array_t *keys,
    ngx_mesh_test_t *test)
{
    size_t       j;
    ngx_str_t    text;
    ngx_uint_t   i, affix;

    for (i = 0; i < test->nalts; i++) {
        affix = ngx_mesh_index_affix_of(&test->alts[i], &text);

        if (affix >= NGX_MESH_NAMES) {
            text.data = ngx_pnalloc(route->pool, text.len + 1);
            if (text.data == NULL) {
                return NGX_ERROR;
            }

            for (j = 0; j < text.len; j++) {
                text.data[j] = test->alts[i].value.data[text.len - 1 - j];
            }
        }

        if (ngx_mesh_index_key(keys,
                               ngx_mesh_hash_str(ngx_mesh_index_seed(2, affix),
                                                 &text),
                               affix, text.len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_index_key(ngx_array_t *keys, uint64_t hash, ngx_uint_t affix,
    size_t length)
{
    ngx_mesh_key_t  *key;

    key = ngx_array_push(keys);
    if (key == NULL) {
        return NGX_ERROR;
    }

    key->hash = hash;
    key->affix = (uint32_t) affix;
    key->length = (uint32_t) length;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_index_finish(ngx_mesh_index_t *index)
{
    ngx_uint_t         n;
    ngx_mesh_rules_t  *set;

    set = index->set;

    set->signatures = index->signatures.elts;
    set->nsignatures = index->signatures.nelts;

    set->nrest = index->rest.nelts;
    set->rest = ngx_palloc(set->pool, (set->nrest + 1) * sizeof(uint32_t));

    /* a rule may be found by several of its values */

    n = index->keys.nelts + set->nrest + 1;

    set->found = ngx_palloc(set->pool, n * sizeof(uint32_t));
    set->result = ngx_palloc(set->pool, n * sizeof(ngx_mesh_route_t *));

    if (set->rest == NULL || set->found == NULL || set->result == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(set->rest, index->rest.elts, set->nrest * sizeof(uint32_t));

    if (ngx_mesh_index_affixes(index) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mesh_index_slots(index);
}


static ngx_int_t
ngx_mesh_index_slots(ngx_mesh_index_t *index)
{
    ngx_uint_t             i, n, size;
    ngx_mesh_slot_t       *slot;
    ngx_mesh_rules_t      *set;
    ngx_mesh_index_key_t  *key;

    set = index->set;
    key = index->keys.elts;

    ngx_qsort(key, index->keys.nelts, sizeof(ngx_mesh_index_key_t),
              ngx_mesh_index_cmp);

    for (size = 16; size < index->keys.nelts * 2; size *= 2) { /* void */ }

    set->mask = size - 1;
    set->slots = ngx_pcalloc(set->pool, size * sizeof(ngx_mesh_slot_t));
    set->lists = ngx_palloc(set->pool,
                            (index->keys.nelts + 1) * sizeof(uint32_t));

    if (set->slots == NULL || set->lists == NULL) {
        return NGX_ERROR;
    }

    slot = NULL;
    n = 0;

    for (i = 0; i < index->keys.nelts; i++) {

        if (slot == NULL || slot->hash != key[i].hash) {
            slot = &set->slots[key[i].hash & set->mask];

            while (slot->n) {
                slot = (slot == &set->slots[set->mask]) ? set->slots
                                                        : slot + 1;
            }

            slot->hash = key[i].hash;
            slot->first = (uint32_t) n;

        } else if (key[i].position == key[i - 1].position) {
            continue;
        }

        set->lists[n++] = key[i].position;
        slot->n++;

        if (key[i].affix) {
            set->bloom[(key[i].hash >> 38) & set->bloom_mask]
                |= (uint64_t) 1 << (key[i].hash >> 58);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_index_affixes(ngx_mesh_index_t *index)
{
    size_t             max;
    uint32_t          *length;
    ngx_uint_t         i, n, size;
    ngx_mesh_affix_t  *affix;
    ngx_mesh_rules_t  *set;

    set = index->set;
    max = 0;

    set->affixes = ngx_pcalloc(set->pool,
                               NGX_MESH_NAMES * 2 * sizeof(ngx_mesh_affix_t));
    if (set->affixes == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_MESH_NAMES * 2; i++) {
        n = index->lengths[i].nelts;

        if (n == 0) {
            continue;
        }

        length = ngx_palloc(set->pool, n * sizeof(uint32_t));
        if (length == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(length, index->lengths[i].elts, n * sizeof(uint32_t));
        ngx_qsort(length, n, sizeof(uint32_t), ngx_mesh_index_cmp_u32);

        affix = &set->affixes[set->naffixes++];
        affix->seed = ngx_mesh_index_seed(2, i);
        affix->name = i % NGX_MESH_NAMES;
        affix->reverse = i / NGX_MESH_NAMES;
        affix->lengths = length;
        affix->nlengths = n;

        if (affix->reverse) {
            max = ngx_max(max, length[n - 1]);
        }
    }

    /* sixteen bits for each, so that few are looked for in vain */

    for (size = 4; size * 4 < index->naffixes; size *= 2) { /* void */ }

    set->bloom_mask = size - 1;
    set->bloom = ngx_pcalloc(set->pool, size * sizeof(uint64_t));
    set->reversed = ngx_pnalloc(set->pool, max + 8);

    return (set->bloom && set->reversed) ? NGX_OK : NGX_ERROR;
}


static int ngx_libc_cdecl
ngx_mesh_index_cmp(const void *one, const void *two)
{
    const ngx_mesh_index_key_t  *a, *b;

    a = one;
    b = two;

    if (a->hash != b->hash) {
        return a->hash < b->hash ? -1 : 1;
    }

    return (a->position > b->position) - (a->position < b->position);
}


static int ngx_libc_cdecl
ngx_mesh_index_cmp_u32(const void *one, const void *two)
{
    uint32_t  a, b;

    a = *(uint32_t *) one;
    b = *(uint32_t *) two;

    return (a > b) - (a < b);
}


static ngx_inline ngx_mesh_slot_t *
ngx_mesh_find_slot(ngx_mesh_rules_t *set, uint64_t hash)
{
    ngx_mesh_slot_t  *slot;

    slot = &set->slots[hash & set->mask];

    while (slot->n) {

        if (slot->hash == hash) {
            return slot;
        }

        slot = (slot == &set->slots[set->mask]) ? set->slots : slot + 1;
    }

    return NULL;
}


ngx_uint_t
ngx_mesh_rules_find(ngx_mesh_rules_t *set, ngx_str_t *names,
    ngx_mesh_route_t ***routes)
{
    uint32_t    *found, position;
    ngx_uint_t   i, j, n, last;

    found = set->found;
    last = set->nroutes;

    n = ngx_mesh_find_signatures(set, names, &last);

    for (i = 0; i < set->naffixes; i++) {
        n = ngx_mesh_find_affixes(set, &set->affixes[i],
                                  &names[set->affixes[i].name], names, n,
                                  &last);
    }

    n = ngx_mesh_find_list(set, set->rest, set->nrest, names, n, &last);

    if (n > 32) {
        ngx_qsort(found, n, sizeof(uint32_t), ngx_mesh_index_cmp_u32);

    } else {
        for (i = 1; i < n; i++) {
            position = found[i];

            for (j = i; j && found[j - 1] > position; j--) {
                found[j] = found[j - 1];
            }

            found[j] = position;
        }
    }

    for (i = 0, j = 0; i < n && found[i] <= last; i++) {

        if (i == 0 || found[i] != found[i - 1]) {
            set->result[j++] = set->routes[found[i]];
        }
    }

    *routes = set->result;

    return j;
}


static ngx_uint_t
ngx_mesh_find_signatures(ngx_mesh_rules_t *set, ngx_str_t *names,
    ngx_uint_t *last)
{
    uint64_t          h, hashes[NGX_MESH_NAMES];
    ngx_uint_t        i, k, n, mask;
    ngx_mesh_slot_t  *slot;

    for (i = 0; i < NGX_MESH_NAMES; i++) {
        if (set->hashed & 1 << i) {
            hashes[i] = ngx_mesh_hash_str(0, &names[i]);
        }
    }

    n = 0;

    for (k = 0; k < set->nsignatures; k++) {
        h = set->signatures[k].seed;

        for (i = 0, mask = set->signatures[k].mask; mask; i++, mask >>= 1) {
            if (mask & 1) {
                h = ngx_mesh_hash_mix(h, hashes[i]);
            }
        }

        slot = ngx_mesh_find_slot(set, h);

        if (slot) {
            n = ngx_mesh_find_list(set, &set->lists[slot->first], slot->n,
                                   names, n, last);
        }
    }

    return n;
}


/* all lengths are hashed while going over the name once */

static ngx_uint_t
ngx_mesh_find_affixes(ngx_mesh_rules_t *set, ngx_mesh_affix_t *affix,
    ngx_str_t *name, ngx_str_t *names, ngx_uint_t n, ngx_uint_t *last)
{
    size_t            i, len, done;
    u_char           *p;
    uint64_t          h, hash;
    ngx_uint_t        k;
    ngx_mesh_slot_t  *slot;

    p = name->data;

    if (affix->reverse) {
        len = ngx_min(name->len, affix->lengths[affix->nlengths - 1]);
        p = set->reversed;

        for (i = 0; i < len; i++) {
            p[i] = name->data[name->len - 1 - i];
        }
    }

    h = affix->seed;
    done = 0;

    for (k = 0; k < affix->nlengths; k++) {
        len = affix->lengths[k];

        if (len > name->len) {
            break;
        }

        for ( /* void */ ; done + 8 <= len; done += 8) {
            h = ngx_mesh_hash_mix(h, ngx_mesh_hash_load(p + done));
        }

        hash = ngx_mesh_hash_end(h, p, len);

        if (!(set->bloom[(hash >> 38) & set->bloom_mask]
              & (uint64_t) 1 << (hash >> 58)))
        {
            continue;
        }

        slot = ngx_mesh_find_slot(set, hash);

        if (slot) {
            n = ngx_mesh_find_list(set, &set->lists[slot->first], slot->n,
                                   names, n, last);
        }
    }

    return n;
}


/* nothing behind a rule that all calls of these names take is of interest */

static ngx_uint_t
ngx_mesh_find_list(ngx_mesh_rules_t *set, uint32_t *list, ngx_uint_t count,
    ngx_str_t *names, ngx_uint_t n, ngx_uint_t *last)
{
    ngx_uint_t         i, k;
    ngx_mesh_route_t  *route;

    for (i = 0; i < count && list[i] <= *last; i++) {

        route = set->routes[list[i]];

        for (k = 0; k < route->ntests; k++) {
            if (!ngx_mesh_test_match(&route->tests[k], names)) {
                break;
            }
        }

        if (k < route->ntests) {
            continue;
        }

        set->found[n++] = list[i];

        if (route->ncalls == 0) {
            *last = list[i];
        }
    }

    return n;
}
