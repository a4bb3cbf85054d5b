/* SPDX-License-Identifier: MIT */
/*
 * The simulated network. A connection is two pipes; what is written into one stands there as chunks with the time at
 * which each arrives, and the reader waits for that time. Tasks of several loops take part; they are all on one thread.
 */
#include "async/network.h"

#include "async/runtime.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { BUCKETS = 256, PIPE_BYTES = 64 * 1024, BACKLOG_MOST = 4096, FIRST_FREE_PORT = 49152, PORTS = 65536 };
#define GIVE_UP_NS (127 * CLOCK_SECOND) /* how long a connect to a silent host takes without a deadline: as Linux */

struct chunk {
    struct chunk *next;
    int64_t arrival;
    size_t size, taken;
    char bytes[];
};

/* One direction. */
struct pipe {
    struct chunk *first, *last;
    size_t bytes;
    int64_t newest;   /* arrival of the last thing in it: what is written later does not arrive earlier */
    int64_t end_at;   /* the reader sees the end; INT64_MAX: not yet */
    int64_t reset_at; /* the reader sees a reset */
    bool lost;        /* something vanished: nothing that comes after it can be read */
    struct weir_event readers, writers;
};

struct link {
    struct network *network;
    struct host *host; /* whom it was made to: its faults */
    struct pipe pipes[2];
    bool closed[2];
};

struct simulated_stream {
    struct weir_stream stream;
    struct link *link;
    struct context_clock *clock;
    struct simulated_stream *next; /* in a backlog */
    int side;                      /* reads pipes[side], writes the other */
    char peer[];
};

struct simulated_listener {
    struct weir_listener listener;
    struct network *network;
    struct simulated_listener *next, **list;
    struct simulated_stream *first, *last;
    uint32_t count;
    struct weir_event accepters;
};

struct host {
    struct host *next;
    struct network_faults faults;
    bool own_faults, down;
    struct simulated_listener *listeners;
    char name[];
};

struct network {
    uint64_t random;
    struct network_faults everywhere;
    struct host *buckets[BUCKETS];
    uint32_t hosts_set;
    struct simulated_listener *listeners; /* at any address */
    uint16_t next_port, lead_to;
    uint64_t streams;
};

static const struct stream_ops simulated_stream_ops;
static const struct listener_ops simulated_listener_ops;

/* ---- Hosts and faults ---- */

struct network *network_new(uint64_t seed)
{
    struct network *network = memory_zeroed(1, sizeof *network);
    if (network) {
        network->random = seed;
        network->next_port = FIRST_FREE_PORT;
    }
    return network;
}

void network_free(struct network *network)
{
    if (!network)
        return;
    assert(network->streams == 0 && "a stream of this network is still open");
    for (uint32_t i = 0; i < BUCKETS; i++)
        while (network->buckets[i]) {
            struct host *host = network->buckets[i];
            network->buckets[i] = host->next;
            memory_free(host);
        }
    memory_free(network);
}

void network_lead_to(struct network *network, uint16_t port)
{
    network->lead_to = port;
}

/* NULL: out of memory. */
static struct host *host_named(struct network *network, const char *name)
{
    size_t length = strlen(name);
    struct host **at = &network->buckets[hash_bytes(name, length) % BUCKETS];
    for (; *at; at = &(*at)->next)
        if (strcmp((*at)->name, name) == 0)
            return *at;
    struct host *host = memory_zeroed(1, sizeof *host + length + 1);
    if (!host)
        return NULL;
    memcpy(host->name, name, length);
    return *at = host;
}

int network_set_faults(struct network *network, const char *name, const struct network_faults *faults)
{
    if (!name) {
        network->everywhere = *faults;
        return 0;
    }
    struct host *host = host_named(network, name);
    if (!host)
        return -ENOMEM;
    if (!host->own_faults && network->hosts_set == NETWORK_FAULTS_MOST)
        return -ENOSPC;
    network->hosts_set += !host->own_faults;
    host->own_faults = true;
    host->faults = *faults;
    return 0;
}

int network_set_down(struct network *network, const char *name, bool down)
{
    struct host *host = host_named(network, name);
    if (!host)
        return -ENOMEM;
    host->down = down;
    return 0;
}

static uint64_t draw(struct network *network)
{
    return hash_random(&network->random);
}

static bool happens(struct network *network, double ratio)
{
    return ratio > 0 && (double)(draw(network) >> 11) * 0x1p-53 < ratio;
}

static const struct network_faults *faults_of(const struct network *network, const struct host *host)
{
    return host->own_faults ? &host->faults : &network->everywhere;
}

