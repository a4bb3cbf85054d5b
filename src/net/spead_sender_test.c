/* SPDX-License-Identifier: MIT */
/* The sender against sockets of our own on loopback: what comes is what was given, and each heap completes once. */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <weir/part.h>
#include <weir/spead_send.h>

#include <cmocka.h>

#include "async/context.h"
#include "base/clock.h"
#include "net/spead_sender_private.h"
#include "wire/spead.h"

/* ---- A receiver ------------------------------------------------------------------------------------------------ */

struct receiver {
    int descriptor;
    char name[64];
};

static void open_receiver(struct receiver *receiver, int family, int type)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = family == AF_INET ? sizeof four : sizeof six;
    struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&four : (struct sockaddr *)&six;
    int size = 4 << 20;
    receiver->descriptor = socket(family, type, 0);
    assert_true(receiver->descriptor >= 0);
    (void)setsockopt(receiver->descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    assert_int_equal(bind(receiver->descriptor, address, length), 0);
    assert_int_equal(getsockname(receiver->descriptor, address, &length), 0);
    if (family == AF_INET)
        snprintf(receiver->name, sizeof receiver->name, "127.0.0.1:%d", ntohs(four.sin_port));
    else
        snprintf(receiver->name, sizeof receiver->name, "[::1]:%d", ntohs(six.sin6_port));
}

/* The payload of the next heap, from packets that must come in order. Returns its length; *ret_cnt: its count. */
static uint64_t receive_heap(struct receiver *receiver, uint8_t *payload, uint64_t *ret_cnt)
{
    static uint8_t packet[65536];
    struct spead_flavour flavour = {.address_bits = 40};
    uint64_t received = 0, length = 1;
    while (received < length) {
        ssize_t size = recv(receiver->descriptor, packet, sizeof packet, 0);
        assert_true(size >= 40);
        size_t header = 8 + 8 * (size_t)(packet[6] << 8 | packet[7]);
        length = spead_pointer_value(spead_load64(packet + 16), flavour);
        assert_int_equal(spead_pointer_value(spead_load64(packet + 24), flavour), received);
        assert_int_equal(spead_pointer_value(spead_load64(packet + 32), flavour), (size_t)size - header);
        if (received > 0)
            assert_int_equal(spead_pointer_value(spead_load64(packet + 8), flavour), *ret_cnt);
        *ret_cnt = spead_pointer_value(spead_load64(packet + 8), flavour);
        memcpy(payload + received, packet + header, (size_t)size - header);
        received += (size_t)size - header;
    }
    return length;
}

/* ---- A sender -------------------------------------------------------------------------------------------------- */

static struct weir_spead_sender *open_sender(const struct receiver *receivers, uint32_t count,
                                             struct weir_spead_sender_options options)
{
    const char *names[8];
    struct weir_error error = {0};
    struct weir_spead_sender *sender = NULL;
    for (uint32_t i = 0; i < count; i++)
        names[i] = receivers[i].name;
    options.destinations = names;
    options.destination_count = count;
    if (weir_spead_sender_open(&options, &error, &sender) < 0)
        fail_msg("%s", error.text);
    return sender;
}

static struct weir_spead_outgoing *make_heap(const void *data, size_t size)
{
    struct weir_spead_outgoing *heap = NULL;
    assert_int_equal(weir_spead_outgoing_new((struct weir_spead_flavour){0}, &heap), 0);
    if (data)
        assert_int_equal(weir_spead_outgoing_add(heap, 0x1000, data, size), 0);
    return heap;
}

/* Each heap completes once, in order. */
struct told {
    _Atomic uint32_t times;
    _Atomic int result;
    _Atomic uint64_t bytes, order;
    _Atomic uint64_t *clock;
};
static void tell(void *argument, int result, uint64_t bytes)
{
    struct told *told = argument;
    atomic_fetch_add(&told->times, 1);
    atomic_store(&told->result, result);
    atomic_store(&told->bytes, bytes);
    atomic_store(&told->order, atomic_fetch_add(told->clock, 1));
}

