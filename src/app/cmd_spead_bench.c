/* SPDX-License-Identifier: MIT */
/* weir spead bench: the highest rate at which nothing is lost; or what is lost at a given one. */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/spead_pass.h"
#include "base/buffer.h"
#include "base/units.h"

enum {
    RUNS_MAX = 99,
    PASSES = 5,
    BATCH_BYTES = 512 * 1024,
    RING_BYTES = 64 << 20,
    RING_HEAPS_MAX = 8192,
    PARTIAL_HEAPS = 4,
    PARTIAL_HEAPS_MAX = 1024, /* concurrent ones, and substreams */
};

struct bench_arguments {
    const char *heap_size, *packet, *max_heaps, *batch, *burst, *ratio, *recv_buffer, *send_buffer, *send_cpu,
        *recv_cpu;
    const char *concurrent, *substreams, *ring, *addr_bits, *ttl;
    const char *bytes, *runs, *passes, *rate, *seconds, *senders, *bind, *soak;
    struct app_list against;
    bool json, quiet, no_offload;
};
struct bench {
    struct spead_pass_options pass;
    double bytes, seconds; /* at least, of each pass */
    double soak;           /* seconds at 90 % of what was found; 0: none */
    long long runs, passes;
    double rate; /* bytes/s; 0: find the sustainable one */
    const struct app_list *against;
    bool json, quiet;
};

/* ---- Arguments -------------------------------------------------------------------------------------------------- */

static int real(const char *option, const char *text, double *ret)
{
    if (units_number(text, ret) < 0 || !(*ret > 0)) {
        app_say("%s %s is not a positive number", option, text);
        return -EINVAL;
    }
    return 0;
}

static int plan_sizes(const struct bench_arguments *a, struct bench *bench)
{
    long long heap = 4 << 20, packet = 1472, in_flight = 0, batch = 0, burst = 0, receive = 0, send = 0, senders = 1;
    if ((a->heap_size && app_size("--heap-size", a->heap_size, &heap)) ||
        (a->packet && app_size("--packet", a->packet, &packet)) ||
        (a->max_heaps && app_count("--max-heaps", a->max_heaps, 1, 1 << 20, &in_flight)) ||
        (a->batch && app_count("--batch", a->batch, 1, 1 << 20, &batch)) ||
        (a->burst && app_size("--burst", a->burst, &burst)) ||
        (a->recv_buffer && app_size("--recv-buffer", a->recv_buffer, &receive)) ||
        (a->send_buffer && app_size("--send-buffer", a->send_buffer, &send)) ||
        (a->senders && app_count("--senders", a->senders, 1, SPEAD_PASS_SENDERS_MAX, &senders)))
        return -EINVAL;
    if (heap < 1 || heap > (1LL << 32) || packet < 56) {
        app_say("heaps have 1 byte to 4 GiB, packets at least 56 bytes");
        return -EINVAL;
    }
    if (!batch)
        batch = heap < BATCH_BYTES ? BATCH_BYTES / heap : 1;
    if (!in_flight)
        in_flight = batch > 1 ? 2 * batch : 4;
    if (in_flight < batch) {
        app_say("--batch %lld is more than the %lld heaps that may be in flight: raise --max-heaps", batch, in_flight);
        return -EINVAL;
    }
    bench->pass.heap_size = (uint64_t)heap;
    bench->pass.packet_size = (uint64_t)packet;
    bench->pass.max_heaps = (uint32_t)in_flight;
    bench->pass.batch = (uint32_t)batch;
    bench->pass.burst_size = (uint64_t)burst;
    bench->pass.receive_buffer = (uint64_t)receive;
    bench->pass.send_buffer = (uint64_t)send;
    bench->pass.senders = (uint32_t)senders;
    return 0;
}

