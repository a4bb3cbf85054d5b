/* SPDX-License-Identifier: MIT */
/* weir spead recv: heaps as they come, with the options that users know from spead2_recv. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/spead_listen.h"
#include "app/spead_show.h"
#include "app/spead_traffic.h"
#include "base/clock.h"
#include "base/units.h"

enum { VERIFY_ID_FIRST = 0x1000 };

enum { READY_BYTES = 4 << 20 }; /* of a heap, unless --mem-upper says otherwise */

struct reception {
    struct spead_listen listen;
    struct spead_book book;
    struct weir_buffer out;
    bool quiet, descriptors, verify, json, pyspead;
    long long most;
    uint64_t heaps, bytes, verified; /* the last may have been wrong */
    uint32_t changes;                /* of the book, as shown */
    int64_t first_ns, last_ns;
};

/* ---- --verify -------------------------------------------------------------------------------------------------- */

/* An immediate holds one number. */
static uint64_t bytes_of(const struct weir_spead_value *value)
{
    return value->immediate ? 4 : value->length;
}

/* Compares one item; *state is the number before its first. False: said what is wrong. */
static bool verify_item(const struct weir_spead_heap *heap, const struct weir_spead_value *value, uint64_t *state)
{
    for (uint64_t i = 0; i < bytes_of(value) / 4; i++) {
        uint32_t actual = (uint32_t)value->value;
        *state = spead_traffic_next_number(*state);
        if (!value->immediate) {
            memcpy(&actual, value->data + 4 * i, sizeof actual);
            actual = be32toh(actual);
        }
        if (actual != *state) {
            app_say("heap %llu, item 0x%llx, element %llu: 0x%llx came, 0x%llx was sent",
                    (unsigned long long)heap->count, (unsigned long long)value->id, (unsigned long long)i,
                    (unsigned long long)actual, (unsigned long long)*state);
            return false;
        }
    }
    return true;
}

static bool verify_heap(const struct weir_spead_heap *heap)
{
    uint64_t items = 0, elements = 0, state;
    for (uint32_t i = 0; i < heap->value_count; i++) {
        const struct weir_spead_value *value = &heap->values[i];
        if (value->id < VERIFY_ID_FIRST)
            continue;
        if (items > 0 && bytes_of(value) != elements * 4) {
            app_say("heap %llu, item 0x%llx cannot be verified: its length is not that of the others; was it sent with "
                    "--verify?",
                    (unsigned long long)heap->count, (unsigned long long)value->id);
            return false;
        }
        elements = bytes_of(value) / 4;
        items++;
    }
    state = spead_traffic_number_before(heap->count, elements * items);
    for (uint32_t i = 0; i < heap->value_count; i++) {
        if (heap->values[i].id >= VERIFY_ID_FIRST && !verify_item(heap, &heap->values[i], &state))
            return false;
    }
    return true;
}

/* ---- Heaps ----------------------------------------------------------------------------------------------------- */

static void show_heap_json(struct reception *reception, const struct weir_spead_heap *heap)
{
    struct weir_buffer *out = &reception->out;
    buffer_format(out,
                  "{\"cnt\": %llu, \"flavour\": \"64-%u\", \"heap_len\": %zu, \"packets\": %u, \"complete\": %s, "
                  "\"source\": %u, \"items\": [",
                  (unsigned long long)heap->count, heap->address_bits, heap->memory.size, heap->packets,
                  heap->complete ? "true" : "false", heap->source);
    for (uint32_t i = 0; i < heap->value_count; i++) {
        const struct weir_spead_value *value = &heap->values[i];
        const struct spead_descriptor *descriptor = spead_book_find(&reception->book, value->id);
        buffer_format(out, "%s{\"id\": \"0x%04llx\"", i ? ", " : "", (unsigned long long)value->id);
        if (descriptor) {
            buffer_string(out, ", \"name\": ");
            buffer_json_string(out, descriptor->name.data, descriptor->name.length);
        }
        buffer_format(out, ", \"%s\": %llu}", value->immediate ? "immediate" : "bytes",
                      (unsigned long long)(value->immediate ? value->value : value->length));
    }
    buffer_string(out, "]}\n");
}

/* Returns -1, or the exit code with which to end. */
static int take_heap(struct reception *reception, const struct weir_spead_heap *heap)
{
    reception->last_ns = heap->last_ns;
    if (reception->heaps++ == 0)
        reception->first_ns = heap->first_ns;
    reception->bytes += heap->memory.size;
    if (spead_book_read(&reception->book, heap, reception->pyspead ? SPEAD_BUG_PYSPEAD_0_5_2 : 0) < 0) {
        app_say("out of memory");
        return APP_FAILED;
    }
    if (reception->descriptors && reception->changes != reception->book.changes)
        spead_show_book(&reception->out, &reception->book);
    reception->changes = reception->book.changes;
    if (reception->json)
        show_heap_json(reception, heap);
    else if (!reception->quiet)
        spead_show_heap(&reception->out, heap, &reception->book, NULL, false);
    if (reception->out.size > 0 && (!spead_show_flush(&reception->out, stdout) || fflush(stdout) != 0))
        return APP_FAILED; /* whoever read our output has gone */
    if (!reception->verify || !heap->complete)
        return -1;
    reception->verified++;
    return verify_heap(heap) ? -1 : APP_FAILED;
}

