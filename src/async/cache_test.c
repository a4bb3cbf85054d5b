/* SPDX-License-Identifier: MIT */
/*
 * The cache against a model that is a list in the order of use, and asked by many tasks at a time, some of which are
 * cancelled, on the simulated clock.
 */
#include "async/cache.h"

#include "async/loop.h"
#include "async/simulated.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { KEYS = 40, STEPS = 600, SEEDS = 40 };

static int run_simulated(weir_task_run *run, void *argument)
{
    struct simulated simulated;
    struct loop *loop;
    simulated_init(&simulated);
    const struct loop_options options = {.outer = &simulated.context};
    assert_int_equal(loop_new(&options, &loop), 0);
    int result = loop_run(loop, "root", run, argument);
    loop_free(loop);
    return result;
}

/* ---- One after the other --------------------------------------------------------------------------------------------
 */

/* What there is, the last used first. */
struct model {
    struct item {
        uint32_t key, version;
        bool found;
        int64_t expires;
    } items[KEYS];
    uint32_t count;
};

static int model_find(const struct model *model, uint32_t key)
{
    for (uint32_t i = 0; i < model->count; i++)
        if (model->items[i].key == key)
            return (int)i;
    return -1;
}

static struct item model_remove(struct model *model, int at)
{
    struct item item = model->items[at];
    model->count--;
    memmove(&model->items[at], &model->items[at + 1], (model->count - (uint32_t)at) * sizeof item);
    return item;
}

static void model_put_first(struct model *model, struct item item)
{
    memmove(&model->items[1], &model->items[0], model->count * sizeof item);
    model->items[0] = item;
    model->count++;
}

struct source { /* what fetches fetch */
    uint64_t random, seed;
    uint32_t version, size, fetched;
    int error;
};

static int fetch_version(struct weir_context *context, void *argument, const void *key, size_t size,
                         struct weir_buffer *value)
{
    struct source *source = argument;
    (void)context;
    (void)key;
    (void)size;
    source->fetched++;
    if (source->error)
        return source->error;
    buffer_append(value, &source->version, sizeof source->version);
    char *room = buffer_reserve(value, source->size + 1);
    if (room) {
        memset(room, 'x', source->size);
        value->size += source->size;
    }
    return 0;
}

static void check_value(const struct source *source, int step, const struct cache_value *value, const struct item *item)
{
    uint32_t version = 0;
    if (value->found != item->found)
        fail_msg("seed %llu, step %d: found is %d", (unsigned long long)source->seed, step, value->found);
    if (!value->found)
        return;
    memcpy(&version, value->data, sizeof version);
    if (version != item->version)
        fail_msg("seed %llu, step %d: version %u, the model has %u", (unsigned long long)source->seed, step, version,
                 item->version);
}

static int64_t life(const struct cache_options *options, bool found)
{
    return found ? options->ttl_ns ? options->ttl_ns : WEIR_NEVER / 2 : options->negative_ttl_ns;
}

/* One question, to both. */
static void ask(struct weir_context *context, struct cache *cache, const struct cache_options *options,
                struct model *model, struct source *source, int step)
{
    char name[16];
    uint32_t key = (uint32_t)(hash_random(&source->random) % KEYS);
    size_t length = (size_t)snprintf(name, sizeof name, "key %u", key);
    int at = model_find(model, key);
    if (at >= 0 && model->items[at].expires <= weir_now(context)) {
        (void)model_remove(model, at);
        at = -1;
    }
    uint64_t kind = hash_random(&source->random) % 10;
    source->error = kind == 0 ? -EIO : kind < 3 ? -ENOENT : 0;
    source->size = (uint32_t)(hash_random(&source->random) % 300);
    source->version++;
    uint32_t before = source->fetched;
    const struct cache_value *value = NULL, *peeked = cache_find(context, cache, name, length);
    if ((peeked != NULL) != (at >= 0))
        fail_msg("seed %llu, step %d: cache_find says %d", (unsigned long long)source->seed, step, peeked != NULL);
    cache_release(cache, peeked);
    int error = cache_get(context, cache, name, length, fetch_version, source, WEIR_NEVER, &value);
    if ((source->fetched > before) != (at < 0))
        fail_msg("seed %llu, step %d: fetched %d, but the model has it at %d", (unsigned long long)source->seed, step,
                 source->fetched > before, at);
    if (at < 0 && source->error == -EIO) {
        assert_int_equal(error, -EIO);
        return;
    }
    assert_int_equal(error, 0);
    struct item item = at >= 0 ? model_remove(model, at)
                               : (struct item){key, source->version, !source->error,
                                               weir_now(context) + life(options, !source->error)};
    model_put_first(model, item);
    check_value(source, step, value, &item);
    cache_release(cache, value);
}

