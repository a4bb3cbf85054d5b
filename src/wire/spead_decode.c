/* SPDX-License-Identifier: MIT */
/* Packets and items. */
#include "wire/spead_decode.h"

static const char *const refusal_words[SPEAD_REFUSALS] = {
    [SPEAD_GOOD] = "good",
    [SPEAD_TOO_SHORT] = "shorter than a header",
    [SPEAD_NO_SPEAD] = "not a SPEAD packet",
    [SPEAD_BAD_FLAVOUR] = "a flavour that is not 64-XX",
    [SPEAD_POINTERS_OVERRUN] = "more item pointers than bytes",
    [SPEAD_NO_COUNT] = "no heap count",
    [SPEAD_NO_OFFSET] = "no payload offset",
    [SPEAD_NO_LENGTH] = "no payload length",
    [SPEAD_PAYLOAD_OVERRUN] = "payload longer than the packet",
    [SPEAD_BEYOND_HEAP] = "payload beyond the heap's length",
    [SPEAD_TRAILING_BYTES] = "bytes behind the payload",
};

const char *spead_refusal_words(enum spead_refusal refusal)
{
    return (unsigned)refusal < SPEAD_REFUSALS ? refusal_words[refusal] : "unknown";
}

/* ---- Packets --------------------------------------------------------------------------------------------------- */

/* The header and whether its pointers are there; sets flavour, pointers and pointer_bytes. */
static enum spead_refusal read_header(const uint8_t *bytes, size_t size, struct spead_packet_view *packet)
{
    if (size < SPEAD_HEADER_SIZE)
        return SPEAD_TOO_SHORT;
    if (bytes[0] != SPEAD_MAGIC || bytes[1] != SPEAD_VERSION)
        return SPEAD_NO_SPEAD;
    if (bytes[2] == 0 || bytes[3] == 0 || bytes[2] + bytes[3] != 8)
        return SPEAD_BAD_FLAVOUR;
    packet->flavour = (struct spead_flavour){.address_bits = (uint8_t)(8 * bytes[3])};
    packet->pointers = (uint32_t)spead_load_bytes(bytes + 6, 2);
    packet->pointer_bytes = bytes + SPEAD_HEADER_SIZE;
    if ((size - SPEAD_HEADER_SIZE) / SPEAD_POINTER_SIZE < packet->pointers)
        return SPEAD_POINTERS_OVERRUN;
    return SPEAD_GOOD;
}

/* Reads all pointers; the standard ones are searched for. */
static enum spead_refusal read_pointers(struct spead_packet_view *packet)
{
    uint64_t standard[SPEAD_STANDARD_POINTERS + 1];
    unsigned seen = 0;
    packet->ordered = packet->pointers >= SPEAD_STANDARD_POINTERS;
    packet->stops = false;
    for (uint32_t i = 0; i < packet->pointers; i++) {
        uint64_t pointer = spead_packet_pointer(packet, i), id = spead_pointer_id(pointer, packet->flavour);
        bool wanted = i < SPEAD_STANDARD_POINTERS ? id == i + 1 && spead_pointer_immediate(pointer)
                                                  : !spead_id_is_standard(id);
        packet->ordered &= wanted;
        if (!spead_pointer_immediate(pointer))
            continue;
        if (spead_id_is_standard(id)) {
            standard[id] = spead_pointer_value(pointer, packet->flavour);
            seen |= 1u << id;
        } else if (id == SPEAD_STREAM_CTRL) {
            packet->stops |= spead_pointer_value(pointer, packet->flavour) == SPEAD_CONTROL_STOP;
        }
    }
    if (!(seen & 1u << SPEAD_HEAP_CNT))
        return SPEAD_NO_COUNT;
    if (!(seen & 1u << SPEAD_PAYLOAD_OFFSET))
        return SPEAD_NO_OFFSET;
    if (!(seen & 1u << SPEAD_PAYLOAD_LEN))
        return SPEAD_NO_LENGTH;
    packet->heap_count = standard[SPEAD_HEAP_CNT];
    packet->heap_length = seen & 1u << SPEAD_HEAP_LEN ? standard[SPEAD_HEAP_LEN] : SPEAD_LENGTH_UNKNOWN;
    packet->payload_offset = standard[SPEAD_PAYLOAD_OFFSET];
    packet->payload_length = standard[SPEAD_PAYLOAD_LEN];
    return SPEAD_GOOD;
}

