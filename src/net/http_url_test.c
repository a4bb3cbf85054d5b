/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net/http_url.h"

static void check_text(const char *what, struct http_text text, const char *wanted)
{
    if (!wanted && text.text)
        fail_msg("%s: \"%.*s\" instead of none", what, (int)text.length, text.text);
    if (wanted && (text.length != strlen(wanted) || memcmp(text.text, wanted, text.length) != 0))
        fail_msg("%s: \"%.*s\" instead of \"%s\"", what, (int)text.length, text.text, wanted);
}

static void test_parse(void **state)
{
    static const struct {
        const char *text, *user, *password, *host, *target;
        uint16_t port;
        bool https, literal;
    } cases[] = {
        {"http://a", NULL, NULL, "a", "", 80, false, false},
        {"http://127.0.0.1:9700/sensor/17", NULL, NULL, "127.0.0.1", "/sensor/17", 9700, false, false},
        {"HTTPS://Example.com/", NULL, NULL, "Example.com", "/", 443, true, false},
        {"http://u:p@h:81/x?y=z#f", "u", "p", "h", "/x?y=z", 81, false, false},
        {"http://u:p:q@w@h/", "u", "p:q@w", "h", "/", 80, false, false},
        {"http://u@h?x", "u", "", "h", "?x", 80, false, false},
        {"http://[::1]:8080/a", NULL, NULL, "::1", "/a", 8080, false, true},
        {"http://h:/a", NULL, NULL, "h", "/a", 80, false, false},
        {"http://h/a@b:c", NULL, NULL, "h", "/a@b:c", 80, false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_url url;
        assert_int_equal(http_url_parse(cases[i].text, &url, NULL), 0);
        check_text("user", url.user, cases[i].user);
        check_text("password", url.password, cases[i].password);
        check_text("host", url.host, cases[i].host);
        check_text("target", url.target, cases[i].target);
        assert_int_equal(url.port, cases[i].port);
        assert_int_equal(url.https, cases[i].https);
        assert_int_equal(url.literal, cases[i].literal);
    }
}

static void test_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "a",
                                      "ftp://a/",
                                      "http:/a",
                                      "http://",
                                      "http:///x",
                                      "http://a b/",
                                      "http://a/\r\nX: y",
                                      "http://a:0/",
                                      "http://a:65536/",
                                      "http://a:1x/",
                                      "http://[::1/",
                                      "http://[::1]x/",
                                      "http://a/\xc3\xa4",
                                      "http://ho st/",
                                      "http://h,i/"};
    char large[HTTP_URL_MOST + 10];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *reason = NULL;
        struct http_url url;
        if (http_url_parse(bad[i], &url, &reason) != -EINVAL || !reason)
            fail_msg("%s was taken", bad[i]);
    }
    memset(large, 'a', sizeof large);
    memcpy(large, "http://h/", 9);
    large[sizeof large - 1] = 0;
    struct http_url url;
    assert_int_equal(http_url_parse(large, &url, NULL), -EINVAL);
}

static void test_show(void **state)
{
    static const char *const cases[][2] = {
        {"http://user:secret@host/path", "http://***@host/path"},
        {"http://user@host/", "http://***@host/"},
        {"http://host/a?x=1&api_key=hush&y=2", "http://host/a?x=1&api_key=***&y=2"},
        {"http://host/?TOKEN=hush", "http://host/?TOKEN=***"},
        {"http://host/?token", "http://host/?token"},
        {"https://host:1/a@b", "https://host:1/a@b"},
        {"user:hush@host", "***@host"},
        {"http://a\r\nb/", "http://a??b/"},
    };
    char out[200];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(http_url_show(cases[i][0], out, sizeof out), cases[i][1]);
    assert_string_equal(http_url_show("http://u:p@host/", out, 9), "http://*");
}

static void test_resolve(void **state)
{
    static const char *const cases[][2] = {
        {"http://x/y", "http://x/y"},
        {"https://x", "https://x"},
        {"//x:1/y#f", "http://x:1/y"},
        {"/y", "http://h:81/y"},
        {"y", "http://h:81/a/y"},
        {"../y", "http://h:81/y"},
        {"../../../y", "http://h:81/y"},
        {"./y/./z/..", "http://h:81/a/y/"},
        {"?q=..", "http://h:81/a/b?q=.."},
        {"", "http://h:81/a/b"},
        {"ftp://x", NULL},
        {"javascript:x", NULL},
        {"/a b", NULL},
    };
    struct http_url base;
    char out[HTTP_URL_MOST + 1];
    (void)state;
    assert_int_equal(http_url_parse("http://u:p@h:81/a/b?c=/d#e", &base, NULL), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int error = http_url_resolve(&base, cases[i][0], strlen(cases[i][0]), out, sizeof out);
        if (!cases[i][1])
            assert_int_equal(error, -EINVAL);
        else
            assert_string_equal(out, cases[i][1]);
    }
    assert_int_equal(http_url_parse("http://h", &base, NULL), 0);
    assert_int_equal(http_url_resolve(&base, "y", 1, out, sizeof out), 0);
    assert_string_equal(out, "http://h:80/y");
}

static void test_decode(void **state)
{
    char out[32];
    (void)state;
    size_t size = http_url_decode((struct http_text){"a%20b%2", 7}, out);
    assert_int_equal(size, 5);
    assert_memory_equal(out, "a b%2", 5);
    size = http_url_decode((struct http_text){"%zz%41", 6}, out);
    assert_int_equal(size, 4);
    assert_memory_equal(out, "%zzA", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),   cmocka_unit_test(test_refused), cmocka_unit_test(test_show),
        cmocka_unit_test(test_resolve), cmocka_unit_test(test_decode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
