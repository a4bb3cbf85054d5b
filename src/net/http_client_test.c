/* SPDX-License-Identifier: MIT */
/* The HTTP client against our server and against canned bytes, on the simulated network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "async/loop.h"
#include "async/network.h"
#include "async/simulated.h"
#include "base/clock.h"
#include "base/memory.h"
#include "net/http.h"
#include "net/http_server.h"

#define SECOND CLOCK_SECOND
#define MILLISECOND CLOCK_MILLISECOND

struct world {
    struct simulated simulated;
    struct network *network;
    struct http_client *client;
    struct http_client_options options;
    weir_task_run *test;
    http_answerer *answerer; /* of the server; NULL: canned bytes */
    const char *canned;
    size_t canned_size;
    int64_t pause_ns;     /* between two pieces of it */
    uint32_t piece;       /* bytes at a time; 0: all */
    bool hold;            /* the connection stays open behind it */
    uint32_t connections; /* that canned bytes were served on */
    char seen[4096];      /* what the last of them was asked */
    void *more;
};

/* ---- Peers ------------------------------------------------------------------------------------------------------ */

static int serve_canned_one(struct weir_context *context, struct world *world, struct weir_stream *stream)
{
    size_t have = 0;
    while (!strstr(world->seen, "\r\n\r\n")) {
        int64_t got = weir_stream_read(context, stream, world->seen + have, sizeof world->seen - 1 - have, WEIR_NEVER);
        if (got <= 0)
            return -EPIPE;
        have += (size_t)got;
        world->seen[have] = 0;
    }
    size_t piece = world->piece ? world->piece : world->canned_size;
    for (size_t at = 0; at < world->canned_size; at += piece) {
        size_t left = world->canned_size - at;
        int error = weir_stream_write(context, stream, world->canned + at, left < piece ? left : piece, WEIR_NEVER);
        if (error == 0 && world->pause_ns)
            error = weir_sleep(context, world->pause_ns);
        if (error)
            return error;
    }
    return world->hold ? weir_sleep(context, 1000 * SECOND) : 0;
}

static int serve_canned(struct weir_context *context, struct world *world, struct weir_listener *listener)
{
    struct weir_stream *stream;
    int error;
    while ((error = weir_stream_accept(context, listener, WEIR_NEVER, &stream)) == 0) {
        world->connections++;
        world->seen[0] = 0;
        (void)serve_canned_one(context, world, stream);
        weir_stream_close(stream, false);
    }
    return error;
}

static int serve(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct weir_listener *listener;
    struct http_server *server = NULL;
    int error = weir_stream_listen(context, "peer", 80, &listener);
    assert_int_equal(error, 0);
    if (world->answerer) {
        struct http_server_options options = {.answer = world->answerer, .owner = world};
        assert_int_equal(http_server_new(&options, &server), 0);
        error = http_server_run(context, server, listener);
        http_server_free(server);
    } else {
        error = serve_canned(context, world, listener);
    }
    weir_listener_close(listener);
    return error;
}

static int run_root(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct weir_scope scope;
    assert_int_equal(http_client_new(&world->options, &world->client), 0);
    weir_scope_open(context, &scope);
    assert_int_equal(weir_scope_spawn(&scope, "server", serve, world), 0);
    (void)weir_yield(context);
    int error = world->test(context, world);
    weir_scope_close(&scope);
    http_client_free(world->client);
    return error;
}

static void in_world(struct world *world, weir_task_run *test)
{
    struct loop *loop;
    simulated_init(&world->simulated);
    world->network = network_new(1);
    world->test = test;
    struct loop_options options = {.outer = &world->simulated.context, .network = world->network};
    assert_int_equal(loop_new(&options, &loop), 0);
    assert_int_equal(loop_run(loop, "test", run_root, world), 0);
    loop_free(loop);
    network_free(world->network);
}

/* ---- Against canned bytes --------------------------------------------------------------------------------------- */

struct canned_case {
    const char *bytes;
    int error;
    enum http_outcome outcome;
    enum http_fault fault;
    int status;
    const char *body;
    bool hold;
};

