/* SPDX-License-Identifier: MIT */
/* Positions are found in the file and line they came from, against a list of all that was ever added. */
#include "parts/file_origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MODEL_MOST = 4 * FILE_ORIGIN_RUNS };

static void test_against_model(void **state)
{
    static const char *const files[] = {"a", "b", "c"};
    static struct file_origin origin;
    static struct file_run model[MODEL_MOST];
    unsigned seed = 7;
    uint64_t position = 0;
    (void)state;
    print_message("seed %u\n", seed);
    file_origin_init(&origin);
    uint64_t line;
    assert_null(file_origin_find(&origin, 0, &line));
    for (int n = 0; n < MODEL_MOST; n++) {
        bool fresh = n == 0 || rand_r(&seed) % 3 == 0;
        uint32_t step = fresh ? rand_r(&seed) % 4 > 0 : model[n - 1].step, size = 1 + (uint32_t)rand_r(&seed) % 50;
        model[n] = (struct file_run){.position = position, .line = 1, .file = files[rand_r(&seed) % 3], .step = step};
        if (!fresh) { /* goes on where the last ended */
            model[n].file = model[n - 1].file;
            model[n].line = model[n - 1].line + (position - model[n - 1].position);
        }
        file_origin_add(&origin, model[n]);
        position += size;
        int oldest = n >= FILE_ORIGIN_RUNS ? n - FILE_ORIGIN_RUNS + 1 : 0;
        int picked = oldest + rand_r(&seed) % (n - oldest + 1);
        uint64_t end = picked == n ? position : model[picked + 1].position;
        uint64_t asked = model[picked].position + (uint64_t)rand_r(&seed) % (end - model[picked].position);
        assert_string_equal(file_origin_find(&origin, asked, &line), model[picked].file);
        assert_int_equal(line, model[picked].line + (asked - model[picked].position) * model[picked].step);
    }
    file_origin_destroy(&origin);
}

static void test_forgets(void **state)
{
    static struct file_origin origin;
    uint64_t line;
    (void)state;
    file_origin_init(&origin);
    for (uint64_t n = 0; n < FILE_ORIGIN_RUNS + 2; n++)
        file_origin_add(&origin, (struct file_run){.position = n, .line = 10 * n, .file = "a", .step = 1});
    assert_null(file_origin_find(&origin, 1, &line));
    assert_string_equal(file_origin_find(&origin, 2, &line), "a");
    assert_int_equal(line, 20);
    file_origin_destroy(&origin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_model), cmocka_unit_test(test_forgets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
