
/*
 * Copyright (C) nginx-mesh authors
 *
 * The guard against random answers: what it has to keep, what it has to let
 * go, and that it always comes to an end.
 */


#include "unit.h"
#include "ngx_mesh_guard.h"


#define SERVICES   3
#define ENDPOINTS  8
#define ALL        (SERVICES * ENDPOINTS)

#define HOLD       30000


/* endpoints of a few services as a table has them */

typedef struct {
    int         there;
    int         down;
    int         suspect;
    ngx_msec_t  since;     /* the guard's */
    ngx_msec_t  missed;    /* ours */
} endpoint_t;


static endpoint_t  table[ALL];

static ngx_uint_t  kept, wrong, released, ended, early;


static uint32_t
rnd(uint32_t n)
{
    static uint32_t  x = 2463534242u;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;

    return x % n;
}


/* an answer: 0 is missing, 1 is there, 2 is down */

static void
answer(int *says, unsigned kind)
{
    unsigned  i, one;

    one = rnd(SERVICES);

    for (i = 0; i < ALL; i++) {

        switch (kind) {

        case 0:
            says[i] = 0;
            break;

        case 1:
            says[i] = 1;
            break;

        case 2:
            says[i] = i / ENDPOINTS == one ? 0 : 1;
            break;

        case 3:
            says[i] = rnd(10) ? 1 : 0;
            break;

        case 4:
            says[i] = rnd(10) ? 2 : 1;
            break;

        default:
            says[i] = (int) rnd(3);
        }
    }
}


static int
serves(endpoint_t *ep)
{
    return ep->there && !ep->down;
}


/* what the guard has to see, from the beginning */

static int
shrinks(ngx_mesh_guard_t *g, unsigned from, unsigned to, int *says)
{
    unsigned  i, had, left, gone;

    for (i = from, had = 0, left = 0, gone = 0; i < to; i++) {
        had += serves(&table[i]);
        left += (says[i] == 1);
        gone += serves(&table[i]) && says[i] != 1;
    }

    return gone && g->percent < 100 && !g->forced
           && (left == 0
               || (had >= g->min && left < had
                   && 100 * (had - left) > g->percent * had));
}


static void
check(ngx_mesh_guard_t *g, ngx_mesh_guard_entry_t *e, unsigned i, int *says)
{
    int       held;
    unsigned  k, from, left;

    from = i / ENDPOINTS * ENDPOINTS;

    for (k = from, left = 0; k < from + ENDPOINTS; k++) {
        left += (says[k] == 1);
    }

    held = serves(&table[i]) && says[i] != 1
           && (shrinks(g, 0, ALL, says)
               || shrinks(g, from, from + ENDPOINTS, says));

    /* witnesses */

    if (held && table[i].suspect
        && (g->now - table[i].missed >= HOLD
            || (left && (g->independent
                         || g->now - table[i].missed >= HOLD / 3))))
    {
        held = 0;
        released++;
    }

    wrong += ((unsigned) held != e->held);
    kept += held;
}


static ngx_uint_t
step(ngx_mesh_guard_t *g, int *says)
{
    unsigned                i, n;
    ngx_mesh_guard_entry_t  e[ALL];

    ngx_memzero(e, sizeof(e));

    for (i = 0; i < ALL; i++) {
        e[i].service = 1 + i / ENDPOINTS;
        e[i].since = table[i].since;
        e[i].serves = serves(&table[i]) ? 1 : 0;
        e[i].said = (says[i] == 1) ? 1 : 0;
        e[i].suspect = table[i].suspect ? 1 : 0;
    }

    ngx_mesh_guard(g, e, ALL);

    for (i = 0; i < ALL; i++) {
        check(g, &e[i], i, says);
    }

    for (i = 0, n = 0; i < ALL; i++) {

        if (e[i].held) {
            n++;
            table[i].missed = table[i].suspect ? table[i].missed : g->now;
            early += (e[i].since != table[i].missed);
            table[i].suspect = 1;
            table[i].since = e[i].since;
            continue;
        }

        table[i].there = (says[i] != 0);
        table[i].down = (says[i] == 2);
        table[i].suspect = 0;
    }

    wrong += (n != g->held);

    return n;
}


