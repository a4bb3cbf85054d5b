/* SPDX-License-Identifier: MIT */
/*
 * Sending SPEAD-64-XX: heaps of items over UDP or TCP, as radio telescopes send them.
 *
 *     heap               │ descriptors │ timestamp │ samples …                        │
 *     packets            │ 1472 bytes │ 1472 bytes │ 1472 bytes │ …
 *
 * A heap is a list of items, each a number in its place (immediate) or bytes (addressed). Descriptors say what an
 * item's bytes mean and go along in the first heap, and now and then again.
 *
 * Errors are negative errno values.
 */
#ifndef WEIR_SPEAD_SEND_H
#define WEIR_SPEAD_SEND_H

#include <weir/context.h>

struct weir_error;

/* ---- Words ------------------------------------------------------------------------------------------------------ */

/* 64-40 and 64-48 are usual: an address (and an immediate value) has that many bits, an id 63 minus that. Both ends
 * must speak the same. */
struct weir_spead_flavour {
    uint8_t address_bits; /* 8, 16, … 56; 0: 40 */
    bool pyspead;         /* descriptors as PySPEAD up to 0.5.2 writes and reads them */
};

#define WEIR_SPEAD_VARIABLE INT64_C(-1)
#define WEIR_SPEAD_FIRST_ID UINT64_C(0x1000) /* that an item without an id of its own gets */

struct weir_spead_format {
    char code;     /* u unsigned, i signed, f float, c character, b boolean */
    uint16_t bits; /* per value, big-endian */
};
/* What an item is: either a NumPy dtype, or a shape and a format. */
struct weir_spead_description {
    uint64_t id; /* 1 …; 0 in a group: the next free one from WEIR_SPEAD_FIRST_ID */
    const char *name, *text;
    const char *dtype;    /* "{'descr': '<f4', 'fortran_order': False, 'shape': (16,)}"; NULL: shape and format */
    const int64_t *shape; /* at most one WEIR_SPEAD_VARIABLE */
    uint32_t dimensions;
    const struct weir_spead_format *format;
    uint32_t fields;
};

enum weir_spead_control { WEIR_SPEAD_START = 0, WEIR_SPEAD_STOP = 2 };

/* ---- Heaps to send --------------------------------------------------------------------------------------------- */

/*
 * Of one thread at a time. Nothing is copied: what `data` points to is read while the heap is sent, so it stays, and
 * stays as it is, until the heap has completed (weir_spead_send.sent was called); so does the heap itself. Then both
 * may be changed and the heap sent again: to reuse a heap is the cheapest way to send many that look alike.
 */
struct weir_spead_outgoing;

int weir_spead_outgoing_new(struct weir_spead_flavour flavour, struct weir_spead_outgoing **ret); /* -EINVAL, -ENOMEM */
void weir_spead_outgoing_free(struct weir_spead_outgoing *heap);                                  /* NULL is allowed */
/* Takes all items out; keeps the memory for the next ones. */
void weir_spead_outgoing_clear(struct weir_spead_outgoing *heap);
/* An addressed item. One of no bytes is not seen by receivers. -EINVAL: the id does not fit; -ENOMEM. */
int weir_spead_outgoing_add(struct weir_spead_outgoing *heap, uint64_t id, const void *data, size_t size);
/* The same, as an immediate when it has 1 … address_bits / 8 bytes (right-justified; so big-endian numbers keep their
 * value). The receiver cannot tell how long an immediate was: for items of a fixed size. */
int weir_spead_outgoing_add_short(struct weir_spead_outgoing *heap, uint64_t id, const void *data, size_t size);
/* An addressed item whose bytes are made when they are sent: they go from the cache of the processor that made them
 * into packets, and no memory is needed for the heap. `make` writes `size` bytes, which come `offset` bytes behind the
 * item's beginning, to `memory` (of any alignment); for each heap that is sent, in order, from whichever thread sends
 * it. It must not wait, nor call the sender. Of two heaps in flight it may be called at once by two threads, if one
 * helps (weir_spead_completion_help). Where `data` in memory is at hand, weir_spead_outgoing_add is cheaper. */
