/* SPDX-License-Identifier: MIT */
/*
 * What each step of docs/spead.md is worth. The sender's steps: heaps of random samples are made and sent to a socket
 * that nobody reads, so that only making and sending count. The receiver's: the highest of some rates at which all
 * heaps (but one) arrive. Output: one line of JSON for each row.
 *
 *     spead_tutorial [SECONDS PER ROW [small|small-late|WORDS: only steps whose name has them]]
 *
 * `work` is how often the generator passes over the samples: 0 (sending alone counts), as many as cost what sending
 * costs, a quarter of that, four times as many (making is the bottleneck, there is little to gain). One in flight and
 * two are measured in turns, five times; their rows have medians, and `gain` is the median of the five ratios.
 * small: only the row of small heaps in batches, each filled with one value, as the reference's tutorial does it;
 * small-late: the same, but filled by whoever sends them, which is the sender's thread and, while it waits, this one.
 * `wakeups` is how often the sending thread had to be woken, because nothing was queued.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/part.h>
#include <weir/spead.h>

#include "base/clock.h"
#include "base/memory.h"

enum { IN_FLIGHT_MOST = 256, TURNS = 5, SAMPLES = 0x1000, TIME_STAMP = 0x1600 };
#define FILLED (-1.0) /* as work: samples of one value */

struct row {
    const char *step;
    size_t heap_size, packet;
    uint32_t in_flight, batch;
    bool fresh;  /* memory of its own for each heap, not reused */
    double work; /* passes of the generator over the samples, or FILLED */
    double rate; /* bytes per second; 0: unlimited */
    bool help;   /* who makes heaps sends too, while it waits */
    bool late;   /* samples are made when they are sent, by whoever sends them */
    /* Receivers: */
    bool power;     /* of each heap is computed */
    uint32_t chunk; /* heaps received into one block; 0: each by itself */
};
struct outcome {
    double rate;   /* MB/s */
    double making; /* share of the time that samples were made */
    uint64_t heaps, wakeups;
};
/* What makes the samples of a heap while it is sent. */
struct late {
    _Alignas(64) uint64_t random; /* two threads make heaps at a time */
    double work;
    uint8_t value;
};
struct state {
    struct weir_spead_completion completion;
    struct weir_spead_outgoing *heaps[IN_FLIGHT_MOST];
    struct late late[IN_FLIGHT_MOST]; /* what makes the samples of each */
    uint8_t *samples;
};

static long processors(void)
{
    return sysconf(_SC_NPROCESSORS_ONLN);
}

static const char *only = ""; /* steps whose name has this */

static bool wanted(const char *step)
{
    return strstr(step, only) != NULL;
}

static uint64_t random_state = 1;
static uint8_t fill_value;
static int64_t making_ns; /* spent making samples */

/* xorshift64: cheap, and not to be optimised away. FILLED: all of one value. */
static void make_samples(uint8_t *samples, size_t size, double passes, uint64_t *random, uint8_t value)
{
    if (passes < 0) {
        memset(samples, value, size);
        return;
    }
    uint64_t state = *random;
    uint64_t words = (uint64_t)((double)size / 8 * passes), in_heap = size / 8;
    for (uint64_t i = 0, at = 0; i < words; i++, at = at + 1 == in_heap ? 0 : at + 1) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(samples + 8 * at, &state, 8);
    }
    *random = state;
}

static struct weir_spead_sender *open_sender(const char *name, const struct row *row)
{
    struct weir_error error = {0};
    struct weir_spead_sender *sender;
    /* Who makes samples is on the first processor. */
    const struct weir_spead_sender_options options = {.destinations = &name,
                                                      .destination_count = 1,
                                                      .packet_size = row->packet,
                                                      .rate = row->rate,
                                                      .pinned = processors() > 1,
                                                      .cpu = 1,
                                                      .max_heaps = row->in_flight * row->batch};
    if (weir_spead_sender_open(&options, &error, &sender) < 0) {
        fprintf(stderr, "spead_tutorial: %s\n", error.text);
        exit(1);
    }
    return sender;
}