enum { POOL = 1 << 20 };
static uint8_t pool[POOL], received[POOL];

static void send_sizes(int family, struct weir_spead_sender_options options)
{
    static const size_t sizes[] = {1, 7, 1400, 1432, 1433, 8192, 100000, 65536, POOL};
    enum { HEAPS = sizeof sizes / sizeof *sizes };
    struct receiver receiver;
    struct told told[HEAPS];
    _Atomic uint64_t clock = 0;
    struct weir_spead_outgoing *heaps[HEAPS];
    options.max_heaps = HEAPS;
    open_receiver(&receiver, family, SOCK_DGRAM);
    struct weir_spead_sender *sender = open_sender(&receiver, 1, options);
    for (int i = 0; i < HEAPS; i++) {
        heaps[i] = make_heap(pool + (POOL - sizes[i]), sizes[i]);
        memset(&told[i], 0, sizeof told[i]);
        told[i].clock = &clock;
        const struct weir_spead_send send = {.heap = heaps[i], .sent = tell, .argument = &told[i]};
        assert_int_equal(weir_spead_send_wait(sender, NULL, &send, 1, WEIR_NEVER), 0);
        uint64_t cnt = 0;
        assert_int_equal(receive_heap(&receiver, received, &cnt), sizes[i]);
        assert_int_equal(cnt, i + 1);
        assert_memory_equal(received, pool + (POOL - sizes[i]), sizes[i]);
    }
    assert_int_equal(weir_spead_sender_close(sender, NULL, WEIR_NEVER), 0);
    for (int i = 0; i < HEAPS; i++) {
        assert_int_equal(told[i].times, 1);
        assert_int_equal(told[i].result, 0);
        assert_int_equal(told[i].order, i);
        assert_true(told[i].bytes > sizes[i]);
        weir_spead_outgoing_free(heaps[i]);
    }
    close(receiver.descriptor);
}

static void test_sizes(void **state)
{
    (void)state;
    send_sizes(AF_INET, (struct weir_spead_sender_options){0});
    send_sizes(AF_INET, (struct weir_spead_sender_options){.packet_size = 8872});
    send_sizes(AF_INET, (struct weir_spead_sender_options){.no_offload = true});
    send_sizes(AF_INET, (struct weir_spead_sender_options){.packet_size = 65480});
    send_sizes(AF_INET, (struct weir_spead_sender_options){.rate = 200e6, .burst_size = 10000});
    send_sizes(AF_INET6, (struct weir_spead_sender_options){.packet_size = 1452});
}

/* ---- Order, counts, destinations -------------------------------------------------------------------------------- */

static void test_counts(void **state)
{
    (void)state;
    struct receiver receivers[2];
    uint64_t cnt = 0;
    open_receiver(&receivers[0], AF_INET, SOCK_DGRAM);
    open_receiver(&receivers[1], AF_INET, SOCK_DGRAM);
    struct weir_spead_sender *sender = open_sender(
        receivers, 2, (struct weir_spead_sender_options){.cnt_first = 5, .cnt_step = 3, .max_heaps = 8});
    struct weir_spead_outgoing *heap = make_heap(pool, 3000);
    const struct weir_spead_send sends[] = {
        {.heap = heap},
        {.heap = heap, .destination = 1},
        {.heap = heap, .cnt_given = true, .cnt = (UINT64_C(1) << 40) + 77},
        {.heap = heap},
    };
    const struct weir_spead_send nowhere = {.heap = heap, .destination = 2};
    assert_int_equal(weir_spead_send(sender, &nowhere, 1), -EINVAL);
    assert_int_equal(weir_spead_send(sender, sends, 4), 0);
    assert_int_equal(receive_heap(&receivers[0], received, &cnt), 3000);
    assert_int_equal(cnt, 5);
    assert_int_equal(receive_heap(&receivers[1], received, &cnt), 3000);
    assert_int_equal(cnt, 8);
    assert_int_equal(receive_heap(&receivers[0], received, &cnt), 3000);
    assert_int_equal(cnt, 77);
    assert_int_equal(receive_heap(&receivers[0], received, &cnt), 3000);
    assert_int_equal(cnt, 11);
    assert_int_equal(weir_spead_sender_close(sender, NULL, WEIR_NEVER), 0);
    weir_spead_outgoing_free(heap);
    close(receivers[0].descriptor);
    close(receivers[1].descriptor);
}

