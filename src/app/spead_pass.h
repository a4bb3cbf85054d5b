/* SPDX-License-Identifier: MIT */
/*
 * One pass of a measurement: a receiver and one or more senders, each side a process of its own on a processor of its
 * own, over loopback (or whatever way leads to the address). All that was sent is held against all that came.
 */
#ifndef APP_SPEAD_PASS_H
#define APP_SPEAD_PASS_H
#include <stdbool.h>
#include <stdint.h>

struct weir_error;

enum { SPEAD_PASS_SENDERS_MAX = 256 };

struct spead_pass_options {
    const char *host; /* to send to and listen on: "127.0.0.1", "[::1]", "239.1.2.3" */
    const char *local;
    uint64_t heap_size, heaps; /* heaps: of all senders together */
    double rate;               /* bytes per second of all senders, SPEAD headers included; 0: unlimited */
    uint64_t packet_size, burst_size, receive_buffer, send_buffer;
    double burst_rate_ratio;
    uint32_t max_heaps;        /* in flight, each sender */
    uint32_t batch;            /* heaps queued together */
    uint32_t ring_heaps;       /* received and not yet taken */
    uint32_t concurrent_heaps; /* partial ones of the receiver, of each sender and substream */
    uint32_t substreams;
    uint8_t address_bits;      /* 0: 40 */
    int ttl;                   /* of multicast; 0: 1 */
    int send_cpu, receive_cpu; /* -1: any */
    uint32_t senders;          /* the first sends half of all if there are several */
    bool no_offload;
};

struct spead_pass {
    double seconds, bytes_per_second; /* of sending */
    double send_cpu_seconds, receive_cpu_seconds;
    uint64_t heaps_sent, heaps_received, packets_sent, bytes_sent;
    uint64_t other_heaps_lost; /* of all senders but the first */
    uint64_t messages, wakeups, pauses, no_memory;
    /* What became of the rest. Packets: sent = received + kernel drops + lost. Heaps: sent = received + incomplete +
     * shed + refused + never begun. */
    uint64_t packets_received, kernel_drops, packets_bad;
    uint64_t kernel_drop_buffers; /* as the kernel counts: of up to message_packets each */
    uint32_t message_packets;
    uint64_t heaps_incomplete, heaps_shed, heaps_refused;
    uint64_t socket_buffer, memory_peak;
    uint32_t sources;
};

/* Blocks until it is over. 0, or a negative errno with words. One thread, and no others in this process. */
int spead_pass_run(const struct spead_pass_options *options, struct spead_pass *ret, struct weir_error *error);

/* Heaps that came neither whole nor in any of the ways that are counted: all of their packets were lost. */
static inline uint64_t spead_pass_unseen(const struct spead_pass *pass)
{
    uint64_t seen = pass->heaps_received + pass->heaps_incomplete + pass->heaps_shed + pass->heaps_refused;
    return pass->heaps_sent > seen ? pass->heaps_sent - seen : 0;
}
/* Packets that nobody counted as lost. */
static inline uint64_t spead_pass_unexplained(const struct spead_pass *pass)
{
    uint64_t known = pass->packets_received + pass->kernel_drops;
    return pass->packets_sent > known ? pass->packets_sent - known : 0;
}
#endif
