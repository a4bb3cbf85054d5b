/* SPDX-License-Identifier: MIT */
#include "net/spead_scatter.h"

#include <string.h>

/* One message, for the next packets from place->payload on; moves the place. */
static void plan_message(struct spead_scatter *scatter, uint32_t index, uint32_t packets, struct spead_place *place,
                         uint8_t *buffer)
{
    struct scatter_message *message = &scatter->messages[index];
    struct iovec *vectors = scatter->vectors[index];
    uint8_t *heads = scatter->heads + (size_t)index * SCATTER_PACKETS * SPEAD_HEAD_MAX;
    *message = (struct scatter_message){0};
    for (; message->packets < packets && place->left > 0; message->packets++) {
        uint64_t length = place->left < place->length ? place->left : place->length;
        vectors[message->vectors++] = (struct iovec){heads + (size_t)message->packets * place->head, place->head};
        vectors[message->vectors++] = (struct iovec){place->payload, length};
        place->payload += length;
        place->left -= length;
        message->bytes += place->head + length;
    }
    vectors[message->vectors++] = (struct iovec){buffer + message->bytes, SCATTER_BUFFER - message->bytes};
}

uint32_t scatter_plan(struct spead_scatter *scatter, struct spead_source *source, uint64_t packet_max, uint32_t most,
                      uint8_t *buffers, size_t stride)
{
    struct spead_place place;
    scatter->planned = 0;
    if (!source || !spead_heaps_place(source, &place) || place.length < SCATTER_LENGTH_MIN ||
        place.left < 2 * (uint64_t)place.length || place.head + place.length > packet_max ||
        place.head + place.length > SCATTER_MESSAGE_BYTES)
        return 0;
    if (scatter->pause > 0) {
        scatter->pause--;
        return 0;
    }
    uint32_t packets = SCATTER_MESSAGE_BYTES / (place.head + place.length);
    uint32_t depth = scatter->depth < 1 ? 1 : scatter->depth;
    packets = packets > SCATTER_PACKETS ? SCATTER_PACKETS : packets;
    scatter->source = source;
    scatter->head = place.head;
    scatter->length = place.length;
    while (scatter->planned < most && scatter->planned < depth && place.left > 0) {
        plan_message(scatter, scatter->planned, packets, &place, buffers + scatter->planned * stride);
        scatter->planned++;
    }
    scatter->whole = place.left > 0;
    return scatter->planned;
}

/* Puts the bytes [from, size) of a message into its plain buffer, where the rest of it already is. */
static void put_together(const struct spead_scatter *scatter, uint32_t index, size_t from, size_t size)
{
    const struct scatter_message *message = &scatter->messages[index];
    const struct iovec *vectors = scatter->vectors[index], *rest = &vectors[message->vectors - 1];
    size_t end = size < message->bytes ? size : message->bytes, at = 0;
    uint8_t *buffer = (uint8_t *)rest->iov_base - message->bytes;
    for (uint32_t i = 0; i < 2 * message->packets && at < end; at += vectors[i++].iov_len) {
        size_t skip = from > at ? from - at : 0, length = vectors[i].iov_len;
        if (at + length > end)
            length = end - at;
        if (skip < length)
            memcpy(buffer + at + skip, (const uint8_t *)vectors[i].iov_base + skip, length - skip);
    }
}

/* A guess has failed. In a message behind others, the one before it had fewer packets than it could have: messages are
 * foretold one by one then. */
static void fail(struct spead_scatter *scatter, uint32_t index)
{
    scatter->good = 0;
    scatter->depth = index > 0 ? 1 : scatter->depth;
    if (index == 0) {
        scatter->pauses = scatter->pauses == 0 ? 1 : 2 * scatter->pauses;
        scatter->pauses = scatter->pauses > SCATTER_PAUSE_MAX ? SCATTER_PAUSE_MAX : scatter->pauses;
        scatter->pause = scatter->pauses;
    }
}

size_t scatter_take(struct spead_scatter *scatter, struct spead_heaps *heaps, uint32_t index,
                    const struct scatter_received *received, void (*taken)(void *argument), void *argument)
{
    const struct scatter_message *message = &scatter->messages[index];
    const struct iovec *vectors = scatter->vectors[index];
    size_t size = received->messages[0].msg_len, at = 0, packet = scatter->head + scatter->length;
    bool fits = received->source == scatter->source &&
                (received->segment == packet || (received->segment == 0 && size <= packet));
    for (uint32_t i = 0; fits && i < message->packets && at + scatter->head < size; i++) {
        size_t length = size - at < packet ? size - at - scatter->head : scatter->length;
        if (length > vectors[2 * i + 1].iov_len ||
            !spead_heaps_placed(heaps, scatter->source, vectors[2 * i].iov_base, vectors[2 * i + 1].iov_base, length,
                                received->now_ns))
            break;
        taken(argument);
        at += scatter->head + length;
    }
    if (at == size)
        return size;
    if (at < message->bytes) { /* not only the rest, of which nothing was foretold */
        put_together(scatter, index, at, size);
        fail(scatter, index);
    }
    for (uint32_t i = 1; index + i < scatter->planned && i < received->count; i++)
        put_together(scatter, index + i, 0, received->messages[i].msg_len);
    scatter->planned = 0;
    return at;
}

void scatter_done(struct spead_scatter *scatter)
{
    if (scatter->planned == 0)
        return;
    scatter->pauses = 0;
    if (++scatter->good < 32 || scatter->depth >= SCATTER_MESSAGES)
        return;
    scatter->good = 0;
    scatter->depth = scatter->depth < 1 ? 2 : 2 * scatter->depth;
}
