/* SPDX-License-Identifier: MIT */
#include "codec/json_pointer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void expect(const char *json, const char *pointer, const char *wanted)
{
    struct json_text found = {0};
    bool is_there = json_text_find((struct json_text){json, strlen(json)}, pointer, &found);
    if (!wanted) {
        assert_false(is_there);
        return;
    }
    assert_true(is_there);
    assert_int_equal(found.size, strlen(wanted));
    assert_memory_equal(found.data, wanted, found.size);
}

/* The document and the pointers of RFC 6901, section 5, but for those that need escapes in names. */
static void test_the_standard_s_examples(void **state)
{
    static const char json[] = "{\"foo\": [\"bar\", \"baz\"], \"\": 0, \"a/b\": 1, \"c%d\": 2, \"e^f\": 3,"
                               " \"g|h\": 4, \" \": 7, \"m~n\": 8 }";
    (void)state;
    expect(json, "", json);
    expect(json, "/foo", "[\"bar\", \"baz\"]");
    expect(json, "/foo/0", "\"bar\"");
    expect(json, "/foo/1", "\"baz\"");
    expect(json, "/", "0");
    expect(json, "/a~1b", "1");
    expect(json, "/c%d", "2");
    expect(json, "/e^f", "3");
    expect(json, "/g|h", "4");
    expect(json, "/ ", "7");
    expect(json, "/m~0n", "8");
}

static void test_what_is_not_there(void **state)
{
    (void)state;
    expect("{\"a\": {\"b\": [1, {\"c\": -2.5e3}]}}", "/a/b/1/c", "-2.5e3");
    expect("{\"a\": 1}", "/b", NULL);
    expect("{\"a\": 1}", "/a/b", NULL);
    expect("{\"a\": 1}", "a", NULL);
    expect("[1, 2]", "/2", NULL);
    expect("[1, 2]", "/-1", NULL);
    expect("[1, 2]", "/01x", NULL);
    expect("", "", NULL);
    expect("{\"a\": \"unclosed", "/a", NULL);
    expect("{\"a\": [1, [2}", "/a", NULL);
    expect("{\"a\\\"b\": 1, \"c\": \"}\"}", "/c", "\"}\"");
    expect("  {\n\"x\" :\t5\n}", "/x", "5");
}

static void test_elements_of_an_array(void **state)
{
    const struct json_text array = {" [ {\"a\":[1,2]} , \"x,y\", 3 ]", 29};
    static const char *const wanted[] = {"{\"a\":[1,2]}", "\"x,y\"", "3"};
    const char *at = NULL;
    struct json_text element;
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_true(json_text_element(array, &at, &element));
        assert_int_equal(element.size, strlen(wanted[i]));
        assert_memory_equal(element.data, wanted[i], element.size);
    }
    assert_false(json_text_element(array, &at, &element));
    at = NULL;
    assert_false(json_text_element((struct json_text){"{}", 2}, &at, &element));
}

static void test_what_is_no_json_at_all(void **state)
{
    (void)state;
    static const char *const good[] = {"{}", " [1, {\"a\": \"]\"}]\r\n", "\"a b\"", "-1.5e+3", "0", "true", "null "};
    static const char *const bad[] = {"",     " ",     "<html>", "{",      "[1,2",     "OK",   "nan", "1 2",
                                      "{} x", "trueX", "-",      "\"open", "Error: 5", "1.5x", ".5"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!json_text_whole((struct json_text){good[i], strlen(good[i])}))
            fail_msg("%s is not taken", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (json_text_whole((struct json_text){bad[i], strlen(bad[i])}))
            fail_msg("%s is taken", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_json_at_all),
        cmocka_unit_test(test_the_standard_s_examples),
        cmocka_unit_test(test_what_is_not_there),
        cmocka_unit_test(test_elements_of_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
