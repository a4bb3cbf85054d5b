/* SPDX-License-Identifier: MIT */
/* Channels between tasks of one loop: no locks, since nothing else runs between two waits. */
#include "async/runtime.h"

#include "base/memory.h"

#include <errno.h>
#include <string.h>

struct weir_channel {
    size_t item_size;
    uint32_t capacity, first, count;
    bool closed;
    struct weir_event receivers, senders;
    char items[];
};

struct weir_channel *weir_channel_new(size_t item_size, uint32_t capacity)
{
    size_t size;
    if (!capacity || __builtin_mul_overflow(item_size, (size_t)capacity, &size) ||
        __builtin_add_overflow(size, sizeof(struct weir_channel), &size))
        return NULL;
    struct weir_channel *channel = memory_allocate(size);
    if (channel)
        *channel = (struct weir_channel){.item_size = item_size, .capacity = capacity};
    return channel;
}

void weir_channel_free(struct weir_channel *channel)
{
    memory_free(channel);
}

static void copy_item(void *to, const void *from, size_t size)
{
    if (size == sizeof(uint64_t)) /* mostly a pointer */
        memcpy(to, from, sizeof(uint64_t));
    else
        memcpy(to, from, size);
}

int weir_channel_try_send(struct weir_channel *channel, const void *item)
{
    if (channel->closed)
        return -EPIPE;
    if (channel->count == channel->capacity)
        return -EAGAIN;
    uint32_t at = channel->first + channel->count++;
    at = at < channel->capacity ? at : at - channel->capacity;
    copy_item(channel->items + at * channel->item_size, item, channel->item_size);
    if (channel->receivers.first)
        weir_event_signal(&channel->receivers, false);
    return 0;
}

int weir_channel_try_receive(struct weir_channel *channel, void *item)
{
    if (channel->count == 0)
        return channel->closed ? -EPIPE : -EAGAIN;
    copy_item(item, channel->items + channel->first * channel->item_size, channel->item_size);
    channel->first = channel->first + 1 < channel->capacity ? channel->first + 1 : 0;
    channel->count--;
    if (channel->senders.first)
        weir_event_signal(&channel->senders, false);
    return 0;
}

int weir_channel_send(struct weir_context *context, struct weir_channel *channel, const void *item, int64_t deadline_ns)
{
    if (weir_stopping(context))
        return -ECANCELED;
    for (;;) {
        int result = weir_channel_try_send(channel, item);
        if (result != -EAGAIN)
            return result;
        result = weir_event_wait(context, &channel->senders, deadline_ns);
        if (result < 0)
            return result;
    }
}

int weir_channel_receive(struct weir_context *context, struct weir_channel *channel, void *item, int64_t deadline_ns)
{
    if (weir_stopping(context))
        return -ECANCELED;
    for (;;) {
        int result = weir_channel_try_receive(channel, item);
        if (result != -EAGAIN)
            return result;
        result = weir_event_wait(context, &channel->receivers, deadline_ns);
        if (result < 0)
            return result;
    }
}

void weir_channel_close(struct weir_channel *channel)
{
    channel->closed = true;
    weir_event_signal(&channel->receivers, true);
    weir_event_signal(&channel->senders, true);
}

uint32_t weir_channel_count(const struct weir_channel *channel)
{
    return channel->count;
}