/* The receiver's heaps, and what is on the way. After plan_sizes. */
static int plan_receiver(const struct bench_arguments *a, struct bench *bench)
{
    struct spead_pass_options *pass = &bench->pass;
    long long concurrent = PARTIAL_HEAPS, substreams = 1, bits = 40, ttl = 1;
    long long ring = pass->heap_size < RING_BYTES / 16 ? (long long)(RING_BYTES / pass->heap_size) : 16;
    ring = ring < 2 * pass->senders ? 2 * pass->senders : ring; /* they may all end a heap at once */
    ring = ring > RING_HEAPS_MAX ? RING_HEAPS_MAX : ring;
    if ((a->concurrent && app_count("--concurrent-heaps", a->concurrent, 1, PARTIAL_HEAPS_MAX, &concurrent)) ||
        (a->substreams && app_count("--substreams", a->substreams, 1, PARTIAL_HEAPS_MAX, &substreams)) ||
        (a->ring && app_count("--ring-heaps", a->ring, 1, RING_HEAPS_MAX, &ring)) ||
        (a->addr_bits && app_count("--addr-bits", a->addr_bits, 8, 48, &bits)) ||
        (a->ttl && app_count("--ttl", a->ttl, 1, 255, &ttl)))
        return -EINVAL;
    if (bits % 8) {
        app_say("--addr-bits %lld is not a multiple of 8; 40 and 48 are usual", bits);
        return -EINVAL;
    }
    if (pass->heap_size >> bits) {
        app_say("a heap of %" PRIu64 " bytes does not fit into SPEAD-64-%lld, whose sizes have %lld bits",
                pass->heap_size, bits, bits);
        return -EINVAL;
    }
    pass->concurrent_heaps = (uint32_t)concurrent;
    pass->substreams = (uint32_t)substreams;
    pass->ring_heaps = (uint32_t)ring;
    pass->address_bits = (uint8_t)bits;
    pass->ttl = (int)ttl;
    return 0;
}

/* The processor that a side gets: as said, or the `turn`-th of those that this program may use. */
static int choose_processor(const char *option, const char *text, int turn, int *ret)
{
    cpu_set_t allowed;
    char list[256] = "";
    size_t used = 0;
    long long wanted = -1;
    *ret = -1;
    int usual = -1;
    if (text && app_count(option, text, -1, CPU_SETSIZE - 1, &wanted) < 0)
        return -EINVAL;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0)
        return 0; /* more than such a set has room for: unpinned */
    for (int i = 0, nth = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET((size_t)i, &allowed))
            continue;
        usual = nth++ <= turn ? i : usual;
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%d", used ? ", " : "", i);
    }
    *ret = text ? (int)wanted : usual;
    if (wanted < 0 || CPU_ISSET((size_t)wanted, &allowed))
        return 0;
    app_say("%s %lld: this program has no such processor; it has: %s; -1: any", option, wanted, list);
    return -EINVAL;
}

static int plan_run(const struct bench_arguments *a, struct bench *bench)
{
    double rate = 0;
    if (choose_processor("--send-cpu", a->send_cpu, 0, &bench->pass.send_cpu) ||
        choose_processor("--recv-cpu", a->recv_cpu, 1, &bench->pass.receive_cpu) ||
        (a->runs && app_count("--runs", a->runs, 1, RUNS_MAX, &bench->runs)) ||
        (a->passes && app_count("--passes", a->passes, 1, RUNS_MAX, &bench->passes)) ||
        (a->bytes && real("--bytes", a->bytes, &bench->bytes)) ||
        (a->seconds && real("--seconds", a->seconds, &bench->seconds)) || (a->rate && real("--rate", a->rate, &rate)) ||
        (a->soak && real("--soak", a->soak, &bench->soak)) ||
        (a->ratio && real("--burst-rate-ratio", a->ratio, &bench->pass.burst_rate_ratio)))
        return -EINVAL;
    bench->pass.no_offload = a->no_offload;
    bench->pass.local = a->bind;
    bench->rate = rate * 1e9 / 8;
    bench->against = &a->against;
    bench->json = a->json;
    bench->quiet = a->quiet;
    if (bench->pass.senders > 1 && !(bench->rate > 0)) {
        app_say("--senders %u needs a --rate that they share", bench->pass.senders);
        return -EINVAL;
    }
    return 0;
}

