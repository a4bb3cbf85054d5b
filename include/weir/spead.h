/* SPDX-License-Identifier: MIT */
/*
 * SPEAD-64-XX: heaps of items, sent and received over UDP, TCP or from captures. Words as SPEAD's documents use them: a
 * heap is a set of items with one count; it travels in packets; a descriptor says an item's name, shape and type. The
 * sender's half stands in <weir/spead_send.h>, words of errors in <weir/part.h>. examples/spead_heaps.c is a program of
 * both halves; the receiver's is in short:
 *
 *     weir_spead_receiver_new(&options, &error, &receiver);                      // options: zeroed will do
 *     weir_spead_receiver_add(receiver, &(struct weir_spead_endpoint){.address = ":8888"}, &error);
 *     weir_spead_receiver_start(receiver, &error);
 *     while (weir_spead_receiver_next(receiver, NULL, WEIR_NEVER, &heap) == 0) { // until the stop item
 *         for (uint32_t i = 0; i < heap->value_count; i++)
 *             look_at(&heap->values[i]);
 *         weir_memory_release(&heap->memory);                                    // its memory is used again
 *     }
 *     weir_spead_receiver_free(receiver);
 */
#ifndef WEIR_SPEAD_H
#define WEIR_SPEAD_H

#include <weir/batch.h>
#include <weir/context.h>
#include <weir/spead_send.h>

struct weir_error;

/* ---- Receiver: heaps ------------------------------------------------------------------------------------------- */

/* One item of a received heap. */
struct weir_spead_value {
    uint64_t id;
    bool immediate;
    uint64_t value;      /* immediate: the value; else the offset in the heap's payload */
    const uint8_t *data; /* addressed: the bytes, in the heap's payload, at any alignment; immediate: NULL */
    uint64_t length;     /* addressed: bytes of it; immediate: bytes of the value, that is of an address */
};

/* Bytes [begin, end) of a payload. */
struct weir_spead_range {
    uint64_t begin, end;
};

/*
 * A heap that was received. It belongs to whoever took it, who may hand out further references with
 * weir_memory_reference(&heap->memory), from any thread; the last weir_memory_release gives it back for reuse. So a
 * batch can own it, and the payload becomes a column without a copy.
 */
struct weir_spead_heap {
    struct weir_memory memory; /* data, size: the payload */
    uint64_t count;            /* as the sender numbers its heaps */
    uint8_t address_bits;      /* flavour 64-XX */
    bool complete;             /* every byte came; else `received` of them did, the rest are zeros */
    bool sized;                /* the sender said the length */
    uint32_t source;           /* number of the sender, from 0; see weir_spead_receiver_sources */
    uint32_t packets;          /* that it came in; duplicates do not count */
    uint64_t received;         /* bytes of payload that came */
    int64_t first_ns, last_ns; /* weir_now's clock: when its first and last packet came (captures: their own time) */
    uint32_t value_count;
    const struct weir_spead_value *values; /* in the order of its item pointers */
    uint32_t range_count;
    const struct weir_spead_range *ranges; /* what has come, ascending; for a whole heap that is all of it */
    const struct weir_spead_chunk *chunk;  /* not NULL: this is a block of many heaps, whose memory this is */
};

/* A block of heaps of one length, each at its place: heap `i` at data + i × heap_bytes. Where none came whole there are
 * zeros. */
struct weir_spead_chunk {
    uint64_t number;               /* from 0; the first place is of index number × heaps */
    uint32_t heaps, present_count; /* places, and how many have a heap */
    uint64_t heap_bytes;           /* of each */
    const uint8_t *present;        /* 1: there, 0: missing; for each place */
    struct weir_spead_heap *const
        *placed; /* likewise: the heap with its items, which lie in the block; NULL: missing */
};

/* ---- Receiver: statistics -------------------------------------------------------------------------------------- */

