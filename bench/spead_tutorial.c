/* SPDX-License-Identifier: MIT */
/*
 * What each step of docs/spead.md is worth: heaps of random samples are made and sent to a socket that nobody reads, so
 * that only making and sending count. Output: one line of JSON for each row.
 *
 *     spead_tutorial [SECONDS PER ROW]
 *
 * `work` is how often the generator passes over the samples: 0 (sending alone counts), as many as cost what sending
 * costs, four times as many (making is the bottleneck, there is little to gain).
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/part.h>
#include <weir/spead_send.h>

#include "base/clock.h"
#include "base/memory.h"

enum { IN_FLIGHT_MOST = 256 };

struct row {
    const char *step;
    size_t heap_size, packet;
    uint32_t in_flight, batch;
    bool fresh;  /* memory of its own for each heap, not reused */
    double work; /* passes of the generator over the samples */
};
struct state {
    struct weir_spead_completion completion;
    struct weir_spead_outgoing *heaps[IN_FLIGHT_MOST];
    uint8_t *samples;
};

static uint64_t random_state = 1;

/* xorshift64: cheap, and not to be optimised away. */
static void make_samples(uint8_t *samples, size_t size, double passes)
{
    uint64_t words = (uint64_t)((double)size / 8 * passes), in_heap = size / 8;
    for (uint64_t i = 0, at = 0; i < words; i++, at = at + 1 == in_heap ? 0 : at + 1) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        memcpy(samples + 8 * at, &random_state, 8);
    }
}

static struct weir_spead_sender *open_sender(const char *name, const struct row *row)
{
    struct weir_error error = {0};
    struct weir_spead_sender *sender;
    const struct weir_spead_sender_options options = {.destinations = &name,
                                                      .destination_count = 1,
                                                      .packet_size = row->packet,
                                                      .max_heaps = row->in_flight * row->batch};
    if (weir_spead_sender_open(&options, &error, &sender) < 0) {
        fprintf(stderr, "spead_tutorial: %s\n", error.text);
        exit(1);
    }
    return sender;
}

static void set_up(struct state *state, const struct row *row)
{
    memset(state, 0, sizeof *state);
    state->samples = memory_aligned(4096, row->heap_size * row->batch);
    if (!state->samples)
        exit(1);
    memset(state->samples, 1, row->heap_size * row->batch);
    for (uint32_t i = 0; i < row->batch; i++) {
        if (weir_spead_outgoing_new((struct weir_spead_flavour){0}, &state->heaps[i]) < 0 ||
            weir_spead_outgoing_add(state->heaps[i], 0x1000, state->samples + i * row->heap_size, row->heap_size) < 0)
            exit(1);
    }
}

static void tear_down(struct state *state, const struct row *row)
{
    for (uint32_t i = 0; i < row->batch; i++)
        weir_spead_outgoing_free(state->heaps[i]);
    memory_free(state->samples);
}

/* One batch from this state, when its last one is through. */
static void send_one(struct weir_spead_sender *sender, struct state *state, const struct row *row)
{
    struct weir_spead_send sends[IN_FLIGHT_MOST];
    (void)weir_spead_completion_wait(NULL, &state->completion, WEIR_NEVER, NULL);
    if (row->fresh) {
        tear_down(state, row);
        set_up(state, row);
    }
    make_samples(state->samples, row->heap_size * row->batch, row->work);
    weir_spead_completion_begin(&state->completion, NULL, row->batch);
    for (uint32_t i = 0; i < row->batch; i++)
        sends[i] = (struct weir_spead_send){
            .heap = state->heaps[i], .sent = weir_spead_completed, .argument = &state->completion};
    if (weir_spead_send_wait(sender, NULL, sends, row->batch, WEIR_NEVER) < 0)
        exit(1);
}