typedef void weir_spead_make(void *argument, uint64_t offset, void *memory, size_t size);
int weir_spead_outgoing_add_made(struct weir_spead_outgoing *heap, uint64_t id, size_t size, weir_spead_make *make,
                                 void *argument);
/* An immediate number. -EINVAL: more than address_bits. */
int weir_spead_outgoing_add_value(struct weir_spead_outgoing *heap, uint64_t id, uint64_t value);
/* A descriptor, encoded here: nothing of it is referenced afterwards. -EINVAL: more than one variable dimension, an
 * id, a number or a name that cannot be sent. */
int weir_spead_outgoing_add_description(struct weir_spead_outgoing *heap,
                                        const struct weir_spead_description *description);
/* A stop heap should contain nothing else, and be sent more than once where packets get lost. */
int weir_spead_outgoing_add_control(struct weir_spead_outgoing *heap, enum weir_spead_control control);
/* All item pointers in every packet: for receivers that place a heap by the items of whichever packet comes first. */
void weir_spead_outgoing_repeat_pointers(struct weir_spead_outgoing *heap, bool repeat);
uint64_t weir_spead_outgoing_bytes(const struct weir_spead_outgoing *heap); /* of payload */

/* ---- Groups: only what changed --------------------------------------------------------------------------------- */

/* The items of a stream with their descriptors and newest values; fills heaps with what has changed since the last one.
 * Of one thread at a time. */
struct weir_spead_group;

/* An empty one, which the caller frees; -EINVAL: no such flavour; -ENOMEM. */
int weir_spead_group_new(struct weir_spead_flavour flavour, struct weir_spead_group **ret);
void weir_spead_group_free(struct weir_spead_group *group); /* NULL is allowed */
/* Adds an item, or describes the one of this id anew (its value is then sent again too). Copies the description.
 * -EEXIST: another item has that name; -ENOSPC: no ids left; -EINVAL, -ENOMEM. ret_id may be NULL. */
int weir_spead_group_describe(struct weir_spead_group *group, const struct weir_spead_description *description,
                              uint64_t *ret_id);
/* New values; the memory is referenced by every heap that is filled until the item is set again. As an immediate if it
 * is short enough and its description has no variable dimension. -ENOENT: no such item; -EINVAL. */
int weir_spead_group_set(struct weir_spead_group *group, uint64_t id, const void *data, size_t size);
int weir_spead_group_set_value(struct weir_spead_group *group, uint64_t id, uint64_t value);
/* The memory it points to already was changed: send it again. */
int weir_spead_group_touch(struct weir_spead_group *group, uint64_t id);

enum weir_spead_which { WEIR_SPEAD_CHANGED, WEIR_SPEAD_ALL, WEIR_SPEAD_NONE };
/* Adds descriptors and values to the heap, which has the group's flavour. What was added counts as sent. */
int weir_spead_group_fill(struct weir_spead_group *group, struct weir_spead_outgoing *heap,
                          enum weir_spead_which descriptions, enum weir_spead_which values);

/* ---- Sender ---------------------------------------------------------------------------------------------------- */

/*
 * A sender has one thread of its own, which takes heaps off a queue of at most max_heaps, cuts them into packets and
 * sends these, in order, 64 KiB at a time where the kernel can (UDP_SEGMENT). While anything is queued it does not
 * sleep, but for the rate. Keep two or more heaps queued, and making the next overlaps with sending the last.
 *
 *     weir_spead_sender_open(&options, &error, &sender);
 *     for (i = 0; i < count; i++) {
 *         struct state *state = &states[i % 2];
 *         weir_spead_completion_wait(NULL, &state->completion, WEIR_NEVER, NULL);      // its last use is over
 *         make(state->samples);
 *         weir_spead_completion_begin(&state->completion, NULL, 1);
 *         weir_spead_send(sender, &(struct weir_spead_send){.heap = state->heap, .sent = weir_spead_completed,
 *                                                           .argument = &state->completion}, 1);
 *     }
 *     weir_spead_sender_close(sender, NULL, WEIR_NEVER);
 */
