/* SPDX-License-Identifier: MIT */
#include "data/test_data.h"

#include <pthread.h>

#include "data/symbols.h"

/* Strings of every kind of length from a number; the same number, the same string. */
static size_t make_string(uint64_t number, char *out)
{
    size_t length = hash_u64(number) % 20;
    length = number % 50 == 0 ? 17 + number % 300 : length % 13 + 4;
    for (size_t at = 0; at < length; at += 8) {
        uint64_t word = hash_u64(number * 41 + at) & 0x3f3f3f3f3f3f3f3f; /* with zero bytes in it, too */
        memcpy(out + at, &word, 8);
    }
    memcpy(out, &number, 4); /* all different */
    return length;
}
enum { STRING_MAX = 400 };

static void strings_come_back(void **state)
{
    (void)state;
    struct memory_budget budget = {.limit = 64 << 20};
    struct weir_symbols *symbols = symbols_new(&budget, 0);
    struct symbols_cache *cache = symbols_cache_new(symbols);
    enum { COUNT = 100000 };
    char string[STRING_MAX];
    for (uint32_t i = 1; i <= COUNT; i++) {
        size_t length = make_string(i, string);
        assert_int_equal(symbols_find(symbols, string, length), 0);
        assert_int_equal(i % 2 ? symbols_intern(symbols, string, length) : symbols_cache_intern(cache, string, length),
                         i);
    }
    assert_int_equal(symbols_count(symbols), COUNT);
    struct random random = random_start();
    for (int i = 0; i < COUNT; i++) {
        uint32_t id = (uint32_t)(1 + random_below(&random, COUNT));
        size_t length = make_string(id, string);
        assert_int_equal(symbols_cache_intern(cache, string, length), id);
        assert_int_equal(symbols_find(symbols, string, length), id);
        assert_int_equal(symbols_intern(symbols, string, length), id);
        struct weir_text text = symbols_text(symbols, id);
        assert_int_equal(text.length, length);
        assert_memory_equal(text.data, string, length);
        assert_int_equal(text.data[length], 0);
    }
    assert_true(budget.used > symbols_bytes(symbols)); /* the cache as well */
    symbols_cache_free(cache);
    assert_int_equal(budget.used, symbols_bytes(symbols));
    symbols_free(symbols);
    assert_int_equal(budget.used, 0);
}

static void odd_strings(void **state)
{
    (void)state;
    struct weir_symbols *symbols = symbols_new(NULL, 0);
    struct symbols_cache *cache = symbols_cache_new(symbols);
    static char longest[SYMBOL_LENGTH_MAX + 1];
    assert_int_equal(symbols_cache_intern(cache, "", 0), 1);
    assert_int_equal(symbols_cache_intern(cache, NULL, 0), 1);
    assert_int_equal(symbols_intern(symbols, NULL, 0), 1);
    for (uint32_t length = 1; length <= 40; length++) { /* zeros: nothing but the length tells them apart */
        assert_int_equal(symbols_cache_intern(cache, longest, length), length + 1);
        assert_int_equal(symbols_cache_intern(cache, longest, length), length + 1);
    }
    assert_int_equal(symbols_intern(symbols, longest, SYMBOL_LENGTH_MAX), 42);
    assert_int_equal(symbols_cache_intern(cache, longest, SYMBOL_LENGTH_MAX), 42);
    assert_int_equal(symbols_cache_intern(cache, longest, SYMBOL_LENGTH_MAX), 42);
    assert_int_equal(symbols_intern(symbols, longest, SYMBOL_LENGTH_MAX + 1), SYMBOLS_FULL);
    assert_int_equal(symbols_cache_intern(cache, longest, SYMBOL_LENGTH_MAX + 1), SYMBOLS_FULL);
    assert_int_equal(symbols_find(symbols, longest, SYMBOL_LENGTH_MAX + 1), 0);
    assert_string_equal(symbols_text(symbols, 1).data, "");
    assert_null(symbols_text(symbols, 0).data);
    assert_null(symbols_text(symbols, 43).data);
    assert_null(symbols_text(symbols, SYMBOLS_FULL).data);
    symbols_cache_free(cache);
    symbols_free(symbols);
    symbols_cache_free(NULL);
    symbols_free(NULL);
}

/* Many at once are what they are one by one: of all lengths, few different letters, the last ones at the very end. */
static void many_at_once(void **state)
{
    (void)state;
    enum { MANY = 300, LONGEST = 20 };
    struct random random = random_start();
    struct weir_symbols *symbols = symbols_new(NULL, 0);
    struct symbols_cache *cache = symbols_cache_new(symbols), *other = symbols_cache_new(symbols);
    for (int round = 0; round < 200; round++) {
        uint32_t count = (uint32_t)random_below(&random, MANY + 1), ends[MANY + 1] = {0}, ids[MANY];
        char *text = memory_allocate(MANY * LONGEST + 1), odd[sizeof ends + 1];
        for (uint32_t i = 0; i < count; i++) {
            ends[i + 1] = ends[i] + (uint32_t)random_below(&random, round % 2 ? LONGEST : 9);
            for (uint32_t at = ends[i]; at < ends[i + 1]; at++) {
                text[at] = (char)(random_below(&random, 3) * 127);
            }
        }
        char *exact = memory_allocate(ends[count] ? ends[count] : 1u); /* not a byte more may be read */
        memcpy(exact, text, ends[count]);
        memcpy(odd + 1, ends, sizeof ends);
        symbols_cache_intern_many(cache, exact, ends[count], odd + 1, count, ids);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(ids[i], symbols_cache_intern(other, text + ends[i], ends[i + 1] - ends[i]));
        }
        memory_free(exact);
        memory_free(text);
    }
    symbols_cache_free(other);
    symbols_cache_free(cache);
    symbols_free(symbols);
}