static int parse(int argc, char **argv, struct bench_arguments *a, const char **ret_host)
{
    const struct app_option options[] = {
        {"heap-size", 0, "BYTES", "payload of a heap (4194304)", .value = &a->heap_size},
        {"packet", 0, "BYTES", "largest packet, as UDP payload (1472)", .value = &a->packet},
        {"max-heaps", 0, "N", "heaps in flight (4; of small ones two batches)", .value = &a->max_heaps},
        {"batch", 0, "N", "heaps queued together (as many as make 512 KiB)", .value = &a->batch},
        {"burst", 0, "BYTES", "sent without a pause, where there is a rate (65536)", .value = &a->burst},
        {"burst-rate-ratio", 0, "X", "hard limit of the rate, relative to the rate (1.05)", .value = &a->ratio},
        {"recv-buffer", 0, "BYTES", "socket buffer of the receiver (67108864)", .value = &a->recv_buffer},
        {"send-buffer", 0, "BYTES", "socket buffer of the sender (524288)", .value = &a->send_buffer},
        {"send-cpu", 0, "N", "processor of the sender; -1: any (0)", .value = &a->send_cpu},
        {"recv-cpu", 0, "N", "processor of the receiver; -1: any (1)", .value = &a->recv_cpu},
        {"concurrent-heaps", 0, "N", "partial heaps of the receiver, of each sender and substream (4)",
         .value = &a->concurrent},
        {"substreams", 0, "N", "parallel substreams of the receiver: heap count modulo N (1)", .value = &a->substreams},
        {"ring-heaps", 0, "N", "received heaps that may wait (16; of small ones as many as make 64 MiB)",
         .value = &a->ring},
        {"addr-bits", 0, "N", "bits of an address: the XX of SPEAD-64-XX (40)", .value = &a->addr_bits},
        {"bind", 0, "ADDRESS", "interface of both sides, for multicast", .value = &a->bind},
        {"ttl", 0, "N", "of multicast packets (1)", .value = &a->ttl},
        {"bytes", 0, "N", "sent in each pass, at least (1e9)", .value = &a->bytes},
        {"seconds", 0, "S", "that each pass takes, at least (1)", .value = &a->seconds},
        {"passes", 0, "N", "that must all be good for a rate to be good (5)", .value = &a->passes},
        {"runs", 0, "N", "repeat it all and take the median (1)", .value = &a->runs},
        {"rate", 0, "GBPS", "one pass at this rate, and what was lost where", .value = &a->rate},
        {"soak", 0, "S", "then at 90 % of the rate found for so long, and what was lost where", .value = &a->soak},
        {"senders", 0, "N", "with --rate: so many; the first sends half of it all (1)", .value = &a->senders},
        {"against", 0, "COMMAND", "measure this too, in turn: the last number it prints is its Gb/s",
         .list = &a->against},
        {"no-gso", 0, NULL, "each packet in a message of its own", .flag = &a->no_offload},
        {"quiet", 'q', NULL, "only the result", .flag = &a->quiet},
        {"json", 0, NULL, "one JSON object on stdout", .flag = &a->json},
        {.name = NULL},
    };
    const struct app_usage usage = {
        .synopsis = "spead bench [HOST]",
        .summary = "Finds the highest rate at which a receiver gets all that a sender sends.",
        .description =
            "Sender and receiver are processes of their own, each on one processor. A first, unlimited run is the "
            "upper\n"
            "bound, bisection goes on to 2 %; a rate is good if in each of 5 passes all heaps but at most one arrive.\n"
            "--against commands run through the shell, with WEIR_SPEAD_PACKET, _HEAP_SIZE, _SEND_CPU and _RECV_CPU "
            "set.",
        .options = options,
        .operands_most = 1,
    };
    int operands = 0, status = app_parse(&usage, argc, argv, &operands);
    if (status >= 0)
        return status;
    *ret_host = operands ? argv[1] : "127.0.0.1";
    return -1;
}

/* ---- Sustainable rate ------------------------------------------------------------------------------------------- */

#define GBPS 8e-9
#define SOAK_SHARE 0.9 /* of the sustainable rate */

static void say_rate(const struct bench *bench, double rate, double actual, bool good)
{
    if (bench->quiet)
        return;
    if (rate > 0)
        fprintf(stderr, "Rate: %.3f Gb/s (%.3f actual): %s\n", rate * GBPS, actual * GBPS, good ? "GOOD" : "BAD");
    else
        fprintf(stderr, "Send rate: %.3f Gb/s: %s\n", actual * GBPS, good ? "all of it arrives" : "not all arrives");
}

/* Passes at one rate. *ret_actual: the mean rate of sending, beforehand about what it will be: passes last long enough
 * for more than the receiver's buffer. 1: good, 0: not, negative: it could not be measured. */
