/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_parse.h"

/* A whole message read in pieces of `step` bytes, as a client would. */
struct reading {
    struct http_head head;
    struct http_body body;
    enum http_fault fault;
    bool complete;
    size_t used, content_size;
    char content[4096];
};

static void read_body(struct reading *reading, const char *bytes, size_t size, size_t step)
{
    size_t have = reading->used + step < size ? reading->used + step : size;
    while (!reading->body.done) {
        const char *data;
        size_t data_size;
        int64_t took = http_body_feed(&reading->body, bytes + reading->used, have - reading->used, &data, &data_size);
        if (took < 0)
            break;
        assert_true(reading->content_size + data_size <= sizeof reading->content);
        memcpy(reading->content + reading->content_size, data, data_size);
        reading->content_size += data_size;
        reading->used += (size_t)took;
        if (took == 0 && have == size) {
            http_body_end(&reading->body);
            break;
        }
        if (took == 0)
            have = have + step < size ? have + step : size;
    }
    reading->fault = reading->body.fault;
    reading->complete = reading->body.done && !reading->fault;
}

static void read_message(struct reading *reading, enum http_kind kind, const char *bytes, size_t size, size_t step,
                         const struct http_limits *limits)
{
    memset(reading, 0, sizeof *reading);
    http_head_start(&reading->head, kind, limits);
    int64_t got = 0;
    for (size_t have = 0; got == 0 && have < size;) {
        have = have + step < size ? have + step : size;
        got = http_head_parse(&reading->head, bytes, have);
    }
    reading->fault = reading->head.fault;
    if (got == 0)
        reading->fault = HTTP_FAULT_CUT_HEAD;
    if (got <= 0)
        return;
    reading->used = (size_t)got;
    if (http_body_start(&reading->body, &reading->head, false, limits) < 0) {
        reading->fault = reading->body.fault;
        return;
    }
    read_body(reading, bytes, size, step);
}

/* In one piece and byte by byte must be the same. */
static void read_both(struct reading *reading, enum http_kind kind, const char *bytes, size_t size,
                      const struct http_limits *limits)
{
    struct reading *slow = calloc(1, sizeof *slow);
    read_message(reading, kind, bytes, size, size ? size : 1, limits);
    for (size_t step = 1; step < 4; step++) {
        read_message(slow, kind, bytes, size, step, limits);
        if (slow->fault != reading->fault || slow->complete != reading->complete)
            fail_msg("%s\nat once: %s; %zu bytes at a time: %s", bytes, http_fault_words(reading->fault), step,
                     http_fault_words(slow->fault));
        assert_int_equal(slow->content_size, reading->content_size);
        assert_memory_equal(slow->content, reading->content, reading->content_size);
        if (reading->complete)
            assert_int_equal(slow->used, reading->used);
    }
    free(slow);
}

struct message_case {
    const char *bytes;
    enum http_fault fault;
    int status;
    const char *content;
    bool keep_alive;
    size_t left; /* bytes behind the message */
};

