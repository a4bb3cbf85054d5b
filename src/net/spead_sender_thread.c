/* SPDX-License-Identifier: MIT */
/*
 * Who sends claims heaps, makes packets of them until its batch is full, sends that, marks the heaps that are through
 * as done, and completes all that are done up to the first one that is not:
 *
 *              head                     claimed          tail      (counts of heaps; slot = count mod slots)
 *     ──────────┬──────────────────────────┬──────────────┬─────
 *        free   │ done, sent by the thread │    queued    │ free   head is what makes room
 *               │ or by a caller that helps│              │
 *     ──────────┴──────────────────────────┴──────────────┴─────
 *
 * The thread goes on until `claimed` has reached `tail`. To sleep it says so first (`idle`), looks at the tail again,
 * and then parks; who queues moves the tail first and then looks at `idle`. A helper claims few and small heaps at a
 * time, those of one message, and never a part of one.
 */
#include <errno.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/memory.h"
#include "net/spead_sender_private.h"

enum {
    LOOKS_SKIPPED_MAX = 64,
    COMPLETE_AT_ONCE = 16,
};

/* By one thread at a time. */
static void add(_Atomic uint64_t *counter, uint64_t number)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + number, memory_order_relaxed);
}

/* ---- Completion ------------------------------------------------------------------------------------------------ */

void spead_sender_wake_waits(struct weir_spead_sender *sender)
{
    void (*room)(void *argument) = NULL;
    void *argument = NULL;
    if (!atomic_load(&sender->waiting))
        return;
    pthread_mutex_lock(&sender->lock);
    for (struct sender_wait *wait = sender->waits; wait; wait = wait->next)
        waiter_wake(wait->waiter);
    uint64_t used = atomic_load(&sender->tail) - atomic_load(&sender->head);
    if (sender->room && !sender->closed && sender->slot_count - used >= sender->room_count) {
        room = sender->room;
        argument = sender->room_argument;
        sender->room = NULL;
        atomic_fetch_sub(&sender->waiting, 1);
    }
    pthread_mutex_unlock(&sender->lock);
    if (room)
        room(argument);
}

struct told {
    weir_spead_sent *sent;
    void *argument;
    uint64_t bytes;
    int result;
    uint32_t heaps; /* several: of one completion */
};

/* Notes whom to tell of the heap in a slot; heaps of one completion that follow each other are told of at once. */
static uint32_t note(struct told *told, uint32_t count, const struct slot *slot)
{
    struct told *last = count ? &told[count - 1] : NULL;
    if (last && last->sent == weir_spead_completed && slot->send.sent == last->sent &&
        slot->send.argument == last->argument && slot->result == last->result) {
        last->bytes += slot->bytes;
        last->heaps++;
        return count;
    }
    told[count] = (struct told){slot->send.sent, slot->send.argument, slot->bytes, slot->result, 1};
    return count + 1;
}

static void tell(const struct told *told)
{
    if (told->heaps > 1)
        spead_completed_several(told->argument, told->result, told->bytes, told->heaps);
    else if (told->sent)
        told->sent(told->argument, told->result, told->bytes);
}

/* Completes all heaps that are done. Slots are free before anybody is told: who is told may queue the next heap. */
static void complete_done(struct weir_spead_sender *sender)
{
    uint64_t head = atomic_load_explicit(&sender->head, memory_order_relaxed), before = head;
    for (uint64_t from = head + 1; from != head;) {
        struct told told[COMPLETE_AT_ONCE];
        uint32_t count = 0;
        uint64_t tail = atomic_load_explicit(&sender->tail, memory_order_acquire);
        from = head;
        for (; count < COMPLETE_AT_ONCE && head < tail; head++) {
            struct slot *slot = &sender->slots[head % sender->slot_count];
            if (!atomic_load_explicit(&slot->done, memory_order_acquire))
                break;
            count = note(told, count, slot);
            add(&sender->failed_heaps, slot->result != 0);
        }
        add(&sender->heaps, head - from);
        atomic_store(&sender->head, head);
        for (uint32_t i = 0; i < count; i++)
            tell(&told[i]);
    }
    if (head != before)
        spead_sender_wake_waits(sender);
}

