/* SPDX-License-Identifier: MIT */
#include "net/http_server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "net/http_url.h"

enum {
    SCRATCH = 64 * 1024,
    READ_MORE = 16 * 1024,
    TOGETHER = 64 * 1024, /* a body up to this size goes into the same write as its head */
    SLOT_KEPT_SIZE = 64 * 1024,
};
#define REQUEST_NS (30 * CLOCK_SECOND) /* from its first byte to its last */
#define ACCEPT_PAUSE (10 * CLOCK_MILLISECOND)

struct http_slot {
    struct http_slot *next;
    struct weir_buffer bytes;
    struct http_head head;
};

struct http_server {
    struct http_server_options options;
    bool loopback_only;
    struct http_slot *slots;
    uint32_t slot_count;
    struct http_server_counters counters;
    char scratch[SCRATCH];
};

/* One connection: what its task keeps between requests. */
struct connection {
    struct http_server *server;
    struct weir_stream *stream;
};

int http_server_new(const struct http_server_options *options, struct http_server **ret)
{
    struct http_server *server = memory_zeroed(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    server->options = *options;
    struct http_server_options *own = &server->options;
    own->connections_most = own->connections_most ? own->connections_most : HTTP_SERVER_CONNECTIONS_MOST;
    own->body_most = own->body_most ? own->body_most : HTTP_SERVER_BODY_MOST;
    own->idle_ns = own->idle_ns ? own->idle_ns : 300 * CLOCK_SECOND;
    *ret = server;
    return 0;
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    while (server->slots) {
        struct http_slot *slot = server->slots;
        server->slots = slot->next;
        buffer_free(&slot->bytes);
        memory_free(slot);
    }
    memory_free(server);
}

void http_server_loopback_only(struct http_server *server, bool on)
{
    server->loopback_only = on;
}

void http_server_count(const struct http_server *server, struct http_server_counters *ret)
{
    *ret = server->counters;
}

/* ---- Buffers ---------------------------------------------------------------------------------------------------- */

static struct http_slot *take_slot(struct http_server *server)
{
    struct http_slot *slot = server->slots;
    if (!slot) {
        slot = memory_allocate(sizeof *slot);
        if (slot)
            slot->bytes = (struct weir_buffer){0};
        return slot;
    }
    server->slots = slot->next;
    server->slot_count--;
    return slot;
}

static void give_slot(struct http_server *server, struct http_slot *slot)
{
    if (!slot)
        return;
    if (slot->bytes.capacity > SLOT_KEPT_SIZE || slot->bytes.failed)
        buffer_free(&slot->bytes);
    if (server->slot_count == HTTP_SERVER_BUFFERS_KEPT_MOST) {
        buffer_free(&slot->bytes);
        memory_free(slot);
        return;
    }
    slot->bytes.size = 0;
    slot->next = server->slots;
    server->slots = slot;
    server->slot_count++;
}

/* ---- Reading a request ------------------------------------------------------------------------------------------ */

/* The first bytes of a request, through the scratch: this task holds nothing while it waits. */
static int read_first(struct weir_context *context, struct connection *connection, struct http_slot **slot)
{
    struct http_server *server = connection->server;
    int64_t got = weir_stream_read(context, connection->stream, server->scratch, sizeof server->scratch,
                                   weir_now(context) + server->options.idle_ns);
    if (got <= 0)
        return got < 0 ? (int)got : -EPIPE;
    server->counters.bytes_received += (uint64_t)got;
    *slot = take_slot(server);
    if (!*slot)
        return -ENOMEM;
    buffer_append(&(*slot)->bytes, server->scratch, (size_t)got);
    return (*slot)->bytes.failed ? -ENOMEM : 0;
}

static int read_more(struct weir_context *context, struct connection *connection, struct weir_buffer *bytes,
                     size_t most, int64_t deadline)
{
    char *room = buffer_reserve(bytes, most);
    if (!room)
        return -ENOMEM;
    int64_t got = weir_stream_read(context, connection->stream, room, most, deadline);
    if (got <= 0)
        return got < 0 ? (int)got : -EPIPE;
    bytes->size += (size_t)got;
    connection->server->counters.bytes_received += (uint64_t)got;
    return 0;
}

static int read_head(struct weir_context *context, struct connection *connection, struct http_slot *slot,
                     int64_t deadline)
{
    http_head_start(&slot->head, HTTP_REQUEST, NULL);
    for (;;) {
        int64_t got = http_head_parse(&slot->head, slot->bytes.data, slot->bytes.size);
        if (got != 0)
            return got < 0 ? (int)got : 0;
        int error = read_more(context, connection, &slot->bytes, READ_MORE, deadline);
        if (error)
            return error;
    }
}

/* Reads the body; its content moves to the front. *ret_end: where the content ends, *ret_fed: where the request does.
 */
static int read_body(struct weir_context *context, struct connection *connection, struct http_slot *slot,
                     int64_t deadline, size_t *ret_end, size_t *ret_fed)
{
    struct http_limits limits = {0, connection->server->options.body_most};
    struct http_body body;
    size_t fed = slot->head.size, end = fed;
    int error = http_body_start(&body, &slot->head, false, &limits);
    if (error == 0 && slot->head.expect_continue && !body.done && slot->bytes.size == fed)
        error = weir_stream_write(context, connection->stream, "HTTP/1.1 100 Continue\r\n\r\n", 25, deadline);
    while (error == 0 && !body.done) {
        const char *content;
        size_t size;
        int64_t took = http_body_feed(&body, slot->bytes.data + fed, slot->bytes.size - fed, &content, &size);
        if (took < 0)
            return (int)took;
        if (size > 0 && content != slot->bytes.data + end)
            memmove(slot->bytes.data + end, content, size);
        end += size;
        fed += (size_t)took;
        if (took == 0) {
            slot->bytes.size = fed = end; /* what framed the chunks makes room */
            error = read_more(context, connection, &slot->bytes, READ_MORE, deadline);
        }
    }
    *ret_end = end;
    *ret_fed = fed;
    return error;
}

static void describe(struct http_question *question, struct http_slot *slot, size_t end)
{
    const char *bytes = slot->bytes.data;
    const struct http_head *head = &slot->head;
    const char *target = bytes + head->target.at, *mark = memchr(target, '?', head->target.length);
    if (head->target.length > 7 && target[0] != '/' && target[0] != '*') { /* absolute: the path is behind the host */
        const char *slash = memchr(target + 7, '/', head->target.length - 7);
        target = slash ? slash : bytes + head->target.at + head->target.length;
    }
    size_t length = (size_t)(bytes + head->target.at + head->target.length - target);
    if (mark && mark < target)
        mark = NULL;
    question->method = bytes + head->method.at;
    question->method_length = head->method.length;
    question->path = target;
    question->path_length = mark ? (size_t)(mark - target) : length;
    question->query = mark ? mark + 1 : "";
    question->query_length = mark ? length - question->path_length - 1 : 0;
    question->body = bytes + head->size;
    question->body_size = end - head->size;
    question->head = head;
    question->bytes = bytes;
    question->keep_alive = head->keep_alive;
    question->no_body = head->method.length == 4 && memcmp(question->method, "HEAD", 4) == 0;
}

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

static const char *status_words(int status)
{
    static const struct {
        int status;
        const char *words;
    } table[] = {{200, "OK"},
                 {201, "Created"},
                 {204, "No Content"},
                 {301, "Moved Permanently"},
                 {302, "Found"},
                 {303, "See Other"},
                 {304, "Not Modified"},
                 {307, "Temporary Redirect"},
                 {308, "Permanent Redirect"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {408, "Request Timeout"},
                 {413, "Content Too Large"},
                 {429, "Too Many Requests"},
                 {500, "Internal Server Error"},
                 {502, "Bad Gateway"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].status == status)
            return table[i].words;
    }
    return "Unknown";
}

int http_answer(struct weir_context *context, struct http_question *question, int status, const char *content_type,
                const void *body, size_t size)
{
    struct http_server *server = question->server;
    struct http_slot *slot = take_slot(server);
    if (!slot)
        return -ENOMEM;
    struct weir_buffer *out = &slot->bytes;
    bool bodiless = status == 204 || status == 304;
    buffer_format(out, "HTTP/1.1 %d %s\r\n", status, status_words(status));
    if (!bodiless)
        buffer_format(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", content_type, size);
    if (!question->keep_alive)
        buffer_string(out, "Connection: close\r\n");
    buffer_append(out, "\r\n", 2);
    size = question->no_body || bodiless ? 0 : size;
    if (size <= TOGETHER)
        buffer_append(out, body, size);
    int error = out->failed ? -ENOMEM
                            : weir_stream_write(context, question->stream, out->data, out->size,
                                                weir_now(context) + REQUEST_NS);
    server->counters.bytes_sent += out->size;
    if (error == 0 && size > TOGETHER) {
        error = weir_stream_write(context, question->stream, body, size, weir_now(context) + REQUEST_NS);
        server->counters.bytes_sent += size;
    }
    give_slot(server, slot);
    question->answered = true;
    return error;
}

int http_answer_raw(struct weir_context *context, struct http_question *question, const void *bytes, size_t size,
                    bool keep)
{
    question->answered = true;
    question->keep_alive = question->keep_alive && keep;
    question->server->counters.bytes_sent += size;
    return weir_stream_write(context, question->stream, bytes, size, weir_now(context) + REQUEST_NS);
}

int http_hang_up(struct http_question *question, bool reset)
{
    question->answered = true;
    question->reset = reset;
    return -ECONNABORTED;
}

void http_question_forget(struct http_question *question)
{
    if (!question->slot || question->slot->bytes.size > question->size) /* the next request has come behind it */
        return;
    give_slot(question->server, question->slot);
    question->slot = NULL;
    question->head = NULL;
    question->method = question->path = question->query = question->body = question->bytes = NULL;
    question->method_length = question->path_length = question->query_length = question->body_size = 0;
}

bool http_question_is(const struct http_question *question, const char *method, const char *path)
{
    return question->method_length == strlen(method) &&
           memcmp(question->method, method, question->method_length) == 0 && question->path_length == strlen(path) &&
           memcmp(question->path, path, question->path_length) == 0;
}

bool http_question_parameter(const struct http_question *question, const char *name, char *out, size_t size)
{
    const char *at = question->query, *end = at + question->query_length;
    size_t length = strlen(name);
    while (at < end) {
        const char *next = memchr(at, '&', (size_t)(end - at));
        next = next ? next : end;
        if ((size_t)(next - at) > length && memcmp(at, name, length) == 0 && at[length] == '=') {
            struct http_text value = {at + length + 1, (size_t)(next - at) - length - 1};
            if (value.length >= size)
                return false;
            out[http_url_decode(value, out)] = 0;
            return true;
        }
        at = next + 1;
    }
    return false;
}

/* ---- Connections ------------------------------------------------------------------------------------------------ */

/* Says what was wrong with what came, when it was HTTP at all; the connection ends after it. */
static void refuse(struct weir_context *context, struct connection *connection, struct http_slot *slot, int error)
{
    char text[160];
    struct http_question question = {.server = connection->server, .stream = connection->stream};
    enum http_fault fault = slot->head.fault;
    connection->server->counters.malformed++;
    int length = snprintf(text, sizeof text, "this request cannot be read: %s\n",
                          fault ? http_fault_words(fault) : "its body is malformed, or larger than the limit");
    http_answer(context, &question, error == -EMSGSIZE ? 413 : 400, "text/plain", text, (size_t)length);
}

static int answer(struct weir_context *context, struct http_server *server, struct http_question *question)
{
    int error = server->options.answer(context, server->options.owner, question);
    if (error == 0 && !question->answered)
        error = http_answer(context, question, 500, "text/plain", "there is no answer\n", 19);
    return error;
}

/* One request and its answer. *slot: bytes of the next one that have come already. 0: the connection goes on. */
static int serve_one(struct weir_context *context, struct connection *connection, struct http_slot **slot,
                     bool *ret_reset)
{
    struct http_server *server = connection->server;
    size_t end = 0, fed = 0;
    int error = *slot ? 0 : read_first(context, connection, slot);
    if (error)
        return error;
    int64_t now = weir_now(context);
    error = read_head(context, connection, *slot, now + REQUEST_NS);
    if (error == 0)
        error = read_body(context, connection, *slot, now + REQUEST_NS, &end, &fed);
    if (error == -EBADMSG || error == -EMSGSIZE)
        refuse(context, connection, *slot, error);
    if (error)
        return error;
    struct http_question question = {
        .server = server, .slot = *slot, .stream = connection->stream, .arrived_ns = now, .size = fed};
    describe(&question, *slot, end);
    server->counters.requests++;
    error = answer(context, server, &question);
    *ret_reset = question.reset;
    if (!question.slot) {
        *slot = NULL;
    } else {
        struct weir_buffer *bytes = &(*slot)->bytes;
        memmove(bytes->data, bytes->data + fed, bytes->size - fed);
        bytes->size -= fed;
        if (bytes->size == 0) {
            give_slot(server, *slot);
            *slot = NULL;
        }
    }
    return error == 0 && !question.keep_alive ? -EPIPE : error;
}

static void close_connection(void *argument)
{
    struct connection *connection = argument;
    connection->server->counters.connections--;
    weir_stream_close(connection->stream, false);
    memory_free(connection);
}

static int serve_connection(struct weir_context *context, void *argument)
{
    struct connection *connection = argument;
    struct http_server *server = connection->server;
    struct http_slot *slot = NULL;
    bool reset = false;
    while (serve_one(context, connection, &slot, &reset) == 0)
        ;
    give_slot(server, slot);
    if (reset) {
        weir_stream_close(connection->stream, true);
        connection->stream = NULL;
    }
    close_connection(connection);
    return 0;
}

static bool is_loopback(const struct weir_stream *stream)
{
    const char *peer = weir_stream_peer(stream);
    return strncmp(peer, "127.", 4) == 0 || strncmp(peer, "[::1]", 5) == 0 || strncmp(peer, "::1", 3) == 0;
}

static void start_connection(struct http_server *server, struct weir_scope *scope, struct weir_stream *stream)
{
    struct http_server_counters *counters = &server->counters;
    bool welcome = counters->connections < server->options.connections_most &&
                   (!server->loopback_only || is_loopback(stream));
    struct connection *connection = welcome ? memory_zeroed(1, sizeof *connection) : NULL;
    if (!connection) {
        counters->turned_away++;
        weir_stream_close(stream, false);
        return;
    }
    *connection = (struct connection){server, stream};
    counters->accepted++;
    counters->connections++;
    if (counters->connections > counters->connections_most)
        counters->connections_most = counters->connections;
    if (weir_scope_spawn(scope, "connection", serve_connection, connection) < 0) {
        counters->turned_away++;
        close_connection(connection);
    }
}

int http_server_run(struct weir_context *context, struct http_server *server, struct weir_listener *listener)
{
    struct weir_scope scope;
    int error = 0;
    weir_scope_open(context, &scope);
    while (error != -ECANCELED) {
        struct weir_stream *stream;
        error = weir_stream_accept(context, listener, WEIR_NEVER, &stream);
        if (error == 0)
            start_connection(server, &scope, stream);
        else if (error != -ECANCELED && error != -ECONNABORTED)
            error = weir_sleep(context, ACCEPT_PAUSE); /* out of descriptors or memory: some will come free */
    }
    weir_scope_close(&scope);
    return error;
}
