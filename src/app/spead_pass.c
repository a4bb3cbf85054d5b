/* SPDX-License-Identifier: MIT */
#include "app/spead_pass.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/spead.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

enum {
    TEST_ITEM = 0x1234,
    SETTLE_MS = 100,   /* after the last packet, for what is still in the socket's buffer */
    START_MS = 10000,  /* for a process to get ready */
    REPORT_MS = 10000, /* for a receiver to say what it got */
    STOP_HEAPS = 3,
};

/* ---- Processes ------------------------------------------------------------------------------------------------- */

/* Reads exactly `size` bytes within the time; false: it did not come. */
static bool read_all(int descriptor, void *to, size_t size, int64_t deadline_ns)
{
    size_t have = 0;
    while (have < size) {
        struct pollfd polled = {.fd = descriptor, .events = POLLIN};
        int64_t left = (deadline_ns - clock_monotonic()) / CLOCK_MILLISECOND;
        if (left <= 0 || poll(&polled, 1, left > 1000000 ? 1000000 : (int)left) < 0)
            return false;
        ssize_t got = polled.revents ? read(descriptor, (char *)to + have, size - have) : 0;
        if (polled.revents && got <= 0)
            return false;
        have += (size_t)got;
    }
    return true;
}

static void write_all(int descriptor, const void *from, size_t size)
{
    ssize_t written = write(descriptor, from, size);
    if (written != (ssize_t)size)
        _exit(1);
}