enum spead_refusal spead_packet_decode(const void *data, size_t size, bool datagram, struct spead_packet_view *ret)
{
    struct spead_packet_view packet = {0};
    enum spead_refusal refusal = read_header(data, size, &packet);
    if (refusal != SPEAD_GOOD || (refusal = read_pointers(&packet)) != SPEAD_GOOD)
        return refusal;
    size_t head = SPEAD_HEADER_SIZE + (size_t)packet.pointers * SPEAD_POINTER_SIZE;
    if (packet.payload_length > size - head)
        return SPEAD_PAYLOAD_OVERRUN;
    packet.payload = (const uint8_t *)data + head;
    packet.size = head + packet.payload_length;
    /* Neither is over 2^56: the sum does not wrap. */
    if (packet.payload_offset + packet.payload_length > packet.heap_length)
        return SPEAD_BEYOND_HEAP;
    if (datagram && packet.size != size)
        return SPEAD_TRAILING_BYTES;
    *ret = packet;
    return SPEAD_GOOD;
}

uint64_t spead_packet_needs(const void *data, size_t size, enum spead_refusal *ret_refusal)
{
    struct spead_packet_view packet = {0};
    enum spead_refusal refusal = read_header(data, size, &packet);
    if (refusal == SPEAD_TOO_SHORT)
        return SPEAD_HEADER_SIZE;
    if (refusal != SPEAD_GOOD && refusal != SPEAD_POINTERS_OVERRUN) {
        *ret_refusal = refusal;
        return 0;
    }
    uint64_t head = SPEAD_HEADER_SIZE + (uint64_t)packet.pointers * SPEAD_POINTER_SIZE;
    if (size < head)
        return head;
    refusal = read_pointers(&packet);
    if (refusal != SPEAD_GOOD) {
        *ret_refusal = refusal;
        return 0;
    }
    return head + packet.payload_length;
}

/* ---- Items ----------------------------------------------------------------------------------------------------- */

struct sorting {
    const uint64_t *pointers;
    uint64_t address_mask;
};

static bool comes_before(const struct sorting *sorting, uint32_t a, uint32_t b)
{
    uint64_t at_a = sorting->pointers[a] & sorting->address_mask, at_b = sorting->pointers[b] & sorting->address_mask;
    return at_a != at_b ? at_a < at_b : a < b;
}

/* A heap sort: no recursion, no memory, no bad case that somebody could send. */
static void sift_down(const struct sorting *sorting, uint32_t *order, size_t root, size_t count)
{
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && comes_before(sorting, order[child], order[child + 1]))
            child++;
        if (!comes_before(sorting, order[root], order[child]))
            return;
        uint32_t swapped = order[root];
        order[root] = order[child];
        order[child] = swapped;
    }
}

static void sort_by_address(const struct sorting *sorting, uint32_t *order, size_t count)
{
    bool sorted = true;
    for (size_t i = 1; i < count && sorted; i++)
        sorted = comes_before(sorting, order[i - 1], order[i]);
    if (sorted) /* as senders usually have them */
        return;
    for (size_t root = count / 2; root-- > 0;)
        sift_down(sorting, order, root, count);
    for (size_t end = count; end-- > 1;) {
        uint32_t swapped = order[0];
        order[0] = order[end];
        order[end] = swapped;
        sift_down(sorting, order, 0, end);
    }
}

size_t spead_items_decode(struct spead_flavour flavour, const uint64_t *pointers, size_t count, const uint8_t *payload,
                          uint64_t payload_length, uint32_t *order, struct weir_spead_value *ret)
{
    struct sorting sorting = {pointers, spead_address_mask(flavour)};
    size_t addressed = 0, items = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t value = spead_pointer_value(pointers[i], flavour);
        bool immediate = spead_pointer_immediate(pointers[i]);
        /* length 0: not yet known, or none */
        ret[i] = (struct weir_spead_value){.id = spead_pointer_id(pointers[i], flavour),
                                           .immediate = immediate,
                                           .value = value,
                                           .length = immediate ? flavour.address_bits / 8 : 0};
        if (!immediate && value < payload_length)
            order[addressed++] = (uint32_t)i;
    }
    sort_by_address(&sorting, order, addressed);
    for (size_t i = 0; i < addressed; i++) {
        struct weir_spead_value *item = &ret[order[i]];
        uint64_t end = i + 1 < addressed ? ret[order[i + 1]].value : payload_length;
        item->data = payload + item->value;
        item->length = end - item->value;
    }
    for (size_t i = 0; i < count; i++) {
        if (ret[i].id != SPEAD_NULL && ret[i].length > 0)
            ret[items++] = ret[i];
    }
    return items;
}
