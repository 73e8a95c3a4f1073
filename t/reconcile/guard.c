
/*
 * Copyright (C) nginx-mesh authors
 *
 * Answers that are not believed at once.
 */


#include "reconcile.h"


#define HOLD  30000


static void
table_is(const char *expected, const char *what)
{
    const char  *found;

    found = table();
    ok(strcmp(found, expected) == 0, "%s", what);

    if (strcmp(found, expected) != 0) {
        printf("# found:    %s\n# expected: %s\n", found, expected);
    }
}


static void
test_partial(void)
{
    fresh();

    (void) set(0, "1 2 3 4 6");
    ok(set(0, "1") == NGX_AGAIN && again == HOLD / 3,
       "four of five are gone: held");
    table_is("a.B(r0) r0.1 r0.2? r0.3? r0.4? r0.6?", "... as suspects");
    ok(answer(0)->held && answer(0)->suspects == 4 && answer(0)->found == 1
       && is(&answer(0)->reason, "4 of 5 endpoints are gone"),
       "... which the answer tells");
    ok(stub_shares[1] == 1, "... and the status");

    stub_pass(HOLD / 3 - 1);
    ok(set(0, "1") == NGX_AGAIN && again == 1, "too early for a second read");
    table_is("a.B(r0) r0.1 r0.2? r0.3? r0.4? r0.6?",
             "... nothing has changed");

    ok(set(0, "1 5") == NGX_AGAIN, "what is new is added");
    table_is("a.B(r0) r0.1 r0.2? r0.3? r0.4? r0.5 r0.6?", "... at once");

    stub_pass(1);
    ok(set(0, "1 5") == NGX_OK, "a second read later on agrees");
    table_is("a.B(r0) r0.1 r0.5", "... and is believed");
    ok(answer(0)->held == 0 && answer(0)->reason.len == 0
       && stub_shares[1] == 0, "... nothing is held any more");
}


static void
test_empty(void)
{
    uint64_t  held;

    fresh();

    (void) set(0, "1");
    ok(set(0, "") == NGX_AGAIN && again == HOLD, "the only one is held");
    held = answer(0)->held;

    stub_pass(HOLD / 2);
    ok(same(0) == NGX_AGAIN && again == HOLD / 2,
       "an empty answer is no witness");
    table_is("a.B(r0) r0.1?", "... it serves");

    update.independent = 1;
    ok(set(0, "") == NGX_AGAIN, "... of another address neither");
    ok(answer(0)->held == held, "... it is held since the beginning");

    stub_pass(HOLD / 2);
    ok(set(0, "") == NGX_OK, "but it goes in the end");
    table_is("", "... and the service with it");
    ok(answer(0)->known && answer(0)->found == 0, "... the answer stays");
}


static void
test_back(void)
{
    uint64_t  revision;

    fresh();

    (void) set(0, "1 2 3");
    (void) set(0, "");
    table_is("a.B(r0) r0.1? r0.2? r0.3?", "a registry lost its memory");

    ok(set(0, "1 2 3") == NGX_OK, "it came back");
    table_is("a.B(r0) r0.1 r0.2 r0.3", "... and all is well");

    (void) set(0, "");
    revision = ngx_mesh_store_revision(&stub_store);
    stub_pass(1000);
    ok(set(0, "") == NGX_AGAIN && again == HOLD - 1000
       && ngx_mesh_store_revision(&stub_store) == revision,
       "the next time it is held anew, and nothing is written");
}


static void
test_witness(void)
{
    fresh();

    (void) set(0, "1 2 3 4");

    update.independent = 1;
    ok(set(0, "1") == NGX_AGAIN, "another address says less, and is the first");

    update.independent = 1;
    ok(set(0, "1") == NGX_OK, "another one agrees");
    table_is("a.B(r0) r0.1", "... that is enough");

    (void) set(0, "");
    update.forced = 1;
    ok(set(0, "") == NGX_OK, "an operator knows");
    table_is("", "... better");

    (void) set(0, "1");
    (void) set(0, "");
    subscription(0)->forced = 1;
    ok(unknown(0, "an error") == NGX_OK, "one who waits for an answer");
    ok(subscription(0)->forced, "... goes on waiting when there was none");
    ok(same(0) == NGX_OK && !subscription(0)->forced, "... then it is heard");
    table_is("", "... and believed");
}