/* ---- A full queue ---------------------------------------------------------------------------------------------- */

static void room_came(void *argument)
{
    atomic_fetch_add((_Atomic int *)argument, 1);
}

static void test_full_queue(void **state)
{
    (void)state;
    struct receiver receiver;
    _Atomic int rooms = 0;
    open_receiver(&receiver, AF_INET, SOCK_DGRAM);
    /* So slow that the queue fills: 1 MiB takes half a second. */
    struct weir_spead_sender *sender = open_sender(&receiver, 1,
                                                   (struct weir_spead_sender_options){.max_heaps = 2, .rate = 2e6});
    struct weir_spead_outgoing *heap = make_heap(pool, 200000);
    const struct weir_spead_send sends[] = {{.heap = heap}, {.heap = heap}, {.heap = heap}};
    assert_int_equal(weir_spead_send(sender, sends, 3), -E2BIG);
    assert_int_equal(weir_spead_send(sender, sends, 2), 0);
    assert_int_equal(weir_spead_send(sender, sends, 1), -EAGAIN);
    assert_int_equal(weir_spead_send_wait(sender, NULL, sends, 1, clock_monotonic() + CLOCK_MILLISECOND), -ETIMEDOUT);
    assert_int_equal(weir_spead_sender_on_room(sender, 1, room_came, &rooms), 0);
    assert_int_equal(weir_spead_sender_on_room(sender, 1, room_came, &rooms), -EBUSY);
    assert_int_equal(weir_spead_send_wait(sender, NULL, sends, 1, WEIR_NEVER), 0);
    assert_int_equal(weir_spead_sender_flush(sender, NULL, WEIR_NEVER), 0);
    struct weir_spead_sender_counters counters;
    weir_spead_sender_count(sender, &counters);
    assert_int_equal(counters.heaps, 3);
    assert_int_equal(counters.in_flight, 0);
    assert_int_equal(counters.in_flight_most, 2);
    assert_int_equal(weir_spead_sender_close(sender, NULL, WEIR_NEVER), 0);
    assert_int_equal(rooms, 1);
    weir_spead_outgoing_free(heap);
    close(receiver.descriptor);
}

/* ---- Abandoned ------------------------------------------------------------------------------------------------- */

static void test_abandoned(void **state)
{
    (void)state;
    enum { HEAPS = 32 };
    for (int round = 0; round < 20; round++) {
        struct receiver receiver;
        struct told told[HEAPS];
        _Atomic uint64_t clock = 0;
        uint32_t cancelled = 0;
        open_receiver(&receiver, AF_INET, SOCK_DGRAM);
        struct weir_spead_sender *sender = open_sender(
            &receiver, 1, (struct weir_spead_sender_options){.max_heaps = HEAPS, .rate = round % 2 ? 50e6 : 0});
        struct weir_spead_outgoing *heap = make_heap(pool, POOL);
        for (int i = 0; i < HEAPS; i++) {
            memset(&told[i], 0, sizeof told[i]);
            told[i].clock = &clock;
            const struct weir_spead_send send = {.heap = heap, .sent = tell, .argument = &told[i]};
            assert_int_equal(weir_spead_send(sender, &send, 1), 0);
        }
        usleep((useconds_t)(round * 100));
        int result = weir_spead_sender_close(sender, NULL, 0);
        for (int i = 0; i < HEAPS; i++) {
            assert_int_equal(told[i].times, 1);
            assert_int_equal(told[i].order, i);
            assert_true(told[i].result == 0 || told[i].result == -ECANCELED);
            cancelled += told[i].result != 0;
        }
        assert_int_equal(result, cancelled ? -ECANCELED : 0);
        weir_spead_outgoing_free(heap);
        close(receiver.descriptor);
    }
}