static int follow_model(struct weir_context *context, void *argument)
{
    struct source *source = argument;
    struct model model = {0};
    struct cache_counters counters, before = {0};
    const struct cache_options options = {500 + hash_random(&source->random) % 8000,
                                          (int64_t)(hash_random(&source->random) % 3) * 5 * CLOCK_SECOND,
                                          (int64_t)(hash_random(&source->random) % 3) * CLOCK_SECOND};
    struct cache *cache = cache_new(&options);
    assert_non_null(cache);
    for (int step = 0; step < STEPS; step++) {
        assert_int_equal(weir_sleep(context, (int64_t)(hash_random(&source->random) % (500 * CLOCK_MILLISECOND))), 0);
        ask(context, cache, &options, &model, source, step);
        cache_count(cache, &counters);
        for (uint64_t i = before.evicted; i < counters.evicted; i++) /* the one unused for longest */
            model.count--;
        before = counters;
        assert_true(counters.bytes <= options.bytes_most);
        if (counters.entries != model.count)
            fail_msg("seed %llu, step %d: %llu entries, the model has %u", (unsigned long long)source->seed, step,
                     (unsigned long long)counters.entries, model.count);
    }
    assert_int_equal(counters.misses, source->fetched);
    cache_free(cache);
    return 0;
}

static void test_follows_a_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct source source = {.random = seed, .seed = seed};
        assert_int_equal(run_simulated(follow_model, &source), 0);
    }
}

/* ---- Together
 * -------------------------------------------------------------------------------------------------------- */

enum { ASKERS = 60, FEW_KEYS = 4 };
struct crowd {
    struct cache *cache;
    uint64_t random, seed;
    uint32_t fetching[FEW_KEYS], fetches, answers, failures, timeouts;
};
struct asker {
    struct crowd *crowd;
    uint32_t key;
};

static int fetch_slowly(struct weir_context *context, void *argument, const void *key, size_t size,
                        struct weir_buffer *value)
{
    struct asker *asker = argument;
    struct crowd *crowd = asker->crowd;
    assert_int_equal(size, sizeof asker->key);
    assert_memory_equal(key, &asker->key, size);
    crowd->fetches++;
    if (++crowd->fetching[asker->key] != 1)
        fail_msg("seed %llu: key %u is fetched twice at a time", (unsigned long long)crowd->seed, asker->key);
    int error = weir_sleep(context, (int64_t)(hash_random(&crowd->random) % CLOCK_SECOND));
    crowd->fetching[asker->key]--;
    if (error < 0)
        return error;
    if (hash_random(&crowd->random) % 8 == 0)
        return -EIO;
    buffer_append(value, &asker->key, sizeof asker->key);
    return 0;
}

static int ask_in_crowd(struct weir_context *context, void *argument)
{
    struct asker *asker = argument;
    struct crowd *crowd = asker->crowd;
    const struct cache_value *value;
    int64_t deadline = weir_now(context) + (int64_t)(hash_random(&crowd->random) % (3 * CLOCK_SECOND));
    int error = cache_get(context, crowd->cache, &asker->key, sizeof asker->key, fetch_slowly, asker, deadline, &value);
    if (error == 0) {
        crowd->answers++;
        assert_int_equal(value->size, sizeof asker->key);
        assert_memory_equal(value->data, &asker->key, sizeof asker->key);
        error = weir_sleep(context,
                           (int64_t)(hash_random(&crowd->random) % CLOCK_SECOND)); /* it stays as long as it is held */
        assert_memory_equal(value->data, &asker->key, sizeof asker->key);
        cache_release(crowd->cache, value);
    }
    crowd->failures += error == -EIO;
    crowd->timeouts += error == -ETIMEDOUT;
    return error == -EIO || error == -ETIMEDOUT ? 0 : error;
}

