/* SPDX-License-Identifier: MIT */
/*
 * A sender and a receiver of SPEAD heaps in one C program, from <weir/spead.h> alone: a hundred heaps of samples and a
 * time stamp go over loopback, two in flight, and each is looked at as it comes.
 *
 *     cc -Iinclude examples/spead_heaps.c build/libweir.a …
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <weir/part.h>
#include <weir/spead.h>

enum { TIMESTAMP = 0x1600, SAMPLES_ID = 0x3300, SAMPLES = 4096, HEAPS = 100, IN_FLIGHT = 2, PATIENCE_S = 30 };

/* One of the heaps in flight: its samples stay as they are until it has completed. */
struct slot {
    struct weir_spead_outgoing *heap;
    struct weir_spead_completion completion;
    int16_t samples[SAMPLES];
};

static void check(int result, const char *what, const struct weir_error *error)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, error && error->code ? error->text : weir_spead_explain(result));
    exit(EXIT_FAILURE);
}

static int64_t deadline(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec + PATIENCE_S) * INT64_C(1000000000) + now.tv_nsec;
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

static void fill(struct slot *slot, uint64_t number)
{
    for (int i = 0; i < SAMPLES; i++)
        slot->samples[i] = (int16_t)((number + (uint64_t)i) % 1000);
    weir_spead_outgoing_clear(slot->heap);
    if (number == 0) { /* the first heap says what the items are */
        const struct weir_spead_format unsigned48 = {'u', 48};
        const struct weir_spead_description items[] = {
            {.id = TIMESTAMP, .name = "timestamp", .text = "first sample", .format = &unsigned48, .fields = 1},
            {.id = SAMPLES_ID,
             .name = "samples",
             .text = "of the digitiser",
             .dtype = "{'descr': '<i2', 'fortran_order': False, 'shape': (4096,)}"}};
        for (int i = 0; i < 2; i++)
            check(weir_spead_outgoing_add_description(slot->heap, &items[i]), "describing", NULL);
    }
    check(weir_spead_outgoing_add_value(slot->heap, TIMESTAMP, number * SAMPLES), "adding", NULL);
    check(weir_spead_outgoing_add(slot->heap, SAMPLES_ID, slot->samples, sizeof slot->samples), "adding", NULL);
}

static void send_heaps(uint16_t port)
{
    static struct slot slots[IN_FLIGHT];
    const struct weir_spead_flavour flavour = {.address_bits = 48};
    struct weir_error error = {0};
    struct weir_spead_sender *sender;
    struct weir_spead_outgoing *stop;
    char destination[32];
    snprintf(destination, sizeof destination, "127.0.0.1:%u", port);
    const struct weir_spead_sender_options options = {.destinations = (const char *const[]){destination},
                                                      .destination_count = 1,
                                                      .max_heaps = IN_FLIGHT,
                                                      .rate = 50e6};
    check(weir_spead_sender_open(&options, &error, &sender), "opening", &error);
    for (int i = 0; i < IN_FLIGHT; i++)
        check(weir_spead_outgoing_new(flavour, &slots[i].heap), "making a heap", NULL);
    for (uint64_t number = 0; number < HEAPS; number++) {
        struct slot *slot = &slots[number % IN_FLIGHT];
        check(weir_spead_completion_wait(NULL, &slot->completion, WEIR_NEVER, NULL), "sending", NULL);
        fill(slot, number); /* while the other one is sent */
        weir_spead_completion_begin(&slot->completion, NULL, 1);
        const struct weir_spead_send send = {
            .heap = slot->heap, .sent = weir_spead_completed, .argument = &slot->completion};
        check(weir_spead_send(sender, &send, 1), "queueing", NULL);
    }
    check(weir_spead_sender_flush(sender, NULL, WEIR_NEVER), "sending", NULL);
    check(weir_spead_outgoing_new(flavour, &stop), "making a heap", NULL);
    check(weir_spead_outgoing_add_control(stop, WEIR_SPEAD_STOP), "adding", NULL);
    check(weir_spead_send(sender, &(struct weir_spead_send){.heap = stop}, 1), "queueing", NULL);
    check(weir_spead_sender_close(sender, NULL, WEIR_NEVER), "closing", NULL); /* waits for all that is queued */
    weir_spead_outgoing_free(stop);
    for (int i = 0; i < IN_FLIGHT; i++)
        weir_spead_outgoing_free(slots[i].heap);
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

/* The mean of the samples, and the time stamp. */
static void look_at(const struct weir_spead_heap *heap)
{
    int64_t sum = 0;
    uint64_t stamp = 0;
    for (uint32_t i = 0; i < heap->value_count; i++) {
        const struct weir_spead_value *value = &heap->values[i];
        if (value->id == TIMESTAMP && value->immediate)
            stamp = value->value;
        if (value->id != SAMPLES_ID || value->immediate || value->length != SAMPLES * sizeof(int16_t))
            continue;
        for (size_t at = 0; at < value->length; at += 2) /* as little-endian bytes, at any address */
            sum += (int16_t)(value->data[at] | value->data[at + 1] << 8);
    }
    if (heap->count % 25 == 1)
        printf("heap %" PRIu64 ": time %" PRIu64 ", mean %.3f\n", heap->count, stamp, (double)sum / SAMPLES);
}

int main(void)
{
    const struct weir_spead_receive_options options = {.ring_heaps = HEAPS};
    const struct weir_spead_endpoint place = {.transport = WEIR_SPEAD_UDP, .address = "127.0.0.1:0"};
    struct weir_error error = {0};
    struct weir_spead_receiver *receiver;
    struct weir_spead_heap *heap;
    struct weir_spead_statistics statistics;
    int result;
    check(weir_spead_receiver_new(&options, &error, &receiver), "receiver", &error);
    check(weir_spead_receiver_add(receiver, &place, &error), "receiver", &error);
    check(weir_spead_receiver_start(receiver, &error), "receiver", &error);
    send_heaps(weir_spead_receiver_port(receiver));
    while ((result = weir_spead_receiver_next(receiver, NULL, deadline(), &heap)) == 0) {
        look_at(heap);
        weir_memory_release(&heap->memory); /* its memory is used again */
    }
    weir_spead_receiver_statistics(receiver, &statistics);
    printf("%" PRIu64 " heaps in %" PRIu64 " packets\n", statistics.total.of[WEIR_SPEAD_HEAPS],
           statistics.total.of[WEIR_SPEAD_PACKETS]);
    weir_spead_receiver_free(receiver);
    return result == -EPIPE ? EXIT_SUCCESS : EXIT_FAILURE; /* -EPIPE: the stop item came, and all was taken */
}