/* ---- From many threads, with completions ----------------------------------------------------------------------- */

enum { THREADS = 4, EACH = 300 };
struct crowd {
    struct weir_spead_sender *sender;
    struct weir_spead_outgoing *heap;
    uint64_t bytes;
};

static void *crowd_run(void *argument)
{
    struct crowd *crowd = argument;
    for (int i = 0; i < EACH; i++) {
        struct weir_spead_completion completion;
        struct weir_spead_send sends[3];
        uint64_t bytes = 0;
        weir_spead_completion_begin(&completion, NULL, 3);
        for (int j = 0; j < 3; j++)
            sends[j] = (struct weir_spead_send){
                .heap = crowd->heap, .sent = weir_spead_completed, .argument = &completion};
        if (weir_spead_send_wait(crowd->sender, NULL, sends, 3, WEIR_NEVER) < 0 ||
            weir_spead_completion_wait(NULL, &completion, WEIR_NEVER, &bytes) < 0)
            return argument;
        crowd->bytes += bytes;
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct receiver receiver;
    struct crowd crowds[THREADS];
    pthread_t threads[THREADS];
    uint64_t bytes = 0;
    open_receiver(&receiver, AF_INET, SOCK_DGRAM);
    struct weir_spead_sender *sender = open_sender(&receiver, 1, (struct weir_spead_sender_options){.max_heaps = 5});
    for (int i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){.sender = sender, .heap = make_heap(pool, 5000)};
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_run, &crowds[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
        bytes += crowds[i].bytes;
        weir_spead_outgoing_free(crowds[i].heap);
    }
    struct weir_spead_sender_counters counters;
    weir_spead_sender_count(sender, &counters);
    assert_int_equal(counters.heaps, THREADS * EACH * 3);
    assert_int_equal(counters.bytes, bytes);
    assert_int_equal(counters.failed_heaps, 0);
    assert_int_equal(weir_spead_sender_close(sender, NULL, WEIR_NEVER), 0);
    close(receiver.descriptor);
}

/* While heaps are queued the thread does not sleep: it wakes for the first and not between the others. */
static void test_wakeups(void **state)
{
    (void)state;
    enum { HEAPS = 256 };
    struct receiver receiver;
    struct weir_spead_send sends[HEAPS];
    struct weir_spead_sender_counters counters;
    open_receiver(&receiver, AF_INET, SOCK_DGRAM);
    struct weir_spead_sender *sender = open_sender(&receiver, 1,
                                                   (struct weir_spead_sender_options){.max_heaps = HEAPS});
    struct weir_spead_outgoing *heap = make_heap(pool, 20000);
    for (int i = 0; i < HEAPS; i++)
        sends[i] = (struct weir_spead_send){.heap = heap};
    assert_int_equal(weir_spead_send(sender, sends, HEAPS), 0);
    assert_int_equal(weir_spead_sender_flush(sender, NULL, WEIR_NEVER), 0);
    weir_spead_sender_count(sender, &counters);
    assert_in_range(counters.wakeups, 0, 2);
    assert_int_equal(counters.heaps, HEAPS);
    assert_int_equal(weir_spead_sender_close(sender, NULL, WEIR_NEVER), 0);
    weir_spead_outgoing_free(heap);
    close(receiver.descriptor);
}

/* ---- Errors ---------------------------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    (void)state;
    struct receiver receiver;
    struct told told[2] = {0};
    _Atomic uint64_t clock = 0;
    open_receiver(&receiver, AF_INET, SOCK_DGRAM);
    close(receiver.descriptor); /* nobody listens there now */
    struct weir_spead_sender *sender = open_sender(&receiver, 1, (struct weir_spead_sender_options){0});
    struct weir_spead_outgoing *heap = make_heap(pool, 200000);
    for (int i = 0; i < 2; i++) {
        told[i].clock = &clock;
        const struct weir_spead_send send = {.heap = heap, .sent = tell, .argument = &told[i]};
        assert_int_equal(weir_spead_send_wait(sender, NULL, &send, 1, WEIR_NEVER), 0);
        assert_int_equal(weir_spead_sender_flush(sender, NULL, WEIR_NEVER), 0);
    }
    assert_int_equal(told[1].result, -ECONNREFUSED);
    assert_true(told[1].bytes > 200000); /* all of it was sent nonetheless */
    assert_non_null(strstr(weir_spead_explain(told[1].result), "receiver"));
    assert_int_equal(weir_spead_sender_close(sender, NULL, WEIR_NEVER), 0);
    weir_spead_outgoing_free(heap);
}

