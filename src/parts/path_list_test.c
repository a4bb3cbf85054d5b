/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "parts/path_list.h"

static char folder[] = "/tmp/weir-path-list-XXXXXX";
static const char *const names[] = {"b.csv", "a.csv", "c.txt", "odd[1].csv"};

static char *inside(const char *name, char *out, size_t size)
{
    snprintf(out, size, "%s/%s", folder, name);
    return out;
}

static int make_files(void **state)
{
    char path[128];
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int fd = open(inside(names[i], path, sizeof path), O_CREAT | O_WRONLY, 0600);
        if (fd < 0)
            return -1;
        close(fd);
    }
    return mkdir(inside("d.csv", path, sizeof path), 0700) + mkfifo(inside("pipe", path, sizeof path), 0600);
}

static int remove_files(void **state)
{
    char path[128];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(inside(names[i], path, sizeof path));
    unlink(inside("pipe", path, sizeof path));
    rmdir(inside("d.csv", path, sizeof path));
    return rmdir(folder);
}

/* The list that `pattern` gives must be the names in `expected`, NULL-terminated. */
static void expect(const char *pattern, const char *const *expected)
{
    struct path_list list = {0};
    char path[128];
    size_t count = 0;
    assert_int_equal(path_list_add(&list, inside(pattern, path, sizeof path)), 0);
    for (; expected[count]; count++) {
        assert_true(count < list.count);
        assert_string_equal(list.names[count], inside(expected[count], path, sizeof path));
    }
    assert_int_equal(list.count, count);
    path_list_free(&list);
    assert_int_equal(list.count, 0);
}

static void test_patterns(void **state)
{
    (void)state;
    expect("*.csv", (const char *const[]){"a.csv", "b.csv", "d.csv", "odd[1].csv", NULL});
    expect("[bc].*", (const char *const[]){"b.csv", "c.txt", NULL});
    expect("{c.txt,a.csv}", (const char *const[]){"c.txt", "a.csv", NULL});
    expect("*.parquet", (const char *const[]){NULL});
}

static void test_names_stand_for_themselves(void **state)
{
    (void)state;
    expect("odd[1].csv", (const char *const[]){"odd[1].csv", NULL});
    expect("missing.csv", (const char *const[]){"missing.csv", NULL});
}

static void test_stdin(void **state)
{
    struct path_list list = {0};
    (void)state;
    assert_int_equal(path_list_add(&list, "-"), 0);
    assert_int_equal(list.count, 1);
    assert_true(path_is_stdin(list.names[0]));
    assert_int_equal(path_check("-"), 0);
    path_list_free(&list);
}

static void test_checks(void **state)
{
    char path[128];
    (void)state;
    assert_int_equal(path_check(inside("a.csv", path, sizeof path)), 0);
    assert_int_equal(path_check(inside("missing", path, sizeof path)), -ENOENT);
    assert_int_equal(path_check(inside("d.csv", path, sizeof path)), -EISDIR);
    assert_int_equal(path_check(inside("a.csv/b", path, sizeof path)), -ENOTDIR);
    assert_int_equal(path_check(inside("pipe", path, sizeof path)), 0); /* and does not wait for a writer */
}

static void test_a_file_that_is_being_written(void **state)
{
    char path[128];
    (void)state;
    int fd = open(inside("b.csv", path, sizeof path), O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(path_check(path), -EBUSY);
    close(fd);
    assert_int_equal(path_check(path), 0);
}

static void test_words(void **state)
{
    (void)state;
    for (int code = 1; code < 130; code++) {
        struct weir_error error = {0};
        assert_int_equal(path_explain(&error, (struct weir_mark){0}, "some.csv", -code), -code);
        assert_int_equal(error.code, -code);
        assert_int_equal(strncmp(error.text, "some.csv: ", 10), 0);
    }
}

static void test_without_memory(void **state)
{
    char path[128];
    (void)state;
    inside("*.csv", path, sizeof path);
    for (uint64_t nth = 1;; nth++) {
        struct path_list list = {0};
        memory_fail_nth(nth, false);
        int error = path_list_add(&list, path);
        memory_fail_nth(0, false);
        path_list_free(&list);
        if (error == 0) {
            assert_true(nth > 4);
            return;
        }
        assert_int_equal(error, -ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_names_stand_for_themselves),
        cmocka_unit_test(test_stdin),
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_a_file_that_is_being_written),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
