/* SPDX-License-Identifier: MIT */
/* The receiver: its thread, the ring to whoever takes the heaps, statistics. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "async/context.h"
#include "base/clock.h"
#include "base/system.h"
#include "net/spead_receiver.h"

enum { RING_HEAPS = 16 }; /* however large they are */

/* ---- Ring ------------------------------------------------------------------------------------------------------ */

/* Of small heaps more may wait than of large ones. */
static bool ring_full(struct receive_ring *ring)
{
    uint32_t waiting = atomic_load_explicit(&ring->written, memory_order_relaxed) -
                       atomic_load_explicit(&ring->taken, memory_order_seq_cst);
    if (waiting < ring->least)
        return false;
    return waiting == ring->capacity ||
           ring->bytes_written - atomic_load_explicit(&ring->bytes_taken, memory_order_relaxed) >= ring->bytes_most;
}

static bool ring_push(struct receive_ring *ring, struct weir_spead_heap *heap)
{
    uint32_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    if (ring_full(ring))
        return false;
    ring->heaps[written % ring->capacity] = heap;
    ring->bytes_written += heap->memory.size;
    atomic_store_explicit(&ring->written, written + 1, memory_order_release);
    return true;
}

static struct weir_spead_heap *ring_take(struct receive_ring *ring)
{
    uint32_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    if (taken == atomic_load_explicit(&ring->written, memory_order_acquire))
        return NULL;
    struct weir_spead_heap *heap = ring->heaps[taken % ring->capacity];
    uint64_t bytes = atomic_load_explicit(&ring->bytes_taken, memory_order_relaxed) + heap->memory.size;
    atomic_store_explicit(&ring->bytes_taken, bytes, memory_order_relaxed);
    atomic_store_explicit(&ring->taken, taken + 1, memory_order_seq_cst);
    return heap;
}

static void wake_consumer(struct weir_spead_receiver *receiver)
{
    waiter_wake(atomic_load_explicit(&receiver->consumer, memory_order_seq_cst));
}

static void wake_thread(struct weir_spead_receiver *receiver)
{
    uint64_t one = 1;
    ssize_t ignored = write(receiver->wake, &one, sizeof one);
    (void)ignored;
}

static void shed(struct weir_spead_receiver *receiver, struct weir_spead_heap *heap)
{
    spead_heaps_count_shed(receiver->heaps, heap);
    weir_memory_release(&heap->memory);
}

bool receive_deliver(struct weir_spead_receiver *receiver)
{
    bool delivered = false, all = true;
    while (spead_heaps_finished(receiver->heaps)) {
        if (receiver->lossless && ring_full(&receiver->ring)) {
            all = false;
            break;
        }
        struct weir_spead_heap *heap = spead_heaps_take(receiver->heaps);
        if (ring_push(&receiver->ring, heap))
            delivered = true;
        else
            shed(receiver, heap);
    }
    if (delivered)
        wake_consumer(receiver);
    return all;
}

void receive_packet(struct weir_spead_receiver *receiver, struct spead_source *source, const void *data, size_t size,
                    int64_t now_ns)
{
    receiver->datagrams++;
    if (size > receiver->options.packet_max) {
        spead_source_count(source, WEIR_SPEAD_PACKETS_OVERSIZE, 1);
        return;
    }
    spead_heaps_packet(receiver->heaps, source, data, size, now_ns);
    if (spead_heaps_finished(receiver->heaps))
        receive_deliver(receiver);
}

/* ---- The thread ------------------------------------------------------------------------------------------------ */

static void remove_endpoint(struct weir_spead_receiver *receiver, uint32_t index)
{
    struct receive_endpoint *endpoint = receiver->endpoints[index];
    endpoint->close(endpoint);
    memory_free(endpoint);
    receiver->endpoint_count--; /* captures are read in their order */
    memmove(receiver->endpoints + index, receiver->endpoints + index + 1,
            (receiver->endpoint_count - index) * sizeof *receiver->endpoints);
}

