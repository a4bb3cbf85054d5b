/* SPDX-License-Identifier: MIT */
/*
 * Heaps of SPEAD-64-XX, over UDP, TCP or from captures: a record for each.
 *
 *   receiving thread ──► ring ──► this source's thread ──► batches whose arrays lie in the heaps' own memory
 *        never waits on UDP: when the ring is full it sheds whole heaps, and counts
 *
 * A heap's memory goes back to the receiver when the last batch that shows it is released.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "parts/parts.h"
#include "parts/spead_columns.h"
#include "wire/spead.h"

enum { SOURCES_LOOKED_AT = 1024, LOOK_NS = 100 * 1000 * 1000, WINDOW = 2 /* chunks, unless said otherwise */ };

static const char *const stop_names[] = {"any", "all", "never", NULL};

struct source_spead {
    struct weir_list listen;
    struct weir_list captures;
    bool tcp;
    const char *interface, *only_from;
    int64_t max_heaps, substreams, ring_heaps, max_heap_bytes, heap_memory, packet_max, socket_buffer;
    int64_t idle_timeout, spin;
    int64_t cpu;
    int stop;
    bool joint, in_order;
    int64_t chunk_heaps, chunk_heap_bytes, chunk_window, chunk_step, chunk_first;
    const char *chunk_item;
    struct spead_columns_options columns_options;

    struct weir_env *env;
    struct weir_spead_receiver *receiver;
    struct spead_columns *columns;
    uint64_t taken;                 /* of the run's memory */
    int64_t wall_offset, last_came; /* see wall_offset() */
    struct weir_spead_source_statistics *sources;
    bool told_too_large, told_no_memory, told_outside, told_shed, told_parts;
};

/* ---- Running ---------------------------------------------------------------------------------------------------- */

static const char *sender_name(struct source_spead *self, uint32_t number)
{
    uint32_t count = weir_spead_receiver_sources(self->receiver, self->sources, SOURCES_LOOKED_AT);
    for (uint32_t i = 0; i < count; i++) {
        if (self->sources[i].number == number)
            return self->sources[i].name;
    }
    return "other";
}

/* From the clock of heaps to the wall clock, for heaps that came between the two times. A heap that came later has the
 * later time: the offset follows a wall clock that is set forward, and where that falls behind, it falls no faster than
 * heaps come. */
static int64_t wall_offset(struct source_spead *self, struct weir_context *context, int64_t first_ns, int64_t last_ns)
{
    int64_t wall = weir_wall_time(context), change = wall - weir_now(context) - self->wall_offset;
    int64_t later = first_ns > self->last_came && first_ns <= last_ns ? first_ns - self->last_came : 0;
    if (change > CLOCK_MILLISECOND)
        self->wall_offset += change;
    else if (change < -CLOCK_MILLISECOND)
        self->wall_offset -= -change < later ? -change : later;
    self->last_came = last_ns > self->last_came ? last_ns : self->last_came;
    return self->wall_offset;
}

/* When it came: by the machine's clock, or by the capture's. */
static struct spead_arrival arrival_of(struct source_spead *self, struct weir_context *context,
                                       const struct weir_spead_heap *heap)
{
    struct spead_arrival arrival = {.produced_ns = heap->last_ns, .wall_ns = heap->first_ns};
    if (self->captures.count > 0)
        arrival.produced_ns = weir_now(context);
    else
        arrival.wall_ns += wall_offset(self, context, heap->first_ns, heap->first_ns);
    if (!spead_columns_knows(self->columns, heap->source))
        arrival.sender = sender_name(self, heap->source);
    return arrival;
}

