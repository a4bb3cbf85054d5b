/* SPDX-License-Identifier: MIT */
/* The sender: opening and closing it, queueing heaps, and waiting for them. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "async/context.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "net/spead_sender_private.h"
#include "net/spead_socket.h"

enum { DEFAULT_BURST = 65536, DEFAULT_HEAPS = 4, DEFAULT_BUFFER = 512 * 1024 };
#define DEFAULT_RATIO 1.05
#define DEFAULT_SPIN (60 * CLOCK_MICROSECOND)

/* ---- Queueing -------------------------------------------------------------------------------------------------- */

/* Under the lock; there is room. */
static int put(struct weir_spead_sender *sender, const struct weir_spead_send *sends, uint32_t count)
{
    uint64_t tail = atomic_load_explicit(&sender->tail, memory_order_relaxed), next_cnt = sender->next_cnt;
    for (uint32_t i = 0; i < count; i++) {
        struct slot *slot = &sender->slots[(tail + i) % sender->slot_count];
        if (sends[i].destination >= sender->descriptor_count)
            return -EINVAL;
        *slot = (struct slot){.send = sends[i]};
        int error = spead_encode_begin(&slot->encoder, &sends[i].heap->wire,
                                       sends[i].cnt_given ? sends[i].cnt : next_cnt, sender->packet_size);
        if (error)
            return error;
        next_cnt += sends[i].cnt_given ? 0 : sender->cnt_step;
    }
    sender->next_cnt = next_cnt;
    atomic_store(&sender->tail, tail + count);
    if (atomic_load(&sender->idle))
        waiter_wake(&sender->waiter);
    return 0;
}

static bool has_room(const struct weir_spead_sender *sender, uint32_t count)
{
    return sender->slot_count - (atomic_load(&sender->tail) - atomic_load(&sender->head)) >= count;
}

int weir_spead_send(struct weir_spead_sender *sender, const struct weir_spead_send *sends, uint32_t count)
{
    if (count > sender->slot_count)
        return -E2BIG;
    pthread_mutex_lock(&sender->lock);
    int error = sender->closed ? -EPIPE : has_room(sender, count) ? put(sender, sends, count) : -EAGAIN;
    pthread_mutex_unlock(&sender->lock);
    return error;
}

/* ---- Waiting --------------------------------------------------------------------------------------------------- */

struct patience {
    struct weir_waiter own; /* of a thread without a context */
    struct weir_context *context;
    int64_t deadline;
};

static struct weir_waiter *patience_begin(struct patience *patience, struct weir_context *context, int64_t deadline)
{
    patience->context = context;
    patience->deadline = deadline;
    waiter_init(&patience->own);
    return context ? context->waiter : &patience->own;
}

/* Parks once: 0 (look again), -ETIMEDOUT or -ECANCELED. */
static int patience_wait(struct patience *patience)
{
    struct weir_context *context = patience->context;
    if (context && weir_stopping(context))
        return -ECANCELED;
    if ((context ? weir_now(context) : clock_monotonic()) >= patience->deadline)
        return -ETIMEDOUT;
    if (context)
        context_park(context, patience->deadline);
    else
        waiter_park(&patience->own, patience->deadline);
    return 0;
}

static void join_waits(struct weir_spead_sender *sender, struct sender_wait *wait)
{
    pthread_mutex_lock(&sender->lock);
    wait->next = sender->waits;
    sender->waits = wait;
    atomic_fetch_add(&sender->waiting, 1);
    pthread_mutex_unlock(&sender->lock);
}

static void leave_waits(struct weir_spead_sender *sender, struct sender_wait *wait)
{
    pthread_mutex_lock(&sender->lock);
    struct sender_wait **at = &sender->waits;
    while (*at != wait)
        at = &(*at)->next;
    *at = wait->next;
    atomic_fetch_sub(&sender->waiting, 1);
    pthread_mutex_unlock(&sender->lock);
}

int weir_spead_send_wait(struct weir_spead_sender *sender, struct weir_context *context,
                         const struct weir_spead_send *sends, uint32_t count, int64_t deadline_ns)
{
    int error = weir_spead_send(sender, sends, count);
    if (error != -EAGAIN)
        return error;
    struct patience patience;
    struct sender_wait wait = {.waiter = patience_begin(&patience, context, deadline_ns)};
    join_waits(sender, &wait);
    while ((error = weir_spead_send(sender, sends, count)) == -EAGAIN) {
        int waited = patience_wait(&patience);
        if (waited) {
            error = waited;
            break;
        }
    }
    leave_waits(sender, &wait);
    return error;
}

int weir_spead_sender_on_room(struct weir_spead_sender *sender, uint32_t count, void (*room)(void *argument),
                              void *argument)
{
    if (count > sender->slot_count)
        return -E2BIG;
    pthread_mutex_lock(&sender->lock);
    int error = sender->closed ? -EPIPE : sender->room ? -EBUSY : 0;
    if (!error) {
        sender->room = room;
        sender->room_argument = argument;
        sender->room_count = count;
        atomic_fetch_add(&sender->waiting, 1);
    }
    bool now = !error && has_room(sender, count);
    pthread_mutex_unlock(&sender->lock);
    if (now)
        spead_sender_wake_waits(sender);
    return error;
}

