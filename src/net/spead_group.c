/* SPDX-License-Identifier: MIT */
/* Item groups: what was sent already, and what has changed since. */
#include <errno.h>

#include "base/memory.h"
#include "net/spead_outgoing.h"

struct group_item {
    struct weir_spead_description description; /* points into memory of its own, one block */
    void *block;
    struct spead_encode_item value;
    bool described, set, sent; /* what was sent; set: there is a value */
};
struct weir_spead_group {
    struct weir_spead_flavour flavour;
    struct spead_flavour wire;
    struct group_item *items;
    size_t count, capacity;
    uint64_t next_id;
};

int weir_spead_group_new(struct weir_spead_flavour flavour, struct weir_spead_group **ret)
{
    struct spead_flavour wire;
    int error = spead_flavour_of(flavour, &wire);
    if (error)
        return error;
    struct weir_spead_group *group = memory_zeroed(1, sizeof *group);
    if (!group)
        return -ENOMEM;
    group->flavour = flavour;
    group->wire = wire;
    group->next_id = WEIR_SPEAD_FIRST_ID;
    *ret = group;
    return 0;
}

void weir_spead_group_free(struct weir_spead_group *group)
{
    if (!group)
        return;
    for (size_t i = 0; i < group->count; i++)
        memory_free(group->items[i].block);
    memory_free(group->items);
    memory_free(group);
}

static struct group_item *find(struct weir_spead_group *group, uint64_t id)
{
    for (size_t i = 0; i < group->count; i++) {
        if (group->items[i].description.id == id)
            return &group->items[i];
    }
    return NULL;
}

static char *put(char **at, const void *data, size_t size)
{
    char *here = *at;
    if (size > 0)
        memcpy(here, data, size);
    *at += size;
    return here;
}

/* A copy whose pointers go into one block. */
static int copy_description(const struct weir_spead_description *from, struct weir_spead_description *ret, void **block)
{
    const char *name = from->name ? from->name : "", *text = from->text ? from->text : "";
    const char *dtype = from->dtype ? from->dtype : "";
    size_t shape = from->dimensions * sizeof *from->shape, format = from->fields * sizeof *from->format;
    size_t size = shape + format + strlen(name) + strlen(text) + strlen(dtype) + 3;
    char *at = *block = memory_allocate(size);
    if (!at)
        return -ENOMEM;
    *ret = *from;
    ret->shape = (const int64_t *)(void *)put(&at, from->shape, shape);
    ret->format = (const struct weir_spead_format *)(void *)put(&at, from->format, format);
    ret->name = put(&at, name, strlen(name) + 1);
    ret->text = put(&at, text, strlen(text) + 1);
    ret->dtype = put(&at, dtype, strlen(dtype) + 1);
    return 0;
}

static int next_id(struct weir_spead_group *group, uint64_t *ret)
{
    while (find(group, group->next_id))
        group->next_id++;
    if (group->next_id > spead_id_most(group->wire))
        return -ENOSPC;
    *ret = group->next_id++;
    return 0;
}

static int new_item(struct weir_spead_group *group, struct group_item **ret)
{
    if (group->count == SPEAD_GROUP_ITEMS_MAX)
        return -ENOSPC;
    if (group->count == group->capacity) {
        size_t capacity = group->capacity ? group->capacity * 2 : 8;
        struct group_item *items = memory_resize(group->items, capacity * sizeof *items);
        if (!items)
            return -ENOMEM;
        group->items = items;
        group->capacity = capacity;
    }
    *ret = &group->items[group->count++];
    **ret = (struct group_item){0};
    return 0;
}

/* True when this description can be sent, under whatever id. */
static bool can_be_sent(const struct weir_spead_group *group, const struct weir_spead_description *description)
{
    struct weir_spead_description with_id = *description;
    struct spead_descriptor descriptor;
    size_t size;
    if (!with_id.id)
        with_id.id = WEIR_SPEAD_FIRST_ID;
    return spead_descriptor_of(&with_id, &descriptor) == 0 &&
           spead_encode_descriptor(&descriptor, group->wire, NULL, 0, &size) == -ENOSPC;
}

