/* SPDX-License-Identifier: MIT */
#include "net/spead_book.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "net/spead_pool.h"

static struct spead_text copy_text(char **at, struct spead_text text)
{
    char *begin = *at;
    memcpy(begin, text.data ? text.data : "", text.length);
    begin[text.length] = '\0';
    *at += text.length + 1;
    return (struct spead_text){begin, text.length};
}

/* One allocation: the descriptor, then its texts. */
static struct spead_descriptor *copy(const struct spead_descriptor *read)
{
    size_t texts = read->name.length + read->description.length + read->dtype.length + 3;
    struct spead_descriptor *entry = memory_allocate(sizeof *entry + texts);
    if (!entry)
        return NULL;
    char *at = (char *)(entry + 1);
    *entry = *read;
    entry->name = copy_text(&at, read->name);
    entry->description = copy_text(&at, read->description);
    entry->dtype = copy_text(&at, read->dtype);
    return entry;
}

static bool same_text(struct spead_text a, struct spead_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static bool same(const struct spead_descriptor *a, const struct spead_descriptor *b)
{
    if (a->id != b->id || a->numpy != b->numpy || a->dimensions != b->dimensions || a->fields != b->fields ||
        !same_text(a->name, b->name) || !same_text(a->description, b->description) || !same_text(a->dtype, b->dtype) ||
        memcmp(a->shape, b->shape, a->dimensions * sizeof *a->shape) != 0 ||
        a->element.little_endian != b->element.little_endian)
        return false;
    for (uint32_t i = 0; i < a->fields; i++) {
        if (a->format[i].code != b->format[i].code || a->format[i].bits != b->format[i].bits)
            return false;
    }
    return true;
}

/* The first place whose id is not below. */
static uint32_t place_of(const struct spead_book *book, uint64_t id)
{
    uint32_t low = 0, high = book->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (book->entries[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct spead_descriptor *spead_book_find(const struct spead_book *book, uint64_t id)
{
    uint32_t at = place_of(book, id);
    return at < book->count && book->entries[at]->id == id ? book->entries[at] : NULL;
}

static void remove_at(struct spead_book *book, uint32_t at)
{
    memory_free(book->entries[at]);
    book->count--;
    memmove(book->entries + at, book->entries + at + 1, (book->count - at) * sizeof *book->entries);
}

/* Counts a descriptor that is no use, and says which: "samples" (0x3300): a dtype …: {'descr': … */
static void refuse(struct spead_book *book, const struct spead_descriptor *read, enum spead_descriptor_refusal refusal)
{
    int name = refusal == SPEAD_DESCRIPTOR_BAD_NAME || read->name.length > 80 ? 0 : (int)read->name.length;
    int dtype = refusal != SPEAD_DESCRIPTOR_BAD_DTYPE ? 0 : read->dtype.length < 100 ? (int)read->dtype.length : 100;
    snprintf(book->refused_words, sizeof book->refused_words, "item \"%.*s\" (0x%04llx): %s%s%.*s", name,
             name ? read->name.data : "", (unsigned long long)read->id, spead_descriptor_refusal_words(refusal),
             dtype ? ": " : "", dtype, dtype ? read->dtype.data : "");
    for (char *c = book->refused_words; *c; c++)
        *c = *c < ' ' || *c > '~' ? '?' : *c;
    book->refused++;
}

static int add(struct spead_book *book, const struct spead_descriptor *read)
{
    const struct spead_descriptor *known = spead_book_find(book, read->id);
    if (known && same(known, read))
        return 0;
    struct spead_descriptor *entry = copy(read);
    if (!entry)
        return -ENOMEM;
    for (uint32_t i = book->count; i-- > 0;) { /* an item is known by either */
        const struct spead_descriptor *other = book->entries[i];
        if (other->id == read->id || (read->name.length > 0 && same_text(other->name, read->name)))
            remove_at(book, i);
    }
    if (book->count == SPEAD_DESCRIPTORS_MAX ||
        !spead_array_reserve(&book->entries, &book->capacity, book->count + 1, sizeof *book->entries)) {
        memory_free(entry);
        refuse(book, read, SPEAD_DESCRIPTOR_TOO_MANY);
        return 0;
    }
    uint32_t at = place_of(book, read->id);
    memmove(book->entries + at + 1, book->entries + at, (book->count - at) * sizeof *book->entries);
    book->entries[at] = entry;
    book->count++;
    book->changes++;
    return 0;
}

int spead_book_read(struct spead_book *book, const struct weir_spead_heap *heap, uint8_t bug_compat)
{
    struct spead_flavour flavour = {heap->address_bits, bug_compat};
    for (uint32_t i = 0; i < heap->value_count; i++) {
        const struct weir_spead_value *value = &heap->values[i];
        struct spead_descriptor read;
        if (value->id != SPEAD_DESCRIPTOR || value->immediate)
            continue;
        enum spead_descriptor_refusal refusal = spead_descriptor_decode(flavour, value->data, value->length, &read);
        if (refusal != SPEAD_DESCRIPTOR_GOOD) {
            refuse(book, &read, refusal);
            continue;
        }
        int failed = add(book, &read);
        if (failed < 0)
            return failed;
    }
    return 0;
}

void spead_book_clear(struct spead_book *book)
{
    while (book->count > 0)
        remove_at(book, book->count - 1);
    memory_free(book->entries);
    *book = (struct spead_book){0};
}
