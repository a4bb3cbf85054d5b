/* SPDX-License-Identifier: MIT */
/*
 * Real sockets. Reading and writing are tried at once, and only EAGAIN waits; after a short read or write the next one
 * waits without trying, because the kernel has said all it had to say and will tell of news (edge-triggered). On a
 * plain thread the waits are those of weir_wait_fd, and nothing is known beforehand.
 */
#include "async/runtime.h"

#include "base/memory.h"
#include "base/system.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 4096, PEER_TEXT = INET6_ADDRSTRLEN + 10 };

struct socket_stream {
    struct weir_stream stream;
    struct socket_watch watch; /* watch.descriptors NULL: not on a loop */
    char peer[PEER_TEXT];
};
struct socket_listener {
    struct weir_listener listener;
    struct socket_watch watch;
};

static const struct stream_ops socket_stream_ops;
static const struct listener_ops socket_listener_ops;

static socklen_t address_size(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)address)->sin_port = htons(port);
}

static uint16_t port_of(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                                                : ((const struct sockaddr_in *)address)->sin_port);
}

static void write_peer(char *out, const struct sockaddr_storage *address)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (address->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, text, sizeof text);
        snprintf(out, PEER_TEXT, "[%s]:%u", text, port_of(address));
    } else {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, sizeof text);
        snprintf(out, PEER_TEXT, "%s:%u", text, port_of(address));
    }
}

/* ---- Waiting ---- */

static int wait_readable(struct weir_context *context, struct socket_watch *watch, int64_t deadline)
{
    if (!watch->descriptors)
        return weir_wait_fd(context, watch->fd, POLLIN, deadline);
    watch->readable = watch->ended;
    while (!watch->readable) {
        int result = weir_event_wait(context, &watch->readers, deadline);
        if (result < 0)
            return result;
    }
    return 0;
}

static int wait_writable(struct weir_context *context, struct socket_watch *watch, int64_t deadline)
{
    if (!watch->descriptors)
        return weir_wait_fd(context, watch->fd, POLLOUT, deadline);
    watch->writable = false;
    while (!watch->writable) {
        int result = weir_event_wait(context, &watch->writers, deadline);
        if (result < 0)
            return result;
    }
    return 0;
}

static void breathe(struct weir_context *context)
{
    if (context->task)
        task_breathe(context->task);
}

/* ---- Streams ---- */

/* Takes over the descriptor, also on failure. */
static int wrap(struct weir_context *context, int fd, const struct sockaddr_storage *peer, struct socket_stream **ret)
{
    struct socket_stream *stream = memory_zeroed(1, sizeof *stream);
    int on = 1, error = stream ? 0 : -ENOMEM;
    if (stream) {
        stream->stream.ops = &socket_stream_ops;
        stream->watch = (struct socket_watch){.fd = fd, .readable = true, .writable = true};
        write_peer(stream->peer, peer);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* refused: slower, not wrong */
        if (context->task)
            error = socket_watch_add(context->task->loop->descriptors, &stream->watch, fd);
    }
    if (error < 0) {
        close(fd);
        memory_free(stream);
        return error;
    }
    *ret = stream;
    return 0;
}

static int finish_connecting(struct weir_context *context, struct socket_stream *stream, int64_t deadline)
{
    int error = wait_writable(context, &stream->watch, deadline);
    if (error < 0)
        return error;
    socklen_t size = sizeof error;
    if (SYSTEM_CALL(getsockopt(stream->watch.fd, SOL_SOCKET, SO_ERROR, &error, &size)) < 0)
        return -errno;
    return -error;
}

static int bind_local(struct weir_context *context, int fd, const char *local, int64_t deadline)
{
    struct addresses addresses;
    int on = 1, error = resolve(context, local, true, deadline, &addresses);
    if (error < 0)
        return error;
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (SYSTEM_CALL(bind(fd, (const struct sockaddr *)&addresses.items[0], address_size(&addresses.items[0]))) < 0)
        return -errno;
    return 0;
}

static int connect_to(struct weir_context *context, const struct sockaddr_storage *address, const char *local,
                      int64_t deadline, struct weir_stream **ret)
{
    struct socket_stream *stream;
    int fd = SYSTEM_CALL(socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd < 0)
        return -errno;
    int error = local ? bind_local(context, fd, local, deadline) : 0;
    bool pending = false;
    if (error == 0 && SYSTEM_CALL(connect(fd, (const struct sockaddr *)address, address_size(address))) < 0) {
        pending = errno == EINPROGRESS || errno == EINTR;
        error = pending ? 0 : -errno;
    }
    if (error < 0) {
        close(fd);
        return error;
    }
    error = wrap(context, fd, address, &stream);
    if (error < 0)
        return error;
    error = pending ? finish_connecting(context, stream, deadline) : 0;
    if (error < 0) {
        weir_stream_close(&stream->stream, true);
        return error;
    }
    stream->watch.ended = false; /* what was said before it was connected does not count */
    stream->watch.readable = true;
    *ret = &stream->stream;
    return 0;
}

/* Each address but the last gets its share of the time that is left. */
static int64_t share(struct weir_context *context, int64_t deadline, uint32_t left)
{
    int64_t now = weir_now(context);
    return deadline == WEIR_NEVER || deadline <= now ? deadline : now + (deadline - now) / left;
}

