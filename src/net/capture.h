/* SPDX-License-Identifier: MIT */
/*
 * UDP datagrams from captures: pcap (either byte order, µs or ns) and pcapng; Ethernet with or without VLANs, Linux
 * cooked (SLL, SLL2), BSD loopback, raw IP; IPv4 and IPv6. What is no whole UDP datagram is counted and passed over.
 * Bytes come through a callback, so a file, a pipe or memory will do. Any bytes are allowed.
 */
#ifndef NET_CAPTURE_H
#define NET_CAPTURE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct weir_error;

enum {
    CAPTURE_RECORD_MAX = 4 << 20, /* bytes of one record; a longer one ends the reading */
    CAPTURE_INTERFACES_MAX = 256, /* of one section of a pcapng */
    CAPTURE_VLANS_MAX = 4,        /* one in the other */
    CAPTURE_HEADERS_MAX = 16,     /* IPv6 extension headers of one packet */
};

struct capture_datagram {
    const uint8_t *data; /* until the next call */
    size_t size;
    int64_t time_ns; /* since 1970 */
    bool ipv6;
    uint8_t from[16], to[16]; /* IPv4: the first four bytes */
    uint16_t from_port, to_port;
};

struct capture_counts {
    uint64_t records;      /* packets of any kind */
    uint64_t datagrams;    /* UDP, whole */
    uint64_t other;        /* not UDP over IP */
    uint64_t unknown_link; /* of a link type that is not listed above; `link` is the last such one */
    uint32_t link;
    uint64_t fragments; /* of IP packets: capture with a larger MTU, or send smaller packets */
    uint64_t truncated; /* cut by the capture's snap length */
    uint64_t malformed; /* lengths that contradict each other */
};

/* Up to `size` bytes; 0: the end; negative errno. */
typedef ssize_t capture_read(void *owner, void *into, size_t size);

struct capture;
/* Reads the file's header. `name` is for messages and lives as long as the capture. -EINVAL: no capture of a kind known
 * here; -ENOMEM; or what `read` said. */
int capture_open(capture_read *read, void *owner, const char *name, struct weir_error *error, struct capture **ret);
void capture_close(struct capture *capture);
/* The next datagram: 1; 0 at the end; negative errno with words: the file is damaged or cut off there. */
int capture_next(struct capture *capture, struct weir_error *error, struct capture_datagram *ret);
const struct capture_counts *capture_counted(const struct capture *capture);

/* Exposed for tests: the datagram in a packet of link type `link` (numbers of tcpdump.org/linktypes.html). Counts. */
bool capture_dissect(uint32_t link, const uint8_t *data, size_t captured, size_t original,
                     struct capture_counts *counts, struct capture_datagram *ret);

#endif