/* What is counted, for each source: name, words. A packet counts once, in one of the first three groups. */
#define WEIR_SPEAD_COUNTERS_EACH(X)                                                                                    \
    X(PACKETS, "packets", "packets taken")                                                                             \
    X(BYTES, "bytes", "bytes of payload taken")                                                                        \
    X(PACKETS_DUPLICATE, "packets_duplicate", "packets that had come before")                                          \
    X(PACKETS_LATE, "packets_late", "packets of heaps that were given up before")                                      \
    X(PACKETS_TOO_SHORT, "packets_too_short", "packets shorter than a header")                                         \
    X(PACKETS_NO_SPEAD, "packets_no_spead", "packets that are not SPEAD")                                              \
    X(PACKETS_BAD_FLAVOUR, "packets_bad_flavour", "packets of a flavour that is not 64-XX")                            \
    X(PACKETS_POINTERS_OVERRUN, "packets_pointers_overrun", "packets with more item pointers than bytes")              \
    X(PACKETS_NO_COUNT, "packets_no_count", "packets without a heap count")                                            \
    X(PACKETS_NO_OFFSET, "packets_no_offset", "packets without a payload offset")                                      \
    X(PACKETS_NO_LENGTH, "packets_no_length", "packets without a payload length")                                      \
    X(PACKETS_PAYLOAD_OVERRUN, "packets_payload_overrun", "packets with less payload than they say")                   \
    X(PACKETS_BEYOND_HEAP, "packets_beyond_heap", "packets with payload beyond the heap's end")                        \
    X(PACKETS_TRAILING_BYTES, "packets_trailing_bytes", "packets with bytes behind the payload")                       \
    X(PACKETS_OVERSIZE, "packets_oversize", "packets longer than the largest packet size")                             \
    X(PACKETS_OVERLAP, "packets_overlap", "packets with payload that came before in part")                             \
    X(PACKETS_LENGTH_CHANGED, "packets_length_changed", "packets with another heap length than before")                \
    X(PACKETS_POINTER_BEYOND, "packets_pointer_beyond", "packets with an item beyond the heap's end")                  \
    X(PACKETS_FLAVOUR_CHANGED, "packets_flavour_changed", "packets of another flavour than their heap")                \
    X(PACKETS_OUT_OF_ORDER, "packets_out_of_order", "packets out of order, where order is asked for")                  \
    X(PACKETS_TOO_MANY_POINTERS, "packets_too_many_pointers", "packets with too many items for one heap")              \
    X(PACKETS_SCATTERED, "packets_scattered", "packets that would leave too many gaps in their heap")                  \
    X(PACKETS_AFTER_STOP, "packets_after_stop", "packets after their sender's stop")                                   \
    X(PACKETS_TOO_LARGE, "packets_too_large", "packets of heaps over the largest heap size")                           \
    X(PACKETS_UNSIZED, "packets_unsized", "packets without a heap length, where one is asked for")                     \
    X(PACKETS_NO_MEMORY, "packets_no_memory", "packets of heaps for which the memory is used up")                      \
    X(PACKETS_NO_SOURCE, "packets_no_source", "packets of more senders than are followed at a time")                   \
    X(HEAPS, "heaps", "heaps received whole")                                                                          \
    X(HEAPS_INCOMPLETE_EVICTED, "incomplete_heaps_evicted", "incomplete heaps given up for newer ones")                \
    X(HEAPS_INCOMPLETE_FLUSHED, "incomplete_heaps_flushed", "incomplete heaps at the end")                             \
    X(HEAPS_INCOMPLETE_IDLE, "incomplete_heaps_idle", "incomplete heaps of which nothing more came")                   \
    X(HEAPS_INCOMPLETE_MEMORY, "incomplete_heaps_memory", "incomplete heaps given up for want of memory")              \
    X(HEAPS_SHED, "heaps_shed", "whole heaps dropped because nobody took them in time")                                \
    X(HEAPS_HEADLESS, "heaps_headless", "heaps not begun, because their first packet was lost")                        \
    X(HEAPS_TOO_LARGE, "heaps_too_large", "heaps over the largest heap size")                                          \
    X(HEAPS_NO_MEMORY, "heaps_no_memory", "heaps for which the memory is used up")                                     \
    X(HEAPS_CHUNK_LATE, "heaps_chunk_late", "heaps whose chunk was handed out before they came")                       \
    X(HEAPS_OUTSIDE_CHUNKS, "heaps_outside_chunks", "heaps that come by themselves, as they fit into no chunk")        \
    X(SINGLE_PACKET_HEAPS, "single_packet_heaps", "heaps of one packet")                                               \
    X(STOPS, "stops", "stop items")