/* The heaps that the worker is through with are done. */
static void complete(struct weir_spead_sender *sender, struct sender_worker *worker)
{
    if (!worker->finished)
        return;
    for (struct slot *slot = worker->finished, *after; slot; slot = after) {
        after = slot->after; /* once it is done, the slot may be another heap's */
        atomic_store_explicit(&slot->done, true, memory_order_release);
    }
    worker->finished = NULL;
    worker->finished_at = &worker->finished;
    uint32_t requests = atomic_fetch_add(&sender->completing, 1) + 1;
    if (requests > 1)
        return; /* somebody is at it, and will look again */
    do {
        complete_done(sender);
    } while (!atomic_compare_exchange_strong(&sender->completing, &requests, 0));
}

/* ---- Claiming and sending --------------------------------------------------------------------------------------- */

/* About what a heap's packets come to. */
static uint64_t packet_bytes(const struct weir_spead_sender *sender, const struct slot *slot)
{
    uint64_t payload = slot->encoder.payload_size, packets = payload / (sender->packet_size - SPEAD_PREFIX_SIZE) + 1;
    return payload + packets * SPEAD_PREFIX_SIZE + slot->encoder.heap->count * SPEAD_POINTER_SIZE;
}

/* Makes the next queued heaps the worker's own, of up to so many bytes; `least`: one even if it has more. */
static bool claim(struct weir_spead_sender *sender, struct sender_worker *worker, uint64_t most, bool least)
{
    uint64_t bytes = 0;
    pthread_mutex_lock(&sender->claim_lock);
    uint64_t tail = atomic_load_explicit(&sender->tail, memory_order_acquire);
    uint64_t end = atomic_load_explicit(&sender->claimed, memory_order_relaxed);
    for (worker->next = end; end < tail; end++) {
        bytes += packet_bytes(sender, &sender->slots[end % sender->slot_count]);
        if (bytes > most && !(least && end == worker->next))
            break;
    }
    worker->end = end;
    atomic_store(&sender->claimed, end);
    pthread_mutex_unlock(&sender->claim_lock);
    return worker->next < end;
}

static void account(void *owner, int result, uint32_t bytes)
{
    struct slot *slot = owner;
    slot->bytes += bytes;
    if (result && !slot->result)
        slot->result = result;
    slot->cut |= result && bytes == 0;
}

/* Fills the worker's batch with packets of what it has claimed, for one destination and up to `most` bytes, if that is
 * a packet or more. Heaps that are wholly in it are finished with it. Returns the destination. */
static uint32_t fill_claimed(struct weir_spead_sender *sender, struct sender_worker *worker, size_t most,
                             uint32_t destination, bool *ret_full)
{
    struct spead_batch *batch = worker->batch;
    *ret_full = true;
    for (; worker->next < worker->end; worker->next++) {
        struct slot *slot = &sender->slots[worker->next % sender->slot_count];
        if (batch->packet_count && slot->send.destination != destination)
            return destination;
        destination = slot->send.destination;
        if (sender->broken || atomic_load_explicit(&sender->cancelled, memory_order_relaxed)) {
            slot->result = slot->result ? slot->result : sender->broken ? -EPIPE : -ECANCELED;
            slot->cut = true;
        }
        while (!slot->cut && spead_encode_more(&slot->encoder)) {
            if (!spead_batch_has_room(batch, sender->packet_size) ||
                (batch->packet_count && batch->bytes + sender->packet_size > most))
                return destination;
            spead_batch_add(batch, &slot->encoder, slot);
        }
        slot->after = NULL;
        *worker->finished_at = slot;
        worker->finished_at = &slot->after;
    }
    *ret_full = false;
    return destination;
}

size_t spead_sender_share(struct sender_share *share, uint64_t offers)
{
    if (offers != share->offers) {
        share->offers = offers;
        share->unhelped = 0;
    } else if (share->unhelped < SENDER_UNHELPED_BATCHES) {
        share->unhelped++;
    }
    return !offers || share->unhelped == SENDER_UNHELPED_BATCHES ? SIZE_MAX : SENDER_HELPED_BYTES;
}

