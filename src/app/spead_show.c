/* SPDX-License-Identifier: MIT */
#include "app/spead_show.h"

#include <stdio.h>

#include "base/memory.h"
#include "base/units.h"
#include "wire/spead_scalar.h"

enum { VALUES_SHOWN = 4, TEXT_SHOWN = 40, SOURCES_SHOWN = 1024 };

/* ---- Descriptors ----------------------------------------------------------------------------------------------- */

static void show_format(struct weir_buffer *out, const struct spead_descriptor *descriptor)
{
    if (descriptor->numpy && descriptor->element.kind == 0)
        buffer_format(out, "record of %u bytes", descriptor->element.bits / 8u);
    else if (descriptor->numpy && descriptor->element.kind == 'z')
        buffer_format(out, "complex%u", descriptor->element.bits);
    else if (descriptor->numpy && descriptor->element.pair)
        buffer_format(out, "complex %c%u", descriptor->element.kind, descriptor->element.bits / 2u);
    else if (descriptor->numpy)
        buffer_format(out, "%c%u", descriptor->element.kind, descriptor->element.bits);
    for (uint32_t i = 0; !descriptor->numpy && i < descriptor->fields; i++)
        buffer_format(out, "%s%c%u", i ? "," : "", descriptor->format[i].code, descriptor->format[i].bits);
    if (descriptor->element.bits > 8 && !descriptor->element.little_endian)
        buffer_string(out, " big-endian");
}

/* "u16 (1000, ?)": the type and shape of a descriptor. */
static void show_type(struct weir_buffer *out, const struct spead_descriptor *descriptor)
{
    show_format(out, descriptor);
    if (descriptor->dimensions == 0)
        return;
    buffer_string(out, " (");
    for (uint32_t i = 0; i < descriptor->dimensions; i++) {
        if (descriptor->shape[i] == SPEAD_VARIABLE)
            buffer_format(out, "%s?", i ? ", " : "");
        else
            buffer_format(out, "%s%lld", i ? ", " : "", (long long)descriptor->shape[i]);
    }
    buffer_string(out, descriptor->fortran_order && descriptor->dimensions > 1 ? ") Fortran order" : ")");
}

