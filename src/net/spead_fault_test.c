/* SPDX-License-Identifier: MIT */
/*
 * The sender when the system refuses packets: sendmmsg is this program's own and fails as each test says, then goes on
 * to the kernel's. Each heap still completes once, and the words for its result say what to do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weir/part.h>
#include <weir/spead_send.h>
#include <cmocka.h>

#include "net/spead_batch.h"

enum { HEAPS = 6, HEAP_SIZE = 20000, PACKET = 1472 };

static _Atomic int fault;       /* errno of the calls that fail; 0: none */
static _Atomic long first, end; /* calls [first, end) fail */
static _Atomic long calls;
static _Atomic size_t larger_than; /* not 0: only messages of more bytes, and those of several packets, do */

static size_t message_size(const struct msghdr *message)
{
    size_t size = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        size += message->msg_iov[i].iov_len;
    return size;
}

int sendmmsg(int descriptor, struct mmsghdr *messages, unsigned count, int flags)
{
    long call = atomic_fetch_add(&calls, 1);
    size_t limit = atomic_load(&larger_than);
    bool fails = atomic_load(&fault) && call >= atomic_load(&first) && call < atomic_load(&end) &&
                 (limit == 0 || message_size(&messages[0].msg_hdr) > limit);
    if (!fails)
        return (int)syscall(SYS_sendmmsg, descriptor, messages, count, flags);
    errno = atomic_load(&fault);
    return -1;
}

static void fail_calls(int code, long from, long until, size_t limit)
{
    atomic_store(&calls, 0);
    atomic_store(&first, from);
    atomic_store(&end, until);
    atomic_store(&larger_than, limit);
    atomic_store(&fault, code);
}

struct told {
    _Atomic uint32_t times;
    _Atomic int result;
    _Atomic uint64_t bytes;
};

static void tell(void *argument, int result, uint64_t bytes)
{
    struct told *told = argument;
    atomic_fetch_add(&told->times, 1);
    atomic_store(&told->result, result);
    atomic_store(&told->bytes, bytes);
}