static void test_bad_options(void **state)
{
    (void)state;
    struct weir_spead_sender *sender = NULL;
    const char *bad[] = {"nonsense", "127.0.0.1:", ":8888", "::1:8888", "127.0.0.1:99999999", "no.such.host.invalid:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct weir_error error = {0};
        const struct weir_spead_sender_options options = {.destinations = &bad[i], .destination_count = 1};
        assert_true(weir_spead_sender_open(&options, &error, &sender) < 0);
        assert_true(error.text[0] != '\0');
    }
    const char *good = "127.0.0.1:9";
    struct weir_spead_sender_options options = {.destinations = &good, .destination_count = 1, .packet_size = 40};
    assert_int_equal(weir_spead_sender_open(&options, NULL, &sender), -EINVAL);
    options = (struct weir_spead_sender_options){.destinations = &good, .destination_count = 1, .tcp = true};
    struct weir_error error = {0};
    assert_int_equal(weir_spead_sender_open(&options, &error, &sender), -ECONNREFUSED);
    assert_non_null(strstr(error.text, "receiver"));
    options = (struct weir_spead_sender_options){.destinations = &good, .destination_count = 1, .local = "10.255.1.2"};
    assert_int_equal(weir_spead_sender_open(&options, NULL, &sender), -EADDRNOTAVAIL);
}

/* ---- TCP ------------------------------------------------------------------------------------------------------- */

static void test_tcp(void **state)
{
    (void)state;
    enum { HEAPS = 3, STUCK = 100, SIZE = 300000 };
    struct receiver receiver;
    struct told told[HEAPS + 1] = {0};
    _Atomic uint64_t clock = 0;
    open_receiver(&receiver, AF_INET, SOCK_STREAM);
    assert_int_equal(listen(receiver.descriptor, 1), 0);
    struct weir_spead_sender *sender = open_sender(
        &receiver, 1, (struct weir_spead_sender_options){.tcp = true, .max_heaps = HEAPS + STUCK});
    int peer = accept(receiver.descriptor, NULL, NULL);
    assert_true(peer >= 0);
    struct weir_spead_outgoing *heap = make_heap(pool, SIZE);
    struct spead_flavour flavour = {.address_bits = 40};
    for (int i = 0; i < HEAPS; i++) {
        told[i].clock = &clock;
        const struct weir_spead_send send = {.heap = heap, .sent = tell, .argument = &told[i]};
        assert_int_equal(weir_spead_send_wait(sender, NULL, &send, 1, WEIR_NEVER), 0);
        for (uint64_t at = 0; at < SIZE;) { /* packets back to back; the header says how long each is */
            uint8_t head[8 + 8 * 16];
            assert_int_equal(recv(peer, head, 8, MSG_WAITALL), 8);
            size_t pointers = head[7];
            assert_int_equal(recv(peer, head + 8, 8 * pointers, MSG_WAITALL), 8 * pointers);
            size_t length = spead_pointer_value(spead_load64(head + 32), flavour);
            assert_int_equal(spead_pointer_value(spead_load64(head + 24), flavour), at);
            assert_int_equal(recv(peer, received + at, length, MSG_WAITALL), length);
            at += length;
        }
        assert_memory_equal(received, pool, SIZE);
    }
    /* A peer that does not read does not keep close from returning. */
    told[HEAPS].clock = &clock;
    for (int i = 0; i < STUCK; i++) {
        const struct weir_spead_send stuck = {.heap = heap, .sent = tell, .argument = &told[HEAPS]};
        assert_int_equal(weir_spead_send(sender, &stuck, 1), 0);
    }
    assert_int_equal(weir_spead_sender_close(sender, NULL, clock_monotonic() + 20 * CLOCK_MILLISECOND), -ECANCELED);
    assert_int_equal(told[HEAPS].times, STUCK);
    assert_true(told[HEAPS].result < 0);
    close(peer);
    close(receiver.descriptor);
    weir_spead_outgoing_free(heap);
}