/* Some are given up while they fetch for others. */
static int ask_and_give_up(struct weir_context *context, void *argument)
{
    struct asker asker = *(struct asker *)argument;
    memory_free(argument);
    int64_t deadline = weir_now(context) + (int64_t)(hash_random(&asker.crowd->random) % (2 * CLOCK_SECOND));
    int error = weir_with_deadline(context, deadline, ask_in_crowd, &asker);
    return error == -ETIMEDOUT ? 0 : error;
}

static int run_crowd(struct weir_context *context, void *argument)
{
    struct crowd *crowd = argument;
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    for (int i = 0; i < ASKERS; i++) {
        struct asker *asker = memory_zeroed(1, sizeof *asker);
        assert_non_null(asker);
        *asker = (struct asker){crowd, (uint32_t)(hash_random(&crowd->random) % FEW_KEYS)};
        assert_int_equal(weir_scope_spawn(&scope, "asker", ask_and_give_up, asker), 0);
        assert_int_equal(weir_sleep(context, (int64_t)(hash_random(&crowd->random) % (200 * CLOCK_MILLISECOND))), 0);
    }
    return weir_scope_join(&scope);
}

static void test_one_fetches_for_all(void **state)
{
    (void)state;
    uint64_t answers = 0, fetches = 0, failures = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const struct cache_options options = {seed % 2 ? 10000 : 100, CLOCK_SECOND, 0}; /* none fits into 100 */
        struct crowd crowd = {.cache = cache_new(&options), .random = seed, .seed = seed};
        struct cache_counters counters;
        assert_non_null(crowd.cache);
        assert_int_equal(run_simulated(run_crowd, &crowd), 0);
        cache_count(crowd.cache, &counters);
        assert_int_equal(counters.misses, crowd.fetches);
        assert_true(counters.bytes <= options.bytes_most);
        cache_free(crowd.cache);
        answers += crowd.answers;
        fetches += crowd.fetches;
        failures += crowd.failures;
    }
    print_message("%llu answers from %llu fetches, %llu failures told\n", (unsigned long long)answers,
                  (unsigned long long)fetches, (unsigned long long)failures);
    assert_true(answers > fetches && failures > 0);
}

/* ---- Out of memory
 * ---------------------------------------------------------------------------------------------------- */

static int ask_without_memory(struct weir_context *context, void *argument)
{
    struct source source = {.size = 100};
    const struct cache_options options = {100000, 0, 0};
    const struct cache_value *value = NULL;
    int error = -ENOMEM;
    (void)argument;
    for (uint64_t nth = 1; error != 0; nth++) {
        memory_fail_nth(nth, false);
        struct cache *cache = cache_new(&options);
        error = cache ? 0 : -ENOMEM;
        source.size = 0; /* appending is all that may fail in the fetch */
        for (uint32_t key = 0; key < 3 && error == 0; key++) {
            error = cache_get(context, cache, &key, sizeof key, fetch_version, &source, WEIR_NEVER, &value);
            if (error == 0)
                cache_release(cache, value);
        }
        memory_fail_nth(0, false);
        assert_true(error == 0 || error == -ENOMEM);
        assert_true(nth < 100);
        cache_free(cache);
    }
    return 0;
}

static void test_survives_without_memory(void **state)
{
    (void)state;
    assert_int_equal(run_simulated(ask_without_memory, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follows_a_model),
        cmocka_unit_test(test_one_fetches_for_all),
        cmocka_unit_test(test_survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