/* who waits as long as it is told to is never told so for ever */

static void
end(ngx_mesh_guard_t *g, int *says)
{
    ngx_uint_t  n, held;

    g->forced = 0;
    g->independent = 0;

    held = step(g, says);

    for (n = 0; held && n < 4 + ALL; n++) {
        wrong += (g->again == 0 || g->again > HOLD);
        g->now += g->again;
        held = step(g, says);
    }

    ended += (held == 0);
}


static void
entry(ngx_mesh_guard_entry_t *e, unsigned service, unsigned serving,
    unsigned said)
{
    ngx_memzero(e, sizeof(ngx_mesh_guard_entry_t));

    e->service = service;
    e->serves = serving;
    e->said = said;
}


static void
test_cases(void)
{
    unsigned                i;
    ngx_mesh_guard_t        g;
    ngx_mesh_guard_entry_t  e[10];

    ngx_memzero(&g, sizeof(g));
    g.percent = 50;
    g.min = 3;
    g.hold = HOLD;

    entry(&e[0], 1, 1, 0);
    ngx_mesh_guard(&g, e, 1);
    ok(e[0].held && g.again == HOLD, "the only one is held");

    e[0].exempt = 1;
    ngx_mesh_guard(&g, e, 1);
    ok(!e[0].held, "... unless somebody wants it to go");

    entry(&e[0], 1, 0, 0);
    ngx_mesh_guard(&g, e, 1);
    ok(!e[0].held, "... or it did not serve");

    entry(&e[0], 1, 1, 1);
    entry(&e[1], 1, 1, 0);
    ngx_mesh_guard(&g, e, 2);
    ok(!e[1].held, "one of two is half of too few");

    for (i = 0; i < 10; i++) {
        entry(&e[i], 1, 1, i < 5);
    }

    ngx_mesh_guard(&g, e, 10);
    ok(g.held == 0, "half of ten may go");

    e[4].said = 0;
    ngx_mesh_guard(&g, e, 10);
    ok(g.held == 6 && g.had == 10 && g.again == HOLD / 3,
       "more than half is held");

    for (i = 0; i < 10; i++) {
        entry(&e[i], i / 2, 1, i % 2 && i > 1);
    }

    ngx_mesh_guard(&g, e, 10);
    ok(g.held == 6, "of all services more than half is held in each");

    for (i = 0; i < 10; i++) {
        entry(&e[i], 1, i < 5, i >= 5);
    }

    ngx_mesh_guard(&g, e, 10);
    ok(g.held == 0, "others may take their place");
}


int
main(int argc, char *argv[])
{
    int               says[ALL];
    long              i, n;
    ngx_uint_t        ends;
    ngx_mesh_guard_t  g;

    n = argc > 1 ? strtol(argv[1], NULL, 10) : 10000;

    test_cases();

    ngx_memzero(&g, sizeof(g));
    g.hold = HOLD;
    ends = 0;

    for (i = 0; i < n; i++) {
        g.percent = rnd(20) ? rnd(100) : 101;
        g.min = rnd(6);
        g.now += rnd(HOLD);
        g.forced = (rnd(50) == 0);
        g.independent = (rnd(5) == 0);

        answer(says, rnd(6));
        (void) step(&g, says);

        if (rnd(20) == 0) {
            end(&g, says);
            ends++;
        }
    }

    ok(wrong == 0, "%ld random answers: as the rules say", n);
    ok(early == 0, "the clock of an endpoint begins once");
    ok(kept && released, "some were held, and some were let go");
    ok(ends && ended == ends, "what is said again and again is believed");

    return test_done();
}