static const struct canned_case canned_cases[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0, HTTP_DONE, 0, 200, "hello", true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 0, HTTP_DONE, 0, 200,
     "hello", true},
    {"HTTP/1.1 200 OK\r\n\r\nhello", 0, HTTP_DONE, 0, 200, "hello", false},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
     "2\r\n\r\nok",
     0, HTTP_DONE, 0, 200, "ok", true},
    {"HTTP/1.1 204 No Content\r\n\r\n", 0, HTTP_DONE, 0, 204, "", true},
    {"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nwait", -EPROTO, HTTP_BAD_STATUS, 0, 503, "wait", true},
    {"HTTP/1.1 304 Not Modified\r\n\r\n", -EPROTO, HTTP_BAD_STATUS, 0, 304, "", true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", -EBADMSG, HTTP_MALFORMED, HTTP_FAULT_CUT_LENGTH, 200, NULL,
     false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", -EBADMSG, HTTP_MALFORMED,
     HTTP_FAULT_CUT_CHUNK, 200, NULL, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", -EBADMSG, HTTP_MALFORMED, HTTP_FAULT_CHUNK_SIZE,
     200, NULL, true},
    {"HTTP/1.1 200 OK\r\nContent-Len", -EBADMSG, HTTP_MALFORMED, HTTP_FAULT_CUT_HEAD, 0, NULL, false},
    {"\x16\x03\x01 garbage", -EBADMSG, HTTP_MALFORMED, HTTP_FAULT_START_LINE, 0, NULL, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n", -EMSGSIZE, HTTP_TOO_LARGE, HTTP_FAULT_BODY_SIZE, 200, NULL,
     true},
    {"", -ECONNRESET, HTTP_NO_REPLY, 0, 0, NULL, false},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", -EPROTO, HTTP_UPGRADED, 0, 0, NULL, true},
    {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", -EPROTO, HTTP_ENCODED, 0, 200, NULL,
     true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhel", -ETIMEDOUT, HTTP_BODY_TIMEOUT, 0, 200, NULL, true},
    {"HTTP/1.1 200 OK\r\nContent-", -ETIMEDOUT, HTTP_HEAD_TIMEOUT, 0, 0, NULL, true},
    {"", -ETIMEDOUT, HTTP_HEAD_TIMEOUT, 0, 0, NULL, true},
    {NULL, 0, HTTP_DONE, 0, 0, NULL, false},
};

static int ask_canned(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    const struct canned_case *wanted = world->more;
    struct http_request request = {.url = "http://peer/x"};
    struct http_reply reply;
    char words[400];
    int error = http_request(context, world->client, &request, weir_now(context) + 10 * SECOND, &reply);
    http_explain(&request, &reply, words, sizeof words);
    if (error != wanted->error || reply.outcome != wanted->outcome || reply.fault != wanted->fault ||
        reply.status != wanted->status)
        fail_msg("%s\n%s (%d, status %d)", wanted->bytes, words, error, reply.status);
    if (wanted->body) {
        assert_int_equal(reply.body_size, strlen(wanted->body));
        assert_string_equal(reply.body, wanted->body);
    }
    assert_true(strncmp(words, "GET http://peer/x: ", 19) == 0);
    http_reply_release(&reply);
    http_reply_release(&reply);
    return 0;
}

static void test_canned(void **state)
{
    static const uint32_t pieces[] = {0, 1, 7};
    (void)state;
    for (const struct canned_case *at = canned_cases; at->bytes; at++) {
        for (int i = 0; i < 3; i++) {
            struct world world = {.canned = at->bytes,
                                  .canned_size = strlen(at->bytes),
                                  .piece = pieces[i],
                                  .pause_ns = pieces[i] ? MILLISECOND : 0,
                                  .hold = at->hold,
                                  .more = (void *)(uintptr_t)at};
            in_world(&world, ask_canned);
        }
    }
}

/* A reply that comes a byte a second is over its deadline, however long it goes on. */
static int ask_slowly(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct http_request request = {.url = "http://peer/x"};
    struct http_reply reply;
    int64_t before = weir_now(context);
    assert_int_equal(http_request(context, world->client, &request, before + 2 * SECOND, &reply), -ETIMEDOUT);
    assert_int_equal(reply.outcome, HTTP_HEAD_TIMEOUT);
    assert_true(weir_now(context) - before < 2100 * MILLISECOND);
    http_reply_release(&reply);
    return 0;
}

