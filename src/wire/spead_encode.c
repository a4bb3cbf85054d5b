/* SPDX-License-Identifier: MIT */
#include "wire/spead_encode.h"

#include <errno.h>

static bool goes_immediate(const struct spead_encode_item *item, struct spead_flavour flavour)
{
    return item->kind == SPEAD_ENCODE_VALUE ||
           (item->kind == SPEAD_ENCODE_SHORT && item->size > 0 && item->size <= flavour.address_bits / 8u);
}

static int add_payload(struct spead_encoder *encoder, const struct spead_encode_heap *heap)
{
    uint64_t most = spead_address_mask(heap->flavour);
    for (size_t i = 0; i < heap->count; i++) {
        const struct spead_encode_item *item = &heap->items[i];
        if (item->id > spead_id_most(heap->flavour) || (item->kind == SPEAD_ENCODE_VALUE && item->value > most))
            return -EINVAL;
        if (goes_immediate(item, heap->flavour))
            continue;
        if (item->size > most - encoder->payload_size)
            return -EMSGSIZE;
        encoder->payload_size += item->size;
    }
    return 0;
}

int spead_encode_begin(struct spead_encoder *encoder, const struct spead_encode_heap *heap, uint64_t cnt,
                       size_t packet_size)
{
    if (!spead_flavour_valid(heap->flavour))
        return -EINVAL;
    packet_size &= ~(size_t)7;
    if (packet_size < SPEAD_PACKET_MIN || packet_size > SPEAD_PACKET_MAX)
        return -EMSGSIZE;
    *encoder = (struct spead_encoder){
        .heap = heap,
        .cnt = cnt & spead_address_mask(heap->flavour),
        .packet_size = packet_size,
        .pointers_most = (packet_size - SPEAD_PREFIX_SIZE - SPEAD_POINTER_SIZE) / SPEAD_POINTER_SIZE,
    };
    int error = add_payload(encoder, heap);
    if (error)
        return error;
    /* Packets that the pointers alone need, with one to spare for the NULL that may come. */
    uint64_t packets = heap->count / encoder->pointers_most + 1;
    if (heap->repeat_pointers && packets > 1)
        return -EMSGSIZE;
    uint64_t least = (packets - 1) * SPEAD_POINTER_SIZE + 1;
    if (encoder->payload_size < least) {
        encoder->payload_size = least;
        encoder->padded = true;
    }
    return encoder->payload_size > spead_address_mask(heap->flavour) ? -EMSGSIZE : 0;
}

uint64_t spead_encode_packet_count(const struct spead_encoder *encoder)
{
    uint64_t pointers = encoder->heap->count + encoder->padded - encoder->next_pointer;
    uint64_t left = encoder->payload_size - encoder->payload_offset, count = 0;
    uint64_t repeated = encoder->heap->repeat_pointers ? encoder->heap->count + encoder->padded : 0;
    while (left > 0 && pointers > 0 && !repeated) {
        uint64_t now = pointers < encoder->pointers_most ? pointers : encoder->pointers_most;
        uint64_t room = encoder->packet_size - SPEAD_PREFIX_SIZE - now * SPEAD_POINTER_SIZE;
        left -= left < room ? left : room;
        pointers -= now;
        count++;
    }
    uint64_t room = encoder->packet_size - SPEAD_PREFIX_SIZE - repeated * SPEAD_POINTER_SIZE;
    return count + (left + room - 1) / room;
}

/* ---- Packets --------------------------------------------------------------------------------------------------- */

static uint64_t item_pointer(struct spead_encoder *encoder, const struct spead_encode_item *item)
{
    struct spead_flavour flavour = encoder->heap->flavour;
    if (item->kind == SPEAD_ENCODE_VALUE)
        return spead_pointer(flavour, true, item->id, item->value);
    if (goes_immediate(item, flavour))
        return spead_pointer(flavour, true, item->id, spead_load_bytes(item->data, (unsigned)item->size));
    uint64_t pointer = spead_pointer(flavour, false, item->id, encoder->address);
    encoder->address += item->size;
    return pointer;
}

static uint8_t *put_header(struct spead_encoder *encoder, uint8_t *out, size_t pointers, size_t payload)
{
    const struct spead_encode_heap *heap = encoder->heap;
    struct spead_flavour flavour = heap->flavour;
    spead_store64(out, spead_header(flavour, (uint16_t)(pointers + SPEAD_STANDARD_POINTERS)));
    spead_store64(out + 8, spead_pointer(flavour, true, SPEAD_HEAP_CNT, encoder->cnt));
    spead_store64(out + 16, spead_pointer(flavour, true, SPEAD_HEAP_LEN, encoder->payload_size));
    spead_store64(out + 24, spead_pointer(flavour, true, SPEAD_PAYLOAD_OFFSET, encoder->payload_offset));
    spead_store64(out + 32, spead_pointer(flavour, true, SPEAD_PAYLOAD_LEN, payload));
    out += SPEAD_PREFIX_SIZE;
    for (size_t i = 0; i < pointers; i++, out += SPEAD_POINTER_SIZE) {
        if (encoder->next_pointer == heap->count)
            spead_store64(out, spead_pointer(flavour, false, SPEAD_NULL, encoder->address));
        else
            spead_store64(out, item_pointer(encoder, &heap->items[encoder->next_pointer]));
        encoder->next_pointer++;
    }
    return out;
}

