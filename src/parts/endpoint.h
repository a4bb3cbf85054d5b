/* SPDX-License-Identifier: MIT */
/*
 * A server that a part asks over HTTP, and what is known of how it fares: credentials, one deadline for an answer with
 * all its retries, a budget for those, and a circuit breaker. While the circuit is open nobody asks. Who would waits
 * for it, as long as the server has not been down for longer than the timeout: a restart costs time and no answers.
 * After that all but the probes fail at once, so that a dead server holds nobody up; only a `patient` question goes on
 * waiting within its deadline.
 *
 * For the tasks of one loop; endpoint_report comes from another thread.
 */
#ifndef PARTS_ENDPOINT_H
#define PARTS_ENDPOINT_H
#include <pthread.h>

#include <weir/part.h>
#include <weir/task.h>

#include "async/breaker.h"
#include "async/limiter.h"
#include "async/retry.h"
#include "net/http.h"

enum { ENDPOINT_FIELDS_MOST = 32, ENDPOINT_WORDS = 512, ENDPOINT_REASON = 192 };

/* How to connect and who asks: options of every part that speaks HTTP. */
struct endpoint_access {
    struct weir_list headers;
    const char *user, *password, *token;
    const char *ca, *proxy;
    bool insecure;
};
/* clang-format off */
#define ENDPOINT_ACCESS_OPTIONS(type, member)                                                                          \
    {"headers", WEIR_OPTION_MAP, offsetof(type, member.headers), NULL, 0, 0, NULL, 0,                                  \
     "name: value for each header to send"},                                                                           \
    {"user", WEIR_OPTION_STRING, offsetof(type, member.user), NULL, 0, 0, NULL, 0, "basic authentication"},            \
    {"password", WEIR_OPTION_STRING, offsetof(type, member.password), NULL, 0, 0, NULL, 0,                             \
     "basic authentication; ${VARIABLE} keeps it out of the file"},                                                    \
    {"token", WEIR_OPTION_STRING, offsetof(type, member.token), NULL, 0, 0, NULL, 0, "bearer authentication"},         \
    {"ca", WEIR_OPTION_STRING, offsetof(type, member.ca), NULL, 0, 0, NULL, 0,                                         \
     "https: file with the certificates to trust, instead of the system's"},                                           \
    {"insecure", WEIR_OPTION_BOOL, offsetof(type, member.insecure), NULL, 0, 0, NULL, 0,                               \
     "https: take any certificate; whoever is in between can read and change everything"},                             \
    {"proxy", WEIR_OPTION_STRING, offsetof(type, member.proxy), NULL, 0, 0, NULL, 0,                                   \
     "ask through this proxy: http://host:port"}

/* How to ask; fallbacks are the part's. */
#define ENDPOINT_OPTIONS(type, member, timeout_fallback, retries_fallback)                                             \
    ENDPOINT_ACCESS_OPTIONS(type, member.access),                                                                      \
    {"timeout", WEIR_OPTION_DURATION, offsetof(type, member.timeout), timeout_fallback, 1, 1e18, NULL, 0,              \
     "for an answer, with all its retries"},                                                                           \
    {"retries", WEIR_OPTION_INTEGER, offsetof(type, member.retries), retries_fallback, 0, 100, NULL, 0,                \
     "how often a call that failed is tried again within its timeout, as far as the budget for retries goes: "         \
     "a fifth of all calls, and ten"},                                                                                 \
    {"breaker", WEIR_OPTION_INTEGER, offsetof(type, member.failures), "10", 0, 1e6, NULL, 0,                           \
     "after so many failures in a row the server is left alone for a while, then asked once to see; 0: never"},        \
    {"breaker_pause", WEIR_OPTION_DURATION, offsetof(type, member.pause), "1s", 1, 1e18, NULL, 0,                      \
     "for how long; doubles each time that it is still down, up to 30s"},                                              \
    {"body_max", WEIR_OPTION_SIZE, offsetof(type, member.body_most), "1MiB", 64, 256 << 20, NULL, 0,                   \
     "largest answer; a larger one is refused"}
/* clang-format on */

struct endpoint_options {
    struct endpoint_access access;
    int64_t timeout, retries, failures, pause, body_most;
};

struct endpoint {
    const struct endpoint_options *options;
    struct weir_env *env;
    struct http_client *client;
    struct http_pair pairs[ENDPOINT_FIELDS_MOST + 1];
    uint32_t pair_count;
    struct retry_budget budget;
    struct breaker breaker;
    struct weir_event moved;          /* the breaker */
    bool told;                        /* that calls fail at once */
    pthread_mutex_t lock;             /* of what follows; with nothing to free */
    char last_words[ENDPOINT_REASON]; /* why the last call failed, without its address */
    uint64_t random;
    _Atomic uint64_t answered, failed, retried, unbudgeted, opened;
    _Atomic int state; /* enum breaker_state */
};

/* One thing to ask. Texts are the caller's until endpoint_ask has returned. */
struct endpoint_question {
    const char *url;
    const char *method; /* NULL: GET, or POST where there is a body */
    const void *body;
    size_t body_size;
    const char *content_type;
    const char *idempotency_key; /* NULL: none */
    int64_t deadline_ns;         /* weir_now's clock; besides the timeout; 0: none */
    bool gzip;
    bool repeatable;  /* may be asked twice although it is a POST */
    bool patient;     /* waits for a server that has been down for long: there is nothing better to do */
    bool may_be_none; /* 404 and 410 are answers, that there is no such thing; still -EPROTO */
    bool status_only; /* so is a 2xx whose body is too large, or packed: it does not matter; still an error */
};

/* Is the reply what was asked for, although http_request calls it an error? Then it counts as answered. */
bool endpoint_is_answer(const struct endpoint_question *question, const struct http_reply *reply);

/* What came of it. The reply is to be released (http_reply_release) on every path. */
struct endpoint_answer {
    struct http_reply reply;
    bool may_pass;              /* failed, but not for good */
    enum limiter_outcome limit; /* for the limiter */
    char words[ENDPOINT_WORDS]; /* failed: why, without secrets */
};

/* Checks that the build and the text can do it: -EINVAL with words at the mark of the part. */
int endpoint_check_url(struct weir_env *env, const char *url);
int endpoint_check_access(struct weir_env *env, const struct endpoint_access *access);
/* Headers as the client takes them; at most ENDPOINT_FIELDS_MOST. */
int endpoint_pairs(struct weir_env *env, const struct weir_list *headers, struct http_pair *pairs, uint32_t *ret_count);

/* `connections`: most calls at a time. 0, or -EINVAL, -ENOMEM with words. */
int endpoint_open(struct endpoint *endpoint, struct weir_env *env, const struct endpoint_options *options,
                  uint32_t connections);
/* On its loop, or where it has never asked; twice is allowed. */
void endpoint_close(struct endpoint *endpoint);

/* Asks until there is a good answer (2xx), or it is not worth it, or the time is up. 0, -ECANCELED, or what went wrong
 * with words. */
int endpoint_ask(struct weir_context *context, struct endpoint *endpoint, const struct endpoint_question *question,
                 struct endpoint_answer *answer);

/* http_explain, with what the user can do about it: an option of parts with these options. */
char *endpoint_explain(const struct http_request *request, const struct http_reply *reply, char *out, size_t size);

/* For the report: why a call went wrong although it was answered. */
void endpoint_keep_reason(struct endpoint *endpoint, const char *words);
void endpoint_report(struct endpoint *endpoint, struct weir_facts *facts);
#endif
