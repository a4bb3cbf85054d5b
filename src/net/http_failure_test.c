/* SPDX-License-Identifier: MIT */
/*
 * What becomes of loop, sockets, HTTP client and server when something under them fails: each system call of ours in
 * turn, each allocation in turn, once or from then on. Whatever fails, all ends, and no descriptor stays open. And what
 * becomes of them after many polls over a bad network: nothing has grown. WEIR_TEST_POLLS says how many.
 */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "async/fiber.h"
#include "async/loop.h"
#include "async/network.h"
#include "async/simulated.h"
#include "async/test_loop.h"
#include "base/clock.h"
#include "base/test_descriptors.h"
#include "base/test_failing.h"
#include "net/http.h"
#include "net/http_server.h"

#define MS CLOCK_MILLISECOND
enum { CLIENTS = 2, REQUESTS = 3, POLLERS = 50, POLLS = 20000 / FIBER_STACK_FACTOR, SLACK = 256 * 1024 };

struct world {
    struct http_server *server;
    struct http_client *client;
    struct weir_listener *listener;
    int64_t patience;
    char url[64];
    uint64_t polls, good, bad;
};

/* ---- Somebody asks, somebody answers ---- */

static int answer(struct weir_context *context, void *owner, struct http_question *question)
{
    (void)owner;
    http_question_forget(question);
    int error = weir_sleep(context, MS / 10);
    return error < 0 ? error : http_answer(context, question, 200, "text/plain", "12.5\n", 5);
}

static int serve(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    int error = http_server_run(context, world->server, world->listener);
    return error == -ECANCELED ? error : 0; /* it could not go on: those who ask will notice */
}

static void ask(struct weir_context *context, struct world *world)
{
    struct http_reply reply;
    const struct http_request request = {.url = world->url};
    char words[256];
    int error = http_request(context, world->client, &request, weir_now(context) + world->patience, &reply);
    assert_int_equal(error, reply.error);
    assert_true((error == 0) == (reply.outcome == HTTP_DONE));
    if (error == 0)
        assert_string_equal(reply.body, "12.5\n");
    else
        assert_true(strlen(http_explain(&request, &reply, words, sizeof words)) > 0);
    http_reply_release(&reply);
    world->good += error == 0;
    world->bad += error != 0;
}

static int ask_few(struct weir_context *context, void *argument)
{
    for (int i = 0; i < REQUESTS; i++)
        ask(context, argument);
    return 0;
}

static int ask_and_answer(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    const struct http_server_options options = {.answer = answer};
    struct weir_scope serving, asking;
    int error = weir_stream_listen(context, "127.0.0.1", 0, &world->listener);
    if (error < 0)
        return error;
    snprintf(world->url, sizeof world->url, "http://127.0.0.1:%u/", weir_listener_port(world->listener));
    error = http_server_new(&options, &world->server);
    if (error == 0)
        error = http_client_new(NULL, &world->client);
    weir_scope_open(context, &serving);
    if (error == 0)
        error = weir_scope_spawn(&serving, "server", serve, world);
    if (error == 0) {
        weir_scope_open(context, &asking);
        for (int i = 0; i < CLIENTS && error == 0; i++)
            error = weir_scope_spawn(&asking, "client", ask_few, world);
        int joined = weir_scope_join(&asking);
        error = error < 0 ? error : joined;
    }
    weir_scope_close(&serving);
    weir_listener_close(world->listener);
    http_client_free(world->client);
    http_server_free(world->server);
    return error;
}

/* All of it, from making the loop to freeing it. */
static int run_once(struct world *world)
{
    *world = (struct world){.patience = 100 * MS};
    return test_loop_run(NULL, ask_and_answer, world);
}

static void check_good(const struct world *world, int error)
{
    assert_int_equal(error, 0);
    assert_int_equal(world->good, CLIENTS * REQUESTS);
    assert_int_equal(world->bad, 0);
}

/* Each call of this kind in turn, until there are no more. Returns how many there were. */
static uint64_t sweep(struct failing failing)
{
    struct world world;
    uint64_t made;
    int error;
    check_good(&world, run_once(&world));
    uint32_t before = test_open_descriptors();
    do {
        failing.nth++;
        failing_begin(&failing);
        error = run_once(&world);
        made = failing_end(&failing);
        assert_true(error <= 0);
        assert_int_equal(test_open_descriptors(), before);
    } while (made >= failing.nth);
    check_good(&world, error);
    return made;
}