/* Makes a batch of many heaps that came into one block. */
static int take_chunk(struct source_spead *self, struct weir_context *context, struct weir_spead_heap *chunk,
                      struct weir_batch **ret)
{
    bool captured = self->captures.count > 0;
    int64_t first_ns = INT64_MAX, last_ns = INT64_MIN;
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < chunk->chunk->heaps; i++) {
        const struct weir_spead_heap *heap = chunk->chunk->placed[i];
        if (!heap)
            continue;
        first_ns = heap->first_ns < first_ns ? heap->first_ns : first_ns;
        last_ns = heap->first_ns > last_ns ? heap->first_ns : last_ns;
        error = spead_columns_read(self->columns, heap);
        if (error == 0 && !spead_columns_knows(self->columns, heap->source))
            error = spead_columns_name(self->columns, heap->source, sender_name(self, heap->source));
    }
    if (error < 0)
        return error;
    int64_t offset = captured ? 0 : wall_offset(self, context, first_ns, last_ns);
    return spead_columns_chunk(self->columns, chunk, offset, captured ? weir_now(context) : INT64_MIN, ret);
}

static int take_one(struct source_spead *self, struct weir_context *context, struct weir_spead_heap *heap,
                    struct weir_batch **ret)
{
    struct spead_arrival arrival = arrival_of(self, context, heap);
    int error = spead_columns_read(self->columns, heap);
    return error < 0 ? error : spead_columns_batch(self->columns, heap, &arrival, ret);
}

/* Says which heaps are refused, and which option would take them: once for each reason. */
static void look_at_refusals(struct source_spead *self)
{
    struct weir_spead_statistics statistics;
    weir_spead_receiver_statistics(self->receiver, &statistics);
    if (statistics.too_large_bytes > 0 && !self->told_too_large) {
        self->told_too_large = true;
        weir_notice(self->env, "heaps too large",
                    "heaps of %llu bytes are refused, as `max_heap_bytes` is %lld: `max_heap_bytes: %llu` takes them",
                    (unsigned long long)statistics.too_large_bytes, (long long)self->max_heap_bytes,
                    (unsigned long long)statistics.too_large_bytes);
    }
    if (statistics.no_memory_bytes > 0 && !self->told_no_memory) {
        self->told_no_memory = true;
        weir_notice(self->env, "no memory for heaps",
                    "heaps of %llu bytes are refused, as the memory for heaps is used up: for %u sender%s set "
                    "`heap_memory: %llu`",
                    (unsigned long long)statistics.no_memory_bytes, statistics.sources,
                    statistics.sources == 1 ? "" : "s", (unsigned long long)statistics.memory_wanted);
    }
    uint64_t in_parts = statistics.capture_fragments + statistics.capture_truncated + statistics.capture_unknown_link;
    if (in_parts > 0 && !self->told_parts) {
        self->told_parts = true;
        weir_notice(
            self->env, "capture",
            "%llu packets of the captures cannot be read: %llu are fragments of longer ones, %llu were cut short "
            "by the capture, %llu have a link type that is not read; `weir spead inspect` says more",
            (unsigned long long)in_parts, (unsigned long long)statistics.capture_fragments,
            (unsigned long long)statistics.capture_truncated, (unsigned long long)statistics.capture_unknown_link);
    }
    if (statistics.total.of[WEIR_SPEAD_HEAPS_SHED] > 0 && !self->told_shed) {
        self->told_shed = true;
        if (self->ring_heaps > 0)
            weir_notice(self->env, "heaps shed",
                        "heaps are shed, as %lld wait already: if they come in bursts, raise `ring_heaps`; else the "
                        "pipeline is too slow for them",
                        (long long)self->ring_heaps);
        else
            weir_notice(
                self->env, "heaps shed",
                "heaps are shed, as 16, or of small ones a quarter of `heap_memory`, wait already: if they come "
                "in bursts, set `ring_heaps` to how many may; else the pipeline is too slow for them");
    }
}

static bool has_descriptors(const struct weir_spead_heap *heap)
{
    bool found = false;
    for (uint32_t i = 0; i < heap->value_count && !found; i++)
        found = heap->values[i].id == SPEAD_DESCRIPTOR;
    return found;
}

