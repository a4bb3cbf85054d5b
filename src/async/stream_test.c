/* SPDX-License-Identifier: MIT */
/* Streams, descriptors, threads: on a real loop, and streams on the simulated network too. */
#include "async/loop.h"

#include "async/network.h"
#include "async/simulated.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/test_descriptors.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MILLISECOND CLOCK_MILLISECOND
#define SECOND CLOCK_SECOND

/* A thread's context with real time, as a machine of the engine has. */
struct world {
    struct weir_context context;
    struct context_clock clock;
    struct weir_waiter waiter;
    _Atomic bool cancelled;
    struct simulated simulated;
    struct network *network; /* NULL: real */
    struct loop *loop;
    uint32_t connections;
    struct weir_mpsc *mpsc;
};

static int run_root(struct world *world, weir_task_run *root)
{
    waiter_init(&world->waiter);
    world->context = (struct weir_context){
        .clock = &world->clock, .waiter = &world->waiter, .cancelled = &world->cancelled, .cancel_fd = -1};
    simulated_init(&world->simulated);
    struct loop_options options = {
        .outer = world->network ? &world->simulated.context : &world->context,
        .network = world->network,
    };
    assert_int_equal(loop_new(&options, &world->loop), 0);
    int result = loop_run(world->loop, "root", root, world);
    loop_free(world->loop);
    return result;
}

/* ---- An echo server and its clients ---- */

static int serve_one(struct weir_context *context, void *argument)
{
    struct weir_stream *stream = argument;
    char bytes[1000];
    int64_t got;
    int error = 0;
    while (error == 0 && (got = weir_stream_read(context, stream, bytes, sizeof bytes, WEIR_NEVER)) > 0)
        error = weir_stream_write(context, stream, bytes, (size_t)got, WEIR_NEVER);
    weir_stream_close(stream, false);
    return 0;
}

static int serve(struct weir_context *context, void *argument)
{
    struct weir_scope scope;
    struct weir_stream *stream;
    weir_scope_open(context, &scope);
    while (weir_stream_accept(context, argument, WEIR_NEVER, &stream) == 0)
        assert_int_equal(weir_scope_spawn(&scope, "serve_one", serve_one, stream), 0);
    weir_scope_close(&scope);
    return 0;
}

struct client {
    uint16_t port;
    uint32_t number;
};

static int ask_echo(struct weir_context *context, void *argument)
{
    const struct client *client = argument;
    struct weir_stream *stream;
    enum { BYTES_MOST = 300000 };
    char *sent = memory_allocate(BYTES_MOST), *got = memory_allocate(BYTES_MOST);
    assert_true(sent && got);
    size_t size = client->number * 2003 % BYTES_MOST + 1;
    int error = weir_stream_connect(context, "127.0.0.1", client->port, NULL, WEIR_NEVER, &stream);
    assert_int_equal(error, 0);
    assert_non_null(strstr(weir_stream_peer(stream), "127.0.0.1:"));
    for (int round = 0; round < 3; round++) {
        assert_false(weir_stream_stale(stream));
        for (size_t i = 0; i < size; i++)
            sent[i] = (char)(i * 7 + client->number + (size_t)round);
        size_t done = 0, at = 0;
        while (at < size) { /* less at a time than the buffers of the way hold: nobody else reads what comes back */
            size_t part = size - at < 30000 ? size - at : 30000;
            assert_int_equal(weir_stream_write(context, stream, sent + at, part, WEIR_NEVER), 0);
            at += part;
            while (done < at) {
                int64_t count = weir_stream_read(context, stream, got + done, size - done, WEIR_NEVER);
                assert_true(count > 0);
                done += (size_t)count;
            }
        }
        assert_memory_equal(sent, got, size);
    }
    char byte;
    assert_int_equal(weir_stream_read(context, stream, &byte, 1, weir_now(context) + MILLISECOND), -ETIMEDOUT);
    weir_stream_close(stream, false);
    memory_free(sent);
    memory_free(got);
    return 0;
}

static int echo(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct weir_listener *listener;
    struct weir_scope servers, clients;
    struct client each[64];
    assert_int_equal(weir_stream_listen(context, "127.0.0.1", 0, &listener), 0);
    weir_scope_open(context, &servers);
    weir_scope_spawn(&servers, "serve", serve, listener);
    weir_scope_open(context, &clients);
    for (uint32_t i = 0; i < world->connections; i++) {
        each[i] = (struct client){.port = weir_listener_port(listener), .number = i};
        assert_int_equal(weir_scope_spawn(&clients, "client", ask_echo, &each[i]), 0);
    }
    assert_int_equal(weir_scope_join(&clients), 0);
    weir_scope_close(&servers);
    weir_listener_close(listener);
    return 0;
}

static void test_echo_over_sockets(void **state)
{
    (void)state;
    uint32_t before = test_open_descriptors();
    struct world world = {.connections = 64};
    assert_int_equal(run_root(&world, echo), 0);
    assert_int_equal(test_open_descriptors(), before);
}