struct piece {
    const uint8_t *data;
    const struct spead_encode_item *made; /* NULL: the bytes are at `data` */
    uint64_t offset;                      /* in what is made */
    size_t size;
};

/* The next bytes of payload, at most `most`; past the last item, zeros. */
static struct piece next_piece(struct spead_encoder *encoder, size_t most)
{
    static const uint8_t zeros[SPEAD_POINTER_SIZE];
    const struct spead_encode_heap *heap = encoder->heap;
    while (encoder->item < heap->count) {
        const struct spead_encode_item *item = &heap->items[encoder->item];
        size_t at = encoder->item_offset, left = goes_immediate(item, heap->flavour) ? 0 : item->size - at;
        if (left > 0) {
            size_t size = left < most ? left : most;
            encoder->item_offset += size;
            if (item->kind == SPEAD_ENCODE_MADE)
                return (struct piece){.made = item, .offset = at, .size = size};
            return (struct piece){.data = (const uint8_t *)item->data + at, .size = size};
        }
        encoder->item++;
        encoder->item_offset = 0;
    }
    return (struct piece){.data = zeros, .size = most < sizeof zeros ? most : sizeof zeros};
}

/* Payload behind the header at `arena` that ends at `out`. What lies in the arena without a gap shares a vector. */
static void put_payload(struct spead_encoder *encoder, uint8_t *out, size_t payload, struct iovec *vectors,
                        uint32_t most, struct spead_packet *packet)
{
    struct iovec *last = &vectors[0];
    bool in_arena = true;
    while (payload > 0) {
        struct piece piece = next_piece(encoder, payload);
        /* The last vector is kept for the arena: whatever comes then is copied. */
        bool copied = piece.made || piece.size < SPEAD_ENCODE_PIECE || packet->vectors == most ||
                      (packet->vectors + 1 == most && piece.size < payload);
        if (copied && !in_arena) {
            last = &vectors[packet->vectors++];
            *last = (struct iovec){out, 0};
        }
        if (copied) {
            if (piece.made)
                piece.made->make(piece.made->argument, piece.offset, out, piece.size);
            else
                memcpy(out, piece.data, piece.size);
            last->iov_len += piece.size;
            out += piece.size;
            packet->arena += (uint32_t)piece.size;
        } else {
            vectors[packet->vectors++] = (struct iovec){(void *)piece.data, piece.size};
        }
        in_arena = copied;
        payload -= piece.size;
    }
}

bool spead_encode_packet(struct spead_encoder *encoder, uint8_t *arena, struct iovec *vectors, uint32_t most,
                         struct spead_packet *ret)
{
    const struct spead_encode_heap *heap = encoder->heap;
    if (!spead_encode_more(encoder))
        return false;
    if (heap->repeat_pointers)
        encoder->next_pointer = encoder->address = 0;
    size_t pointers = heap->count + encoder->padded - encoder->next_pointer;
    if (pointers > encoder->pointers_most)
        pointers = encoder->pointers_most;
    size_t header = SPEAD_PREFIX_SIZE + pointers * SPEAD_POINTER_SIZE, payload = encoder->packet_size - header;
    if (payload > encoder->payload_size - encoder->payload_offset)
        payload = encoder->payload_size - encoder->payload_offset;
    uint8_t *out = put_header(encoder, arena, pointers, payload);
    vectors[0] = (struct iovec){arena, header};
    *ret = (struct spead_packet){.size = (uint32_t)(header + payload), .vectors = 1, .arena = (uint32_t)header};
    put_payload(encoder, out, payload, vectors, most, ret);
    encoder->payload_offset += payload;
    return true;
}

/* ---- Descriptors ----------------------------------------------------------------------------------------------- */

/* Bytes of the number in a SHAPE or FORMAT field, after its first byte. */
struct field_widths {
    unsigned size, bits;
};
static struct field_widths field_widths(struct spead_flavour flavour)
{
    if (flavour.bug_compat & SPEAD_BUG_DESCRIPTOR_WIDTHS)
        return (struct field_widths){.size = 7, .bits = 3};
    return (struct field_widths){.size = flavour.address_bits / 8u, .bits = 8 - flavour.address_bits / 8u};
}

static bool fits(uint64_t number, unsigned bytes)
{
    return bytes >= 8 || number >> (8 * bytes) == 0;
}

