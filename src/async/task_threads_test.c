/* SPDX-License-Identifier: MIT */
/* A loop and other threads: work on the pool that its task waits for, gives up or never sees begun; the watchdog; and
 * stacks that are overrun. Nothing is decided by how long something takes: who must be slow waits to be told. */
#include "async/loop.h"

#include "async/runtime.h"
#include "async/test_loop.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/system.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MS CLOCK_MILLISECOND
enum { JOBS = 40 };

struct world {
    _Atomic bool go_on; /* the gate that slow work stands at */
    _Atomic int begun, done, released;
    int result;
    _Atomic int blocked, over;
    _Atomic int64_t held_ns;
    char name[TASK_NAME];
};

static void run_loop(const struct loop_options *more, weir_task_run *root, struct world *world)
{
    assert_int_equal(test_loop_run(more, root, world), 0);
}

static void wait_until(const _Atomic int *counter, int value)
{
    while (atomic_load(counter) < value)
        clock_sleep_until(clock_monotonic() + MS / 4);
}

/* ---- The pool ---- */

static int work_until_told(void *argument)
{
    struct world *world = argument;
    atomic_fetch_add(&world->begun, 1);
    while (!atomic_load(&world->go_on))
        clock_sleep_until(clock_monotonic() + MS / 4);
    atomic_fetch_add(&world->done, 1);
    return world->result;
}

static void count_release(void *argument)
{
    atomic_fetch_add(&((struct world *)argument)->released, 1);
}

static int give_up(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    int64_t deadline = weir_now(context) + 5 * MS;
    assert_int_equal(weir_offload(context, work_until_told, world, count_release, deadline), -ETIMEDOUT);
    assert_true(weir_now(context) >= deadline);
    assert_int_equal(atomic_load(&world->done), 0); /* and its thread is still at it */
    atomic_store(&world->go_on, true);
    return 0;
}

static void test_work_that_is_given_up_is_released_after_it(void **state)
{
    (void)state;
    struct world world = {0};
    run_loop(NULL, give_up, &world); /* its end waits for work that ends soon */
    wait_until(&world.released, 1);
    assert_int_equal(world.released, 1);
    assert_int_equal(world.done, world.begun);
}

static int offload_for_ever(struct weir_context *context, void *argument)
{
    int result = weir_offload(context, work_until_told, argument, count_release, WEIR_NEVER);
    assert_int_equal(result, -ECANCELED);
    return result;
}

static int cancel_many(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(weir_scope_spawn(&scope, "job", offload_for_ever, world), 0);
    while (atomic_load(&world->begun) < LOOP_OFFLOAD_MOST)
        weir_sleep(context, MS / 4);
    weir_scope_close(&scope);
    assert_int_equal(atomic_load(&world->begun), LOOP_OFFLOAD_MOST);
    assert_int_equal(atomic_load(&world->released), JOBS - LOOP_OFFLOAD_MOST); /* those that had not begun */
    atomic_store(&world->go_on, true);
    return 0;
}

static void test_cancelled_work_that_stands_in_the_queue_is_left_out(void **state)
{
    (void)state;
    struct world world = {0};
    run_loop(NULL, cancel_many, &world);
    wait_until(&world.released, JOBS);
    assert_int_equal(world.begun, LOOP_OFFLOAD_MOST);
    assert_int_equal(world.done, LOOP_OFFLOAD_MOST);
    assert_int_equal(world.released, JOBS);
}

static int ask_results(struct weir_context *context, void *argument)
{
    static const struct {
        int work, call;
    } cases[] = {{0, 0}, {7, 7}, {-EIO, -EIO}, {-ETIMEDOUT, -ETIME}, {-ECANCELED, -EINTR}};
    struct world *world = argument;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world->result = cases[i].work;
        assert_int_equal(weir_offload(context, work_until_told, world, count_release, WEIR_NEVER), cases[i].call);
    }
    assert_int_equal(atomic_load(&world->released), 0); /* the argument was ours each time */
    return 0;
}

static void test_what_work_says_is_not_taken_for_what_a_wait_says(void **state)
{
    (void)state;
    struct world world = {.go_on = true};
    run_loop(NULL, ask_results, &world);
}

static int without_threads(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    system_fail_nth(1, EAGAIN); /* no first thread: nobody would ever do it */
    assert_int_equal(weir_offload(context, work_until_told, world, count_release, WEIR_NEVER), -EAGAIN);
    system_fail_nth(0, 0);
    assert_int_equal(atomic_load(&world->begun), 0);
    memory_fail_nth(1, false);
    assert_int_equal(weir_offload(context, work_until_told, world, count_release, WEIR_NEVER), -ENOMEM);
    memory_fail_nth(0, false);
    assert_int_equal(weir_offload(context, work_until_told, world, count_release, WEIR_NEVER), 0);
    assert_int_equal(atomic_load(&world->released), 0);
    return 0;
}

