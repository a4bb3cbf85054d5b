/* SPDX-License-Identifier: MIT */
/* TCP: packets back to back. What does not begin like a packet ends its connection, as nobody can say where the next
 * one begins. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "net/spead_receiver.h"
#include "base/system.h"

enum { READ_SIZE = 256 << 10, BACKLOG = 64 };

struct connection {
    struct weir_spead_receiver *receiver;
    struct sockaddr_storage peer;
    socklen_t peer_length;
    size_t begin, end; /* of what is read and not used yet */
    uint8_t buffer[RECEIVE_STREAM_BUFFER];
};

/* ---- A connection ---------------------------------------------------------------------------------------------- */

/* Takes the whole packets of the buffer. 0: all of them; 1: the ring is full; -EPROTO: what follows is none. */
static int take_packets(struct weir_spead_receiver *receiver, struct connection *connection,
                        struct spead_source *source, int64_t now_ns)
{
    for (;;) {
        enum spead_refusal refusal = SPEAD_GOOD;
        const uint8_t *at = connection->buffer + connection->begin;
        size_t have = connection->end - connection->begin;
        uint64_t needs = spead_packet_needs(at, have, &refusal);
        if (needs == 0) {
            spead_source_count(source, (enum weir_spead_counter)(WEIR_SPEAD_PACKETS_TOO_SHORT + refusal - 1), 1);
            return -EPROTO;
        }
        if (needs > receiver->options.packet_max || needs > RECEIVE_STREAM_PACKET_MAX) {
            spead_source_count(source, WEIR_SPEAD_PACKETS_OVERSIZE, 1);
            return -EPROTO;
        }
        if (needs > have)
            return 0;
        receive_packet(receiver, source, at, needs, now_ns);
        connection->begin += needs;
        if (!receive_deliver(receiver) || spead_heaps_stopped(receiver->heaps))
            return 1;
    }
}

static int service_connection(struct weir_spead_receiver *receiver, struct receive_endpoint *endpoint, int64_t now_ns)
{
    struct connection *connection = endpoint->state;
    struct spead_source *source = receive_source(receiver, (struct sockaddr *)&connection->peer,
                                                 connection->peer_length, endpoint->place, now_ns);
    if (!source)
        return -EPROTO;
    int answer = take_packets(receiver, connection, source, now_ns); /* that were left when the ring was full */
    if (answer != 0)
        return answer;
    if (connection->begin > 0) {
        memmove(connection->buffer, connection->buffer + connection->begin, connection->end - connection->begin);
        connection->end -= connection->begin;
        connection->begin = 0;
    }
    size_t room = sizeof connection->buffer - connection->end;
    ssize_t got = recv(endpoint->fd, connection->buffer + connection->end, room < READ_SIZE ? room : READ_SIZE,
                       MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (got == 0)
        return -EPIPE;
    connection->end += (size_t)got;
    receiver->receive_calls++;
    answer = take_packets(receiver, connection, source, now_ns);
    return answer < 0 ? answer : 1;
}

static void close_connection(struct receive_endpoint *endpoint)
{
    struct connection *connection = endpoint->state;
    connection->receiver->connections--;
    close(endpoint->fd);
    memory_free(connection);
}

static void add_connection(struct weir_spead_receiver *receiver, int fd, uint32_t place,
                           const struct sockaddr_storage *peer, socklen_t length)
{
    struct receive_endpoint *endpoint = memory_zeroed(1, sizeof *endpoint);
    struct connection *connection = memory_allocate(sizeof *connection);
    if (!endpoint || !connection || receiver->connections == RECEIVE_CONNECTIONS_MAX) {
        memory_free(endpoint);
        memory_free(connection);
        close(fd);
        return;
    }
    connection->receiver = receiver;
    connection->peer = *peer;
    connection->peer_length = length;
    connection->begin = connection->end = 0;
    *endpoint = (struct receive_endpoint){.transport = WEIR_SPEAD_TCP,
                                          .fd = fd,
                                          .service = service_connection,
                                          .close = close_connection,
                                          .place = place,
                                          .state = connection};
    receiver->connections++;
    if (receive_add_endpoint(receiver, endpoint) < 0) {
        close_connection(endpoint);
        memory_free(endpoint);
    }
}

/* ---- The listening socket -------------------------------------------------------------------------------------- */

static int service_listener(struct weir_spead_receiver *receiver, struct receive_endpoint *endpoint, int64_t now_ns)
{
    (void)now_ns;
    for (int i = 0; i < BACKLOG; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t length = sizeof peer;
        int fd = accept4(endpoint->fd, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return 0; /* none waits, or it has gone again */
        add_connection(receiver, fd, endpoint->place, &peer, length);
    }
    return 0;
}

static void close_listener(struct receive_endpoint *endpoint)
{
    if (endpoint->fd >= 0)
        close(endpoint->fd);
}

int receive_open_tcp(struct weir_spead_receiver *receiver, const struct weir_spead_endpoint *wanted,
                     struct weir_error *error)
{
    struct sockaddr_storage address;
    socklen_t length;
    int one = 1, failed = receive_resolve(wanted->address, true, &address, &length, error);
    if (failed < 0)
        return failed;
    struct receive_endpoint *endpoint = memory_zeroed(1, sizeof *endpoint);
    if (!endpoint)
        return weir_fail(error, -ENOMEM, "no memory for %s", wanted->address);
    *endpoint = (struct receive_endpoint){
        .transport = WEIR_SPEAD_TCP, .fd = -1, .service = service_listener, .close = close_listener};
    endpoint->fd = SYSTEM_CALL(socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (endpoint->fd >= 0)
        setsockopt(endpoint->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (endpoint->fd < 0 || SYSTEM_CALL(bind(endpoint->fd, (struct sockaddr *)&address, length)) < 0 ||
        listen(endpoint->fd, BACKLOG) < 0) {
        failed = weir_fail(error, -errno, "cannot listen at %s: %s%s", wanted->address, strerror(errno),
                           receive_bind_advice(errno));
    } else {
        failed = receive_add_endpoint(receiver, endpoint);
    }
    if (failed < 0) {
        close_listener(endpoint);
        memory_free(endpoint);
    }
    return failed;
}
