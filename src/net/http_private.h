/* SPDX-License-Identifier: MIT */
/* What the files of the HTTP client share. */
#ifndef NET_HTTP_PRIVATE_H
#define NET_HTTP_PRIVATE_H

#include <weir/task.h>
#include "base/buffer.h"
#include "net/http.h"
#include "net/http_url.h"

enum {
    HTTP_SCRATCH = 64 * 1024,  /* of a client: what one read takes at most */
    HTTP_TOGETHER = 32 * 1024, /* a body up to this size goes into the same write as its head */
    HTTP_ENDPOINT_SLOTS = 64,  /* of the table, at first */
};

/* A reply that is being read, or used: its bytes as they came, heads first. Content moves to the front of the body. */
struct http_exchange {
    struct http_exchange *next;
    struct weir_buffer bytes;
    struct http_head head;
};

struct http_connection {
    struct weir_stream *stream;
    struct http_endpoint *endpoint;
    struct http_connection *above, *below; /* in the endpoint's stack of idle ones */
    struct http_connection *older, *newer; /* among all idle ones */
    int64_t idle_since;
    bool reused;
};

struct http_endpoint {
    struct http_endpoint *next; /* of its slot */
    uint64_t hash;
    struct http_connection *idle; /* the last used is on top */
    uint32_t live, waiting;       /* connections, also those that are being opened; tasks that wait for one */
    struct weir_event freed;
    uint16_t port;
    char host[]; /* in small letters */
};

struct http_session; /* of http_curl.c */

struct http_client {
    struct http_client_options options; /* texts are copies */
    struct http_endpoint **slots;
    uint32_t slot_count, endpoint_count;
    struct http_connection *oldest, *newest; /* idle */
    struct http_exchange *exchanges;
    uint32_t exchange_count;
    struct http_session *sessions; /* idle, the last used first */
    uint32_t session_count;
    struct http_counters counters;
    char scratch[HTTP_SCRATCH];
};

/* One request on its way through attempts and redirects. */
struct http_call {
    struct weir_context *context;
    struct http_client *client;
    const struct http_request *request;
    struct http_reply *reply;
    int64_t deadline;
    struct http_url url;
    const char *url_text;
    const char *method;
    const void *body;
    size_t body_size;
    bool packed, same_host; /* the body is compressed; credentials may be sent */
    bool began;             /* a byte of the reply has come */
};

/* http_pool.c: connections and buffers. */
/* A connection to the call's host: a kept one unless `fresh`. Sets the outcome when it fails. */
int http_pool_take(struct http_call *call, bool fresh, struct http_connection **ret);
/* Gives it back: kept for the next, or closed (reset: at once). */
void http_pool_give(struct http_client *client, struct http_connection *connection, bool keep, bool reset, int64_t now);
void http_pool_close_all(struct http_client *client);
struct http_exchange *http_exchange_take(struct http_client *client);
void http_exchange_give(struct http_client *client, struct http_exchange *exchange);

/* http_message.c: the bytes of a request. */
/* Appends head, and the body when it is small, to `out`. 0, -EINVAL (HTTP_BAD_REQUEST) or -ENOMEM. */
int http_message_write(struct http_call *call, struct weir_buffer *out);
bool http_message_valid(const struct http_request *request);

/* Sets outcome and error of the reply; returns error. */
int http_fail(struct http_reply *reply, enum http_outcome outcome, int error);

int http_fail_fault(struct http_reply *reply, enum http_fault fault);
/* -EPROTO (HTTP_ENCODED) when the reply is compressed and that was not asked for. */
int http_check_coding(struct http_call *call);

/* http_gzip.c. Appends the compressed body; 0, -ENOTSUP or -ENOMEM. */
int http_gzip(const void *body, size_t size, struct weir_buffer *out);

/* http_curl.c, or http_curl_absent.c: one request, without redirects. */
int http_curl_perform(struct http_call *call);
void http_curl_close_all(struct http_client *client);

#endif
