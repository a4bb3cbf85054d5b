/* SPDX-License-Identifier: MIT */
/* Sockets that SPEAD is sent through: names to addresses, buffers, multicast. Everything here may block. */
#ifndef NET_SPEAD_SOCKET_H
#define NET_SPEAD_SOCKET_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct weir_error;

struct spead_address {
    struct sockaddr_storage storage;
    socklen_t length;
};
/* "host:port", "[::1]:port". -EINVAL: not of that form; -ENXIO: no such host; with words. */
int spead_address_resolve(const char *text, bool tcp, struct spead_address *ret, struct weir_error *error);
bool spead_address_multicast(const struct spead_address *address);
/* "127.0.0.1:8888", "[::1]:8888" */
void spead_address_show(const struct spead_address *address, char *out, size_t size);

/* The number of the interface that has this name or this address; 0: none. */
unsigned spead_interface(const char *text);
/* Says that there is none, and which there are. Returns -ENODEV. */
int spead_no_interface(const char *text, struct weir_error *error);
/* An IPv6 address that is good for one link only gets that of the interface (NULL: none is said), unless it names it
 * already; `text` is the address for the words. -EINVAL, -ENODEV. */
int spead_address_scope(struct sockaddr_storage *address, const char *interface, const char *text,
                        struct weir_error *error);

struct spead_out_options {
    bool tcp;
    const char *local; /* address or interface to send from, for multicast too; NULL: the system chooses */
    int ttl;           /* of multicast; 0: 1 */
    size_t buffer_size;
};
/* Of a connected socket: the largest IP packet that its way takes in one piece; 0: not known. */
size_t spead_path_mtu(int descriptor, int family);
/* A connected socket; *ret_buffer: the size of its buffer as granted. Negative errno with words. */
int spead_open_out(const struct spead_address *address, const struct spead_out_options *options, int *ret,
                   uint64_t *ret_buffer, struct weir_error *error);
#endif