/* The thread's batch, as far as the rate lets it. */
static uint32_t fill(struct weir_spead_sender *sender)
{
    /* With a rate, what is left of this burst, or, when no packet fits into that, the next one: a burst ends where a
     * packet more would go over it, with a message that is full and not one and a bit. */
    size_t room = spead_pacer_room(&sender->pacer), burst = sender->pacer.burst_size;
    size_t most = !spead_pacer_limits(&sender->pacer) ? SIZE_MAX : room >= sender->packet_size ? room : burst;
    struct sender_worker *worker = &sender->own;
    uint64_t offers = atomic_load_explicit(&sender->help_offered, memory_order_relaxed) +
                      atomic_load_explicit(&sender->helped, memory_order_relaxed);
    size_t share = spead_sender_share(&sender->share, offers);
    uint32_t destination = 0;
    bool full = false;
    spead_batch_reset(worker->batch, sender->offload && !worker->state.offload_failed);
    do {
        destination = fill_claimed(sender, worker, most, destination, &full);
    } while (!full && worker->batch->bytes < share && claim(sender, worker, SPEAD_MESSAGE_BYTES, true));
    return destination;
}

/* Waits until `due`: sleeps as long as the timer is good for, then turns in a loop. */
static void wait_until_due(struct weir_spead_sender *sender, int64_t due)
{
    int64_t now = clock_monotonic();
    if (now >= due)
        return;
    if (due - now > sender->spin_ns) {
        add(&sender->pauses, 1);
        while (clock_monotonic() < due - sender->spin_ns && !atomic_load(&sender->cancelled))
            waiter_park(&sender->waiter, due - sender->spin_ns);
    }
    if (sender->spin_ns > 0)
        add(&sender->spins, 1);
    while (clock_monotonic() < due && !atomic_load_explicit(&sender->cancelled, memory_order_relaxed))
        ;
}

static void count_batch(struct weir_spead_sender *sender, struct sender_worker *worker)
{
    const struct spead_batch_state *state = &worker->state, *before = &worker->counted;
    uint32_t in_flight = (uint32_t)(atomic_load_explicit(&sender->tail, memory_order_relaxed) -
                                    atomic_load_explicit(&sender->head, memory_order_relaxed));
    atomic_fetch_add_explicit(&sender->packets, worker->batch->packet_count, memory_order_relaxed);
    atomic_fetch_add_explicit(&sender->bytes, worker->batch->bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&sender->messages, state->messages - before->messages, memory_order_relaxed);
    atomic_fetch_add_explicit(&sender->calls, state->calls - before->calls, memory_order_relaxed);
    atomic_fetch_add_explicit(&sender->refused, state->refused - before->refused, memory_order_relaxed);
    atomic_fetch_add_explicit(&sender->no_memory, state->no_memory - before->no_memory, memory_order_relaxed);
    worker->counted = *state;
    if (state->offload_failed)
        atomic_store_explicit(&sender->offload_works, false, memory_order_relaxed);
    if (in_flight > atomic_load_explicit(&sender->in_flight_most, memory_order_relaxed))
        atomic_store_explicit(&sender->in_flight_most, in_flight, memory_order_relaxed);
}

static void send_batch(struct weir_spead_sender *sender, uint32_t destination)
{
    struct sender_worker *worker = &sender->own;
    struct spead_batch *batch = worker->batch;
    if (spead_pacer_limits(&sender->pacer)) {
        /* The burst before this one is over when this one would not fit into it. */
        if (batch->bytes > spead_pacer_room(&sender->pacer))
            wait_until_due(sender, spead_pacer_due(&sender->pacer, clock_monotonic()));
        spead_pacer_sent(&sender->pacer, batch->bytes);
    }
    if (sender->tcp) {
        spead_batch_stream(batch, sender->descriptors[0], &worker->state, account);
        sender->broken = ((const struct slot *)batch->packets[0].owner)->result != 0;
    } else {
        spead_batch_send(batch, sender->descriptors[destination], &worker->state, account);
    }
    count_batch(sender, worker);
}

/* ---- The thread ------------------------------------------------------------------------------------------------ */

/* Looks for more for as long as it may turn in a loop: falling asleep and being woken takes as long as sending half a
 * megabyte. Where looking is in vain (who queues needs longer, or this processor) it is done ever more seldom. */