static void make_late(void *argument, uint64_t offset, void *memory, size_t size)
{
    struct late *late = argument;
    late->value = (uint8_t)(late->value + (offset == 0));
    if (late->work >= 0 && late->work < 1) /* what the generator leaves out */
        memset(memory, late->value, size);
    make_samples(memory, size, late->work, &late->random, late->value);
}

static void set_up(struct state *state, const struct row *row)
{
    memset(state, 0, sizeof *state);
    state->samples = memory_aligned(4096, row->heap_size * row->batch);
    if (!state->samples)
        exit(1);
    memset(state->samples, 1, row->heap_size * row->batch);
    for (uint32_t i = 0; i < row->batch; i++) {
        static const uint8_t time_stamp[5];
        state->late[i] = (struct late){.random = i + 1, .work = row->work};
        if (weir_spead_outgoing_new((struct weir_spead_flavour){0}, &state->heaps[i]) < 0 ||
            (row->work < 0 && weir_spead_outgoing_add_short(state->heaps[i], TIME_STAMP, time_stamp, 5) < 0) ||
            (row->late
                 ? weir_spead_outgoing_add_made(state->heaps[i], SAMPLES, row->heap_size, make_late, &state->late[i])
                 : weir_spead_outgoing_add(state->heaps[i], SAMPLES, state->samples + i * row->heap_size,
                                           row->heap_size)) < 0)
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
    if (row->help)
        (void)weir_spead_completion_help(sender, &state->completion, WEIR_NEVER, NULL);
    else
        (void)weir_spead_completion_wait(NULL, &state->completion, WEIR_NEVER, NULL);
    if (row->fresh) {
        tear_down(state, row);
        set_up(state, row);
    }
    int64_t start = clock_monotonic();
    if (row->late) {
        /* made when they are sent */
    } else if (row->work < 0) {
        for (uint32_t i = 0; i < row->batch; i++)
            make_samples(state->samples + i * row->heap_size, row->heap_size, row->work, NULL, fill_value++);
    } else {
        make_samples(state->samples, row->heap_size * row->batch, row->work, &random_state, 0);
    }
    making_ns += clock_monotonic() - start;
    weir_spead_completion_begin(&state->completion, NULL, row->batch);
    for (uint32_t i = 0; i < row->batch; i++)
        sends[i] = (struct weir_spead_send){
            .heap = state->heaps[i], .sent = weir_spead_completed, .argument = &state->completion};
    if (weir_spead_send_wait(sender, NULL, sends, row->batch, WEIR_NEVER) < 0)
        exit(1);
}

static struct outcome measure(const char *name, const struct row *row, double seconds)
{
    static struct state states[IN_FLIGHT_MOST];
    struct weir_spead_sender *sender = open_sender(name, row);
    struct weir_spead_sender_counters counters;
    uint64_t rounds = 0;
    for (uint32_t i = 0; i < row->in_flight; i++)
        set_up(&states[i], row);
    int64_t start = clock_monotonic(), end = start + (int64_t)(seconds * 1e9);
    making_ns = 0;
    for (; clock_monotonic() < end; rounds++)
        send_one(sender, &states[rounds % row->in_flight], row);
    (void)weir_spead_sender_flush(sender, NULL, WEIR_NEVER);
    double took = (double)(clock_monotonic() - start) / 1e9;
    weir_spead_sender_count(sender, &counters);
    (void)weir_spead_sender_close(sender, NULL, WEIR_NEVER);
    for (uint32_t i = 0; i < row->in_flight; i++)
        tear_down(&states[i], row);
    return (struct outcome){.rate = (double)(rounds * row->batch * row->heap_size) / took / 1e6,
                            .making = (double)making_ns / 1e9 / took,
                            .heaps = counters.heaps,
                            .wakeups = counters.wakeups};
}

static void print_row(const struct row *row, const struct outcome *outcome, double gain)
{
    printf("{\"step\": \"%s\", \"heap_size\": %zu, \"packet\": %zu, \"in_flight\": %u, \"batch\": %u, \"work\": %.2f, "
           "\"mb_per_second\": %.0f, \"heaps\": %llu, \"wakeups\": %llu",
           row->step, row->heap_size, row->packet, row->in_flight, row->batch, row->work, outcome->rate,
           (unsigned long long)outcome->heaps, (unsigned long long)outcome->wakeups);
    if (gain > 0)
        printf(", \"gain\": %.3f", gain);
    puts("}");
    (void)fflush(stdout);
}

/* Passes of the generator that take as long as sending does, one heap after the other, of samples just made. */
static double balance(const char *name, const struct row *row, double seconds)
{
    struct row alone = *row;
    alone.work = 1;
    alone.in_flight = 1;
    alone.fresh = false;
    struct outcome outcome = measure(name, &alone, seconds);
    return outcome.making > 0 ? (1 - outcome.making) / outcome.making : 1;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, TURNS, sizeof *values, by_size);
    return values[TURNS / 2];
}

