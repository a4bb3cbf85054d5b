/* SPDX-License-Identifier: MIT */
/* weir spead inspect: what is in a capture, or in what comes to a port. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "app/spead_listen.h"
#include "app/spead_show.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "net/spead_pool.h"

enum { INSPECT_HEAPS_MOST = 10 * 1000 * 1000 }; /* that are shown */

/* A heap as it will be shown; its own text. */
struct seen {
    uint64_t count;
    uint32_t source, order;
    char *text;
    size_t size;
};
struct inspection {
    bool json, pyspead;
    long long most;
    struct seen *seen;
    uint32_t count, capacity;
    struct spead_book book;
    struct weir_buffer text; /* of one heap */
};

/* ---- One heap -------------------------------------------------------------------------------------------------- */

/* Bytes of the item that did not come. */
static uint64_t missing_bytes(const struct weir_spead_heap *heap, const struct weir_spead_value *value)
{
    uint64_t begin = value->value, end = begin + value->length, there = 0;
    for (uint32_t i = 0; i < heap->range_count; i++) {
        uint64_t from = heap->ranges[i].begin > begin ? heap->ranges[i].begin : begin;
        uint64_t to = heap->ranges[i].end < end ? heap->ranges[i].end : end;
        there += to > from ? to - from : 0;
    }
    return value->length - there;
}

static void show_item_json(struct weir_buffer *out, const struct weir_spead_heap *heap,
                           const struct weir_spead_value *value)
{
    char hex[SHA256_HEX];
    buffer_format(out, "   {\n    \"id\": \"0x%04llx\",\n", (unsigned long long)value->id);
    if (value->immediate) {
        buffer_format(out, "    \"immediate\": %llu\n   }", (unsigned long long)value->value);
        return;
    }
    uint64_t missing = missing_bytes(heap, value);
    buffer_format(out, "    \"bytes\": %llu,\n", (unsigned long long)value->length);
    if (missing == 0) {
        sha256_hex(value->data, value->length, hex);
        buffer_format(out, "    \"sha256\": \"%s\"\n   }", hex);
    } else {
        buffer_format(out, "    \"missing\": %llu\n   }", (unsigned long long)missing);
    }
}

static void show_heap_json(struct weir_buffer *out, const struct weir_spead_heap *heap)
{
    buffer_format(out, " {\n  \"cnt\": %llu,\n  \"flavour\": \"64-%u\",\n", (unsigned long long)heap->count,
                  heap->address_bits);
    buffer_format(out, "  \"heap_len\": %zu,\n  \"packets\": %u,\n  \"complete\": %s,\n  \"items\": [",
                  heap->memory.size, heap->packets, heap->complete ? "true" : "false");
    for (uint32_t i = 0; i < heap->value_count; i++) {
        buffer_string(out, i ? ",\n" : "\n");
        show_item_json(out, heap, &heap->values[i]);
    }
    buffer_string(out, heap->value_count ? "\n  ]\n }" : "]\n }");
}

static int add_heap(struct inspection *inspection, const struct weir_spead_heap *heap)
{
    int failed = spead_book_read(&inspection->book, heap, inspection->pyspead ? SPEAD_BUG_PYSPEAD_0_5_2 : 0);
    inspection->text.size = 0;
    if (inspection->json)
        show_heap_json(&inspection->text, heap);
    else
        spead_show_heap(&inspection->text, heap, &inspection->book, NULL, false);
    if (failed < 0 || inspection->text.failed || inspection->count == INSPECT_HEAPS_MOST ||
        !spead_array_reserve(&inspection->seen, &inspection->capacity, inspection->count + 1, sizeof *inspection->seen))
        return -ENOMEM;
    struct seen *seen = &inspection->seen[inspection->count];
    *seen = (struct seen){.count = heap->count,
                          .source = heap->source,
                          .order = inspection->count,
                          .text = memory_allocate(inspection->text.size),
                          .size = inspection->text.size};
    if (!seen->text)
        return -ENOMEM;
    memcpy(seen->text, inspection->text.data, seen->size);
    inspection->count++;
    return 0;
}

/* ---- All of them ----------------------------------------------------------------------------------------------- */