static void test_echo_over_the_simulated_network(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct world world = {.connections = 64, .network = network_new(seed)};
        struct network_faults slow = {.latency_least_ns = MILLISECOND, .latency_most_ns = 300 * MILLISECOND};
        assert_int_equal(network_set_faults(world.network, NULL, &slow), 0);
        assert_int_equal(run_root(&world, echo), 0);
        assert_false(world.simulated.stuck);
        network_free(world.network);
    }
}

/* ---- Connecting to nobody ---- */

static int refuse(struct weir_context *context, void *argument)
{
    (void)argument;
    struct weir_listener *listener;
    struct weir_stream *stream;
    assert_int_equal(weir_stream_listen(context, "127.0.0.1", 0, &listener), 0);
    uint16_t port = weir_listener_port(listener);
    weir_listener_close(listener);
    assert_int_equal(weir_stream_connect(context, "127.0.0.1", port, NULL, WEIR_NEVER, &stream), -ECONNREFUSED);
    return 0;
}

static int find_names(struct weir_context *context, void *argument)
{
    (void)argument;
    struct weir_listener *listener;
    struct weir_stream *stream;
    assert_int_equal(weir_stream_listen(context, "127.0.0.1", 0, &listener), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            weir_stream_connect(context, "localhost", weir_listener_port(listener), "127.0.0.9", WEIR_NEVER, &stream),
            0);
        weir_stream_close(stream, true);
    }
    assert_int_equal(weir_stream_connect(context, "no such name", 80, NULL, WEIR_NEVER, &stream), -ENXIO);
    weir_listener_close(listener);
    return 0;
}

static void test_connecting(void **state)
{
    (void)state;
    struct world world = {0};
    assert_int_equal(run_root(&world, refuse), 0);
    assert_int_equal(run_root(&world, find_names), 0);
    world.network = network_new(1);
    assert_int_equal(run_root(&world, refuse), 0);
    network_free(world.network);
}

/* ---- A host that is down ---- */

static int go_down(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct weir_listener *listener;
    struct weir_stream *stream, *other, *again;
    char byte = 'x';
    const int64_t began = weir_now(context);
    assert_int_equal(weir_stream_listen(context, "127.0.0.1", 0, &listener), 0);
    uint16_t port = weir_listener_port(listener);
    assert_int_equal(weir_stream_connect(context, "127.0.0.1", port, NULL, WEIR_NEVER, &stream), 0);
    assert_int_equal(weir_stream_accept(context, listener, WEIR_NEVER, &other), 0);
    assert_int_equal(network_set_down(world->network, "127.0.0.1", true), 0);
    assert_int_equal(weir_stream_connect(context, "127.0.0.1", port, NULL, began + SECOND, &again), -ETIMEDOUT);
    assert_int_equal(weir_now(context), began + SECOND); /* it was not refused */
    assert_int_equal(weir_stream_write(context, stream, &byte, 1, WEIR_NEVER), 0);
    assert_int_equal(weir_stream_read(context, other, &byte, 1, began + 2 * SECOND), -ETIMEDOUT);
    assert_int_equal(network_set_down(world->network, "127.0.0.1", false), 0);
    assert_int_equal(weir_stream_write(context, stream, &byte, 1, WEIR_NEVER), 0);
    assert_int_equal(weir_stream_read(context, other, &byte, 1, began + 3 * SECOND), -ETIMEDOUT);
    assert_int_equal(weir_stream_write(context, other, "y", 1, WEIR_NEVER), 0); /* the other way, which lost nothing */
    assert_int_equal(weir_stream_read(context, stream, &byte, 1, WEIR_NEVER), 1);
    assert_int_equal(byte, 'y');
    weir_stream_close(stream, true);
    weir_stream_close(other, true);
    assert_int_equal(weir_stream_connect(context, "127.0.0.1", port, NULL, WEIR_NEVER, &again), 0);
    weir_stream_close(again, true);
    weir_listener_close(listener);
    return 0;
}

static void test_a_host_that_is_down(void **state)
{
    (void)state;
    struct world world = {.network = network_new(1)};
    assert_int_equal(run_root(&world, go_down), 0);
    assert_false(world.simulated.stuck);
    network_free(world.network);
}

/* ---- Others' descriptors ---- */

static int write_later(struct weir_context *context, void *argument)
{
    const int *pipes = argument;
    weir_sleep(context, 5 * MILLISECOND);
    assert_int_equal(write(pipes[1], "x", 1), 1);
    return 0;
}

