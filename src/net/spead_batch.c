/* SPDX-License-Identifier: MIT */
#include "net/spead_batch.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#include "base/clock.h"

void spead_batch_reset(struct spead_batch *batch, bool offload)
{
    batch->packet_count = batch->message_count = batch->vector_count = 0;
    batch->bytes = 0;
    batch->arena_used = 0;
    batch->offload = offload;
}

static bool takes(const struct spead_batch_message *message, size_t size)
{
    return !message->closed && message->count < SPEAD_BATCH_SEGMENTS && message->bytes + size <= SPEAD_MESSAGE_BYTES;
}

bool spead_batch_has_room(const struct spead_batch *batch, size_t packet_size)
{
    if (batch->packet_count == SPEAD_BATCH_PACKETS || batch->arena_used + packet_size > SPEAD_BATCH_ARENA ||
        batch->vector_count + SPEAD_MESSAGE_VECTORS > SPEAD_BATCH_VECTORS)
        return false;
    if (!batch->offload)
        return batch->message_count < SPEAD_BATCH_SINGLES;
    return batch->message_count < SPEAD_BATCH_MESSAGES ||
           takes(&batch->messages[batch->message_count - 1], packet_size);
}

/* The message that the newest packet goes into. */
static struct spead_batch_message *message_for(struct spead_batch *batch, const struct spead_packet *packet)
{
    struct spead_batch_message *last = batch->message_count ? &batch->messages[batch->message_count - 1] : NULL;
    if (last && batch->offload && takes(last, packet->size) && packet->size <= last->segment &&
        last->vectors + packet->vectors <= SPEAD_MESSAGE_VECTORS)
        return last;
    struct spead_batch_message *message = &batch->messages[batch->message_count++];
    *message = (struct spead_batch_message){.first = batch->packet_count, .segment = packet->size};
    return message;
}

void spead_batch_add(struct spead_batch *batch, struct spead_encoder *encoder, void *owner)
{
    struct spead_packet packet;
    if (!spead_encode_packet(encoder, batch->arena + batch->arena_used, batch->vectors + batch->vector_count,
                             SPEAD_MESSAGE_VECTORS, &packet))
        return;
    struct spead_batch_message *message = message_for(batch, &packet);
    message->count++;
    message->bytes += packet.size;
    message->vectors += packet.vectors;
    message->closed = packet.size < message->segment;
    batch->packets[batch->packet_count++] = (struct spead_batch_packet){owner, packet.size, packet.vectors,
                                                                        batch->vector_count};
    batch->vector_count += packet.vectors;
    batch->arena_used += (packet.arena + 15) & ~(size_t)15;
    batch->bytes += packet.size;
}

/* ---- Sending --------------------------------------------------------------------------------------------------- */

static void account_message(struct spead_batch *batch, const struct spead_batch_message *message, int result,
                            spead_batch_account *account)
{
    for (uint32_t i = message->first; i < message->first + message->count; i++)
        account(batch->packets[i].owner, result, result == 0 || result == -ECONNREFUSED ? batch->packets[i].size : 0);
}

static void set_segment(struct spead_batch *batch, uint32_t index, struct msghdr *header)
{
    uint16_t segment = (uint16_t)batch->messages[index].segment;
    header->msg_control = &batch->control[index];
    header->msg_controllen = sizeof batch->control[index].bytes;
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    control->cmsg_level = SOL_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(control), &segment, sizeof segment);
}

/* One call of sendmmsg, gone through what passes: how many messages were sent (≥ 1), or a negative errno of the first.
 * *ret_refused: an earlier packet had found nobody at the other end. */
static int call(int descriptor, struct mmsghdr *headers, uint32_t count, struct spead_batch_state *state,
                bool *ret_refused)
{
    int64_t pause = 50 * CLOCK_MICROSECOND;
    for (int tries = 0;;) {
        state->calls++;
        int sent = sendmmsg(descriptor, headers, count, MSG_NOSIGNAL);
        if (sent > 0)
            return sent;
        if (errno == ECONNREFUSED) { /* of an earlier one; saying so has cleared it */
            state->refused++;
            *ret_refused = true;
        } else if (errno == ENOBUFS || errno == ENOMEM) {
            state->no_memory++;
            if (++tries == SPEAD_NO_MEMORY_TRIES)
                return -ENOBUFS;
            clock_sleep_until(clock_monotonic() + pause);
            pause = pause * 2 < 10 * CLOCK_MILLISECOND ? pause * 2 : 10 * CLOCK_MILLISECOND;
        } else if (errno != EINTR && errno != EAGAIN) {
            return -errno;
        }
    }
}

