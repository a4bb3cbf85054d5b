/* SPDX-License-Identifier: MIT */
/* Connections of the HTTP client, kept alive by endpoint, and the buffers that replies are read into. */
#include "net/http_private.h"

#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

/* ---- Endpoints -------------------------------------------------------------------------------------------------- */

static size_t copy_lower(struct http_text host, char *out)
{
    for (size_t i = 0; i < host.length; i++) {
        char c = host.text[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
    }
    out[host.length] = 0;
    return host.length;
}

static int grow_slots(struct http_client *client)
{
    uint32_t count = client->slot_count ? client->slot_count * 2 : HTTP_ENDPOINT_SLOTS;
    struct http_endpoint **slots = memory_zeroed(count, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < client->slot_count; i++) {
        for (struct http_endpoint *at = client->slots[i], *next; at; at = next) {
            next = at->next;
            at->next = slots[at->hash & (count - 1)];
            slots[at->hash & (count - 1)] = at;
        }
    }
    memory_free(client->slots);
    client->slots = slots;
    client->slot_count = count;
    return 0;
}

/* The endpoint of the call's URL, made when it is new. It goes when its last connection and waiter do. */
static struct http_endpoint *find_endpoint(struct http_call *call)
{
    struct http_client *client = call->client;
    char host[HTTP_HOST_MOST + 1];
    size_t length = copy_lower(call->url.host, host);
    uint64_t hash = hash_u64(hash_bytes(host, length) + call->url.port);
    if (client->endpoint_count >= client->slot_count && grow_slots(client) < 0 && client->slot_count == 0)
        return NULL;
    struct http_endpoint **slot = &client->slots[hash & (client->slot_count - 1)];
    for (struct http_endpoint *at = *slot; at; at = at->next) {
        if (at->hash == hash && at->port == call->url.port && strcmp(at->host, host) == 0)
            return at;
    }
    struct http_endpoint *endpoint = memory_zeroed(1, sizeof *endpoint + length + 1);
    if (!endpoint)
        return NULL;
    endpoint->hash = hash;
    endpoint->port = call->url.port;
    memcpy(endpoint->host, host, length + 1);
    endpoint->next = *slot;
    *slot = endpoint;
    client->endpoint_count++;
    return endpoint;
}

static void drop_endpoint(struct http_client *client, struct http_endpoint *endpoint)
{
    if (endpoint->live > 0 || endpoint->waiting > 0)
        return;
    struct http_endpoint **at = &client->slots[endpoint->hash & (client->slot_count - 1)];
    while (*at != endpoint)
        at = &(*at)->next;
    *at = endpoint->next;
    client->endpoint_count--;
    memory_free(endpoint);
}

/* One connection fewer: who waits for one may open it. */
static void leave_endpoint(struct http_client *client, struct http_endpoint *endpoint)
{
    client->counters.connections--;
    endpoint->live--;
    if (endpoint->waiting > 0)
        weir_event_signal(&endpoint->freed, false);
    drop_endpoint(client, endpoint);
}

/* ---- Connections ------------------------------------------------------------------------------------------------ */

static void unlink_idle(struct http_client *client, struct http_connection *connection)
{
    *(connection->above ? &connection->above->below : &connection->endpoint->idle) = connection->below;
    if (connection->below)
        connection->below->above = connection->above;
    *(connection->older ? &connection->older->newer : &client->oldest) = connection->newer;
    *(connection->newer ? &connection->newer->older : &client->newest) = connection->older;
    client->counters.idle--;
}

static void close_connection(struct http_client *client, struct http_connection *connection, bool reset)
{
    struct http_endpoint *endpoint = connection->endpoint;
    weir_stream_close(connection->stream, reset);
    memory_free(connection);
    leave_endpoint(client, endpoint);
}

/* The idle connection used last that still stands, or NULL. The endpoint has live connections or a waiter. */
static struct http_connection *take_idle(struct http_call *call, struct http_endpoint *endpoint)
{
    struct http_client *client = call->client;
    struct http_connection *connection;
    endpoint->waiting++; /* holds it while its connections go */
    while ((connection = endpoint->idle)) {
        unlink_idle(client, connection);
        bool old = weir_now(call->context) - connection->idle_since > client->options.idle_ns;
        if (!old && !weir_stream_stale(connection->stream))
            break;
        close_connection(client, connection, false);
    }
    endpoint->waiting--;
    if (connection) {
        connection->reused = true;
        client->counters.reused++;
    }
    return connection;
}

static enum http_outcome connect_outcome(int error)
{
    switch (error) {
    case -ECONNREFUSED:
        return HTTP_REFUSED;
    case -ENXIO:
        return HTTP_NO_SUCH_NAME;
    case -EHOSTUNREACH:
    case -ENETUNREACH:
    case -ENETDOWN:
    case -EHOSTDOWN:
        return HTTP_UNREACHABLE;
    case -ETIMEDOUT:
        return HTTP_CONNECT_TIMEOUT;
    case -ECANCELED:
        return HTTP_CANCELLED;
    case -ENOMEM:
        return HTTP_NO_MEMORY;
    case -ECONNRESET:
        return HTTP_RESET;
    default:
        return HTTP_CONNECT_FAILED;
    }
}

static int open_connection(struct http_call *call, struct http_endpoint *endpoint, struct http_connection **ret)
{
    struct http_client *client = call->client;
    struct http_connection *connection = memory_zeroed(1, sizeof *connection);
    endpoint->live++;
    client->counters.connections++;
    int error = connection ? weir_stream_connect(call->context, endpoint->host, endpoint->port, client->options.local,
                                                 call->deadline, &connection->stream)
                           : -ENOMEM;
    if (error == 0) {
        connection->endpoint = endpoint;
        client->counters.opened++;
        if (client->counters.connections > client->counters.connections_most)
            client->counters.connections_most = client->counters.connections;
        *ret = connection;
        return 0;
    }
    memory_free(connection);
    leave_endpoint(client, endpoint);
    return http_fail(call->reply, connect_outcome(error), error);
}

/* Waits until a connection of the endpoint came free, or closes. */
static int wait_for_turn(struct http_call *call, struct http_endpoint *endpoint)
{
    endpoint->waiting++;
    int error = weir_event_wait(call->context, &endpoint->freed, call->deadline);
    endpoint->waiting--;
    if (error == 0)
        return 0;
    if (endpoint->waiting > 0) /* the signal may have been for this one: it is passed on */
        weir_event_signal(&endpoint->freed, false);
    drop_endpoint(call->client, endpoint);
    return http_fail(call->reply, error == -ETIMEDOUT ? HTTP_BUSY_TIMEOUT : HTTP_CANCELLED, error);
}

int http_pool_take(struct http_call *call, bool fresh, struct http_connection **ret)
{
    for (;;) {
        struct http_endpoint *endpoint = find_endpoint(call);
        if (!endpoint)
            return http_fail(call->reply, HTTP_NO_MEMORY, -ENOMEM);
        struct http_connection *idle = fresh ? NULL : take_idle(call, endpoint);
        if (idle) {
            *ret = idle;
            return 0;
        }
        if (endpoint->live < call->client->options.connections_most)
            return open_connection(call, endpoint, ret);
        if (endpoint->idle) { /* a fresh one is wanted, and all places are taken: one that is older goes */
            struct http_connection *oldest = endpoint->idle;
            unlink_idle(call->client, oldest);
            close_connection(call->client, oldest, false);
            continue;
        }
        int error = wait_for_turn(call, endpoint);
        if (error)
            return error;
    }
}

static void keep_connection(struct http_client *client, struct http_connection *connection, int64_t now)
{
    struct http_endpoint *endpoint = connection->endpoint;
    connection->idle_since = now;
    connection->above = NULL;
    connection->below = endpoint->idle;
    if (connection->below)
        connection->below->above = connection;
    endpoint->idle = connection;
    connection->newer = NULL;
    connection->older = client->newest;
    *(client->newest ? &client->newest->newer : &client->oldest) = connection;
    client->newest = connection;
    client->counters.idle++;
    if (endpoint->waiting > 0)
        weir_event_signal(&endpoint->freed, false);
}

void http_pool_give(struct http_client *client, struct http_connection *connection, bool keep, bool reset, int64_t now)
{
    if (keep)
        keep_connection(client, connection, now);
    else
        close_connection(client, connection, reset);
    struct http_connection *oldest = client->oldest;
    if (oldest &&
        (client->counters.idle > client->options.idle_most || now - oldest->idle_since > client->options.idle_ns)) {
        unlink_idle(client, oldest);
        close_connection(client, oldest, false);
    }
}

void http_pool_close_all(struct http_client *client)
{
    while (client->oldest) {
        struct http_connection *oldest = client->oldest;
        unlink_idle(client, oldest);
        close_connection(client, oldest, false);
    }
    memory_free(client->slots);
}

/* ---- Buffers ---------------------------------------------------------------------------------------------------- */

struct http_exchange *http_exchange_take(struct http_client *client)
{
    struct http_exchange *exchange = client->exchanges;
    if (!exchange) {
        exchange = memory_allocate(sizeof *exchange);
        if (exchange)
            exchange->bytes = (struct weir_buffer){0};
        return exchange;
    }
    client->exchanges = exchange->next;
    client->exchange_count--;
    return exchange;
}

void http_exchange_give(struct http_client *client, struct http_exchange *exchange)
{
    if (!exchange)
        return;
    if (client->exchange_count == HTTP_BUFFERS_KEPT_MOST) {
        buffer_free(&exchange->bytes);
        memory_free(exchange);
        return;
    }
    if (exchange->bytes.capacity > HTTP_BUFFER_KEPT_SIZE || exchange->bytes.failed)
        buffer_free(&exchange->bytes);
    exchange->bytes.size = 0;
    exchange->next = client->exchanges;
    client->exchanges = exchange;
    client->exchange_count++;
}
