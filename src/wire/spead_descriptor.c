/* SPDX-License-Identifier: MIT */
/* Descriptors: the packet in the packet, SHAPE and FORMAT. DTYPE is in spead_dtype.c. */
#include "wire/spead_decode.h"

enum { NAME_MAX_BYTES = 255, DESCRIPTOR_POINTERS_MAX = 64 };

static const char *const refusal_words[SPEAD_DESCRIPTOR_REFUSALS] = {
    [SPEAD_DESCRIPTOR_GOOD] = "good",
    [SPEAD_DESCRIPTOR_NO_PACKET] = "not a packet of the heap's flavour",
    [SPEAD_DESCRIPTOR_NO_ID] = "no item id",
    [SPEAD_DESCRIPTOR_BAD_NAME] = "a name that is no text, or too long",
    [SPEAD_DESCRIPTOR_BAD_SHAPE] = "a shape that cannot be read",
    [SPEAD_DESCRIPTOR_BAD_FORMAT] = "a format that cannot be read",
    [SPEAD_DESCRIPTOR_BAD_DTYPE] = "a dtype that cannot be read",
    [SPEAD_DESCRIPTOR_TOO_MANY] = "too many item pointers",
};

const char *spead_descriptor_refusal_words(enum spead_descriptor_refusal refusal)
{
    return (unsigned)refusal < SPEAD_DESCRIPTOR_REFUSALS ? refusal_words[refusal] : "unknown";
}

static enum spead_descriptor_refusal read_shape(struct spead_flavour flavour, const struct weir_spead_value *item,
                                                struct spead_descriptor *descriptor)
{
    unsigned address_bytes = flavour.bug_compat & SPEAD_BUG_DESCRIPTOR_WIDTHS ? 7 : flavour.address_bits / 8;
    unsigned width = 1 + address_bytes, variable = flavour.bug_compat & SPEAD_BUG_SHAPE_BIT_1 ? 2 : 1, variables = 0;
    if (item->length % width != 0 || item->length / width > SPEAD_DIMENSIONS_MAX)
        return SPEAD_DESCRIPTOR_BAD_SHAPE;
    descriptor->dimensions = (uint32_t)(item->length / width);
    for (uint32_t i = 0; i < descriptor->dimensions; i++) {
        const uint8_t *field = item->data + (size_t)i * width;
        bool varies = field[0] & variable;
        variables += varies;
        descriptor->shape[i] = varies ? SPEAD_VARIABLE : (int64_t)spead_load_bytes(field + 1, address_bytes);
    }
    return variables > 1 ? SPEAD_DESCRIPTOR_BAD_SHAPE : SPEAD_DESCRIPTOR_GOOD;
}

static bool field_is_good(struct spead_format_field field)
{
    switch (field.code) {
    case 'u':
    case 'i':
        return field.bits >= 1 && field.bits <= 64;
    case 'f':
        return field.bits == 32 || field.bits == 64;
    case 'c':
        return field.bits == 8;
    case 'b':
        return field.bits >= 1 && field.bits <= 64;
    default:
        return false;
    }
}

static enum spead_descriptor_refusal read_format(struct spead_flavour flavour, const struct weir_spead_value *item,
                                                 struct spead_descriptor *descriptor)
{
    unsigned width = flavour.bug_compat & SPEAD_BUG_DESCRIPTOR_WIDTHS ? 4 : 9 - flavour.address_bits / 8;
    if (item->length % width != 0 || item->length / width > SPEAD_FORMAT_FIELDS_MAX)
        return SPEAD_DESCRIPTOR_BAD_FORMAT;
    descriptor->fields = (uint32_t)(item->length / width);
    for (uint32_t i = 0; i < descriptor->fields; i++) {
        const uint8_t *bytes = item->data + (size_t)i * width;
        uint64_t bits = spead_load_bytes(bytes + 1, width - 1);
        struct spead_format_field field = {(char)bytes[0], bits > UINT16_MAX ? 0 : (uint16_t)bits};
        if (!field_is_good(field))
            return SPEAD_DESCRIPTOR_BAD_FORMAT;
        descriptor->format[i] = field;
    }
    if (descriptor->fields == 1)
        descriptor->element = (struct spead_element){.kind = descriptor->format[0].code,
                                                     .bits = descriptor->format[0].bits};
    return SPEAD_DESCRIPTOR_GOOD;
}

static bool name_is_good(struct spead_text name)
{
    for (size_t i = 0; i < name.length; i++) {
        if ((uint8_t)name.data[i] < ' ' || name.data[i] == 0x7f)
            return false;
    }
    return name.length <= NAME_MAX_BYTES;
}