/* One in flight and two in turns, with so many times the work that sending costs. */
static void compare_two(const char *name, const char *const steps[2], double share, double seconds)
{
    double rates[2][TURNS], gains[TURNS];
    if (!wanted(steps[0]) && !wanted(steps[1]))
        return;
    struct row rows[2];
    struct outcome outcomes[2];
    for (int turn = 0; turn < TURNS; turn++) {
        struct row row = {.heap_size = 1 << 20, .packet = 1472, .batch = 1};
        row.work = share * balance(name, &row, seconds / 2);
        for (uint32_t i = 0; i < 2; i++) {
            rows[i] = row;
            rows[i].step = steps[i];
            rows[i].in_flight = i + 1;
            outcomes[i] = measure(name, &rows[i], seconds / 2);
            rates[i][turn] = outcomes[i].rate;
        }
        gains[turn] = rates[1][turn] / rates[0][turn];
    }
    for (int i = 0; i < 2; i++) {
        outcomes[i].rate = median(rates[i]);
        print_row(&rows[i], &outcomes[i], i == 1 ? median(gains) : 0);
    }
}

/* ---- The receiver's steps ---------------------------------------------------------------------------------------- */

/* Of 16-bit samples: what a receiver does with them at least. */
static double mean_power(const void *data, size_t bytes)
{
    const int16_t *samples = data;
    int64_t sum = 0;
    size_t count = bytes / sizeof *samples;
    for (size_t i = 0; i < count; i++)
        sum += (int32_t)samples[i] * samples[i];
    return (double)sum / (double)count;
}

/* A process that sends at a rate to the port that it is told, then ends the stream. */
static pid_t start_sending(const struct row *row, uint64_t heaps, int *ret_port)
{
    int ends[2];
    uint16_t port;
    char name[64];
    if (pipe(ends) < 0)
        exit(1);
    (void)fflush(NULL);
    pid_t child = fork();
    *ret_port = ends[1];
    if (child != 0) {
        close(ends[0]);
        return child;
    }
    close(ends[1]);
    if (read(ends[0], &port, sizeof port) != sizeof port)
        _exit(1);
    snprintf(name, sizeof name, "127.0.0.1:%u", port);
    static struct state states[2];
    struct weir_spead_sender *sender = open_sender(name, row);
    for (int i = 0; i < 2; i++)
        set_up(&states[i], row);
    for (uint64_t i = 0; i < heaps; i++)
        send_one(sender, &states[i % 2], row);
    (void)weir_spead_sender_flush(sender, NULL, WEIR_NEVER);
    struct weir_spead_outgoing *stop;
    if (weir_spead_outgoing_new((struct weir_spead_flavour){0}, &stop) < 0 ||
        weir_spead_outgoing_add_control(stop, WEIR_SPEAD_STOP) < 0)
        _exit(1);
    for (int i = 0; i < 3; i++) { /* the receiver first takes what it has, and one may get lost */
        usleep(50000);
        if (weir_spead_send_wait(sender, NULL, &(struct weir_spead_send){.heap = stop}, 1, WEIR_NEVER) < 0)
            _exit(1);
    }
    (void)weir_spead_sender_close(sender, NULL, WEIR_NEVER);
    _exit(0);
}