static int64_t latency(struct network *network, const struct host *host)
{
    const struct network_faults *faults = faults_of(network, host);
    int64_t span = faults->latency_most_ns - faults->latency_least_ns;
    return faults->latency_least_ns + (span > 0 ? (int64_t)(draw(network) % ((uint64_t)span + 1)) : 0);
}

/* ---- Pipes ---- */

static struct pipe *incoming(struct simulated_stream *stream)
{
    return &stream->link->pipes[stream->side];
}

static struct pipe *outgoing(struct simulated_stream *stream)
{
    return &stream->link->pipes[!stream->side];
}

static int64_t now_of(const struct simulated_stream *stream)
{
    return context_clock_now(stream->clock);
}

static void tell_both(struct pipe *pipe)
{
    weir_event_signal(&pipe->readers, true);
    weir_event_signal(&pipe->writers, true);
}

/* When something sent now arrives. */
static int64_t arrival(struct simulated_stream *stream, struct pipe *pipe)
{
    int64_t at = now_of(stream) + latency(stream->link->network, stream->link->host);
    return pipe->newest = at > pipe->newest ? at : pipe->newest;
}

static void end_pipe(struct pipe *pipe, int64_t at, bool reset)
{
    int64_t *when = reset ? &pipe->reset_at : &pipe->end_at;
    if (at < *when && !pipe->lost)
        *when = at;
    tell_both(pipe);
}

static void drop_chunks(struct pipe *pipe)
{
    while (pipe->first) {
        struct chunk *chunk = pipe->first;
        pipe->first = chunk->next;
        memory_free(chunk);
    }
    pipe->last = NULL;
    pipe->bytes = 0;
}

static struct simulated_stream *new_end(struct context_clock *clock, struct link *link, int side, const char *host,
                                        uint16_t port)
{
    char *peer = memory_format("%s:%u", host, port);
    size_t length = peer ? strlen(peer) + 1 : 0;
    struct simulated_stream *stream = peer ? memory_zeroed(1, sizeof *stream + length) : NULL;
    if (stream) {
        stream->stream.ops = &simulated_stream_ops;
        stream->link = link;
        stream->clock = clock;
        stream->side = side;
        memcpy(stream->peer, peer, length);
    }
    memory_free(peer);
    return stream;
}

/* ---- Streams ---- */

static size_t take_bytes(struct pipe *pipe, int64_t now, char *bytes, size_t size)
{
    size_t taken = 0;
    while (pipe->first && pipe->first->arrival <= now && taken < size) {
        struct chunk *chunk = pipe->first;
        size_t part = chunk->size - chunk->taken < size - taken ? chunk->size - chunk->taken : size - taken;
        memcpy(bytes + taken, chunk->bytes + chunk->taken, part);
        chunk->taken += part;
        taken += part;
        if (chunk->taken < chunk->size)
            break;
        pipe->first = chunk->next;
        if (!pipe->first)
            pipe->last = NULL;
        memory_free(chunk);
    }
    pipe->bytes -= taken;
    if (taken)
        weir_event_signal(&pipe->writers, true);
    return taken;
}

/* When something next happens for the reader. */
static int64_t next_news(const struct pipe *pipe)
{
    int64_t next = pipe->first ? pipe->first->arrival : pipe->end_at;
    return pipe->reset_at < next ? pipe->reset_at : next;
}

static int64_t stream_read(struct weir_context *context, struct weir_stream *base, void *bytes, size_t size,
                           int64_t deadline)
{
    struct simulated_stream *stream = (struct simulated_stream *)base;
    struct pipe *pipe = incoming(stream);
    task_breathe(context->task); /* before, not after: between the bytes and the caller no other task runs */
    for (;;) {
        int64_t now = now_of(stream), next = next_news(pipe);
        if (pipe->reset_at <= now)
            return -ECONNRESET;
        size_t taken = take_bytes(pipe, now, bytes, size);
        if (taken)
            return (int64_t)taken;
        if (next <= now)
            return 0;
        int result = task_wait(context->task, &pipe->readers, next < deadline ? next : deadline);
        if (result < 0 && !(result == -ETIMEDOUT && next < deadline))
            return result;
    }
}

static int append_chunk(struct pipe *pipe, const char *bytes, size_t size, int64_t at)
{
    struct chunk *chunk = memory_allocate(sizeof *chunk + size);
    if (!chunk)
        return -ENOMEM;
    *chunk = (struct chunk){.arrival = at, .size = size};
    memcpy(chunk->bytes, bytes, size);
    if (pipe->last)
        pipe->last->next = chunk;
    else
        pipe->first = chunk;
    pipe->last = chunk;
    pipe->bytes += size;
    weir_event_signal(&pipe->readers, true);
    return 0;
}

