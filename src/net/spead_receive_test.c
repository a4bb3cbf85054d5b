/* SPDX-License-Identifier: MIT */
/* The receiver, live on loopback: what the sender sent comes, over every kind of address; and how it all ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/part.h>
#include <weir/spead.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "net/spead_receiver.h"
#include "wire/spead_encode.h"

enum { SAMPLES = 0x1000, SERIAL = 0x1001, HEAPS = 20, HEAP_SIZE = 60000, PATIENCE_S = 20 };

static uint8_t data[HEAP_SIZE + HEAPS];

/* NULL: there is no such address on this machine. */
static struct weir_spead_receiver *open_receiver(const char *address, const char *interface,
                                                 struct weir_spead_receive_options options)
{
    struct weir_error error = {0};
    struct weir_spead_receiver *receiver = NULL;
    const struct weir_spead_endpoint endpoint = {.address = address, .interface = interface};
    assert_int_equal(weir_spead_receiver_new(&options, &error, &receiver), 0);
    if (weir_spead_receiver_add(receiver, &endpoint, &error) < 0) {
        printf("left out: %s\n", error.text);
        weir_spead_receiver_free(receiver);
        return NULL;
    }
    assert_int_equal(weir_spead_receiver_start(receiver, &error), 0);
    return receiver;
}

static struct weir_spead_heap *next_heap(struct weir_spead_receiver *receiver)
{
    struct weir_spead_heap *heap = NULL;
    int result = weir_spead_receiver_next(receiver, NULL, clock_monotonic() + PATIENCE_S * CLOCK_SECOND, &heap);
    return result == 0 ? heap : NULL;
}

/* ---- From a sender ------------------------------------------------------------------------------------------------
 */

static void send_all(const char *host, const char *local, uint16_t port, size_t packet_size)
{
    char name[64];
    const char *destination = name;
    struct weir_error error = {0};
    struct weir_spead_sender *sender;
    struct weir_spead_outgoing *heaps[HEAPS + 1];
    const struct weir_spead_sender_options options = {.destinations = &destination,
                                                      .destination_count = 1,
                                                      .local = local,
                                                      .packet_size = packet_size,
                                                      .max_heaps = 8};
    snprintf(name, sizeof name, "%s:%u", host, port);
    if (weir_spead_sender_open(&options, &error, &sender) < 0)
        fail_msg("%s", error.text);
    for (uint32_t i = 0; i <= HEAPS; i++) {
        assert_int_equal(weir_spead_outgoing_new((struct weir_spead_flavour){0}, &heaps[i]), 0);
        if (i == HEAPS) {
            assert_int_equal(weir_spead_outgoing_add_control(heaps[i], WEIR_SPEAD_STOP), 0);
        } else {
            assert_int_equal(weir_spead_outgoing_add(heaps[i], SAMPLES, data + i, HEAP_SIZE), 0);
            assert_int_equal(weir_spead_outgoing_add_value(heaps[i], SERIAL, i), 0);
        }
        const struct weir_spead_send send = {.heap = heaps[i]};
        assert_int_equal(weir_spead_send_wait(sender, NULL, &send, 1, WEIR_NEVER), 0);
    }
    assert_int_equal(weir_spead_sender_close(sender, NULL, WEIR_NEVER), 0);
    for (uint32_t i = 0; i <= HEAPS; i++)
        weir_spead_outgoing_free(heaps[i]);
}

static void check_heap(const struct weir_spead_heap *heap, uint32_t number)
{
    assert_true(heap->complete);
    assert_int_equal(heap->count, number + 1);
    assert_int_equal(heap->value_count, 2);
    for (uint32_t i = 0; i < heap->value_count; i++) {
        const struct weir_spead_value *value = &heap->values[i];
        if (value->id == SERIAL) {
            assert_int_equal(value->value, number);
        } else {
            assert_int_equal(value->length, HEAP_SIZE);
            assert_memory_equal(value->data, data + number, HEAP_SIZE);
        }
    }
}