static void test_slow_loris(void **state)
{
    static const char bytes[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    struct world world = {.canned = bytes, .canned_size = sizeof bytes - 1, .piece = 1, .pause_ns = SECOND};
    (void)state;
    in_world(&world, ask_slowly);
}

/* ---- What is sent ----------------------------------------------------------------------------------------------- */

static int send_all(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    static const struct http_pair fields[] = {{"X-One", "1"}, {"Accept", "text/csv"}};
    struct http_request request = {.url = "http://user:pa%20ss@peer?q=1#f",
                                   .fields = fields,
                                   .field_count = 2,
                                   .body = "abc",
                                   .body_size = 3,
                                   .content_type = "text/plain"};
    struct http_reply reply;
    assert_int_equal(http_request(context, world->client, &request, WEIR_NEVER, &reply), 0);
    http_reply_release(&reply);
    assert_string_equal(world->seen, "POST /?q=1 HTTP/1.1\r\nHost: peer\r\nUser-Agent: weir/" WEIR_VERSION "\r\n"
                                     "Authorization: Basic dXNlcjpwYSBzcw==\r\nContent-Type: text/plain\r\n"
                                     "Content-Length: 3\r\nX-One: 1\r\nAccept: text/csv\r\n\r\nabc");
    request = (struct http_request){.url = "http://peer:80/a", .bearer = "t0ken", .method = "HEAD"};
    assert_int_equal(http_request(context, world->client, &request, WEIR_NEVER, &reply), 0);
    assert_int_equal(reply.body_size, 0);
    http_reply_release(&reply);
    assert_non_null(strstr(world->seen, "HEAD /a HTTP/1.1\r\n"));
    assert_non_null(strstr(world->seen, "Authorization: Bearer t0ken\r\n"));
    assert_null(strstr(world->seen, "Content-Length"));
    return 0;
}

static void test_sent(void **state)
{
    struct world world = {.canned = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", .canned_size = 38};
    (void)state;
    in_world(&world, send_all);
}

static int send_bad(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    static const struct {
        const char *url, *method;
        struct http_pair field;
        const char *bearer;
        enum http_outcome outcome;
    } cases[] = {
        {"ftp://peer/", NULL, {"A", "b"}, NULL, HTTP_BAD_URL},
        {"http://pe er/", NULL, {"A", "b"}, NULL, HTTP_BAD_URL},
        {"http://peer/", "GET /x", {"A", "b"}, NULL, HTTP_BAD_REQUEST},
        {"http://peer/", NULL, {"A", "b\r\nC: d"}, NULL, HTTP_BAD_REQUEST},
        {"http://peer/", NULL, {"A b", "c"}, NULL, HTTP_BAD_REQUEST},
        {"http://peer/", NULL, {"", "c"}, NULL, HTTP_BAD_REQUEST},
        {"http://peer/", NULL, {"Content-Length", "3"}, NULL, HTTP_BAD_REQUEST},
        {"http://peer/", NULL, {"transfer-encoding", "chunked"}, NULL, HTTP_BAD_REQUEST},
        {"http://peer/", NULL, {"A", "b"}, "x\ny", HTTP_BAD_REQUEST},
        {"https://peer/", NULL, {"A", "b"}, NULL, HTTP_UNSUPPORTED},
        {"http://peer:81/", NULL, {"A", "b"}, NULL, HTTP_REFUSED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_request request = {.url = cases[i].url,
                                       .method = cases[i].method,
                                       .fields = &cases[i].field,
                                       .field_count = 1,
                                       .bearer = cases[i].bearer};
        struct http_reply reply;
        int error = http_request(context, world->client, &request, weir_now(context) + SECOND, &reply);
        if (error >= 0 || reply.outcome != cases[i].outcome)
            fail_msg("%zu: %d, %s", i, error, http_outcome_words(reply.outcome));
        http_reply_release(&reply);
    }
    assert_int_equal(world->connections, 0);
    return 0;
}

static void test_bad_requests(void **state)
{
    struct world world = {.canned = "", .canned_size = 0};
    (void)state;
    in_world(&world, send_bad);
}

/* ---- Keep-alive ------------------------------------------------------------------------------------------------- */

static int answer_path(struct weir_context *context, void *owner, struct http_question *question)
{
    (void)owner;
    if (question->path_length == 6 && memcmp(question->path, "/close", 6) == 0)
        question->keep_alive = false;
    if (question->path_length == 5 && memcmp(question->path, "/slow", 5) == 0)
        (void)weir_sleep(context, 100 * MILLISECOND);
    if (question->body_size > 0)
        return http_answer(context, question, 200, "text/plain", question->body, question->body_size);
    return http_answer(context, question, 200, "text/plain", question->path, question->path_length);
}

static int get(struct weir_context *context, struct world *world, const char *url, struct http_reply *reply)
{
    struct http_request request = {.url = url};
    return http_request(context, world->client, &request, weir_now(context) + 10 * SECOND, reply);
}

static int reuse(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct http_reply reply;
    struct http_counters counters;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(get(context, world, i < 9 ? "http://peer/a" : "http://PEER:80/close", &reply), 0);
        assert_int_equal(reply.reused, i > 0);
        http_reply_release(&reply);
    }
    assert_int_equal(get(context, world, "http://peer/a", &reply), 0);
    assert_false(reply.reused);
    http_reply_release(&reply);
    http_client_count(world->client, &counters);
    assert_int_equal(counters.opened, 2);
    assert_int_equal(counters.reused, 9);
    assert_int_equal(counters.connections, 1);
    /* Too old: the server's patience has ended, or ours. */
    assert_int_equal(weir_sleep(context, 61 * SECOND), 0);
    assert_int_equal(get(context, world, "http://peer/a", &reply), 0);
    assert_false(reply.reused);
    http_reply_release(&reply);
    return 0;
}

static void test_reuse(void **state)
{
    struct world world = {.answerer = answer_path};
    (void)state;
    in_world(&world, reuse);
}

/* On the warm path nothing is allocated. */
static int count_allocations(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct http_reply reply;
    for (int i = 0; i < 20; i++) {
        if (i == 10)
            (void)memory_fail_nth(0, false);
        assert_int_equal(get(context, world, "http://peer/a", &reply), 0);
        http_reply_release(&reply);
    }
    /* The simulated network allocates for what is on its way. */
    assert_true(memory_fail_nth(0, false) <= 10 * 4);
    return 0;
}

static void test_allocations(void **state)
{
    struct world world = {.answerer = answer_path};
    (void)state;
    in_world(&world, count_allocations);
}

struct asker {
    struct world *world;
    int error;
    enum http_outcome outcome;
    int64_t took;
};

static int ask_slow(struct weir_context *context, void *argument)
{
    struct asker *asker = argument;
    struct http_reply reply;
    struct http_request request = {.url = "http://peer/slow"};
    int64_t before = weir_now(context);
    asker->error = http_request(context, asker->world->client, &request, before + 450 * MILLISECOND, &reply);
    asker->outcome = reply.outcome;
    asker->took = weir_now(context) - before;
    http_reply_release(&reply);
    return 0;
}

/* Two connections at most: ten requests of 100 ms take turns; those that would come after their deadline say so. */
static int take_turns(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct asker askers[10];
    struct weir_scope scope;
    struct http_counters counters;
    int good = 0, late = 0;
    weir_scope_open(context, &scope);
    for (int i = 0; i < 10; i++) {
        askers[i] = (struct asker){.world = world};
        assert_int_equal(weir_scope_spawn(&scope, "ask", ask_slow, &askers[i]), 0);
    }
    assert_int_equal(weir_scope_join(&scope), 0);
    for (int i = 0; i < 10; i++) {
        good += askers[i].error == 0;
        late += askers[i].outcome == HTTP_BUSY_TIMEOUT || askers[i].outcome == HTTP_HEAD_TIMEOUT;
        assert_true(askers[i].took <= 460 * MILLISECOND);
    }
    assert_int_equal(good, 8);
    assert_int_equal(late, 2);
    http_client_count(world->client, &counters);
    assert_true(counters.connections_most <= 2);
    return 0;
}

static void test_turns(void **state)
{
    struct world world = {.answerer = answer_path, .options = {.connections_most = 2}};
    (void)state;
    in_world(&world, take_turns);
}

/* ---- Many at a time --------------------------------------------------------------------------------------------- */

enum { CROWD = 1000 };

static int answer_later(struct weir_context *context, void *owner, struct http_question *question)
{
    (void)owner;
    (void)weir_sleep(context, 100 * MILLISECOND);
    return http_answer(context, question, 200, "text/plain", question->path, question->path_length);
}

struct member {
    struct world *world;
    uint32_t number;
};

static int ask_own(struct weir_context *context, void *argument)
{
    struct member *member = argument;
    char url[64], path[32];
    struct http_reply reply;
    snprintf(url, sizeof url, "http://peer/%u", member->number);
    snprintf(path, sizeof path, "/%u", member->number);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(get(context, member->world, url, &reply), 0);
        assert_string_equal(reply.body, path);
        http_reply_release(&reply);
    }
    return 0;
}

/* All of them read through the same scratch, on either side: each gets its own reply. */
static int ask_together(struct weir_context *context, void *argument)
{
    struct member *members = memory_zeroed(CROWD, sizeof *members);
    struct weir_scope scope;
    assert_non_null(members);
    weir_scope_open(context, &scope);
    for (uint32_t i = 0; i < CROWD; i++) {
        members[i] = (struct member){argument, i};
        assert_int_equal(weir_scope_spawn(&scope, "member", ask_own, &members[i]), 0);
    }
    assert_int_equal(weir_scope_join(&scope), 0);
    memory_free(members);
    return 0;
}

static void test_together(void **state)
{
    struct world world = {.answerer = answer_later, .options = {.connections_most = CROWD}};
    (void)state;
    in_world(&world, ask_together);
}

/* ---- Stale connections ------------------------------------------------------------------------------------------ */

/* The canned server takes one request for each connection, says keep-alive, and closes. */
static int ask_stale(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct http_reply reply;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(get(context, world, "http://peer/a", &reply), 0);
        http_reply_release(&reply);
        if (i % 2)
            assert_int_equal(weir_sleep(context, SECOND), 0);
    }
    assert_int_equal(world->connections, 5);
    return 0;
}