static double measure(const char *name, const struct row *row, double seconds, bool print)
{
    static struct state states[IN_FLIGHT_MOST];
    struct weir_spead_sender *sender = open_sender(name, row);
    struct weir_spead_sender_counters counters;
    uint64_t rounds = 0;
    for (uint32_t i = 0; i < row->in_flight; i++)
        set_up(&states[i], row);
    int64_t start = clock_monotonic(), end = start + (int64_t)(seconds * 1e9);
    for (; clock_monotonic() < end; rounds++)
        send_one(sender, &states[rounds % row->in_flight], row);
    (void)weir_spead_sender_flush(sender, NULL, WEIR_NEVER);
    double took = (double)(clock_monotonic() - start) / 1e9;
    double rate = (double)(rounds * row->batch * row->heap_size) / took / 1e6;
    weir_spead_sender_count(sender, &counters);
    (void)weir_spead_sender_close(sender, NULL, WEIR_NEVER);
    for (uint32_t i = 0; i < row->in_flight; i++)
        tear_down(&states[i], row);
    if (print)
        printf(
            "{\"step\": \"%s\", \"heap_size\": %zu, \"packet\": %zu, \"in_flight\": %u, \"batch\": %u, \"work\": %.2f, "
            "\"mb_per_second\": %.0f, \"heaps\": %llu, \"wakeups\": %llu}\n",
            row->step, row->heap_size, row->packet, row->in_flight, row->batch, row->work, rate,
            (unsigned long long)counters.heaps, (unsigned long long)counters.wakeups);
    return rate;
}

/* Passes of the generator that cost as much as sending does. */
static double balance(const char *name, const struct row *row, double seconds)
{
    static uint8_t samples[1 << 20];
    struct row alone = *row;
    int64_t start = clock_monotonic();
    for (int i = 0; i < 50; i++)
        make_samples(samples, sizeof samples, 1);
    double making = 50.0 * sizeof samples / ((double)(clock_monotonic() - start) / 1e9) / 1e6;
    alone.work = 0;
    alone.in_flight = 4;
    return making / measure(name, &alone, seconds, false);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    char name[64];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int sink = socket(AF_INET, SOCK_DGRAM, 0);
    if (sink < 0 || bind(sink, (struct sockaddr *)&address, length) < 0 ||
        getsockname(sink, (struct sockaddr *)&address, &length) < 0)
        return 1;
    snprintf(name, sizeof name, "127.0.0.1:%d", ntohs(address.sin_port));
    struct row row = {.heap_size = 1 << 20, .packet = 1472, .in_flight = 1, .batch = 1, .fresh = true};
    double equal = balance(name, &row, seconds);
    const struct row steps[] = {
        {"one heap at a time", 1 << 20, 1472, 1, 1, true, equal},
        {"two in flight", 1 << 20, 1472, 2, 1, true, equal},
        {"packets of 8872 bytes", 1 << 20, 8872, 2, 1, true, equal},
        {"memory reused", 1 << 20, 8872, 2, 1, false, equal},
        {"heaps of 8 KiB", 8192, 8872, 2, 1, false, equal},
        {"heaps of 8 KiB in batches", 8192, 8872, 2, 64, false, equal},
        {"made at a quarter of the speed, one", 1 << 20, 1472, 1, 1, false, 4 * equal},
        {"made at a quarter of the speed, two", 1 << 20, 1472, 2, 1, false, 4 * equal},
        {"equal cost, one", 1 << 20, 1472, 1, 1, false, equal},
        {"equal cost, two", 1 << 20, 1472, 2, 1, false, equal},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        (void)measure(name, &steps[i], seconds, true);
    for (size_t size = 8192; size <= 4 << 20; size *= 8) {
        for (uint32_t in_flight = 1; in_flight <= 16; in_flight *= 2) {
            row = (struct row){"in flight", size, 8872, in_flight, 1, false, 0};
            (void)measure(name, &row, seconds, true);
        }
    }
    close(sink);
    return 0;
}
