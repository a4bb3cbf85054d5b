/* SPDX-License-Identifier: MIT */
/*
 * The receiver's state machine: any sequence of packets, from several senders, through partial heaps to finished ones,
 * within its limits, with each packet counted once. The input is a list of steps: a byte that says which, then what it
 * needs. Packets come as raw bytes, or made from a few bytes, so that heaps of several packets are soon found.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/spead_heap.h"
#include "wire/spead.h"

enum { SOURCES = 6, HELD = 4, PACKET_MAX = 2048, MEMORY = 1 << 20, HEAP_MAX = 200000 };

struct input {
    const uint8_t *data;
    size_t size;
};

static uint64_t take(struct input *input, size_t bytes)
{
    uint64_t value = 0;
    for (; bytes > 0; bytes--) {
        value = value << 8 | (input->size > 0 ? *input->data : 0);
        input->data += input->size > 0;
        input->size -= input->size > 0;
    }
    return value;
}

struct machine {
    struct spead_heaps *heaps;
    struct spead_heaps_options options;
    struct weir_spead_heap *held[HELD]; /* by whoever took them */
    unsigned next;
    int64_t now;
    uint64_t fed;
};

static void check_heap(const struct machine *machine, const struct weir_spead_heap *heap)
{
    const uint8_t *payload = heap->memory.data;
    uint64_t end = 0, received = 0;
    if (heap->memory.size > machine->options.max_heap_bytes ||
        (heap->complete && heap->received != heap->memory.size)) {
        abort();
    }
    for (uint32_t i = 0; i < heap->range_count; i++) {
        if (heap->ranges[i].begin < end || heap->ranges[i].end <= heap->ranges[i].begin ||
            heap->ranges[i].end > heap->memory.size) {
            abort();
        }
        end = heap->ranges[i].end;
        received += end - heap->ranges[i].begin;
    }
    if (received != heap->received) {
        abort();
    }
    for (uint32_t i = 0; i < heap->value_count; i++) {
        const struct weir_spead_value *value = &heap->values[i];
        if (!value->immediate && (value->data < payload || value->length > heap->memory.size ||
                                  value->data + value->length > payload + heap->memory.size)) {
            abort();
        }
    }
    uint8_t sum = 0; /* all of it can be read */
    for (uint64_t i = 0; i < heap->memory.size; i++) {
        sum ^= payload[i];
    }
    *(volatile uint8_t *)&sum = sum;
}

/* Takes what is finished; some of it is kept for a while. */
static void take_heaps(struct machine *machine)
{
    struct weir_spead_heap *heap;
    while ((heap = spead_heaps_take(machine->heaps))) {
        check_heap(machine, heap);
        if (machine->held[machine->next % HELD]) {
            weir_memory_release(&machine->held[machine->next % HELD]->memory);
        }
        machine->held[machine->next++ % HELD] = heap;
    }
    if (spead_pool_used(spead_heaps_pool(machine->heaps)) > machine->options.memory) {
        abort();
    }
}

static struct spead_source *find_source(struct machine *machine, uint8_t name)
{
    uint8_t key[2] = {name % SOURCES, 1};
    struct spead_source *source = spead_heaps_find(machine->heaps, key, sizeof key);
    return source ? source : spead_heaps_add(machine->heaps, key, sizeof key, "fuzz", machine->now);
}

static void feed(struct machine *machine, uint8_t name, const uint8_t *bytes, size_t size)
{
    struct spead_source *source = find_source(machine, name);
    machine->fed++;
    if (!source) { /* counted */
        return;
    }
    uint8_t *exact = malloc(size ? size : 1); /* so that reading beyond it shows */
    memcpy(exact, bytes, size);
    spead_heaps_packet(machine->heaps, source, exact, size, machine->now);
    free(exact);
}

static void put(uint8_t *packet, size_t *size, uint64_t word)
{
    for (int i = 7; i >= 0; i--) {
        packet[(*size)++] = (uint8_t)(word >> (8 * i));
    }
}

