/* SPDX-License-Identifier: MIT */
/* Private to spead_sender*.c: a ring of slots, filled by any thread under a lock and emptied by the sender's own, and
 * by one more that helps it while it waits. */
#ifndef NET_SPEAD_SENDER_PRIVATE_H
#define NET_SPEAD_SENDER_PRIVATE_H
#include <pthread.h>
#include <stdatomic.h>
#include <weir/spead_send.h>

#include "base/waiter.h"
#include "net/spead_batch.h"
#include "net/spead_outgoing.h"
#include "net/spead_pacer.h"

struct slot {
    struct weir_spead_send send;
    struct spead_encoder encoder;
    uint64_t bytes;
    int result;
    bool cut;           /* given up: no more of its packets are made */
    _Atomic bool done;  /* nothing more is sent of it: it completes when all before it have */
    struct slot *after; /* the next one that is through with the same batch */
};

/* Somebody who waits for room, or for heaps to complete. On its stack. */
struct sender_wait {
    struct weir_waiter *waiter;
    struct sender_wait *next;
};

/* Who makes packets and sends them: the sender's thread, or a caller that helps it. */
struct sender_worker {
    struct spead_batch *batch; /* of a helper: NULL until there is one */
    struct spead_batch_state state, counted;
    uint64_t next, end;                   /* heaps that are its own to send */
    struct slot *finished, **finished_at; /* in the batch up to their last packet */
};

/* How much the thread takes at a time. It leaves something for those who help, until for a while nobody has come: whole
 * batches cost less. */
struct sender_share {
    uint64_t offers;   /* of help, when it looked last */
    uint32_t unhelped; /* batches since then */
};
enum {
    SENDER_HELPED_BYTES = 96 *
                          1024,    /* of a batch where others help: two messages, so that something is left for them */
    SENDER_UNHELPED_BATCHES = 256, /* of that size without help: 24 MiB, some milliseconds. Then it takes all it can */
};

struct weir_spead_sender {
    struct slot *slots;
    uint64_t slot_count;
    int *descriptors;
    uint32_t descriptor_count;
    bool tcp, offload, pinned;
    int cpu;
    size_t packet_size;
    int64_t spin_ns;
    char name[16];
    char warning[384];
    uint64_t buffer_size;
    pthread_t thread;

    /* Whoever queues: */
    _Alignas(64) pthread_mutex_t lock;
    uint64_t next_cnt, cnt_step; /* under the lock, as all until the blank line */
    bool closed;
    struct sender_wait *waits;
    void (*room)(void *argument);
    void *room_argument;
    uint32_t room_count;

    _Alignas(64) _Atomic uint64_t tail;
    _Atomic bool idle, cancelled, finish;
    _Atomic uint32_t waiting;  /* waits, and the room call if there is one */
    struct weir_waiter waiter; /* the thread's */

    /* Whoever sends: */
    _Alignas(64) pthread_mutex_t claim_lock;
    _Atomic uint64_t claimed;    /* changed under it */
    _Atomic uint32_t completing; /* requests to complete what is done; who makes the first one sees to all of them */
    _Atomic uint64_t head;       /* changed by who completes, as are the next two */
    _Atomic uint64_t heaps, failed_heaps;
    pthread_mutex_t helper_lock; /* one helps at a time */
    struct sender_worker helper;
    _Atomic uint64_t packets, bytes, messages, calls, refused, no_memory, helped;
    _Atomic uint64_t help_offered; /* how often somebody came to help, also when nothing was left to help with */
    _Atomic uint32_t in_flight_most;
    _Atomic bool offload_works;

    /* The thread's: */
    _Alignas(64) struct sender_worker own;
    struct spead_pacer pacer;
    struct sender_share share;
    bool broken;                           /* TCP: nothing more can be sent */
    uint32_t looks_skipped, looks_to_skip; /* of the looks for more before sleeping, after some that were in vain */
    _Atomic uint64_t wakeups, pauses, spins;
};

/* ---- spead_sender_thread.c -------------------------------------------------------------------------------------- */

/* Empties the ring until the sender is to end; the argument is the sender. */
void *spead_sender_run(void *argument);
/* How many bytes the next batch is to have; `offers` grows with each offer of help, and with each heap helped with. */
size_t spead_sender_share(struct sender_share *share, uint64_t offers);
/* Wakes all who wait; they look for themselves whether what they wait for has come. */
void spead_sender_wake_waits(struct weir_spead_sender *sender);

/* ---- spead_completion.c ----------------------------------------------------------------------------------------- */

/* weir_spead_completed of several heaps, with the bytes of all of them. */
void spead_completed_several(struct weir_spead_completion *completion, int result, uint64_t bytes, uint32_t heaps);

#endif
