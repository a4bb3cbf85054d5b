/* SPDX-License-Identifier: MIT */
/*
 * An HTTP client for tasks: straight code that waits without holding its thread, for as many requests at a time as
 * there are tasks.
 *
 *     struct http_reply reply;
 *     struct http_request request = {.url = "http://127.0.0.1:9700/sensor/17"};
 *     int error = http_request(context, client, &request, weir_now(context) + 500 * CLOCK_MILLISECOND, &reply);
 *     if (error < 0)
 *         http_explain(&request, &reply, words, sizeof words);   // "GET http://127.0.0.1:9700/sensor/17: refused: …"
 *     else
 *         use(reply.body, reply.body_size);
 *     http_reply_release(&reply);                                 // on every path
 *
 * Connections are kept alive and used again, last in first out, at most connections_most to one endpoint (host and
 * port); a request beyond them waits for its turn, within its deadline. A kept connection that the peer has closed
 * meanwhile costs one retry at once, when that is safe: nothing of a reply had come, and the method may be repeated. On
 * the warm path nothing is allocated: one write, and usually one read. https, and proxies, go through libcurl
 * (http_curl.c) behind the same calls.
 *
 * One client belongs to one loop: all calls are for its tasks.
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <weir/context.h>
#include "net/http_parse.h"

enum {
    HTTP_CONNECTIONS_MOST = 16,       /* default, to one endpoint */
    HTTP_IDLE_MOST = 1024,            /* default: connections kept alive without work, to all endpoints */
    HTTP_REDIRECTS_MOST = 5,          /* default */
    HTTP_INTERIM_MOST = 8,            /* 1xx replies before the real one */
    HTTP_REQUEST_FIELDS_MOST = 64,    /* headers of a request that the caller adds */
    HTTP_BUFFERS_KEPT_MOST = 64,      /* buffers that wait for the next reply */
    HTTP_BUFFER_KEPT_SIZE = 64 * 1024 /* a larger one is given back at once */
};

/* What became of a request, beyond the error. */
enum http_outcome {
    HTTP_DONE,
    HTTP_BAD_URL,
    HTTP_BAD_REQUEST, /* a header or method that cannot be sent */
    HTTP_NO_SUCH_NAME,
    HTTP_REFUSED,
    HTTP_UNREACHABLE,
    HTTP_CONNECT_FAILED,
    HTTP_BUSY_TIMEOUT, /* no connection of the endpoint came free */
    HTTP_CONNECT_TIMEOUT,
    HTTP_SEND_TIMEOUT,
    HTTP_HEAD_TIMEOUT,
    HTTP_BODY_TIMEOUT,
    HTTP_RESET,      /* the connection broke */
    HTTP_NO_REPLY,   /* it ended before a byte of the reply */
    HTTP_MALFORMED,  /* `fault` says how */
    HTTP_TOO_LARGE,  /* head or body over its limit: `fault` */
    HTTP_ENCODED,    /* compressed, which was not asked for */
    HTTP_UPGRADED,   /* 101, which was not asked for */
    HTTP_BAD_STATUS, /* not 2xx; the reply is there */
    HTTP_REDIRECT_BAD,
    HTTP_REDIRECT_LOOP,
    HTTP_REDIRECT_MANY,
    HTTP_CERTIFICATE, /* `detail` has the reason */
    HTTP_TLS,
    HTTP_PROXY,
    HTTP_UNSUPPORTED, /* https or a proxy in a build without libcurl, or on the simulated network */
    HTTP_CANCELLED,
    HTTP_NO_MEMORY,
    HTTP_OUTCOMES
};
/* One lower-case word for counters and labels: "refused", "head_timeout"; static. */
const char *http_outcome_name(enum http_outcome outcome);
/* "nobody listens there"; static. */
const char *http_outcome_words(enum http_outcome outcome);

/* Can https and proxies be spoken? */
bool http_has_https(void);

struct http_client;