static bool descriptor_valid(const struct spead_descriptor *descriptor, struct spead_flavour flavour)
{
    struct field_widths widths = field_widths(flavour);
    unsigned variable = 0;
    if (!spead_flavour_valid(flavour) || descriptor->id == 0 || descriptor->id > spead_id_most(flavour) ||
        descriptor->dimensions > SPEAD_DIMENSIONS_MAX || descriptor->fields > SPEAD_FORMAT_FIELDS_MAX ||
        descriptor->dtype.length > SPEAD_DTYPE_MAX)
        return false;
    for (size_t i = 0; i < descriptor->name.length; i++) {
        if ((unsigned char)descriptor->name.data[i] < ' ')
            return false;
    }
    for (uint32_t i = 0; i < descriptor->dimensions; i++) {
        int64_t size = descriptor->shape[i];
        variable += size == SPEAD_VARIABLE;
        if (size < SPEAD_VARIABLE || (size > 0 && !fits((uint64_t)size, widths.size)))
            return false;
    }
    for (uint32_t i = 0; i < descriptor->fields; i++) {
        if (!descriptor->format[i].code || !fits(descriptor->format[i].bits, widths.bits))
            return false;
    }
    return variable <= 1;
}

static uint8_t *put_text(uint8_t *out, struct spead_text text)
{
    if (text.length > 0)
        memcpy(out, text.data, text.length);
    return out + text.length;
}

static void put_fields(const struct spead_descriptor *descriptor, struct spead_flavour flavour, uint32_t fields,
                       uint32_t dimensions, uint8_t *out)
{
    struct field_widths widths = field_widths(flavour);
    for (uint32_t i = 0; i < fields; i++, out += 1 + widths.bits) {
        out[0] = (uint8_t)descriptor->format[i].code;
        spead_store_bytes(out + 1, widths.bits, descriptor->format[i].bits);
    }
    for (uint32_t i = 0; i < dimensions; i++, out += 1 + widths.size) {
        bool variable = descriptor->shape[i] == SPEAD_VARIABLE;
        out[0] = !variable ? 0 : flavour.bug_compat & SPEAD_BUG_SHAPE_BIT_1 ? 2 : 1;
        spead_store_bytes(out + 1, widths.size, variable ? 0 : (uint64_t)descriptor->shape[i]);
    }
    put_text(out, descriptor->dtype);
}

int spead_encode_descriptor(const struct spead_descriptor *descriptor, struct spead_flavour flavour, uint8_t *out,
                            size_t size, size_t *ret_size)
{
    if (!descriptor_valid(descriptor, flavour))
        return -EINVAL;
    /* A dtype says all: shape and format stay empty, as the reference's programs send them. */
    bool numpy = descriptor->dtype.length > 0;
    struct field_widths widths = field_widths(flavour);
    uint32_t fields = numpy ? 0 : descriptor->fields, dimensions = numpy ? 0 : descriptor->dimensions;
    uint16_t pointers = numpy ? 10 : 9;
    size_t lengths[] = {descriptor->name.length, descriptor->description.length, fields * (size_t)(1 + widths.bits),
                        dimensions * (size_t)(1 + widths.size), descriptor->dtype.length};
    static const enum spead_id ids[] = {SPEAD_DESCRIPTOR_NAME, SPEAD_DESCRIPTOR_DESCRIPTION, SPEAD_DESCRIPTOR_FORMAT,
                                        SPEAD_DESCRIPTOR_SHAPE, SPEAD_DESCRIPTOR_DTYPE};
    size_t payload = 0, header = SPEAD_HEADER_SIZE + pointers * (size_t)SPEAD_POINTER_SIZE;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        payload += lengths[i];
    *ret_size = header + payload;
    if (*ret_size > size)
        return -ENOSPC;
    const uint64_t standard[] = {1, payload, 0, payload, descriptor->id};
    static const enum spead_id standard_ids[] = {SPEAD_HEAP_CNT, SPEAD_HEAP_LEN, SPEAD_PAYLOAD_OFFSET,
                                                 SPEAD_PAYLOAD_LEN, SPEAD_DESCRIPTOR_ID};
    spead_store64(out, spead_header(flavour, pointers));
    out += SPEAD_HEADER_SIZE;
    for (size_t i = 0; i < 5; i++, out += SPEAD_POINTER_SIZE)
        spead_store64(out, spead_pointer(flavour, true, standard_ids[i], standard[i]));
    uint64_t address = 0;
    for (size_t i = 0; i < pointers - 5u; i++, out += SPEAD_POINTER_SIZE) {
        spead_store64(out, spead_pointer(flavour, false, ids[i], address));
        address += lengths[i];
    }
    out = put_text(put_text(out, descriptor->name), descriptor->description);
    put_fields(descriptor, flavour, fields, dimensions, out);
    return 0;
}
