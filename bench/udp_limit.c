/* SPDX-License-Identifier: MIT */
/*
 * What UDP over loopback can do at most on this machine, with work of SPEAD's shape but no protocol: a sender that
 * gathers a header and a piece of a heap into each packet, 64 KiB at a time (UDP_SEGMENT), and a receiver that takes
 * 64 KiB at a time (UDP_GRO) and puts each packet's payload where it belongs in a heap. Each is a process on a core of
 * its own. Nothing is waited for and nothing sent again: `sent` is the sender's limit, `received` the receiver's.
 *
 *     udp_limit [--packet 1472] [--header 40] [--heap 4194304] [--bytes 4000000000] [--messages 8] [--rate GBPS]
 *               [--no-copy] [--send-cpu 0] [--recv-cpu 1] [--sustainable]
 *
 * --rate: paced by absolute time. --sustainable: by bisection the highest rate at which nothing but at most one heap in
 * a thousand is lost in 5 of 5 passes. Output: one line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_MAX = 65507, SEGMENTS_MAX = 64, MESSAGES_MAX = 64, HEADER_MAX = 256, BUFFER = 65536 };

struct options {
    size_t packet, header, heap;
    uint64_t bytes;
    int messages, send_cpu, recv_cpu;
    double rate; /* bytes per second, 0: unlimited */
    bool copy, sustainable;
};

/* Shared by the two processes. */
struct shared {
    volatile int ready, stop;
    volatile uint64_t received, packets;
    volatile int64_t last_ns;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "udp_limit: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        die("mmap");
    return memory;
}

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) < 0)
        die("sched_setaffinity");
}

/* ---- Receiver -------------------------------------------------------------------------------------------------- */

struct inbox {
    struct mmsghdr messages[MESSAGES_MAX];
    struct iovec vectors[MESSAGES_MAX];
    char control[MESSAGES_MAX][64];
    uint8_t *buffers;
};

static size_t segment_size(struct msghdr *message, size_t whole)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        int size;
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
            memcpy(&size, CMSG_DATA(c), sizeof size);
            return (size_t)size;
        }
    }
    return whole;
}

static void take(const struct options *options, struct shared *shared, struct inbox *inbox, int i, uint8_t *heap)
{
    size_t size = inbox->messages[i].msg_len, segment = segment_size(&inbox->messages[i].msg_hdr, size);
    const uint8_t *bytes = inbox->buffers + (size_t)i * BUFFER;
    uint64_t packets = 0;
    for (size_t at = 0; at < size; at += segment, packets++) {
        size_t length = size - at < segment ? size - at : segment;
        uint64_t offset;
        memcpy(&offset, bytes + at, sizeof offset);
        if (options->copy && offset < options->heap)
            memcpy(heap + offset, bytes + at + options->header, length - options->header);
    }
    shared->received += size;
    shared->packets += packets;
}

static void receive(const struct options *options, struct shared *shared, int descriptor)
{
    int messages = 8;
    struct inbox *inbox = map(sizeof *inbox);
    uint8_t *heap = map(options->heap + options->packet);
    memset(heap, 1, options->heap);
    inbox->buffers = map((size_t)messages * BUFFER);
    pin(options->recv_cpu);
    shared->ready = 1;
    while (!shared->stop) {
        for (int i = 0; i < messages; i++) {
            inbox->vectors[i] = (struct iovec){inbox->buffers + (size_t)i * BUFFER, BUFFER};
            inbox->messages[i].msg_hdr = (struct msghdr){.msg_iov = &inbox->vectors[i],
                                                         .msg_iovlen = 1,
                                                         .msg_control = inbox->control[i],
                                                         .msg_controllen = sizeof inbox->control[i]};
        }
        int count = recvmmsg(descriptor, inbox->messages, (unsigned)messages, MSG_WAITFORONE, NULL);
        for (int i = 0; i < count; i++)
            take(options, shared, inbox, i, heap);
        if (count > 0)
            shared->last_ns = now_ns();
    }
    _exit(0);
}

/* ---- Sender ---------------------------------------------------------------------------------------------------- */

