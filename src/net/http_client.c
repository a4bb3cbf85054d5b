/* SPDX-License-Identifier: MIT */
#include "net/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "net/http_private.h"

#ifndef WEIR_VERSION
#define WEIR_VERSION "0.1.0"
#endif

enum {
    REDIRECTS_SEEN_MOST = 32, /* the highest redirects_most */
    READ_MORE = 16 * 1024,    /* room for a read whose size is not known */
};

/* ---- The client ------------------------------------------------------------------------------------------------- */

static bool copy_text(const char **text, const char *otherwise)
{
    const char *from = *text ? *text : otherwise;
    *text = from ? memory_string(from) : NULL;
    return !from || *text;
}

int http_client_new(const struct http_client_options *options, struct http_client **ret)
{
    struct http_client *client = memory_zeroed(1, sizeof *client);
    if (!client)
        return -ENOMEM;
    struct http_client_options *own = &client->options;
    if (options)
        *own = *options;
    own->connections_most = own->connections_most ? own->connections_most : HTTP_CONNECTIONS_MOST;
    own->idle_ns = own->idle_ns ? own->idle_ns : 60 * CLOCK_SECOND;
    if (own->idle_most == 0)
        own->idle_most = own->connections_most > HTTP_IDLE_MOST ? own->connections_most : HTTP_IDLE_MOST;
    bool copied = copy_text(&own->user_agent, "weir/" WEIR_VERSION);
    copied = copy_text(&own->local, NULL) && copied;
    copied = copy_text(&own->ca_file, NULL) && copied;
    copied = copy_text(&own->proxy, NULL) && copied;
    if (!copied) {
        http_client_free(client);
        return -ENOMEM;
    }
    *ret = client;
    return 0;
}

static void free_text(const char *text)
{
    memory_free((void *)(uintptr_t)text);
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    http_pool_close_all(client);
    http_curl_close_all(client);
    while (client->exchanges) {
        struct http_exchange *exchange = client->exchanges;
        client->exchanges = exchange->next;
        buffer_free(&exchange->bytes);
        memory_free(exchange);
    }
    free_text(client->options.user_agent);
    free_text(client->options.local);
    free_text(client->options.ca_file);
    free_text(client->options.proxy);
    memory_free(client);
}

void http_client_count(const struct http_client *client, struct http_counters *ret)
{
    *ret = client->counters;
}

/* ---- Replies ---------------------------------------------------------------------------------------------------- */

int http_fail(struct http_reply *reply, enum http_outcome outcome, int error)
{
    reply->outcome = outcome;
    reply->error = error;
    return error;
}

int http_fail_fault(struct http_reply *reply, enum http_fault fault)
{
    bool large = fault == HTTP_FAULT_HEAD_SIZE || fault == HTTP_FAULT_BODY_SIZE || fault == HTTP_FAULT_FIELD_COUNT;
    reply->fault = fault;
    return http_fail(reply, large ? HTTP_TOO_LARGE : HTTP_MALFORMED, large ? -EMSGSIZE : -EBADMSG);
}

/* An error of the stream, and what it was doing when it came. */
static int fail_stream(struct http_reply *reply, enum http_outcome timeout, int error)
{
    switch (error) {
    case -ETIMEDOUT:
        return http_fail(reply, timeout, error);
    case -ECANCELED:
        return http_fail(reply, HTTP_CANCELLED, error);
    case -ENOMEM:
        return http_fail(reply, HTTP_NO_MEMORY, error);
    default:
        return http_fail(reply, HTTP_RESET, error);
    }
}

void http_reply_release(struct http_reply *reply)
{
    if (reply->exchange)
        http_exchange_give(reply->client, reply->exchange);
    reply->exchange = NULL;
    reply->head = NULL;
    reply->body = NULL;
    reply->body_size = 0;
}

const char *http_reply_field(const struct http_reply *reply, const char *name, size_t *ret_length)
{
    const struct http_field *field = reply->head ? http_head_find(reply->head, reply->head_bytes, name) : NULL;
    if (!field)
        return NULL;
    *ret_length = field->value.length;
    return reply->head_bytes + field->value.at;
}

