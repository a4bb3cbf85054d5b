/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"

static int parse(const char *text, struct json_tree **ret, struct weir_error *error)
{
    return json_tree_parse(text, strlen(text), ret, error);
}

static void test_values(void **state)
{
    static const char text[] =
        " {\"name\": \"r\\u00e4um\\n\\ud83d\\ude00\\ud800\", \"rows\": [1, -2.5e3, true, null, {}],"
        " \"\": false, \"empty\": []}\n";
    struct json_tree *tree = NULL;
    struct weir_error error = {0};
    (void)state;
    assert_int_equal(parse(text, &tree, &error), 0);
    const struct json_node *root = json_tree_root(tree), *rows = json_member(root, "rows");
    assert_string_equal(json_member_text(root, "name", ""), "r\xc3\xa4um\n\xf0\x9f\x98\x80\xef\xbf\xbd");
    assert_int_equal(rows->kind, JSON_ARRAY);
    assert_true(rows->first->number == 1 && rows->first->next->number == -2500);
    assert_int_equal(rows->first->next->next->kind, JSON_BOOL);
    assert_int_equal(rows->first->next->next->next->kind, JSON_NULL);
    assert_int_equal(rows->first->next->next->next->next->kind, JSON_OBJECT);
    assert_null(rows->first->next->next->next->next->next);
    assert_null(json_member(root, "empty")->first);
    assert_int_equal(json_member(root, "")->kind, JSON_BOOL);
    assert_null(json_member(root, "missing"));
    assert_null(json_member(rows, "missing"));
    assert_true(json_member_number(root, "name", 7) == 7);
    assert_string_equal(json_member_text(NULL, "name", "none"), "none");
    json_tree_free(tree);
}

static void test_mistakes(void **state)
{
    static const char *const wrong[] = {
        "",    "{",   "[1,]", "{\"a\"}", "{\"a\":}",  "{\"a\":1,}", "{a:1}",     "01",     "1.",        ".5",
        "-",   "+1",  "1e",   "nul",     "\"",        "\"\\x\"",    "\"\\u12\"", "\"\n\"", "[1 2]",     "1 2",
        "[1}", "tru", "\"\\", "1e999x",  "{\"a\" 1}", "--1",        "\"\\ud800", "]",      "{\"a\":1]", "\t",
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct json_tree *tree = NULL;
        struct weir_error error = {0};
        assert_int_equal(parse(wrong[i], &tree, &error), -EINVAL);
        assert_null(tree);
        assert_memory_equal(error.text, "line ", 5);
    }
    struct json_tree *tree = NULL;
    struct weir_error error = {0};
    assert_int_equal(parse("{\n\n \"a\": x}", &tree, &error), -EINVAL);
    assert_string_equal(error.text, "line 3: this is no value");
}

static void test_limits(void **state)
{
    char deep[2 * JSON_TREE_DEPTH_MAX + 3];
    struct json_tree *tree = NULL;
    struct weir_error error = {0};
    (void)state;
    memset(deep, '[', sizeof deep);
    assert_int_equal(json_tree_parse(deep, JSON_TREE_DEPTH_MAX + 1, &tree, &error), -E2BIG);
    for (int depth = 0; depth < JSON_TREE_DEPTH_MAX; depth++)
        deep[2 * JSON_TREE_DEPTH_MAX - 1 - depth] = ']';
    assert_int_equal(json_tree_parse(deep, (size_t)2 * JSON_TREE_DEPTH_MAX, &tree, NULL), 0);
    json_tree_free(tree);
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 100; nth++) {
        struct json_tree *tree = NULL;
        memory_fail_nth(nth, true);
        int code = parse("[1, {\"a\": \"b\"}]", &tree, NULL);
        memory_fail_nth(0, false);
        if (code == 0) {
            json_tree_free(tree);
            return;
        }
        assert_int_equal(code, -ENOMEM);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