/* A packet whose numbers are small, so that several of them belong together. */
static void feed_made(struct machine *machine, struct input *input, uint8_t name)
{
    static const uint8_t bits[] = {48, 48, 48, 40, 8, 56};
    uint8_t packet[PACKET_MAX] = {SPEAD_MAGIC, SPEAD_VERSION};
    size_t size = 8;
    uint64_t shape = take(input, 1), pointers = take(input, 1) % 8, count = take(input, 1) % 8;
    uint64_t length = 16 * (take(input, 1) % 16), offset = 16 * (take(input, 1) % 16),
             payload = 16 * (take(input, 1) % 8);
    struct spead_flavour flavour = {bits[shape % 6], 0};
    if (shape & 0x40) { /* beyond all limits */
        length = spead_address_mask(flavour) >> take(input, 1) % 48;
    }
    packet[2] = (uint8_t)(8 - flavour.address_bits / 8);
    packet[3] = flavour.address_bits / 8;
    packet[7] = (uint8_t)(pointers + 4);
    put(packet, &size, spead_pointer(flavour, true, SPEAD_HEAP_CNT, count));
    put(packet, &size, spead_pointer(flavour, true, shape & 0x80 ? SPEAD_NULL : SPEAD_HEAP_LEN, length));
    put(packet, &size, spead_pointer(flavour, true, SPEAD_PAYLOAD_OFFSET, offset));
    put(packet, &size, spead_pointer(flavour, true, SPEAD_PAYLOAD_LEN, payload));
    for (uint64_t i = 0; i < pointers; i++) {
        uint64_t what = take(input, 2);
        put(packet, &size, spead_pointer(flavour, what & 0x8000, what >> 8 & 0x1f, (what & 0xff) % 64 * 4));
    }
    memset(packet + size, 0x5a, payload);
    feed(machine, name, packet, size + payload);
}

static void step(struct machine *machine, struct input *input)
{
    uint8_t what = (uint8_t)take(input, 1), name = what >> 4;
    uint64_t size = 0;
    switch (what % 16) {
    case 0: /* raw */
        size = take(input, 2) % PACKET_MAX;
        size = size < input->size ? size : input->size;
        feed(machine, name, input->data, size);
        input->data += size;
        input->size -= size;
        break;
    case 1: /* time goes by */
        machine->now += (int64_t)take(input, 2) * 1000;
        spead_heaps_idle(machine->heaps, machine->now);
        break;
    case 2:
        spead_heaps_flush(machine->heaps);
        break;
    case 3:
        if (machine->held[name % HELD]) {
            weir_memory_release(&machine->held[name % HELD]->memory);
        }
        machine->held[name % HELD] = NULL;
        break;
    default:
        feed_made(machine, input, name);
    }
    take_heaps(machine);
}

static void check_counts(const struct machine *machine)
{
    struct weir_spead_counters totals;
    uint64_t packets = 0;
    spead_heaps_totals(machine->heaps, &totals);
    for (int i = WEIR_SPEAD_PACKETS; i <= WEIR_SPEAD_PACKETS_NO_SOURCE; i++) {
        packets += i == WEIR_SPEAD_BYTES ? 0 : totals.of[i];
    }
    if (packets != machine->fed) { /* each counts once */
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct machine machine = {.now = 1};
    uint64_t bits = take(&input, 2);
    machine.options = (struct spead_heaps_options){
        .max_heaps = 1 + bits % 4,
        .substreams = 1 + (bits >> 2) % 2,
        .max_sources = 1 + (bits >> 3) % 5,
        .remembered = (bits >> 6) % 8,
        .max_heap_bytes = HEAP_MAX,
        .memory = MEMORY,
        .idle_ns = bits & 0x200 ? 100000 : 0,
        .forget_ns = bits & 0x400 ? 1000000 : 0,
        .in_order = bits & 0x800,
        .incomplete = bits & 0x1000,
        .refuse_unsized = bits & 0x2000,
        .stop = (enum spead_stop)((bits >> 14) % 3),
    };
    machine.heaps = spead_heaps_new(&machine.options);
    while (input.size > 0) {
        step(&machine, &input);
    }
    spead_heaps_flush(machine.heaps);
    take_heaps(&machine);
    check_counts(&machine);
    spead_heaps_free(machine.heaps);
    for (int i = 0; i < HELD; i++) { /* they outlive the assembler */
        if (machine.held[i]) {
            check_heap(&machine, machine.held[i]);
            weir_memory_release(&machine.held[i]->memory);
        }
    }
    return 0;
}