enum weir_spead_counter {
#define WEIR_SPEAD_COUNTER(id, name, words) WEIR_SPEAD_##id,
    WEIR_SPEAD_COUNTERS_EACH(WEIR_SPEAD_COUNTER)
#undef WEIR_SPEAD_COUNTER
        WEIR_SPEAD_COUNTERS
};
struct weir_spead_counters {
    uint64_t of[WEIR_SPEAD_COUNTERS];
};
const char *weir_spead_counter_name(enum weir_spead_counter counter);  /* "packets_duplicate" */
const char *weir_spead_counter_words(enum weir_spead_counter counter); /* "packets that had come before" */

/* ---- Receiver -------------------------------------------------------------------------------------------------- */

enum weir_spead_stop {
    WEIR_SPEAD_STOP_ANY,   /* a stop item of any source ends the endpoint that it comes to, and all is over when every
                            * endpoint has ended; such a heap is not handed out */
    WEIR_SPEAD_STOP_ALL,   /* a stop item ends its source; all is over when every source has sent one, and at least one
                            * has come to every endpoint */
    WEIR_SPEAD_STOP_NEVER, /* a heap like others */
};

enum { WEIR_SPEAD_RING_MAX = 4096 }; /* heaps that wait where nobody says how many may */

/* Zeroed: everything as the comments say. */
struct weir_spead_receive_options {
    uint32_t max_heaps;      /* partial ones, for each source and substream; 0: 4 */
    uint32_t substreams;     /* 0: 1 */
    uint32_t max_sources;    /* senders followed at a time; 0: 1024 */
    uint32_t ring_heaps;     /* received and not yet taken; 0: 16, and of small ones a quarter of `memory`, up to
                              * WEIR_SPEAD_RING_MAX */
    uint32_t remembered;     /* counts of heaps that are over, for each source, to know duplicates; 0: 64 */
    uint64_t max_heap_bytes; /* payload of one heap; 0: 256 MiB */
    uint64_t memory;         /* of payloads, those not yet released too; 0: 1 GiB */
    /* The first use of memory costs time, in which packets may be lost: for so many heaps of so many bytes it is made
     * ready at the start. 0: none is. */
    uint32_t ready_heaps;
    uint64_t ready_bytes;
    uint64_t packet_max; /* bytes; a longer datagram is dropped; 0: 65535 */
    /* Bytes to ask the kernel for; 0: 64 MiB, or as much of it as there may be, with a warning below 8 (TCP: as it
     * is). */
    uint64_t socket_buffer;
    int64_t idle_ns; /* a partial heap of which nothing more comes is given up; 0: 10 s; < 0: never */
    int64_t spin_ns; /* look again for so long before the thread sleeps; costs processor time */
    /* UDP: while packets come in quicker succession than this, they gather for so long before the thread looks again:
     * it need not be woken for each, and more come by one call. 0: 100 us, or none where it spins; < 0: none. */
    int64_t gather_ns;
    enum weir_spead_stop stop;
    bool joint;           /* the endpoints are one stream: with STOP_ANY the first stop item ends them all */
    bool in_order;        /* a packet must begin where the one before it ended: no packet of a heap can be late */
    bool incomplete;      /* hand out heaps that were given up too */
    bool refuse_unsized;  /* refuse heaps whose length is not said */
    bool no_gro;          /* take datagrams one by one */
    bool remember_always; /* captures: a source that was silent may still not count anew */
    int cpu;              /* processor of the receiving thread, from 1; 0: any */
    struct weir_spead_chunk_options {
        uint32_t heaps;      /* in a chunk; 0: no chunks, each heap comes by itself */
        uint32_t window;     /* chunks that are filled at the same time; 0: 2. An older one is handed out as it is */
        uint64_t heap_bytes; /* payload of a heap that goes there; those of other lengths come by themselves */
        uint64_t item;       /* id of an immediate item, in every packet, that says the heap's place; 0: its count */
        uint64_t first;      /* the value of place 0 in chunk 0 */
        uint64_t step;       /* between the values of heaps that follow each other; 0: 1 */
    } chunks;                /* a chunk counts against `memory` as a whole */
};

enum weir_spead_transport { WEIR_SPEAD_UDP, WEIR_SPEAD_TCP, WEIR_SPEAD_CAPTURE };
struct weir_spead_endpoint {
    enum weir_spead_transport transport;
    const char *address;   /* "8888", ":8888", "127.0.0.1:8888", "[::1]:8888", "239.1.2.3:7148"; or a capture's file */
    const char *interface; /* multicast: its name or address; NULL: the system chooses */
    const char *only_from; /* multicast: the one sender to join (source-specific); NULL: any */
};