static int wait_for_head(struct weir_spead_sender *sender, struct weir_context *context, uint64_t count,
                         int64_t deadline_ns)
{
    struct patience patience;
    struct sender_wait wait = {.waiter = patience_begin(&patience, context, deadline_ns)};
    int error = 0;
    join_waits(sender, &wait);
    while (!error && atomic_load(&sender->head) < count)
        error = patience_wait(&patience);
    leave_waits(sender, &wait);
    return error;
}

int weir_spead_sender_flush(struct weir_spead_sender *sender, struct weir_context *context, int64_t deadline_ns)
{
    return wait_for_head(sender, context, atomic_load(&sender->tail), deadline_ns);
}

/* ---- Opening and closing --------------------------------------------------------------------------------------- */

static void free_sender(struct weir_spead_sender *sender)
{
    for (uint32_t i = 0; i < sender->descriptor_count; i++)
        close(sender->descriptors[i]);
    pthread_mutex_destroy(&sender->lock);
    pthread_mutex_destroy(&sender->claim_lock);
    pthread_mutex_destroy(&sender->helper_lock);
    memory_free(sender->descriptors);
    memory_free(sender->slots);
    memory_free(sender->own.batch);
    memory_free(sender->helper.batch);
    memory_free(sender);
}

int weir_spead_sender_close(struct weir_spead_sender *sender, struct weir_context *context, int64_t deadline_ns)
{
    if (!sender)
        return 0;
    pthread_mutex_lock(&sender->lock);
    sender->closed = true;
    pthread_mutex_unlock(&sender->lock);
    int error = wait_for_head(sender, context, atomic_load(&sender->tail), deadline_ns);
    if (error) {
        atomic_store(&sender->cancelled, true);
        for (uint32_t i = 0; sender->tcp && i < sender->descriptor_count; i++)
            (void)shutdown(sender->descriptors[i], SHUT_RDWR); /* a write that waits for the peer ends */
        error = -ECANCELED;
    }
    atomic_store(&sender->finish, true);
    waiter_wake(&sender->waiter);
    pthread_join(sender->thread, NULL);
    free_sender(sender);
    return error;
}

static int check_options(const struct weir_spead_sender_options *options, struct weir_error *error)
{
    size_t packet = options->packet_size;
    if (!options->destination_count || options->destination_count > WEIR_SPEAD_DESTINATIONS_MAX)
        return weir_fail(error, -EINVAL, "a sender has 1 to %d destinations", WEIR_SPEAD_DESTINATIONS_MAX);
    if (options->tcp && options->destination_count > 1)
        return weir_fail(error, -EINVAL, "over TCP a sender has one destination");
    if (packet && (packet < SPEAD_PACKET_MIN || packet > SPEAD_MESSAGE_BYTES))
        return weir_fail(error, -EINVAL,
                         "packets have %d to %d bytes, not %zu; 1472 suits an MTU of 1500, 8972 one of 9000",
                         SPEAD_PACKET_MIN, SPEAD_MESSAGE_BYTES, packet);
    if (options->rate < 0 || (options->burst_rate_ratio != 0 && !(options->burst_rate_ratio >= 1)))
        return weir_fail(error, -EINVAL, "the rate is positive and the burst rate ratio at least 1");
    if (options->max_heaps > WEIR_SPEAD_IN_FLIGHT_MAX)
        return weir_fail(error, -EINVAL, "at most %d heaps are in flight, not %u", WEIR_SPEAD_IN_FLIGHT_MAX,
                         options->max_heaps);
    return 0;
}

static struct weir_spead_sender *new_sender(const struct weir_spead_sender_options *options)
{
    struct weir_spead_sender *sender = memory_aligned(64, sizeof *sender);
    if (!sender)
        return NULL;
    memset(sender, 0, sizeof *sender);
    pthread_mutex_init(&sender->lock, NULL);
    pthread_mutex_init(&sender->claim_lock, NULL);
    pthread_mutex_init(&sender->helper_lock, NULL);
    waiter_init(&sender->waiter);
    sender->slot_count = options->max_heaps ? options->max_heaps : DEFAULT_HEAPS;
    sender->slots = memory_zeroed(sender->slot_count, sizeof *sender->slots);
    sender->descriptors = memory_zeroed(options->destination_count, sizeof *sender->descriptors);
    sender->own.batch = memory_aligned(64, sizeof *sender->own.batch);
    sender->own.finished_at = &sender->own.finished;
    sender->packet_size = (options->packet_size ? options->packet_size : WEIR_SPEAD_PACKET_SIZE) & ~(size_t)7;
    sender->next_cnt = options->cnt_first ? options->cnt_first : 1;
    sender->cnt_step = options->cnt_step ? options->cnt_step : 1;
    sender->spin_ns = options->spin_ns < 0 ? 0 : options->spin_ns ? options->spin_ns : DEFAULT_SPIN;
    sender->tcp = options->tcp;
    sender->offload = !options->no_offload && !options->tcp;
    atomic_init(&sender->offload_works, sender->offload);
    snprintf(sender->name, sizeof sender->name, "%s", options->name ? options->name : "weir-spead");
    spead_pacer_init(&sender->pacer, options->rate, options->burst_size ? options->burst_size : DEFAULT_BURST,
                     options->burst_rate_ratio > 0 ? options->burst_rate_ratio : DEFAULT_RATIO, clock_monotonic());
    if (!sender->slots || !sender->descriptors || !sender->own.batch) {
        free_sender(sender);
        return NULL;
    }
    return sender;
}