/* ---- Helping --------------------------------------------------------------------------------------------------- */

enum { SMALL = 8000, SMALL_PACKET = 8200 };

/* What makes the bytes of a heap, and what happens meanwhile. */
struct maker {
    uint64_t number;
    _Atomic bool *begun, *go_on, *let; /* NULL: nothing */
};
static uint8_t made_byte(uint64_t number, uint64_t offset)
{
    return pool[(number * 4099 + offset) % POOL];
}
static void make_bytes(void *argument, uint64_t offset, void *memory, size_t size)
{
    struct maker *maker = argument;
    if (maker->begun)
        atomic_store(maker->begun, true);
    while (maker->go_on && !atomic_load(maker->go_on))
        usleep(100);
    if (maker->let)
        atomic_store(maker->let, true);
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)memory)[i] = made_byte(maker->number, offset + i);
}

/* The sender's thread is held up while it makes the first heap until a later one is made: by whoever helps. Everything
 * comes, is what was made, and completes once and in order. */
static void test_help(void **unused)
{
    enum { HEAPS = 40 };
    (void)unused;
    struct receiver receiver;
    struct told told[HEAPS] = {0};
    struct maker makers[HEAPS] = {0};
    struct weir_spead_outgoing *heaps[HEAPS];
    struct weir_spead_completion completion = {0};
    struct weir_spead_sender_counters counters;
    _Atomic uint64_t clock = 0;
    _Atomic bool begun = false, go_on = false;
    uint64_t bytes = 0, seen = 0;
    open_receiver(&receiver, AF_INET, SOCK_DGRAM);
    struct weir_spead_sender *sender = open_sender(
        &receiver, 1, (struct weir_spead_sender_options){.packet_size = SMALL_PACKET, .max_heaps = HEAPS});
    weir_spead_completion_begin(&completion, NULL, HEAPS / 2);
    for (uint32_t i = 0; i < HEAPS; i++) {
        makers[i].number = i;
        heaps[i] = make_heap(NULL, 0);
        assert_int_equal(weir_spead_outgoing_add_made(heaps[i], 0x1000, SMALL, make_bytes, &makers[i]), 0);
        told[i].clock = &clock;
    }
    makers[0].begun = &begun;
    makers[0].go_on = &go_on;
    makers[HEAPS - 1].let = &go_on;
    for (uint32_t i = 0; i < HEAPS; i++) { /* every other one tells the completion */
        struct weir_spead_send one = {.heap = heaps[i], .sent = tell, .argument = &told[i]};
        if (i % 2)
            one = (struct weir_spead_send){.heap = heaps[i], .sent = weir_spead_completed, .argument = &completion};
        assert_int_equal(weir_spead_send(sender, &one, 1), 0);
        while (i == 0 && !atomic_load(&begun))
            usleep(100);
    }
    assert_int_equal(weir_spead_completion_help(sender, &completion, clock_monotonic() + 30 * CLOCK_SECOND, &bytes), 0);
    assert_int_equal(bytes, HEAPS / 2 * (SMALL + 48));
    weir_spead_sender_count(sender, &counters);
    assert_true(counters.helped > 0 && counters.helped < HEAPS);
    assert_int_equal(weir_spead_sender_close(sender, NULL, WEIR_NEVER), 0);
    for (uint32_t i = 0; i < HEAPS; i++) {
        uint64_t cnt = 0;
        assert_int_equal(receive_heap(&receiver, received, &cnt), SMALL);
        assert_true(cnt >= 1 && cnt <= HEAPS && !(seen >> cnt & 1));
        seen |= UINT64_C(1) << cnt;
        for (uint64_t at = 0; at < SMALL; at++)
            assert_int_equal(received[at], made_byte(cnt - 1, at));
        assert_int_equal(atomic_load(&told[i].times), i % 2 == 0);
        assert_int_equal(atomic_load(&told[i].order), i % 2 ? 0 : i / 2);
        weir_spead_outgoing_free(heaps[i]);
    }
    close(receiver.descriptor);
}

