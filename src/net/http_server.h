/* SPDX-License-Identifier: MIT */
/*
 * A small HTTP/1.1 server over tasks, for peers that weir simulates: keep-alive, requests with a length or chunked, a
 * task for each connection. The same code serves real sockets and the simulated network.
 *
 *     static int answer(struct weir_context *context, void *owner, struct http_question *question)
 *     {
 *         weir_sleep(context, 100 * CLOCK_MILLISECOND);
 *         return http_answer(context, question, 200, "text/plain", "hello\n", 6);
 *     }
 *
 * A connection that waits holds no buffer: bytes come through one scratch buffer of the server.
 */
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H

#include <weir/task.h>
#include "net/http_parse.h"

enum {
    HTTP_SERVER_CONNECTIONS_MOST = 65536, /* default */
    HTTP_SERVER_BUFFERS_KEPT_MOST = 64,
    HTTP_SERVER_BODY_MOST = 16 * 1024 * 1024,
};

struct http_server;
struct http_slot; /* private: the bytes of a request */

/* A request that has come whole. Texts lie in its bytes, until http_question_forget or the answer's end. */
struct http_question {
    const char *method;
    size_t method_length;
    const char *path; /* without the query */
    size_t path_length;
    const char *query; /* behind '?'; length 0: none */
    size_t query_length;
    const char *body;
    size_t body_size;
    const struct http_head *head;
    const char *bytes;          /* of the head */
    struct weir_stream *stream; /* the connection, for answers that are none */
    int64_t arrived_ns;
    /* private */
    struct http_server *server;
    struct http_slot *slot;
    size_t size; /* of the whole request */
    bool keep_alive, no_body, answered, reset;
};

/* Answers one request, in the task of its connection; may wait. Negative: the connection is closed at once. When it
 * returns 0 without an answer, 500 is sent. */
typedef int http_answerer(struct weir_context *context, void *owner, struct http_question *question);

struct http_server_options {
    http_answerer *answer;
    void *owner;
    uint32_t connections_most; /* more are closed at once; 0: HTTP_SERVER_CONNECTIONS_MOST */
    uint64_t body_most;        /* 0: HTTP_SERVER_BODY_MOST */
    int64_t idle_ns;           /* a connection without a request is closed after it; 0: 5 min */
};
int http_server_new(const struct http_server_options *options, struct http_server **ret);
void http_server_free(struct http_server *server); /* nothing serves; NULL is allowed */

/* From now on: peers that are not of 127.0.0.0/8 or ::1 are turned away. */
void http_server_loopback_only(struct http_server *server, bool on);
/* Accepts and serves until the task is cancelled; then every connection is closed. Several may run on one server. */
int http_server_run(struct weir_context *context, struct http_server *server, struct weir_listener *listener);

/* Sends the answer: 0, or the error of the connection, which the answerer returns. */
int http_answer(struct weir_context *context, struct http_question *question, int status, const char *content_type,
                const void *body, size_t size);
/* Bytes as they are, whether they are HTTP or not; the connection ends after them unless `keep`. */
int http_answer_raw(struct weir_context *context, struct http_question *question, const void *bytes, size_t size,
                    bool keep);
/* Ends the connection without an answer; `reset`: the peer sees a reset. Returns what the answerer returns. */
int http_hang_up(struct http_question *question, bool reset);
/* Before an answerer waits: nothing of the request is looked at any more, and its buffer can serve others. */
void http_question_forget(struct http_question *question);

bool http_question_is(const struct http_question *question, const char *method, const char *path);
/* The value of a parameter of the query, percent-decoded into out; false: not there, or too long. */
bool http_question_parameter(const struct http_question *question, const char *name, char *out, size_t size);

struct http_server_counters {
    uint64_t accepted, turned_away, requests, malformed, bytes_received, bytes_sent;
    uint32_t connections, connections_most;
};
void http_server_count(const struct http_server *server, struct http_server_counters *ret);

#endif
