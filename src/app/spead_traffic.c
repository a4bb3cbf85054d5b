/* SPDX-License-Identifier: MIT */
#include "app/spead_traffic.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

/* x ← 48271 x mod 2³¹ − 1, the "minimal standard" of Park, Miller and Stockmeyer (1993). */
#define VERIFY_FACTOR UINT64_C(48271)
#define VERIFY_MODULUS UINT64_C(2147483647)

static int add_items(const struct spead_traffic *traffic, struct spead_traffic_state *state)
{
    for (uint64_t i = 0; i < traffic->items; i++) {
        char name[64], dtype[128];
        snprintf(name, sizeof name, "Test item %llu", (unsigned long long)i);
        snprintf(dtype, sizeof dtype, "{'shape': (%llu,), 'fortran_order': False, 'descr': '>u4'}",
                 (unsigned long long)traffic->elements);
        const struct weir_spead_description description = {
            .id = WEIR_SPEAD_FIRST_ID + i, .name = name, .text = "A test item with arbitrary value", .dtype = dtype};
        int error = weir_spead_outgoing_add_description(state->first, &description);
        if (error)
            return error;
    }
    for (uint64_t i = 0; i < traffic->items; i++) {
        const uint32_t *data = state->elements + i * traffic->elements;
        size_t size = traffic->elements * sizeof *data;
        int error = weir_spead_outgoing_add_short(state->first, WEIR_SPEAD_FIRST_ID + i, data, size);
        if (!error)
            error = weir_spead_outgoing_add_short(state->plain, WEIR_SPEAD_FIRST_ID + i, data, size);
        if (error)
            return error;
    }
    return 0;
}

static int make_state(struct spead_traffic *traffic, struct spead_traffic_state *state,
                      struct weir_spead_flavour flavour)
{
    int error = weir_spead_outgoing_new(flavour, &state->first);
    if (!error)
        error = weir_spead_outgoing_new(flavour, &state->plain);
    return error ? error : add_items(traffic, state);
}

int spead_traffic_make(struct spead_traffic *traffic, const struct spead_traffic_options *options)
{
    *traffic = (struct spead_traffic){
        .elements = options->heap_size / (options->items * sizeof(uint32_t)),
        .items = options->items,
        .verify = options->verify,
    };
    traffic->heap_bytes = traffic->elements * options->items * sizeof(uint32_t);
    size_t each = (traffic->heap_bytes + 63) & ~(size_t)63;
    traffic->states = memory_zeroed(options->states, sizeof *traffic->states);
    traffic->memory = each > SIZE_MAX / options->states ? NULL : memory_aligned(4096, each * options->states + 4096);
    if (!traffic->states || !traffic->memory)
        return -ENOMEM;
    memset(traffic->memory, 0, each * options->states);
    int error = weir_spead_outgoing_new(options->flavour, &traffic->stop);
    if (!error)
        error = weir_spead_outgoing_add_control(traffic->stop, WEIR_SPEAD_STOP);
    for (; !error && traffic->count < options->states; traffic->count++) {
        struct spead_traffic_state *state = &traffic->states[traffic->count];
        state->elements = (uint32_t *)(void *)((char *)traffic->memory + each * traffic->count);
        error = make_state(traffic, state, options->flavour);
    }
    return error;
}

void spead_traffic_free(struct spead_traffic *traffic)
{
    for (uint32_t i = 0; traffic->states && i < traffic->count; i++) {
        weir_spead_outgoing_free(traffic->states[i].first);
        weir_spead_outgoing_free(traffic->states[i].plain);
    }
    weir_spead_outgoing_free(traffic->stop);
    memory_free(traffic->states);
    memory_free(traffic->memory);
}

/* VERIFY_FACTOR to the power of `exponent`. */
static uint64_t power(uint64_t exponent)
{
    uint64_t result = 1, square = VERIFY_FACTOR;
    for (; exponent; exponent >>= 1, square = square * square % VERIFY_MODULUS) {
        if (exponent & 1)
            result = result * square % VERIFY_MODULUS;
    }
    return result;
}

uint64_t spead_traffic_number_before(uint64_t count, uint64_t numbers)
{
    const uint64_t period = VERIFY_MODULUS - 1;
    return power((count - 1) % period * (numbers % period) % period);
}

uint64_t spead_traffic_next_number(uint64_t number)
{
    uint64_t product = number * VERIFY_FACTOR; /* the modulus is 2³¹ − 1: no division is needed */
    number = (product & VERIFY_MODULUS) + (product >> 31);
    return (number & VERIFY_MODULUS) + (number >> 31);
}

void spead_traffic_fill(const struct spead_traffic *traffic, struct spead_traffic_state *state, uint64_t count)
{
    uint64_t numbers = traffic->items * traffic->elements;
    if (!traffic->verify)
        return;
    uint64_t number = spead_traffic_number_before(count, numbers);
    for (uint64_t i = 0; i < numbers; i++) {
        number = spead_traffic_next_number(number);
        state->elements[i] = htobe32((uint32_t)number);
    }
}