struct http_client_options {
    uint32_t connections_most; /* to one endpoint; 0: HTTP_CONNECTIONS_MOST */
    uint32_t idle_most;        /* 0: HTTP_IDLE_MOST, or connections_most where that is more */
    int64_t idle_ns;           /* a connection without work for longer is not used again; 0: 60 s */
    const char *user_agent;    /* NULL: "weir/VERSION" */
    const char *local;         /* address to connect from; NULL: any */
    /* For libcurl. */
    const char *ca_file; /* whom to trust; NULL: the system's */
    const char *proxy;   /* "http://host:port"; NULL: none */
    bool insecure;       /* take any certificate */
};
/* Copies what it keeps. 0 or -ENOMEM. */
int http_client_new(const struct http_client_options *options, struct http_client **ret);
/* No request is under way and every reply was released. NULL is allowed. */
void http_client_free(struct http_client *client);

struct http_pair {
    const char *name, *value;
};

/* Zero or NULL is the default throughout. All texts stay the caller's, who keeps them until the reply is released. */
struct http_request {
    const char *method; /* NULL: GET, or POST when there is a body */
    const char *url;
    const struct http_pair *fields;
    uint32_t field_count;
    const void *body;
    size_t body_size;
    const char *content_type;    /* of the body */
    bool gzip;                   /* sends the body compressed when that makes it smaller */
    const char *user, *password; /* basic; else those of the URL */
    const char *bearer;          /* or a token */
    uint64_t body_most;          /* of the reply; 0: HTTP_BODY_MOST */
    uint32_t head_most;          /* 0: HTTP_HEAD_MOST */
    uint32_t redirects_most;     /* 0: HTTP_REDIRECTS_MOST; HTTP_NO_REDIRECTS: 3xx is the reply */
    bool same_method;            /* redirects that would make a GET of a POST (301, 302, 303) are the reply */
    bool any_status;             /* false: a status other than 2xx is -EPROTO, HTTP_BAD_STATUS */
    bool repeatable;             /* may be sent twice although its method is not GET, HEAD, PUT, DELETE or OPTIONS */
};
#define HTTP_NO_REDIRECTS UINT32_MAX

struct http_exchange; /* private: the buffer that a reply is in */

struct http_reply {
    int status; /* 0: none came */
    enum http_outcome outcome;
    enum http_fault fault; /* of HTTP_MALFORMED and HTTP_TOO_LARGE */
    int error;             /* what http_request returned */
    uint32_t redirects;    /* followed */
    bool reused;           /* the connection was a kept one */
    int64_t first_byte_ns; /* weir_now when the first byte came */
    char *body;            /* with a zero behind it; until the release; may be written to */
    size_t body_size;
    const struct http_head *head; /* of the last reply; NULL: none */
    const char *head_bytes;
    char detail[160]; /* more words where there are any; no secrets */
    struct http_exchange *exchange;
    struct http_client *client;
};

/* Sends it and reads the reply to its end, redirects included, all before deadline_ns. Returns 0, or a negative errno
 * (-ETIMEDOUT, -ECANCELED, -ECONNREFUSED, -EPROTO, -EBADMSG, -EMSGSIZE, -EINVAL, …) with `outcome` set: *reply is
 * filled in either way, and released by the caller. */
int http_request(struct weir_context *context, struct http_client *client, const struct http_request *request,
                 int64_t deadline_ns, struct http_reply *reply);
/* Gives back its buffer; twice, or zeroed, is allowed. */
void http_reply_release(struct http_reply *reply);
/* The value of a header of the reply, or NULL; not terminated. */
const char *http_reply_field(const struct http_reply *reply, const char *name, size_t *ret_length);
/* What went wrong in one line for people, without secrets; returns out. */
char *http_explain(const struct http_request *request, const struct http_reply *reply, char *out, size_t size);

struct http_counters {
    uint64_t requests, failures, opened, reused, retried, redirected;
    uint64_t bytes_sent, bytes_received;
    uint32_t connections, connections_most, idle;
};
void http_client_count(const struct http_client *client, struct http_counters *ret);

#endif