static void show_end(struct reception *reception, int status)
{
    char bytes[32];
    double seconds = (double)(reception->last_ns - reception->first_ns) * 1e-9;
    if (reception->json) {
        spead_show_statistics_json(&reception->out, reception->listen.receiver, reception->listen.signals.requests > 0);
        buffer_string(&reception->out, "\n");
        return;
    }
    buffer_format(&reception->out, "Received %llu heap%s", (unsigned long long)reception->heaps,
                  reception->heaps == 1 ? "" : "s");
    if (seconds > 0)
        buffer_format(&reception->out, " in %.3f s: %s/s, %.3f Gb/s", seconds,
                      units_show_bytes((uint64_t)((double)reception->bytes / seconds), bytes, sizeof bytes),
                      (double)reception->bytes * 8e-9 / seconds);
    if (reception->verify && status < 0)
        buffer_format(&reception->out, ", %llu verified", (unsigned long long)reception->verified);
    buffer_string(&reception->out, "\n");
    spead_show_statistics(&reception->out, reception->listen.receiver);
}

static int receive(struct reception *reception)
{
    struct weir_spead_heap *heap;
    int status = -1;
    while (status < 0 && spead_listen_next(&reception->listen, &heap) == 0) {
        status = take_heap(reception, heap);
        weir_memory_release(&heap->memory);
        if (reception->most > 0 && reception->heaps >= (uint64_t)reception->most)
            break;
        if (reception->heaps % 16 == 0)
            spead_listen_interrupts(&reception->listen);
    }
    weir_spead_receiver_stop(reception->listen.receiver);
    show_end(reception, status);
    if (status < 0)
        status = spead_listen_result(&reception->listen);
    if (!spead_show_flush(&reception->out, stdout) || fflush(stdout) != 0)
        return APP_FAILED;
    return status;
}

/* ---- Options --------------------------------------------------------------------------------------------------- */

struct texts {
    const char *packet, *buffer, *concurrent, *substreams, *ring, *memory, *heap_bytes, *idle, *stop, *heaps, *cpu,
        *spin, *ready, *ready_bytes, *ignored;
};

static int set_number(const char *option, const char *text, long long most, uint32_t *into)
{
    long long value;
    if (!text)
        return 0;
    if (app_count(option, text, 1, most, &value) < 0)
        return -EINVAL;
    *into = (uint32_t)value;
    return 0;
}

static int set_size(const char *option, const char *text, uint64_t *into)
{
    long long value;
    if (!text)
        return 0;
    if (app_size(option, text, &value) < 0)
        return -EINVAL;
    *into = (uint64_t)value;
    return 0;
}

static int set_stop(const char *text, struct weir_spead_receive_options *options)
{
    static const char *const names[] = {"any", "all", "never"};
    for (int i = 0; text && i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            options->stop = (enum weir_spead_stop)i;
            return 0;
        }
    }
    if (text)
        app_say("--stop %s: say any, all or never", text);
    return text ? -EINVAL : 0;
}

static int set_options(struct reception *reception, const struct texts *texts)
{
    struct weir_spead_receive_options *options = &reception->listen.options;
    long long idle = 0, spin = 0;
    long long cpu = -1;
    if (set_size("--packet", texts->packet, &options->packet_max) < 0 ||
        set_size("--buffer", texts->buffer, &options->socket_buffer) < 0 ||
        set_size("--memory", texts->memory, &options->memory) < 0 ||
        set_size("--max-heap", texts->heap_bytes, &options->max_heap_bytes) < 0 ||
        set_size("--mem-upper", texts->ready_bytes, &options->ready_bytes) < 0 ||
        (texts->ready && strcmp(texts->ready, "0") != 0 &&
         set_number("--mem-initial", texts->ready, 1 << 20, &options->ready_heaps) < 0) ||
        set_number("--concurrent-heaps", texts->concurrent, 4096, &options->max_heaps) < 0 ||
        set_number("--substreams", texts->substreams, 4096, &options->substreams) < 0 ||
        set_number("--ring-heaps", texts->ring, 1 << 20, &options->ring_heaps) < 0 ||
        (texts->cpu && app_count("--cpu", texts->cpu, 0, 1023, &cpu) < 0) || set_stop(texts->stop, options) < 0 ||
        (texts->idle && app_duration("--idle-timeout", texts->idle, &idle) < 0) ||
        (texts->spin && app_duration("--spin", texts->spin, &spin) < 0) ||
        (texts->heaps && app_count("--heaps", texts->heaps, 1, INT64_MAX, &reception->most) < 0))
        return -EINVAL;
    if (options->ready_heaps > 0 && options->ready_bytes == 0)
        options->ready_bytes = READY_BYTES;
    if ((uint64_t)options->max_heaps * (options->substreams ? options->substreams : 1) > 4096) {
        app_say("--concurrent-heaps times --substreams is over 4096");
        return -EINVAL;
    }
    options->cpu = (int)cpu + 1; /* 0: any */
    options->spin_ns = spin;
    if (texts->idle)
        options->idle_ns = idle ? idle : -1;
    return 0;
}