static const struct message_case replies[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0, 200, "hello", true, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP", 0, 200, "hello", true, 4},
    {"HTTP/1.1 200\r\ncontent-length:0\r\n\r\n", 0, 200, "", true, 0},
    {"HTTP/1.1 200 \r\nCONTENT-LENGTH: \t 3 \t\r\n\r\nabc", 0, 200, "abc", true, 0},
    {"HTTP/1.0 200 OK\r\n\r\nuntil the end", 0, 200, "until the end", false, 0},
    {"HTTP/1.1 200 OK\r\n\r\nuntil the end", 0, 200, "until the end", false, 0},
    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 0, 200, "x", false, 0},
    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: Keep-Alive\r\n\r\nx", 0, 200, "x", true, 0},
    {"HTTP/1.1 200 OK\r\nConnection: foo , Close\r\nContent-Length: 1\r\n\r\nx", 0, 200, "x", false, 0},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", 0, 204, "", true, 0},
    {"HTTP/1.1 304 Not Modified\r\n\r\n", 0, 304, "", true, 0},
    {"HTTP/1.1 100 Continue\r\n\r\n", 0, 100, "", true, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 0, 200, "ok", true, 0},
    {"HTTP/1.1 200 OK\r\nX-\xc3\xa4: 1\r\n\r\n", HTTP_FAULT_FIELD_NAME, 0, NULL, false, 0},
    {"HTTP/1.1 200 OK\r\nX: \xc3\xa4\r\nContent-Length: 0\r\n\r\n", 0, 200, "", true, 0},
    /* chunked */
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", 0, 200,
     "hello world", true, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n005;a=b\r\nhello\r\n0;x\r\nA: b\r\nC:\r\n\r\nmore", 0, 200,
     "hello", true, 4},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA \r\n0123456789\r\n0\r\n\r\n", 0, 200, "0123456789", true,
     0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell\r\n0\r\n\r\n", HTTP_FAULT_CHUNK_END, 0, NULL, 0,
     0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", HTTP_FAULT_CHUNK_SIZE, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\n", HTTP_FAULT_CHUNK_SIZE, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", HTTP_FAULT_CHUNK_SIZE, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n", HTTP_FAULT_CHUNK_SIZE, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\rhello\r\n", HTTP_FAULT_CHUNK_LINE, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\n", HTTP_FAULT_CHUNK_SIZE, 0, NULL, 0,
     0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", HTTP_FAULT_CUT_CHUNK, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", HTTP_FAULT_CUT_CHUNK, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n", HTTP_FAULT_TRAILER, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n", HTTP_FAULT_BODY_SIZE, 0, NULL, 0, 0},
    /* what must be refused */
    {"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", HTTP_FAULT_LINE_END, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\nhello", HTTP_FAULT_LINE_END, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", HTTP_FAULT_LENGTH_TWICE, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", HTTP_FAULT_LENGTH, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", HTTP_FAULT_LENGTH, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello", HTTP_FAULT_LENGTH, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello", HTTP_FAULT_LENGTH, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", HTTP_FAULT_LENGTH, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n", HTTP_FAULT_LENGTH, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", HTTP_FAULT_BODY_SIZE, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", HTTP_FAULT_CUT_LENGTH, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_FAULT_LENGTH_AND_CHUNKED, 0,
     NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", HTTP_FAULT_CODING, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_FAULT_CODING, 0, NULL,
     0, 0},
    {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_FAULT_CODING, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n", HTTP_FAULT_FOLDED, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\n A: b\r\n\r\n", HTTP_FAULT_FIELD_NAME, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", HTTP_FAULT_FIELD_NAME, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\n: b\r\n\r\n", HTTP_FAULT_FIELD_NAME, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", HTTP_FAULT_FIELD_NAME, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", HTTP_FAULT_CONTROL, 0, NULL, 0, 0},
    {"HTTP/1.1 200 O\x01K\r\n\r\n", HTTP_FAULT_CONTROL, 0, NULL, 0, 0},
    {"HTTP/1.1 20 OK\r\n\r\n", HTTP_FAULT_STATUS, 0, NULL, 0, 0},
    {"HTTP/1.1 2000 OK\r\n\r\n", HTTP_FAULT_STATUS, 0, NULL, 0, 0},
    {"HTTP/1.1 099 OK\r\n\r\n", HTTP_FAULT_STATUS, 0, NULL, 0, 0},
    {"HTTP/1.1  200 OK\r\n\r\n", HTTP_FAULT_STATUS, 0, NULL, 0, 0},
    {"HTTP/2 200 OK\r\n\r\n", HTTP_FAULT_VERSION, 0, NULL, 0, 0},
    {"HTTP/1.2 200 OK\r\n\r\n", HTTP_FAULT_VERSION, 0, NULL, 0, 0},
    {"http/1.1 200 OK\r\n\r\n", HTTP_FAULT_START_LINE, 0, NULL, 0, 0},
    {"\r\nHTTP/1.1 200 OK\r\n\r\n", HTTP_FAULT_START_LINE, 0, NULL, 0, 0},
    {"SSH-2.0-OpenSSH_9.2", HTTP_FAULT_START_LINE, 0, NULL, 0, 0},
    {"HTTP/1.1 200 OK\r\nContent-Le", HTTP_FAULT_CUT_HEAD, 0, NULL, 0, 0},
    {"", HTTP_FAULT_CUT_HEAD, 0, NULL, 0, 0},
    {NULL, 0, 0, NULL, 0, 0},
};