static int wait_for_pipes(struct weir_context *context, void *argument)
{
    (void)argument;
    int pipes[3][2];
    struct weir_scope scope;
    char byte;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pipe(pipes[i]), 0);
    assert_int_equal(weir_wait_fd(context, pipes[0][0], POLLIN, weir_now(context) + MILLISECOND), -ETIMEDOUT);
    weir_scope_open(context, &scope);
    weir_scope_spawn(&scope, "write_later", write_later, pipes[1]);
    struct pollfd polled[3] = {{.fd = pipes[0][0], .events = POLLIN},
                               {.fd = pipes[1][0], .events = POLLIN},
                               {.fd = pipes[2][0], .events = POLLIN}};
    assert_int_equal(weir_wait_any(context, polled, 3, WEIR_NEVER), 1);
    assert_int_equal(polled[1].revents, POLLIN);
    assert_int_equal(polled[0].revents | polled[2].revents, 0);
    assert_int_equal(weir_wait_fd(context, pipes[1][0], POLLIN, WEIR_NEVER), 0);
    assert_int_equal(read(pipes[1][0], &byte, 1), 1);
    assert_int_equal(weir_wait_fd(context, pipes[1][1], POLLOUT, WEIR_NEVER), 0);
    weir_scope_join(&scope);
    for (int i = 0; i < 3; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
    assert_int_equal(weir_wait_fd(context, pipes[0][0], POLLIN, WEIR_NEVER), -EBADF);
    assert_int_equal(pipe(pipes[0]), 0); /* the same numbers again */
    assert_int_equal(weir_wait_fd(context, pipes[0][0], POLLIN, weir_now(context) + MILLISECOND), -ETIMEDOUT);
    close(pipes[0][0]);
    close(pipes[0][1]);
    return 0;
}

static void test_descriptors_of_others(void **state)
{
    (void)state;
    struct world world = {0};
    assert_int_equal(run_root(&world, wait_for_pipes), 0);
}

/* ---- Threads ---- */

enum { PRODUCERS = 3, ITEMS = 2000 };

static void *send_items(void *argument)
{
    struct world *world = argument;
    struct weir_waiter waiter;
    struct weir_context context = {.clock = &world->clock, .waiter = &waiter, .cancel_fd = -1};
    waiter_init(&waiter);
    for (uint64_t i = 1; i <= ITEMS; i++)
        assert_int_equal(weir_mpsc_send(&context, world->mpsc, &i, WEIR_NEVER), 0);
    return NULL;
}

static int receive_items(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    uint64_t item, sum = 0;
    for (int i = 0; i < PRODUCERS * ITEMS; i++) {
        assert_int_equal(weir_mpsc_receive(context, world->mpsc, &item, WEIR_NEVER), 0);
        sum += item;
    }
    assert_int_equal(sum, (uint64_t)PRODUCERS * ITEMS * (ITEMS + 1) / 2);
    assert_int_equal(weir_mpsc_receive(context, world->mpsc, &item, weir_now(context) + MILLISECOND), -ETIMEDOUT);
    weir_mpsc_close(world->mpsc);
    assert_int_equal(weir_mpsc_receive(context, world->mpsc, &item, WEIR_NEVER), -EPIPE);
    return 0;
}

static void test_threads_into_a_task(void **state)
{
    (void)state;
    struct world world = {.mpsc = weir_mpsc_new(sizeof(uint64_t), 16)};
    pthread_t threads[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_items, &world), 0);
    assert_int_equal(run_root(&world, receive_items), 0);
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    weir_mpsc_free(world.mpsc);
}

static _Atomic int released;

static int block(void *argument)
{
    usleep(*(int *)argument);
    return *(int *)argument;
}

static void count_release(void *argument)
{
    (void)argument;
    atomic_fetch_add(&released, 1);
}

static int offload_one(struct weir_context *context, void *argument)
{
    int result = weir_offload(context, block, argument, count_release, WEIR_NEVER);
    return result == *(int *)argument ? 0 : -EIO;
}

static int offload_many(struct weir_context *context, void *argument)
{
    (void)argument;
    static int microseconds[30], long_time = 50000;
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    for (int i = 0; i < 30; i++) {
        microseconds[i] = 1000 + i;
        weir_scope_spawn(&scope, "offload", offload_one, &microseconds[i]);
    }
    assert_int_equal(weir_scope_join(&scope), 0);
    assert_int_equal(released, 0);
    assert_int_equal(weir_offload(context, block, &long_time, count_release, weir_now(context) + MILLISECOND),
                     -ETIMEDOUT);
    return 0;
}

static void test_offload(void **state)
{
    (void)state;
    struct world world = {0};
    assert_int_equal(run_root(&world, offload_many), 0);
    assert_int_equal(released, 1); /* the loop's end waits for it, for a while */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_over_sockets),   cmocka_unit_test(test_echo_over_the_simulated_network),
        cmocka_unit_test(test_connecting),          cmocka_unit_test(test_descriptors_of_others),
        cmocka_unit_test(test_threads_into_a_task), cmocka_unit_test(test_offload),
        cmocka_unit_test(test_a_host_that_is_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