static void test_a_pool_without_threads_or_memory(void **state)
{
    (void)state;
    struct world world = {.go_on = true};
    run_loop(NULL, without_threads, &world);
}

/* ---- The watchdog ---- */

static void hear(void *owner, const char *task, int64_t held_ns, bool done)
{
    struct world *world = owner;
    if (done) {
        atomic_store(&world->held_ns, held_ns);
        atomic_fetch_add(&world->over, 1);
    } else {
        memcpy(world->name, task, strlen(task) + 1);
        atomic_fetch_add(&world->blocked, 1);
    }
}

static int hold_the_loop(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    (void)context;
    wait_until(&world->blocked, 1); /* as a library would that waits for its own network */
    return 0;
}

static int hold_in_a_task(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    weir_scope_spawn(&scope, "the culprit", hold_the_loop, world);
    assert_int_equal(weir_scope_join(&scope), 0);
    while (!atomic_load(&world->over))
        weir_sleep(context, MS);
    return 0;
}

static void test_the_watchdog_names_who_holds_the_loop(void **state)
{
    (void)state;
    struct world world = {0};
    const struct loop_options options = {.blocked = hear, .blocked_ns = 20 * MS, .owner = &world};
    run_loop(&options, hold_in_a_task, &world);
    assert_string_equal(world.name, "the culprit");
    assert_true(world.held_ns >= 20 * MS);
}

static int end_while_held(struct weir_context *context, void *argument)
{
    return hold_the_loop(context, argument); /* over only when the loop is */
}

static void test_who_holds_the_loop_to_its_end_is_named_too(void **state)
{
    (void)state;
    struct world world = {0};
    const struct loop_options options = {.blocked = hear, .blocked_ns = 10 * MS, .owner = &world};
    run_loop(&options, end_while_held, &world);
    assert_string_equal(world.name, "root");
    assert_int_equal(world.over, world.blocked);
}

/* ---- Stacks ---- */

#if !defined(FIBER_ASAN) && !defined(FIBER_TSAN) /* they see it first, and say so in their own way */

static int __attribute__((noinline)) descend(volatile char *above, int left)
{
    volatile char frame[1024];
    memset((char *)frame, 0x5a, sizeof frame);
    int below = left ? descend(frame, left - 1) : 0;
    return below + frame[above ? 17 : 0];
}

static int overrun(struct weir_context *context, void *argument)
{
    struct loop *loop = *(struct loop **)argument;
    (void)descend(NULL, (int)(loop->options.stack_size / 1024) + 8);
    weir_yield(context);
    return 0;
}

/* The signal that ends a program whose only task overruns its stack. */
static int death(bool guarded)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct context_clock clock = {0};
        struct weir_waiter waiter;
        struct weir_context context = {.clock = &clock, .waiter = &waiter, .cancel_fd = -1};
        const struct loop_options options = {.outer = &context, .stack_size = 32 * 1024};
        struct loop *loop;
        waiter_init(&waiter);
        signal(SIGSEGV, SIG_DFL); /* cmocka's handlers are for its own tests */
        signal(SIGABRT, SIG_DFL);
        if (loop_new(&options, &loop) < 0)
            _exit(1);
        if (!guarded) {
            loop->stacks.light_guards = false;
            loop->stacks.guards_left = 0;
            struct stack below; /* whom it runs into */
            if (stacks_cut(&loop->stacks, &below) < 0)
                _exit(1);
        }
        loop_run(loop, "root", overrun, &loop);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_a_stack_that_is_overrun_ends_the_program(void **state)
{
    (void)state;
    assert_int_equal(death(true), SIGSEGV);  /* its guard page */
    assert_int_equal(death(false), SIGABRT); /* its canary, at the next switch */
}

#else

static void test_a_stack_that_is_overrun_ends_the_program(void **state)
{
    (void)state;
    skip();
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_work_that_is_given_up_is_released_after_it),
        cmocka_unit_test(test_cancelled_work_that_stands_in_the_queue_is_left_out),
        cmocka_unit_test(test_what_work_says_is_not_taken_for_what_a_wait_says),
        cmocka_unit_test(test_a_pool_without_threads_or_memory),
        cmocka_unit_test(test_the_watchdog_names_who_holds_the_loop),
        cmocka_unit_test(test_who_holds_the_loop_to_its_end_is_named_too),
        cmocka_unit_test(test_a_stack_that_is_overrun_ends_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