static void test_each_system_call_fails_in_turn(void **state)
{
    (void)state;
    static const int errors[] = {ENOMEM, EMFILE, ECONNRESET};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        assert_true(sweep((struct failing){.error = errors[i]}) >= 20); /* opening, connecting, accepting, reading, … */
}

static void test_each_allocation_fails_in_turn(void **state)
{
    (void)state;
    assert_true(sweep((struct failing){.forever = false}) >= 15);
    assert_true(sweep((struct failing){.forever = true}) >= 15);
}

/* ---- Many polls ---- */

struct poller {
    struct world *world;
    uint64_t polls;
};

static int poll_often(struct weir_context *context, void *argument)
{
    struct poller *poller = argument;
    for (uint64_t i = 0; i < poller->polls; i++) {
        ask(context, poller->world);
        weir_sleep(context, MS);
    }
    return 0;
}

static int serve_simulated(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    const struct http_server_options options = {.answer = answer};
    int error = weir_stream_listen(context, "peer", 80, &world->listener);
    if (error == 0)
        error = http_server_new(&options, &world->server);
    if (error == 0)
        error = http_server_run(context, world->server, world->listener);
    weir_listener_close(world->listener);
    return error;
}

/* A tenth of the polls, then all: what is there afterwards must be the same. */
static int poll_twice(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    const struct http_client_options options = {.connections_most = POLLERS};
    struct poller poller = {.world = world};
    struct weir_scope serving, polling;
    size_t level = 0;
    assert_int_equal(http_client_new(&options, &world->client), 0);
    weir_scope_open(context, &serving);
    assert_int_equal(weir_scope_spawn(&serving, "server", serve_simulated, world), 0);
    (void)weir_yield(context);
    for (int round = 0; round < 2; round++) {
        poller.polls = world->polls / POLLERS / (round ? 1 : 10);
        weir_scope_open(context, &polling);
        for (int i = 0; i < POLLERS; i++)
            assert_int_equal(weir_scope_spawn(&polling, "poller", poll_often, &poller), 0);
        assert_int_equal(weir_scope_join(&polling), 0);
        struct http_counters client;
        struct http_server_counters server;
        http_client_count(world->client, &client);
        http_server_count(world->server, &server);
        assert_true(client.connections <= POLLERS && client.connections == client.idle);
        assert_true(server.connections <= 2 * POLLERS);
        if (round == 0)
            level = mallinfo2().uordblks;
        assert_true(mallinfo2().uordblks <= level + SLACK);
    }
    weir_scope_close(&serving);
    http_client_free(world->client);
    http_server_free(world->server);
    return 0;
}

static void test_many_polls_leave_nothing_behind(void **state)
{
    (void)state;
    const char *polls = getenv("WEIR_TEST_POLLS");
    const struct network_faults faults = {.latency_least_ns = MS,
                                          .latency_most_ns = 5 * MS,
                                          .refuse_ratio = 0.01,
                                          .reset_ratio = 0.002,
                                          .stall_ratio = 0.002,
                                          .stall_ns = 100 * MS,
                                          .cut_ratio = 0.002};
    struct world world = {
        .polls = polls ? strtoull(polls, NULL, 10) : POLLS, .patience = 50 * MS, .url = "http://peer/"};
    struct simulated simulated;
    struct network *network = network_new(7);
    const struct loop_options options = {.outer = &simulated.context, .network = network};
    struct loop_counters counters;
    struct loop *loop;
    uint32_t before = test_open_descriptors();
    simulated_init(&simulated);
    assert_int_equal(network_set_faults(network, NULL, &faults), 0);
    assert_int_equal(loop_new(&options, &loop), 0);
    assert_int_equal(loop_run(loop, "root", poll_twice, &world), 0);
    loop_count(loop, &counters);
    assert_int_equal(counters.live, 0);
    assert_true(counters.live_most < 4 * POLLERS);
    assert_true(world.good > world.polls && world.bad > world.polls / 1000);
    loop_free(loop);
    network_free(network); /* no stream is open */
    assert_int_equal(test_open_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_system_call_fails_in_turn),
        cmocka_unit_test(test_each_allocation_fails_in_turn),
        cmocka_unit_test(test_many_polls_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