static const struct message_case requests[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, "", true, 0},
    {"GET /a?b=c%20d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 0, 0, "", false, 0},
    {"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, "", true, 0},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, "", true, 0},
    {"GET / HTTP/1.0\r\n\r\n", 0, 0, "", false, 0},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nabGET", 0, 0, "ab", true, 3},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 0, 0, "ab", true, 0},
    {"GET / HTTP/1.1\r\n\r\n", HTTP_FAULT_HOST, 0, NULL, 0, 0},
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", HTTP_FAULT_HOST, 0, NULL, 0, 0},
    {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_FAULT_TARGET, 0, NULL, 0, 0},
    {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_FAULT_TARGET, 0, NULL, 0, 0},
    {"GET /\r\n\r\n", HTTP_FAULT_TARGET, 0, NULL, 0, 0},
    {"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_FAULT_TARGET, 0, NULL, 0, 0},
    {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", HTTP_FAULT_START_LINE, 0, NULL, 0, 0},
    {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", HTTP_FAULT_VERSION, 0, NULL, 0, 0},
    {"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_FAULT_METHOD, 0, NULL, 0, 0},
    {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_FAULT_METHOD, 0, NULL, 0, 0},
    {"GET / HTTP/1.1\nHost: a\n\n", HTTP_FAULT_LINE_END, 0, NULL, 0, 0},
    {NULL, 0, 0, NULL, 0, 0},
};

static void check_cases(const struct message_case *cases, enum http_kind kind)
{
    struct reading *reading = calloc(1, sizeof *reading);
    for (; cases->bytes; cases++) {
        size_t size = strlen(cases->bytes);
        read_both(reading, kind, cases->bytes, size, NULL);
        if (reading->fault != cases->fault)
            fail_msg("%s\nis: %s\nnot: %s", cases->bytes, http_fault_words(reading->fault),
                     http_fault_words(cases->fault));
        if (cases->fault)
            continue;
        assert_true(reading->complete);
        assert_int_equal(reading->head.status, cases->status);
        assert_int_equal(reading->content_size, strlen(cases->content));
        assert_memory_equal(reading->content, cases->content, reading->content_size);
        if (reading->head.keep_alive != cases->keep_alive)
            fail_msg("%s\nkeep alive: %d", cases->bytes, reading->head.keep_alive);
        assert_int_equal(size - reading->used, cases->left);
    }
    free(reading);
}

static void test_replies(void **state)
{
    (void)state;
    check_cases(replies, HTTP_REPLY);
}

static void test_requests(void **state)
{
    (void)state;
    check_cases(requests, HTTP_REQUEST);
}

static void test_fields(void **state)
{
    static const char bytes[] = "POST /x?y HTTP/1.1\r\nHost: h:1\r\nAccept:*/*\r\nX-Empty:\r\n"
                                "Expect: 100-Continue\r\nContent-Length: 4\r\n\r\n";
    struct http_head head;
    (void)state;
    http_head_start(&head, HTTP_REQUEST, NULL);
    assert_int_equal(http_head_parse(&head, bytes, sizeof bytes - 1), sizeof bytes - 1);
    assert_int_equal(head.count, 5);
    assert_true(head.expect_continue && head.has_length && head.framing == HTTP_LENGTH && head.length == 4);
    assert_memory_equal(bytes + head.method.at, "POST", head.method.length);
    assert_int_equal(head.target.length, 4);
    assert_memory_equal(bytes + head.target.at, "/x?y", 4);
    const struct http_field *field = http_head_find(&head, bytes, "ACCEPT");
    assert_non_null(field);
    assert_int_equal(field->value.length, 3);
    assert_memory_equal(bytes + field->value.at, "*/*", 3);
    field = http_head_find(&head, bytes, "x-empty");
    assert_non_null(field);
    assert_int_equal(field->value.length, 0);
    assert_null(http_head_find(&head, bytes, "acc"));
    assert_true(http_list_has("a, keep-alive ,b", 16, "Keep-Alive"));
    assert_false(http_list_has("a, keep-alives", 14, "keep-alive"));
    assert_false(http_list_has("", 0, "close"));
}

static void test_limits(void **state)
{
    static char bytes[20000];
    struct http_limits limits = {.head_most = 100, .body_most = 4};
    struct reading *reading = calloc(1, sizeof *reading);
    (void)state;
    /* A head that never ends is refused at its limit. */
    memset(bytes, 'a', sizeof bytes);
    memcpy(bytes, "HTTP/1.1 200 OK\r\nX: ", 20);
    read_both(reading, HTTP_REPLY, bytes, 1000, &limits);
    assert_int_equal(reading->fault, HTTP_FAULT_HEAD_SIZE);
    /* One that is exactly as large is not. */
    memcpy(bytes + 96, "\r\n\r\n", 4);
    read_both(reading, HTTP_REPLY, bytes, 100, &limits);
    assert_true(reading->complete);
    /* Bodies of each framing. */
    static const char *const large[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello",
    };
    for (int i = 0; i < 3; i++) {
        read_message(reading, HTTP_REPLY, large[i], strlen(large[i]), 1000, &limits);
        assert_int_equal(reading->fault, HTTP_FAULT_BODY_SIZE);
        assert_false(reading->complete);
    }
    /* Fields without end. */
    size_t size = 0;
    memcpy(bytes, "HTTP/1.1 200 OK\r\n", 17);
    for (size = 17; size + 6 < sizeof bytes; size += 6)
        memcpy(bytes + size, "a: b\r\n", 6);
    read_message(reading, HTTP_REPLY, bytes, size, size, NULL);
    assert_int_equal(reading->fault, HTTP_FAULT_FIELD_COUNT);
    /* An extension, and a trailer, without end. */
    static const char chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes, chunked, sizeof chunked - 1);
    memcpy(bytes + sizeof chunked - 1, "5;", 2);
    read_both(reading, HTTP_REPLY, bytes, sizeof bytes, NULL);
    assert_int_equal(reading->fault, HTTP_FAULT_CHUNK_LINE);
    memcpy(bytes + sizeof chunked - 1, "0\r\nA:", 5);
    read_both(reading, HTTP_REPLY, bytes, sizeof bytes, NULL);
    assert_int_equal(reading->fault, HTTP_FAULT_TRAILER);
    free(reading);
}

/* A fault is final, and every fault has words. */
static void test_faults(void **state)
{
    struct http_head head;
    (void)state;
    http_head_start(&head, HTTP_REPLY, NULL);
    assert_int_equal(http_head_parse(&head, "nonsense", 8), -EBADMSG);
    assert_int_equal(http_head_parse(&head, "HTTP/1.1 200 OK\r\n\r\n", 19), -EBADMSG);
    for (int i = 0; i < HTTP_FAULTS; i++)
        assert_true(strlen(http_fault_words((enum http_fault)i)) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies), cmocka_unit_test(test_requests), cmocka_unit_test(test_fields),
        cmocka_unit_test(test_limits),  cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