int cmd_spead_recv(int argc, char **argv)
{
    struct reception reception = {0};
    struct texts texts = {0};
    struct spead_listen *listen = &reception.listen;
    bool ignored = false;
    int operands = 0;
    const struct app_option options[] = {
        {"tcp", 0, NULL, "listen for TCP connections instead of UDP datagrams", .flag = &listen->tcp},
        {"pyspead", 0, NULL, "read descriptors as PySPEAD 0.5.2 writes them", .flag = &reception.pyspead},
        {"bind", 0, "INTERFACE", "multicast: the interface's name or address", .value = &listen->interface},
        {"only-from", 0, "HOST", "multicast: join this sender only", .value = &listen->only_from},
        {"packet", 0, "BYTES", "largest packet to accept (65535)", .value = &texts.packet},
        {"buffer", 0, "BYTES", "the socket's buffer (64MiB, or what there may be)", .value = &texts.buffer},
        {"concurrent-heaps", 0, "N", "partial heaps of each sender and substream (4)", .value = &texts.concurrent},
        {"substreams", 0, "N", "parallel substreams: heap count modulo N (1)", .value = &texts.substreams},
        {"ring-heaps", 0, "N", "received heaps that may wait (16, of small ones up to 4096)", .value = &texts.ring},
        {"memory", 0, "BYTES", "for all heaps together (1GiB)", .value = &texts.memory},
        {"max-heap", 0, "BYTES", "for one heap (256MiB)", .value = &texts.heap_bytes},
        {"in-order", 0, NULL, "drop packets out of order, as spead2_recv does", .flag = &listen->options.in_order},
        {"incomplete", 0, NULL, "show incomplete heaps too", .flag = &listen->options.incomplete},
        {"idle-timeout", 0, "TIME", "give a partial heap up after so long; 0: never (10s)", .value = &texts.idle},
        {"stop", 0, "any|all|never", "whose stop item ends a place: the first one's, every sender's, none's (any)",
         .value = &texts.stop},
        {"heaps", 0, "N", "end after N heaps", .value = &texts.heaps},
        {"quiet", 0, NULL, "show the totals only", .flag = &reception.quiet},
        {"descriptors", 0, NULL, "show descriptors", .flag = &reception.descriptors},
        {"verify", 0, NULL, "compare with what spead send --verify or spead2_send --verify sends",
         .flag = &reception.verify},
        {"json", 0, NULL, "a line for each heap, and the statistics as the last one", .flag = &reception.json},
        {"no-gro", 0, NULL, "take datagrams one by one", .flag = &listen->options.no_gro},
        {"cpu", 0, "N", "pin the receiving thread to this processor, from 0", .value = &texts.cpu},
        {"spin", 0, "TIME", "look again for so long before sleeping", .value = &texts.spin},
        {"joint", 0, NULL, "all places are one stream: the first stop item ends it", .flag = &listen->options.joint},
        {"ring", 0, NULL, "accepted: there is always a ring", .flag = &ignored},
        {"mem-pool", 0, NULL, "accepted: memory is always pooled", .flag = &ignored},
        {"memcpy-nt", 0, NULL, "accepted, without effect", .flag = &ignored},
        {"mem-initial", 0, "N", "heaps whose memory is made ready at the start (0)", .value = &texts.ready},
        {"mem-upper", 0, "BYTES", "bytes of each of those (4MiB)", .value = &texts.ready_bytes},
        {"mem-lower", 0, "BYTES", "accepted, without effect", .value = &texts.ignored},
        {"mem-max-free", 0, "N", "accepted, without effect", .value = &texts.ignored},
        {"threads", 0, "N", "accepted: there is one, which receives", .value = &texts.ignored},
        {.name = NULL},
    };
    const struct app_usage usage = {
        .synopsis = "spead recv [HOST:]PORT|FILE.pcap …",
        .summary = "Receives heaps and lists them with their items. Options that spead2_recv has too mean the same.",
        .description = "Several places may be given; a group's address is joined. Ctrl-C ends the receiving and shows\n"
                       "what there was; so does a stop item.",
        .options = options,
        .operands_least = 1,
        .operands_most = 64,
    };
    int status = app_parse(&usage, argc, argv, &operands);
    if (status >= 0)
        return status;
    if (set_options(&reception, &texts) < 0)
        return APP_USAGE;
    status = spead_listen_start(listen, argv + 1, operands);
    if (status >= 0)
        return status;
    status = receive(&reception);
    spead_listen_end(listen);
    spead_book_clear(&reception.book);
    buffer_free(&reception.out);
    return status;
}
