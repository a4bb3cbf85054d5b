/* SPDX-License-Identifier: MIT */
/*
 * SPEAD-64-XX: heaps of items, sent and received over UDP, TCP or from captures. Words as SPEAD's documents use them: a
 * heap is a set of items with one count; it travels in packets; a descriptor says an item's name, shape and type. The
 * sender's half stands in <weir/spead_send.h>.
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
    const uint8_t *data; /* addressed: the bytes, in the heap's payload; immediate: NULL */
    uint64_t length;     /* addressed: bytes of it; immediate: bytes of the value, that is of an address */
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

#endif