/* Batches of which some are sent by this thread and some by the sender's, in memory that is used again and again: by a
 * receiver that takes none of them, as it is about completing. */
/* Batches are small while somebody helps, or comes to help in vain, and whole again some time after the last did. */
static void test_share(void **unused)
{
    (void)unused;
    struct sender_share share = {0};
    for (uint32_t i = 0; i < 3 * SENDER_UNHELPED_BATCHES; i++)
        assert_int_equal(spead_sender_share(&share, 0), SIZE_MAX);
    for (uint64_t offers = 1; offers < 5; offers++) {
        for (uint32_t i = 0; i < SENDER_UNHELPED_BATCHES; i++)
            assert_int_equal(spead_sender_share(&share, offers), SENDER_HELPED_BYTES);
        for (uint32_t i = 0; offers % 2 && i < 3 * SENDER_UNHELPED_BATCHES; i++)
            assert_int_equal(spead_sender_share(&share, offers), SIZE_MAX);
    }
}

static void test_help_often(void **unused)
{
    enum { STATES = 3, BATCH = 24, ROUNDS = 300 };
    (void)unused;
    struct receiver receiver;
    struct weir_spead_completion completions[STATES] = {0};
    struct weir_spead_outgoing *heaps[STATES][BATCH];
    struct weir_spead_sender_counters counters;
    open_receiver(&receiver, AF_INET, SOCK_DGRAM);
    struct weir_spead_sender *sender = open_sender(
        &receiver, 1, (struct weir_spead_sender_options){.packet_size = SMALL_PACKET, .max_heaps = STATES * BATCH});
    for (uint32_t i = 0; i < STATES * BATCH; i++)
        heaps[i / BATCH][i % BATCH] = make_heap(pool + i * 64, i % 5 == 0 ? 40000 : 1 + i * 100);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct weir_spead_completion *completion = &completions[round % STATES];
        struct weir_spead_send sends[BATCH];
        assert_int_equal(weir_spead_completion_help(sender, completion, WEIR_NEVER, NULL), 0);
        weir_spead_completion_begin(completion, NULL, BATCH);
        for (uint32_t i = 0; i < BATCH; i++)
            sends[i] = (struct weir_spead_send){
                .heap = heaps[round % STATES][i], .sent = weir_spead_completed, .argument = completion};
        assert_int_equal(weir_spead_send_wait(sender, NULL, sends, BATCH, WEIR_NEVER), 0);
    }
    for (uint32_t i = 0; i < STATES; i++)
        assert_int_equal(weir_spead_completion_help(sender, &completions[i], WEIR_NEVER, NULL), 0);
    weir_spead_sender_count(sender, &counters);
    assert_int_equal(counters.heaps, ROUNDS * BATCH);
    assert_int_equal(counters.failed_heaps, 0);
    assert_int_equal(counters.in_flight, 0);
    assert_int_equal(weir_spead_sender_close(sender, NULL, WEIR_NEVER), 0);
    for (uint32_t i = 0; i < STATES * BATCH; i++)
        weir_spead_outgoing_free(heaps[i / BATCH][i % BATCH]);
    close(receiver.descriptor);
}

