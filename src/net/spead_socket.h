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

struct spead_out_options {
    bool tcp;
    const char *local; /* address to send from, or the interface of multicast; NULL: the system chooses */
    int ttl;           /* of multicast; 0: 1 */
    size_t buffer_size;
};
/* A connected socket; *ret_buffer: the size of its buffer as granted. Negative errno with words. */
int spead_open_out(const struct spead_address *address, const struct spead_out_options *options, int *ret,
                   uint64_t *ret_buffer, struct weir_error *error);
#endif
