/* SPDX-License-Identifier: MIT */
#include "parts/endpoint.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/units.h"
#include "net/http_url.h"

enum {
    RETRY_FIRST_MS = 100, /* up to so long before the first retry; doubles */
    RETRY_MOST_S = 5,
    PAUSE_MOST_S = 30,
    BUDGET_SAVED = 10, /* retries that can be saved up */
};
static const double BUDGET_SHARE = 0.2; /* of a retry that each call earns */

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

int endpoint_check_url(struct weir_env *env, const char *url)
{
    struct http_url parsed;
    const char *reason;
    char shown[256];
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return weir_fail_at(env->error, -EINVAL, env->mark, "\"%s\" does not begin with http:// or https://",
                            http_url_show(url, shown, sizeof shown));
    if (http_url_parse(url, &parsed, &reason) < 0)
        return weir_fail_at(env->error, -EINVAL, env->mark, "\"%s\" is no address: %s",
                            http_url_show(url, shown, sizeof shown), reason);
    if (parsed.https && !http_has_https())
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "\"%s\": https was left out of this build; install libcurl4-openssl-dev and build again",
                            http_url_show(url, shown, sizeof shown));
    return 0;
}

int endpoint_check_access(struct weir_env *env, const struct endpoint_access *access)
{
    if (access->proxy && strncmp(access->proxy, "http://", 7) != 0 && strncmp(access->proxy, "https://", 8) != 0)
        return weir_fail_at(env->error, -EINVAL, env->mark, "`proxy` is an address such as http://127.0.0.1:3128");
    if (access->proxy && !http_has_https())
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "proxies were left out of this build; install libcurl4-openssl-dev and build again");
    if (access->user && access->token)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "`user` and `token` are two ways to say who asks: give one");
    return 0;
}

int endpoint_pairs(struct weir_env *env, const struct weir_list *headers, struct http_pair *pairs, uint32_t *ret_count)
{
    if (headers->count > ENDPOINT_FIELDS_MOST)
        return weir_fail_at(env->error, -E2BIG, env->mark, "more than %d `headers`", ENDPOINT_FIELDS_MOST);
    for (size_t i = 0; i < headers->count; i++)
        pairs[i] = (struct http_pair){headers->items[i].name.text, headers->items[i].value.text};
    *ret_count = (uint32_t)headers->count;
    return 0;
}

int endpoint_open(struct endpoint *endpoint, struct weir_env *env, const struct endpoint_options *options,
                  uint32_t connections)
{
    const struct http_client_options client = {.connections_most = connections,
                                               .idle_most = connections,
                                               .ca_file = options->access.ca,
                                               .proxy = options->access.proxy,
                                               .insecure = options->access.insecure};
    const int64_t most = PAUSE_MOST_S * CLOCK_SECOND;
    const struct breaker_options breaker = {(uint32_t)options->failures, options->pause,
                                            options->pause > most ? options->pause : most};
    endpoint->options = options;
    endpoint->env = env;
    endpoint->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    endpoint->random = hash_u64(env->seed) ^ hash_bytes(env->name, strlen(env->name));
    retry_budget_init(&endpoint->budget, BUDGET_SHARE, BUDGET_SAVED);
    breaker_init(&endpoint->breaker, &breaker);
    int error = endpoint_check_access(env, &options->access);
    if (error >= 0)
        error = endpoint_pairs(env, &options->access.headers, endpoint->pairs, &endpoint->pair_count);
    if (error >= 0 && http_client_new(&client, &endpoint->client) < 0)
        error = weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    return error;
}

