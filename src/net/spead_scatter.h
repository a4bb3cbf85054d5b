/* SPDX-License-Identifier: MIT */
/*
 * Receiving payload straight into heaps. When a sender's packets come in order, it is known before a message is
 * received which packets it holds and where their payload belongs, so the kernel can put it there:
 *
 *     message   [head][payload][head][payload] … [rest]
 *                  │      │       │      │         └─► the message's plain buffer
 *                  │      └───────┼──────┴───────────► the heap
 *                  └──────────────┴──────────────────► heads, side by side
 *
 * Each head is compared with what was foretold. From the first on that differs, the message, and all behind it that
 * were foretold too, are put together in their plain buffers, as if nothing had been foretold; nothing is lost by a
 * wrong guess but time, so guesses become fewer where they fail.
 */
#ifndef NET_SPEAD_SCATTER_H
#define NET_SPEAD_SCATTER_H
#include <sys/socket.h>

#include "net/spead_heap.h"

enum {
    SCATTER_MESSAGES = 8,      /* foretold at a time, at most */
    SCATTER_PACKETS = 64,      /* of one message: the kernel's UDP_MAX_SEGMENTS */
    SCATTER_LENGTH_MIN = 1024, /* bytes of payload of a packet; less is faster copied */
    SCATTER_PAUSE_MAX = 64,    /* calls without a guess, after guesses that failed */
    SCATTER_MESSAGE_BYTES = 65507,
    SCATTER_BUFFER = 65536, /* bytes of a plain buffer */
};

struct scatter_message {
    uint32_t vectors; /* with that of the rest */
    uint32_t packets;
    size_t bytes; /* of heads and payloads: what is behind lies in the plain buffer */
};
struct spead_scatter {
    struct spead_source *source; /* whose packets were foretold; NULL: none were */
    uint32_t planned;            /* messages */
    uint32_t head, length;       /* of each packet, but that the heap's last may have less payload */
    bool whole;                  /* the plan was not cut short by the end of the heap */
    uint32_t depth;              /* messages to foretell next time */
    uint32_t pause, pauses;      /* calls to let pass, and how many the next time */
    uint32_t good;               /* guesses in a row that were right */
    struct scatter_message messages[SCATTER_MESSAGES];
    struct iovec vectors[SCATTER_MESSAGES][2 * SCATTER_PACKETS + 1];
    uint8_t heads[SCATTER_MESSAGES * SCATTER_PACKETS * SPEAD_HEAD_MAX];
};

/* Lays out up to `most` messages for the next packets of the source (NULL: none), if they can be foretold.
 * buffers + i * stride: the plain buffer of message i. Returns how many messages are laid out: ->messages and ->vectors
 * say how. */
uint32_t scatter_plan(struct spead_scatter *scatter, struct spead_source *source, uint64_t packet_max, uint32_t most,
                      uint8_t *buffers, size_t stride);

/* What was received: messages[0] is the one to take, those behind it came with it. */
struct scatter_received {
    const struct mmsghdr *messages;
    uint32_t count;
    struct spead_source *source; /* of the first */
    size_t segment;              /* bytes of its packets; 0: it is one */
    int64_t now_ns;
};
/* Takes those packets of message `index` of the plan that are as foretold, and calls `taken` after each. Returns how
 * many bytes that was. When it is less than the message has, the rest lies in its plain buffer, at its place in the
 * message, and so do all messages behind it: the plan is over. */
size_t scatter_take(struct spead_scatter *scatter, struct spead_heaps *heaps, uint32_t index,
                    const struct scatter_received *received, void (*taken)(void *argument), void *argument);

/* All messages of the plan were looked at, or fewer came. */
void scatter_done(struct spead_scatter *scatter);
#endif