static void exchange(const char *host, const char *interface, size_t packet_size, bool no_gro)
{
    char address[64];
    struct weir_spead_heap *heap;
    struct weir_spead_statistics statistics;
    snprintf(address, sizeof address, "%s:0", host);
    struct weir_spead_receiver *receiver = open_receiver(
        address, interface, (struct weir_spead_receive_options){.ring_heaps = HEAPS, .no_gro = no_gro});
    if (!receiver)
        return;
    send_all(host, interface, weir_spead_receiver_port(receiver), packet_size);
    for (uint32_t i = 0; i < HEAPS; i++) {
        heap = next_heap(receiver);
        assert_non_null(heap);
        check_heap(heap, i);
        weir_memory_release(&heap->memory);
    }
    assert_null(next_heap(receiver)); /* the stop item has ended it */
    weir_spead_receiver_statistics(receiver, &statistics);
    assert_int_equal(statistics.total.of[WEIR_SPEAD_HEAPS], HEAPS);
    assert_int_equal(statistics.total.of[WEIR_SPEAD_STOPS], 1);
    assert_int_equal(statistics.kernel_drops, 0);
    assert_int_equal(statistics.heaps_held, 0);
    weir_spead_receiver_free(receiver);
}

static void test_addresses(void **state)
{
    (void)state;
    exchange("127.0.0.1", NULL, 1472, false);
    exchange("127.0.0.1", NULL, 8872, false);
    exchange("127.0.0.1", NULL, 1472, true);
    exchange("[::1]", NULL, 1452, false);
    exchange("239.255.77.1", "127.0.0.1", 1472, false);
}

/* ---- How it ends ---------------------------------------------------------------------------------------------------
 */

