/* SPDX-License-Identifier: MIT */
#include "net/spead_outgoing.h"

#include <errno.h>

#include "base/memory.h"

int spead_flavour_of(struct weir_spead_flavour flavour, struct spead_flavour *ret)
{
    struct spead_flavour result = {
        .address_bits = flavour.address_bits ? flavour.address_bits : SPEAD_ADDRESS_BITS_DEFAULT,
        .bug_compat = flavour.pyspead ? SPEAD_BUG_PYSPEAD_0_5_2 : 0,
    };
    if (!spead_flavour_valid(result))
        return -EINVAL;
    *ret = result;
    return 0;
}

int spead_descriptor_of(const struct weir_spead_description *description, struct spead_descriptor *ret)
{
    if (description->dimensions > SPEAD_DIMENSIONS_MAX || description->fields > SPEAD_FORMAT_FIELDS_MAX)
        return -EINVAL;
    *ret = (struct spead_descriptor){
        .id = description->id,
        .name = spead_text(description->name ? description->name : ""),
        .description = spead_text(description->text ? description->text : ""),
        .numpy = description->dtype && *description->dtype,
        .dtype = spead_text(description->dtype ? description->dtype : ""),
        .dimensions = description->dimensions,
        .fields = description->fields,
    };
    for (uint32_t i = 0; i < description->dimensions; i++)
        ret->shape[i] = description->shape[i] < 0 ? SPEAD_VARIABLE : description->shape[i];
    for (uint32_t i = 0; i < description->fields; i++)
        ret->format[i] = (struct spead_format_field){description->format[i].code, description->format[i].bits};
    return 0;
}

/* ---- Heaps ----------------------------------------------------------------------------------------------------- */

int weir_spead_outgoing_new(struct weir_spead_flavour flavour, struct weir_spead_outgoing **ret)
{
    struct spead_flavour wire;
    int error = spead_flavour_of(flavour, &wire);
    if (error)
        return error;
    struct weir_spead_outgoing *heap = memory_zeroed(1, sizeof *heap);
    if (!heap)
        return -ENOMEM;
    heap->wire.flavour = wire;
    *ret = heap;
    return 0;
}

void weir_spead_outgoing_clear(struct weir_spead_outgoing *heap)
{
    while (heap->blobs) {
        struct spead_blob *blob = heap->blobs;
        heap->blobs = blob->next;
        memory_free(blob);
    }
    heap->wire.count = 0;
    heap->bytes = 0;
}

void weir_spead_outgoing_free(struct weir_spead_outgoing *heap)
{
    if (!heap)
        return;
    weir_spead_outgoing_clear(heap);
    memory_free(heap->items);
    memory_free(heap);
}

static int add_item(struct weir_spead_outgoing *heap, const struct spead_encode_item *item)
{
    if (item->id > spead_id_most(heap->wire.flavour) || item->size > spead_address_mask(heap->wire.flavour))
        return -EINVAL;
    if (heap->wire.count == SPEAD_OUTGOING_ITEMS_MAX)
        return -ENOMEM;
    if (heap->wire.count == heap->capacity) {
        size_t capacity = heap->capacity ? heap->capacity * 2 : 8;
        struct spead_encode_item *items = memory_resize(heap->items, capacity * sizeof *items);
        if (!items)
            return -ENOMEM;
        heap->wire.items = heap->items = items;
        heap->capacity = capacity;
    }
    heap->items[heap->wire.count++] = *item;
    heap->bytes += item->size;
    return 0;
}

int weir_spead_outgoing_add(struct weir_spead_outgoing *heap, uint64_t id, const void *data, size_t size)
{
    return add_item(heap,
                    &(struct spead_encode_item){.id = id, .kind = SPEAD_ENCODE_BYTES, .data = data, .size = size});
}

int weir_spead_outgoing_add_short(struct weir_spead_outgoing *heap, uint64_t id, const void *data, size_t size)
{
    return add_item(heap,
                    &(struct spead_encode_item){.id = id, .kind = SPEAD_ENCODE_SHORT, .data = data, .size = size});
}

int weir_spead_outgoing_add_made(struct weir_spead_outgoing *heap, uint64_t id, size_t size, weir_spead_make *make,
                                 void *argument)
{
    return add_item(heap, &(struct spead_encode_item){
                              .id = id, .kind = SPEAD_ENCODE_MADE, .size = size, .make = make, .argument = argument});
}

int weir_spead_outgoing_add_value(struct weir_spead_outgoing *heap, uint64_t id, uint64_t value)
{
    if (value > spead_address_mask(heap->wire.flavour))
        return -EINVAL;
    return add_item(heap, &(struct spead_encode_item){.id = id, .kind = SPEAD_ENCODE_VALUE, .value = value});
}

int weir_spead_outgoing_add_description(struct weir_spead_outgoing *heap,
                                        const struct weir_spead_description *description)
{
    struct spead_descriptor descriptor;
    size_t size;
    int error = spead_descriptor_of(description, &descriptor);
    if (error)
        return error;
    error = spead_encode_descriptor(&descriptor, heap->wire.flavour, NULL, 0, &size);
    if (error != -ENOSPC)
        return error;
    struct spead_blob *blob = memory_allocate(sizeof *blob + size);
    if (!blob)
        return -ENOMEM;
    blob->size = size;
    error = spead_encode_descriptor(&descriptor, heap->wire.flavour, blob->bytes, size, &size);
    if (!error)
        error = weir_spead_outgoing_add(heap, SPEAD_DESCRIPTOR, blob->bytes, size);
    if (error) {
        memory_free(blob);
        return error;
    }
    blob->next = heap->blobs;
    heap->blobs = blob;
    return 0;
}

int weir_spead_outgoing_add_control(struct weir_spead_outgoing *heap, enum weir_spead_control control)
{
    return weir_spead_outgoing_add_value(heap, SPEAD_STREAM_CTRL, (uint64_t)control);
}

void weir_spead_outgoing_repeat_pointers(struct weir_spead_outgoing *heap, bool repeat)
{
    heap->wire.repeat_pointers = repeat;
}

uint64_t weir_spead_outgoing_bytes(const struct weir_spead_outgoing *heap)
{
    return heap->bytes;
}