static int try_rate(const struct bench *bench, double rate, long long passes, double *ret_actual)
{
    struct spead_pass_options options = bench->pass;
    double bytes = *ret_actual * bench->seconds > bench->bytes ? *ret_actual * bench->seconds : bench->bytes, sum = 0;
    long long done = 0;
    bool good = true;
    options.rate = rate;
    options.heaps = (uint64_t)(bytes / (double)options.heap_size) + 2;
    /* The upper bound wants a mean of all passes; for a rate, the first bad one has decided. */
    for (; done < passes && (good || rate <= 0); done++) {
        struct spead_pass pass;
        struct weir_error error = {0};
        int code = spead_pass_run(&options, &pass, &error);
        if (code) {
            app_report(&error);
            return code;
        }
        good &= pass.heaps_received + 1 >= pass.heaps_sent;
        sum += pass.bytes_per_second;
    }
    *ret_actual = sum / (double)done;
    say_rate(bench, rate, *ret_actual, good);
    return good;
}

static int find_sustainable(const struct bench *bench, double *ret)
{
    double actual = 0, low = 0;
    int good = try_rate(bench, 0, 1, &actual); /* warms the memory up */
    if (good >= 0)
        good = try_rate(bench, 0, bench->passes, &actual);
    if (good < 0)
        return good;
    *ret = good ? actual : 0;
    for (double high = actual; !good && high - low > high * 0.02;) {
        double rate = (low + high) / 2;
        actual = rate;
        int result = try_rate(bench, rate, bench->passes, &actual);
        if (result < 0)
            return result;
        if (result)
            low = rate;
        else
            high = rate;
        if (result)
            *ret = actual;
    }
    return 0;
}

/* ---- Against others --------------------------------------------------------------------------------------------- */

/* The last number in a text; NaN: none. */
static double last_number(const char *text)
{
    double found = strtod("nan", NULL);
    for (const char *at = text; *at;) {
        char *end;
        bool starts = (*at >= '0' && *at <= '9') || (*at == '.' && at[1] >= '0' && at[1] <= '9');
        double value = starts ? strtod(at, &end) : 0;
        if (starts)
            found = value;
        at = starts ? end : at + 1;
    }
    return found;
}

static int run_other(const struct bench *bench, const char *command, double *ret)
{
    char number[32];
    struct weir_buffer output = {0};
    const struct {
        const char *name;
        uint64_t value;
    } variables[] = {{"WEIR_SPEAD_PACKET", bench->pass.packet_size},
                     {"WEIR_SPEAD_HEAP_SIZE", bench->pass.heap_size},
                     {"WEIR_SPEAD_SEND_CPU", (uint64_t)bench->pass.send_cpu},
                     {"WEIR_SPEAD_RECV_CPU", (uint64_t)bench->pass.receive_cpu}};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        snprintf(number, sizeof number, "%" PRId64, (int64_t)variables[i].value);
        setenv(variables[i].name, number, 1);
    }
    (void)fflush(NULL);
    FILE *pipe = popen(command, "r");
    if (!pipe) {
        app_say("cannot run \"%s\": %s", command, strerror(errno));
        return -errno;
    }
    char chunk[4096];
    for (size_t got; (got = fread(chunk, 1, sizeof chunk, pipe)) > 0;)
        buffer_append(&output, chunk, got);
    buffer_append(&output, "", 1);
    int status = pclose(pipe);
    *ret = output.failed ? last_number("") : last_number(output.data);
    buffer_free(&output);
    if (status != 0 || *ret != *ret) {
        app_say("\"%s\" %s: its figure is left out", command,
                status != 0 ? "has failed" : "has printed no number to compare with");
        return -ENODATA;
    }
    if (!bench->quiet)
        fprintf(stderr, "Against: %.3f Gb/s: %s\n", *ret, command);
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* NaN: there are none. */
static double median(const double *values, size_t count)
{
    double sorted[RUNS_MAX];
    if (count == 0)
        return strtod("nan", NULL);
    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, compare_numbers);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

struct series {
    const char *command; /* NULL: ours */
    size_t count;
    double gbps[RUNS_MAX];
};

static void json_series(struct weir_buffer *out, const struct series *series)
{
    buffer_string(out, "[");
    for (size_t i = 0; i < series->count; i++)
        buffer_format(out, "%s%.4f", i ? ", " : "", series->gbps[i]);
    buffer_string(out, "]");
}

/* ---- At a given rate --------------------------------------------------------------------------------------------- */