/* ---- One attempt on one connection ------------------------------------------------------------------------------ */

static int send_request(struct http_call *call, struct http_connection *connection)
{
    struct http_client *client = call->client;
    struct http_exchange *exchange = http_exchange_take(client); /* only while it is written */
    if (!exchange)
        return http_fail(call->reply, HTTP_NO_MEMORY, -ENOMEM);
    int error = http_message_write(call, &exchange->bytes);
    if (error == 0) {
        client->counters.bytes_sent += exchange->bytes.size;
        error = weir_stream_write(call->context, connection->stream, exchange->bytes.data, exchange->bytes.size,
                                  call->deadline);
        if (error == 0 && call->body_size > HTTP_TOGETHER) {
            client->counters.bytes_sent += call->body_size;
            error = weir_stream_write(call->context, connection->stream, call->body, call->body_size, call->deadline);
        }
        if (error < 0)
            fail_stream(call->reply, HTTP_SEND_TIMEOUT, error);
    }
    http_exchange_give(client, exchange);
    return error;
}

/* The first bytes come through the client's scratch, so that no buffer is held while thousands wait for theirs: between
 * the arrival of bytes there and this task's next wait, no other task runs. */
static int read_first(struct http_call *call, struct http_connection *connection)
{
    struct http_client *client = call->client;
    struct http_reply *reply = call->reply;
    int64_t got = weir_stream_read(call->context, connection->stream, client->scratch, sizeof client->scratch,
                                   call->deadline);
    if (got < 0)
        return fail_stream(reply, HTTP_HEAD_TIMEOUT, (int)got);
    if (got == 0)
        return http_fail(reply, HTTP_NO_REPLY, -ECONNRESET);
    call->began = true;
    reply->first_byte_ns = weir_now(call->context);
    client->counters.bytes_received += (uint64_t)got;
    if (!reply->exchange)
        reply->exchange = http_exchange_take(client);
    if (!reply->exchange)
        return http_fail(reply, HTTP_NO_MEMORY, -ENOMEM);
    reply->exchange->bytes.size = 0;
    buffer_append(&reply->exchange->bytes, client->scratch, (size_t)got);
    return reply->exchange->bytes.failed ? http_fail(reply, HTTP_NO_MEMORY, -ENOMEM) : 0;
}

/* Reads more, at most `most`, behind what there is. *ret_end: the peer has ended. */
static int read_more(struct http_call *call, struct http_connection *connection, size_t most, enum http_outcome timeout,
                     bool *ret_end)
{
    struct weir_buffer *bytes = &call->reply->exchange->bytes;
    char *room = buffer_reserve(bytes, most);
    if (!room)
        return http_fail(call->reply, HTTP_NO_MEMORY, -ENOMEM);
    int64_t got = weir_stream_read(call->context, connection->stream, room, most, call->deadline);
    if (got < 0)
        return fail_stream(call->reply, timeout, (int)got);
    bytes->size += (size_t)got;
    call->client->counters.bytes_received += (uint64_t)got;
    *ret_end = got == 0;
    return 0;
}

/* Takes an interim reply off the front. */
static void drop_front(struct weir_buffer *bytes, size_t size)
{
    memmove(bytes->data, bytes->data + size, bytes->size - size);
    bytes->size -= size;
}

static int read_head(struct http_call *call, struct http_connection *connection)
{
    struct http_reply *reply = call->reply;
    struct http_limits limits = {call->request->head_most, 0};
    int error = read_first(call, connection);
    if (error)
        return error;
    struct http_head *head = &reply->exchange->head;
    struct weir_buffer *bytes = &reply->exchange->bytes;
    http_head_start(head, HTTP_REPLY, &limits);
    for (int interim = 0; interim <= HTTP_INTERIM_MOST;) {
        bool end = false;
        int64_t got = http_head_parse(head, bytes->data, bytes->size);
        if (got < 0)
            return http_fail_fault(reply, head->fault);
        if (got > 0 && head->status == 101)
            return http_fail(reply, HTTP_UPGRADED, -EPROTO);
        if (got > 0 && head->status >= 200)
            return 0;
        if (got > 0) {
            drop_front(bytes, (size_t)got);
            http_head_start(head, HTTP_REPLY, &limits);
            interim++;
            if (bytes->size > 0)
                continue;
        }
        error = read_more(call, connection, READ_MORE, HTTP_HEAD_TIMEOUT, &end);
        if (error)
            return error;
        if (end)
            return http_fail_fault(reply, HTTP_FAULT_CUT_HEAD);
    }
    return http_fail_fault(reply, HTTP_FAULT_HEAD_SIZE);
}