/* ---- Heaps and groups ------------------------------------------------------------------------------------------ */

static void test_group(void **state)
{
    (void)state;
    struct weir_spead_group *group = NULL;
    struct weir_spead_outgoing *heap = make_heap(NULL, 0);
    const int64_t shape[] = {4};
    const struct weir_spead_format u8 = {'u', 8}, u40 = {'u', 40};
    uint64_t samples = 0, timestamp = 0;
    assert_int_equal(weir_spead_group_new((struct weir_spead_flavour){0}, &group), 0);
    struct weir_spead_description what = {
        .name = "samples", .text = "", .shape = shape, .dimensions = 1, .format = &u8, .fields = 1};
    assert_int_equal(weir_spead_group_describe(group, &what, &samples), 0);
    what = (struct weir_spead_description){.id = 0x1600, .name = "timestamp", .format = &u40, .fields = 1};
    assert_int_equal(weir_spead_group_describe(group, &what, &timestamp), 0);
    assert_int_equal(samples, 0x1000);
    assert_int_equal(timestamp, 0x1600);
    what.id = 0;
    assert_int_equal(weir_spead_group_describe(group, &what, NULL), -EEXIST);
    assert_int_equal(weir_spead_group_set(group, 0x1001, pool, 4), -ENOENT);
    assert_int_equal(weir_spead_group_set(group, samples, pool, 8), 0);
    assert_int_equal(weir_spead_group_set_value(group, timestamp, 1), 0);

    assert_int_equal(weir_spead_group_fill(group, heap, WEIR_SPEAD_CHANGED, WEIR_SPEAD_CHANGED), 0);
    uint64_t first = weir_spead_outgoing_bytes(heap);
    assert_true(first > 8 + 2 * 80); /* two descriptors, eight bytes, an immediate */
    weir_spead_outgoing_clear(heap);
    assert_int_equal(weir_spead_group_fill(group, heap, WEIR_SPEAD_CHANGED, WEIR_SPEAD_CHANGED), 0);
    assert_int_equal(weir_spead_outgoing_bytes(heap), 0); /* nothing has changed */
    assert_int_equal(weir_spead_group_touch(group, samples), 0);
    assert_int_equal(weir_spead_group_fill(group, heap, WEIR_SPEAD_CHANGED, WEIR_SPEAD_CHANGED), 0);
    assert_int_equal(weir_spead_outgoing_bytes(heap), 8);
    weir_spead_outgoing_clear(heap);
    assert_int_equal(weir_spead_group_fill(group, heap, WEIR_SPEAD_ALL, WEIR_SPEAD_ALL), 0);
    assert_int_equal(weir_spead_outgoing_bytes(heap), first);
    weir_spead_outgoing_clear(heap);
    what = (struct weir_spead_description){.id = samples, .name = "samples", .dtype = "{'descr': '<u1'}"};
    assert_int_equal(weir_spead_group_describe(group, &what, NULL), 0); /* described anew: both go out again */
    assert_int_equal(weir_spead_group_fill(group, heap, WEIR_SPEAD_CHANGED, WEIR_SPEAD_CHANGED), 0);
    assert_true(weir_spead_outgoing_bytes(heap) > 8 + 80);
    weir_spead_outgoing_free(heap);
    weir_spead_group_free(group);
}

int main(void)
{
    for (size_t i = 0; i < POOL; i++)
        pool[i] = (uint8_t)(i * 2654435761u >> 13);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),     cmocka_unit_test(test_counts),      cmocka_unit_test(test_full_queue),
        cmocka_unit_test(test_abandoned), cmocka_unit_test(test_threads),     cmocka_unit_test(test_wakeups),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_bad_options), cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_group),     cmocka_unit_test(test_help),        cmocka_unit_test(test_help_often),
        cmocka_unit_test(test_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
