/* SPDX-License-Identifier: MIT */
/*
 * How fast packets that lie in memory, back to back as TCP carries them, become heaps. Output: one line of JSON.
 *
 *     spead_decode [HEAP_SIZE (262144) [PACKET (1472) [STREAM_BYTES (524288) [SECONDS (1)]]]]
 *
 * The stream as it is by default stays in the second-level cache, as what was just received does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weir/part.h>

#include "base/clock.h"
#include "base/memory.h"
#include "net/spead_heap.h"
#include "wire/spead_decode.h"
#include "wire/spead_encode.h"

static size_t argument(int argc, char **argv, int index, size_t otherwise)
{
    return argc > index ? (size_t)strtoull(argv[index], NULL, 10) : otherwise;
}

/* Appends one heap; returns where it ends, 0: no room for more. */
static size_t append_heap(uint8_t *stream, size_t at, size_t room, const struct spead_encode_heap *heap, uint64_t cnt,
                          size_t packet_size)
{
    static uint8_t arena[SPEAD_PACKET_MAX + 64];
    struct spead_encoder encoder;
    struct spead_packet packet;
    struct iovec vectors[64];
    if (spead_encode_begin(&encoder, heap, cnt, packet_size) < 0)
        exit(2);
    while (spead_encode_packet(&encoder, arena, vectors, 64, &packet)) {
        if (at + packet.size > room)
            return 0;
        for (uint32_t i = 0; i < packet.vectors; at += vectors[i++].iov_len)
            memcpy(stream + at, vectors[i].iov_base, vectors[i].iov_len);
    }
    return at;
}

/* Takes the stream once; returns how many heaps that was. */
static uint64_t decode(struct spead_heaps *heaps, struct spead_source *source, const uint8_t *stream, size_t size)
{
    uint64_t taken = 0;
    enum spead_refusal refusal = SPEAD_GOOD;
    for (size_t at = 0; at < size;) {
        uint64_t needs = spead_packet_needs(stream + at, size - at, &refusal);
        if (needs == 0 || needs > size - at)
            exit(3);
        spead_heaps_packet(heaps, source, stream + at, needs, 1);
        at += needs;
        for (struct weir_spead_heap *heap; (heap = spead_heaps_take(heaps)); taken++)
            weir_memory_release(&heap->memory);
    }
    return taken;
}

int main(int argc, char **argv)
{
    size_t heap_size = argument(argc, argv, 1, 256 << 10), packet = argument(argc, argv, 2, 1472);
    size_t room = argument(argc, argv, 3, 512 << 10), size = 0;
    double seconds = argc > 4 ? strtod(argv[4], NULL) : 1;
    room = room < heap_size + heap_size / 8 + 65536 ? heap_size + heap_size / 8 + 65536 : room;
    uint8_t *stream = memory_aligned(4096, (room + 4095) / 4096 * 4096),
            *payload = memory_aligned(4096, heap_size + 4096);
    const struct spead_heaps_options options = {.max_heaps = 4,
                                                .substreams = 1,
                                                .max_sources = 1,
                                                .max_heap_bytes = UINT64_C(1) << 32,
                                                .memory = UINT64_C(4) << 30,
                                                .stop = SPEAD_STOP_NEVER};
    struct spead_heaps *heaps = spead_heaps_new(&options);
    struct spead_source *source = heaps ? spead_heaps_add(heaps, "memory", 6, "memory", 1) : NULL;
    if (!stream || !payload || !source)
        return 1;
    memset(payload, 1, heap_size);
    const struct spead_encode_item item = {
        .id = 0x1234, .kind = SPEAD_ENCODE_BYTES, .data = payload, .size = heap_size};
    const struct spead_encode_heap heap = {.flavour = {.address_bits = 40}, .count = 1, .items = &item};
    uint64_t made = 0, taken = 0, rounds = 0;
    for (size_t end; (end = append_heap(stream, size, room, &heap, made + 1, packet)) > 0; made++)
        size = end;
    (void)decode(heaps, source, stream, size);
    int64_t start = clock_monotonic(), until = start + (int64_t)(seconds * 1e9);
    for (; clock_monotonic() < until; rounds++)
        taken += decode(heaps, source, stream, size);
    double took = (double)(clock_monotonic() - start) / 1e9;
    if (taken != rounds * made)
        return 3;
    printf("{\"heap_size\": %zu, \"packet\": %zu, \"stream_bytes\": %zu, \"gbps\": %.2f}\n", heap_size, packet, size,
           (double)(rounds * size) * 8e-9 / took);
    spead_heaps_free(heaps);
    memory_free(payload);
    memory_free(stream);
    return 0;
}
