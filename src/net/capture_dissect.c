/* SPDX-License-Identifier: MIT */
/* A captured packet → the UDP datagram in it. */
#include <string.h>

#include "net/capture.h"

enum {
    LINK_NULL = 0,
    LINK_ETHERNET = 1,
    LINK_RAW_BSD = 12,
    LINK_RAW_OPENBSD = 14,
    LINK_RAW = 101,
    LINK_LOOP = 108,
    LINK_SLL = 113,
    LINK_IPV4 = 228,
    LINK_IPV6 = 229,
    LINK_SLL2 = 276,
};
enum { PROTOCOL_UDP = 17 };

struct cursor {
    const uint8_t *data;
    size_t size;  /* captured */
    size_t whole; /* as it was on the line */
};

static uint32_t load(const uint8_t *bytes, int count)
{
    uint32_t value = 0;
    for (int i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

static bool skip(struct cursor *at, size_t size)
{
    if (at->size < size)
        return false;
    at->data += size;
    at->size -= size;
    at->whole -= size;
    return true;
}

enum answer { ANSWER_UDP, ANSWER_OTHER, ANSWER_LINK, ANSWER_FRAGMENT, ANSWER_TRUNCATED, ANSWER_MALFORMED };

/* A header of `size` bytes, of which two at `at_type` say what follows: perhaps VLAN tags, then IP or something else.
 */
static enum answer skip_typed(struct cursor *at, size_t size, size_t at_type)
{
    if (at->size < size)
        return ANSWER_OTHER;
    uint32_t type = load(at->data + at_type, 2);
    skip(at, size);
    for (int i = 0; i < CAPTURE_VLANS_MAX && (type == 0x8100 || type == 0x88a8 || type == 0x9100); i++) {
        if (at->size < 4)
            return ANSWER_OTHER;
        type = load(at->data + 2, 2);
        skip(at, 4);
    }
    return type == 0x0800 || type == 0x86dd ? ANSWER_UDP : ANSWER_OTHER;
}

/* Everything below IP is taken off; what follows is an IP packet. */
static enum answer skip_link(uint32_t link, struct cursor *at)
{
    switch (link) {
    case LINK_ETHERNET:
        return skip_typed(at, 14, 12);
    case LINK_SLL:
        return skip_typed(at, 16, 14);
    case LINK_SLL2:
        return skip_typed(at, 20, 0);
    case LINK_NULL: /* an address family, in somebody's byte order: the IP version says enough */
    case LINK_LOOP:
        return skip(at, 4) ? ANSWER_UDP : ANSWER_OTHER;
    case LINK_RAW:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_IPV4:
    case LINK_IPV6:
        return ANSWER_UDP;
    default:
        return ANSWER_LINK;
    }
}

/* Cuts the packet to `size` bytes: Ethernet pads short ones. */
static enum answer cut(struct cursor *at, size_t size)
{
    if (size > at->whole)
        return ANSWER_MALFORMED;
    at->whole = size;
    if (at->size > size)
        at->size = size;
    return ANSWER_UDP;
}

static enum answer skip_ipv4(struct cursor *at, struct capture_datagram *datagram)
{
    if (at->size < 20)
        return at->whole < 20 ? ANSWER_MALFORMED : ANSWER_TRUNCATED;
    const uint8_t *head = at->data;
    size_t head_size = (head[0] & 15u) * 4, total = load(head + 2, 2);
    if (head_size < 20 || (total != 0 && total < head_size))
        return ANSWER_MALFORMED;
    if (total != 0 && cut(at, total) != ANSWER_UDP) /* 0: segmentation offload has left it open */
        return ANSWER_MALFORMED;
    if (head[9] != PROTOCOL_UDP)
        return ANSWER_OTHER;
    if (load(head + 6, 2) & 0x3fff)
        return ANSWER_FRAGMENT;
    memcpy(datagram->from, head + 12, 4);
    memcpy(datagram->to, head + 16, 4);
    return skip(at, head_size) ? ANSWER_UDP : ANSWER_TRUNCATED;
}

static enum answer skip_ipv6(struct cursor *at, struct capture_datagram *datagram)
{
    if (at->size < 40)
        return at->whole < 40 ? ANSWER_MALFORMED : ANSWER_TRUNCATED;
    uint8_t next = at->data[6];
    size_t length = load(at->data + 4, 2);
    datagram->ipv6 = true;
    memcpy(datagram->from, at->data + 8, 16);
    memcpy(datagram->to, at->data + 24, 16);
    skip(at, 40);
    if (length != 0 && cut(at, length) != ANSWER_UDP) /* 0: a jumbogram, or left open */
        return ANSWER_MALFORMED;
    for (int i = 0; i < CAPTURE_HEADERS_MAX && next != PROTOCOL_UDP; i++) {
        if (next != 0 && next != 43 && next != 44 && next != 60)
            return ANSWER_OTHER;
        if (at->size < 8)
            return at->whole < 8 ? ANSWER_MALFORMED : ANSWER_TRUNCATED;
        bool fragment = next == 44;
        if (fragment && load(at->data + 2, 2) & 0xfff9)
            return ANSWER_FRAGMENT;
        next = at->data[0];
        if (!skip(at, fragment ? 8 : 8 + 8 * (size_t)at->data[1]))
            return ANSWER_TRUNCATED;
    }
    return next == PROTOCOL_UDP ? ANSWER_UDP : ANSWER_OTHER;
}

static enum answer dissect(uint32_t link, struct cursor *at, struct capture_datagram *datagram)
{
    enum answer answer = skip_link(link, at);
    if (answer != ANSWER_UDP || at->size < 1)
        return answer != ANSWER_UDP ? answer : ANSWER_OTHER;
    int version = at->data[0] >> 4;
    if (version != 4 && version != 6)
        return ANSWER_OTHER;
    answer = version == 4 ? skip_ipv4(at, datagram) : skip_ipv6(at, datagram);
    if (answer != ANSWER_UDP)
        return answer;
    if (at->size < 8)
        return at->whole < 8 ? ANSWER_MALFORMED : ANSWER_TRUNCATED;
    datagram->from_port = (uint16_t)load(at->data, 2);
    datagram->to_port = (uint16_t)load(at->data + 2, 2);
    size_t length = load(at->data + 4, 2);
    if (length != 0 && (length < 8 || cut(at, length) != ANSWER_UDP))
        return ANSWER_MALFORMED;
    if (at->size < at->whole)
        return ANSWER_TRUNCATED;
    skip(at, 8);
    datagram->data = at->data;
    datagram->size = at->size;
    return ANSWER_UDP;
}

bool capture_dissect(uint32_t link, const uint8_t *data, size_t captured, size_t original,
                     struct capture_counts *counts, struct capture_datagram *ret)
{
    struct cursor at = {data, captured, original < captured ? captured : original};
    struct capture_datagram datagram = {0};
    enum answer answer = dissect(link, &at, &datagram);
    counts->records++;
    switch (answer) {
    case ANSWER_UDP:
        counts->datagrams++;
        datagram.time_ns = ret->time_ns;
        *ret = datagram;
        return true;
    case ANSWER_OTHER:
        counts->other++;
        return false;
    case ANSWER_LINK:
        counts->unknown_link++;
        counts->link = link;
        return false;
    case ANSWER_FRAGMENT:
        counts->fragments++;
        return false;
    case ANSWER_TRUNCATED:
        counts->truncated++;
        return false;
    case ANSWER_MALFORMED:
        counts->malformed++;
        return false;
    }
    return false;
}
