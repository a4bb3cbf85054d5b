/* SPDX-License-Identifier: MIT */
/* Streams: which kind they are is decided where they begin, by the clock and the network of the loop. */
#include "async/runtime.h"

#include <errno.h>

static struct network *network_of(const struct weir_context *context)
{
    return context->task ? context->task->loop->options.network : NULL;
}

int weir_stream_connect(struct weir_context *context, const char *host, uint16_t port, const char *local,
                        int64_t deadline_ns, struct weir_stream **ret)
{
    struct network *network = network_of(context);
    if (weir_stopping(context))
        return -ECANCELED;
    if (network)
        return network_connect(context, network, host, port, deadline_ns, ret);
    if (context->clock->simulated)
        return -ENETUNREACH;
    return socket_connect(context, host, port, local, deadline_ns, ret);
}

int64_t weir_stream_read(struct weir_context *context, struct weir_stream *stream, void *bytes, size_t size,
                         int64_t deadline_ns)
{
    if (weir_stopping(context))
        return -ECANCELED;
    if (size == 0)
        return -EINVAL;
    return stream->ops->read(context, stream, bytes, size, deadline_ns);
}

int weir_stream_write(struct weir_context *context, struct weir_stream *stream, const void *bytes, size_t size,
                      int64_t deadline_ns)
{
    if (weir_stopping(context))
        return -ECANCELED;
    return stream->ops->write(context, stream, bytes, size, deadline_ns);
}

bool weir_stream_stale(struct weir_stream *stream)
{
    return stream->ops->stale(stream);
}

const char *weir_stream_peer(const struct weir_stream *stream)
{
    return stream->ops->peer(stream);
}

void weir_stream_close(struct weir_stream *stream, bool reset)
{
    if (stream)
        stream->ops->close(stream, reset);
}

int weir_stream_listen(struct weir_context *context, const char *host, uint16_t port, struct weir_listener **ret)
{
    struct network *network = network_of(context);
    if (weir_stopping(context))
        return -ECANCELED;
    if (network)
        return network_listen(context, network, host, port, ret);
    if (context->clock->simulated)
        return -ENETUNREACH;
    return socket_listen(context, host, port, ret);
}

uint16_t weir_listener_port(const struct weir_listener *listener)
{
    return listener->port;
}

int weir_stream_accept(struct weir_context *context, struct weir_listener *listener, int64_t deadline_ns,
                       struct weir_stream **ret)
{
    if (weir_stopping(context))
        return -ECANCELED;
    return listener->ops->accept(context, listener, deadline_ns, ret);
}

void weir_listener_close(struct weir_listener *listener)
{
    if (listener)
        listener->ops->close(listener);
}