/* By sender, then by count: packets may have come in any order. */
static int compare_seen(const void *left, const void *right)
{
    const struct seen *a = left, *b = right;
    if (a->source != b->source)
        return a->source < b->source ? -1 : 1;
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static bool print_all(struct inspection *inspection, struct weir_spead_receiver *receiver)
{
    struct weir_buffer words = {0};
    if (inspection->count > 0)
        qsort(inspection->seen, inspection->count, sizeof *inspection->seen, compare_seen);
    if (inspection->json)
        fputs("[", stdout);
    for (uint32_t i = 0; i < inspection->count; i++) {
        if (inspection->json)
            fputs(i ? ",\n" : "\n", stdout);
        fwrite(inspection->seen[i].text, 1, inspection->seen[i].size, stdout);
    }
    if (inspection->json) {
        fputs(inspection->count ? "\n]\n" : "]\n", stdout);
    } else {
        buffer_string(&words, inspection->count ? "\n" : "");
        spead_show_book(&words, &inspection->book);
        buffer_string(&words, "\n");
    }
    spead_show_statistics(&words, receiver);
    bool good = spead_show_flush(&words, inspection->json ? stderr : stdout);
    buffer_free(&words);
    return good && fflush(stdout) == 0 && !ferror(stdout);
}

static int inspect(struct inspection *inspection, struct spead_listen *listen)
{
    struct weir_spead_heap *heap;
    int failed = 0;
    while (failed == 0 && (failed = spead_listen_next(listen, &heap)) == 0) {
        failed = add_heap(inspection, heap);
        weir_memory_release(&heap->memory);
        if (inspection->most > 0 && inspection->count >= inspection->most)
            break;
        if (inspection->count % 64 == 0)
            spead_listen_interrupts(listen);
    }
    if (failed == -ENOMEM) {
        app_say("out of memory after %u heaps; --heaps N looks at the first N only", inspection->count);
        return APP_FAILED;
    }
    int result = spead_listen_result(listen);
    return print_all(inspection, listen->receiver) ? result : APP_FAILED;
}

static void free_inspection(struct inspection *inspection)
{
    for (uint32_t i = 0; i < inspection->count; i++)
        memory_free(inspection->seen[i].text);
    memory_free(inspection->seen);
    spead_book_clear(&inspection->book);
    buffer_free(&inspection->text);
}

int cmd_spead_inspect(int argc, char **argv)
{
    struct inspection inspection = {0};
    struct spead_listen listen = {0};
    const char *heaps = NULL, *memory = NULL, *largest = NULL;
    long long memory_bytes = 2LL << 30, largest_bytes = 1LL << 30;
    int operands = 0;
    const struct app_option options[] = {
        {.name = "json", .help = "heaps and items as JSON; losses go to stderr", .flag = &inspection.json},
        {.name = "heaps", .argument = "N", .help = "end after N heaps", .value = &heaps},
        {.name = "memory", .argument = "BYTES", .help = "for all heaps together (2GiB)", .value = &memory},
        {.name = "max-heap", .argument = "BYTES", .help = "for one heap (1GiB)", .value = &largest},
        {.name = "pyspead", .help = "read descriptors as PySPEAD 0.5.2 writes them", .flag = &inspection.pyspead},
        {.name = "tcp", .help = "listen for TCP connections instead of UDP datagrams", .flag = &listen.tcp},
        {.name = "bind",
         .argument = "INTERFACE",
         .help = "multicast: the interface's name or address",
         .value = &listen.interface},
        {.name = NULL},
    };
    const struct app_usage usage = {
        .synopsis = "spead inspect FILE.pcap|[HOST]:PORT",
        .summary =
            "Shows what is in a capture of SPEAD streams, or in what comes to a port: heaps, items, descriptors,\n"
            "losses.",
        .description =
            "Heaps are listed by sender and count; incomplete ones too, with what is missing. Listening at a\n"
            "port ends with Ctrl-C, or after --heaps.",
        .options = options,
        .operands_least = 1,
        .operands_most = 1,
    };
    int status = app_parse(&usage, argc, argv, &operands);
    if (status >= 0)
        return status;
    if ((heaps && app_count("--heaps", heaps, 1, INSPECT_HEAPS_MOST, &inspection.most) < 0) ||
        (memory && app_size("--memory", memory, &memory_bytes) < 0) ||
        (largest && app_size("--max-heap", largest, &largest_bytes) < 0))
        return APP_USAGE;
    bool file = spead_listen_is_file(argv[1]);
    /* Of a file there is time to find everything that belongs together. */
    listen.options = (struct weir_spead_receive_options){.max_heaps = file ? 4096 : 64,
                                                         .remembered = file ? 4096 : 256,
                                                         .idle_ns = file ? -1 : 0,
                                                         .remember_always = file,
                                                         .incomplete = true,
                                                         .stop = WEIR_SPEAD_STOP_NEVER,
                                                         .memory = (uint64_t)memory_bytes,
                                                         .max_heap_bytes = (uint64_t)largest_bytes};
    status = spead_listen_start(&listen, argv + 1, operands);
    if (status >= 0)
        return status;
    status = inspect(&inspection, &listen);
    spead_listen_end(&listen);
    free_inspection(&inspection);
    return status;
}