/* What can be said before anything is sent. */
static int write_refused(struct simulated_stream *stream)
{
    int64_t now = now_of(stream);
    if (incoming(stream)->reset_at <= now)
        return -ECONNRESET;
    return incoming(stream)->end_at <= now || outgoing(stream)->end_at != INT64_MAX ? -EPIPE : 0;
}

/* One write, or as much of it as there is room for. Returns how much, or a negative errno. */
static int64_t send_some(struct simulated_stream *stream, const char *bytes, size_t size)
{
    struct network *network = stream->link->network;
    struct pipe *pipe = outgoing(stream);
    const struct network_faults *faults = faults_of(network, stream->link->host);
    if (stream->link->host->down || pipe->lost) {
        pipe->lost = true;
        return (int64_t)size;
    }
    size_t room = PIPE_BYTES - pipe->bytes;
    size_t part = size < room ? size : room;
    if (happens(network, faults->reset_ratio)) {
        end_pipe(pipe, arrival(stream, pipe), true);
        end_pipe(incoming(stream), now_of(stream), true);
        return -ECONNRESET;
    }
    if (happens(network, faults->stall_ratio))
        pipe->newest = (pipe->newest > now_of(stream) ? pipe->newest : now_of(stream)) + faults->stall_ns;
    int64_t at = arrival(stream, pipe);
    bool cut = happens(network, faults->cut_ratio);
    size_t sent = cut ? draw(network) % part : part;
    int error = sent ? append_chunk(pipe, bytes, sent, at) : 0;
    if (error < 0)
        return error;
    if (cut) {
        end_pipe(pipe, at, false);
        end_pipe(incoming(stream), now_of(stream), false);
    }
    return (int64_t)(cut ? size : part);
}

static int stream_write(struct weir_context *context, struct weir_stream *base, const void *bytes, size_t size,
                        int64_t deadline)
{
    struct simulated_stream *stream = (struct simulated_stream *)base;
    struct pipe *pipe = outgoing(stream);
    const char *at = bytes;
    while (size > 0) {
        int error = write_refused(stream);
        if (error < 0)
            return error;
        if (pipe->bytes >= PIPE_BYTES) {
            int result = task_wait(context->task, &pipe->writers, deadline);
            if (result < 0)
                return result;
            continue;
        }
        int64_t sent = send_some(stream, at, size);
        if (sent < 0)
            return (int)sent;
        at += sent;
        size -= (size_t)sent;
    }
    task_breathe(context->task);
    return 0;
}

static bool stream_stale(struct weir_stream *base)
{
    struct simulated_stream *stream = (struct simulated_stream *)base;
    return next_news(incoming(stream)) <= now_of(stream);
}

static const char *stream_peer(const struct weir_stream *stream)
{
    return ((const struct simulated_stream *)stream)->peer;
}

static void stream_close(struct weir_stream *base, bool reset)
{
    struct simulated_stream *stream = (struct simulated_stream *)base;
    struct link *link = stream->link;
    struct pipe *out = outgoing(stream), *in = incoming(stream);
    reset = reset || in->first; /* as TCP does when bytes were not read */
    drop_chunks(in);
    in->lost = true;
    link->closed[stream->side] = true;
    if (link->closed[!stream->side]) {
        link->network->streams--;
        drop_chunks(out);
        memory_free(link);
    } else {
        if (link->host->down)
            out->lost = true;
        end_pipe(out, arrival(stream, out), reset);
        weir_event_signal(&in->writers, true);
    }
    memory_free(stream);
}

static const struct stream_ops simulated_stream_ops = {
    .read = stream_read,
    .write = stream_write,
    .stale = stream_stale,
    .peer = stream_peer,
    .close = stream_close,
};

/* ---- Connecting and listening ---- */

static int pause_until(struct weir_context *context, int64_t when, int64_t deadline)
{
    if (when <= weir_now(context))
        return 0;
    int result = task_wait(context->task, NULL, when < deadline ? when : deadline);
    return result == -ETIMEDOUT && when <= deadline ? 0 : result;
}

static struct simulated_listener *listening(struct network *network, struct host *host, uint16_t port)
{
    for (struct simulated_listener *at = host->listeners; at; at = at->next)
        if (at->listener.port == port)
            return at;
    for (struct simulated_listener *at = network->listeners; at; at = at->next)
        if (at->listener.port == port)
            return at;
    return NULL;
}