static bool more_comes(struct weir_spead_sender *sender)
{
    if (sender->looks_skipped < sender->looks_to_skip) {
        sender->looks_skipped++;
        return false;
    }
    sender->looks_skipped = 0;
    for (int64_t until = clock_monotonic() + sender->spin_ns; clock_monotonic() < until;) {
        if (atomic_load(&sender->tail) != atomic_load(&sender->claimed) || atomic_load(&sender->finish)) {
            sender->looks_to_skip = 0;
            return true;
        }
    }
    uint32_t next = sender->looks_to_skip ? 2 * sender->looks_to_skip : 1;
    sender->looks_to_skip = next > LOOKS_SKIPPED_MAX ? LOOKS_SKIPPED_MAX : next;
    return false;
}

/* Sleeps until something is queued. False: the sender is to end. */
static bool wait_for_work(struct weir_spead_sender *sender)
{
    if (atomic_load(&sender->finish))
        return false;
    if (more_comes(sender)) {
        if (spead_pacer_limits(&sender->pacer))
            spead_pacer_idle(&sender->pacer, clock_monotonic());
        return true;
    }
    atomic_store(&sender->idle, true);
    if (atomic_load(&sender->tail) == atomic_load(&sender->claimed) && !atomic_load(&sender->finish)) {
        waiter_park(&sender->waiter, INT64_MAX);
        add(&sender->wakeups, 1);
    }
    atomic_store(&sender->idle, false);
    if (spead_pacer_limits(&sender->pacer))
        spead_pacer_idle(&sender->pacer, clock_monotonic());
    return true;
}

void *spead_sender_run(void *argument)
{
    struct weir_spead_sender *sender = argument;
    (void)prctl(PR_SET_TIMERSLACK, 1000UL); /* 1 us instead of 50: the spin need not make up for more */
    pthread_setname_np(pthread_self(), sender->name);
    for (;;) {
        uint32_t destination = fill(sender);
        if (sender->own.batch->packet_count)
            send_batch(sender, destination);
        else if (!sender->own.finished && !wait_for_work(sender))
            break;
        complete(sender, &sender->own);
    }
    return NULL;
}

/* ---- A helper --------------------------------------------------------------------------------------------------- */

/* Sends some queued heaps, as many as make one message. False: there are none to help with. */
static bool help(struct weir_spead_sender *sender)
{
    struct sender_worker *worker = &sender->helper;
    if (atomic_load(&sender->tail) == atomic_load(&sender->claimed) ||
        !claim(sender, worker, SPEAD_MESSAGE_BYTES, false))
        return false;
    bool offload = sender->offload && atomic_load_explicit(&sender->offload_works, memory_order_relaxed);
    atomic_fetch_add_explicit(&sender->helped, worker->end - worker->next, memory_order_relaxed);
    while (worker->next < worker->end) {
        bool full;
        spead_batch_reset(worker->batch, offload && !worker->state.offload_failed);
        uint32_t destination = fill_claimed(sender, worker, SIZE_MAX, 0, &full);
        if (worker->batch->packet_count) {
            spead_batch_send(worker->batch, sender->descriptors[destination], &worker->state, account);
            count_batch(sender, worker);
        }
        complete(sender, worker);
    }
    return true;
}

/* Whether this thread may help: nobody else does, and heaps may overtake each other. Then it holds the lock. */
static bool begin_help(struct weir_spead_sender *sender)
{
    if (sender->tcp || spead_pacer_limits(&sender->pacer) || pthread_mutex_trylock(&sender->helper_lock) != 0)
        return false;
    if (!sender->helper.batch) {
        sender->helper.batch = memory_aligned(64, sizeof *sender->helper.batch);
        sender->helper.finished_at = &sender->helper.finished;
    }
    if (sender->helper.batch)
        return true;
    pthread_mutex_unlock(&sender->helper_lock);
    return false;
}

int weir_spead_completion_help(struct weir_spead_sender *sender, struct weir_spead_completion *completion,
                               int64_t deadline_ns, uint64_t *ret_bytes)
{
    if (!weir_spead_completion_done(completion) && begin_help(sender)) {
        int64_t until = 0;
        add(&sender->help_offered, 1);
        do {
            int64_t now = clock_monotonic();
            if (help(sender))
                until = now + sender->spin_ns;
            else if (now >= until)
                break;
        } while (!weir_spead_completion_done(completion) && clock_monotonic() < deadline_ns);
        pthread_mutex_unlock(&sender->helper_lock);
    }
    return weir_spead_completion_wait(NULL, completion, deadline_ns, ret_bytes);
}
