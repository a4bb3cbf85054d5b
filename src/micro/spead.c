/* SPDX-License-Identifier: MIT */
/* SPEAD packets, as bytes. */
#include <errno.h>

#include "base/memory.h"
#include "micro/micro.h"
#include "wire/spead_decode.h"
#include "wire/spead_encode.h"

enum { PACKET = 1472, HEAP = 64 * 1024, PACKETS = 46, VECTORS = 16 };

struct spead_work {
    uint8_t *payload;
    struct spead_encode_item item;
    struct spead_encode_heap heap;
    uint8_t arena[PACKET], packet[PACKET]; /* packet: the first, in one piece */
    size_t packet_size;
};

static void close_spead(void *state)
{
    struct spead_work *work = state;
    memory_free(work->payload);
    memory_free(work);
}

/* *ret_packets: of the heap. */
static int encode(struct spead_work *work, bool keep, uint64_t *ret_packets)
{
    struct spead_encoder encoder;
    struct iovec vectors[VECTORS];
    struct spead_packet packet;
    int error = spead_encode_begin(&encoder, &work->heap, 1, PACKET);
    for (*ret_packets = 0; !error && spead_encode_packet(&encoder, work->arena, vectors, VECTORS, &packet);
         ++*ret_packets) {
        for (uint32_t i = 0; keep && *ret_packets == 0 && i < packet.vectors; i++) {
            memcpy(work->packet + work->packet_size, vectors[i].iov_base, vectors[i].iov_len);
            work->packet_size += vectors[i].iov_len;
        }
    }
    return error;
}

static int open_spead(const struct microbench *bench, void **ret)
{
    struct spead_work *work = memory_zeroed(1, sizeof *work);
    uint64_t packets = 0;
    (void)bench;
    if (!work)
        return -ENOMEM;
    work->payload = memory_zeroed(1, HEAP);
    work->item = (struct spead_encode_item){
        .id = SPEAD_USER_FIRST, .kind = SPEAD_ENCODE_BYTES, .data = work->payload, .size = HEAP};
    work->heap = (struct spead_encode_heap){.flavour = {.address_bits = 48}, .count = 1, .items = &work->item};
    int error = work->payload ? encode(work, true, &packets) : -ENOMEM;
    if (!error && packets != PACKETS)
        error = -EIO;
    if (error) {
        close_spead(work);
        return error;
    }
    *ret = work;
    return 0;
}

static int run_encode(void *state, uint64_t calls)
{
    for (uint64_t i = 0; i < calls; i++) {
        uint64_t packets;
        int error = encode(state, false, &packets);
        if (error || packets != PACKETS)
            return error ? error : -EIO;
    }
    return 0;
}

static int run_decode(void *state, uint64_t calls)
{
    const struct spead_work *work = state;
    for (uint64_t i = 0; i < calls; i++) {
        struct spead_packet_view view;
        if (spead_packet_decode(work->packet, work->packet_size, true, &view) != SPEAD_GOOD || view.heap_length != HEAP)
            return -EIO;
    }
    return 0;
}

const struct microbench micro_spead[] = {
    {.name = "spead.encode",
     .summary = "a packet of 1472 bytes made, of heaps of 64 KiB that stay where they are",
     .item = "packet",
     .items = PACKETS,
     .open = open_spead,
     .run = run_encode,
     .close = close_spead},
    {.name = "spead.decode",
     .summary = "the header and item pointers of a packet read",
     .item = "packet",
     .items = 1,
     .open = open_spead,
     .run = run_decode,
     .close = close_spead},
    {.name = NULL},
};