/* Both ends; the far one stands in the listener's backlog. */
static int make_link(struct weir_context *context, struct simulated_listener *listener, struct host *host,
                     struct simulated_stream **ret)
{
    struct network *network = listener->network;
    struct link *link = memory_zeroed(1, sizeof *link);
    struct simulated_stream *near = new_end(context->clock, link, 0, host->name, listener->listener.port);
    struct simulated_stream *far = new_end(context->clock, link, 1, "client", network->next_port);
    if (!link || !near || !far) {
        memory_free(link);
        memory_free(near);
        memory_free(far);
        return -ENOMEM;
    }
    link->network = network;
    link->host = host;
    for (int i = 0; i < 2; i++)
        link->pipes[i].end_at = link->pipes[i].reset_at = INT64_MAX;
    network->streams++;
    if (listener->last)
        listener->last->next = far;
    else
        listener->first = far;
    listener->last = far;
    listener->count++;
    weir_event_signal(&listener->accepters, false);
    *ret = near;
    return 0;
}

int network_connect(struct weir_context *context, struct network *network, const char *name, uint16_t port,
                    int64_t deadline, struct weir_stream **ret)
{
    struct host *host = host_named(network, name);
    if (!host)
        return -ENOMEM;
    int64_t give_up = weir_now(context) + GIVE_UP_NS;
    if (host->down)
        return task_wait(context->task, NULL, deadline < give_up ? deadline : give_up);
    bool refused = happens(network, faults_of(network, host)->refuse_ratio);
    int error = pause_until(context, weir_now(context) + latency(network, host), deadline);
    if (error < 0)
        return error;
    struct simulated_listener *listener = refused ? NULL : listening(network, host, port);
    if (!listener && !refused && network->lead_to)
        listener = listening(network, host, network->lead_to);
    struct simulated_stream *stream = NULL;
    if (listener && listener->count < BACKLOG_MOST)
        error = make_link(context, listener, host, &stream);
    if (error == 0)
        error = pause_until(context, weir_now(context) + latency(network, host), deadline);
    if (error == 0 && !stream)
        error = -ECONNREFUSED;
    if (error < 0) {
        weir_stream_close(stream ? &stream->stream : NULL, true);
        return error;
    }
    *ret = &stream->stream;
    return 0;
}

static int free_port(struct network *network, struct host *host, uint16_t *ret)
{
    for (uint32_t tries = 0; tries < PORTS - FIRST_FREE_PORT; tries++) {
        uint16_t port = network->next_port;
        network->next_port = port == PORTS - 1 ? FIRST_FREE_PORT : port + 1;
        if (!listening(network, host, port)) {
            *ret = port;
            return 0;
        }
    }
    return -EADDRINUSE;
}

int network_listen(struct weir_context *context, struct network *network, const char *name, uint16_t port,
                   struct weir_listener **ret)
{
    (void)context;
    bool anywhere = !name || !*name || strcmp(name, "*") == 0 || strcmp(name, "0.0.0.0") == 0;
    struct host *host = host_named(network, anywhere ? "0.0.0.0" : name);
    struct simulated_listener *listener = host ? memory_zeroed(1, sizeof *listener) : NULL;
    if (!listener)
        return -ENOMEM;
    int error = port == 0 ? free_port(network, host, &port) : listening(network, host, port) ? -EADDRINUSE : 0;
    if (error < 0) {
        memory_free(listener);
        return error;
    }
    listener->listener = (struct weir_listener){.ops = &simulated_listener_ops, .port = port};
    listener->network = network;
    listener->list = anywhere ? &network->listeners : &host->listeners;
    listener->next = *listener->list;
    *listener->list = listener;
    *ret = &listener->listener;
    return 0;
}

static int listener_accept(struct weir_context *context, struct weir_listener *base, int64_t deadline,
                           struct weir_stream **ret)
{
    struct simulated_listener *listener = (struct simulated_listener *)base;
    while (!listener->first) {
        int result = task_wait(context->task, &listener->accepters, deadline);
        if (result < 0)
            return result;
    }
    struct simulated_stream *stream = listener->first;
    listener->first = stream->next;
    if (!listener->first)
        listener->last = NULL;
    listener->count--;
    *ret = &stream->stream;
    return 0;
}

static void listener_close(struct weir_listener *base)
{
    struct simulated_listener *listener = (struct simulated_listener *)base;
    while (listener->first) {
        struct simulated_stream *stream = listener->first;
        listener->first = stream->next;
        weir_stream_close(&stream->stream, true);
    }
    struct simulated_listener **at = listener->list;
    while (*at != listener)
        at = &(*at)->next;
    *at = listener->next;
    memory_free(listener);
}

static const struct listener_ops simulated_listener_ops = {.accept = listener_accept, .close = listener_close};