static void pin(int cpu)
{
    cpu_set_t set;
    if (cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* What a child says when it cannot go on. */
struct child_words {
    int code;
    char text[WEIR_ERROR_MAX];
};

static _Noreturn void fail_child(int out, const struct weir_error *error)
{
    struct child_words words = {.code = error->code ? error->code : -EIO};
    snprintf(words.text, sizeof words.text, "%s", error->text);
    write_all(out, &words, sizeof words);
    _exit(1);
}

/* ---- Receiver -------------------------------------------------------------------------------------------------- */

struct receiver_report {
    struct weir_spead_statistics statistics;
    uint64_t heaps;
    double cpu_seconds;
};

static uint64_t sum(const struct weir_spead_counters *counters, enum weir_spead_counter first,
                    enum weir_spead_counter last)
{
    uint64_t total = 0;
    for (int i = (int)first; i <= (int)last; i++)
        total += counters->of[i];
    return total;
}

static struct weir_spead_receiver *start_receiver(const struct spead_pass_options *options, int out)
{
    char address[128];
    struct weir_error error = {0};
    struct weir_spead_receiver *receiver = NULL;
    uint32_t partial = options->concurrent_heaps * options->substreams;
    const struct weir_spead_receive_options receive = {
        .ring_heaps = options->ring_heaps,
        .max_heaps = options->concurrent_heaps,
        .substreams = options->substreams,
        .socket_buffer = options->receive_buffer,
        /* All that there may be, as the first use of memory in a burst would lose some of it; of many senders' heaps,
         * those that begin at once. */
        .ready_heaps = options->senders > 1 ? partial * options->senders : partial + options->ring_heaps + 4,
        .ready_bytes = options->heap_size,
        .max_sources = SPEAD_PASS_SENDERS_MAX,
        .stop = options->senders > 1 ? WEIR_SPEAD_STOP_NEVER : WEIR_SPEAD_STOP_ANY,
        .max_heap_bytes = options->heap_size + 65536,
        .memory = UINT64_C(4) << 30,
    };
    const struct weir_spead_endpoint endpoint = {.address = address, .interface = options->local};
    snprintf(address, sizeof address, "%s:0", options->host);
    if (weir_spead_receiver_new(&receive, &error, &receiver) < 0 ||
        weir_spead_receiver_add(receiver, &endpoint, &error) < 0 || weir_spead_receiver_start(receiver, &error) < 0)
        fail_child(out, &error);
    return receiver;
}

static _Noreturn void run_receiver(const struct spead_pass_options *options, int in, int out)
{
    struct receiver_report report = {0};
    struct child_words ready = {0};
    pin(options->receive_cpu);
    struct weir_spead_receiver *receiver = start_receiver(options, out);
    uint16_t port = weir_spead_receiver_port(receiver);
    write_all(out, &ready, sizeof ready);
    write_all(out, &port, sizeof port);
    for (bool told = false;;) {
        struct weir_spead_heap *heap;
        int result = weir_spead_receiver_next(receiver, NULL, clock_monotonic() + 20 * CLOCK_MILLISECOND, &heap);
        if (result == 0) {
            report.heaps += heap->value_count > 0 && heap->values[0].id == TEST_ITEM;
            weir_memory_release(&heap->memory);
        } else if (result != -ETIMEDOUT) {
            break;
        }
        struct pollfd polled = {.fd = in, .events = POLLIN};
        if (result && !told && poll(&polled, 1, 0) > 0) { /* closed: the senders are through */
            told = true;
            weir_spead_receiver_stop(receiver);
        }
    }
    weir_spead_receiver_statistics(receiver, &report.statistics);
    report.cpu_seconds = cpu_seconds();
    write_all(out, &report, sizeof report);
    struct weir_spead_source_statistics *sources = memory_zeroed(SPEAD_PASS_SENDERS_MAX, sizeof *sources);
    if (!sources)
        _exit(1);
    (void)weir_spead_receiver_sources(receiver, sources, SPEAD_PASS_SENDERS_MAX);
    for (uint32_t i = 0; i < report.statistics.sources && i < SPEAD_PASS_SENDERS_MAX; i++)
        write_all(out, &sources[i].counters.of[WEIR_SPEAD_HEAPS], sizeof(uint64_t));
    _exit(0);
}

/* ---- Sender ---------------------------------------------------------------------------------------------------- */

struct sender_report {
    double seconds, cpu_seconds;
    uint64_t heaps[SPEAD_PASS_SENDERS_MAX]; /* of each sender */
    uint64_t bytes, packets, messages, wakeups, pauses, no_memory;
};

enum { BATCHES = 4 };
struct one_sender {
    struct weir_spead_sender *sender;
    struct weir_spead_outgoing *heap;
    struct weir_spead_send *sends;
    struct weir_spead_completion completions[BATCHES];
    uint64_t left, sent;
    uint32_t next;
};

static void open_one(const struct spead_pass_options *options, const char *destination, uint32_t index, void *data,
                     struct one_sender *one, int out)
{
    struct weir_error error = {0};
    const struct weir_spead_flavour flavour = {.address_bits = options->address_bits};
    double share = options->senders == 1 ? 1 : index == 0 ? 0.5 : 0.5 / (options->senders - 1);
    const struct weir_spead_sender_options sender = {
        .destinations = &destination,
        .destination_count = 1,
        .local = options->local,
        .ttl = options->ttl,
        .packet_size = options->packet_size,
        .rate = options->rate * share,
        .burst_size = options->burst_size,
        .burst_rate_ratio = options->burst_rate_ratio,
        .max_heaps = options->max_heaps,
        .buffer_size = options->send_buffer,
        .no_offload = options->no_offload,
        .spin_ns = options->senders > 1 ? -1
                                        : 0, /* many threads on one processor would only turn in each other's way */
    };
    int code = weir_spead_sender_open(&sender, &error, &one->sender);
    if (code)
        fail_child(out, &error);
    one->left = (uint64_t)((double)options->heaps * share);
    one->sends = memory_zeroed(options->batch, sizeof *one->sends);
    if (!one->sends || weir_spead_outgoing_new(flavour, &one->heap) < 0 ||
        weir_spead_outgoing_add(one->heap, TEST_ITEM, data, options->heap_size) < 0)
        _exit(1);
}

/* Queues one batch if one of its places is free. False: nothing to do for this sender now. */
static bool send_some(const struct spead_pass_options *options, struct one_sender *one, bool wait)
{
    uint32_t batches = options->max_heaps / options->batch, count = options->batch;
    batches = batches > BATCHES ? BATCHES : batches;
    struct weir_spead_completion *completion = &one->completions[one->next % batches];
    if (!one->left || (!wait && !weir_spead_completion_done(completion)))
        return false;
    (void)weir_spead_completion_wait(NULL, completion, WEIR_NEVER, NULL);
    if (count > one->left)
        count = (uint32_t)one->left;
    weir_spead_completion_begin(completion, NULL, count);
    for (uint32_t i = 0; i < count; i++)
        one->sends[i] = (struct weir_spead_send){
            .heap = one->heap, .sent = weir_spead_completed, .argument = completion};
    if (weir_spead_send_wait(one->sender, NULL, one->sends, count, WEIR_NEVER) < 0)
        _exit(1);
    one->left -= count;
    one->sent += count;
    one->next++;
    return true;
}

static void send_all(const struct spead_pass_options *options, struct one_sender *senders)
{
    for (bool any = true; any;) {
        bool progress = false;
        any = false;
        for (uint32_t i = 0; i < options->senders; i++) {
            progress |= send_some(options, &senders[i], options->senders == 1);
            any |= senders[i].left > 0;
        }
        if (any && !progress)
            usleep(100);
    }
    for (uint32_t i = 0; i < options->senders; i++)
        (void)weir_spead_sender_flush(senders[i].sender, NULL, WEIR_NEVER);
}

static void send_stop(const struct spead_pass_options *options, struct one_sender *one)
{
    const struct weir_spead_flavour flavour = {.address_bits = options->address_bits};
    struct weir_spead_outgoing *stop;
    if (weir_spead_outgoing_new(flavour, &stop) < 0 || weir_spead_outgoing_add_control(stop, WEIR_SPEAD_STOP) < 0)
        _exit(1);
    for (int i = 0; i < STOP_HEAPS; i++) {
        usleep(SETTLE_MS * 1000 / STOP_HEAPS); /* what is in the receiver's buffer comes first */
        (void)weir_spead_send_wait(one->sender, NULL, &(struct weir_spead_send){.heap = stop}, 1, WEIR_NEVER);
    }
    (void)weir_spead_sender_flush(one->sender, NULL, WEIR_NEVER);
}

static _Noreturn void run_senders(const struct spead_pass_options *options, uint16_t port, int out)
{
    static struct one_sender senders[SPEAD_PASS_SENDERS_MAX];
    char destination[128];
    struct child_words ready = {0};
    struct sender_report report = {0};
    void *data = memory_aligned(4096, options->heap_size);
    if (!data)
        _exit(1);
    memset(data, 1, options->heap_size);
    pin(options->send_cpu);
    snprintf(destination, sizeof destination, "%s:%u", options->host, port);
    for (uint32_t i = 0; i < options->senders; i++)
        open_one(options, destination, i, data, &senders[i], out);
    int64_t start = clock_monotonic();
    send_all(options, senders);
    report.seconds = (double)(clock_monotonic() - start) / 1e9;
    report.cpu_seconds = cpu_seconds();
    for (uint32_t i = 0; i < options->senders; i++) {
        struct weir_spead_sender_counters counters;
        weir_spead_sender_count(senders[i].sender, &counters);
        report.heaps[i] = senders[i].sent;
        report.bytes += counters.bytes;
        report.packets += counters.packets;
        report.messages += counters.messages;
        report.wakeups += counters.wakeups;
        report.pauses += counters.pauses;
        report.no_memory += counters.no_memory;
    }
    if (options->senders == 1)
        send_stop(options, &senders[0]);
    else
        usleep(SETTLE_MS * 1000);
    write_all(out, &ready, sizeof ready);
    write_all(out, &report, sizeof report);
    _exit(0);
}

/* ---- Together -------------------------------------------------------------------------------------------------- */

struct child {
    pid_t pid;
    int in, out; /* to it, from it */
};

/* 0 in the parent, 1 in the child, which then has the other ends in *child. */
static int start_child(struct child *child)
{
    int to[2], from[2];
    if (pipe(to) < 0)
        return -errno;
    if (pipe(from) < 0) {
        close(to[0]);
        close(to[1]);
        return -errno;
    }
    child->pid = fork();
    bool is_child = child->pid == 0;
    close(is_child ? to[1] : to[0]);
    close(is_child ? from[0] : from[1]);
    child->in = is_child ? to[0] : to[1];
    child->out = is_child ? from[1] : from[0];
    return child->pid < 0 ? -EAGAIN : is_child;
}

static void end_child(struct child *child)
{
    if (child->pid > 0) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
        close(child->in);
        close(child->out);
    }
}

static int child_ready(struct child *child, int64_t deadline_ns, const char *who, struct weir_error *error)
{
    struct child_words words;
    if (!read_all(child->out, &words, sizeof words, deadline_ns))
        return weir_fail(error, -EIO, "the %s did not get ready or has ended", who);
    return words.code ? weir_fail(error, words.code, "%s: %s", who, words.text) : 0;
}

static void add_receiver(struct spead_pass *pass, const struct receiver_report *report)
{
    const struct weir_spead_counters *total = &report->statistics.total;
    pass->heaps_received = report->heaps;
    pass->receive_cpu_seconds = report->cpu_seconds;
    /* Stop items come after what is measured. */
    pass->packets_received = report->statistics.datagrams - total->of[WEIR_SPEAD_STOPS] -
                             total->of[WEIR_SPEAD_PACKETS_AFTER_STOP];
    pass->kernel_drop_buffers = report->statistics.kernel_drop_buffers;
    pass->message_packets = report->statistics.message_packets;
    pass->socket_buffer = report->statistics.socket_buffer;
    pass->memory_peak = report->statistics.memory_peak;
    pass->sources = report->statistics.sources;
    pass->packets_bad = sum(total, WEIR_SPEAD_PACKETS_TOO_SHORT, WEIR_SPEAD_PACKETS_SCATTERED);
    pass->heaps_incomplete = sum(total, WEIR_SPEAD_HEAPS_INCOMPLETE_EVICTED, WEIR_SPEAD_HEAPS_INCOMPLETE_MEMORY);
    pass->heaps_shed = total->of[WEIR_SPEAD_HEAPS_SHED];
    pass->heaps_refused = total->of[WEIR_SPEAD_HEAPS_HEADLESS] + total->of[WEIR_SPEAD_HEAPS_TOO_LARGE] +
                          total->of[WEIR_SPEAD_HEAPS_NO_MEMORY];
}

/* The kernel counts buffers, of up to so many packets each: what is missing is what was in them, if they can hold it.
 */
static void attribute_drops(struct spead_pass *pass)
{
    uint64_t missing = pass->packets_sent > pass->packets_received ? pass->packets_sent - pass->packets_received : 0;
    uint64_t most = pass->kernel_drop_buffers * (pass->message_packets ? pass->message_packets : 1);
    pass->kernel_drops = missing < most ? missing : most;
}

static int talk(const struct spead_pass_options *options, struct child *receiver, struct child *sender,
                struct spead_pass *ret, struct weir_error *error)
{
    static struct sender_report sent;
    struct receiver_report got;
    double expected = options->rate > 0 ? (double)options->heaps * (double)options->heap_size / options->rate : 0;
    int64_t deadline = clock_monotonic() + (int64_t)((60 + 3 * expected) * 1e9);
    int code = child_ready(sender, deadline, "sender", error);
    if (code)
        return code;
    if (!read_all(sender->out, &sent, sizeof sent, deadline))
        return weir_fail(error, -EIO, "the sender has ended early");
    close(receiver->in); /* the sign to end, if no stop item has come */
    receiver->in = -1;
    if (!read_all(receiver->out, &got, sizeof got, clock_monotonic() + REPORT_MS * CLOCK_MILLISECOND))
        return weir_fail(error, -EIO, "the receiver has ended early");
    *ret = (struct spead_pass){
        .seconds = sent.seconds,
        .bytes_per_second = (double)sent.bytes / sent.seconds,
        .send_cpu_seconds = sent.cpu_seconds,
        .bytes_sent = sent.bytes,
        .packets_sent = sent.packets,
        .messages = sent.messages,
        .wakeups = sent.wakeups,
        .pauses = sent.pauses,
        .no_memory = sent.no_memory,
    };
    add_receiver(ret, &got);
    attribute_drops(ret);
    uint64_t largest = 0, others = 0, received = 0;
    for (uint32_t i = 0; i < options->senders; i++) {
        ret->heaps_sent += sent.heaps[i];
        others += i > 0 ? sent.heaps[i] : 0;
    }
    for (uint32_t i = 0; i < got.statistics.sources && i < SPEAD_PASS_SENDERS_MAX; i++) {
        uint64_t heaps = 0;
        if (!read_all(receiver->out, &heaps, sizeof heaps, clock_monotonic() + CLOCK_SECOND))
            return weir_fail(error, -EIO, "the receiver has ended early");
        largest = heaps > largest ? heaps : largest;
        received += heaps;
    }
    ret->other_heaps_lost = others > received - largest ? others - (received - largest) : 0;
    return 0;
}

int spead_pass_run(const struct spead_pass_options *options, struct spead_pass *ret, struct weir_error *error)
{
    struct child receiver = {0}, sender = {0};
    uint16_t port = 0;
    (void)fflush(NULL);
    int code = start_child(&receiver);
    if (code == 1)
        run_receiver(options, receiver.in, receiver.out);
    if (!code)
        code = child_ready(&receiver, clock_monotonic() + START_MS * CLOCK_MILLISECOND, "receiver", error);
    if (!code && !read_all(receiver.out, &port, sizeof port, clock_monotonic() + CLOCK_SECOND))
        code = weir_fail(error, -EIO, "the receiver did not say its port");
    if (!code)
        code = start_child(&sender);
    if (code == 1)
        run_senders(options, port, sender.out);
    if (!code)
        code = talk(options, &receiver, &sender, ret, error);
    end_child(&sender);
    end_child(&receiver);
    return code;
}