/* A socket that sends to the receiver, without a sender. */
static int open_raw(const struct weir_spead_receiver *receiver)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(weir_spead_receiver_port(receiver)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(descriptor >= 0);
    assert_int_equal(connect(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    return descriptor;
}

/* Packets [first, end) of a heap of one item. */
static void send_packets(int descriptor, uint64_t cnt, const struct spead_encode_item *item, uint32_t first,
                         uint32_t end)
{
    uint8_t arena[2048];
    struct iovec vectors[8];
    struct spead_encoder encoder;
    struct spead_packet packet;
    const struct spead_encode_heap heap = {.flavour = {.address_bits = 48}, .count = 1, .items = item};
    assert_int_equal(spead_encode_begin(&encoder, &heap, cnt, 1472), 0);
    for (uint32_t i = 0; i < end && spead_encode_packet(&encoder, arena, vectors, 8, &packet); i++) {
        const struct msghdr message = {.msg_iov = vectors, .msg_iovlen = packet.vectors};
        if (i >= first)
            assert_int_equal(sendmsg(descriptor, &message, 0), packet.size);
    }
}

static void send_raw(int descriptor, uint64_t cnt, size_t size, uint32_t first, uint32_t end)
{
    const struct spead_encode_item item = {.id = SAMPLES, .kind = SPEAD_ENCODE_BYTES, .data = data, .size = size};
    send_packets(descriptor, cnt, &item, first, end);
}

static void wait_for_packets(struct weir_spead_receiver *receiver, uint64_t packets)
{
    struct weir_spead_statistics statistics;
    int64_t end = clock_monotonic() + PATIENCE_S * CLOCK_SECOND;
    do {
        usleep(500);
        weir_spead_receiver_statistics(receiver, &statistics);
    } while (statistics.datagrams < packets && clock_monotonic() < end);
    assert_int_equal(statistics.datagrams, packets);
}

/* With partial heaps, with whole ones that nobody has taken, and with one that somebody keeps. */
static void test_closed_midway(void **state)
{
    struct weir_spead_receiver *receiver = open_receiver("127.0.0.1:0", NULL,
                                                         (struct weir_spead_receive_options){.ring_heaps = 4});
    struct weir_spead_statistics statistics;
    (void)state;
    assert_non_null(receiver);
    int descriptor = open_raw(receiver);
    send_raw(descriptor, 1, 10000, 0, 100);
    struct weir_spead_heap *kept = next_heap(receiver);
    assert_non_null(kept);
    send_raw(descriptor, 2, 10000, 0, 100);
    send_raw(descriptor, 3, 10000, 0, 3);
    wait_for_packets(receiver, 7 + 7 + 3);
    weir_spead_receiver_statistics(receiver, &statistics);
    assert_int_equal(statistics.heaps_held, 3);
    weir_spead_receiver_free(receiver);
    assert_memory_equal(kept->values[0].data, data, 10000);
    weir_memory_release(&kept->memory);
    close(descriptor);
}

/* Nobody takes them: as many wait as were asked for; if nobody said how many, small ones up to their share of memory.
 */
static void test_how_many_wait(void **state)
{
    enum { SENT = 100, SIZE = 1000 };
    static const struct {
        struct weir_spead_receive_options options;
        uint32_t waiting;
    } cases[] = {{{.ring_heaps = 20}, 20},
                 {{0}, SENT},
                 {{.memory = 4 * 50 * SIZE}, 50},
                 {{.memory = 160 * SIZE}, 40},
                 {{.memory = 40 * SIZE}, 16}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weir_spead_receiver *receiver = open_receiver("127.0.0.1:0", NULL, cases[i].options);
        struct weir_spead_statistics statistics;
        assert_non_null(receiver);
        int descriptor = open_raw(receiver);
        for (uint64_t count = 1; count <= SENT; count++)
            send_raw(descriptor, count, SIZE, 0, 1);
        wait_for_packets(receiver, SENT);
        weir_spead_receiver_statistics(receiver, &statistics);
        assert_int_equal(statistics.total.of[WEIR_SPEAD_HEAPS_SHED], SENT - cases[i].waiting);
        for (uint64_t count = 1; count <= cases[i].waiting; count++) {
            struct weir_spead_heap *heap = next_heap(receiver);
            assert_non_null(heap);
            assert_int_equal(heap->count, count);
            weir_memory_release(&heap->memory);
        }
        weir_spead_receiver_free(receiver);
        close(descriptor);
    }
}

/* What is partial at the end is counted and, if wished, handed out. */
static void test_stopped_midway(void **state)
{
    struct weir_spead_receiver *receiver = open_receiver("127.0.0.1:0", NULL,
                                                         (struct weir_spead_receive_options){.incomplete = true});
    (void)state;
    assert_non_null(receiver);
    int descriptor = open_raw(receiver);
    send_raw(descriptor, 1, 10000, 0, 3);
    wait_for_packets(receiver, 3);
    weir_spead_receiver_stop(receiver);
    struct weir_spead_heap *heap = next_heap(receiver);
    assert_non_null(heap);
    assert_false(heap->complete);
    assert_int_equal(heap->packets, 3);
    assert_memory_equal(heap->memory.data, data, heap->received);
    weir_memory_release(&heap->memory);
    assert_null(next_heap(receiver));
    weir_spead_receiver_free(receiver);
    close(descriptor);
}

/* ---- Several places ------------------------------------------------------------------------------------------------
 */

enum { PLACES = 2 };

/* One socket sends to two ports, the stop items too; what is left is one heap for each port. */
static void two_places(const struct weir_spead_receive_options *options, uint32_t expected)
{
    struct weir_spead_receiver *receiver = NULL;
    struct weir_error error = {0};
    char names[PLACES][32];
    struct sockaddr_in to[PLACES] = {{0}};
    uint32_t taken = 0;
    int sender = socket(AF_INET, SOCK_DGRAM, 0), probe[PLACES];
    assert_int_equal(weir_spead_receiver_new(options, &error, &receiver), 0);
    for (int i = 0; i < PLACES; i++) { /* free ports */
        socklen_t length = sizeof to[i];
        to[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        probe[i] = socket(AF_INET, SOCK_DGRAM, 0);
        assert_int_equal(bind(probe[i], (struct sockaddr *)&to[i], sizeof to[i]), 0);
        assert_int_equal(getsockname(probe[i], (struct sockaddr *)&to[i], &length), 0);
        snprintf(names[i], sizeof names[i], "127.0.0.1:%u", ntohs(to[i].sin_port));
    }
    for (int i = 0; i < PLACES; i++) {
        const struct weir_spead_endpoint endpoint = {.address = names[i]};
        close(probe[i]);
        assert_int_equal(weir_spead_receiver_add(receiver, &endpoint, &error), 0);
    }
    /* All of it waits in the sockets before the receiver starts, in the order in which it is sent. */
    for (uint64_t i = 0; i < PLACES; i++) {
        assert_int_equal(connect(sender, (struct sockaddr *)&to[i], sizeof to[i]), 0);
        send_raw(sender, 10 + i, 10000, 0, 100);
    }
    for (uint64_t i = 0; i < PLACES; i++) {
        const struct spead_encode_item item = {.id = SPEAD_STREAM_CTRL, .value = SPEAD_CONTROL_STOP};
        assert_int_equal(connect(sender, (struct sockaddr *)&to[i], sizeof to[i]), 0);
        send_packets(sender, 20 + i, &item, 0, 1);
    }
    assert_int_equal(weir_spead_receiver_start(receiver, &error), 0);
    for (struct weir_spead_heap *heap; (heap = next_heap(receiver)); taken++)
        weir_memory_release(&heap->memory);
    assert_int_equal(taken, expected);
    struct weir_spead_source_statistics sources[PLACES + 1];
    uint32_t count = weir_spead_receiver_sources(receiver, sources, PLACES + 1);
    assert_in_range(count, expected, PLACES); /* with `joint` the second place is perhaps not even looked at */
    for (uint32_t i = 0; i < count; i++) {
        assert_true(sources[i].stopped || i >= expected);
        assert_string_equal(sources[i].name, sources[0].name);
        assert_string_equal(sources[i].place, names[i]);
    }
    weir_spead_receiver_free(receiver);
    close(sender);
}

static void test_two_places_fed_by_one_socket(void **state)
{
    (void)state;
    two_places(&(const struct weir_spead_receive_options){.stop = WEIR_SPEAD_STOP_ANY}, 2);
    two_places(&(const struct weir_spead_receive_options){.stop = WEIR_SPEAD_STOP_ALL}, 2);
    two_places(&(const struct weir_spead_receive_options){.stop = WEIR_SPEAD_STOP_ANY, .joint = true}, 1);
}

/* ---- Many senders ---------------------------------------------------------------------------------------------------
 */

enum { SENDERS = 64, ROUNDS = 6, SMALL = 6000 };

/* The first sends half of all there is, in heaps that never end; the others lose nothing. */
static void test_one_greedy_sender(void **state)
{
    const struct weir_spead_receive_options options = {.ring_heaps = 512, .max_heaps = 2, .memory = 64 << 20};
    struct weir_spead_receiver *receiver = open_receiver("127.0.0.1:0", NULL, options);
    struct weir_spead_statistics statistics;
    int descriptors[SENDERS];
    uint64_t packets = 0;
    (void)state;
    assert_non_null(receiver);
    for (int i = 0; i < SENDERS; i++)
        descriptors[i] = open_raw(receiver);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t part = 0; part < 5; part++) { /* all heaps of a round side by side */
            for (uint32_t i = 1; i < SENDERS; i++, packets++) {
                send_raw(descriptors[i], round + 1, SMALL, part, part + 1);
                send_raw(descriptors[0], packets / 2 + 1, HEAP_SIZE, packets % 2, packets % 2 + 1);
            }
        }
        wait_for_packets(receiver, 2 * packets);
    }
    weir_spead_receiver_statistics(receiver, &statistics);
    assert_int_equal(statistics.sources, SENDERS);
    assert_int_equal(statistics.total.of[WEIR_SPEAD_HEAPS], (SENDERS - 1) * ROUNDS);
    assert_true(statistics.total.of[WEIR_SPEAD_HEAPS_INCOMPLETE_EVICTED] > 0);
    assert_true(statistics.heaps_held <= SENDERS * options.max_heaps + options.ring_heaps + 4);
    assert_true(statistics.memory_peak <= options.memory);
    for (int i = 0; i < SENDERS; i++)
        close(descriptors[i]);
    weir_spead_receiver_free(receiver);
}

/* ---- What the system grants
 * ------------------------------------------------------------------------------------------ */

/* Root gets whatever it asks for, and nothing is said. */
static void test_buffer_too_small(void **state)
{
    const struct weir_spead_receive_options options = {.socket_buffer = 1000000000};
    struct weir_spead_receiver *receiver = open_receiver("127.0.0.1:0", NULL, options);
    struct weir_spead_statistics statistics;
    (void)state;
    assert_non_null(receiver);
    weir_spead_receiver_statistics(receiver, &statistics);
    const char *words = weir_spead_receiver_warning(receiver);
    if (statistics.socket_buffer >= options.socket_buffer) {
        assert_null(words);
    } else {
        assert_non_null(words);
        assert_non_null(strstr(words, "sysctl -w net.core.rmem_max=1000000000"));
    }
    weir_spead_receiver_free(receiver);
}

static void test_no_places(void **state)
{
    static const char *const addresses[] = {"127.0.0.1", ":",      "host:name",       "::1:8888",
                                            "[::1]",     ":65536", "127.0.0.1:99999", "192.0.2.77:8888"};
    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
        assert_null(open_receiver(addresses[i], NULL, (struct weir_spead_receive_options){0}));
}

/* ---- Whether packets gather --------------------------------------------------------------------------------------
 */

enum { LOOKS = 2000 };

/* What happened between two sleeps. */
struct look {
    uint64_t packets;
    int64_t waited_ns; /* negative: it did not wait, they gathered */
};

/* The rule, told from the whole history: something came since the sleep before, and the last wait was a short one. */
static bool model_gathers(const struct look *history, uint32_t count, int64_t gather_ns, bool lossless, uint64_t buffer)
{
    int64_t last = 0;
    for (uint32_t i = 0; i + 1 < count; i++)
        last = history[i].waited_ns < 0 ? last : history[i].waited_ns;
    return history[count - 1].packets > 0 && last < gather_ns && !lossless && buffer >= RECEIVE_GATHER_BUFFER;
}

static void gather_like_model(unsigned seed)
{
    static struct look history[LOOKS];
    struct weir_spead_receiver *receiver = memory_zeroed(1, sizeof *receiver);
    assert_non_null(receiver);
    srand(seed);
    receiver->options.gather_ns = seed % 5 ? 1000 + rand() % RECEIVE_GATHER_NS_MAX : 0;
    receiver->lossless = seed % 7 == 0;
    receiver->buffer = seed % 11 ? RECEIVE_GATHER_BUFFER : RECEIVE_GATHER_BUFFER - 1;
    uint32_t gathered = 0;
    for (uint32_t i = 0; i < LOOKS; i++) {
        history[i] = (struct look){.packets = rand() % 4 ? (uint64_t)(rand() % 100) : 0, .waited_ns = -1};
        receiver->datagrams += history[i].packets;
        bool wanted = model_gathers(history, i + 1, receiver->options.gather_ns, receiver->lossless, receiver->buffer);
        if (receive_gathers(receiver) != wanted)
            fail_msg("seed %u, sleep %u: gathers, or not, other than the model", seed, i);
        if (!wanted)
            receiver->waited_ns = history[i].waited_ns = rand() % 2 ? rand() % 1000
                                                                    : rand() % (2 * RECEIVE_GATHER_NS_MAX);
        gathered += wanted;
    }
    bool never = !receiver->options.gather_ns || receiver->lossless || receiver->buffer < RECEIVE_GATHER_BUFFER;
    assert_int_equal(gathered > 0, !never);
    memory_free(receiver);
}

static void test_what_gathers(void **state)
{
    (void)state;
    const char *given = getenv("WEIR_TEST_SEED");
    unsigned first = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)clock_monotonic();
    printf("seed %u\n", first);
    for (unsigned i = 0; i < 24; i++)
        gather_like_model(first + i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),         cmocka_unit_test(test_closed_midway),
        cmocka_unit_test(test_how_many_wait),     cmocka_unit_test(test_stopped_midway),
        cmocka_unit_test(test_one_greedy_sender), cmocka_unit_test(test_buffer_too_small),
        cmocka_unit_test(test_no_places),         cmocka_unit_test(test_two_places_fed_by_one_socket),
        cmocka_unit_test(test_what_gathers),
    };
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
