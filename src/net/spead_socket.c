/* SPDX-License-Identifier: MIT */
#include "net/spead_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weir/spead_send.h>

#include "base/error.h"
#include "base/system.h"

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

/* Calls take() for each address of each interface until it returns true; whether it did. */
static bool look_at_interfaces(bool (*take)(void *argument, const struct ifaddrs *one), void *argument)
{
    struct ifaddrs *all = NULL;
    bool found = false;
    if (getifaddrs(&all) < 0)
        return false;
    for (const struct ifaddrs *one = all; one && !found; one = one->ifa_next) {
        int family = one->ifa_addr ? one->ifa_addr->sa_family : AF_UNSPEC;
        found = (family == AF_INET || family == AF_INET6) && take(argument, one);
    }
    freeifaddrs(all);
    return found;
}

static const void *bytes_of(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6
               ? (const void *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr
               : (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
}

struct interface_search {
    const char *text;
    int family;
    unsigned index;
    struct spead_address *address;
};

static bool has_address(void *argument, const struct ifaddrs *one)
{
    struct interface_search *search = argument;
    char host[INET6_ADDRSTRLEN];
    if (!inet_ntop(one->ifa_addr->sa_family, bytes_of(one->ifa_addr), host, sizeof host) ||
        strcmp(host, search->text) != 0)
        return false;
    search->index = if_nametoindex(one->ifa_name);
    return true;
}

unsigned spead_interface(const char *text)
{
    struct interface_search search = {.text = text, .index = if_nametoindex(text)};
    uint8_t binary[16];
    char usual[INET6_ADDRSTRLEN];
    for (int i = 0; i < 2 && !search.index; i++) { /* as inet_ntop writes it: "::1", not "0:0::1" */
        int family = i ? AF_INET6 : AF_INET;
        if (inet_pton(family, text, binary) == 1 && inet_ntop(family, binary, usual, sizeof usual)) {
            search.text = usual;
            (void)look_at_interfaces(has_address, &search);
        }
    }
    return search.index;
}

/* The first address of an interface by name. */
static bool is_of_interface(void *argument, const struct ifaddrs *one)
{
    struct interface_search *search = argument;
    if (one->ifa_addr->sa_family != search->family || strcmp(one->ifa_name, search->text) != 0)
        return false;
    memcpy(&search->address->storage, one->ifa_addr, search->address->length);
    return true;
}

int spead_address_scope(struct sockaddr_storage *address, const char *interface, const char *text,
                        struct weir_error *error)
{
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    if (address->ss_family != AF_INET6 || six->sin6_scope_id ||
        !(IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr) || IN6_IS_ADDR_MC_LINKLOCAL(&six->sin6_addr) ||
          IN6_IS_ADDR_MC_NODELOCAL(&six->sin6_addr)))
        return 0;
    six->sin6_scope_id = interface && *interface ? spead_interface(interface) : 0;
    if (!six->sin6_scope_id && (!interface || !*interface))
        return weir_fail(error, -EINVAL,
                         "%s is an address of one link: name the interface (as --bind does), or write it behind the "
                         "address, as in [fe80::1%%eth0]:8888",
                         text);
    if (!six->sin6_scope_id)
        return spead_no_interface(interface, error);
    return 0;
}

int spead_no_interface(const char *text, struct weir_error *error)
{
    struct if_nameindex *all = if_nameindex();
    char names[256] = "";
    size_t used = 0;
    for (const struct if_nameindex *one = all; one && one->if_index && used < sizeof names; one++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", one->if_name);
    if_freenameindex(all);
    return weir_fail(error, -ENODEV, "no network interface has the name or the address \"%.60s\"; there are: %s", text,
                     names);
}

static int set_multicast(int descriptor, int family, const struct spead_out_options *options, struct weir_error *error)
{
    int ttl = options->ttl > 0 ? options->ttl : 1;
    bool four = family == AF_INET;
    unsigned index = options->local ? spead_interface(options->local) : 0;
    const struct ip_mreqn request = {.imr_ifindex = (int)index};
    int level = four ? IPPROTO_IP : IPPROTO_IPV6;
    if (setsockopt(descriptor, level, four ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS, &ttl, sizeof ttl) < 0)
        return weir_fail(error, -errno, "TTL %d: %s", ttl, strerror(errno));
    if (!options->local)
        return 0;
    if (!index)
        return spead_no_interface(options->local, error);
    int failed = four ? setsockopt(descriptor, level, IP_MULTICAST_IF, &request, sizeof request)
                      : setsockopt(descriptor, level, IPV6_MULTICAST_IF, &index, sizeof index);
    return failed < 0 ? weir_fail(error, -errno, "no multicast through %s: %s", options->local, strerror(errno)) : 0;
}

static int bind_local(int descriptor, int family, const char *local, struct weir_error *error)
{
    struct spead_address address = {.length = family == AF_INET ? sizeof(struct sockaddr_in)
                                                                : sizeof(struct sockaddr_in6)};
    struct interface_search search = {.text = local, .family = family, .address = &address};
    struct sockaddr_in *four = (struct sockaddr_in *)&address.storage;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address.storage;
    const char *kind = family == AF_INET ? "IPv4" : "IPv6";
    address.storage.ss_family = (sa_family_t)family;
    if (inet_pton(family, local, family == AF_INET ? (void *)&four->sin_addr : (void *)&six->sin6_addr) != 1) {
        if (!if_nametoindex(local))
            return weir_fail(error, -EINVAL, "cannot send from \"%.60s\": it is neither an %s address nor an interface",
                             local, kind);
        if (!look_at_interfaces(is_of_interface, &search))
            return weir_fail(error, -EADDRNOTAVAIL, "cannot send from %s: that interface has no %s address", local,
                             kind);
    }
    if (SYSTEM_CALL(bind(descriptor, (const struct sockaddr *)&address.storage, address.length)) < 0)
        return weir_fail(error, -errno, "cannot send from %s: %s%s", local, strerror(errno),
                         errno == EADDRNOTAVAIL ? "; ip address lists the addresses of this machine" : "");
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

size_t spead_path_mtu(int descriptor, int family)
{
    int mtu = 0;
    socklen_t length = sizeof mtu;
    bool six = family == AF_INET6;
    int failed = getsockopt(descriptor, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_MTU : IP_MTU, &mtu, &length);
    return failed < 0 || mtu < 0 ? 0 : (size_t)mtu;
}

int spead_open_out(const struct spead_address *to, const struct spead_out_options *options, int *ret,
                   uint64_t *ret_buffer, struct weir_error *error)
{
    char name[96];
    struct spead_address scoped = *to;
    const struct spead_address *address = &scoped;
    spead_address_show(to, name, sizeof name);
    int scope = spead_address_scope(&scoped.storage, options->local, name, error);
    if (scope < 0)
        return scope;
    int descriptor = SYSTEM_CALL(
        socket(address->storage.ss_family, (options->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
    if (descriptor < 0)
        return weir_fail(error, -errno, "no socket for %s: %s", name, strerror(errno));
    int code = prepare(descriptor, address, options, ret_buffer, error);
    if (!code && connect(descriptor, (const struct sockaddr *)&address->storage, address->length) < 0) {
        code = -errno;
        const char *advice = code == -ENETUNREACH || code == -EHOSTUNREACH || code == -EACCES || code == -EPERM
                                 ? weir_spead_explain(code)
                                 : NULL;
        if (options->tcp && code == -ECONNREFUSED)
            weir_fail(error, code, "%s refuses the connection: start the receiver first", name);
        else
            weir_fail(error, code, "cannot reach %s: %s%s%s", name, strerror(-code), advice ? "; " : "",
                      advice ? advice : "");
    }
    if (code) {
        close(descriptor);
        return code;
    }
    *ret = descriptor;
    return 0;
}