/* One turn for each endpoint that has something. Returns false when nothing was there. */
static bool service(struct weir_spead_receiver *receiver, const struct pollfd *polled, uint32_t count)
{
    int64_t now_ns = clock_monotonic();
    bool busy = false;
    pthread_mutex_lock(&receiver->lock);
    for (uint32_t i = 0; i < count && receive_deliver(receiver); i++) {
        struct receive_endpoint *endpoint = receiver->endpoints[i];
        if (polled && endpoint->fd >= 0 && !polled[i + 1].revents)
            continue;
        int more = endpoint->service(receiver, endpoint, now_ns);
        endpoint->ended = more < 0;
        busy |= more > 0;
        if (endpoint->transport == WEIR_SPEAD_CAPTURE) /* one after the other: they may be parts of one recording */
            break;
    }
    for (uint32_t i = receiver->endpoint_count; i-- > 0;) {
        if (receiver->endpoints[i]->ended)
            remove_endpoint(receiver, i);
    }
    pthread_mutex_unlock(&receiver->lock);
    return busy;
}

static void drain_wake(struct weir_spead_receiver *receiver)
{
    uint64_t drained;
    ssize_t ignored = read(receiver->wake, &drained, sizeof drained);
    (void)ignored;
}

bool receive_gathers(struct weir_spead_receiver *receiver)
{
    bool quick = receiver->datagrams != receiver->datagrams_before && receiver->waited_ns < receiver->options.gather_ns;
    receiver->datagrams_before = receiver->datagrams;
    return quick && !receiver->lossless && receiver->buffer >= RECEIVE_GATHER_BUFFER;
}

/* Where packets come in quick succession, lets them gather for a while in the sockets' buffers: to be woken for each
 * costs this processor time, and the senders' kernel that wakes it more. False: they do not; nothing was done. */
static bool gather(struct weir_spead_receiver *receiver)
{
    struct pollfd wake = {.fd = receiver->wake, .events = POLLIN};
    if (!receive_gathers(receiver))
        return false;
    ppoll(&wake, 1, &(struct timespec){.tv_nsec = receiver->options.gather_ns}, NULL);
    if (wake.revents)
        drain_wake(receiver);
    return true;
}

/* Sleeps until something comes, the thread is woken, or partial heaps may have been idle for too long. True: `polled`
 * says where something has come. */
static bool wait_for_more(struct weir_spead_receiver *receiver, struct pollfd *polled, bool blocked)
{
    int64_t now_ns = clock_monotonic();
    pthread_mutex_lock(&receiver->lock);
    int64_t next_ns = spead_heaps_idle(receiver->heaps, now_ns);
    receive_deliver(receiver);
    receiver->sleeps++;
    pthread_mutex_unlock(&receiver->lock);
    if (!blocked && gather(receiver))
        return false;
    int64_t wait_ms = next_ns == INT64_MAX ? 1000 : (next_ns - now_ns) / CLOCK_MILLISECOND + 1;
    polled[0] = (struct pollfd){.fd = receiver->wake, .events = POLLIN};
    uint32_t count = 0;
    for (; !blocked && count < receiver->endpoint_count; count++)
        polled[count + 1] = (struct pollfd){.fd = receiver->endpoints[count]->fd, .events = POLLIN};
    if (blocked) {
        atomic_store_explicit(&receiver->blocked, true, memory_order_seq_cst);
        if (!ring_full(&receiver->ring))
            wait_ms = 0;
    }
    poll(polled, 1 + count, wait_ms < 0 ? 0 : wait_ms > 1000 ? 1000 : (int)wait_ms);
    receiver->waited_ns = clock_monotonic() - now_ns;
    if (polled[0].revents)
        drain_wake(receiver);
    return !blocked;
}

