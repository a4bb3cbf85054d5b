/* SPDX-License-Identifier: MIT */
/* weir spead send: heaps of test data, with the options that users know from spead2_send. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "app/app.h"
#include "app/signals.h"
#include "app/spead_traffic.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/units.h"

struct send_arguments {
    const char *heap_size, *items, *heaps, *addr_bits, *packet, *bind, *buffer, *burst, *ratio, *max_heaps, *method;
    const char *rate, *ttl, *first, *step, *stops, *cpu;
    bool verify, tcp, pyspead, no_offload, json, quiet;
    const char *destinations[APP_LIST_MAX];
    uint32_t destination_count;
};

/* Numbers of the arguments. */
struct send_plan {
    struct spead_traffic_options traffic;
    struct weir_spead_sender_options sender;
    int64_t heaps; /* -1: without end */
    long long stops;
    bool json, quiet;
};

enum { SLICE = 100 * 1000 * 1000, PATIENCE = 500 * 1000 * 1000, STOPS_MAX = 100 };

/* ---- Arguments -------------------------------------------------------------------------------------------------- */

static int number(const char *option, const char *text, double least, double *ret)
{
    double value;
    if (units_number(text, &value) < 0 || !(value >= least)) {
        app_say("%s %s is not a number of at least %g", option, text, least);
        return -EINVAL;
    }
    *ret = value;
    return 0;
}

static int plan_traffic(const struct send_arguments *arguments, struct send_plan *plan)
{
    long long size = 4 << 20, items = 1, heaps = -1, bits = 40, in_flight = 4;
    if ((arguments->heap_size && app_size("--heap-size", arguments->heap_size, &size)) ||
        (arguments->items && app_count("--items", arguments->items, 1, SPEAD_TRAFFIC_ITEMS_MAX, &items)) ||
        (arguments->heaps && app_count("--heaps", arguments->heaps, -1, INT64_MAX, &heaps)) ||
        (arguments->addr_bits && app_count("--addr-bits", arguments->addr_bits, 8, 56, &bits)) ||
        (arguments->stops && app_count("--stops", arguments->stops, 0, STOPS_MAX, &plan->stops)) ||
        (arguments->max_heaps &&
         app_count("--max-heaps", arguments->max_heaps, 1, WEIR_SPEAD_IN_FLIGHT_MAX, &in_flight)))
        return -EINVAL;
    if (bits % 8) {
        app_say("--addr-bits %lld is not a multiple of 8; 40 and 48 are usual", bits);
        return -EINVAL;
    }
    plan->traffic = (struct spead_traffic_options){
        .flavour = {.address_bits = (uint8_t)bits, .pyspead = arguments->pyspead},
        .heap_size = (uint64_t)size,
        .items = (uint64_t)items,
        .states = (uint32_t)in_flight,
        .verify = arguments->verify,
    };
    plan->heaps = heaps;
    plan->sender.max_heaps = (uint32_t)in_flight;
    uint64_t whole = plan->traffic.heap_size / (4 * plan->traffic.items) * 4 * plan->traffic.items;
    if (whole == 0) {
        app_say("--heap-size %lld is less than one element of 4 bytes for each of %lld items", size, items);
        return -EINVAL;
    }
    if (whole != plan->traffic.heap_size)
        app_say("heap size is not an exact multiple of 4 bytes × items: using %" PRIu64 " instead of %lld", whole,
                size);
    if (heaps >= 0 && (uint64_t)heaps + arguments->destination_count < plan->traffic.states)
        plan->traffic.states = (uint32_t)heaps + arguments->destination_count;
    return 0;
}

static int plan_sender(const struct send_arguments *arguments, struct send_plan *plan)
{
    struct weir_spead_sender_options *sender = &plan->sender;
    long long packet = 0, buffer = 0, burst = 0, ttl = 0, first = 1, step = 1, cpu = -1;
    double rate = 0, ratio = 0;
    if ((arguments->packet && app_size("--packet", arguments->packet, &packet)) ||
        (arguments->buffer && app_size("--buffer", arguments->buffer, &buffer)) ||
        (arguments->burst && app_size("--burst", arguments->burst, &burst)) ||
        (arguments->ttl && app_count("--ttl", arguments->ttl, 1, 255, &ttl)) ||
        (arguments->first && app_count("--first", arguments->first, 1, INT64_MAX, &first)) ||
        (arguments->step && app_count("--step", arguments->step, 1, INT64_MAX, &step)) ||
        (arguments->cpu && app_count("--cpu", arguments->cpu, 0, 1023, &cpu)) ||
        (arguments->rate && number("--rate", arguments->rate, 0, &rate)) ||
        (arguments->ratio && number("--burst-rate-ratio", arguments->ratio, 1, &ratio)))
        return -EINVAL;
    if (arguments->method && strcasecmp(arguments->method, "SW") != 0 && strcasecmp(arguments->method, "AUTO") != 0) {
        app_say("--rate-method %s: there are SW and AUTO, which is the same here; no network card is asked to pace",
                arguments->method);
        return -EINVAL;
    }
    sender->destinations = arguments->destinations;
    sender->destination_count = arguments->destination_count;
    sender->tcp = arguments->tcp;
    sender->local = arguments->bind;
    sender->ttl = (int)ttl;
    sender->packet_size = (size_t)packet;
    sender->rate = rate * 1e9 / 8;
    sender->burst_size = (size_t)burst;
    sender->burst_rate_ratio = ratio;
    sender->buffer_size = (size_t)buffer;
    sender->cnt_first = (uint64_t)first;
    sender->cnt_step = (uint64_t)step;
    sender->no_offload = arguments->no_offload;
    sender->pinned = cpu >= 0;
    sender->cpu = (int)cpu;
    return 0;
}

