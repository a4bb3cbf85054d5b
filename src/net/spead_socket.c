/* SPDX-License-Identifier: MIT */
#include "net/spead_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

/* ---- Addresses ------------------------------------------------------------------------------------------------- */

enum { HOST_MAX = 256, PORT_MAX = 32 };

static int split(const char *text, char *host, char *port, struct weir_error *error)
{
    const char *colon = strrchr(text, ':'), *first = text, *end = colon;
    if (colon && text[0] == '[' && colon > text && colon[-1] == ']') {
        first = text + 1;
        end = colon - 1;
    } else if (colon && memchr(text, ':', (size_t)(colon - text))) {
        return weir_fail(error, -EINVAL, "\"%s\": an IPv6 address stands in brackets: [::1]:8888", text);
    }
    if (!colon || end == first || !colon[1] || end - first >= HOST_MAX || strlen(colon + 1) >= PORT_MAX)
        return weir_fail(error, -EINVAL, "\"%s\" is not host:port, for example 127.0.0.1:8888", text);
    char *rest;
    unsigned long number = strtoul(colon + 1, &rest, 10);
    if (*rest || number < 1 || number > UINT16_MAX)
        return weir_fail(error, -EINVAL, "\"%s\": a port is a number from 1 to 65535", text);
    memcpy(host, first, (size_t)(end - first));
    host[end - first] = '\0';
    memcpy(port, colon + 1, strlen(colon));
    return 0;
}

