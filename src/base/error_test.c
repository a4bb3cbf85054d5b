/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "base/error.h"

static void test_first_error_is_kept(void **state)
{
    struct weir_error error = {0};
    struct weir_mark mark = {"a.yaml", 3, 7};

    (void)state;
    assert_int_equal(weir_fail_at(&error, -EINVAL, mark, "no %s here", "fish"), -EINVAL);
    assert_int_equal(weir_fail(&error, -ENOENT, "second"), -ENOENT);
    assert_int_equal(error.code, -EINVAL);
    assert_string_equal(error.text, "no fish here");
    assert_int_equal(error.mark.line, 3);
    assert_int_equal(weir_fail(NULL, -EIO, "nobody listens"), -EIO);
}

static void test_format(void **state)
{
    struct weir_error error = {0};
    char out[64];

    (void)state;
    weir_fail(&error, -EIO, "broken");
    error_format(&error, out, sizeof(out));
    assert_string_equal(out, "broken\n");
    error.mark = (struct weir_mark){"a.yaml", 12, 7};
    error_format(&error, out, sizeof(out));
    assert_string_equal(out, "a.yaml:12:7: broken\n");
    error.mark.line = 0;
    error_format(&error, out, sizeof(out));
    assert_string_equal(out, "a.yaml: broken\n");
    error_format(&error, out, 4);
    assert_string_equal(out, "a.y");
}

static void test_nearest(void **state)
{
    static const char *const names[] = {"rolling", "normalize", "filter", "derive", "select", "burn", "type", "by"};
    static const struct {
        const char *word, *expected;
    } cases[] = {
        {"roling", "rolling"},
        {"rollnig", "rolling"},
        {"normalise", "normalize"},
        {"fliter", "filter"},
        {"tpye", "type"},
        {"FILTER", "filter"},
        {"drive", "derive"},
        {"norm", "normalize"},
        {"sqlite", NULL},
        {"x", NULL},
        {"", NULL},
        {"entirely_else", NULL},
        {"yb", "by"},
    };
    char long_word[300];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *nearest = error_nearest(cases[i].word, names, sizeof(names) / sizeof(names[0]));

        if (cases[i].expected)
            assert_string_equal(nearest ? nearest : cases[i].word, cases[i].expected);
        else
            assert_null(nearest);
    }
    for (size_t i = 0; i < sizeof(long_word) - 1; i++)
        long_word[i] = 'a';
    long_word[sizeof(long_word) - 1] = '\0';
    assert_null(error_nearest(long_word, names, 3));
}

static void test_caret(void **state)
{
    char out[512];

    (void)state;
    error_caret("value > 3 adn x", 11, 3, out, sizeof(out));
    assert_string_equal(out, "value > 3 adn x\n          ^~~");
    error_caret("\tä: b\nnext", 4, 1, out, sizeof(out));
    assert_string_equal(out, "\tä: b\n\t  ^");
    error_caret("ab", 3, 5, out, sizeof(out)); /* behind the end of the line */
    assert_string_equal(out, "ab\n  ^");
    error_caret("", 1, 0, out, sizeof(out));
    assert_string_equal(out, "\n^");
    error_caret("abcdef", 3, 2, out, 5); /* no room: cut, terminated */
    assert_string_equal(out, "abcd");
    assert_int_equal(error_column("äb", 2), 2);
    assert_int_equal(error_column("ab", 0), 1);
}

static void test_caret_of_a_long_line(void **state)
{
    char line[1000], out[512];
    const char *second;

    (void)state;
    for (size_t i = 0; i < sizeof(line) - 1; i++)
        line[i] = '.';
    line[sizeof(line) - 1] = '\0';
    line[499] = '#';
    error_caret(line, 500, 1, out, sizeof(out));
    second = strchr(out, '\n') + 1;
    assert_true(second - out < 130);
    assert_int_equal(out[strlen(second) - 1], '#'); /* the caret stands below it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_error_is_kept),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_caret),
        cmocka_unit_test(test_caret_of_a_long_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