static void json_pass(const struct bench *bench, double rate, const struct spead_pass *pass, struct weir_buffer *out)
{
    buffer_format(
        out,
        "{\"heap_size\": %" PRIu64 ", \"packet\": %" PRIu64 ", \"senders\": %u, \"rate_gbps\": %.4f, \"gbps\": %.4f, "
        "\"seconds\": %.3f, \"heaps_sent\": %" PRIu64 ", \"heaps_received\": %" PRIu64
        ", \"heaps_incomplete\": %" PRIu64 ", \"heaps_shed\": %" PRIu64 ", \"heaps_refused\": %" PRIu64
        ", \"heaps_unseen\": %" PRIu64 ", \"other_heaps_lost\": %" PRIu64 ", ",
        bench->pass.heap_size, bench->pass.packet_size, bench->pass.senders, rate * GBPS, pass->bytes_per_second * GBPS,
        pass->seconds, pass->heaps_sent, pass->heaps_received, pass->heaps_incomplete, pass->heaps_shed,
        pass->heaps_refused, spead_pass_unseen(pass), pass->other_heaps_lost);
    buffer_format(out,
                  "\"packets_sent\": %" PRIu64 ", \"packets_received\": %" PRIu64 ", \"kernel_drops\": %" PRIu64
                  ", \"kernel_drop_buffers\": %" PRIu64 ", \"packets_bad\": %" PRIu64
                  ", \"packets_unexplained\": %" PRIu64 ", \"sources\": %u, \"concurrent_heaps\": %u, \"substreams\": "
                  "%u, \"ring_heaps\": %u, \"socket_buffer\": %" PRIu64 ", \"memory_peak\": %" PRIu64
                  ", \"wakeups\": %" PRIu64 ", \"pauses\": %" PRIu64
                  ", \"send_cpu_seconds\": %.3f, \"receive_cpu_seconds\": %.3f}",
                  pass->packets_sent, pass->packets_received, pass->kernel_drops, pass->kernel_drop_buffers,
                  pass->packets_bad, spead_pass_unexplained(pass), pass->sources, bench->pass.concurrent_heaps,
                  bench->pass.substreams, bench->pass.ring_heaps, pass->socket_buffer, pass->memory_peak, pass->wakeups,
                  pass->pauses, pass->send_cpu_seconds, pass->receive_cpu_seconds);
}

static void print_pass(const struct bench *bench, const struct spead_pass *pass)
{
    uint64_t missing = pass->heaps_sent > pass->heaps_received ? pass->heaps_sent - pass->heaps_received : 0;
    printf("Sent:     %" PRIu64 " heaps, %" PRIu64 " packets in %.3f s, %.3f Gb/s\n", pass->heaps_sent,
           pass->packets_sent, pass->seconds, pass->bytes_per_second * GBPS);
    printf("Received: %" PRIu64 " heaps (%.4f %%), %" PRIu64 " packets\n", pass->heaps_received,
           100.0 * (double)pass->heaps_received / (double)pass->heaps_sent, pass->packets_received);
    if (missing)
        printf("Lost:     %" PRIu64 " heaps: %" PRIu64 " incomplete, %" PRIu64 " shed, %" PRIu64 " refused, %" PRIu64
               " never seen\n",
               missing, pass->heaps_incomplete, pass->heaps_shed, pass->heaps_refused, spead_pass_unseen(pass));
    if (pass->packets_sent != pass->packets_received)
        printf("          packets: %" PRIu64 " dropped by the kernel (receive buffer: %" PRIu64 " bytes), %" PRIu64
               " bad, %" PRIu64 " unexplained\n",
               pass->kernel_drops, pass->socket_buffer, pass->packets_bad, spead_pass_unexplained(pass));
    if (bench->pass.senders > 1)
        printf("          of the %u lesser senders' heaps: %" PRIu64 "\n", bench->pass.senders - 1,
               pass->other_heaps_lost);
}

/* One pass at a rate. 0, or a negative errno that was said. */
static int run_rate(const struct bench *bench, double rate, double seconds, struct spead_pass *ret)
{
    struct spead_pass_options options = bench->pass;
    struct weir_error error = {0};
    options.rate = rate;
    options.heaps = (uint64_t)(rate * seconds / (double)options.heap_size) + 2;
    int code = spead_pass_run(&options, ret, &error);
    if (code)
        app_report(&error);
    return code;
}