static void limits_refuse_only_what_is_new(void **state)
{
    (void)state;
    struct weir_symbols *symbols = symbols_new(NULL, 3);
    struct symbols_cache *cache = symbols_cache_new(symbols);
    assert_int_equal(symbols_cache_intern(cache, "a", 1), 1);
    assert_int_equal(symbols_intern(symbols, "b", 1), 2);
    assert_int_equal(symbols_intern(symbols, "c", 1), 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(symbols_intern(symbols, "d", 1), SYMBOLS_FULL);
        assert_int_equal(symbols_cache_intern(cache, "d", 1), SYMBOLS_FULL);
        assert_int_equal(symbols_cache_intern(cache, "b", 1), 2);
    }
    assert_int_equal(symbols_find(symbols, "d", 1), 0);
    symbols_cache_free(cache);
    symbols_free(symbols);

    struct memory_budget budget = {.limit = 200000};
    symbols = symbols_new(&budget, 0);
    char string[STRING_MAX];
    uint32_t full_at = 0;
    for (uint32_t i = 1; i <= 20000; i++) {
        size_t length = make_string(i, string);
        uint32_t id = symbols_intern(symbols, string, length);
        assert_true(budget.used <= budget.limit);
        if (id == SYMBOLS_FULL && !full_at) {
            full_at = i;
        }
        assert_true(full_at || id == i);
    }
    assert_true(full_at > 1000);
    for (uint32_t i = 1; i < full_at; i++) {
        size_t length = make_string(i, string);
        assert_int_equal(symbols_find(symbols, string, length), i);
    }
    symbols_free(symbols);
    assert_int_equal(budget.used, 0);
}

static void failing_allocations_lose_nothing(void **state)
{
    (void)state;
    struct memory_budget budget = {.limit = 64 << 20};
    bool done = false;
    for (uint64_t nth = 1; !done; nth++) {
        memory_fail_nth(nth, false);
        struct weir_symbols *symbols = symbols_new(&budget, 0);
        struct symbols_cache *cache = symbols ? symbols_cache_new(symbols) : NULL;
        done = cache;
        char string[STRING_MAX];
        for (uint32_t i = 1, last = 0; cache && i <= 3000; i++) {
            size_t length = make_string(i, string);
            uint32_t id = symbols_cache_intern(cache, string, length);
            if (id == SYMBOLS_FULL) { /* the next time there is memory again */
                done = false;
                id = symbols_cache_intern(cache, string, length);
            }
            assert_int_equal(id, ++last);
        }
        done &= memory_fail_nth(0, false) < nth;
        symbols_cache_free(cache);
        symbols_free(symbols);
        assert_int_equal(budget.used, 0);
        assert_true(nth < 200);
    }
}

/* All threads intern the same strings, each in its own order: they must agree on every id. */
enum { THREADS = 4, SHARED = 30011 /* prime */ };
static uint32_t ids[THREADS][SHARED];
static struct weir_symbols *shared;

static void *intern_all(void *argument)
{
    uintptr_t thread = (uintptr_t)argument;
    struct symbols_cache *cache = symbols_cache_new(shared);
    const char *complaint = NULL;
    char string[STRING_MAX];
    for (uint32_t i = 0; i < SHARED; i++) {
        uint32_t number = (uint32_t)((i * (2 * thread + 1) + thread * 77) % SHARED);
        size_t length = make_string(number, string);
        uint32_t id = i % 3 ? symbols_cache_intern(cache, string, length) : symbols_intern(shared, string, length);
        struct weir_text text = symbols_text(shared, id);
        if (!text.data || text.length != length || memcmp(text.data, string, length) != 0 ||
            symbols_find(shared, string, length) != id) {
            complaint = "a string did not come back";
        }
        ids[thread][number] = id;
    }
    symbols_cache_free(cache);
    return (void *)complaint;
}

static void threads_agree(void **state)
{
    (void)state;
    shared = symbols_new(NULL, 0);
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, intern_all, (void *)i), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *complaint;
        pthread_join(threads[i], &complaint);
        assert_null(complaint);
    }
    assert_int_equal(symbols_count(shared), SHARED);
    for (int i = 1; i < THREADS; i++) {
        assert_memory_equal(ids[i], ids[0], sizeof ids[0]);
    }
    symbols_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_come_back),
        cmocka_unit_test(odd_strings),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(limits_refuse_only_what_is_new),
        cmocka_unit_test(failing_allocations_lose_nothing),
        cmocka_unit_test(threads_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