static bool always_ready(const struct weir_spead_receiver *receiver)
{
    for (uint32_t i = 0; i < receiver->endpoint_count; i++) {
        if (receiver->endpoints[i]->fd < 0)
            return true;
    }
    return false;
}

static bool is_over(struct weir_spead_receiver *receiver)
{
    return atomic_load_explicit(&receiver->stopping, memory_order_relaxed) || receiver->endpoint_count == 0 ||
           spead_heaps_stopped(receiver->heaps);
}

/* Hands out the rest: who reads captures gets all of it, waiting for it as long as nobody stops the receiver. */
static void finish(struct weir_spead_receiver *receiver)
{
    struct pollfd polled[1];
    pthread_mutex_lock(&receiver->lock);
    spead_heaps_flush(receiver->heaps);
    while (!receive_deliver(receiver)) {
        pthread_mutex_unlock(&receiver->lock);
        wait_for_more(receiver, polled, true);
        pthread_mutex_lock(&receiver->lock);
        if (atomic_load(&receiver->stopping) && ring_full(&receiver->ring))
            receiver->lossless = false; /* nobody may ever take it */
    }
    pthread_mutex_unlock(&receiver->lock);
    atomic_store_explicit(&receiver->over, true, memory_order_seq_cst);
    wake_consumer(receiver);
}

static void *run(void *argument)
{
    struct weir_spead_receiver *receiver = argument;
    struct pollfd polled[1 + RECEIVE_ENDPOINTS_MAX + RECEIVE_CONNECTIONS_MAX];
    bool known = false; /* what poll said is in `polled` */
    int64_t idle_since = 0;
    (void)prctl(PR_SET_TIMERSLACK, 1000UL); /* 1 us instead of 50: what gathers does so for as long as was meant */
    while (!is_over(receiver)) {
        bool busy = service(receiver, known ? polled : NULL, receiver->endpoint_count);
        known = false;
        bool blocked = receiver->lossless && spead_heaps_finished(receiver->heaps);
        if ((busy || always_ready(receiver)) && !blocked) {
            idle_since = 0;
            continue;
        }
        if (receiver->options.spin_ns > 0 && !blocked) {
            int64_t now_ns = clock_monotonic();
            idle_since = idle_since ? idle_since : now_ns;
            if (now_ns - idle_since < receiver->options.spin_ns)
                continue;
        }
        if (is_over(receiver))
            break; /* what came last was a stop item */
        uint32_t before = receiver->endpoint_count;
        known = wait_for_more(receiver, polled, blocked) && before == receiver->endpoint_count;
        idle_since = 0;
    }
    finish(receiver);
    return NULL;
}

/* ---- Life ------------------------------------------------------------------------------------------------------ */

static void set_defaults(struct weir_spead_receive_options *options)
{
    options->max_heaps = options->max_heaps ? options->max_heaps : 4;
    options->substreams = options->substreams ? options->substreams : 1;
    options->max_sources = options->max_sources ? options->max_sources : 1024;
    options->remembered = options->remembered ? options->remembered : 64;
    options->max_heap_bytes = options->max_heap_bytes ? options->max_heap_bytes : UINT64_C(256) << 20;
    options->memory = options->memory ? options->memory : UINT64_C(1) << 30;
    options->packet_max = options->packet_max ? options->packet_max : RECEIVE_STREAM_PACKET_MAX;
    options->gather_ns = options->gather_ns ? options->gather_ns : RECEIVE_GATHER_NS;
    if (options->gather_ns < 0 || options->spin_ns > 0)
        options->gather_ns = 0;
    if (options->gather_ns > RECEIVE_GATHER_NS_MAX)
        options->gather_ns = RECEIVE_GATHER_NS_MAX;
    options->idle_ns = options->idle_ns ? options->idle_ns : 10 * CLOCK_SECOND;
}