/* Sends heaps to a socket that nobody reads; what became of each is in `told`. */
static void send_heaps(struct told *told, struct weir_spead_sender_counters *ret)
{
    static uint8_t data[HEAP_SIZE];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    char name[32];
    const char *destination = name;
    struct weir_error error = {0};
    struct weir_spead_sender *sender = NULL;
    struct weir_spead_outgoing *heap = NULL;
    int sink = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(sink, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(sink, (struct sockaddr *)&address, &length), 0);
    snprintf(name, sizeof name, "127.0.0.1:%d", ntohs(address.sin_port));
    const struct weir_spead_sender_options options = {
        .destinations = &destination, .destination_count = 1, .packet_size = PACKET, .max_heaps = HEAPS};
    if (weir_spead_sender_open(&options, &error, &sender) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(weir_spead_outgoing_new((struct weir_spead_flavour){0}, &heap), 0);
    assert_int_equal(weir_spead_outgoing_add(heap, 0x1000, data, sizeof data), 0);
    memset(told, 0, HEAPS * sizeof *told);
    for (int i = 0; i < HEAPS; i++) {
        const struct weir_spead_send send = {.heap = heap, .sent = tell, .argument = &told[i]};
        assert_int_equal(weir_spead_send_wait(sender, NULL, &send, 1, WEIR_NEVER), 0);
    }
    assert_int_equal(weir_spead_sender_flush(sender, NULL, WEIR_NEVER), 0);
    weir_spead_sender_count(sender, ret);
    assert_int_equal(weir_spead_sender_close(sender, NULL, WEIR_NEVER), 0);
    fail_calls(0, 0, 0, 0);
    for (int i = 0; i < HEAPS; i++)
        assert_int_equal(told[i].times, 1);
    weir_spead_outgoing_free(heap);
    close(sink);
}

static uint64_t failed(const struct told *told, int result)
{
    uint64_t count = 0;
    for (int i = 0; i < HEAPS; i++)
        count += told[i].result == result;
    return count;
}

/* A queue that is full for a moment costs time, not heaps. */
static void test_no_memory_for_a_moment(void **state)
{
    struct told told[HEAPS];
    struct weir_spead_sender_counters counters;
    (void)state;
    fail_calls(ENOBUFS, 0, 5, 0);
    send_heaps(told, &counters);
    assert_int_equal(failed(told, 0), HEAPS);
    assert_int_equal(counters.no_memory, 5);
    assert_int_equal(counters.failed_heaps, 0);
    assert_true(told[0].bytes > HEAP_SIZE);
}

static void test_no_memory_for_long(void **state)
{
    struct told told[HEAPS];
    struct weir_spead_sender_counters counters;
    (void)state;
    fail_calls(ENOBUFS, 0, SPEAD_NO_MEMORY_TRIES, 0);
    send_heaps(told, &counters);
    assert_true(failed(told, -ENOBUFS) >= 1);
    assert_int_equal(failed(told, -ENOBUFS) + failed(told, 0), HEAPS);
    assert_int_equal(counters.failed_heaps, failed(told, -ENOBUFS));
    assert_int_equal(counters.no_memory, SPEAD_NO_MEMORY_TRIES);
    assert_non_null(strstr(weir_spead_explain(-ENOBUFS), "lower the rate"));
    assert_non_null(strstr(weir_spead_explain(-ENOBUFS), "net.core.wmem_max"));
}

/* The way takes no packet of that size, cut from a message or by itself. */
static void test_packets_too_large(void **state)
{
    struct told told[HEAPS];
    struct weir_spead_sender_counters counters;
    (void)state;
    fail_calls(EMSGSIZE, 0, 1 << 20, 1000);
    send_heaps(told, &counters);
    assert_int_equal(failed(told, -EMSGSIZE), HEAPS);
    assert_int_equal(counters.failed_heaps, HEAPS);
    for (int i = 0; i < HEAPS; i++)
        assert_true(told[i].bytes < PACKET); /* the rest at the end is small enough */
    assert_non_null(strstr(weir_spead_explain(-EMSGSIZE), "smaller packets (1472 bytes for an MTU of 1500)"));
}

/* It takes each packet, but does not cut messages: that is found out once, and nothing is lost. */
static void test_messages_that_are_not_cut(void **state)
{
    struct told told[HEAPS];
    struct weir_spead_sender_counters counters;
    (void)state;
    fail_calls(EMSGSIZE, 0, 1 << 20, PACKET);
    send_heaps(told, &counters);
    assert_int_equal(failed(told, 0), HEAPS);
    assert_false(counters.offload);
    assert_int_equal(counters.packets, counters.messages);
}

/* Whichever call is the one that fails, and however: all heaps complete, and only one batch of packets is lost. */
static void test_each_call_fails_in_turn(void **state)
{
    static const int codes[] = {EINTR, ENOBUFS, EMSGSIZE, ECONNREFUSED, ENETUNREACH, EPERM, ENETDOWN, EIO};
    (void)state;
    for (size_t c = 0; c < sizeof codes / sizeof *codes; c++) {
        for (long at = 0;; at++) {
            struct told told[HEAPS];
            struct weir_spead_sender_counters counters;
            fail_calls(codes[c], at, at + 1, 0);
            send_heaps(told, &counters);
            assert_int_equal(failed(told, 0) + failed(told, -codes[c]), HEAPS);
            assert_int_equal(counters.heaps, HEAPS);
            assert_string_not_equal(weir_spead_explain(-codes[c]), "sent");
            if (counters.calls <= (uint64_t)at || at == 12)
                break; /* it came through before its turn to fail */
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_memory_for_a_moment),  cmocka_unit_test(test_no_memory_for_long),
        cmocka_unit_test(test_packets_too_large),       cmocka_unit_test(test_messages_that_are_not_cut),
        cmocka_unit_test(test_each_call_fails_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
