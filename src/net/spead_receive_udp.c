/* SPDX-License-Identifier: MIT */
/* UDP: many datagrams by one call, and with GRO many in one. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/spead_receiver.h"
#include "base/system.h"
#include "net/spead_scatter.h"
#include "net/spead_socket.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

struct udp_state {
    struct mmsghdr messages[RECEIVE_BATCH];
    struct iovec vectors[RECEIVE_BATCH];
    struct sockaddr_in6 names[RECEIVE_BATCH]; /* the larger of the two kinds */
    _Alignas(struct cmsghdr) uint8_t controls[RECEIVE_BATCH][CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint32_t))];
    uint32_t batch;   /* datagrams to ask for */
    uint32_t kernel;  /* drops, as last told */
    uint32_t packets; /* in the last message */
    uint8_t *buffers;
    struct spead_source *latest; /* who sent the last message */
    uint32_t gone;               /* sources that were gone then */
    bool segments;               /* it held several packets */
    struct spead_scatter scatter;
};

/* ---- Receiving ------------------------------------------------------------------------------------------------- */

/* The kernel has dropped `total` buffers so far, those newly told of with about so many packets each. */
static void count_drops(struct weir_spead_receiver *receiver, struct udp_state *state, uint32_t total, uint32_t packets)
{
    if ((int32_t)(total - state->kernel) <= 0) /* known from elsewhere since this message was queued */
        return;
    receiver->drop_buffers += total - state->kernel;
    receiver->drops += (uint64_t)(total - state->kernel) * packets;
    state->kernel = total;
}

/* What was dropped after the last message that was taken. */
static void count_late_drops(struct weir_spead_receiver *receiver, struct receive_endpoint *endpoint)
{
    struct udp_state *state = endpoint->state;
    uint32_t memory[16]; /* the kernel has SK_MEMINFO_VARS (9) of them */
    socklen_t length = sizeof memory;
    if (getsockopt(endpoint->fd, SOL_SOCKET, SO_MEMINFO, memory, &length) == 0 &&
        length > SK_MEMINFO_DROPS * sizeof *memory)
        count_drops(receiver, state, memory[SK_MEMINFO_DROPS], state->packets ? state->packets : 1);
}

/* What the kernel says about a message of `size` bytes: the size of its segments (0: it is one datagram), drops so
 * far. */
static int read_controls(struct weir_spead_receiver *receiver, struct receive_endpoint *endpoint,
                         struct msghdr *message, size_t size)
{
    struct udp_state *state = endpoint->state;
    int segment = 0;
    uint32_t drops = state->kernel;
    for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control)) {
        if (control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO) {
            memcpy(&segment, CMSG_DATA(control), sizeof segment);
        } else if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_RXQ_OVFL) {
            memcpy(&drops, CMSG_DATA(control), sizeof drops);
        }
    }
    state->packets = segment > 0 ? (uint32_t)((size + (size_t)segment - 1) / (size_t)segment) : 1;
    if (state->packets > receiver->message_packets)
        receiver->message_packets = state->packets;
    count_drops(receiver, state, drops, state->packets);
    return segment;
}

static void took_packet(void *argument)
{
    struct weir_spead_receiver *receiver = argument;
    receiver->datagrams++;
    if (spead_heaps_finished(receiver->heaps))
        receive_deliver(receiver);
}

/* The first of `count` messages; it is number `index` of the call. */
static void take_message(struct weir_spead_receiver *receiver, struct receive_endpoint *endpoint, uint32_t index,
                         uint32_t count, int64_t now_ns)
{
    struct udp_state *state = endpoint->state;
    struct mmsghdr *message = &state->messages[index];
    struct msghdr *head = &message->msg_hdr;
    const uint8_t *data = state->buffers + (size_t)index * RECEIVE_STRIDE;
    size_t size = message->msg_len, at = 0;
    int segment = head->msg_controllen > 0 ? read_controls(receiver, endpoint, head, size) : 0;
    struct spead_source *source = receive_source(receiver, head->msg_name, head->msg_namelen, endpoint->place, now_ns);
    state->latest = source;
    if (!source)
        return;
    if (head->msg_flags & MSG_TRUNC) {
        spead_source_count(source, WEIR_SPEAD_PACKETS_OVERSIZE, 1);
        return;
    }
    state->segments = segment > 0 && (size_t)segment < size;
    if (index < state->scatter.planned) {
        const struct scatter_received received = {message, count, source, segment > 0 ? (size_t)segment : 0, now_ns};
        at = scatter_take(&state->scatter, receiver->heaps, index, &received, took_packet, receiver);
    }
    size_t step = state->segments ? (size_t)segment : size;
    for (; at < size; at += step)
        receive_packet(receiver, source, data + at, size - at < step ? size - at : step, now_ns);
}

