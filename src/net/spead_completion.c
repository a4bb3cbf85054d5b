/* SPDX-License-Identifier: MIT */
/* Awaiting heaps, and words for how they ended. */
#include <errno.h>
#include <sched.h>
#include <weir/spead_send.h>

#include "async/context.h"
#include "base/clock.h"
#include "net/spead_sender_private.h"

static struct weir_waiter *own_waiter(struct weir_spead_completion *completion)
{
    _Static_assert(sizeof completion->own >= sizeof(struct weir_waiter), "room for a waiter");
    return (struct weir_waiter *)(void *)completion->own;
}

void weir_spead_completion_begin(struct weir_spead_completion *completion, struct weir_context *context, uint32_t heaps)
{
    waiter_init(own_waiter(completion));
    completion->waiter = context ? context->waiter : own_waiter(completion);
    atomic_store(&completion->result, 0);
    atomic_store(&completion->bytes, 0);
    atomic_store(&completion->left, heaps);
}

/* The last heap's caller is waking whoever waits: once `left` is 0 the completion may be gone, so that comes last. */
#define WAKING UINT32_MAX

void spead_completed_several(struct weir_spead_completion *completion, int result, uint64_t bytes, uint32_t heaps)
{
    int none = 0;
    uint32_t left = atomic_load(&completion->left);
    if (result)
        atomic_compare_exchange_strong(&completion->result, &none, result);
    atomic_fetch_add_explicit(&completion->bytes, bytes, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&completion->left, &left, left == heaps ? WAKING : left - heaps))
        ;
    if (left > heaps)
        return;
    waiter_wake(completion->waiter);
    atomic_store(&completion->left, 0);
}

void weir_spead_completed(void *argument, int result, uint64_t bytes)
{
    spead_completed_several(argument, result, bytes, 1);
}

bool weir_spead_completion_done(const struct weir_spead_completion *completion)
{
    while (atomic_load(&completion->left) == WAKING)
        sched_yield();
    return atomic_load(&completion->left) == 0;
}

int weir_spead_completion_wait(struct weir_context *context, struct weir_spead_completion *completion,
                               int64_t deadline_ns, uint64_t *ret_bytes)
{
    while (!weir_spead_completion_done(completion)) {
        if (context && weir_stopping(context))
            return -ECANCELED;
        if ((context ? weir_now(context) : clock_monotonic()) >= deadline_ns)
            return -ETIMEDOUT;
        if (context)
            context_park(context, deadline_ns);
        else
            waiter_park(own_waiter(completion), deadline_ns);
    }
    if (ret_bytes)
        *ret_bytes = atomic_load(&completion->bytes);
    return atomic_load(&completion->result);
}

const char *weir_spead_explain(int result)
{
    switch (result) {
    case 0:
        return "sent";
    case -ECANCELED:
        return "the sender was closed before it was sent";
    case -ECONNREFUSED:
        return "nobody listens at the destination: start the receiver first, or check host and port";
    case -EMSGSIZE:
        return "a packet is too large for the way: use smaller packets (1472 bytes for an MTU of 1500)";
    case -ENOBUFS:
        return "the system had no memory for packets: lower the rate, or raise net.core.wmem_max and the interface's "
               "txqueuelen";
    case -ENETUNREACH:
    case -EHOSTUNREACH:
        return "there is no route to the destination: check the address, and for multicast name the interface (--bind, "
               "or "
               "`local` of a sink)";
    case -EPERM:
    case -EACCES:
        return "the system forbids it: a firewall rule, or a broadcast address";
    case -EPIPE:
    case -ECONNRESET:
        return "the receiver has closed the connection";
    case -ENETDOWN:
        return "the network interface is down";
    default:
        return "sending failed";
    }
}
