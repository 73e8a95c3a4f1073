
/*
 * Copyright (C) nginx-mesh authors
 *
 * Who a server is, as it says of itself; prints TAP.
 */


#include "unit.h"
#include "redis.h"
#include "ngx_mesh_redis_server.h"
#include <stdio.h>


#define A  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C  "cccccccccccccccccccccccccccccccccccccccc"
#define D  "dddddddddddddddddddddddddddddddddddddddd"
#define O  "0000000000000000000000000000000000000000"


static ngx_mesh_redis_server_t
server(char *run_id, char *replid, char *replid2)
{
    char                     text[1024];
    ngx_str_t                s;
    ngx_mesh_redis_server_t  result;

    (void) snprintf(text, sizeof(text),
                    "# Server\r\nredis_version:7.0.15\r\nrun_id:%s\r\n"
                    "uptime_in_seconds:100\r\n\r\n# Replication\r\n"
                    "role:master\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\n",
                    run_id, replid, replid2);

    s = str(text);
    ngx_memzero(&result, sizeof(result));
    ngx_mesh_redis_server_info(&result, &s);

    return result;
}


static void
test_info(void)
{
    ngx_str_t                s;
    ngx_mesh_redis_server_t  one;

    one = server(A, B, O);
    ok(one.known && ngx_strcmp(one.run_id, A) == 0
       && ngx_strcmp(one.replid, B) == 0 && ngx_strcmp(one.replid2, O) == 0
       && one.uptime == 100 && one.role == NGX_MESH_REDIS_ROLE_MASTER,
       "INFO");

    ngx_memzero(&one, sizeof(one));
    s = str("role:slave\nmaster_link_status:up\nrun_id:");
    ngx_mesh_redis_server_info(&one, &s);
    ok(one.role == NGX_MESH_REDIS_ROLE_REPLICA && one.synced && !one.known,
       "less of it");

    ngx_memzero(&one, sizeof(one));
    s = str("role:slave\r\nmaster_link_status:down\r\nuptime_in_seconds:x");
    ngx_mesh_redis_server_info(&one, &s);
    ok(!one.synced && one.uptime == 0, "a link that is down");

    ngx_memzero(&one, sizeof(one));
    one.role = NGX_MESH_REDIS_ROLE_REPLICA;
    s = str("role:master\r\nmaster_link_status:up\r\nrun_id:" A B C "\r\n\r\n"
            "run_i");
    ngx_mesh_redis_server_info(&one, &s);
    ok(one.role == NGX_MESH_REDIS_ROLE_REPLICA && !one.synced,
       "what ROLE said holds");
    ok(ngx_strcmp(one.run_id, A) == 0, "an id that is too long");

    s = str("");
    ngx_mesh_redis_server_info(&one, &s);
    ok(one.known, "nothing");
    ok(!one.evicts, "a server that keeps what is written");

    s = str("maxmemory:1000\r\nmaxmemory_policy:noeviction\r\n");
    ngx_mesh_redis_server_info(&one, &s);
    ok(!one.evicts, "or refuses to write");

    s = str("maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n");
    ngx_mesh_redis_server_info(&one, &s);
    ok(!one.evicts, "or has all the memory");

    s = str("maxmemory:1000\r\nmaxmemory_policy:volatile-lru\r\n");
    ngx_mesh_redis_server_info(&one, &s);
    ok(!one.evicts, "or evicts what is to expire");

    s = str("maxmemory:1000\r\nmaxmemory_policy:allkeys-lfu\r\n");
    ngx_mesh_redis_server_info(&one, &s);
    ok(one.evicts, "one that evicts anything");
}


static void
test_role(void)
{
    ngx_uint_t                i;
    ngx_mesh_reply_t          reply, part[5], *elements[5];
    ngx_mesh_redis_server_t   one;

    for (i = 0; i < 5; i++) {
        ngx_memzero(&part[i], sizeof(part[i]));
        part[i].type = REDIS_REPLY_STRING;
        part[i].str = str("x");
        elements[i] = &part[i];
    }

    ngx_memzero(&reply, sizeof(reply));
    reply.type = REDIS_REPLY_ARRAY;
    reply.elements = elements;
    reply.nelements = 3;

    ngx_memzero(&one, sizeof(one));
    part[0].str = str("master");
    ngx_mesh_redis_server_role(&one, &reply);
    ok(ngx_mesh_redis_server_wrong(&one, 0) == NULL
       && ngx_mesh_redis_server_wrong(&one, 1) == NULL, "a master");

    reply.nelements = 5;
    part[0].str = str("slave");
    part[3].str = str("connect");
    ngx_mesh_redis_server_role(&one, &reply);
    ok(ngx_mesh_redis_server_wrong(&one, 0) != NULL,
       "a replica out of step with its master");

    part[3].str = str("connected");
    ngx_mesh_redis_server_role(&one, &reply);
    ok(ngx_mesh_redis_server_wrong(&one, 0) == NULL, "a replica in step");
    ok(ngx_mesh_redis_server_wrong(&one, 1) != NULL, "which is no master");

    reply.nelements = 2;
    ngx_mesh_redis_server_role(&one, &reply);
    ok(ngx_mesh_redis_server_wrong(&one, 0) != NULL, "one that tells nothing");

    reply.nelements = 1;
    part[0].str = str("sentinel");
    ngx_mesh_redis_server_role(&one, &reply);
    ok(ngx_mesh_redis_server_wrong(&one, 0) != NULL, "a Sentinel");

    reply.type = REDIS_REPLY_ERROR;
    ngx_memzero(&one, sizeof(one));
    ngx_mesh_redis_server_role(&one, &reply);
    ok(one.role == NGX_MESH_REDIS_ROLE_UNKNOWN
       && ngx_mesh_redis_server_wrong(&one, 1) == NULL, "it is not told");
}


static ngx_uint_t
doubtful(ngx_mesh_redis_server_t one, ngx_mesh_redis_server_t two)
{
    return ngx_mesh_redis_server_doubtful(&one, &two, 0, 60000);
}


static void
test_doubt(void)
{
    ngx_mesh_redis_server_t  one, none;

    ngx_memzero(&none, sizeof(none));
    one = server(A, C, O);

    ok(!doubtful(one, server(A, C, O)), "the same one");
    ok(!doubtful(one, server(A, D, O)), "the same, whatever else it says");
    ok(doubtful(one, server(B, D, O)), "another one, or restarted");
    ok(!doubtful(one, server(B, C, O)), "a replica of it");
    ok(!doubtful(one, server(B, D, C)), "a replica of it that was promoted");
    ok(doubtful(server(B, D, C), server(A, C, O)),
       "the old master that was promoted past");
    ok(doubtful(server(A, O, O), server(B, O, O)), "zeroes are no name");
    ok(doubtful(one, none) && doubtful(none, one), "one that tells nothing");

    ok(!ngx_mesh_redis_server_doubtful(&none, &one, 1, 60000),
       "the first one runs for long");
    one.uptime = 59;
    ok(ngx_mesh_redis_server_doubtful(&none, &one, 1, 60000),
       "it was started a moment ago");
    ok(!ngx_mesh_redis_server_doubtful(&none, &none, 1, 60000),
       "it does not tell");
}


static void
test_pause(void)
{
    ok(ngx_mesh_redis_server_pause(0) == 20, "reads that take no time");
    ok(ngx_mesh_redis_server_pause(20) == 180, "some");
    ok(ngx_mesh_redis_server_pause(5000) == 1000, "or long");
}


void
test_server(void)
{
    test_info();
    test_role();
    test_doubt();
    test_pause();
}