/* Prints a line of JSON. */
static int print_line(struct weir_buffer *out)
{
    buffer_string(out, "\n");
    return app_put(stdout, out);
}

static int bench_rate(const struct bench *bench)
{
    struct spead_pass pass;
    struct weir_buffer out = {0};
    if (run_rate(bench, bench->rate, bench->seconds, &pass) < 0)
        return APP_FAILED;
    if (!bench->json) {
        print_pass(bench, &pass);
        return APP_OK;
    }
    json_pass(bench, bench->rate, &pass, &out);
    return print_line(&out);
}

/* ---- The result ------------------------------------------------------------------------------------------------- */

/* soak: NULL: there was none. */
static int print_json(const struct bench *bench, const struct series *series, size_t others,
                      const struct spead_pass *soak)
{
    struct weir_buffer out = {0};
    double ours = median(series[0].gbps, series[0].count);
    buffer_format(&out,
                  "{\"heap_size\": %" PRIu64 ", \"packet\": %" PRIu64 ", \"max_heaps\": %u, \"batch\": %u, \"passes\": "
                  "%lld, \"sustainable_gbps\": %.4f, \"runs\": ",
                  bench->pass.heap_size, bench->pass.packet_size, bench->pass.max_heaps, bench->pass.batch,
                  bench->passes, ours);
    json_series(&out, &series[0]);
    buffer_string(&out, ", \"against\": [");
    for (size_t i = 1; i <= others; i++) {
        double theirs = median(series[i].gbps, series[i].count);
        buffer_format(&out, "%s{\"command\": ", i > 1 ? ", " : "");
        buffer_json_string(&out, series[i].command, strlen(series[i].command));
        if (series[i].count)
            buffer_format(&out, ", \"gbps\": %.4f, \"ratio\": %.4f, \"runs\": ", theirs, ours / theirs);
        else
            buffer_string(&out, ", \"gbps\": null, \"ratio\": null, \"runs\": ");
        json_series(&out, &series[i]);
        buffer_string(&out, "}");
    }
    buffer_string(&out, "]");
    if (soak) {
        buffer_string(&out, ", \"soak\": ");
        json_pass(bench, ours / GBPS * SOAK_SHARE, soak, &out);
    }
    buffer_string(&out, "}");
    return print_line(&out);
}

static int bench_sustainable(const struct bench *bench)
{
    static struct series series[APP_LIST_MAX + 1];
    size_t others = bench->against->count;
    for (long long run = 0; run < bench->runs; run++) {
        double rate = 0;
        if (find_sustainable(bench, &rate) < 0)
            return APP_FAILED;
        series[0].gbps[series[0].count++] = rate * GBPS;
        for (size_t i = 0; i < others; i++) {
            struct series *other = &series[i + 1];
            other->command = bench->against->values[i];
            if (run_other(bench, other->command, &other->gbps[other->count]) == 0)
                other->count++;
        }
    }
    double ours = median(series[0].gbps, series[0].count);
    struct spead_pass soak;
    bool soaked = bench->soak > 0 && ours > 0;
    if (soaked && run_rate(bench, ours / GBPS * SOAK_SHARE, bench->soak, &soak) < 0)
        return APP_FAILED;
    if (bench->json)
        return print_json(bench, series, others, soaked ? &soak : NULL);
    printf("Sustainable rate: %.3f Gb/s\n", ours);
    for (size_t i = 1; i <= others; i++) {
        double theirs = median(series[i].gbps, series[i].count);
        if (series[i].count)
            printf("Against:          %.3f Gb/s, weir %.2f times as much: %s\n", theirs, ours / theirs,
                   series[i].command);
    }
    if (soaked) {
        printf("At %.0f %% of it:\n", 100 * SOAK_SHARE);
        print_pass(bench, &soak);
    }
    return APP_OK;
}

int cmd_spead_bench(int argc, char **argv)
{
    struct bench_arguments arguments = {0};
    struct bench bench = {.bytes = 1e9, .seconds = 1, .runs = 1, .passes = PASSES};
    int status = parse(argc, argv, &arguments, &bench.pass.host);
    if (status >= 0)
        return status;
    if (plan_sizes(&arguments, &bench) || plan_receiver(&arguments, &bench) || plan_run(&arguments, &bench))
        return APP_USAGE;
    return bench.rate > 0 ? bench_rate(&bench) : bench_sustainable(&bench);
}