void endpoint_close(struct endpoint *endpoint)
{
    http_client_free(endpoint->client);
    endpoint->client = NULL;
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

/* The server was not reached, or said that it did nothing: asking again does nothing twice. */
static bool was_not_done(enum http_outcome outcome, int status)
{
    return outcome == HTTP_REFUSED || outcome == HTTP_UNREACHABLE || outcome == HTTP_NO_SUCH_NAME ||
           outcome == HTTP_CONNECT_FAILED || outcome == HTTP_CONNECT_TIMEOUT || outcome == HTTP_BUSY_TIMEOUT ||
           (outcome == HTTP_BAD_STATUS && (status == 429 || status == 503));
}

/* What may go away by itself. */
static bool may_pass(enum http_outcome outcome, int status)
{
    switch (outcome) {
    case HTTP_BAD_STATUS:
        return status == 408 || status == 425 || status == 429 || (status >= 500 && status != 501 && status != 505);
    case HTTP_BAD_URL:
    case HTTP_BAD_REQUEST:
    case HTTP_TOO_LARGE:
    case HTTP_ENCODED:
    case HTTP_UPGRADED:
    case HTTP_REDIRECT_BAD:
    case HTTP_REDIRECT_LOOP:
    case HTTP_REDIRECT_MANY:
    case HTTP_CERTIFICATE:
    case HTTP_UNSUPPORTED:
    case HTTP_CANCELLED:
        return false;
    default:
        return true;
    }
}

/* A sign that there is too much of it. */
static bool is_overload(enum http_outcome outcome, int status)
{
    return outcome == HTTP_CONNECT_TIMEOUT || outcome == HTTP_SEND_TIMEOUT || outcome == HTTP_HEAD_TIMEOUT ||
           outcome == HTTP_BODY_TIMEOUT || outcome == HTTP_REFUSED || outcome == HTTP_RESET ||
           outcome == HTTP_NO_REPLY ||
           (outcome == HTTP_BAD_STATUS && (status == 408 || status == 429 || status == 503 || status == 504));
}

static void publish(struct endpoint *endpoint)
{
    atomic_store_explicit(&endpoint->opened, endpoint->breaker.opened, memory_order_relaxed);
    atomic_store_explicit(&endpoint->state, (int)endpoint->breaker.state, memory_order_relaxed);
    atomic_store_explicit(&endpoint->unbudgeted, endpoint->budget.refused, memory_order_relaxed);
}

static void tell_down(struct endpoint *endpoint)
{
    char timeout[32];
    if (endpoint->told)
        return;
    endpoint->told = true;
    weir_notice(endpoint->env, "server down",
                "the server has been down for longer than `timeout` (%s): calls fail at once until it answers again",
                units_show_duration(endpoint->options->timeout, timeout, sizeof timeout));
}

bool endpoint_is_answer(const struct endpoint_question *question, const struct http_reply *reply)
{
    if (reply->outcome == HTTP_BAD_STATUS)
        return question->may_be_none && (reply->status == 404 || reply->status == 410);
    if (reply->outcome == HTTP_TOO_LARGE || reply->outcome == HTTP_ENCODED)
        return question->status_only && reply->status >= 200 && reply->status < 300;
    return reply->outcome == HTTP_DONE;
}

/* Waits until the server may be asked; -ETIMEDOUT: not within the deadline, or it has been down for too long. */
static int pass_breaker(struct weir_context *context, struct endpoint *endpoint, bool patient, int64_t deadline)
{
    struct breaker *breaker = &endpoint->breaker;
    while (!breaker_allow(breaker, weir_now(context))) {
        int64_t now = weir_now(context), down = breaker->failing_since + endpoint->options->timeout;
        int64_t limit = patient || deadline < down ? deadline : down;
        int64_t next = breaker->state == BREAKER_OPEN ? breaker_next(breaker) : limit;
        if (!patient && now >= down)
            tell_down(endpoint);
        if (now >= limit)
            return -ETIMEDOUT;
        if (weir_event_wait(context, &endpoint->moved, next < limit ? next : limit) == -ECANCELED)
            return -ECANCELED;
    }
    publish(endpoint);
    return 0;
}

/* A server that says what is wrong with a question is well. */
static void tell_breaker(struct weir_context *context, struct endpoint *endpoint,
                         const struct endpoint_question *question, const struct http_reply *reply)
{
    struct breaker *breaker = &endpoint->breaker;
    enum breaker_state before = breaker->state;
    bool well = endpoint_is_answer(question, reply) || (reply->outcome == HTTP_BAD_STATUS && reply->status < 500);
    char pause[32];
    if (reply->outcome == HTTP_CANCELLED)
        breaker_withdraw(breaker);
    else
        breaker_report(breaker, weir_now(context), well);
    if (breaker->state != before || breaker->state != BREAKER_CLOSED)
        weir_event_signal(&endpoint->moved, true);
    if (breaker->state == BREAKER_OPEN && before == BREAKER_CLOSED)
        weir_notice(endpoint->env, "circuit open", "%u calls failed in a row; the server is left alone for %s",
                    breaker->failed, units_show_duration(breaker->open_for, pause, sizeof pause));
    if (breaker->state == BREAKER_CLOSED && before != BREAKER_CLOSED)
        weir_notice(endpoint->env, "circuit closed", "the server answers again");
    endpoint->told = endpoint->told && breaker->state != BREAKER_CLOSED;
    publish(endpoint);
}

/* What the server says of when to come back: seconds; a date is not taken. */
static int64_t retry_after(const struct http_reply *reply)
{
    size_t length = 0;
    char text[16];
    int64_t seconds;
    const char *field = http_reply_field(reply, "retry-after", &length);
    if (!field || length >= sizeof text)
        return 0;
    memcpy(text, field, length);
    text[length] = 0;
    return units_integer(text, &seconds) == 0 && seconds > 0 && seconds < 86400 ? seconds * CLOCK_SECOND : 0;
}

static int fail_open_circuit(struct endpoint *endpoint, const struct endpoint_question *question,
                             struct endpoint_answer *answer)
{
    char url[256];
    answer->reply.outcome = HTTP_CONNECT_FAILED;
    answer->may_pass = true;
    snprintf(answer->words, sizeof answer->words, "%s is not asked for now: %u calls failed in a row, the last: %s",
             http_url_show(question->url, url, sizeof url), endpoint->breaker.failed, endpoint->last_words);
    return -EAGAIN;
}

/* Where it has moved to, when it was not followed there. */
static int show_move(const struct http_reply *reply, char *out, size_t size)
{
    char location[256], shown[256];
    size_t length = 0;
    const char *field = http_reply_field(reply, "location", &length);
    if (!field || reply->status < 300 || reply->status > 399)
        return 0;
    snprintf(location, sizeof location, "%.*s", (int)(length < sizeof location ? length : sizeof location - 1), field);
    return snprintf(out, size, ", that it has moved to %s; give that address",
                    http_url_show(location, shown, sizeof shown));
}

char *endpoint_explain(const struct http_request *request, const struct http_reply *reply, char *out, size_t size)
{
    char limit[32];
    bool known = request->bearer || request->user;
    http_explain(request, reply, out, size);
    size_t used = strlen(out);
    char *rest = out + used;
    size -= used;
    if (reply->outcome == HTTP_TOO_LARGE && reply->fault == HTTP_FAULT_BODY_SIZE)
        snprintf(rest, size, " of %s; raise `body_max`, if it is to be taken",
                 units_show_bytes(request->body_most, limit, sizeof limit));
    else if (reply->outcome == HTTP_BAD_STATUS && reply->status == 401)
        snprintf(rest, size,
                 known ? "; it does not take these credentials"
                       : "; it wants to know who asks: give `token`, or `user` and `password`");
    else if (reply->outcome == HTTP_BAD_STATUS)
        (void)show_move(reply, rest, size);
    return out;
}

/* "GET http://host/: connection refused" has its reason behind the address, in which there is no space. */
void endpoint_keep_reason(struct endpoint *endpoint, const char *words)
{
    const char *reason = strstr(words, ": ");
    pthread_mutex_lock(&endpoint->lock);
    snprintf(endpoint->last_words, sizeof endpoint->last_words, "%.*s", ENDPOINT_REASON - 1,
             reason ? reason + 2 : words);
    pthread_mutex_unlock(&endpoint->lock);
}

/* One attempt. */
static int ask_once(struct weir_context *context, struct endpoint *endpoint, const struct endpoint_question *question,
                    int64_t deadline, struct endpoint_answer *answer)
{
    const struct endpoint_access *access = &endpoint->options->access;
    struct http_pair pairs[ENDPOINT_FIELDS_MOST + 1];
    uint32_t count = endpoint->pair_count;
    memcpy(pairs, endpoint->pairs, count * sizeof *pairs);
    if (question->idempotency_key)
        pairs[count++] = (struct http_pair){"Idempotency-Key", question->idempotency_key};
    const struct http_request request = {.method = question->method,
                                         .url = question->url,
                                         .fields = pairs,
                                         .field_count = count,
                                         .body = question->body,
                                         .body_size = question->body_size,
                                         .content_type = question->content_type,
                                         .gzip = question->gzip,
                                         .user = access->user,
                                         .password = access->password,
                                         .bearer = access->token,
                                         .body_most = (uint64_t)endpoint->options->body_most,
                                         .same_method = true,
                                         .repeatable = question->repeatable};
    int error = http_request(context, endpoint->client, &request, deadline, &answer->reply);
    tell_breaker(context, endpoint, question, &answer->reply);
    if (error < 0)
        endpoint_explain(&request, &answer->reply, answer->words, sizeof answer->words);
    if (error < 0 && error != -ECANCELED && !endpoint_is_answer(question, &answer->reply))
        endpoint_keep_reason(endpoint, answer->words);
    return error;
}

/* After a failure: waits for the next attempt. 1: there is to be none. */
static int before_retry(struct weir_context *context, struct endpoint *endpoint,
                        const struct endpoint_question *question, uint32_t attempt, int64_t deadline,
                        const struct endpoint_answer *answer)
{
    const struct retry_options retry = {(uint32_t)endpoint->options->retries + 1, RETRY_FIRST_MS * CLOCK_MILLISECOND,
                                        RETRY_MOST_S * CLOCK_SECOND};
    const struct http_reply *reply = &answer->reply;
    bool safe = !question->body || question->repeatable || question->idempotency_key;
    if (!answer->may_pass || attempt >= retry.attempts || !(safe || was_not_done(reply->outcome, reply->status)))
        return 1;
    int64_t wait = retry_wait(&retry, attempt + 1, hash_u64(endpoint->random++)), asked = retry_after(reply);
    int64_t until = weir_now(context) + (asked > wait ? asked : wait);
    if (until >= deadline || !retry_budget_take(&endpoint->budget))
        return 1;
    endpoint->retried++;
    return weir_sleep_until(context, until);
}

int endpoint_ask(struct weir_context *context, struct endpoint *endpoint, const struct endpoint_question *question,
                 struct endpoint_answer *answer)
{
    int64_t deadline = weir_now(context) + endpoint->options->timeout;
    bool overload = false;
    if (question->deadline_ns && question->deadline_ns < deadline)
        deadline = question->deadline_ns;
    *answer = (struct endpoint_answer){.limit = LIMITER_GOOD};
    retry_budget_earn(&endpoint->budget);
    for (uint32_t attempt = 1;; attempt++) {
        int error = pass_breaker(context, endpoint, question->patient, deadline);
        bool asked = error == 0;
        if (error == -ETIMEDOUT)
            error = fail_open_circuit(endpoint, question, answer);
        else if (error == 0)
            error = ask_once(context, endpoint, question, deadline, answer);
        answer->limit = overload ? LIMITER_OVERLOAD : attempt > 1 ? LIMITER_OTHER : LIMITER_GOOD;
        if (error == 0 || (asked && endpoint_is_answer(question, &answer->reply))) {
            endpoint->answered++;
            return error;
        }
        const struct http_reply *reply = &answer->reply;
        overload |= is_overload(reply->outcome, reply->status);
        answer->limit = overload ? LIMITER_OVERLOAD : LIMITER_OTHER;
        answer->may_pass = may_pass(reply->outcome, reply->status);
        int wait = error == -ECANCELED ? error : 1;
        if (asked && wait > 0)
            wait = before_retry(context, endpoint, question, attempt, deadline, answer);
        publish(endpoint);
        if (wait < 0)
            return wait;
        if (wait > 0) {
            endpoint->failed++;
            weir_count(endpoint->env, "calls failed", asked ? http_outcome_name(reply->outcome) : "circuit open", 1);
            return error;
        }
        http_reply_release(&answer->reply);
    }
}

/* ---- Report ------------------------------------------------------------------------------------------------------ */

void endpoint_report(struct endpoint *endpoint, struct weir_facts *facts)
{
    weir_fact(facts, "answered", (double)endpoint->answered, "");
    weir_fact(facts, "failed", (double)endpoint->failed, "");
    weir_fact(facts, "retries", (double)endpoint->retried, "");
    char reason[ENDPOINT_REASON];
    pthread_mutex_lock(&endpoint->lock);
    memcpy(reason, endpoint->last_words, sizeof reason);
    pthread_mutex_unlock(&endpoint->lock);
    if (reason[0])
        weir_fact_text(facts, WEIR_LAST_FAILURE, reason);
    if (endpoint->unbudgeted)
        weir_fact(facts, "retries over the budget", (double)endpoint->unbudgeted, "");
    if (endpoint->options && endpoint->options->failures) {
        weir_fact_text(facts, "circuit", breaker_state_name((enum breaker_state)endpoint->state));
        if (endpoint->opened)
            weir_fact(facts, "circuit opened", (double)endpoint->opened, "times");
    }
}
