/* SPDX-License-Identifier: MIT */
/* Load from several threads on real sockets. No timing is checked: only that nothing is lost or left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "async/loop.h"
#include "base/clock.h"
#include "base/memory.h"
#include "load/level.h"
#include "load/load.h"
#include "sim/server.h"

enum { THREADS = 3 };

/* A server on a thread of its own. */
struct peer {
    pthread_t thread;
    struct server *server;
    _Atomic bool stop;
    int stop_fd, ready_fd;
    _Atomic uint16_t port;
};

static void say_ready(void *owner, uint16_t port)
{
    struct peer *peer = owner;
    uint64_t one = 1;
    atomic_store(&peer->port, port);
    assert_int_equal(write(peer->ready_fd, &one, sizeof one), sizeof one);
}

static int serve(struct weir_context *context, void *argument)
{
    struct peer *peer = argument;
    return server_serve(context, peer->server, "127.0.0.1", 0, say_ready, peer);
}

static void *run_peer(void *argument)
{
    struct peer *peer = argument;
    struct context_clock clock = {0};
    struct weir_waiter waiter;
    struct loop *loop;
    waiter_init(&waiter);
    struct weir_context outer = {
        .clock = &clock, .waiter = &waiter, .cancelled = &peer->stop, .cancel_fd = peer->stop_fd};
    struct loop_options options = {.outer = &outer};
    assert_int_equal(loop_new(&options, &loop), 0);
    (void)loop_run(loop, "server", serve, peer);
    loop_free(loop);
    return NULL;
}

static void start(struct peer *peer)
{
    const struct server_options options = {.workers = 8,
                                           .service = {DISTRIBUTION_FIXED, CLOCK_MILLISECOND, 0},
                                           .timeout_ns = 60 * CLOCK_SECOND,
                                           .queue = 1000,
                                           .seed = 1};
    uint64_t ignored;
    assert_int_equal(server_new(&options, &peer->server), 0);
    peer->stop_fd = eventfd(0, EFD_CLOEXEC);
    peer->ready_fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(pthread_create(&peer->thread, NULL, run_peer, peer), 0);
    assert_int_equal(read(peer->ready_fd, &ignored, sizeof ignored), sizeof ignored);
}

static void set(_Atomic bool *stop, int fd)
{
    uint64_t one = 1;
    atomic_store(stop, true);
    assert_int_equal(write(fd, &one, sizeof one), sizeof one);
}

static void end(struct peer *peer)
{
    set(&peer->stop, peer->stop_fd);
    pthread_join(peer->thread, NULL);
    server_free(peer->server);
    close(peer->stop_fd);
    close(peer->ready_fd);
}

/* Interrupts the load soon after it has begun. */
struct stopping {
    struct load_progress *progress;
    _Atomic bool *stop;
    int stop_fd;
};

static void *stop_soon(void *argument)
{
    struct stopping *stopping = argument;
    while (atomic_load(&stopping->progress->ended) < 10)
        clock_sleep_until(clock_monotonic() + CLOCK_MILLISECOND);
    set(stopping->stop, stopping->stop_fd);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct peer peer = {0};
    char url[64];
    start(&peer);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", atomic_load(&peer.port));
    static struct load_target target;
    target.request.url = url;
    target.timeout_ns = 60 * CLOCK_SECOND;
    target.statuses[200] = true;
    struct load_progress progress = {0};
    struct load_options options = {.target = &target,
                                   .concurrency = 7,
                                   .arrivals = LOAD_CONSTANT,
                                   .rate = 60,
                                   .warmup_ns = 5 * CLOCK_MILLISECOND,
                                   .duration_ns = 100 * CLOCK_MILLISECOND,
                                   .progress = &progress};
    struct load_tally *tallies = memory_zeroed(THREADS, sizeof *tallies);
    _Atomic bool stop = false;
    int stop_fd = eventfd(0, EFD_CLOEXEC);
    for (enum load_kind kind = LOAD_CLOSED; kind <= LOAD_ONCE; kind++) {
        struct load_level level = {.kind = kind, .value = kind == LOAD_OPEN ? 60 : 7};
        options.kind = kind;
        assert_int_equal(load_run_threads(&options, THREADS, &stop, stop_fd, tallies), 0);
        assert_int_equal(level_add(&level, tallies, THREADS), 0);
        uint64_t ended = 0;
        for (int i = LOAD_GOOD; i < LOAD_ENDS; i++)
            ended += level_ended(&level, (enum load_end)i);
        assert_true(ended > 0 && ended == level_ended(&level, LOAD_GOOD) && level.success > 0.999);
        if (kind == LOAD_ONCE)
            assert_int_equal(ended, 7);
        assert_int_equal(atomic_load(&progress.in_flight), 0);
        level_free(&level);
    }
    /* Ended early: at once, with what there was. */
    options.kind = LOAD_CLOSED;
    options.duration_ns = 3600 * CLOCK_SECOND;
    atomic_store(&progress.ended, 0);
    struct stopping stopping = {&progress, &stop, stop_fd};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, &stopping), 0);
    assert_int_equal(load_run_threads(&options, THREADS, &stop, stop_fd, tallies), -ECANCELED);
    pthread_join(thread, NULL);
    assert_true(tallies[0].interrupted);
    assert_int_equal(atomic_load(&progress.in_flight), 0);
    close(stop_fd);
    memory_free(tallies);
    end(&peer);
}

static void test_shares(void **state)
{
    (void)state;
    struct load_options options = {.kind = LOAD_CLOSED, .concurrency = 2};
    assert_int_equal(load_thread_count(&options, 8), 2); /* no thread without a user */
    assert_int_equal(load_thread_count(&options, 0), 1);
    options.kind = LOAD_OPEN;
    assert_int_equal(load_thread_count(&options, 8), 8);
    assert_int_equal(load_thread_count(&options, 1000), LOAD_THREADS_MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads), cmocka_unit_test(test_shares)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