/* Packets that are longer than the way takes arrive, but in pieces, of which each may get lost. */
static void note_fragments(struct weir_spead_sender *sender, const char *destination, int descriptor, int family)
{
    size_t heads = family == AF_INET6 ? 48 : 28, mtu = spead_path_mtu(descriptor, family);
    if (mtu >= heads + SPEAD_PACKET_MIN && sender->packet_size + heads > mtu && !sender->warning[0])
        snprintf(
            sender->warning, sizeof sender->warning,
            "packets of %zu bytes go to %s in fragments, as the MTU of the way is %zu: that is slow, and losing one "
            "fragment loses the packet; packets of %zu bytes fit",
            sender->packet_size, destination, mtu, (mtu - heads) & ~(size_t)7);
}

static int open_sockets(struct weir_spead_sender *sender, const struct weir_spead_sender_options *options,
                        struct weir_error *error)
{
    const struct spead_out_options out = {
        .tcp = options->tcp,
        .local = options->local,
        .ttl = options->ttl,
        .buffer_size = options->buffer_size ? options->buffer_size : DEFAULT_BUFFER,
    };
    for (uint32_t i = 0; i < options->destination_count; i++) {
        struct spead_address address;
        int code = spead_address_resolve(options->destinations[i], options->tcp, &address, error);
        if (!code)
            code = spead_open_out(&address, &out, &sender->descriptors[i], &sender->buffer_size, error);
        if (code)
            return code;
        if (!options->tcp)
            note_fragments(sender, options->destinations[i], sender->descriptors[i], address.storage.ss_family);
        sender->descriptor_count++;
    }
    return 0;
}

static int start_thread(struct weir_spead_sender *sender, const struct weir_spead_sender_options *options,
                        struct weir_error *error)
{
    pthread_attr_t attributes;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    if (options->pinned && options->cpu >= 0 && options->cpu < CPU_SETSIZE)
        CPU_SET((size_t)options->cpu, &cpus);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the program's own threads */
    pthread_attr_init(&attributes);
    int code = options->pinned ? pthread_attr_setaffinity_np(&attributes, sizeof cpus, &cpus) : 0;
    if (!code)
        code = pthread_create(&sender->thread, &attributes, spead_sender_run, sender);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code && options->pinned)
        return weir_fail(error, -code, "cannot send from processor %d: %s", options->cpu,
                         code == EINVAL ? "this program has no such processor" : strerror(code));
    return code ? weir_fail(error, -code, "no thread to send from: %s", strerror(code)) : 0;
}

int weir_spead_sender_open(const struct weir_spead_sender_options *options, struct weir_error *error,
                           struct weir_spead_sender **ret)
{
    int code = check_options(options, error);
    if (code)
        return code;
    struct weir_spead_sender *sender = new_sender(options);
    if (!sender)
        return weir_fail(error, -ENOMEM, "no memory for a sender with %u heaps in flight", options->max_heaps);
    code = open_sockets(sender, options, error);
    if (!code)
        code = start_thread(sender, options, error);
    if (code) {
        free_sender(sender);
        return code;
    }
    *ret = sender;
    return 0;
}

const char *weir_spead_sender_warning(const struct weir_spead_sender *sender)
{
    return sender->warning[0] ? sender->warning : NULL;
}

void weir_spead_sender_count(const struct weir_spead_sender *sender, struct weir_spead_sender_counters *ret)
{
    *ret = (struct weir_spead_sender_counters){
        .heaps = atomic_load(&sender->heaps),
        .failed_heaps = atomic_load(&sender->failed_heaps),
        .packets = atomic_load(&sender->packets),
        .bytes = atomic_load(&sender->bytes),
        .messages = atomic_load(&sender->messages),
        .calls = atomic_load(&sender->calls),
        .wakeups = atomic_load(&sender->wakeups),
        .pauses = atomic_load(&sender->pauses),
        .spins = atomic_load(&sender->spins),
        .refused = atomic_load(&sender->refused),
        .no_memory = atomic_load(&sender->no_memory),
        .helped = atomic_load(&sender->helped),
        .buffer_size = sender->buffer_size,
        .in_flight = (uint32_t)(atomic_load(&sender->tail) - atomic_load(&sender->head)),
        .in_flight_most = atomic_load(&sender->in_flight_most),
        .offload = atomic_load(&sender->offload_works),
    };
}