/* The sum of the powers of what has come: a heap, or a block of them. */
static double power_of(const struct weir_spead_heap *heap)
{
    double sum = 0;
    for (uint32_t i = 0; heap->chunk && i < heap->chunk->heaps; i++) {
        if (heap->chunk->present[i])
            sum += mean_power((const char *)heap->memory.data + i * heap->chunk->heap_bytes, heap->chunk->heap_bytes);
    }
    for (uint32_t i = 0; !heap->chunk && i < heap->value_count; i++) {
        if (heap->values[i].id == SAMPLES)
            sum += mean_power(heap->values[i].data, heap->values[i].length);
    }
    return sum;
}

/* Sends at the row's rate. Returns the MB/s of the heaps that came; *ret_good: all did, but for one. */
static double receive_at(const struct row *row, double seconds, bool *ret_good)
{
    uint64_t heaps = (uint64_t)(row->rate * seconds / (double)row->heap_size) + 2, came = 0;
    int64_t first = INT64_MAX, last = 0;
    struct weir_error error = {0};
    struct weir_spead_receiver *receiver;
    const struct weir_spead_receive_options options = {
        .ring_heaps = row->chunk || row->heap_size > 65536 ? 64 : 4096,
        .chunks = {.heaps = row->chunk, .heap_bytes = row->heap_size, .first = 1}};
    const struct weir_spead_endpoint endpoint = {.address = "127.0.0.1:0"};
    int port_pipe;
    pid_t child = start_sending(row, heaps, &port_pipe);
    if (weir_spead_receiver_new(&options, &error, &receiver) < 0 ||
        weir_spead_receiver_add(receiver, &endpoint, &error) < 0 || weir_spead_receiver_start(receiver, &error) < 0) {
        fprintf(stderr, "spead_tutorial: %s\n", error.text);
        exit(1);
    }
    uint16_t port = weir_spead_receiver_port(receiver);
    if (write(port_pipe, &port, sizeof port) != sizeof port)
        exit(1);
    volatile double sum = 0;
    struct weir_spead_heap *heap;
    while (weir_spead_receiver_next(receiver, NULL, clock_monotonic() + 2 * CLOCK_SECOND, &heap) == 0) {
        if (row->power)
            sum = sum + power_of(heap);
        came += heap->chunk ? heap->chunk->present_count : heap->complete;
        first = heap->first_ns < first ? heap->first_ns : first;
        last = heap->last_ns;
        weir_memory_release(&heap->memory);
    }
    weir_spead_receiver_free(receiver);
    close(port_pipe);
    waitpid(child, NULL, 0);
    *ret_good = came + 1 >= heaps;
    return last > first ? (double)(came * row->heap_size) * 1e3 / (double)(last - first) : 0;
}

static void measure_small(const char *name, double seconds, bool late)
{
    struct row row = {
        "heaps of 8 KiB in batches, filled", 8192, 8872, 2, 64, false, FILLED, .help = late, .late = late};
    if (late)
        row.step = "heaps of 8 KiB in batches, filled by who sends them";
    struct outcome outcome = measure(name, &row, seconds);
    print_row(&row, &outcome, 0);
}

static void measure_receiver(struct row row, double seconds)
{
    struct outcome outcome = {0};
    row.packet = 8872;
    row.in_flight = 2;
    bool good = false;
    for (row.rate = row.heap_size > 65536 ? 8e9 : 3e9; !good && row.rate > 50e6;) {
        outcome.rate = receive_at(&row, seconds, &good);
        double next = outcome.rate * 1.1e6; /* what was lost was sent in vain: the receiver does somewhat better */
        row.rate = next < row.rate / 1.2 && next > row.rate / 2 ? next : row.rate / 1.2;
    }
    outcome.rate = good ? outcome.rate : 0;
    print_row(&row, &outcome, 0);
}