int spead_address_resolve(const char *text, bool tcp, struct spead_address *ret, struct weir_error *error)
{
    char host[HOST_MAX], port[PORT_MAX];
    const struct addrinfo hints = {.ai_socktype = tcp ? SOCK_STREAM : SOCK_DGRAM};
    struct addrinfo *found;
    int code = split(text, host, port, error);
    if (code)
        return code;
    code = getaddrinfo(host, port, &hints, &found);
    if (code)
        return weir_fail(error, -ENXIO, "%s: %s", text, code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
    memset(ret, 0, sizeof *ret);
    memcpy(&ret->storage, found->ai_addr, found->ai_addrlen);
    ret->length = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

bool spead_address_multicast(const struct spead_address *address)
{
    if (address->storage.ss_family == AF_INET)
        return IN_MULTICAST(ntohl(((const struct sockaddr_in *)&address->storage)->sin_addr.s_addr));
    return address->storage.ss_family == AF_INET6 &&
           IN6_IS_ADDR_MULTICAST(&((const struct sockaddr_in6 *)&address->storage)->sin6_addr);
}

void spead_address_show(const struct spead_address *address, char *out, size_t size)
{
    char host[64], port[8];
    if (getnameinfo((const struct sockaddr *)&address->storage, address->length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV))
        snprintf(out, size, "?");
    else
        snprintf(out, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

/* ---- Sockets --------------------------------------------------------------------------------------------------- */

/* Index of the interface that has this address, or this name; 0: none. */
static unsigned interface_index(const char *local)
{
    struct in6_addr address;
    if (inet_pton(AF_INET6, local, &address) != 1)
        return if_nametoindex(local);
    unsigned found = 0;
    FILE *table = fopen("/proc/net/if_inet6", "re");
    char line[256];
    while (table && !found && fgets(line, sizeof line, table)) {
        unsigned index;
        bool same = true;
        for (unsigned i = 0; i < 16 && same; i++) {
            unsigned byte;
            same = sscanf(line + 2 * i, "%2x", &byte) == 1 && byte == address.s6_addr[i];
        }
        if (same && sscanf(line + 32, "%x", &index) == 1)
            found = index;
    }
    if (table)
        (void)fclose(table);
    return found;
}

static int set_multicast(int descriptor, int family, const struct spead_out_options *options, struct weir_error *error)
{
    int ttl = options->ttl > 0 ? options->ttl : 1;
    if (family == AF_INET) {
        struct in_addr local;
        if (setsockopt(descriptor, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl) < 0)
            return weir_fail(error, -errno, "TTL %d: %s", ttl, strerror(errno));
        if (!options->local)
            return 0;
        if (inet_pton(AF_INET, options->local, &local) != 1)
            return weir_fail(error, -EINVAL, "\"%s\" is not the IPv4 address of an interface", options->local);
        if (setsockopt(descriptor, IPPROTO_IP, IP_MULTICAST_IF, &local, sizeof local) < 0)
            return weir_fail(error, -errno, "no multicast through %s: %s", options->local, strerror(errno));
        return 0;
    }
    if (setsockopt(descriptor, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &ttl, sizeof ttl) < 0)
        return weir_fail(error, -errno, "TTL %d: %s", ttl, strerror(errno));
    unsigned index = options->local ? interface_index(options->local) : 0;
    if (options->local && !index)
        return weir_fail(error, -EINVAL, "no interface has the name or the IPv6 address \"%s\"", options->local);
    if (index && setsockopt(descriptor, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index) < 0)
        return weir_fail(error, -errno, "no multicast through %s: %s", options->local, strerror(errno));
    return 0;
}

static int bind_local(int descriptor, int family, const char *local, struct weir_error *error)
{
    struct spead_address address = {.length = sizeof(struct sockaddr_in)};
    struct sockaddr_in *four = (struct sockaddr_in *)&address.storage;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address.storage;
    address.storage.ss_family = (sa_family_t)family;
    if (family == AF_INET6)
        address.length = sizeof *six;
    if (inet_pton(family, local, family == AF_INET ? (void *)&four->sin_addr : (void *)&six->sin6_addr) != 1)
        return weir_fail(error, -EINVAL, "\"%s\" is not an %s address to send from", local,
                         family == AF_INET ? "IPv4" : "IPv6");
    if (bind(descriptor, (const struct sockaddr *)&address.storage, address.length) < 0)
        return weir_fail(error, -errno, "cannot send from %s: %s", local, strerror(errno));
    return 0;
}

static int prepare(int descriptor, const struct spead_address *address, const struct spead_out_options *options,
                   uint64_t *ret_buffer, struct weir_error *error)
{
    int size = options->buffer_size > INT32_MAX / 2 ? INT32_MAX / 2 : (int)options->buffer_size, one = 1;
    socklen_t length = sizeof size;
    int family = address->storage.ss_family;
    bool multicast = !options->tcp && spead_address_multicast(address);
    int code = multicast        ? set_multicast(descriptor, family, options, error)
               : options->local ? bind_local(descriptor, family, options->local, error)
                                : 0;
    if (code)
        return code;
    if (size > 0)
        (void)setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, sizeof size); /* clipped silently: read back */
    if (options->tcp)
        (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    *ret_buffer = 0;
    if (getsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, &length) == 0)
        *ret_buffer = (uint64_t)size / 2; /* Linux says twice what can be used */
    return 0;
}

int spead_open_out(const struct spead_address *address, const struct spead_out_options *options, int *ret,
                   uint64_t *ret_buffer, struct weir_error *error)
{
    char name[96];
    spead_address_show(address, name, sizeof name);
    int descriptor = socket(address->storage.ss_family, (options->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return weir_fail(error, -errno, "no socket for %s: %s", name, strerror(errno));
    int code = prepare(descriptor, address, options, ret_buffer, error);
    if (!code && connect(descriptor, (const struct sockaddr *)&address->storage, address->length) < 0) {
        code = -errno;
        if (options->tcp && code == -ECONNREFUSED)
            weir_fail(error, code, "%s refuses the connection: start the receiver first", name);
        else
            weir_fail(error, code, "cannot reach %s: %s", name, strerror(-code));
    }
    if (code) {
        close(descriptor);
        return code;
    }
    *ret = descriptor;
    return 0;
}