struct weir_spead_statistics {
    struct weir_spead_counters total;
    uint32_t sources;
    uint64_t datagrams;     /* taken from the kernel (TCP, captures: packets) */
    uint64_t receive_calls; /* calls of the kernel that brought something */
    uint64_t sleeps;        /* how often the thread slept */
    /* What the kernel dropped because the socket's buffer was full. It counts buffers, and with GRO one of them holds
     * several packets: as many as the message that came next, is taken to be. */
    uint64_t kernel_drops, kernel_drop_buffers;
    uint32_t message_packets;     /* most packets that came in one message */
    uint64_t socket_buffer;       /* bytes, as granted; the smallest */
    uint64_t memory, memory_peak; /* bytes of payloads, free ones that are kept too */
    /* What was refused for `max_heap_bytes` and for `memory`: the longest heap of those, 0: none; and the least
     * `memory` that would do for all sources at once. */
    uint64_t too_large_bytes, no_memory_bytes, memory_wanted;
    uint32_t heaps_held; /* partial, waiting, and not yet released */
    /* Records of captures that are not UDP, parts of IP packets, cut short, or with lengths that contradict each other;
     * and those of a link type that is not read (Ethernet, Linux cooked, raw IP and BSD loopback are), and which. */
    uint64_t capture_other, capture_fragments, capture_truncated, capture_malformed, capture_unknown_link;
    uint32_t capture_link; /* as numbered by tcpdump.org/linktypes.html */
};
/* A source is a sender's address and where its packets come to: who sends to two ports is two. */
struct weir_spead_source_statistics {
    uint32_t number;
    bool stopped;
    char name[64];  /* "127.0.0.1:40312" */
    char place[64]; /* the endpoint's address, as given; captures: as captured */
    struct weir_spead_counters counters;
};

struct weir_spead_receiver;

/* Options, endpoints and the texts in them are copied: nothing of the caller's has to stay. All calls on a receiver
 * come from one thread, but for _stop and _statistics. -ENOMEM with words. */
int weir_spead_receiver_new(const struct weir_spead_receive_options *options, struct weir_error *error,
                            struct weir_spead_receiver **ret);
/* Opens one more place to receive from, before the start. UDP endpoints do not go together with others. -EINVAL, or
 * what the system said, with words. May block while a name is looked up. */
int weir_spead_receiver_add(struct weir_spead_receiver *receiver, const struct weir_spead_endpoint *endpoint,
                            struct weir_error *error);
/* A sentence when less of the socket's buffer was granted than asked for, with what to do about it; else NULL. Lives as
 * long as the receiver. */
const char *weir_spead_receiver_warning(const struct weir_spead_receiver *receiver);
/* Starts the receiving thread. On UDP it never waits for whoever takes the heaps: what finds no place in the ring is
 * shed, whole, and counted. From TCP and captures it stops reading instead. */
int weir_spead_receiver_start(struct weir_spead_receiver *receiver, struct weir_error *error);
/* Waits for the next heap; the caller releases it. -EPIPE: the stream has ended and all was taken; -ETIMEDOUT;
 * -ECANCELED (the context's). `context` NULL: a plain thread; deadlines are nanoseconds of CLOCK_MONOTONIC. */
int weir_spead_receiver_next(struct weir_spead_receiver *receiver, struct weir_context *context, int64_t deadline_ns,
                             struct weir_spead_heap **ret);
/* Why the stream ended, if it did by an error (a damaged capture): 0 or a negative errno, with words. */
int weir_spead_receiver_failure(struct weir_spead_receiver *receiver, struct weir_error *error);
/* Ends the receiving; what has come can still be taken. Any thread; a signal handler too. */
void weir_spead_receiver_stop(struct weir_spead_receiver *receiver);
/* Waits for the thread to end. Heaps that are held stay valid. NULL is allowed. */
void weir_spead_receiver_free(struct weir_spead_receiver *receiver);

/* Any thread, until _free. */
void weir_spead_receiver_statistics(struct weir_spead_receiver *receiver, struct weir_spead_statistics *ret);
/* Fills in up to `most` sources, in the order in which they were first seen; returns how many. */
uint32_t weir_spead_receiver_sources(struct weir_spead_receiver *receiver, struct weir_spead_source_statistics *ret,
                                     uint32_t most);
/* The port that the first endpoint listens on: for endpoints with port 0. */
uint16_t weir_spead_receiver_port(const struct weir_spead_receiver *receiver);

#endif