/* ---- All of it ----------------------------------------------------------------------------------------------------
 */

static void measure_steps(const char *name, double seconds)
{
    struct row row = {.heap_size = 1 << 20, .packet = 1472, .in_flight = 1, .batch = 1};
    double equal = balance(name, &row, seconds);
    const struct row steps[] = {
        {"one heap at a time", 1 << 20, 1472, 1, 1, true, equal, 0},
        {"two in flight", 1 << 20, 1472, 2, 1, true, equal, 0},
        {"packets of 8872 bytes", 1 << 20, 8872, 2, 1, true, equal, 0},
        {"memory reused", 1 << 20, 8872, 2, 1, false, equal, 0},
        {"heaps of 8 KiB", 8192, 8872, 2, 1, false, equal, 0},
        {"heaps of 8 KiB in batches", 8192, 8872, 2, 64, false, equal, 0},
        {"heaps of 8 KiB in batches, made by who sends", 8192, 8872, 2, 64, false, equal, 0, .help = true,
         .late = true},
        {"heaps of 8 KiB, sending alone", 8192, 8872, 2, 1, false, 0, 0},
        {"heaps of 8 KiB in batches, sending alone", 8192, 8872, 2, 64, false, 0, 0},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (!wanted(steps[i].step))
            continue;
        struct outcome outcome = measure(name, &steps[i], seconds);
        print_row(&steps[i], &outcome, 0);
    }
    const struct row receivers[] = {
        {.step = "received", .heap_size = 1 << 20, .batch = 1},
        {.step = "received, power computed", .heap_size = 1 << 20, .batch = 1, .power = true},
        {.step = "heaps of 8 KiB received", .heap_size = 8192, .batch = 64},
        {.step = "heaps of 8 KiB received, power computed", .heap_size = 8192, .batch = 64, .power = true},
        {.step = "heaps of 8 KiB received in chunks", .heap_size = 8192, .batch = 64, .chunk = 256},
        {.step = "heaps of 8 KiB received in chunks, power computed",
         .heap_size = 8192,
         .batch = 64,
         .power = true,
         .chunk = 256},
    };
    for (size_t i = 0; i < sizeof receivers / sizeof *receivers; i++) {
        if (wanted(receivers[i].step))
            measure_receiver(receivers[i], seconds);
    }
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    only = argc > 2 ? argv[2] : "";
    char name[64];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    cpu_set_t first;
    int sink = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
    /* Else the kernel would cut messages into packets on the sender's time, for nothing. */
    (void)setsockopt(sink, SOL_UDP, UDP_GRO, &one, sizeof one);
    if (sink < 0 || bind(sink, (struct sockaddr *)&address, length) < 0 ||
        getsockname(sink, (struct sockaddr *)&address, &length) < 0)
        return 1;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    snprintf(name, sizeof name, "127.0.0.1:%d", ntohs(address.sin_port));
    if (argc > 2 && strncmp(argv[2], "small", 5) == 0) {
        (void)sched_setaffinity(0, sizeof first, &first);
        measure_small(name, seconds, strcmp(argv[2], "small-late") == 0);
        return 0;
    }
    measure_steps(name, seconds);
    (void)sched_setaffinity(0, sizeof first, &first);
    compare_two(name, (const char *const[2]){"sending is the bottleneck, one", "sending is the bottleneck, two"}, 0.25,
                seconds);
    compare_two(name, (const char *const[2]){"equal cost, one", "equal cost, two"}, 1, seconds);
    compare_two(name, (const char *const[2]){"making is the bottleneck, one", "making is the bottleneck, two"}, 4,
                seconds);
    for (size_t size = 8192; wanted("in flight") && size <= 4 << 20; size *= 8) {
        for (uint32_t in_flight = 1; in_flight <= 16; in_flight *= 2) {
            const struct row row = {"in flight", size, 8872, in_flight, 1, false, 0, 0};
            struct outcome outcome = measure(name, &row, seconds);
            print_row(&row, &outcome, 0);
        }
    }
    close(sink);
    return 0;
}