/* A heap with data, and no descriptors, that is in no chunk though there are some: said once. */
static void tell_outside(struct source_spead *self, uint64_t count, uint64_t bytes)
{
    if (self->told_outside)
        return;
    self->told_outside = true;
    if (bytes != (uint64_t)self->chunk_heap_bytes)
        weir_notice(
            self->env, "outside chunks",
            "heap %llu has %llu bytes and comes by itself: only heaps of %lld (`chunk_heap_bytes`) go into chunks; "
            "heaps_outside_chunks counts the others",
            (unsigned long long)count, (unsigned long long)bytes, (long long)self->chunk_heap_bytes);
    else
        weir_notice(
            self->env, "outside chunks",
            "heap %llu has no place in a chunk and comes by itself: `chunk_item`, `chunk_first` and `chunk_step` "
            "say where it belongs; heaps_outside_chunks counts such heaps",
            (unsigned long long)count);
}

/* Hands a heap on, or lets it go. Waits for memory as long as it takes: meanwhile the ring fills, and UDP sheds. */
static int take_heap(struct source_spead *self, struct weir_context *context, struct weir_emitter *out,
                     struct weir_spead_heap *heap)
{
    struct weir_batch *batch;
    int error = 0, made;
    uint64_t count = heap->count, bytes = heap->memory.size;
    bool outside = self->chunk_heaps > 0 && !heap->chunk && !has_descriptors(heap);
    while ((made = heap->chunk ? take_chunk(self, context, heap, &batch) : take_one(self, context, heap, &batch)) ==
               -ENOMEM &&
           error == 0)
        error = weir_sleep(context, CLOCK_MILLISECOND);
    if (made > 0 && outside)
        tell_outside(self, count, bytes);
    if (made > 0)
        return weir_emit_batch(context, out, batch);
    weir_memory_release(&heap->memory);
    return error < 0 ? error : made;
}

static int source_run(void *state, struct weir_context *context, struct weir_emitter *out)
{
    struct source_spead *self = state;
    struct weir_spead_heap *heap;
    weir_emit_unhurried(out, self->captures.count > 0);
    int error = weir_spead_receiver_start(self->receiver, self->env->error);
    while (error == 0) {
        error = weir_spead_receiver_next(self->receiver, context, weir_now(context) + LOOK_NS, &heap);
        if (error == -ETIMEDOUT) {
            error = weir_stopping(context) ? -ECANCELED : 0;
            look_at_refusals(self);
        } else if (error == 0) {
            error = take_heap(self, context, out, heap);
        }
    }
    look_at_refusals(self);
    weir_spead_receiver_stop(self->receiver);
    if (error == -EPIPE)
        error = weir_spead_receiver_failure(self->receiver, self->env->error);
    return error == -ECANCELED ? 0 : error;
}

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

static int add_places(struct source_spead *self, struct weir_env *env)
{
    int error = 0;
    for (size_t i = 0; i < self->listen.count && error == 0; i++) {
        const struct weir_spead_endpoint endpoint = {
            .transport = self->tcp ? WEIR_SPEAD_TCP : WEIR_SPEAD_UDP,
            .address = self->listen.items[i].value.text,
            .interface = self->interface && *self->interface ? self->interface : NULL,
            .only_from = self->only_from && *self->only_from ? self->only_from : NULL};
        error = weir_spead_receiver_add(self->receiver, &endpoint, env->error);
    }
    for (size_t i = 0; i < self->captures.count && error == 0; i++) {
        const struct weir_spead_endpoint endpoint = {.transport = WEIR_SPEAD_CAPTURE,
                                                     .address = self->captures.items[i].value.text};
        error = weir_spead_receiver_add(self->receiver, &endpoint, env->error);
    }
    return error;
}

