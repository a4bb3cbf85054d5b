/* SPDX-License-Identifier: MIT */
/* Sockets that SPEAD is received from: addresses, buffers. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/spead_receiver.h"

int receive_resolve(const char *text, bool tcp, struct sockaddr_storage *ret, socklen_t *ret_length,
                    struct weir_error *error)
{
    char host[256] = "";
    const char *port = strrchr(text, ':'), *begin = text;
    size_t length = port ? (size_t)(port - text) : 0;
    port = port ? port + 1 : text;
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        begin++;
        length -= 2;
    } else if (memchr(text, ':', length)) {
        return weir_fail(error, -EINVAL, "%s: write an IPv6 address in brackets, as in [::1]:8888", text);
    }
    if (length >= sizeof host || !*port || strspn(port, "0123456789") != strlen(port) || strlen(port) > 5 ||
        strtol(port, NULL, 10) > UINT16_MAX)
        return weir_fail(error, -EINVAL, "%s is no place to listen at; for example :8888 or 239.1.2.3:7148", text);
    memcpy(host, begin, length);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                             .ai_family = length ? AF_UNSPEC : AF_INET,
                             .ai_socktype = tcp ? SOCK_STREAM : SOCK_DGRAM};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(length ? host : NULL, port, &hints, &found);
    if (failed)
        return weir_fail(error, -ENXIO, "%s: %s", text, gai_strerror(failed));
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    *ret_length = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

const char *receive_bind_advice(int code)
{
    switch (code) {
    case EADDRINUSE:
        return "; another program receives there";
    case EADDRNOTAVAIL:
        return "; it is no address of this machine: ip address lists them, and :PORT alone means all of them";
    case EACCES:
        return "; ports below 1024 are for root";
    default:
        return "";
    }
}

void receive_set_buffer(struct weir_spead_receiver *receiver, struct receive_endpoint *endpoint, uint64_t wanted)
{
    int size = wanted == 0 ? RECEIVE_SOCKET_BUFFER : wanted > INT32_MAX / 2 ? INT32_MAX / 2 : (int)wanted;
    int needed = wanted == 0 ? RECEIVE_SOCKET_BUFFER_LEAST : size, granted = 0;
    socklen_t length = sizeof granted;
    setsockopt(endpoint->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    getsockopt(endpoint->fd, SOL_SOCKET, SO_RCVBUF, &granted, &length);
    granted /= 2; /* the kernel doubles it for its own bookkeeping */
    if (granted < size && setsockopt(endpoint->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) == 0) {
        getsockopt(endpoint->fd, SOL_SOCKET, SO_RCVBUF, &granted, &length);
        granted /= 2;
    }
    endpoint->buffer = (uint64_t)granted;
    if (!receiver->buffer || endpoint->buffer < receiver->buffer)
        receiver->buffer = endpoint->buffer;
    if (granted < needed)
        snprintf(receiver->warning, sizeof receiver->warning,
                 "the kernel gives the socket a buffer of %d bytes instead of %d: bursts may be lost; to allow it: "
                 "sysctl -w net.core.rmem_max=%d",
                 granted, size, size);
}

void receive_show_address(const struct sockaddr *address, socklen_t length, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?", port[8] = "?";
    if (getnameinfo(address, length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(host, sizeof host, "?");
    snprintf(out, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

struct spead_source *receive_source(struct weir_spead_receiver *receiver, const struct sockaddr *address,
                                    socklen_t length, uint32_t place, int64_t now_ns)
{
    char name[SPEAD_SOURCE_NAME_MAX];
    uint8_t key[sizeof(struct sockaddr_in6) + sizeof place];
    /* What says who it is: family, port, address; the rest may differ from packet to packet. */
    size_t size = address->sa_family == AF_INET && length >= 8 ? 8 : length;
    if (size > sizeof(struct sockaddr_in6))
        size = sizeof(struct sockaddr_in6);
    memcpy(key, &place, sizeof place);
    memcpy(key + sizeof place, address, size);
    size += sizeof place;
    struct spead_source *source = spead_heaps_find(receiver->heaps, key, size);
    if (source)
        return source;
    receive_show_address(address, length, name, sizeof name);
    source = spead_heaps_add(receiver->heaps, key, size, name, now_ns);
    if (source)
        source->place = place;
    return source;
}

uint16_t weir_spead_receiver_port(const struct weir_spead_receiver *receiver)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (receiver->endpoint_count == 0 ||
        getsockname(receiver->endpoints[0]->fd, (struct sockaddr *)&address, &length) < 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}