/* Says where the next messages go: into heaps as far as they can be foretold, else into their plain buffers. Returns
 * how many to ask for. */
static uint32_t lay_out(struct weir_spead_receiver *receiver, struct udp_state *state)
{
    struct spead_scatter *scatter = &state->scatter;
    uint32_t planned = 0, count = state->batch;
    if (state->segments)
        planned = scatter_plan(scatter, state->latest, receiver->options.packet_max, RECEIVE_BATCH, state->buffers,
                               RECEIVE_STRIDE);
    else
        scatter->planned = 0;
    if (planned > 0 && (scatter->whole || planned > count))
        count = planned;
    for (uint32_t i = 0; i < count; i++) {
        struct msghdr *head = &state->messages[i].msg_hdr;
        head->msg_namelen = sizeof state->names[i];
        head->msg_controllen = sizeof state->controls[i];
        head->msg_iov = i < planned ? scatter->vectors[i] : &state->vectors[i];
        head->msg_iovlen = i < planned ? scatter->messages[i].vectors : 1;
    }
    return count;
}

static int service(struct weir_spead_receiver *receiver, struct receive_endpoint *endpoint, int64_t now_ns)
{
    struct udp_state *state = endpoint->state;
    if (state->gone != spead_heaps_gone(receiver->heaps)) {
        state->gone = spead_heaps_gone(receiver->heaps);
        state->latest = NULL; /* it may be among them */
    }
    for (int turn = 0; turn < RECEIVE_TURNS; turn++) {
        uint32_t asked = lay_out(receiver, state);
        int got = recvmmsg(endpoint->fd, state->messages, asked, MSG_DONTWAIT, NULL);
        if (got <= 0) /* none; or an error of a single datagram: nothing to end for */
            return 0;
        size_t bytes = 0;
        for (int i = 0; i < got; i++) {
            bytes += state->messages[i].msg_len;
            take_message(receiver, endpoint, (uint32_t)i, (uint32_t)(got - i), now_ns);
        }
        scatter_done(&state->scatter);
        receiver->receive_calls++;
        /* Large messages: few of them, so that they are still in the cache when they are looked at. */
        uint32_t fitting = (uint32_t)(RECEIVE_BATCH_BYTES / (bytes / (uint32_t)got + 1));
        state->batch = fitting < 1 ? 1 : fitting > RECEIVE_BATCH ? RECEIVE_BATCH : fitting;
        if ((uint32_t)got < asked)
            return 0;
        if (spead_heaps_stopped(receiver->heaps))
            return 0;
    }
    return 1;
}

/* ---- Opening --------------------------------------------------------------------------------------------------- */

static void close_udp(struct receive_endpoint *endpoint)
{
    struct udp_state *state = endpoint->state;
    if (state)
        memory_free(state->buffers);
    memory_free(state);
    if (endpoint->fd >= 0)
        close(endpoint->fd);
}