struct weir_spead_sender;

enum {
    WEIR_SPEAD_DESTINATIONS_MAX = 1024,
    WEIR_SPEAD_IN_FLIGHT_MAX = 1 << 20, /* the most that max_heaps may be */
    WEIR_SPEAD_PACKET_SIZE = 1472,      /* an Ethernet frame of 1500 less IP and UDP */
};

/* Zero stands for the default everywhere. */
struct weir_spead_sender_options {
    const char *const *destinations; /* "host:8888", "[::1]:8888", "239.1.2.3:8888"; looked up while opening */
    uint32_t destination_count;      /* 1 … ; one if tcp */
    bool tcp;
    const char *local;       /* address to send from; for multicast the interface (IPv6: its name is taken too) */
    int ttl;                 /* of multicast; default 1 */
    size_t packet_size;      /* UDP payload, rounded down to a multiple of 8; default WEIR_SPEAD_PACKET_SIZE */
    double rate;             /* bytes per second, SPEAD headers included; default unlimited */
    size_t burst_size;       /* bytes sent without a pause between them; default 65536 */
    double burst_rate_ratio; /* ≥ 1: rate × this is the most while catching up after a late wake-up; default 1.05 */
    uint32_t max_heaps;      /* in flight; default 4 */
    size_t buffer_size;      /* of the socket; default 512 KiB */
    uint64_t cnt_first; /* heap counts: cnt_first, cnt_first + cnt_step, …; default 1, 1. Several senders of one */
    uint64_t cnt_step;  /* stream: first k, step their number */
    bool pinned;        /* the thread runs on processor `cpu` alone */
    int cpu;
    bool no_offload; /* never UDP_SEGMENT */
    /* How long before a packet is due the thread stops sleeping, and how long it looks for more before it sleeps, as
     * long as that is not in vain; default 60 us, < 0: never spins. */
    int64_t spin_ns;
    const char *name; /* of the thread; default "weir-spead"; copied */
};

/* Looks the destinations up, connects (TCP), starts the thread. May block for as long as name resolution or a TCP
 * handshake takes; any thread. On failure the error has words. */
int weir_spead_sender_open(const struct weir_spead_sender_options *options, struct weir_error *error,
                           struct weir_spead_sender **ret);

/* A sentence when packets are longer than the way takes in one piece, with the size that fits; else NULL. Lives as long
 * as the sender. */
const char *weir_spead_sender_warning(const struct weir_spead_sender *sender);

/* Exactly once per heap that weir_spead_send took. From the sender's thread (or one that helps it, see
 * weir_spead_completion_help), one at a time, in the order in which heaps were queued: must not wait, may call
 * weir_spead_send. `bytes`: of its packets that were handed to the kernel, SPEAD headers included, UDP and IP not.
 * `result`: 0; -ECANCELED: the sender was closed first; -ECONNREFUSED: nobody listens there (all its packets were sent
 * nonetheless); -EMSGSIZE: packets are too large for the way; -ENOBUFS: the system had no memory for packets over some
 * time; -EPIPE, -ECONNRESET (TCP): the peer is gone; weir_spead_explain has words for each. */
typedef void weir_spead_sent(void *argument, int result, uint64_t bytes);

struct weir_spead_send {
    const struct weir_spead_outgoing *heap;
    uint32_t destination; /* index: which substream */
    bool cnt_given;
    uint64_t cnt;          /* if given: the heap's count; else the next of the sequence */
    weir_spead_sent *sent; /* NULL: nobody wants to know */
    void *argument;
};
/* Queues heaps, all or none, with one lock and one wake-up. Does not wait; any thread. -EAGAIN: not that much room;
 * -E2BIG: more than max_heaps; -EMSGSIZE: a heap does not fit (packets too small for the pointers to repeat);
 * -EINVAL: no such destination; -EPIPE: closed. */