static int parse(int argc, char **argv, struct send_arguments *a)
{
    const struct app_option options[] = {
        {"heap-size", 0, "BYTES", "payload of a heap (4194304)", .value = &a->heap_size},
        {"items", 0, "N", "items in a heap (1)", .value = &a->items},
        {"heaps", 0, "N", "heaps of data to send; -1: without end (-1)", .value = &a->heaps},
        {"verify", 0, NULL, "send numbers that a receiver with --verify can check", .flag = &a->verify},
        {"tcp", 0, NULL, "TCP instead of UDP", .flag = &a->tcp},
        {"pyspead", 0, NULL, "descriptors as PySPEAD reads them", .flag = &a->pyspead},
        {"addr-bits", 0, "N", "bits of an address: the XX of SPEAD-64-XX (40)", .value = &a->addr_bits},
        {"packet", 0, "BYTES", "largest packet, as UDP payload (1472)", .value = &a->packet},
        {"bind", 0, "ADDRESS", "address or interface to send from, for multicast too", .value = &a->bind},
        {"buffer", 0, "BYTES", "socket buffer (524288)", .value = &a->buffer},
        {"burst", 0, "BYTES", "sent without a pause, where there is a rate (65536)", .value = &a->burst},
        {"burst-rate-ratio", 0, "X", "hard limit of the rate, relative to --rate (1.05)", .value = &a->ratio},
        {"max-heaps", 0, "N", "heaps in flight (4)", .value = &a->max_heaps},
        {"rate-method", 0, "SW|AUTO", "how the rate is kept", .value = &a->method},
        {"rate", 0, "GBPS", "limit in Gb/s, SPEAD headers included; 0: none (0)", .value = &a->rate},
        {"ttl", 0, "N", "of multicast packets (1)", .value = &a->ttl},
        {"first", 0, "N", "count of the first heap (1)", .value = &a->first},
        {"step", 0, "N", "between counts: the number of senders of one stream (1)", .value = &a->step},
        {"stops", 0, "N", "stop heaps at the end, for each destination (1)", .value = &a->stops},
        {"cpu", 0, "N", "pin the sending thread to this processor, from 0", .value = &a->cpu},
        {"no-gso", 0, NULL, "each packet in a message of its own", .flag = &a->no_offload},
        {"quiet", 'q', NULL, "no line at the end", .flag = &a->quiet},
        {"json", 0, NULL, "what was sent, as one JSON object on stdout", .flag = &a->json},
        {.name = NULL},
    };
    const struct app_usage usage = {
        .synopsis = "spead send HOST:PORT [HOST:PORT…]",
        .summary = "Sends heaps of test data. Options that spead2_send has too mean the same.",
        .description =
            "Heaps go to the destinations in turn; the first to each carries descriptors. After the last come "
            "stop heaps;\nCtrl-C makes it the last. With --verify, weir spead recv --verify and spead2_recv "
            "--verify check the numbers.",
        .options = options,
        .operands_least = 1,
        .operands_most = APP_LIST_MAX,
    };
    int operands = 0, status = app_parse(&usage, argc, argv, &operands);
    if (status >= 0)
        return status;
    for (int i = 0; i < operands; i++)
        a->destinations[a->destination_count++] = argv[i + 1];
    return -1;
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

struct sending {
    const struct send_plan *plan;
    struct spead_traffic traffic;
    struct weir_spead_sender *sender;
    sigset_t signals;
    struct signals_count interrupts;
    bool told;      /* what it still waits for */
    int error;      /* that ended it */
    bool refused;   /* told already */
    uint64_t bytes; /* of heaps of data and stop heaps that completed */
    struct weir_spead_completion stop;
};

static void look_for_signals(struct sending *sending)
{
    const struct timespec none = {0};
    int number;
    while ((number = sigtimedwait(&sending->signals, NULL, &none)) > 0)
        (void)signals_counts(&sending->interrupts, number, clock_monotonic());
}

/* After Ctrl-C, what is in flight is still sent: what takes so long? */
static void tell_waiting(struct sending *sending)
{
    struct weir_spead_sender_counters counters;
    if (sending->told || sending->interrupts.requests == 0 ||
        clock_monotonic() - sending->interrupts.first_ns < PATIENCE)
        return;
    sending->told = true;
    weir_spead_sender_count(sending->sender, &counters);
    app_say("%u heap%s still to be sent%s; Ctrl-C again gives up on that", counters.in_flight,
            counters.in_flight == 1 ? " is" : "s are",
            sending->plan->sender.tcp ? ", and the receiver takes no more for now" : "");
}

/* Waits for heaps in flight; the second Ctrl-C ends that. */
static int wait_for(struct sending *sending, struct weir_spead_completion *completion, uint64_t *ret_bytes)
{
    int result;
    do {
        int64_t deadline_ns = sending->interrupts.requests < 2 ? clock_monotonic() + SLICE : 0;
        result = weir_spead_completion_wait(NULL, completion, deadline_ns, ret_bytes);
        look_for_signals(sending);
        if (result == -ETIMEDOUT)
            tell_waiting(sending);
    } while (result == -ETIMEDOUT && sending->interrupts.requests < 2);
    return result == -ETIMEDOUT ? -EINTR : result;
}

static void note_refusal(struct sending *sending, const char *what_now)
{
    if (!sending->refused)
        app_say("%s%s", weir_spead_explain(-ECONNREFUSED), what_now);
    sending->refused = true;
}

/* Waits until the state's last heap is through. Negative errno: do not go on. */
static int collect(struct sending *sending, struct spead_traffic_state *state)
{
    uint64_t bytes = 0;
    int result = wait_for(sending, &state->completion, &bytes);
    if (result == -EINTR)
        return result;
    weir_spead_completion_begin(&state->completion, NULL, 0);
    sending->bytes += bytes;
    if (result == -ECONNREFUSED)
        note_refusal(sending, "; sending goes on");
    return result == -ECONNREFUSED ? 0 : result;
}

static int send_heap(struct sending *sending, uint64_t index)
{
    uint32_t destinations = sending->plan->sender.destination_count;
    struct spead_traffic_state *state = &sending->traffic.states[index % sending->traffic.count];
    int error = collect(sending, state);
    if (error)
        return error;
    uint64_t count = sending->plan->sender.cnt_first + index * sending->plan->sender.cnt_step;
    count &= (UINT64_C(1) << sending->plan->traffic.flavour.address_bits) - 1;
    spead_traffic_fill(&sending->traffic, state, count);
    weir_spead_completion_begin(&state->completion, NULL, 1);
    const struct weir_spead_send send = {
        .heap = index < destinations ? state->first : state->plain,
        .destination = (uint32_t)(index % destinations),
        .sent = weir_spead_completed,
        .argument = &state->completion,
    };
    error = weir_spead_send_wait(sending->sender, NULL, &send, 1, WEIR_NEVER);
    if (error)
        weir_spead_completion_begin(&state->completion, NULL, 0);
    return error;
}

static int send_stops(struct sending *sending)
{
    uint32_t destinations = sending->plan->sender.destination_count;
    struct weir_spead_completion *const completion = &sending->stop;
    for (long long i = 0; i < sending->plan->stops * destinations; i++) {
        uint64_t bytes = 0;
        const struct weir_spead_send send = {
            .heap = sending->traffic.stop,
            .destination = (uint32_t)(i % destinations),
            .sent = weir_spead_completed,
            .argument = completion,
        };
        weir_spead_completion_begin(completion, NULL, 1);
        int error = weir_spead_send_wait(sending->sender, NULL, &send, 1, WEIR_NEVER);
        if (error)
            return error;
        error = wait_for(sending, completion, &bytes);
        sending->bytes += bytes;
        if (error == -ECONNREFUSED && i < destinations)
            note_refusal(sending, "");       /* what the system says now is of packets before: the last heap's */
        if (error && error != -ECONNREFUSED) /* a receiver that the first one stopped is no longer there */
            return error;
    }
    return 0;
}

static int send_all(struct sending *sending, uint64_t *ret_heaps)
{
    int64_t heaps = sending->plan->heaps;
    uint64_t index = 0;
    int error = 0;
    for (; !error && !sending->interrupts.requests && (heaps < 0 || index < (uint64_t)heaps); index += !error)
        error = send_heap(sending, index);
    for (uint32_t i = 0; i < sending->traffic.count; i++) {
        int result = collect(sending, &sending->traffic.states[i]);
        error = error ? error : result;
    }
    *ret_heaps = index;
    return error ? error : send_stops(sending);
}

/* ---- Words ------------------------------------------------------------------------------------------------------ */

static void print_json(const struct sending *sending, uint64_t heaps, double seconds,
                       const struct weir_spead_sender_counters *counters)
{
    printf("{\"heaps\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"seconds\": %.6f, \"gbps\": %.6f, \"packets\": %" PRIu64
           ", \"messages\": %" PRIu64 ", \"calls\": %" PRIu64 ", \"wakeups\": %" PRIu64 ", \"pauses\": %" PRIu64
           ", \"refused\": %" PRIu64 ", \"no_memory\": %" PRIu64 ", \"gso\": %s}\n",
           heaps, sending->bytes, seconds, (double)sending->bytes * 8e-9 / seconds, counters->packets,
           counters->messages, counters->calls, counters->wakeups, counters->pauses, counters->refused,
           counters->no_memory, counters->offload ? "true" : "false");
}

static int finish(struct sending *sending, uint64_t heaps, double seconds)
{
    struct weir_spead_sender_counters counters;
    weir_spead_sender_count(sending->sender, &counters);
    if (sending->plan->json)
        print_json(sending, heaps, seconds, &counters);
    else if (!sending->plan->quiet)
        printf("Sent %" PRIu64 " bytes in %g seconds, %g Gb/s\n", sending->bytes, seconds,
               (double)sending->bytes * 8e-9 / seconds);
    if (sending->error == -EINTR)
        return APP_INTERRUPTED;
    if (sending->error)
        app_say("%s (%s)", weir_spead_explain(sending->error), strerror(-sending->error));
    return sending->error || sending->refused ? APP_FAILED : APP_OK;
}

static void say_buffer(const struct sending *sending, size_t wanted)
{
    struct weir_spead_sender_counters counters;
    weir_spead_sender_count(sending->sender, &counters);
    if (wanted && counters.buffer_size < wanted)
        app_say("the socket buffer has %" PRIu64
                " bytes instead of %zu: sysctl -w net.core.wmem_max=%zu raises the limit",
                counters.buffer_size, wanted, wanted);
}

static void say_no_heaps(const struct spead_traffic_options *traffic, int code)
{
    if (code == -EINVAL)
        app_say("items of %" PRIu64 " bytes with ids from 0x%" PRIx64 " on, or their descriptors, do not fit into "
                "SPEAD-64-%u: sizes have %u bits there, ids %u; --addr-bits 40 and 48 are usual",
                traffic->heap_size / traffic->items, WEIR_SPEAD_FIRST_ID, traffic->flavour.address_bits,
                traffic->flavour.address_bits, 63u - traffic->flavour.address_bits);
    else
        app_say("%u heaps of %" PRIu64 " bytes in flight cannot be made: %s", traffic->states, traffic->heap_size,
                strerror(-code));
}

static int send_plan(const struct send_plan *plan)
{
    struct sending sending = {.plan = plan};
    struct weir_error error = {0};
    int code = spead_traffic_make(&sending.traffic, &plan->traffic);
    if (code) {
        spead_traffic_free(&sending.traffic);
        say_no_heaps(&plan->traffic, code);
        return APP_FAILED;
    }
    code = weir_spead_sender_open(&plan->sender, &error, &sending.sender); /* Ctrl-C ends that at once */
    if (code) {
        spead_traffic_free(&sending.traffic);
        return app_report(&error);
    }
    sigemptyset(&sending.signals);
    sigaddset(&sending.signals, SIGINT);
    sigaddset(&sending.signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &sending.signals, NULL);
    const char *warning = weir_spead_sender_warning(sending.sender);
    if (warning)
        app_say("%s", warning);
    say_buffer(&sending, plan->sender.buffer_size);
    uint64_t heaps = 0;
    int64_t start = clock_monotonic();
    sending.error = send_all(&sending, &heaps);
    int status = finish(&sending, heaps, (double)(clock_monotonic() - start) / 1e9);
    weir_spead_sender_close(sending.sender, NULL, 0);
    spead_traffic_free(&sending.traffic);
    return status;
}

int cmd_spead_send(int argc, char **argv)
{
    struct send_arguments arguments = {0};
    struct send_plan plan = {.stops = 1};
    int status = parse(argc, argv, &arguments);
    if (status >= 0)
        return status;
    if (plan_traffic(&arguments, &plan) || plan_sender(&arguments, &plan))
        return APP_USAGE;
    plan.json = arguments.json;
    plan.quiet = arguments.quiet;
    return send_plan(&plan);
}