static void
test_unknown(void)
{
    fresh();

    (void) set(0, "1 2");
    (void) set(0, "");

    stub_pass(1000);
    ok(unknown(0, "connection refused") == NGX_OK, "no answer");
    ok(answer(0)->unknown && answer(0)->known
       && is(&answer(0)->reason, "connection refused")
       && answer(0)->held && answer(0)->suspects == 2, "... is told");
    table_is("a.B(r0) r0.1? r0.2?", "... and takes nothing away");

    stub_pass(10 * HOLD);
    (void) unknown(0, "connection refused");
    stub_pass(10 * HOLD);

    ok(set(0, "") == NGX_AGAIN && again == HOLD - 1000,
       "meanwhile no time has passed");
    ok(!answer(0)->unknown
       && is(&answer(0)->reason, "2 of 2 endpoints are gone"),
       "... what is held is held still");

    (void) unknown(0, "connection refused");
    restart();
    stub_pass(10 * HOLD);
    ok(set(0, "") == NGX_AGAIN && again == HOLD,
       "an agent that begins with no answer knows no time");
}


static void
test_restart(void)
{
    uint64_t  held;

    fresh();

    (void) set(0, "1 2 3 4");
    (void) set(0, "1 2 3");
    (void) set(0, "");
    held = answer(0)->held;

    stub_pass(HOLD - 1000);
    restart();
    ok(stub_shares[0] == 0 && stub_shares[1] == 0, "an agent died");

    ok(set(0, "") == NGX_AGAIN && again == 1000 && answer(0)->held == held,
       "the next one goes on with its clock");
    table_is("a.B(r0) r0.1? r0.2? r0.3?", "... and knows the suspects");

    stub_pass(1000);
    restart();
    ok(set(0, "") == NGX_OK, "the last one comes to the end");
    table_is("", "... they are gone");
}


static void
test_critical(void)
{
    fresh();

    (void) set(0, "1 2 3");
    ok(set(0, "1~ 2~ 3=") == NGX_AGAIN, "all are critical but a drained one");
    table_is("a.B(r0) r0.1? r0.2? r0.3=", "... they serve, that one not");

    stub_pass(HOLD / 3);
    ok(same(0) == NGX_OK, "it is so still");
    table_is("a.B(r0) r0.1~ r0.2~ r0.3=", "... they are down, not gone");

    (void) set(0, "3=");
    table_is("a.B(r0) r0.3=", "who is down goes at once");

    ok(set(0, "") == NGX_OK, "who is drained, too");
    table_is("", "... even the last one");
}


/* each has its own clock */

static void
test_clocks(void)
{
    fresh();

    (void) set(0, "1 2 3 4 5 6");
    (void) set(0, "1 2");
    stub_pass(HOLD - 1000);
    (void) set(0, "");
    table_is("a.B(r0) r0.1? r0.2? r0.3? r0.4? r0.5? r0.6?",
             "some are gone, much later the others");

    stub_pass(1000);
    ok(set(0, "") == NGX_AGAIN && again == HOLD - 1000,
       "the time of the first is over");
    table_is("a.B(r0) r0.1? r0.2?", "... not that of the others");
}


static void
test_services(void)
{
    fresh();

    (void) set(0, "1 2 3 4 :2.0 5");
    ok(set(0, "1 2 3 4") == NGX_AGAIN && again == HOLD,
       "a version is gone: held");
    table_is("a.B(r0) r0.1 r0.2 r0.3 r0.4 a.B:2.0(r0) r0.5?",
             "... that one alone");

    stub_pass(HOLD);
    (void) set(0, "1 2 3 4");
    table_is("a.B(r0) r0.1 r0.2 r0.3 r0.4", "... for its time");
}


void
test_guard(void)
{
    test_partial();
    test_empty();
    test_back();
    test_witness();
    test_unknown();
    test_restart();
    test_critical();
    test_clocks();
    test_services();
}