int weir_spead_receiver_new(const struct weir_spead_receive_options *options, struct weir_error *error,
                            struct weir_spead_receiver **ret)
{
    struct weir_spead_receiver *receiver = memory_aligned(64, (sizeof *receiver + 63) / 64 * 64);
    if (!receiver)
        return weir_fail(error, -ENOMEM, "no memory for a receiver");
    memset(receiver, 0, sizeof *receiver);
    receiver->options = *options;
    set_defaults(&receiver->options);
    const struct weir_spead_receive_options *set = &receiver->options;
    const struct spead_heaps_options heaps = {
        .chunks = set->chunks,
        .max_heaps = set->max_heaps,
        .substreams = set->substreams,
        .max_sources = set->max_sources,
        .remembered = set->remembered,
        .max_heap_bytes = set->max_heap_bytes,
        .memory = set->memory,
        .idle_ns = set->idle_ns < 0 ? 0 : set->idle_ns,
        .forget_ns = set->remember_always ? 0 : 2 * CLOCK_SECOND,
        .joint = set->joint,
        .in_order = set->in_order,
        .incomplete = set->incomplete,
        .refuse_unsized = set->refuse_unsized,
        .stop = (enum spead_stop)set->stop,
    };
    pthread_mutex_init(&receiver->lock, NULL);
    waiter_init(&receiver->waiter);
    atomic_store(&receiver->consumer, &receiver->waiter);
    receiver->ring.least = set->ring_heaps ? set->ring_heaps : RING_HEAPS;
    receiver->ring.capacity = set->ring_heaps ? set->ring_heaps : WEIR_SPEAD_RING_MAX;
    receiver->ring.bytes_most = set->memory / 4;
    receiver->heaps = spead_heaps_new(&heaps);
    receiver->ring.heaps = memory_zeroed(receiver->ring.capacity, sizeof *receiver->ring.heaps);
    receiver->wake = SYSTEM_CALL(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!receiver->heaps || !receiver->ring.heaps || receiver->wake < 0) {
        int failed = receiver->heaps && receiver->ring.heaps ? -errno : -ENOMEM;
        weir_spead_receiver_free(receiver);
        return weir_fail(error, failed, "cannot make a receiver: %s", strerror(-failed));
    }
    *ret = receiver;
    return 0;
}

int receive_add_endpoint(struct weir_spead_receiver *receiver, struct receive_endpoint *endpoint)
{
    if (receiver->endpoint_count == RECEIVE_ENDPOINTS_MAX + RECEIVE_CONNECTIONS_MAX)
        return -ENOSPC;
    receiver->endpoints[receiver->endpoint_count++] = endpoint;
    return 0;
}

int weir_spead_receiver_add(struct weir_spead_receiver *receiver, const struct weir_spead_endpoint *endpoint,
                            struct weir_error *error)
{
    bool lossless = endpoint->transport != WEIR_SPEAD_UDP;
    if (receiver->endpoint_count > 0 && lossless != receiver->lossless)
        return weir_fail(error, -EINVAL, "%s: UDP and what can be made to wait do not go together in one receiver",
                         endpoint->address);
    if (receiver->endpoint_count == RECEIVE_ENDPOINTS_MAX)
        return weir_fail(error, -ENOSPC, "%s: a receiver has at most %d endpoints", endpoint->address,
                         RECEIVE_ENDPOINTS_MAX);
    receiver->lossless = lossless;
    int failed = -EINVAL;
    switch (endpoint->transport) {
    case WEIR_SPEAD_UDP:
        failed = receive_open_udp(receiver, endpoint, error);
        break;
    case WEIR_SPEAD_TCP:
        failed = receive_open_tcp(receiver, endpoint, error);
        break;
    case WEIR_SPEAD_CAPTURE:
        return receive_open_capture(receiver, endpoint, error);
    }
    if (failed < 0)
        return failed;
    struct receive_place *place = &receiver->places[receiver->place_count];
    snprintf(place->name, sizeof place->name, "%s", endpoint->address);
    receiver->endpoints[receiver->endpoint_count - 1]->place = receiver->place_count++;
    return 0;
}