struct outbox {
    struct mmsghdr messages[MESSAGES_MAX];
    struct iovec vectors[MESSAGES_MAX][2 * SEGMENTS_MAX];
    uint8_t headers[MESSAGES_MAX][SEGMENTS_MAX][HEADER_MAX];
};

/* Fills message i with equal packets from heap offset *at on. */
static size_t gather(const struct options *options, struct outbox *outbox, int i, const uint8_t *heap, size_t *at)
{
    size_t payload = options->packet - options->header, segments = MESSAGE_MAX / options->packet, size = 0, used = 0;
    if (segments > SEGMENTS_MAX)
        segments = SEGMENTS_MAX;
    for (size_t s = 0; s < segments && *at < options->heap; s++) {
        size_t piece = options->heap - *at < payload ? options->heap - *at : payload;
        uint64_t offset = *at;
        memcpy(outbox->headers[i][s], &offset, sizeof offset);
        for (size_t h = 8; h + 8 <= options->header; h += 8)
            memcpy(outbox->headers[i][s] + h, &offset, sizeof offset);
        outbox->vectors[i][used++] = (struct iovec){outbox->headers[i][s], options->header};
        outbox->vectors[i][used++] = (struct iovec){(void *)(heap + *at), piece};
        *at += piece;
        size += piece + options->header;
    }
    if (*at == options->heap)
        *at = 0;
    outbox->messages[i].msg_hdr = (struct msghdr){.msg_iov = outbox->vectors[i], .msg_iovlen = used};
    return size;
}

static uint64_t send_all(const struct options *options, int descriptor, double rate)
{
    struct outbox *outbox = map(sizeof *outbox);
    uint8_t *heap = map(options->heap);
    uint64_t sent = 0, heaps = 0;
    size_t at = 0;
    double next = (double)now_ns();
    memset(heap, 2, options->heap);
    while (sent < options->bytes || at > 0) {
        int count = 0;
        size_t size = 0;
        for (; count < options->messages; count++) {
            size += gather(options, outbox, count, heap, &at);
            if (at == 0 && ++heaps && sent + size >= options->bytes) {
                count++;
                break;
            }
        }
        while (rate > 0 && (double)now_ns() < next)
            ;
        for (int done = 0; done < count;) {
            int result = sendmmsg(descriptor, outbox->messages + done, (unsigned)(count - done), 0);
            if (result < 0 && errno != EINTR && errno != ENOBUFS)
                die("sendmmsg");
            done += result > 0 ? result : 0;
        }
        sent += size;
        next += rate > 0 ? (double)size * 1e9 / rate : 0;
    }
    munmap(heap, options->heap);
    munmap(outbox, sizeof *outbox);
    return sent;
}

/* ---- One run ---------------------------------------------------------------------------------------------------- */

struct outcome {
    double sent, received; /* bytes per second */
    uint64_t bytes_sent, bytes_received, buffer;
};

static int open_receiver(struct sockaddr_in *address, uint64_t *ret_buffer)
{
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0), one = 1, buffer = 64 << 20;
    socklen_t length = sizeof *address, size = sizeof buffer;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    setsockopt(descriptor, SOL_UDP, UDP_GRO, &one, sizeof one);
    if (bind(descriptor, (struct sockaddr *)address, length) < 0 ||
        getsockname(descriptor, (struct sockaddr *)address, &length) < 0 ||
        getsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &buffer, &size) < 0)
        die("bind");
    *ret_buffer = (uint64_t)buffer;
    return descriptor;
}

static struct outcome run(const struct options *options, double rate)
{
    struct outcome outcome = {0};
    struct sockaddr_in address;
    struct shared *shared = map(sizeof *shared);
    int in = open_receiver(&address, &outcome.buffer), out = socket(AF_INET, SOCK_DGRAM, 0);
    int segment = (int)options->packet, buffer = 4 << 20;
    setsockopt(out, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    if (connect(out, (struct sockaddr *)&address, sizeof address) < 0 ||
        setsockopt(out, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) < 0)
        die("connect, UDP_SEGMENT");
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0)
        receive(options, shared, in);
    pin(options->send_cpu);
    while (!shared->ready)
        usleep(1000);
    int64_t start = now_ns();
    outcome.bytes_sent = send_all(options, out, rate);
    int64_t end = now_ns();
    usleep(50000); /* what is in the socket buffer */
    outcome.bytes_received = shared->received;
    outcome.sent = (double)outcome.bytes_sent * 1e9 / (double)(end - start);
    outcome.received = (double)shared->received * 1e9 / (double)(shared->last_ns - start);
    shared->stop = 1;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(in);
    close(out);
    munmap(shared, sizeof *shared);
    return outcome;
}

