/* SPDX-License-Identifier: MIT */
/*
 * The bridge from threads into a task. A lock around a ring: producers are threads that have just done real work, and
 * the receiver takes what is there. The receiver's loop hears of the first item by a notice; senders that wait for room
 * stand in a list and park on their own waiter.
 */
#include "async/runtime.h"

#include "base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

struct sender {
    struct sender *next;
    struct weir_waiter *waiter;
    bool listed;
};

struct weir_mpsc {
    pthread_mutex_t lock;
    size_t item_size;
    uint32_t capacity, first, count;
    bool closed;
    struct loop *loop;          /* of a receiver that waits */
    struct weir_waiter *waiter; /* of a receiver that waits, on a plain thread */
    struct loop_notice notice;
    struct sender *senders; /* the one that waits longest first */
    char items[];
};

struct weir_mpsc *weir_mpsc_new(size_t item_size, uint32_t capacity)
{
    size_t size;
    if (!capacity || __builtin_mul_overflow(item_size, (size_t)capacity, &size) ||
        __builtin_add_overflow(size, sizeof(struct weir_mpsc), &size))
        return NULL;
    struct weir_mpsc *channel = memory_allocate(size);
    if (!channel)
        return NULL;
    memset(channel, 0, sizeof *channel);
    channel->item_size = item_size;
    channel->capacity = capacity;
    if (pthread_mutex_init(&channel->lock, NULL) != 0) {
        memory_free(channel);
        return NULL;
    }
    return channel;
}

void weir_mpsc_free(struct weir_mpsc *channel)
{
    if (!channel)
        return;
    if (atomic_load(&channel->notice.queued)) /* then its loop is still there: loops take all notices when they end */
        loop_forget(channel->loop, &channel->notice);
    pthread_mutex_destroy(&channel->lock);
    memory_free(channel);
}

/* The lock is held. */
static void tell_receiver(struct weir_mpsc *channel)
{
    if (channel->loop)
        loop_notify(channel->loop, &channel->notice);
    else if (channel->waiter)
        waiter_wake(channel->waiter);
}

static int put(struct weir_mpsc *channel, const void *item)
{
    if (channel->closed)
        return -EPIPE;
    if (channel->count == channel->capacity)
        return -EAGAIN;
    uint32_t at = channel->first + channel->count++;
    at = at < channel->capacity ? at : at - channel->capacity;
    memcpy(channel->items + at * channel->item_size, item, channel->item_size);
    if (channel->count == 1)
        tell_receiver(channel);
    return 0;
}

int weir_mpsc_try_send(struct weir_mpsc *channel, const void *item)
{
    pthread_mutex_lock(&channel->lock);
    int result = put(channel, item);
    pthread_mutex_unlock(&channel->lock);
    return result;
}

static void list_sender(struct weir_mpsc *channel, struct sender *sender)
{
    struct sender **at = &channel->senders;
    while (*at)
        at = &(*at)->next;
    sender->next = NULL;
    sender->listed = true;
    *at = sender;
}

static void unlist_sender(struct weir_mpsc *channel, struct sender *sender)
{
    struct sender **at = &channel->senders;
    while (*at && *at != sender)
        at = &(*at)->next;
    if (*at)
        *at = sender->next;
    sender->listed = false;
}

/* Wakes while the lock is held: a sender that has seen itself unlisted may be gone. */
static void wake_sender(struct weir_mpsc *channel, bool all)
{
    do {
        struct sender *sender = channel->senders;
        if (!sender)
            return;
        channel->senders = sender->next;
        sender->listed = false;
        waiter_wake(sender->waiter);
    } while (all);
}

int weir_mpsc_send(struct weir_context *context, struct weir_mpsc *channel, const void *item, int64_t deadline_ns)
{
    struct sender sender = {.waiter = context->waiter};
    bool late = false;
    for (;;) {
        if (weir_stopping(context))
            return -ECANCELED;
        pthread_mutex_lock(&channel->lock);
        int result = put(channel, item);
        if (result == -EAGAIN && late)
            result = -ETIMEDOUT;
        if (result == -EAGAIN)
            list_sender(channel, &sender);
        pthread_mutex_unlock(&channel->lock);
        if (result != -EAGAIN)
            return result;
        late = !context_park(context, deadline_ns);
        pthread_mutex_lock(&channel->lock);
        if (sender.listed)
            unlist_sender(channel, &sender);
        else if (channel->count == channel->capacity)
            late = false; /* woken, and somebody was faster: the wake counts */
        bool stopping = weir_stopping(context);
        if (stopping && channel->count < channel->capacity)
            wake_sender(channel, false); /* whose place this one was woken for */
        pthread_mutex_unlock(&channel->lock);
    }
}

int weir_mpsc_receive(struct weir_context *context, struct weir_mpsc *channel, void *item, int64_t deadline_ns)
{
    if (weir_stopping(context))
        return -ECANCELED;
    for (;;) {
        pthread_mutex_lock(&channel->lock);
        int result = channel->count ? 0 : channel->closed ? -EPIPE : -EAGAIN;
        if (result == 0) {
            memcpy(item, channel->items + channel->first * channel->item_size, channel->item_size);
            channel->first = channel->first + 1 < channel->capacity ? channel->first + 1 : 0;
            channel->count--;
            wake_sender(channel, false);
        }
        channel->loop = context->task ? context->task->loop : NULL;
        channel->waiter = context->waiter;
        pthread_mutex_unlock(&channel->lock);
        if (result != -EAGAIN)
            return result;
        if (context->task)
            result = task_wait(context->task, &channel->notice.event, deadline_ns);
        else
            result = context_park(context, deadline_ns) ? 0 : -ETIMEDOUT;
        if (result == 0 && weir_stopping(context))
            result = -ECANCELED;
        if (result < 0)
            return result;
    }
}

void weir_mpsc_close(struct weir_mpsc *channel)
{
    pthread_mutex_lock(&channel->lock);
    channel->closed = true;
    tell_receiver(channel);
    wake_sender(channel, true);
    pthread_mutex_unlock(&channel->lock);
}
