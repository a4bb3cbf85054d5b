/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/buffer.h"
#include "base/memory.h"

static void test_append_and_format(void **state)
{
    struct weir_buffer buffer = {0};
    char long_text[2000];

    (void)state;
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    buffer_string(&buffer, "a");
    buffer_format(&buffer, "%d", 42);
    buffer_format(&buffer, "%s", long_text);
    buffer_append(&buffer, "", 1);
    assert_false(buffer.failed);
    assert_int_equal(buffer.size, 3 + 1999 + 1);
    assert_memory_equal(buffer.data, "a42xx", 5);
    buffer_free(&buffer);
    assert_null(buffer.data);
}

static void test_failure_stays(void **state)
{
    struct weir_buffer buffer = {0};

    (void)state;
    buffer_string(&buffer, "kept");
    memory_fail_nth(1, false);
    assert_null(buffer_reserve(&buffer, 100000));
    memory_fail_nth(0, false);
    buffer_string(&buffer, "lost");
    buffer_format(&buffer, "%d", 1);
    assert_true(buffer.failed);
    assert_int_equal(buffer.size, 4);
    buffer_free(&buffer);
    assert_null(buffer_reserve(&buffer, SIZE_MAX - 3));
    assert_true(buffer.failed);
    buffer_free(&buffer);
}

static void check_json(const char *text, size_t length, const char *expected)
{
    struct weir_buffer buffer = {0};

    buffer_json_string(&buffer, text, length);
    buffer_append(&buffer, "", 1);
    assert_string_equal(buffer.data, expected);
    buffer_free(&buffer);
}

static void test_json_strings(void **state)
{
    (void)state;
    check_json("", 0, "\"\"");
    check_json("plain", 5, "\"plain\"");
    check_json("a\"b\\c\nd\x01", 8, "\"a\\\"b\\\\c\\nd\\u0001\"");
    check_json("\0", 1, "\"\\u0000\"");
    check_json("\xc3\xa4\xf0\x9f\x98\x80", 6, "\"\xc3\xa4\xf0\x9f\x98\x80\"");
    check_json("\xff", 1, "\"\xef\xbf\xbd\"");
    check_json("\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");                                   /* overlong */
    check_json("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");                   /* a surrogate */
    check_json("\xe2\x82", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");                                   /* cut short */
    check_json("\xf4\x90\x80\x80!", 5, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!\""); /* too large */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_and_format),
        cmocka_unit_test(test_failure_stays),
        cmocka_unit_test(test_json_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