static int read_chunks(const struct source_spead *self, struct weir_env *env, struct weir_spead_chunk_options *ret)
{
    const char *item = self->chunk_item ? self->chunk_item : "";
    char *end = NULL;
    *ret = (struct weir_spead_chunk_options){.heaps = (uint32_t)self->chunk_heaps,
                                             .window = (uint32_t)self->chunk_window,
                                             .heap_bytes = (uint64_t)self->chunk_heap_bytes,
                                             .step = (uint64_t)self->chunk_step};
    if (self->chunk_heaps == 0) {
        const char *idle = *item                          ? "chunk_item"
                           : self->chunk_heap_bytes != 0  ? "chunk_heap_bytes"
                           : self->chunk_step != 1        ? "chunk_step"
                           : self->chunk_first != -1      ? "chunk_first"
                           : self->chunk_window != WINDOW ? "chunk_window"
                                                          : NULL;
        return idle ? weir_fail(env->error, -EINVAL,
                                "`%s` has no effect without `chunk_heaps`, which says how many heaps go into one chunk",
                                idle)
                    : 0;
    }
    if (self->chunk_heap_bytes == 0)
        return weir_fail(env->error, -EINVAL,
                         "`chunk_heaps` needs `chunk_heap_bytes`, the length of the heaps that go there; weir spead "
                         "recv shows it");
    if (*item)
        ret->item = strtoull(item, &end, 0);
    if (*item && (*end || ret->item <= 6))
        return weir_fail(env->error, -EINVAL, "`chunk_item` \"%.40s\" is no item's id, such as 0x1600", item);
    ret->first = self->chunk_first >= 0 ? (uint64_t)self->chunk_first : *item ? 0 : 1;
    uint64_t bytes = (uint64_t)self->chunk_heaps * (uint64_t)self->chunk_heap_bytes;
    if (bytes / (uint64_t)self->chunk_heaps != (uint64_t)self->chunk_heap_bytes ||
        bytes > (uint64_t)self->heap_memory / (uint64_t)(self->chunk_window + 1))
        return weir_fail(env->error, -EINVAL,
                         "`heap_memory` has no room for %lld chunks of %lld heaps of %lld bytes and one on its way; "
                         "raise it, or make chunks smaller",
                         (long long)self->chunk_window, (long long)self->chunk_heaps,
                         (long long)self->chunk_heap_bytes);
    return 0;
}

static int check_options(const struct source_spead *self, struct weir_env *env)
{
    if ((self->listen.count > 0) == (self->captures.count > 0))
        return weir_fail(env->error, -EINVAL,
                         "give `listen` (\":8888\", \"239.1.2.3:7148\") or `captures` (pcap files), one of the two");
    if (self->max_heaps * self->substreams > 4096)
        return weir_fail(env->error, -EINVAL, "`max_heaps` times `substreams` is over 4096");
    return 0;
}

static int source_open(void *state, struct weir_env *env)
{
    struct source_spead *self = state;
    self->env = env;
    struct weir_spead_chunk_options chunks;
    int error = check_options(self, env);
    if (error == 0)
        error = read_chunks(self, env, &chunks);
    if (error < 0)
        return error;
    const struct weir_spead_receive_options options = {
        .chunks = chunks,
        .max_heaps = (uint32_t)self->max_heaps,
        .substreams = (uint32_t)self->substreams,
        .ring_heaps = (uint32_t)self->ring_heaps,
        .max_heap_bytes = (uint64_t)self->max_heap_bytes,
        .memory = (uint64_t)self->heap_memory,
        .packet_max = (uint64_t)self->packet_max,
        .socket_buffer = (uint64_t)self->socket_buffer,
        .idle_ns = self->idle_timeout ? self->idle_timeout : -1,
        .spin_ns = self->spin,
        .stop = (enum weir_spead_stop)self->stop,
        .joint = self->joint,
        .in_order = self->in_order,
        .incomplete = self->columns_options.incomplete,
        .remember_always = self->captures.count > 0,
        .cpu = (int)self->cpu + 1, /* there 0 is any */
    };
    if (!weir_memory_take(env, (size_t)self->heap_memory))
        return weir_fail(env->error, -ENOMEM,
                         "`heap_memory` of %lld MiB does not fit into the run's memory; lower it, or raise `memory` in "
                         "the section run",
                         (long long)self->heap_memory >> 20);
    self->taken = (uint64_t)self->heap_memory;
    self->sources = memory_zeroed(SOURCES_LOOKED_AT, sizeof *self->sources);
    error = self->sources ? spead_columns_new(&self->columns_options, env, &self->columns) : -ENOMEM;
    if (error == 0)
        error = weir_spead_receiver_new(&options, env->error, &self->receiver);
    if (error == 0)
        error = add_places(self, env);
    const char *warning = error == 0 ? weir_spead_receiver_warning(self->receiver) : NULL;
    if (warning)
        weir_notice(env, "small socket buffer", "%s", warning);
    return error;
}