static bool is_multicast(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return IN_MULTICAST(ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr));
    return IN6_IS_ADDR_MULTICAST(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static int join(int fd, const struct sockaddr_storage *group, socklen_t length,
                const struct weir_spead_endpoint *endpoint, struct weir_error *error)
{
    int level = group->ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, failed;
    unsigned interface = group->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)group)->sin6_scope_id : 0;
    if (endpoint->interface && *endpoint->interface && !(interface = spead_interface(endpoint->interface)))
        return spead_no_interface(endpoint->interface, error);
    if (endpoint->only_from && *endpoint->only_from) {
        struct group_source_req request = {.gsr_interface = interface};
        char from[280];
        snprintf(from, sizeof from, group->ss_family == AF_INET ? "%s:0" : "[%s]:0", endpoint->only_from);
        socklen_t ignored;
        struct sockaddr_storage address;
        if ((failed = receive_resolve(from, false, &address, &ignored, error)) < 0)
            return failed;
        memcpy(&request.gsr_group, group, length);
        memcpy(&request.gsr_source, &address, ignored);
        failed = setsockopt(fd, level, MCAST_JOIN_SOURCE_GROUP, &request, sizeof request);
    } else {
        struct group_req request = {.gr_interface = interface};
        memcpy(&request.gr_group, group, length);
        failed = setsockopt(fd, level, MCAST_JOIN_GROUP, &request, sizeof request);
    }
    if (failed < 0)
        return weir_fail(error, -errno, "cannot join the group of %s: %s%s", endpoint->address, strerror(errno),
                         errno == ENODEV
                             ? "; no route says which interface has it: name one (--bind, or `interface` of a source)"
                             : "");
    return 0;
}

static int open_socket(struct weir_spead_receiver *receiver, const struct weir_spead_endpoint *wanted,
                       struct receive_endpoint *endpoint, struct weir_error *error)
{
    struct sockaddr_storage address;
    socklen_t length;
    int one = 1, failed = receive_resolve(wanted->address, false, &address, &length, error);
    if (failed == 0)
        failed = spead_address_scope(&address, wanted->interface, wanted->address, error);
    if (failed < 0)
        return failed;
    endpoint->fd = SYSTEM_CALL(socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (endpoint->fd < 0)
        return weir_fail(error, -errno, "%s: cannot open a socket: %s", wanted->address, strerror(errno));
    receive_set_buffer(receiver, endpoint, receiver->options.socket_buffer);
    setsockopt(endpoint->fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof one);
    if (!receiver->options.no_gro) /* kernels before 5.0 have no such thing, and single datagrams will do */
        setsockopt(endpoint->fd, SOL_UDP, UDP_GRO, &one, sizeof one);
    bool multicast = is_multicast(&address);
    if (multicast)
        setsockopt(endpoint->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (SYSTEM_CALL(bind(endpoint->fd, (struct sockaddr *)&address, length)) < 0)
        return weir_fail(error, -errno, "cannot listen at %s: %s%s", wanted->address, strerror(errno),
                         receive_bind_advice(errno));
    return multicast ? join(endpoint->fd, &address, length, wanted, error) : 0;
}

static int make_state(struct receive_endpoint *endpoint, struct weir_error *error)
{
    struct udp_state *state = memory_zeroed(1, sizeof *state);
    endpoint->state = state;
    if (state)
        state->buffers = memory_aligned(4096, (size_t)RECEIVE_BATCH * RECEIVE_STRIDE / 4096 * 4096 + 4096);
    if (!state || !state->buffers)
        return weir_fail(error, -ENOMEM, "no memory for the buffers of a socket");
    state->batch = RECEIVE_BATCH;
    for (uint32_t i = 0; i < RECEIVE_BATCH; i++) {
        state->vectors[i] = (struct iovec){state->buffers + (size_t)i * RECEIVE_STRIDE, RECEIVE_DATAGRAM_MAX};
        state->messages[i].msg_hdr = (struct msghdr){.msg_iov = &state->vectors[i],
                                                     .msg_iovlen = 1,
                                                     .msg_name = &state->names[i],
                                                     .msg_control = state->controls[i]};
    }
    return 0;
}

int receive_open_udp(struct weir_spead_receiver *receiver, const struct weir_spead_endpoint *wanted,
                     struct weir_error *error)
{
    struct receive_endpoint *endpoint = memory_zeroed(1, sizeof *endpoint);
    if (!endpoint)
        return weir_fail(error, -ENOMEM, "no memory for %s", wanted->address);
    *endpoint = (struct receive_endpoint){
        .transport = WEIR_SPEAD_UDP, .fd = -1, .service = service, .close = close_udp, .count_drops = count_late_drops};
    int failed = open_socket(receiver, wanted, endpoint, error);
    if (failed == 0)
        failed = make_state(endpoint, error);
    if (failed == 0)
        failed = receive_add_endpoint(receiver, endpoint);
    if (failed < 0) {
        close_udp(endpoint);
        memory_free(endpoint);
    }
    return failed;
}