int weir_spead_send(struct weir_spead_sender *sender, const struct weir_spead_send *sends, uint32_t count);
/* The same, but waits for room. Not from `sent`. -ETIMEDOUT, -ECANCELED: nothing was queued. `context` NULL: a plain
 * thread; deadlines are of CLOCK_MONOTONIC. */
int weir_spead_send_wait(struct weir_spead_sender *sender, struct weir_context *context,
                         const struct weir_spead_send *sends, uint32_t count, int64_t deadline_ns);
/* Or be called back, once, from the sender's thread or one that helps it, when there is room for `count` heaps (perhaps
 * at once, from this call): must not wait. -EBUSY: somebody else waits so already. Not called any more once closing has
 * begun. */
int weir_spead_sender_on_room(struct weir_spead_sender *sender, uint32_t count, void (*room)(void *argument),
                              void *argument);

/* Waits until all heaps queued before have completed. */
int weir_spead_sender_flush(struct weir_spead_sender *sender, struct weir_context *context, int64_t deadline_ns);
/* Drains and frees: takes no more heaps, waits until all have completed, ends the thread. Past the deadline (0: at
 * once) or when the context is cancelled, what is left completes with -ECANCELED; then that is returned. NULL is
 * allowed. No other thread uses the sender any more; not from `sent`. */
int weir_spead_sender_close(struct weir_spead_sender *sender, struct weir_context *context, int64_t deadline_ns);

struct weir_spead_sender_counters {
    uint64_t heaps, failed_heaps, packets, bytes; /* completed; failed: with an error. Bytes as in `sent` */
    uint64_t messages, calls;                     /* sent with one header lookup each (UDP_SEGMENT), system calls */
    uint64_t helped;                              /* heaps that threads sent which waited for others */
    uint64_t wakeups;                             /* the thread slept because nothing was queued, and was woken */
    uint64_t pauses, spins;                       /* for the rate: slept, or turned in a loop */
    uint64_t refused, no_memory;                  /* ECONNREFUSED, ENOBUFS seen (the latter were tried again) */
    uint64_t buffer_size;                         /* the socket's, as the system granted it */
    uint32_t in_flight, in_flight_most;
    bool offload; /* UDP_SEGMENT works, as far as is known */
};
/* Any thread, any time before closing. */
void weir_spead_sender_count(const struct weir_spead_sender *sender, struct weir_spead_sender_counters *ret);

/* What a result of `sent` means and what to do about it; a constant string. */
const char *weir_spead_explain(int result);

/* Awaits heaps: begin with how many and the context that will wait, give weir_spead_completed and the completion to
 * each send, then wait. Zeroed: complete. All fields private. */
struct weir_spead_completion {
    _Atomic uint32_t left;
    _Atomic int result;
    _Atomic uint64_t bytes;
    void *waiter;
    uint64_t own[4];
};
void weir_spead_completion_begin(struct weir_spead_completion *completion, struct weir_context *context,
                                 uint32_t heaps);
void weir_spead_completed(void *completion, int result, uint64_t bytes); /* a weir_spead_sent */
bool weir_spead_completion_done(const struct weir_spead_completion *completion);
/* The first error of its heaps, or 0; -ETIMEDOUT, -ECANCELED: the heaps are still in flight, wait again. ret_bytes may
 * be NULL: bytes of all of them. */
int weir_spead_completion_wait(struct weir_context *context, struct weir_spead_completion *completion,
                               int64_t deadline_ns, uint64_t *ret_bytes);
/* The same from a plain thread, which meanwhile sends what is queued, a message at a time: of heaps that are small,
 * where making them takes less than sending them, two processors then do both (what a thread has just made it also
 * sends fastest). Heaps of up to 64 KiB only, over UDP and without a rate; else it only waits, as it does while another
 * thread helps. Heaps may then overtake those before them by a few messages (so flush before a stop heap); they
 * complete in their order as ever, but `sent` is called from this thread or from the sender's. Not from `sent` nor
 * while a heap is made; may return as much later than the deadline as a message takes. */
int weir_spead_completion_help(struct weir_spead_sender *sender, struct weir_spead_completion *completion,
                               int64_t deadline_ns, uint64_t *ret_bytes);

#endif