int weir_spead_receiver_start(struct weir_spead_receiver *receiver, struct weir_error *error)
{
    if (receiver->options.ready_bytes > 0 && receiver->options.ready_bytes <= receiver->options.max_heap_bytes)
        spead_pool_prepare(spead_heaps_pool(receiver->heaps), receiver->options.ready_heaps,
                           receiver->options.ready_bytes);
    /* What places there are in captures, nobody knows: these are read to their end. */
    spead_heaps_set_places(receiver->heaps, receiver->place_count ? receiver->place_count : SPEAD_PLACES_MAX + 1);
    int failed = pthread_create(&receiver->thread, NULL, run, receiver);
    if (failed)
        return weir_fail(error, -failed, "cannot start the receiving thread: %s", strerror(failed));
    receiver->started = true;
    pthread_setname_np(receiver->thread, "spead receive");
    if (receiver->options.cpu > 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)receiver->options.cpu - 1, &set);
        failed = pthread_setaffinity_np(receiver->thread, sizeof set, &set);
        if (failed)
            return weir_fail(error, -failed, "cannot bind the receiving thread to processor %d: %s",
                             receiver->options.cpu - 1,
                             failed == EINVAL ? "this program has no such processor" : strerror(failed));
    }
    return 0;
}

void weir_spead_receiver_stop(struct weir_spead_receiver *receiver)
{
    atomic_store_explicit(&receiver->stopping, true, memory_order_seq_cst);
    wake_thread(receiver);
}

void weir_spead_receiver_free(struct weir_spead_receiver *receiver)
{
    if (!receiver)
        return;
    if (receiver->started) {
        weir_spead_receiver_stop(receiver);
        pthread_join(receiver->thread, NULL);
    }
    for (struct weir_spead_heap *heap; receiver->ring.heaps && (heap = ring_take(&receiver->ring));)
        weir_memory_release(&heap->memory);
    while (receiver->endpoint_count > 0)
        remove_endpoint(receiver, 0);
    spead_heaps_free(receiver->heaps);
    memory_free(receiver->ring.heaps);
    if (receiver->wake > 0)
        close(receiver->wake);
    pthread_mutex_destroy(&receiver->lock);
    memory_free(receiver);
}

/* ---- Taking heaps ---------------------------------------------------------------------------------------------- */

/* Waits for a wake; what the engine wants done from inside waits is done. */
static int park(struct weir_spead_receiver *receiver, struct weir_context *context, int64_t deadline_ns)
{
    if (!context)
        return waiter_park(&receiver->waiter, deadline_ns) || clock_monotonic() < deadline_ns ? 0 : -ETIMEDOUT;
    if (weir_stopping(context))
        return -ECANCELED;
    if (weir_now(context) >= deadline_ns)
        return -ETIMEDOUT;
    if (context->idle && weir_now(context) >= context->idle_at)
        context->idle(context);
    int64_t idle_at = context->idle ? context->idle_at : INT64_MAX;
    context_park(context, deadline_ns < idle_at ? deadline_ns : idle_at);
    return 0;
}

int weir_spead_receiver_next(struct weir_spead_receiver *receiver, struct weir_context *context, int64_t deadline_ns,
                             struct weir_spead_heap **ret)
{
    atomic_store_explicit(&receiver->consumer, context ? context->waiter : &receiver->waiter, memory_order_seq_cst);
    for (;;) {
        bool over = atomic_load_explicit(&receiver->over, memory_order_seq_cst);
        struct weir_spead_heap *heap = ring_take(&receiver->ring);
        if (heap) {
            if (atomic_exchange_explicit(&receiver->blocked, false, memory_order_seq_cst))
                wake_thread(receiver);
            *ret = heap;
            return 0;
        }
        if (over)
            return -EPIPE;
        int failed = park(receiver, context, deadline_ns);
        if (failed < 0)
            return failed;
    }
}