/* Moves the content of what has come to the front. *fed: bytes looked at; *end: where content ends. */
static int64_t feed_body(struct http_body *body, struct weir_buffer *bytes, size_t *fed, size_t *end)
{
    while (*fed < bytes->size && !body->done) {
        const char *content;
        size_t size;
        int64_t took = http_body_feed(body, bytes->data + *fed, bytes->size - *fed, &content, &size);
        if (took < 0)
            return took;
        if (size > 0 && content != bytes->data + *end)
            memmove(bytes->data + *end, content, size);
        *end += size;
        *fed += (size_t)took;
    }
    return 0;
}

/* Reads the body. *ret_rest: bytes that came behind it. */
static int read_body(struct http_call *call, struct http_connection *connection, size_t *ret_rest)
{
    struct http_reply *reply = call->reply;
    struct weir_buffer *bytes = &reply->exchange->bytes;
    struct http_head *head = &reply->exchange->head;
    struct http_limits limits = {0, call->request->body_most};
    struct http_body body;
    size_t fed = head->size, end = head->size;
    if (http_body_start(&body, head, strcmp(call->method, "HEAD") == 0, &limits) < 0)
        return http_fail_fault(reply, body.fault);
    for (;;) {
        if (feed_body(&body, bytes, &fed, &end) < 0)
            return http_fail_fault(reply, body.fault);
        if (body.done)
            break;
        bool over = false;
        bytes->size = fed = end;
        size_t most = body.framing == HTTP_LENGTH ? (size_t)(head->length - body.taken) : READ_MORE;
        int error = read_more(call, connection, most, HTTP_BODY_TIMEOUT, &over);
        if (error)
            return error;
        if (over && http_body_end(&body) < 0)
            return http_fail_fault(reply, body.fault);
        if (over)
            break;
    }
    *ret_rest = bytes->size - fed;
    bytes->size = end;
    if (!buffer_reserve(bytes, 1))
        return http_fail(reply, HTTP_NO_MEMORY, -ENOMEM);
    bytes->data[end] = 0;
    reply->body = bytes->data + head->size;
    reply->body_size = end - head->size;
    return 0;
}

static bool asks_for_coding(const struct http_request *request)
{
    for (uint32_t i = 0; i < request->field_count; i++) {
        if (strcasecmp(request->fields[i].name, "accept-encoding") == 0)
            return true;
    }
    return false;
}

int http_check_coding(struct http_call *call)
{
    const struct http_exchange *exchange = call->reply->exchange;
    const struct http_field *field = http_head_find(&exchange->head, exchange->bytes.data, "content-encoding");
    if (!field || http_list_has(exchange->bytes.data + field->value.at, field->value.length, "identity") ||
        asks_for_coding(call->request))
        return 0;
    return http_fail(call->reply, HTTP_ENCODED, -EPROTO);
}

static int read_reply(struct http_call *call, struct http_connection *connection, bool *ret_keep)
{
    struct http_reply *reply = call->reply;
    size_t rest = 0;
    int error = read_head(call, connection);
    if (error)
        return error;
    reply->status = reply->exchange->head.status;
    error = http_check_coding(call);
    if (error == 0)
        error = read_body(call, connection, &rest);
    reply->head = &reply->exchange->head;
    reply->head_bytes = reply->exchange->bytes.data;
    *ret_keep = error == 0 && reply->head->keep_alive && rest == 0;
    return error;
}

