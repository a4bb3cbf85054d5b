/* SPDX-License-Identifier: MIT */
/* Private to spead_receive*.c: the receiving thread, and what it receives from. */
#ifndef NET_SPEAD_RECEIVER_H
#define NET_SPEAD_RECEIVER_H
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <weir/part.h>

#include "base/waiter.h"
#include "net/capture.h"
#include "net/spead_heap.h"

enum {
    RECEIVE_ENDPOINTS_MAX = 64,      /* of one receiver */
    RECEIVE_CONNECTIONS_MAX = 256,   /* TCP, of one receiver */
    RECEIVE_BATCH = 64,              /* datagrams taken by one call of the kernel */
    RECEIVE_BATCH_BYTES = 256 << 10, /* with GRO: about so many bytes by one call, so that they stay in the cache */
    RECEIVE_DATAGRAM_MAX = 65536,
    RECEIVE_STRIDE = RECEIVE_DATAGRAM_MAX + 4096 + 64, /* not a power of two: the cache's sets are used evenly */
    RECEIVE_STREAM_PACKET_MAX = 1 << 20,               /* TCP: bytes of one packet */
    RECEIVE_STREAM_BUFFER = 2 << 20,
    RECEIVE_TURNS = 16, /* calls for one endpoint before the others are looked at */
    /* Of a UDP socket, when nobody says: what is asked for, which is what comes in 17 ms at 30 Gb/s while the thread
     * does not run; and what is too little to go without a word. */
    RECEIVE_SOCKET_BUFFER = 64 << 20,
    RECEIVE_SOCKET_BUFFER_LEAST = 8 << 20,
    RECEIVE_GATHER_BUFFER = 2 << 20, /* packets gather where there is this much room for them, */
    RECEIVE_GATHER_NS = 100000,
    RECEIVE_GATHER_NS_MAX = 1000000, /* and no longer than this */
};

/* What the thread can receive from. service() takes what is there without waiting: 1: there may be more; 0: nothing
 * more now; -EPIPE: it has ended; other negative errno with words in receiver->failure. */
struct receive_endpoint {
    enum weir_spead_transport transport;
    int fd; /* what to poll; -1: always ready */
    int (*service)(struct weir_spead_receiver *receiver, struct receive_endpoint *endpoint, int64_t now_ns);
    void (*close)(struct receive_endpoint *endpoint);
    /* Counts what the kernel dropped since the last message came. May be NULL. */
    void (*count_drops)(struct weir_spead_receiver *receiver, struct receive_endpoint *endpoint);
    uint32_t place; /* number of what it listens at */
    bool ended;
    uint64_t buffer; /* of the socket, as granted */
    void *state;
};

struct receive_ring {
    struct weir_spead_heap **heaps;
    uint32_t capacity, least; /* so many may wait; up to the capacity while they are of less than bytes_most */
    uint64_t bytes_most;
    _Alignas(64) _Atomic uint32_t written;
    uint64_t bytes_written; /* the thread's */
    _Alignas(64) _Atomic uint32_t taken;
    _Atomic uint64_t bytes_taken;
};

struct weir_spead_receiver {
    struct weir_spead_receive_options options;
    struct spead_heaps *heaps; /* the thread's; others under `lock` */
    pthread_mutex_t lock;      /* held by the thread while it works, not while it waits */
    pthread_t thread;
    bool started, joined, lossless;
    int wake; /* eventfd: ends the thread's wait */
    _Atomic bool stopping, over, blocked;
    struct receive_endpoint *endpoints[RECEIVE_ENDPOINTS_MAX + RECEIVE_CONNECTIONS_MAX];
    uint32_t endpoint_count, connections;
    struct receive_place {
        char name[64];
        uint8_t key[20]; /* of captures: address and port that packets went to */
    } places[SPEAD_PLACES_MAX];
    uint32_t place_count;
    struct receive_ring ring;
    struct weir_waiter waiter;              /* of a consumer without a context */
    _Atomic(struct weir_waiter *) consumer; /* who is woken */
    struct weir_error failure;
    char warning[512];
    uint64_t datagrams, receive_calls, sleeps;
    uint64_t datagrams_before; /* before the last sleep, and how long that was */
    int64_t waited_ns;
    uint64_t drops, drop_buffers;  /* by the kernel: packets, and what it counts */
    uint32_t message_packets;      /* most in one message */
    uint64_t buffer;               /* of the sockets, the smallest */
    struct capture_counts capture; /* of captures that are closed */
};

/* Feeds one packet (a segment of a datagram), and moves what is finished to the ring. */
void receive_packet(struct weir_spead_receiver *receiver, struct spead_source *source, const void *data, size_t size,
                    int64_t now_ns);
/* Moves finished heaps to the ring; false: it is full and the receiver is a lossless one. */
bool receive_deliver(struct weir_spead_receiver *receiver);
/* Whether packets come in such quick succession that they should gather before they are looked at: some came since it
 * was asked last, and the last wait for one was over in less than gather_ns. Not where any might be lost meanwhile, nor
 * from captures. Asked before each sleep. */
bool receive_gathers(struct weir_spead_receiver *receiver);
/* The source with this address that sends to a place. NULL: counted. */
struct spead_source *receive_source(struct weir_spead_receiver *receiver, const struct sockaddr *address,
                                    socklen_t length, uint32_t place, int64_t now_ns);
void receive_show_address(const struct sockaddr *address, socklen_t length, char *out, size_t size);
int receive_add_endpoint(struct weir_spead_receiver *receiver, struct receive_endpoint *endpoint);

int receive_open_udp(struct weir_spead_receiver *receiver, const struct weir_spead_endpoint *endpoint,
                     struct weir_error *error);
int receive_open_tcp(struct weir_spead_receiver *receiver, const struct weir_spead_endpoint *endpoint,
                     struct weir_error *error);
int receive_open_capture(struct weir_spead_receiver *receiver, const struct weir_spead_endpoint *endpoint,
                         struct weir_error *error);

/* The address to listen at: "8888", ":8888", "host:8888", "[::1]:8888". */
int receive_resolve(const char *text, bool tcp, struct sockaddr_storage *ret, socklen_t *ret_length,
                    struct weir_error *error);
/* What to do when a socket cannot be bound: words that begin with "; ", or none. */
const char *receive_bind_advice(int code);
/* Asks for a buffer (0: for as much as is of use), reads back what was granted; a warning when it is less than was
 * asked for, or than is needed. */
void receive_set_buffer(struct weir_spead_receiver *receiver, struct receive_endpoint *endpoint, uint64_t wanted);

#endif