int weir_spead_group_describe(struct weir_spead_group *group, const struct weir_spead_description *description,
                              uint64_t *ret_id)
{
    struct weir_spead_description copy;
    void *block;
    if (!can_be_sent(group, description))
        return -EINVAL;
    struct group_item *item = description->id ? find(group, description->id) : NULL;
    for (size_t i = 0; i < group->count; i++) {
        struct group_item *other = &group->items[i];
        if (other != item && description->name && *description->name &&
            strcmp(other->description.name, description->name) == 0)
            return -EEXIST;
    }
    int error = copy_description(description, &copy, &block);
    if (error)
        return error;
    if (!copy.id)
        error = next_id(group, &copy.id);
    if (!error && !item)
        error = new_item(group, &item);
    if (error) {
        memory_free(block);
        return error;
    }
    memory_free(item->block);
    item->block = block;
    item->description = copy;
    item->described = item->sent = false;
    item->value.id = copy.id;
    if (ret_id)
        *ret_id = copy.id;
    return 0;
}

static bool fixed_size(const struct weir_spead_description *description)
{
    for (uint32_t i = 0; i < description->dimensions; i++) {
        if (description->shape[i] < 0)
            return false;
    }
    return true;
}

int weir_spead_group_set(struct weir_spead_group *group, uint64_t id, const void *data, size_t size)
{
    struct group_item *item = find(group, id);
    if (!item)
        return -ENOENT;
    if (size > spead_address_mask(group->wire))
        return -EINVAL;
    item->value = (struct spead_encode_item){
        .id = id,
        .kind = fixed_size(&item->description) ? SPEAD_ENCODE_SHORT : SPEAD_ENCODE_BYTES,
        .data = data,
        .size = size,
    };
    item->set = true;
    item->sent = false;
    return 0;
}

int weir_spead_group_set_value(struct weir_spead_group *group, uint64_t id, uint64_t value)
{
    struct group_item *item = find(group, id);
    if (!item)
        return -ENOENT;
    if (value > spead_address_mask(group->wire))
        return -EINVAL;
    item->value = (struct spead_encode_item){.id = id, .kind = SPEAD_ENCODE_VALUE, .value = value};
    item->set = true;
    item->sent = false;
    return 0;
}

int weir_spead_group_touch(struct weir_spead_group *group, uint64_t id)
{
    struct group_item *item = find(group, id);
    if (!item)
        return -ENOENT;
    item->sent = false;
    return 0;
}

static int add_value(struct weir_spead_outgoing *heap, const struct spead_encode_item *value)
{
    switch (value->kind) {
    case SPEAD_ENCODE_VALUE:
        return weir_spead_outgoing_add_value(heap, value->id, value->value);
    case SPEAD_ENCODE_SHORT:
        return weir_spead_outgoing_add_short(heap, value->id, value->data, value->size);
    case SPEAD_ENCODE_MADE: /* never in a group */
    case SPEAD_ENCODE_BYTES:
        break;
    }
    return weir_spead_outgoing_add(heap, value->id, value->data, value->size);
}

static bool wanted(enum weir_spead_which which, bool sent)
{
    return which == WEIR_SPEAD_ALL || (which == WEIR_SPEAD_CHANGED && !sent);
}

int weir_spead_group_fill(struct weir_spead_group *group, struct weir_spead_outgoing *heap,
                          enum weir_spead_which descriptions, enum weir_spead_which values)
{
    if (heap->wire.flavour.address_bits != group->wire.address_bits)
        return -EINVAL;
    for (size_t i = 0; i < group->count; i++) {
        struct group_item *item = &group->items[i];
        int error = 0;
        if (wanted(descriptions, item->described))
            error = weir_spead_outgoing_add_description(heap, &item->description);
        if (error)
            return error;
        item->described |= wanted(descriptions, item->described);
    }
    for (size_t i = 0; i < group->count; i++) {
        struct group_item *item = &group->items[i];
        if (!item->set || !wanted(values, item->sent))
            continue;
        int error = add_value(heap, &item->value);
        if (error)
            return error;
        item->sent = true;
    }
    return 0;
}