int socket_connect(struct weir_context *context, const char *host, uint16_t port, const char *local, int64_t deadline,
                   struct weir_stream **ret)
{
    struct addresses addresses;
    int error = resolve(context, host, false, deadline, &addresses);
    for (uint32_t i = 0; error == 0 && i < addresses.count; i++) {
        uint32_t left = addresses.count - i;
        set_port(&addresses.items[i], port);
        error = connect_to(context, &addresses.items[i], local, share(context, deadline, left), ret);
        if (error == 0 || error == -ECANCELED || error == -ENOMEM || left == 1)
            return error;
        error = 0;
    }
    return error;
}

static int64_t stream_read(struct weir_context *context, struct weir_stream *base, void *bytes, size_t size,
                           int64_t deadline)
{
    struct socket_stream *stream = (struct socket_stream *)base;
    breathe(context); /* before, not after: between the bytes and the caller no other task runs */
    for (;;) {
        if (stream->watch.readable || stream->watch.ended) {
            ssize_t got = SYSTEM_CALL(recv(stream->watch.fd, bytes, size, 0));
            if (got >= 0) {
                if ((size_t)got < size && stream->watch.descriptors)
                    stream->watch.readable = false;
                return got;
            }
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN)
                return -errno;
            stream->watch.ended = false;
        }
        int result = wait_readable(context, &stream->watch, deadline);
        if (result < 0)
            return result;
    }
}

static int stream_write(struct weir_context *context, struct weir_stream *base, const void *bytes, size_t size,
                        int64_t deadline)
{
    struct socket_stream *stream = (struct socket_stream *)base;
    const char *at = bytes;
    while (size > 0) {
        ssize_t sent = SYSTEM_CALL(send(stream->watch.fd, at, size, MSG_NOSIGNAL));
        if (sent >= 0) {
            at += sent;
            size -= (size_t)sent;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        int result = wait_writable(context, &stream->watch, deadline);
        if (result < 0)
            return result;
    }
    breathe(context);
    return 0;
}

static bool stream_stale(struct weir_stream *base)
{
    struct socket_stream *stream = (struct socket_stream *)base;
    char byte;
    if (stream->watch.descriptors && !stream->watch.readable && !stream->watch.ended)
        return false;
    return recv(stream->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

static const char *stream_peer(const struct weir_stream *stream)
{
    return ((const struct socket_stream *)stream)->peer;
}

static void stream_close(struct weir_stream *base, bool reset)
{
    struct socket_stream *stream = (struct socket_stream *)base;
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        (void)setsockopt(stream->watch.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(stream->watch.fd);
    memory_free(stream);
}

static const struct stream_ops socket_stream_ops = {
    .read = stream_read,
    .write = stream_write,
    .stale = stream_stale,
    .peer = stream_peer,
    .close = stream_close,
};

/* ---- Listeners ---- */

static int listen_at(int fd, const struct sockaddr_storage *address, uint16_t *port)
{
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (SYSTEM_CALL(bind(fd, (const struct sockaddr *)address, address_size(address))) < 0 ||
        SYSTEM_CALL(listen(fd, BACKLOG)) < 0 || SYSTEM_CALL(getsockname(fd, (struct sockaddr *)&bound, &size)) < 0)
        return -errno;
    *port = port_of(&bound);
    return 0;
}

int socket_listen(struct weir_context *context, const char *host, uint16_t port, struct weir_listener **ret)
{
    struct addresses addresses;
    int error = resolve(context, host, true, WEIR_NEVER, &addresses);
    if (error < 0)
        return error;
    struct socket_listener *listener = memory_zeroed(1, sizeof *listener);
    if (!listener)
        return -ENOMEM;
    set_port(&addresses.items[0], port);
    int fd = SYSTEM_CALL(socket(addresses.items[0].ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    error = fd < 0 ? -errno : listen_at(fd, &addresses.items[0], &listener->listener.port);
    listener->listener.ops = &socket_listener_ops;
    listener->watch = (struct socket_watch){.fd = fd, .readable = true};
    if (error == 0 && context->task)
        error = socket_watch_add(context->task->loop->descriptors, &listener->watch, fd);
    if (error < 0) {
        if (fd >= 0)
            close(fd);
        memory_free(listener);
        return error;
    }
    *ret = &listener->listener;
    return 0;
}

static int listener_accept(struct weir_context *context, struct weir_listener *base, int64_t deadline,
                           struct weir_stream **ret)
{
    struct socket_listener *listener = (struct socket_listener *)base;
    struct socket_stream *stream;
    struct sockaddr_storage peer;
    for (;;) {
        socklen_t size = sizeof peer;
        int fd = SYSTEM_CALL(
            accept4(listener->watch.fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (fd >= 0) {
            int error = wrap(context, fd, &peer, &stream);
            if (error < 0)
                return error;
            *ret = &stream->stream;
            breathe(context);
            return 0;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno != EAGAIN)
            return -errno;
        int result = wait_readable(context, &listener->watch, deadline);
        if (result < 0)
            return result;
    }
}

static void listener_close(struct weir_listener *base)
{
    struct socket_listener *listener = (struct socket_listener *)base;
    close(listener->watch.fd);
    memory_free(listener);
}

static const struct listener_ops socket_listener_ops = {.accept = listener_accept, .close = listener_close};