static void source_close(void *state, struct weir_env *env)
{
    struct source_spead *self = state;
    weir_spead_receiver_free(self->receiver);
    spead_columns_free(self->columns);
    memory_free(self->sources);
    if (self->taken)
        weir_memory_give(env, self->taken);
}

/* ---- Report ------------------------------------------------------------------------------------------------------ */

static void tell(struct weir_facts *facts, const char *name, uint64_t number)
{
    if (number > 0)
        weir_fact(facts, name, (double)number, "");
}

/* What came always, every kind of loss that there was. */
static void source_report(void *state, struct weir_facts *facts)
{
    struct source_spead *self = state;
    struct weir_spead_statistics statistics;
    if (!self->receiver)
        return;
    weir_spead_receiver_statistics(self->receiver, &statistics);
    weir_fact(facts, "heaps", (double)statistics.total.of[WEIR_SPEAD_HEAPS], "");
    weir_fact(facts, "packets", (double)statistics.total.of[WEIR_SPEAD_PACKETS], "");
    weir_fact(facts, "bytes", (double)statistics.total.of[WEIR_SPEAD_BYTES], "B");
    weir_fact(facts, "senders", statistics.sources, "");
    weir_fact(facts, "kernel_drops", (double)statistics.kernel_drops, "");
    weir_fact(facts, "heaps_shed", (double)statistics.total.of[WEIR_SPEAD_HEAPS_SHED], "");
    for (int i = 0; i < WEIR_SPEAD_COUNTERS; i++) {
        if (i != WEIR_SPEAD_HEAPS && i != WEIR_SPEAD_PACKETS && i != WEIR_SPEAD_BYTES && i != WEIR_SPEAD_HEAPS_SHED)
            tell(facts, weir_spead_counter_name((enum weir_spead_counter)i), statistics.total.of[i]);
    }
    tell(facts, "capture_other", statistics.capture_other);
    tell(facts, "capture_fragments", statistics.capture_fragments);
    tell(facts, "capture_truncated", statistics.capture_truncated);
    tell(facts, "capture_malformed", statistics.capture_malformed);
    tell(facts, "capture_unknown_link", statistics.capture_unknown_link);
    const struct spead_columns_losses *losses = spead_columns_losses(self->columns);
    tell(facts, "heaps_without_data", losses->no_data);
    tell(facts, "heaps_lacking_an_array", losses->lacks_array);
    tell(facts, "heaps_with_short_items", losses->too_short);
    tell(facts, "times_out_of_range", losses->no_time);
    tell(facts, "numbers_out_of_range", losses->no_number);
    tell(facts, "texts_cut", losses->texts_cut);
    tell(facts, "descriptors_refused", losses->refused);
    tell(facts, "items_undescribed", losses->undescribed);
    tell(facts, "chunk_places_missing", losses->missing);
    weir_fact(facts, "heap_memory_peak", (double)statistics.memory_peak, "B");
}

static enum weir_extent source_extent(const void *state, const char **ret_remedy)
{
    *ret_remedy = "give it `captures` to read instead of `listen`";
    return ((const struct source_spead *)state)->listen.count ? WEIR_ONCE : WEIR_FINITE;
}

