/* SPDX-License-Identifier: MIT */
/*
 * Our reading of what servers send, beside libcurl's: each answer of a corpus is served as raw bytes to both. What ours
 * takes, libcurl must take too, with the same status and body. What ours refuses and libcurl takes is listed as such,
 * with the reason: ours is stricter, where two readers could disagree about where an answer ends, or what it says.
 */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "async/test_loop.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "net/http.h"

enum expectation { BOTH_TAKE, BOTH_REFUSE, STRICTER };

#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"
#define LENGTH(n) OK "Content-Length: " #n "\r\n\r\n"
static const struct answer {
    const char *bytes;
    enum expectation expected;
    const char *why; /* STRICTER */
    size_t size;     /* 0: up to its zero */
} answers[] = {
    /* Good ones. */
    {LENGTH(5) "hello", BOTH_TAKE},
    {LENGTH(0), BOTH_TAKE},
    {LENGTH(5) "hello, and more than was announced", BOTH_TAKE},
    {OK "\r\nuntil the end", BOTH_TAKE},
    {OK "Connection: close\r\n\r\n", BOTH_TAKE},
    {"HTTP/1.0 200 OK\r\n\r\nold", BOTH_TAKE},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nold", BOTH_TAKE},
    {"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", BOTH_TAKE},
    {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", BOTH_TAKE},
    {"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy", BOTH_TAKE},
    {"HTTP/1.1 204 No Content\r\n\r\n", BOTH_TAKE},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", BOTH_TAKE},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", BOTH_TAKE},
    {"HTTP/1.1 100 Continue\r\n\r\n" LENGTH(2) "ok", BOTH_TAKE},
    {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" LENGTH(2) "ok", BOTH_TAKE},
    {OK "content-LENGTH:   3  \r\nX-Empty:\r\n\r\nabc", BOTH_TAKE},
    {OK "Content-Type: text/plain; charset=\"utf-8\"\r\nContent-Length: 3\r\n\r\nabc", BOTH_TAKE},
    {CHUNKED "5\r\nhello\r\n0\r\n\r\n", BOTH_TAKE},
    {CHUNKED "1\r\na\r\n2\r\nbc\r\n00\r\n\r\n", BOTH_TAKE},
    {CHUNKED "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", BOTH_TAKE},
    {CHUNKED "3;name=value\r\nabc\r\n0;last\r\n\r\n", BOTH_TAKE},
    {CHUNKED "3\r\nabc\r\n0\r\nTrailer: yes\r\n\r\n", BOTH_TAKE},
    {OK "Transfer-Encoding: Chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n", BOTH_TAKE},
    {LENGTH(4) "a\0b\n", BOTH_TAKE, NULL, sizeof LENGTH(4) - 1 + 4},
    /* Cut, or wrong about themselves. */
    {"", BOTH_REFUSE},
    {"HTTP/1.1 200 OK\r\nContent-Le", STRICTER, "a head that is cut"},
    {LENGTH(10) "short", BOTH_REFUSE},
    {CHUNKED "5\r\nhel", BOTH_REFUSE},
    {CHUNKED "5\r\nhello\r\n", BOTH_REFUSE},
    {CHUNKED, BOTH_REFUSE},
    {CHUNKED "xyz\r\nhello\r\n0\r\n\r\n", BOTH_REFUSE},
    {CHUNKED "fffffffffffffffffff\r\nhello\r\n0\r\n\r\n", BOTH_REFUSE},
    {CHUNKED "5\r\nhello, too much\r\n0\r\n\r\n", BOTH_REFUSE},
    {OK "Content-Length: -5\r\n\r\nhello", BOTH_REFUSE},
    {OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", STRICTER, "two lengths that differ"},
    {"<html>no head at all</html>", BOTH_REFUSE},
    {"SSH-2.0-OpenSSH_9.2\r\n", BOTH_REFUSE},
    {"HTTP/3.7 200 OK\r\nContent-Length: 2\r\n\r\nok", BOTH_REFUSE},
    {"HTTP/1.1 two OK\r\nContent-Length: 2\r\n\r\nok", BOTH_REFUSE},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", BOTH_REFUSE},
    /* What libcurl takes, and ours does not. */
    {"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", STRICTER, "lines that end with LF alone"},
    {OK "Content-Length : 2\r\n\r\nok", STRICTER, "a blank before the colon"},
    {OK "X-A: b\r\n folded\r\nContent-Length: 2\r\n\r\nok", STRICTER, "a folded line"},
    {OK "no colon at all\r\nContent-Length: 2\r\n\r\nok", BOTH_REFUSE},
    {OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", STRICTER, "both framings"},
    {OK "Content-Length: +2\r\n\r\nok", STRICTER, "a signed length"},
    {OK "Content-Length: 2 2\r\n\r\nok", STRICTER, "two lengths in one"},
    {"HTTP/1.1 200OK\r\nContent-Length: 2\r\n\r\nok", STRICTER, "no blank behind the status"},
    {CHUNKED "2\nok\n0\n\n", STRICTER, "chunk lines that end with LF alone"},
    {CHUNKED "2 \r\nok\r\n0\r\n\r\n", BOTH_TAKE},
};
enum { ANSWERS = sizeof answers / sizeof *answers };

static size_t size_of(const struct answer *answer)
{
    return answer->size ? answer->size : strlen(answer->bytes);
}

/* ---- The server
 * ------------------------------------------------------------------------------------------------------ */

struct server {
    int listener;
    uint16_t port;
    pthread_t thread;
};

/* GET /N: the Nth answer, then the end. */
static void *serve(void *argument)
{
    struct server *server = argument;
    int fd;
    while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
        char request[4096] = "";
        size_t have = 0;
        ssize_t got;
        while (!strstr(request, "\r\n\r\n") && (got = read(fd, request + have, sizeof request - 1 - have)) > 0)
            request[have += (size_t)got] = 0;
        unsigned long number = have > 5 ? strtoul(request + 5, NULL, 10) : ANSWERS;
        if (number < ANSWERS)
            (void)!send(fd, answers[number].bytes, size_of(&answers[number]), MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        while (read(fd, request, sizeof request) > 0) /* until the client has closed: no reset takes bytes away */
            continue;
        close(fd);
    }
    return NULL;
}

static void start_server(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->listener >= 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listener, 64), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void stop_server(struct server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
}

/* ---- The two readers
 * --------------------------------------------------------------------------------------------------- */

struct reading {
    bool taken;
    long status;
    struct weir_buffer body;
    char words[CURL_ERROR_SIZE];
};

static size_t keep(char *data, size_t size, size_t count, void *owner)
{
    buffer_append(owner, data, size * count);
    return size * count;
}

static void read_with_curl(uint16_t port, int number, struct reading *reading)
{
    char url[64];
    CURL *easy = curl_easy_init();
    assert_non_null(easy);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/%d", port, number);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, reading->words);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &reading->body);
    reading->taken = curl_easy_perform(easy) == CURLE_OK;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &reading->status);
    curl_easy_cleanup(easy);
}

struct ours {
    uint16_t port;
    struct reading *readings;
};

static int read_with_ours(struct weir_context *context, void *argument)
{
    const struct ours *ours = argument;
    struct http_client *client;
    assert_int_equal(http_client_new(NULL, &client), 0);
    for (int i = 0; i < ANSWERS; i++) {
        char url[64];
        struct http_reply reply;
        struct reading *reading = &ours->readings[i];
        const struct http_request request = {.url = url, .any_status = true, .redirects_most = HTTP_NO_REDIRECTS};
        snprintf(url, sizeof url, "http://127.0.0.1:%u/%d", ours->port, i);
        reading->taken = http_request(context, client, &request, weir_now(context) + 30 * CLOCK_SECOND, &reply) == 0;
        reading->status = reply.status;
        http_explain(&request, &reply, reading->words, sizeof reading->words);
        if (reading->taken)
            buffer_append(&reading->body, reply.body, reply.body_size);
        http_reply_release(&reply);
    }
    http_client_free(client);
    return 0;
}

static void run_ours(struct ours *ours)
{
    assert_int_equal(test_loop_run(NULL, read_with_ours, ours), 0);
}

/* True when both did what is expected of them. */
static bool compare(int number, const struct reading *ours, const struct reading *curl)
{
    const struct answer *answer = &answers[number];
    bool ours_takes = answer->expected == BOTH_TAKE, curl_takes = answer->expected != BOTH_REFUSE;
    bool same = ours->status == curl->status && ours->body.size == curl->body.size &&
                (!ours->body.size || memcmp(ours->body.data, curl->body.data, ours->body.size) == 0);
    if (ours->taken == ours_takes && curl->taken == curl_takes && (same || !ours->taken))
        return true;
    print_error("answer %d, %s: ours %s it (%ld, %zu bytes; %s), libcurl %s it (%ld, %zu bytes; %s): \"%.100s\"\n",
                number, answer->why ? answer->why : "", ours->taken ? "takes" : "refuses", ours->status,
                ours->body.size, ours->words, curl->taken ? "takes" : "refuses", curl->status, curl->body.size,
                curl->words, answer->bytes);
    return false;
}

static void test_both_read_the_same(void **state)
{
    (void)state;
    static struct reading ours[ANSWERS], curl[ANSWERS];
    struct server server;
    start_server(&server);
    struct ours argument = {server.port, ours};
    run_ours(&argument);
    for (int i = 0; i < ANSWERS; i++)
        read_with_curl(server.port, i, &curl[i]);
    stop_server(&server);
    int different = 0;
    for (int i = 0; i < ANSWERS; i++) {
        different += !compare(i, &ours[i], &curl[i]);
        buffer_free(&ours[i].body);
        buffer_free(&curl[i].body);
    }
    assert_int_equal(different, 0);
    print_message("%d answers, read alike\n", ANSWERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_both_read_the_same)};
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