/* One item of the descriptor's packet. */
static enum spead_descriptor_refusal read_item(struct spead_flavour flavour, const struct weir_spead_value *item,
                                               bool *has_id, struct spead_descriptor *descriptor)
{
    struct spead_text text = {(const char *)item->data, item->length};
    if (item->immediate) {
        if (item->id == SPEAD_DESCRIPTOR_ID) {
            descriptor->id = item->value;
            *has_id = item->value <= spead_id_most(flavour);
        }
        return SPEAD_DESCRIPTOR_GOOD;
    }
    switch (item->id) {
    case SPEAD_DESCRIPTOR_NAME:
        descriptor->name = text;
        return name_is_good(text) ? SPEAD_DESCRIPTOR_GOOD : SPEAD_DESCRIPTOR_BAD_NAME;
    case SPEAD_DESCRIPTOR_DESCRIPTION:
        descriptor->description = text;
        return SPEAD_DESCRIPTOR_GOOD;
    case SPEAD_DESCRIPTOR_SHAPE:
        return read_shape(flavour, item, descriptor);
    case SPEAD_DESCRIPTOR_FORMAT:
        return read_format(flavour, item, descriptor);
    case SPEAD_DESCRIPTOR_DTYPE:
        descriptor->dtype = text;
        return SPEAD_DESCRIPTOR_GOOD;
    default:
        return SPEAD_DESCRIPTOR_GOOD;
    }
}

enum spead_descriptor_refusal spead_descriptor_decode(struct spead_flavour flavour, const void *data, size_t size,
                                                      struct spead_descriptor *ret)
{
    struct spead_packet_view packet;
    uint64_t pointers[DESCRIPTOR_POINTERS_MAX];
    uint32_t order[DESCRIPTOR_POINTERS_MAX];
    struct weir_spead_value items[DESCRIPTOR_POINTERS_MAX];
    size_t count = 0;
    bool has_id = false;
    *ret = (struct spead_descriptor){.name = {"", 0}, .description = {"", 0}, .dtype = {"", 0}};
    if (spead_packet_decode(data, size, false, &packet) != SPEAD_GOOD || packet.payload_offset != 0 ||
        packet.flavour.address_bits != flavour.address_bits ||
        (packet.heap_length != SPEAD_LENGTH_UNKNOWN && packet.heap_length != packet.payload_length))
        return SPEAD_DESCRIPTOR_NO_PACKET;
    if (packet.pointers > DESCRIPTOR_POINTERS_MAX)
        return SPEAD_DESCRIPTOR_TOO_MANY;
    for (uint32_t i = 0; i < packet.pointers; i++) {
        uint64_t pointer = spead_packet_pointer(&packet, i);
        if (!spead_id_is_standard(spead_pointer_id(pointer, flavour)))
            pointers[count++] = pointer;
    }
    count = spead_items_decode(flavour, pointers, count, packet.payload, packet.payload_length, order, items);
    for (size_t i = 0; i < count; i++) {
        enum spead_descriptor_refusal refusal = read_item(flavour, &items[i], &has_id, ret);
        if (refusal != SPEAD_DESCRIPTOR_GOOD)
            return refusal;
    }
    if (!has_id)
        return SPEAD_DESCRIPTOR_NO_ID;
    if (ret->dtype.length > 0 && !spead_dtype_decode(ret->dtype, ret))
        return SPEAD_DESCRIPTOR_BAD_DTYPE;
    if (ret->numpy && flavour.bug_compat & SPEAD_BUG_SWAP_ENDIAN)
        ret->element.little_endian = !ret->element.little_endian;
    return SPEAD_DESCRIPTOR_GOOD;
}

/* ---- Shapes ---------------------------------------------------------------------------------------------------- */

uint64_t spead_element_bits(const struct spead_descriptor *descriptor)
{
    uint64_t bits = 0;
    if (descriptor->numpy)
        return descriptor->element.bits;
    for (uint32_t i = 0; i < descriptor->fields; i++)
        bits += descriptor->format[i].bits;
    return bits;
}

bool spead_item_shape(const struct spead_descriptor *descriptor, uint64_t bytes, int64_t *shape, uint64_t *ret_elements)
{
    uint64_t fixed = 1, bits = spead_element_bits(descriptor), product;
    int64_t *variable = NULL;
    if (bits == 0)
        return false;
    for (uint32_t i = 0; i < descriptor->dimensions; i++) {
        shape[i] = descriptor->shape[i];
        if (shape[i] == SPEAD_VARIABLE)
            variable = &shape[i];
        else if (__builtin_mul_overflow(fixed, (uint64_t)shape[i], &fixed))
            return false;
    }
    if (__builtin_mul_overflow(fixed, bits, &product) || fixed > INT64_MAX)
        return false;
    if (variable) {
        uint64_t there = bytes > UINT64_MAX / 8 ? UINT64_MAX : bytes * 8;
        *variable = product ? (int64_t)(there / product) : 0;
        *ret_elements = fixed * (uint64_t)*variable;
        return true;
    }
    *ret_elements = fixed;
    return product <= (bytes > UINT64_MAX / 8 ? UINT64_MAX : bytes * 8);
}