static bool is_gone(int error)
{
    return error == -ECONNRESET || error == -EPIPE || error == -ECONNABORTED;
}

static int attempt(struct http_call *call, bool fresh, bool *ret_stale)
{
    struct http_connection *connection;
    bool keep = false;
    int error = http_pool_take(call, fresh, &connection);
    if (error)
        return error;
    bool reused = connection->reused;
    call->began = false;
    call->reply->reused = reused;
    error = send_request(call, connection);
    if (error == 0) {
        error = read_reply(call, connection, &keep);
    } else if (is_gone(error) && !reused && call->body_size > 0) {
        /* It may have said why it did not want the rest. */
        bool ignored;
        struct http_reply before = *call->reply;
        if (read_reply(call, connection, &ignored) == 0) {
            error = 0;
        } else {
            before.exchange = call->reply->exchange;
            *call->reply = before;
        }
    }
    http_pool_give(call->client, connection, keep, error != 0, weir_now(call->context));
    *ret_stale = reused && !call->began && is_gone(error);
    return error;
}

static bool may_repeat(const struct http_call *call)
{
    static const char *const safe[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", NULL};
    for (int i = 0; safe[i]; i++) {
        if (strcmp(call->method, safe[i]) == 0)
            return true;
    }
    return call->request->repeatable;
}

static void clear_attempt(struct http_reply *reply)
{
    reply->status = 0;
    reply->outcome = HTTP_DONE;
    reply->fault = HTTP_FAULT_NONE;
    reply->error = 0;
    reply->head = NULL;
    reply->body = NULL;
    reply->body_size = 0;
    reply->detail[0] = 0;
}

static int perform(struct http_call *call)
{
    bool stale = false;
    clear_attempt(call->reply);
    if (call->url.https || call->client->options.proxy)
        return http_curl_perform(call);
    int error = attempt(call, false, &stale);
    if (stale && may_repeat(call)) {
        call->client->counters.retried++;
        clear_attempt(call->reply);
        error = attempt(call, true, &stale);
    }
    return error;
}

/* ---- Redirects -------------------------------------------------------------------------------------------------- */

struct redirects {
    uint64_t seen[REDIRECTS_SEEN_MOST + 1]; /* of the URLs asked, with their methods */
    uint32_t count, most;
    char *url; /* the current one, when it is not the request's */
};

static bool is_redirect(const struct http_call *call)
{
    size_t length;
    int status = call->reply->status;
    bool keeps = status == 307 || status == 308;
    if (!keeps && call->request->same_method && strcmp(call->method, "POST") == 0)
        return false;
    return (keeps || status == 301 || status == 302 || status == 303) &&
           http_reply_field(call->reply, "location", &length);
}

/* The next request follows the rules of browsers: 303 is a GET, and so is a POST that 301 or 302 sends on. */
static void change_method(struct http_call *call)
{
    int status = call->reply->status;
    bool post = strcmp(call->method, "POST") == 0;
    if ((status == 303 && strcmp(call->method, "HEAD") != 0) || (post && (status == 301 || status == 302))) {
        call->method = "GET";
        call->body = NULL;
        call->body_size = 0;
        call->packed = false;
    }
}

static int follow(struct http_call *call, struct redirects *redirects)
{
    struct http_reply *reply = call->reply;
    size_t length;
    const char *location = http_reply_field(reply, "location", &length);
    struct http_url next;
    if (redirects->count >= redirects->most)
        return http_fail(reply, HTTP_REDIRECT_MANY, -ELOOP);
    char *url = memory_allocate(HTTP_URL_MOST + 1);
    if (!url)
        return http_fail(reply, HTTP_NO_MEMORY, -ENOMEM);
    if (http_url_resolve(&call->url, location, length, url, HTTP_URL_MOST + 1) < 0 ||
        http_url_parse(url, &next, NULL) < 0) {
        memory_free(url);
        return http_fail(reply, HTTP_REDIRECT_BAD, -EPROTO);
    }
    change_method(call);
    call->same_host = call->same_host && http_url_same_host(&call->url, &next);
    memory_free(redirects->url);
    redirects->url = url;
    call->url_text = url;
    call->url = next;
    uint64_t hash = hash_bytes(url, strlen(url)) ^ hash_bytes(call->method, strlen(call->method));
    for (uint32_t i = 0; i <= redirects->count; i++) {
        if (redirects->seen[i] == hash) {
            http_url_show(url, reply->detail, sizeof reply->detail);
            return http_fail(reply, HTTP_REDIRECT_LOOP, -ELOOP);
        }
    }
    redirects->seen[++redirects->count] = hash;
    reply->redirects++;
    call->client->counters.redirected++;
    return 0;
}

static void start_redirects(const struct http_call *call, struct redirects *redirects)
{
    uint32_t most = call->request->redirects_most;
    char origin[HTTP_URL_MOST + 1];
    most = most == 0 ? HTTP_REDIRECTS_MOST : most;
    redirects->most = most > REDIRECTS_SEEN_MOST ? REDIRECTS_SEEN_MOST : most;
    redirects->count = 0;
    redirects->url = NULL;
    /* In the form that a redirect back to it takes. */
    if (http_url_resolve(&call->url, call->url_text, strlen(call->url_text), origin, sizeof origin) < 0)
        origin[0] = 0;
    redirects->seen[0] = hash_bytes(origin, strlen(origin)) ^ hash_bytes(call->method, strlen(call->method));
}

static int perform_redirected(struct http_call *call) __attribute__((noinline));
static int perform_redirected(struct http_call *call)
{
    struct redirects redirects;
    int error = 0;
    start_redirects(call, &redirects);
    while (error == 0 && is_redirect(call)) {
        error = follow(call, &redirects);
        if (error == 0)
            error = perform(call);
    }
    memory_free(redirects.url);
    return error;
}

/* ---- Requests --------------------------------------------------------------------------------------------------- */

/* Compresses the body when that is wanted and makes it smaller. */
static int pack_body(struct http_call *call, struct weir_buffer *packed)
{
    if (!call->request->gzip || call->body_size == 0)
        return 0;
    int error = http_gzip(call->body, call->body_size, packed);
    if (error == -ENOMEM)
        return http_fail(call->reply, HTTP_NO_MEMORY, -ENOMEM);
    if (error == 0 && packed->size < call->body_size) {
        call->body = packed->data;
        call->body_size = packed->size;
        call->packed = true;
    }
    return 0;
}

static int start_call(struct http_call *call)
{
    const struct http_request *request = call->request;
    const char *reason;
    if (http_url_parse(request->url, &call->url, &reason) < 0) {
        snprintf(call->reply->detail, sizeof call->reply->detail, "%s", reason);
        return http_fail(call->reply, HTTP_BAD_URL, -EINVAL);
    }
    if (!http_message_valid(request))
        return http_fail(call->reply, HTTP_BAD_REQUEST, -EINVAL);
    return 0;
}

int http_request(struct weir_context *context, struct http_client *client, const struct http_request *request,
                 int64_t deadline_ns, struct http_reply *reply)
{
    struct weir_buffer packed = {0};
    struct http_call call = {
        .context = context,
        .client = client,
        .request = request,
        .reply = reply,
        .deadline = deadline_ns,
        .url_text = request->url,
        .method = request->method      ? request->method
                  : request->body_size ? "POST"
                                       : "GET",
        .body = request->body,
        .body_size = request->body_size,
        .same_host = true,
    };
    *reply = (struct http_reply){.client = client};
    client->counters.requests++;
    int error = start_call(&call);
    if (error == 0)
        error = pack_body(&call, &packed);
    if (error == 0)
        error = perform(&call);
    if (error == 0 && is_redirect(&call) && request->redirects_most != HTTP_NO_REDIRECTS)
        error = perform_redirected(&call);
    if (error == 0 && !request->any_status && (reply->status < 200 || reply->status > 299))
        error = http_fail(reply, HTTP_BAD_STATUS, -EPROTO);
    client->counters.failures += error < 0;
    buffer_free(&packed);
    return error;
}