int weir_spead_receiver_failure(struct weir_spead_receiver *receiver, struct weir_error *error)
{
    pthread_mutex_lock(&receiver->lock);
    int failed = receiver->failure.code;
    if (failed && error && !error->code)
        *error = receiver->failure;
    pthread_mutex_unlock(&receiver->lock);
    return failed;
}

const char *weir_spead_receiver_warning(const struct weir_spead_receiver *receiver)
{
    return receiver->warning[0] ? receiver->warning : NULL;
}

/* ---- Statistics ------------------------------------------------------------------------------------------------ */

/* For heaps of that length: partial ones of every source, those that wait, and some that are in use. */
static uint64_t memory_wanted(const struct weir_spead_receiver *receiver, uint32_t sources, uint64_t bytes)
{
    const struct weir_spead_receive_options *options = &receiver->options;
    uint64_t heaps = (uint64_t)sources * options->max_heaps * options->substreams + receiver->ring.least + 4;
    return heaps > UINT64_MAX / bytes ? UINT64_MAX : heaps * bytes;
}

void weir_spead_receiver_statistics(struct weir_spead_receiver *receiver, struct weir_spead_statistics *ret)
{
    struct weir_spead_statistics statistics = {0};
    pthread_mutex_lock(&receiver->lock);
    spead_heaps_totals(receiver->heaps, &statistics.total);
    statistics.sources = spead_heaps_source_count(receiver->heaps);
    spead_heaps_refused(receiver->heaps, &statistics.too_large_bytes, &statistics.no_memory_bytes);
    if (statistics.no_memory_bytes > 0)
        statistics.memory_wanted = memory_wanted(receiver, statistics.sources, statistics.no_memory_bytes);
    statistics.datagrams = receiver->datagrams;
    statistics.receive_calls = receiver->receive_calls;
    statistics.sleeps = receiver->sleeps;
    for (uint32_t i = 0; i < receiver->endpoint_count; i++) {
        if (receiver->endpoints[i]->count_drops)
            receiver->endpoints[i]->count_drops(receiver, receiver->endpoints[i]);
    }
    statistics.kernel_drops = receiver->drops;
    statistics.kernel_drop_buffers = receiver->drop_buffers;
    statistics.message_packets = receiver->message_packets;
    statistics.socket_buffer = receiver->buffer;
    statistics.capture_other = receiver->capture.other;
    statistics.capture_unknown_link = receiver->capture.unknown_link;
    statistics.capture_link = receiver->capture.link;
    statistics.capture_fragments = receiver->capture.fragments;
    statistics.capture_truncated = receiver->capture.truncated;
    statistics.capture_malformed = receiver->capture.malformed;
    struct spead_pool *pool = spead_heaps_pool(receiver->heaps);
    statistics.memory = spead_pool_used(pool);
    statistics.memory_peak = spead_pool_peak(pool);
    statistics.heaps_held = spead_pool_outside(pool);
    pthread_mutex_unlock(&receiver->lock);
    *ret = statistics;
}

uint32_t weir_spead_receiver_sources(struct weir_spead_receiver *receiver, struct weir_spead_source_statistics *ret,
                                     uint32_t most)
{
    uint32_t count = 0;
    pthread_mutex_lock(&receiver->lock);
    for (const struct spead_source *source = spead_heaps_first_source(receiver->heaps); source && count < most;
         source = source->next, count++) {
        ret[count].number = source->number;
        ret[count].stopped = source->stopped;
        memcpy(ret[count].name, source->name, sizeof ret[count].name);
        memcpy(ret[count].place, receiver->places[source->place].name, sizeof ret[count].place);
        ret[count].counters = source->counters;
    }
    pthread_mutex_unlock(&receiver->lock);
    return count;
}
