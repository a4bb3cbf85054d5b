/* SPDX-License-Identifier: MIT */
/* Captures: read as fast as the heaps are taken. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "net/spead_receiver.h"

enum { DATAGRAMS_A_TURN = 256 };

struct capture_state {
    int fd;
    struct capture *capture;
    char *path;
};

static ssize_t read_file(void *owner, void *into, size_t size)
{
    struct capture_state *state = owner;
    ssize_t got = read(state->fd, into, size);
    return got < 0 ? -errno : got;
}

/* The number of the address that a datagram went to, from 0 in order of first sight; what is over the limit shares the
 * last one. */
static uint32_t place_of(struct weir_spead_receiver *receiver, const struct capture_datagram *datagram)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(datagram->to_port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(datagram->to_port)};
    uint8_t key[sizeof receiver->places->key] = {0};
    size_t size = datagram->ipv6 ? 16 : 4;
    memcpy(key, datagram->to, size);
    memcpy(key + 16, &datagram->to_port, sizeof datagram->to_port);
    key[18] = datagram->ipv6;
    uint32_t i = 0;
    while (i < receiver->place_count && memcmp(receiver->places[i].key, key, sizeof key) != 0)
        i++;
    if (i < receiver->place_count)
        return i;
    if (i == SPEAD_PLACES_MAX)
        return SPEAD_PLACES_MAX - 1;
    struct receive_place *place = &receiver->places[receiver->place_count++];
    memcpy(place->key, key, sizeof key);
    memcpy(datagram->ipv6 ? (void *)&six.sin6_addr : (void *)&four.sin_addr, datagram->to, size);
    if (datagram->ipv6)
        receive_show_address((struct sockaddr *)&six, sizeof six, place->name, sizeof place->name);
    else
        receive_show_address((struct sockaddr *)&four, sizeof four, place->name, sizeof place->name);
    return i;
}

static struct spead_source *source_of(struct weir_spead_receiver *receiver, const struct capture_datagram *datagram)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(datagram->from_port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(datagram->from_port)};
    uint32_t place = place_of(receiver, datagram);
    if (datagram->ipv6) {
        memcpy(&six.sin6_addr, datagram->from, 16);
        return receive_source(receiver, (struct sockaddr *)&six, sizeof six, place, datagram->time_ns);
    }
    memcpy(&four.sin_addr, datagram->from, 4);
    return receive_source(receiver, (struct sockaddr *)&four, sizeof four, place, datagram->time_ns);
}

/* A capture made below segmentation offload has many packets in one datagram: all are as long as the first, but for the
 * last one. */
static void take_datagram(struct weir_spead_receiver *receiver, const struct capture_datagram *datagram)
{
    enum spead_refusal refusal;
    struct spead_source *source = source_of(receiver, datagram);
    if (!source)
        return;
    uint64_t segment = spead_packet_needs(datagram->data, datagram->size, &refusal);
    bool several = segment >= SPEAD_PACKET_MIN && segment + 2 <= datagram->size &&
                   datagram->data[segment] == SPEAD_MAGIC && datagram->data[segment + 1] == SPEAD_VERSION;
    if (!several)
        segment = datagram->size;
    for (size_t at = 0; at < datagram->size || at == 0; at += segment) {
        size_t size = datagram->size - at < segment ? datagram->size - at : segment;
        receive_packet(receiver, source, datagram->data + at, size, datagram->time_ns);
        if (segment == 0)
            break;
    }
}

static int service(struct weir_spead_receiver *receiver, struct receive_endpoint *endpoint, int64_t now_ns)
{
    struct capture_state *state = endpoint->state;
    struct capture_datagram datagram;
    (void)now_ns;
    receiver->receive_calls++;
    for (int i = 0; i < DATAGRAMS_A_TURN; i++) {
        int got = capture_next(state->capture, &receiver->failure, &datagram);
        if (got <= 0) {
            const struct capture_counts *counts = capture_counted(state->capture);
            receiver->capture.other += counts->other;
            receiver->capture.unknown_link += counts->unknown_link;
            receiver->capture.link = counts->unknown_link ? counts->link : receiver->capture.link;
            receiver->capture.fragments += counts->fragments;
            receiver->capture.truncated += counts->truncated;
            receiver->capture.malformed += counts->malformed;
            return got == 0 ? -EPIPE : got;
        }
        take_datagram(receiver, &datagram);
        spead_heaps_idle(receiver->heaps, datagram.time_ns);
        if (!receive_deliver(receiver) || spead_heaps_stopped(receiver->heaps))
            return 0;
    }
    return 1;
}

static void close_capture(struct receive_endpoint *endpoint)
{
    struct capture_state *state = endpoint->state;
    if (!state)
        return;
    capture_close(state->capture);
    if (state->fd > STDERR_FILENO)
        close(state->fd);
    memory_free(state->path);
    memory_free(state);
}

int receive_open_capture(struct weir_spead_receiver *receiver, const struct weir_spead_endpoint *wanted,
                         struct weir_error *error)
{
    struct receive_endpoint *endpoint = memory_zeroed(1, sizeof *endpoint);
    struct capture_state *state = memory_zeroed(1, sizeof *state);
    int failed = 0;
    if (!endpoint || !state || !(state->path = memory_string(wanted->address))) {
        memory_free(endpoint);
        memory_free(state);
        return weir_fail(error, -ENOMEM, "no memory for %s", wanted->address);
    }
    *endpoint = (struct receive_endpoint){
        .transport = WEIR_SPEAD_CAPTURE, .fd = -1, .service = service, .close = close_capture, .state = state};
    state->fd = strcmp(state->path, "-") == 0 ? STDIN_FILENO : open(state->path, O_RDONLY | O_CLOEXEC);
    if (state->fd < 0)
        failed = weir_fail(
            error, -errno, "cannot open %s: %s%s", state->path, strerror(errno),
            errno == ENOENT && !strchr(state->path, '/') ? "; a place to listen at ends with a port, as in :8888" : "");
    if (failed == 0)
        failed = capture_open(read_file, state, state->path, error, &state->capture);
    if (failed == 0)
        failed = receive_add_endpoint(receiver, endpoint);
    if (failed < 0) {
        close_capture(endpoint);
        memory_free(endpoint);
    }
    return failed;
}