/* Bytes of text as they are, but for what a terminal would obey. */
static void show_text(struct weir_buffer *out, struct spead_text text)
{
    for (size_t i = 0; i < text.length; i++) {
        char c = (unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f ? '?' : text.data[i];
        buffer_append(out, &c, 1);
    }
}

void spead_show_book(struct weir_buffer *out, const struct spead_book *book)
{
    struct weir_buffer type = {0};
    if (book->count == 0)
        buffer_string(out, "no descriptors\n");
    else
        buffer_format(out, "%-8s %-20s %-24s %s\n", "id", "name", "type", "description");
    for (uint32_t i = 0; i < book->count; i++) {
        const struct spead_descriptor *entry = book->entries[i];
        type.size = 0;
        show_type(&type, entry);
        buffer_format(out, "0x%04llx   %-20s %-24.*s ", (unsigned long long)entry->id, entry->name.data, (int)type.size,
                      type.data ? type.data : "");
        show_text(out, entry->description);
        buffer_string(out, "\n");
    }
    if (book->refused)
        buffer_format(out, "%llu descriptor%s could not be read%s %s\n", (unsigned long long)book->refused,
                      book->refused == 1 ? "" : "s", book->refused == 1 ? ":" : ", such as", book->refused_words);
    buffer_free(&type);
}

/* ---- Heaps ----------------------------------------------------------------------------------------------------- */

static const char *well_known(const struct weir_spead_value *value)
{
    static const char *const controls[] = {"start of stream", "descriptors again", "stop", "descriptors changed"};
    if (value->id == SPEAD_DESCRIPTOR)
        return "(descriptor)";
    if (value->id == SPEAD_STREAM_CTRL)
        return value->value < 4 ? controls[value->value] : "(stream control)";
    return "";
}

static void show_integer(struct weir_buffer *out, struct spead_scalar scalar, int64_t number)
{
    if (scalar.kind == 'i')
        buffer_format(out, "%lld", (long long)number);
    else
        buffer_format(out, "%llu", (unsigned long long)number);
}

static void show_numbers(struct weir_buffer *out, struct spead_scalar scalar, const void *data, uint64_t count)
{
    double floats[VALUES_SHOWN];
    int64_t integers[VALUES_SHOWN];
    if (scalar.kind == 'f')
        spead_scalars_f64(scalar, data, 0, count, floats);
    else
        spead_scalars_i64(scalar, data, 0, count, integers);
    for (uint64_t i = 0; i < count; i++) {
        buffer_string(out, i ? " " : "");
        if (scalar.kind == 'f')
            buffer_format(out, "%.*g", scalar.bits == 64 ? 12 : 9, floats[i]);
        else
            show_integer(out, scalar, integers[i]);
    }
}

/* How many numbers the item has: as described, unless its bytes are too few. */
static uint64_t numbers_in(const struct spead_descriptor *descriptor, struct spead_scalar scalar,
                           const struct weir_spead_value *value)
{
    int64_t shape[SPEAD_DIMENSIONS_MAX];
    uint64_t elements, numbers, there = value->length * 8 / scalar.bits;
    bool good = spead_item_shape(descriptor, value->length, shape, &elements) &&
                !__builtin_mul_overflow(elements, (uint64_t)scalar.in_element, &numbers) && numbers <= there;
    return good ? numbers : there;
}

/* The first few numbers of the item. */
static void show_values(struct weir_buffer *out, const struct spead_descriptor *descriptor,
                        const struct weir_spead_value *value)
{
    struct spead_scalar scalar;
    if (!descriptor || !spead_scalar_of(descriptor, &scalar)) {
        if (value->immediate)
            buffer_format(out, "%llu", (unsigned long long)value->value);
        return;
    }
    uint64_t there = numbers_in(descriptor, scalar, value), shown = there < VALUES_SHOWN ? there : VALUES_SHOWN;
    uint64_t size = (there * scalar.bits + 7) / 8; /* an immediate's are the last ones of its bytes */
    uint8_t bytes[8];
    spead_store64(bytes, value->value);
    const uint8_t *data = value->immediate ? bytes + 8 - (size < 8 ? size : 8) : value->data;
    if (scalar.kind == 'c') {
        while (there > 0 && data[there - 1] == '\0')
            there--;
        show_text(out, (struct spead_text){(const char *)data, there < TEXT_SHOWN ? there : TEXT_SHOWN});
        buffer_string(out, there > TEXT_SHOWN ? "…" : "");
    } else if (value->immediate && there == 1 && scalar.kind != 'f') { /* perhaps not of whole bytes */
        show_integer(out, scalar, spead_scalar_immediate(scalar, value->value));
    } else {
        show_numbers(out, scalar, data, shown);
        buffer_string(out, there > shown ? " …" : "");
    }
}

static void show_value(struct weir_buffer *out, const struct spead_book *book, const struct weir_spead_value *value)
{
    const struct spead_descriptor *descriptor = spead_book_find(book, value->id);
    struct weir_buffer type = {0};
    if (descriptor)
        show_type(&type, descriptor);
    size_t begin = out->size;
    buffer_format(out, "  0x%04llx   %-20s %-24.*s ", (unsigned long long)value->id,
                  descriptor && descriptor->name.length ? descriptor->name.data : well_known(value), (int)type.size,
                  type.data ? type.data : "");
    if (!value->immediate)
        buffer_format(out, "%10llu byte%s  ", (unsigned long long)value->length, value->length == 1 ? " " : "s");
    else
        buffer_format(out, "%10s        ", "immediate");
    if (value->id != SPEAD_DESCRIPTOR)
        show_values(out, descriptor, value);
    while (!out->failed && out->size > begin && out->data[out->size - 1] == ' ')
        out->size--;
    buffer_string(out, "\n");
    buffer_free(&type);
}

static bool is_descriptor(const struct weir_spead_value *value)
{
    return value->id == SPEAD_DESCRIPTOR && !value->immediate;
}

/* All descriptors of the heap in one line: senders put them before all items, or each before its own. */
static void show_descriptors(struct weir_buffer *out, const struct weir_spead_heap *heap)
{
    uint64_t bytes = 0;
    uint32_t count = 0;
    char words[32];
    for (uint32_t i = 0; i < heap->value_count; i++) {
        bytes += is_descriptor(&heap->values[i]) ? heap->values[i].length : 0;
        count += is_descriptor(&heap->values[i]);
    }
    snprintf(words, sizeof words, count == 1 ? "(descriptor)" : "(%u descriptors)", count);
    if (count > 0)
        buffer_format(out, "  0x%04x   %-20s %-24s %10llu bytes\n", SPEAD_DESCRIPTOR, words, "",
                      (unsigned long long)bytes);
}

void spead_show_heap(struct weir_buffer *out, const struct weir_spead_heap *heap, const struct spead_book *book,
                     const char *source, bool brief)
{
    buffer_format(out, "heap %llu: %zu byte%s in %u packet%s, 64-%u", (unsigned long long)heap->count,
                  heap->memory.size, heap->memory.size == 1 ? "" : "s", heap->packets, heap->packets == 1 ? "" : "s",
                  heap->address_bits);
    if (source)
        buffer_format(out, ", from %s", source);
    if (!heap->complete)
        buffer_format(out, ", incomplete: %llu bytes are missing",
                      (unsigned long long)(heap->memory.size - heap->received));
    buffer_string(out, "\n");
    if (!brief)
        show_descriptors(out, heap);
    for (uint32_t i = 0; !brief && i < heap->value_count; i++) {
        if (!is_descriptor(&heap->values[i]))
            show_value(out, book, &heap->values[i]);
    }
}

/* ---- Statistics ------------------------------------------------------------------------------------------------ */

static bool is_loss(int counter)
{
    return counter != WEIR_SPEAD_PACKETS && counter != WEIR_SPEAD_BYTES && counter != WEIR_SPEAD_HEAPS &&
           counter != WEIR_SPEAD_SINGLE_PACKET_HEAPS && counter != WEIR_SPEAD_STOPS;
}

static void show_losses(struct weir_buffer *out, const struct weir_spead_counters *counters, const char *indent)
{
    for (int i = 0; i < WEIR_SPEAD_COUNTERS; i++) {
        if (is_loss(i) && counters->of[i])
            buffer_format(out, "%s%12llu  %s\n", indent, (unsigned long long)counters->of[i],
                          weir_spead_counter_words((enum weir_spead_counter)i));
    }
}

static struct weir_spead_source_statistics *read_sources(struct weir_spead_receiver *receiver, uint32_t *ret_count)
{
    struct weir_spead_source_statistics *sources = memory_zeroed(SOURCES_SHOWN, sizeof *sources);
    *ret_count = sources ? weir_spead_receiver_sources(receiver, sources, SOURCES_SHOWN) : 0;
    return sources;
}

static void show_taken(struct weir_buffer *out, const struct weir_spead_counters *counters)
{
    uint64_t heaps = counters->of[WEIR_SPEAD_HEAPS], packets = counters->of[WEIR_SPEAD_PACKETS];
    buffer_format(out, "%llu heap%s, %llu packet%s", (unsigned long long)heaps, heaps == 1 ? "" : "s",
                  (unsigned long long)packets, packets == 1 ? "" : "s");
}

static void show_sources(struct weir_buffer *out, const struct weir_spead_source_statistics *sources, uint32_t count)
{
    bool places = false; /* several */
    for (uint32_t i = 1; i < count; i++)
        places |= strcmp(sources[i].place, sources[0].place) != 0;
    for (uint32_t i = 0; i < count; i++) {
        buffer_format(out, "  %s%s%s: ", sources[i].name, places ? " to " : "", places ? sources[i].place : "");
        show_taken(out, &sources[i].counters);
        buffer_string(out, "\n");
        show_losses(out, &sources[i].counters, "  ");
    }
}

/* Which option would have taken what was refused. */
static void show_advice(struct weir_buffer *out, const struct weir_spead_statistics *all)
{
    char bytes[32];
    if (all->too_large_bytes)
        buffer_format(out, "Heaps of up to %s were refused as too large: --max-heap %llu takes them.\n",
                      units_show_bytes(all->too_large_bytes, bytes, sizeof bytes),
                      (unsigned long long)all->too_large_bytes);
    if (all->no_memory_bytes)
        buffer_format(out, "Heaps of up to %s were refused for want of memory: --memory %llu has room for them.\n",
                      units_show_bytes(all->no_memory_bytes, bytes, sizeof bytes),
                      (unsigned long long)all->memory_wanted);
}

void spead_show_statistics(struct weir_buffer *out, struct weir_spead_receiver *receiver)
{
    struct weir_spead_statistics all;
    uint32_t count;
    char bytes[32];
    weir_spead_receiver_statistics(receiver, &all);
    struct weir_spead_source_statistics *sources = read_sources(receiver, &count);
    show_taken(out, &all.total);
    buffer_format(out, ", %s of payload from %u sender%s\n",
                  units_show_bytes(all.total.of[WEIR_SPEAD_BYTES], bytes, sizeof bytes), all.sources,
                  all.sources == 1 ? "" : "s");
    const struct {
        uint64_t number;
        const char *words;
    } more[] = {
        {all.kernel_drops, all.kernel_drops == all.kernel_drop_buffers
                               ? "packets dropped by the kernel, as the socket's buffer was full"
                               : "packets, about, dropped by the kernel, as the socket's buffer was full"},
        {all.capture_other, "records that are not UDP"},
        {all.capture_fragments, "fragments of IP packets, which are not joined: the sender's are longer than the MTU "
                                "of the way; make them shorter (--packet)"},
        {all.capture_truncated, "packets that the capture has cut short: capture them whole (tcpdump -s 0)"},
        {all.capture_malformed, "packets with lengths that contradict each other"},
    };
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        if (more[i].number)
            buffer_format(out, "%12llu  %s\n", (unsigned long long)more[i].number, more[i].words);
    }
    if (all.capture_unknown_link)
        buffer_format(out,
                      "%12llu  records of link type %u: Ethernet, Linux cooked, raw IP and BSD loopback are read\n",
                      (unsigned long long)all.capture_unknown_link, all.capture_link);
    show_losses(out, &all.total, "");
    if (count > 1)
        show_sources(out, sources, count);
    show_advice(out, &all);
    memory_free(sources);
}

