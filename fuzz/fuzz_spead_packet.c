/* SPDX-License-Identifier: MIT */
/* Any bytes are a packet with its items and descriptors, or a refusal; nothing points outside of them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/spead_decode.h"

enum { POINTERS_MOST = 512 };

static void check_descriptor(struct spead_flavour flavour, const uint8_t *data, size_t size)
{
    struct spead_descriptor read;
    int64_t shape[SPEAD_DIMENSIONS_MAX];
    uint64_t elements;
    if (spead_descriptor_decode(flavour, data, size, &read) != SPEAD_DESCRIPTOR_GOOD) {
        return;
    }
    if (read.dimensions > SPEAD_DIMENSIONS_MAX || read.fields > SPEAD_FORMAT_FIELDS_MAX ||
        read.id > spead_id_most(flavour)) {
        abort();
    }
    const struct spead_text texts[] = {read.name, read.description, read.dtype};
    for (size_t i = 0; i < 3; i++) {
        if (texts[i].length > 0 &&
            ((const uint8_t *)texts[i].data < data || (const uint8_t *)texts[i].data + texts[i].length > data + size)) {
            abort();
        }
    }
    if (spead_item_shape(&read, size, shape, &elements) && elements > INT64_MAX) {
        abort();
    }
}

static void check_items(const struct spead_packet_view *packet, uint8_t bugs)
{
    uint64_t pointers[POINTERS_MOST], covered = 0;
    uint32_t order[POINTERS_MOST];
    struct weir_spead_value items[POINTERS_MOST];
    size_t count = 0;
    for (uint32_t i = 0; i < packet->pointers && count < POINTERS_MOST; i++) {
        uint64_t pointer = spead_packet_pointer(packet, i);
        if (!spead_id_is_standard(spead_pointer_id(pointer, packet->flavour))) {
            pointers[count++] = pointer;
        }
    }
    count = spead_items_decode(packet->flavour, pointers, count, packet->payload, packet->payload_length, order, items);
    for (size_t i = 0; i < count; i++) {
        if (items[i].immediate) {
            continue;
        }
        if (items[i].data < packet->payload || items[i].length == 0 ||
            items[i].data + items[i].length > packet->payload + packet->payload_length) {
            abort();
        }
        covered += items[i].length;
        if (items[i].id == SPEAD_DESCRIPTOR) {
            struct spead_flavour flavour = {packet->flavour.address_bits, bugs};
            check_descriptor(flavour, items[i].data, items[i].length);
        }
    }
    if (covered > packet->payload_length) { /* they overlap */
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct spead_packet_view packet;
    enum spead_refusal refusal = SPEAD_GOOD;
    if (size == 0) {
        return 0;
    }
    uint8_t bugs = data[0] & SPEAD_BUG_PYSPEAD_0_5_2;
    struct spead_flavour flavour = {(uint8_t)(8 + 8 * (data[0] >> 3) % 56), bugs};
    data++;
    size--;
    bool good = spead_packet_decode(data, size, false, &packet) == SPEAD_GOOD;
    uint64_t needs = spead_packet_needs(data, size, &refusal);
    if (good && (packet.size > size || needs != packet.size)) {
        abort();
    }
    if (needs == 0 && refusal == SPEAD_GOOD) {
        abort();
    }
    if (good) {
        check_items(&packet, bugs);
    }
    check_descriptor(flavour, data, size);
    struct spead_descriptor read = {0};
    spead_dtype_decode((struct spead_text){(const char *)data, size}, &read);
    return 0;
}