static void test_stale(void **state)
{
    struct world world = {.canned = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", .canned_size = 38};
    (void)state;
    in_world(&world, ask_stale);
}

/* ---- Redirects -------------------------------------------------------------------------------------------------- */

static int answer_redirect(struct weir_context *context, void *owner, struct http_question *question)
{
    struct world *world = owner;
    char text[256], number[16] = "0";
    int at = 0, length;
    const struct http_field *authorization = http_head_find(question->head, question->bytes, "authorization");
    world->connections += authorization != NULL;
    if (http_question_is(question, "GET", "/end"))
        return http_answer(context, question, 200, "text/plain", "end", 3);
    if (http_question_is(question, "POST", "/post"))
        length = snprintf(text, sizeof text, "HTTP/1.1 303 See Other\r\nLocation: end\r\nContent-Length: 0\r\n\r\n");
    else if (question->path_length == 5 && memcmp(question->path, "/keep", 5) == 0)
        length = snprintf(text, sizeof text, "HTTP/1.1 307 Again\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n");
    else if (question->path_length == 5 && memcmp(question->path, "/echo", 5) == 0)
        return http_answer(context, question, 200, "text/plain", question->body, question->body_size);
    else if (http_question_is(question, "GET", "/loop"))
        length = snprintf(text, sizeof text, "HTTP/1.1 302 Found\r\nLocation: /pool\r\nContent-Length: 0\r\n\r\n");
    else if (http_question_is(question, "GET", "/pool"))
        length = snprintf(text, sizeof text, "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n");
    else if (http_question_is(question, "GET", "/other"))
        length = snprintf(text, sizeof text,
                          "HTTP/1.1 302 Found\r\nLocation: http://other.peer/end\r\nContent-Length: 0\r\n\r\n");
    else if (http_question_is(question, "GET", "/bad"))
        length = snprintf(text, sizeof text,
                          "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n");
    else {
        (void)http_question_parameter(question, "n", number, sizeof number);
        (void)sscanf(number, "%d", &at);
        length = snprintf(text, sizeof text, "HTTP/1.1 301 Moved\r\nLocation: /more?n=%d\r\nContent-Length: 0\r\n\r\n",
                          at + 1);
    }
    return http_answer_raw(context, question, text, (size_t)length, true);
}

static int follow(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct http_reply reply;
    struct http_request request = {.url = "http://u:p@peer/post", .body = "abc", .body_size = 3};
    assert_int_equal(http_request(context, world->client, &request, WEIR_NEVER, &reply), 0);
    assert_string_equal(reply.body, "end");
    assert_int_equal(reply.redirects, 1);
    http_reply_release(&reply);
    request = (struct http_request){.url = "http://peer/keep", .body = "abc", .body_size = 3};
    assert_int_equal(http_request(context, world->client, &request, WEIR_NEVER, &reply), 0);
    assert_string_equal(reply.body, "abc");
    http_reply_release(&reply);
    assert_int_equal(get(context, world, "http://peer/loop", &reply), -ELOOP);
    assert_int_equal(reply.outcome, HTTP_REDIRECT_LOOP);
    http_reply_release(&reply);
    assert_int_equal(get(context, world, "http://peer/more", &reply), -ELOOP);
    assert_int_equal(reply.outcome, HTTP_REDIRECT_MANY);
    assert_int_equal(reply.redirects, 5);
    http_reply_release(&reply);
    assert_int_equal(get(context, world, "http://peer/bad", &reply), -EPROTO);
    assert_int_equal(reply.outcome, HTTP_REDIRECT_BAD);
    http_reply_release(&reply);
    request = (struct http_request){.url = "http://peer/more", .redirects_most = HTTP_NO_REDIRECTS, .any_status = true};
    assert_int_equal(http_request(context, world->client, &request, WEIR_NEVER, &reply), 0);
    assert_int_equal(reply.status, 301);
    http_reply_release(&reply);
    return 0;
}

static void test_redirects(void **state)
{
    struct world world = {.answerer = answer_redirect};
    (void)state;
    in_world(&world, follow);
}

/* Credentials go to the host that was asked, and not to where it points. */
static int serve_other(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct weir_listener *listener;
    struct weir_stream *stream;
    assert_int_equal(weir_stream_listen(context, "other.peer", 80, &listener), 0);
    int error = weir_stream_accept(context, listener, WEIR_NEVER, &stream);
    if (error == 0) {
        int64_t got = weir_stream_read(context, stream, world->seen, sizeof world->seen - 1, WEIR_NEVER);
        world->seen[got > 0 ? got : 0] = 0;
        error = weir_stream_write(context, stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38, WEIR_NEVER);
        weir_stream_close(stream, false);
    }
    weir_listener_close(listener);
    return error;
}

static int follow_elsewhere(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    static const struct http_pair fields[] = {{"Cookie", "secret=1"}, {"X-Plain", "1"}};
    struct weir_scope scope;
    struct http_reply reply;
    struct http_request request = {
        .url = "http://peer/other", .user = "u", .password = "p", .fields = fields, .field_count = 2};
    weir_scope_open(context, &scope);
    assert_int_equal(weir_scope_spawn(&scope, "other", serve_other, world), 0);
    (void)weir_yield(context);
    assert_int_equal(http_request(context, world->client, &request, WEIR_NEVER, &reply), 0);
    http_reply_release(&reply);
    weir_scope_close(&scope);
    assert_int_equal(world->connections, 1); /* the first host got them */
    assert_non_null(strstr(world->seen, "Host: other.peer\r\n"));
    assert_non_null(strstr(world->seen, "X-Plain: 1\r\n"));
    assert_null(strstr(world->seen, "Authorization"));
    assert_null(strstr(world->seen, "Cookie"));
    return 0;
}

static void test_redirect_credentials(void **state)
{
    struct world world = {.answerer = answer_redirect};
    (void)state;
    in_world(&world, follow_elsewhere);
}

/* ---- Large bodies, both ways ------------------------------------------------------------------------------------ */

static int send_large(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    size_t size = 3 << 20;
    char *body = memory_allocate(size);
    struct http_reply reply;
    assert_non_null(body);
    for (size_t i = 0; i < size; i++)
        body[i] = (char)(i * 31 >> 8);
    struct http_request request = {.url = "http://peer/x", .body = body, .body_size = size};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(http_request(context, world->client, &request, WEIR_NEVER, &reply), 0);
        assert_int_equal(reply.body_size, size);
        assert_memory_equal(reply.body, body, size);
        http_reply_release(&reply);
    }
    request.body_most = 1 << 20;
    assert_int_equal(http_request(context, world->client, &request, WEIR_NEVER, &reply), -EMSGSIZE);
    assert_int_equal(reply.outcome, HTTP_TOO_LARGE);
    http_reply_release(&reply);
    memory_free(body);
    return 0;
}

static void test_large(void **state)
{
    struct world world = {.answerer = answer_path};
    (void)state;
    in_world(&world, send_large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canned),
        cmocka_unit_test(test_slow_loris),
        cmocka_unit_test(test_sent),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_allocations),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_together),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_redirect_credentials),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