/* Each packet of a message by itself. Returns the first error; every packet is accounted for. */
static int send_single(struct spead_batch *batch, const struct spead_batch_message *message, int descriptor,
                       struct spead_batch_state *state, spead_batch_account *account)
{
    struct mmsghdr headers[SPEAD_BATCH_SEGMENTS];
    int first_error = 0;
    for (uint32_t i = 0; i < message->count; i++) {
        const struct spead_batch_packet *packet = &batch->packets[message->first + i];
        headers[i].msg_hdr = (struct msghdr){.msg_iov = batch->vectors + packet->first_vector,
                                             .msg_iovlen = packet->vectors};
    }
    for (uint32_t done = 0; done < message->count;) {
        bool refused = false;
        int sent = call(descriptor, headers + done, message->count - done, state, &refused);
        int result = sent < 0 ? sent : refused ? -ECONNREFUSED : 0;
        if (sent < 0 && !first_error)
            first_error = sent;
        for (int i = 0; i < (sent < 0 ? 1 : sent); i++, done++) {
            const struct spead_batch_packet *packet = &batch->packets[message->first + done];
            account(packet->owner, result, sent < 0 ? 0 : packet->size);
        }
        state->messages += sent > 0 ? (uint64_t)sent : 0;
    }
    return first_error;
}

/* Errors by which a kernel or a device says that it cannot cut messages (too old, no checksums in hardware, packets
 * over the MTU, which would have to be fragmented). */
static bool perhaps_offload(int error)
{
    return error == -EIO || error == -EINVAL || error == -EMSGSIZE || error == -EOPNOTSUPP || error == -ENOPROTOOPT;
}

void spead_batch_send(struct spead_batch *batch, int descriptor, struct spead_batch_state *state,
                      spead_batch_account *account)
{
    for (uint32_t i = 0; i < batch->message_count; i++) {
        const struct spead_batch_message *message = &batch->messages[i];
        batch->headers[i].msg_hdr = (struct msghdr){
            .msg_iov = batch->vectors + batch->packets[message->first].first_vector, .msg_iovlen = message->vectors};
        if (message->count > 1)
            set_segment(batch, i, &batch->headers[i].msg_hdr);
    }
    for (uint32_t done = 0; done < batch->message_count;) {
        const struct spead_batch_message *message = &batch->messages[done];
        bool refused = false;
        if (message->count > 1 && state->offload_failed) {
            (void)send_single(batch, message, descriptor, state, account);
            done++;
            continue;
        }
        int sent = call(descriptor, batch->headers + done, batch->message_count - done, state, &refused);
        if (sent < 0 && message->count > 1 && perhaps_offload(sent)) {
            /* If it works without, it was the cutting, and that is over. */
            state->offload_failed = send_single(batch, message, descriptor, state, account) == 0;
            done++;
            continue;
        }
        account_message(batch, message, sent < 0 ? sent : refused ? -ECONNREFUSED : 0, account);
        for (int i = 1; i < sent; i++)
            account_message(batch, message + i, 0, account);
        state->messages += sent > 0 ? (uint64_t)sent : 0;
        done += sent > 0 ? (uint32_t)sent : 1;
    }
}

/* Writes all vectors; 0 or a negative errno. */
static int write_vectors(struct spead_batch *batch, int descriptor, struct spead_batch_state *state)
{
    struct iovec *vectors = batch->vectors;
    uint32_t left = batch->vector_count;
    while (left > 0) {
        struct msghdr header = {.msg_iov = vectors,
                                .msg_iovlen = left < SPEAD_MESSAGE_VECTORS ? left : SPEAD_MESSAGE_VECTORS};
        ssize_t sent = sendmsg(descriptor, &header, MSG_NOSIGNAL);
        state->calls++;
        if (sent < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        for (size_t bytes = sent > 0 ? (size_t)sent : 0; bytes > 0 || (left > 0 && vectors->iov_len == 0);) {
            size_t piece = bytes < vectors->iov_len ? bytes : vectors->iov_len;
            vectors->iov_base = (char *)vectors->iov_base + piece;
            vectors->iov_len -= piece;
            bytes -= piece;
            if (vectors->iov_len > 0)
                break;
            vectors++;
            left--;
        }
    }
    return 0;
}

void spead_batch_stream(struct spead_batch *batch, int descriptor, struct spead_batch_state *state,
                        spead_batch_account *account)
{
    int result = write_vectors(batch, descriptor, state);
    state->messages++;
    for (uint32_t i = 0; i < batch->packet_count; i++)
        account(batch->packets[i].owner, result, result ? 0 : batch->packets[i].size);
}
