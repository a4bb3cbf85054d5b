/* SPDX-License-Identifier: MIT */
/*
 * Packets on their way into one system call. Those that follow each other and have the same size share a message, which
 * the kernel cuts again as late as it can (UDP_SEGMENT): at most 64 of them and 64 KiB, only the last may be shorter.
 *
 *     packets     [1472][1472] … [1472][890] [1472] …
 *     messages    └────────── one ─────────┘ └─ another      → sendmmsg
 *
 * Headers of all packets lie in one arena, which is used from its beginning for each batch, so that it stays in the
 * first-level cache; payload stays where it is.
 */
#ifndef NET_SPEAD_BATCH_H
#define NET_SPEAD_BATCH_H
#include <sys/socket.h>

#include "wire/spead_encode.h"

enum {
    SPEAD_BATCH_MESSAGES = 8,  /* of several packets */
    SPEAD_BATCH_SINGLES = 64,  /* of one, where the kernel cannot cut */
    SPEAD_BATCH_SEGMENTS = 64, /* the kernel's UDP_MAX_SEGMENTS */
    SPEAD_BATCH_PACKETS = SPEAD_BATCH_MESSAGES * SPEAD_BATCH_SEGMENTS,
    SPEAD_BATCH_VECTORS = 4096,
    SPEAD_BATCH_ARENA = 256 * 1024,
    SPEAD_MESSAGE_BYTES = 65487,  /* that fit into one IPv6 or IPv4 datagram */
    SPEAD_MESSAGE_VECTORS = 1024, /* the kernel's UIO_MAXIOV */
    SPEAD_NO_MEMORY_TRIES = 20,   /* on ENOBUFS, with pauses that grow from 50 us to 10 ms: 130 ms in all */
};

struct spead_batch_packet {
    void *owner; /* whose heap it is of */
    uint32_t size, vectors, first_vector;
};
struct spead_batch_message {
    uint32_t first, count; /* of packets */
    uint32_t segment, bytes, vectors;
    bool closed; /* ends with a packet that is shorter than the others */
};
struct spead_batch {
    uint32_t packet_count, message_count, vector_count;
    uint64_t bytes;
    size_t arena_used;
    bool offload; /* messages of several packets */
    struct spead_batch_packet packets[SPEAD_BATCH_PACKETS];
    struct spead_batch_message messages[SPEAD_BATCH_SINGLES + 1];
    struct iovec vectors[SPEAD_BATCH_VECTORS];
    struct mmsghdr headers[SPEAD_BATCH_SINGLES + 1]; /* for the call */
    union {
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr aligned;
    } control[SPEAD_BATCH_SINGLES + 1];
    uint8_t arena[SPEAD_BATCH_ARENA];
};

/* What sending met with; kept by the caller from batch to batch. */
struct spead_batch_state {
    uint64_t messages, calls, refused, no_memory;
    bool offload_failed; /* UDP_SEGMENT does not work on the way: never again */
};

/* Empties it. */
void spead_batch_reset(struct spead_batch *batch, bool offload);
/* Whether one more packet of up to `packet_size` certainly fits. */
bool spead_batch_has_room(const struct spead_batch *batch, size_t packet_size);
/* The next packet of the encoder; there is room. */
void spead_batch_add(struct spead_batch *batch, struct spead_encoder *encoder, void *owner);

/* Told of each packet once: 0 and its size, or an error and 0 bytes; or -ECONNREFUSED and its size: it was sent, but an
 * earlier one had found nobody. */
typedef void spead_batch_account(void *owner, int result, uint32_t bytes);
/* Sends it all through a connected UDP socket; may block while the socket's buffer is full. */
void spead_batch_send(struct spead_batch *batch, int descriptor, struct spead_batch_state *state,
                      spead_batch_account *account);
/* The same through TCP, packet behind packet. After an error nothing more can be sent. */
void spead_batch_stream(struct spead_batch *batch, int descriptor, struct spead_batch_state *state,
                        spead_batch_account *account);
#endif