static void show_counters_json(struct weir_buffer *out, const struct weir_spead_counters *counters)
{
    for (int i = 0; i < WEIR_SPEAD_COUNTERS; i++)
        buffer_format(out, "%s\"%s\": %llu", i ? ", " : "", weir_spead_counter_name((enum weir_spead_counter)i),
                      (unsigned long long)counters->of[i]);
}

void spead_show_statistics_json(struct weir_buffer *out, struct weir_spead_receiver *receiver, bool interrupted)
{
    struct weir_spead_statistics all;
    uint32_t count;
    weir_spead_receiver_statistics(receiver, &all);
    struct weir_spead_source_statistics *sources = read_sources(receiver, &count);
    buffer_string(out, "{");
    show_counters_json(out, &all.total);
    buffer_format(
        out,
        ", \"kernel_drops\": %llu, \"kernel_drop_buffers\": %llu, \"datagrams\": %llu, \"receive_calls\": %llu, "
        "\"sleeps\": %llu, "
        "\"socket_buffer\": %llu, \"memory\": %llu, \"memory_peak\": %llu, \"heaps_held\": %u, "
        "\"too_large_bytes\": %llu, \"no_memory_bytes\": %llu, \"memory_wanted\": %llu, \"sources\": [",
        (unsigned long long)all.kernel_drops, (unsigned long long)all.kernel_drop_buffers,
        (unsigned long long)all.datagrams, (unsigned long long)all.receive_calls, (unsigned long long)all.sleeps,
        (unsigned long long)all.socket_buffer, (unsigned long long)all.memory, (unsigned long long)all.memory_peak,
        all.heaps_held, (unsigned long long)all.too_large_bytes, (unsigned long long)all.no_memory_bytes,
        (unsigned long long)all.memory_wanted);
    for (uint32_t i = 0; i < count; i++) {
        buffer_format(out, "%s{\"source\": \"%s\", \"place\": \"%s\", ", i ? ", " : "", sources[i].name,
                      sources[i].place);
        show_counters_json(out, &sources[i].counters);
        buffer_string(out, "}");
    }
    buffer_format(out, "], \"interrupted\": %s}", interrupted ? "true" : "false");
    memory_free(sources);
}

bool spead_show_flush(struct weir_buffer *out, void *stream)
{
    bool good = !out->failed && (out->size == 0 || fwrite(out->data, 1, out->size, stream) == out->size);
    out->size = 0;
    return good;
}