static bool good(const struct options *options, double rate, double *ret)
{
    double sum = 0;
    for (int pass = 0; pass < 5; pass++) {
        struct outcome outcome = run(options, rate);
        sum += outcome.sent;
        if (outcome.bytes_sent - outcome.bytes_received > options->heap)
            return false;
    }
    *ret = sum / 5;
    return true;
}

static double sustainable(const struct options *options)
{
    double high = run(options, 0).sent, low = 0, best = 0;
    if (good(options, 0, &best))
        return best;
    while (high - low > high * 0.02) {
        double rate = (low + high) / 2;
        if (good(options, rate, &best))
            low = rate;
        else
            high = rate;
    }
    return best;
}

static void parse(struct options *options, int argc, char **argv)
{
    static const struct option longs[] = {
        {"packet", 1, NULL, 'p'},      {"header", 1, NULL, 'h'},   {"heap", 1, NULL, 'H'},
        {"bytes", 1, NULL, 'b'},       {"messages", 1, NULL, 'm'}, {"rate", 1, NULL, 'r'},
        {"no-copy", 0, NULL, 'n'},     {"send-cpu", 1, NULL, 's'}, {"recv-cpu", 1, NULL, 'c'},
        {"sustainable", 0, NULL, 'S'}, {NULL, 0, NULL, 0},
    };
    for (int letter; (letter = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        double number = optarg ? strtod(optarg, NULL) : 0;
        switch (letter) {
        case 'p':
            options->packet = (size_t)number;
            break;
        case 'h':
            options->header = (size_t)number;
            break;
        case 'H':
            options->heap = (size_t)number;
            break;
        case 'b':
            options->bytes = (uint64_t)number;
            break;
        case 'm':
            options->messages = (int)number;
            break;
        case 'r':
            options->rate = number * 1e9 / 8;
            break;
        case 'n':
            options->copy = false;
            break;
        case 's':
            options->send_cpu = (int)number;
            break;
        case 'c':
            options->recv_cpu = (int)number;
            break;
        case 'S':
            options->sustainable = true;
            break;
        default:
            exit(2);
        }
    }
    if (options->header < 8 || options->header > HEADER_MAX || options->packet <= options->header ||
        options->packet > MESSAGE_MAX || options->messages < 1 || options->messages > MESSAGES_MAX ||
        options->heap < options->packet) {
        fprintf(stderr, "udp_limit: sizes out of range\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct options options = {
        .packet = 1472, .header = 40, .heap = 4 << 20, .bytes = 4000000000, .messages = 8, .recv_cpu = 1, .copy = true};
    parse(&options, argc, argv);
    if (options.sustainable) {
        printf("{\"packet\": %zu, \"header\": %zu, \"heap\": %zu, \"copy\": %s, \"sustainable_gbps\": %.3f}\n",
               options.packet, options.header, options.heap, options.copy ? "true" : "false",
               sustainable(&options) * 8e-9);
        return 0;
    }
    struct outcome outcome = run(&options, options.rate);
    printf("{\"packet\": %zu, \"header\": %zu, \"heap\": %zu, \"copy\": %s, \"sent_gbps\": %.3f, \"received_gbps\": "
           "%.3f, \"lost\": %.6f, \"receive_buffer\": %llu}\n",
           options.packet, options.header, options.heap, options.copy ? "true" : "false", outcome.sent * 8e-9,
           outcome.received * 8e-9, 1 - (double)outcome.bytes_received / (double)outcome.bytes_sent,
           (unsigned long long)outcome.buffer);
    return 0;
}