#define FIELD(member) .offset = offsetof(struct source_spead, member)

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option options[] = {
    {.name = "listen", .type = WEIR_OPTION_STRINGS, FIELD(listen), .flags = WEIR_OPTION_MAIN,
     .help = "where to receive: \":8888\", \"127.0.0.1:8888\", \"[::1]:8888\"; a group's address (239.1.2.3:7148) is "
             "joined"},
    {.name = "captures", .type = WEIR_OPTION_STRINGS, FIELD(captures),
     .help = "or what to read instead: captures of UDP packets (pcap, pcapng)"},
    {.name = "tcp", .type = WEIR_OPTION_BOOL, FIELD(tcp),
     .help = "listen for TCP connections; then reading stops instead of shedding heaps"},
    {.name = "interface", .type = WEIR_OPTION_STRING, FIELD(interface),
     .help = "multicast: the interface's name or address"},
    {.name = "only_from", .type = WEIR_OPTION_STRING, FIELD(only_from),
     .help = "multicast: join this sender only (source-specific)"},
    {.name = "items", .type = WEIR_OPTION_STRINGS, FIELD(columns_options.items),
     .help = "names (or ids, 0x1000) of the items that become columns; without it all"},
    {.name = "describe", .type = WEIR_OPTION_MAP, FIELD(columns_options.describe),
     .help = "name: \"ID TYPE\" for items that no descriptor comes for: \"0x4300 i16[]\", \"0x1600 u48\", "
             "\"0x4300 ci8[]\" (complex)"},
    {.name = "time", .type = WEIR_OPTION_STRING, FIELD(columns_options.time),
     .help = "the item that is the time of the record; without it the time at which the heap came, as ts"},
    {.name = "time_scale", .type = WEIR_OPTION_STRING, FIELD(columns_options.time_scale), .fallback = "1s",
     .help = "what one unit of that item is (1us), or how many of them are in a second (1712000000/s)"},
    {.name = "time_start", .type = WEIR_OPTION_STRING, FIELD(columns_options.time_start),
     .help = "the time at which that item was 0, such as 2024-11-21T03:20:00Z; without it 1970"},
    {.name = "key", .type = WEIR_OPTION_STRING, FIELD(columns_options.key),
     .help = "the item that says which antenna or channel a heap is of; without it the sender's address"},
    {.name = "stop", .type = WEIR_OPTION_CHOICE, FIELD(stop), .fallback = "any", .choices = stop_names,
     .help = "what ends the stream: the first stop item at each place, one from every sender, or none"},
    {.name = "joint", .type = WEIR_OPTION_BOOL, FIELD(joint),
     .help = "with `stop: any`: all places are one stream, and the first stop item ends it"},
    {.name = "max_heaps", .type = WEIR_OPTION_INTEGER, FIELD(max_heaps), .fallback = "4", .least = 1, .most = 4096,
     .help = "partial heaps of each sender and substream"},
    {.name = "substreams", .type = WEIR_OPTION_INTEGER, FIELD(substreams), .fallback = "1", .least = 1, .most = 4096,
     .help = "parallel substreams: heap count modulo this"},
    {.name = "ring_heaps", .type = WEIR_OPTION_INTEGER, FIELD(ring_heaps), .fallback = "0", .least = 0,
     .most = 1 << 20,
     .help = "received heaps that may wait; over UDP further ones are shed, and counted; 0: 16, and of small ones as "
             "many as a quarter of heap_memory holds, up to 4096"},
    {.name = "max_heap_bytes", .type = WEIR_OPTION_SIZE, FIELD(max_heap_bytes), .fallback = "64MiB", .least = 1,
     .most = 1e15, .help = "largest heap; the packets of larger ones are refused"},
    {.name = "heap_memory", .type = WEIR_OPTION_SIZE, FIELD(heap_memory), .fallback = "64MiB", .least = 4096,
     .most = 1e15, .help = "of the run's memory, for heaps: partial ones, waiting ones, and those in batches"},
    {.name = "packet_max", .type = WEIR_OPTION_SIZE, FIELD(packet_max), .fallback = "65535", .least = 64,
     .most = 1 << 20, .help = "largest packet; a longer one is dropped"},
    {.name = "socket_buffer", .type = WEIR_OPTION_SIZE, FIELD(socket_buffer), .least = 4096, .most = 1 << 30,
     .help = "asked for from the kernel; UDP; without it 64MiB, or as much of it as there may be"},
    {.name = "idle_timeout", .type = WEIR_OPTION_DURATION, FIELD(idle_timeout), .fallback = "10s", .least = 0,
     .most = 1e18, .help = "a partial heap of which nothing more comes is given up after this; 0s: never"},
    {.name = "in_order", .type = WEIR_OPTION_BOOL, FIELD(in_order),
     .help = "refuse packets of a heap that are out of order"},
    {.name = "incomplete", .type = WEIR_OPTION_BOOL, FIELD(columns_options.incomplete),
     .help = "heaps with gaps (zeros) become records too, and a column `complete` says so"},
    {.name = "chunk_heaps", .type = WEIR_OPTION_INTEGER, FIELD(chunk_heaps), .fallback = "0", .least = 0,
     .most = 1 << 20, .help = "so many heaps are received into one block, each at its place; 0: none"},
    {.name = "chunk_heap_bytes", .type = WEIR_OPTION_SIZE, FIELD(chunk_heap_bytes), .fallback = "0", .least = 0,
     .most = 1e12, .help = "length of the heaps that go into chunks; others come by themselves"},
    {.name = "chunk_window", .type = WEIR_OPTION_INTEGER, FIELD(chunk_window), .fallback = "2", .least = 1,
     .most = 64, .help = "chunks that are filled at the same time; an older one is handed on as it is"},
    {.name = "chunk_item", .type = WEIR_OPTION_STRING, FIELD(chunk_item),
     .help = "id of an immediate item, in every packet, that says a heap's place (0x1600); without it its count"},
    {.name = "chunk_step", .type = WEIR_OPTION_INTEGER, FIELD(chunk_step), .fallback = "1", .least = 1, .most = 1e15,
     .help = "by how much that differs from one heap to the next"},
    {.name = "chunk_first", .type = WEIR_OPTION_INTEGER, FIELD(chunk_first), .fallback = "-1", .least = -1,
     .most = 1e15, .help = "what it is for the first place; -1: 1 by count, 0 by an item"},
    {.name = "pyspead", .type = WEIR_OPTION_BOOL, FIELD(columns_options.pyspead),
     .help = "read descriptors as PySPEAD 0.5.2 writes them"},
    {.name = "spin", .type = WEIR_OPTION_DURATION, FIELD(spin), .fallback = "0s", .least = 0, .most = 1e9,
     .help = "look again for so long before the receiving thread sleeps; costs processor time"},
    {.name = "cpu", .type = WEIR_OPTION_INTEGER, FIELD(cpu), .fallback = "-1", .least = -1, .most = 1023,
     .help = "processor of the receiving thread, from 0; -1: any"},
    {.type = WEIR_OPTION_END},
};

const struct weir_source source_spead = {
    .part = {
        .kind = WEIR_SOURCE,
        .name = "spead",
        .summary = "heaps of items, as radio telescopes send them with SPEAD: UDP, multicast, TCP, captures",
        .example = "# In another terminal: weir spead send 127.0.0.1:8888 --heaps 100\n"
                   "sources:\n"
                   "  antenna: {type: spead, listen: \":8888\", stop: any}\n"
                   "sinks:\n"
                   "  screen: {type: stdout}\n",
        .options = options,
        .size = sizeof(struct source_spead),
        .open = source_open,
        .close = source_close,
        .report = source_report,
    },
    .run = source_run,
    .extent = source_extent,
};
