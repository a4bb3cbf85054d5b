/* SPDX-License-Identifier: MIT */
#include "base/display.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *text, size_t expected)
{
    assert_int_equal(display_columns(text, strlen(text)), expected);
}

static void test_widths(void **state)
{
    (void)state;
    check("", 0);
    check("plain", 5);
    check("Küche", 5);
    check("Ku\xcc\x88"
          "che",
          5);
    check("温度", 4);
    check("温度 3", 6);
    check("한글", 4);
    check("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", 2); /* 한 as three jamo */
    check("ｱ", 1);
    check("Ａ", 2);
    check("🌡", 1);
    check("🔥", 2);
    check("a\u200db", 2);
    check("°C µm …", 7);
}

static void test_what_is_no_text(void **state)
{
    (void)state;
    int columns;
    assert_int_equal(display_character("\n", 1, &columns), 1);
    assert_int_equal(columns, -1);
    assert_int_equal(display_character("\x1b[2J", 4, &columns), 1);
    assert_int_equal(columns, -1);
    assert_int_equal(display_character("\xc2\x9b", 2, &columns), 2); /* a control character of two bytes */
    assert_int_equal(columns, -1);
    static const char *const bad[] = {"\x80",         "\xc0\x80",         "\xc3",
                                      "\xe2\x82",     "\xed\xa0\x80",     "\xf5\x80\x80\x80",
                                      "\xe0\x80\x80", "\xf4\x90\x80\x80", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(display_character(bad[i], strlen(bad[i]), &columns), 1);
        assert_int_equal(columns, -1);
    }
    check("a\xff"
          "b\n",
          4);
}

static void test_cut(void **state)
{
    (void)state;
    size_t columns;
    assert_int_equal(display_cut("温度計", 9, 5, &columns), 6);
    assert_int_equal(columns, 4);
    assert_int_equal(display_cut("温度計", 9, 6, &columns), 9);
    assert_int_equal(display_cut("au\xcc\x88z", 5, 2, &columns), 4); /* the accent stays with its letter */
    assert_int_equal(columns, 2);
    assert_int_equal(display_cut("abc", 3, 0, &columns), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widths),
        cmocka_unit_test(test_what_is_no_text),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
