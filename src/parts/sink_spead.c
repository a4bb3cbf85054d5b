/* SPDX-License-Identifier: MIT */
/*
 * Records sent as heaps of SPEAD-64-XX: each column an item, with a descriptor. Nothing is copied: a heap's items are
 * the batch's columns where they are, and the batch is held until the heap has been sent. A record counts as stored
 * when that is so.
 *
 *   time, i64, f64, bool    an item of 8 bytes, or 1; with `immediate`: a number in its place
 *   symbol, text            characters, as many as there are
 *   array                   an item of that shape; pairs of integers: records of re and im, NumPy has nothing better
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <weir/spead_send.h>

#include "base/clock.h"
#include "base/units.h"
#include "data/array.h"
#include "data/symbols.h"
#include "parts/numeric.h"
#include "parts/parts.h"

enum { COMMIT_ROWS = 65536, STOP_WAIT_NS = 1000 * 1000 * 1000 };

/* What becomes of a column. */
struct item {
    uint64_t id;
    bool immediate;
    char dtype[128];
    struct weir_spead_format format;
    int64_t shape;
    struct weir_spead_description description;
};

/* A heap in flight, and the batch that it shows. */
struct slot {
    struct weir_spead_outgoing *heap;
    struct weir_batch *batch;
    struct weir_spead_completion completion;
    uint32_t destination;
    bool busy;
};

struct sink_spead {
    struct weir_list to, ids, immediate;
    bool tcp, pyspead, no_offload;
    const char *local;
    int64_t ttl, packet_size, burst, max_heaps, buffer, address_bits, cnt_first, cnt_step, descriptors_every, stops;
    double rate, burst_rate_ratio;

    struct weir_spead_sender *sender;
    struct weir_spead_outgoing *stop;
    const char **destinations;
    struct slot *slots;
    uint32_t next; /* slot */
    struct weir_schema *schema;
    struct item *items;
    uint64_t sent;      /* heaps handed to the sender */
    uint64_t described; /* `sent` when descriptors went along last, for all destinations */
    bool describe_anew, refused;
    _Atomic uint64_t out_of_range;
};

static struct weir_spead_flavour flavour_of(const struct sink_spead *self)
{
    return (struct weir_spead_flavour){.address_bits = (uint8_t)self->address_bits, .pyspead = self->pyspead};
}

/* ---- Columns → items ----------------------------------------------------------------------------------------------
 */

static bool in_list(const struct weir_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].value.text, name) == 0)
            return true;
    }
    return false;
}

/* NumPy's name of an array's elements; "" for what it has none. */
static void numpy_name(uint8_t element, char out[8])
{
    bool big = element & WEIR_ELEMENT_BIG_ENDIAN, pairs = element & WEIR_ELEMENT_COMPLEX;
    size_t size = weir_element_size(element & WEIR_ELEMENT_TYPE);
    char kind = array_is_float(element) ? pairs ? 'c' : 'f' : array_is_unsigned(element) ? 'u' : 'i';
    if (pairs && kind == 'c')
        size *= 2;
    snprintf(out, 8, "%c%c%zu", size == 1 ? '|' : big ? '>' : '<', kind, size);
}

static void describe_array(const struct weir_field *field, struct item *item)
{
    char name[8];
    bool pairs = field->element & WEIR_ELEMENT_COMPLEX && !array_is_float(field->element);
    numpy_name(field->element, name);
    if (pairs)
        snprintf(item->dtype, sizeof item->dtype,
                 "{'descr': [('re', '%s'), ('im', '%s')], 'fortran_order': False, 'shape': (%u,)}", name, name,
                 field->elements);
    else
        snprintf(item->dtype, sizeof item->dtype, "{'descr': '%s', 'fortran_order': False, 'shape': (%u,)}", name,
                 field->elements);
    item->description.dtype = item->dtype;
}

static void describe(const struct sink_spead *self, const struct weir_field *field, struct item *item)
{
    item->description = (struct weir_spead_description){.id = item->id, .name = field->name, .text = ""};
    if (item->immediate) {
        item->format = (struct weir_spead_format){.code = 'u', .bits = (uint16_t)self->address_bits};
        item->description.format = &item->format;
        item->description.fields = 1;
    } else if (field->type == WEIR_ARRAY) {
        describe_array(field, item);
    } else if (field->type == WEIR_SYMBOL || field->type == WEIR_TEXT) {
        item->format = (struct weir_spead_format){.code = 'c', .bits = 8};
        item->shape = WEIR_SPEAD_VARIABLE;
        item->description.format = &item->format;
        item->description.fields = 1;
        item->description.shape = &item->shape;
        item->description.dimensions = 1;
    } else {
        const char *type = field->type == WEIR_F64 ? "<f8" : field->type == WEIR_BOOL ? "|b1" : "<i8";
        snprintf(item->dtype, sizeof item->dtype, "{'descr': '%s', 'fortran_order': False, 'shape': ()}", type);
        item->description.dtype = item->dtype;
    }
}

static int choose_id(const struct sink_spead *self, struct weir_env *env, const char *name, uint32_t column,
                     uint64_t *ret)
{
    uint64_t most = (UINT64_C(1) << (63 - self->address_bits)) - 1;
    *ret = WEIR_SPEAD_FIRST_ID + column;
    for (size_t i = 0; i < self->ids.count; i++) {
        const struct weir_pair *pair = &self->ids.items[i];
        const char *text = pair->value.text;
        int64_t id = 0;
        bool hex = strncmp(text, "0x", 2) == 0 && text[2] && strspn(text + 2, "0123456789abcdefABCDEF") <= 15 &&
                   sscanf(text + 2, "%lx", (unsigned long *)&id) == 1;
        if (strcmp(pair->name.text, name) != 0)
            continue;
        if ((!hex && units_integer(text, &id) < 0) || id < 7 || (uint64_t)id > most)
            return weir_fail_at(env->error, -EINVAL, pair->value.mark,
                                "%s: \"%.40s\" is no item id; it is from 0x7 to 0x%llx, best from 0x1000", env->name,
                                text, (unsigned long long)most);
        *ret = (uint64_t)id;
    }
    return 0;
}

static int check_item(const struct sink_spead *self, struct weir_env *env, const struct weir_schema *in,
                      uint32_t column, const struct item *items)
{
    const struct weir_field *field = &in->fields[column];
    for (uint32_t i = 0; i < column; i++) {
        if (items[i].id == items[column].id)
            return weir_fail_at(env->error, -EINVAL, env->mark, "%s: columns \"%s\" and \"%s\" have the same item id",
                                env->name, in->fields[i].name, field->name);
    }
    if (items[column].immediate && field->type != WEIR_I64 && field->type != WEIR_BOOL)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: column \"%s\" is %s, and immediate items are whole numbers of up to %lld bits",
                            env->name, field->name, weir_type_name(field->type), (long long)self->address_bits);
    for (const char *c = field->name; *c; c++) {
        if (*c <= ' ' || *c > '~')
            return weir_fail_at(env->error, -EINVAL, env->mark,
                                "%s: \"%s\" cannot be an item's name, which is ASCII without blanks; rename it with "
                                "select",
                                env->name, field->name);
    }
    return 0;
}

static int check_names(struct weir_env *env, const struct weir_schema *in, const struct weir_list *list, bool map)
{
    for (size_t i = 0; i < list->count; i++) {
        struct weir_quoted name = map ? list->items[i].name : list->items[i].value;
        if (weir_schema_find(in, name.text) < 0)
            return numeric_unknown(env, in, name);
    }
    return 0;
}

static int sink_bind(void *state, struct weir_env *env, struct weir_schema *in)
{
    struct sink_spead *self = state;
    int error = check_names(env, in, &self->ids, true);
    if (error == 0)
        error = check_names(env, in, &self->immediate, false);
    struct item *items = memory_zeroed(in->count + 1, sizeof *items);
    if (!items)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    for (uint32_t c = 0; error == 0 && c < in->count; c++) {
        items[c].immediate = in_list(&self->immediate, in->fields[c].name);
        error = choose_id(self, env, in->fields[c].name, c, &items[c].id);
        if (error == 0)
            error = check_item(self, env, in, c, items);
    }
    memory_free(items); /* bind comes when the schema does, perhaps before batches of the one before */
    return error;
}

/* The items of the batch's schema; new ones are described anew. */
static int use_schema(struct sink_spead *self, struct weir_env *env, struct weir_schema *schema)
{
    if (self->schema && weir_schema_equal(self->schema, schema))
        return 0;
    struct item *items = memory_zeroed(schema->count + 1, sizeof *items);
    if (!items)
        return -ENOMEM;
    for (uint32_t c = 0; c < schema->count; c++) {
        items[c].immediate = in_list(&self->immediate, schema->fields[c].name);
        int error = choose_id(self, env, schema->fields[c].name, c, &items[c].id);
        if (error < 0) {
            memory_free(items);
            return error;
        }
        describe(self, &schema->fields[c], &items[c]);
    }
    memory_free(self->items);
    weir_schema_release(self->schema);
    self->items = items;
    self->schema = weir_schema_reference(schema);
    for (uint32_t c = 0; c < schema->count; c++) /* the names live as long as the schema that is kept */
        items[c].description.name = self->schema->fields[c].name;
    self->describe_anew = true;
    return 0;
}

/* ---- Heaps ---------------------------------------------------------------------------------------------------------
 */

static int add_number(struct sink_spead *self, struct weir_spead_outgoing *heap, const struct item *item,
                      int64_t number)
{
    uint64_t most = (UINT64_C(1) << self->address_bits) - 1;
    if (number < 0 || (uint64_t)number > most)
        atomic_fetch_add_explicit(&self->out_of_range, 1, memory_order_relaxed);
    return weir_spead_outgoing_add_value(heap, item->id, (uint64_t)number & most);
}

static int add_text(struct weir_spead_outgoing *heap, const struct item *item, struct weir_text text)
{
    return text.length > 0 ? weir_spead_outgoing_add(heap, item->id, text.data, text.length)
                           : weir_spead_outgoing_add(heap, item->id, "", 1); /* none of no bytes would be seen */
}

static int add_item(struct sink_spead *self, struct weir_env *env, struct weir_spead_outgoing *heap,
                    const struct weir_batch *in, uint32_t c, uint32_t row)
{
    const struct weir_field *field = &in->schema->fields[c];
    const struct weir_column *column = &in->columns[c];
    const struct item *item = &self->items[c];
    size_t width = weir_field_width(field);
    if (item->immediate)
        return add_number(self, heap, item, field->type == WEIR_BOOL ? column->bools[row] : column->i64[row]);
    if (field->type == WEIR_SYMBOL)
        return add_text(heap, item, symbols_text(env->symbols, column->symbols[row]));
    if (field->type == WEIR_TEXT)
        return add_text(heap, item, column->texts[row]);
    return weir_spead_outgoing_add(heap, item->id, (const char *)column->data + row * width, width);
}

static int fill_heap(struct sink_spead *self, struct weir_env *env, struct slot *slot, struct weir_batch *in,
                     uint32_t row, bool described)
{
    int error = 0;
    weir_spead_outgoing_clear(slot->heap);
    for (uint32_t c = 0; described && error == 0 && c < in->schema->count; c++)
        error = weir_spead_outgoing_add_description(slot->heap, &self->items[c].description);
    for (uint32_t c = 0; error == 0 && c < in->schema->count; c++)
        error = add_item(self, env, slot->heap, in, c, row);
    return error;
}

/* A peer that goes away fails the run: -EPIPE would say that it has read all it wanted, as `head` does. */
static int fail_sending(struct weir_env *env, int error)
{
    return weir_fail(env->error, error == -EPIPE ? -ECONNRESET : error, "%s: %s", env->name, weir_spead_explain(error));
}

static void notice_refusal(struct sink_spead *self, struct weir_env *env, const struct slot *slot)
{
    if (self->refused)
        return;
    self->refused = true;
    weir_notice(env, "nobody listens",
                "nobody listens at %s: start the receiver first, or check host and port; "
                "sending goes on",
                self->destinations[slot->destination]);
}

/* Waits until what was sent with the slot last has gone; lets go of its batch. */
static int empty_slot(struct sink_spead *self, struct weir_env *env, struct slot *slot)
{
    if (!slot->busy)
        return 0;
    int result = weir_spead_completion_wait(env->context, &slot->completion, WEIR_NEVER, NULL);
    if (!weir_spead_completion_done(&slot->completion))
        return result; /* cancelled: it is still in flight */
    slot->busy = false;
    weir_batch_release(slot->batch);
    slot->batch = NULL;
    if (result == -ECONNREFUSED) /* it was sent nonetheless */
        notice_refusal(self, env, slot);
    if (result == 0 || result == -ECONNREFUSED)
        return 0;
    return fail_sending(env, result);
}

/* Descriptors go along in the first heap for each destination, when they have changed, and now and then. */
static bool describes(struct sink_spead *self)
{
    uint64_t since = self->sent - self->described;
    bool now_and_then = self->descriptors_every > 0 && since >= (uint64_t)self->descriptors_every * self->to.count;
    if (self->describe_anew || now_and_then) {
        self->described = self->sent;
        self->describe_anew = false;
        since = 0;
    }
    return since < self->to.count;
}

static int send_row(struct sink_spead *self, struct weir_env *env, struct weir_batch *in, uint32_t row)
{
    struct slot *slot = &self->slots[self->next];
    int error = empty_slot(self, env, slot);
    if (error == 0)
        error = fill_heap(self, env, slot, in, row, describes(self));
    if (error < 0)
        return error == -EINVAL ? weir_fail(env->error, error, "%s: an item or descriptor cannot be sent so", env->name)
                                : error;
    const struct weir_spead_send send = {.heap = slot->heap,
                                         .destination = (uint32_t)(self->sent % self->to.count),
                                         .sent = weir_spead_completed,
                                         .argument = &slot->completion};
    weir_spead_completion_begin(&slot->completion, env->context, 1);
    slot->batch = weir_batch_reference(in);
    error = weir_spead_send_wait(self->sender, env->context, &send, 1, WEIR_NEVER);
    if (error < 0) {
        weir_batch_release(slot->batch);
        slot->batch = NULL;
        return error == -ECANCELED ? error : fail_sending(env, error);
    }
    slot->destination = send.destination;
    slot->busy = true;
    self->next = (self->next + 1) % (uint32_t)self->max_heaps;
    self->sent++;
    return 0;
}

static int sink_write(void *state, struct weir_env *env, struct weir_batch *in, const char *bytes, size_t size)
{
    struct sink_spead *self = state;
    (void)bytes;
    (void)size;
    int error = use_schema(self, env, in->schema);
    for (uint32_t i = 0; error == 0 && i < in->count; i++)
        error = send_row(self, env, in, weir_batch_row(in, i));
    return error == -ENOMEM ? weir_fail(env->error, error, "%s: out of memory", env->name) : error;
}

static int sink_commit(void *state, struct weir_env *env)
{
    struct sink_spead *self = state;
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < (uint32_t)self->max_heaps; i++)
        error = empty_slot(self, env, &self->slots[(self->next + i) % (uint32_t)self->max_heaps]);
    return error;
}

/* Says to every destination that no more will come. */
static int sink_finish(void *state, struct weir_env *env)
{
    struct sink_spead *self = state;
    int error = 0;
    for (int64_t i = 0; error == 0 && i < self->stops * (int64_t)self->to.count; i++) {
        const struct weir_spead_send send = {.heap = self->stop,
                                             .destination = (uint32_t)(i % (int64_t)self->to.count)};
        error = weir_spead_send_wait(self->sender, env->context, &send, 1, WEIR_NEVER);
    }
    if (error == 0)
        error = weir_spead_sender_flush(self->sender, env->context, weir_now(env->context) + STOP_WAIT_NS);
    return error == -ETIMEDOUT ? 0 : error;
}

/* ---- Opening -------------------------------------------------------------------------------------------------------
 */

static int make_heaps(struct sink_spead *self)
{
    int error = weir_spead_outgoing_new(flavour_of(self), &self->stop);
    if (error == 0)
        error = weir_spead_outgoing_add_control(self->stop, WEIR_SPEAD_STOP);
    self->slots = memory_zeroed((size_t)self->max_heaps, sizeof *self->slots);
    self->destinations = memory_zeroed(self->to.count, sizeof *self->destinations);
    if (!self->slots || !self->destinations)
        return -ENOMEM;
    for (int64_t i = 0; error == 0 && i < self->max_heaps; i++)
        error = weir_spead_outgoing_new(flavour_of(self), &self->slots[i].heap);
    for (size_t i = 0; i < self->to.count; i++)
        self->destinations[i] = self->to.items[i].value.text;
    return error;
}

static int sink_open(void *state, struct weir_env *env)
{
    struct sink_spead *self = state;
    if (self->address_bits % 8 != 0)
        return weir_fail(env->error, -EINVAL, "`address_bits` is a multiple of 8: 40 and 48 are usual");
    if (self->tcp && self->to.count > 1)
        return weir_fail(env->error, -EINVAL, "over TCP there is one destination");
    int error = make_heaps(self);
    if (error < 0)
        return weir_fail(env->error, error, "out of memory for %lld heaps", (long long)self->max_heaps);
    const struct weir_spead_sender_options options = {
        .destinations = self->destinations,
        .destination_count = (uint32_t)self->to.count,
        .tcp = self->tcp,
        .local = self->local && *self->local ? self->local : NULL,
        .ttl = (int)self->ttl,
        .packet_size = (size_t)self->packet_size,
        .rate = self->rate * 1e9 / 8,
        .burst_size = (size_t)self->burst,
        .burst_rate_ratio = self->burst_rate_ratio,
        .max_heaps = (uint32_t)self->max_heaps,
        .buffer_size = (size_t)self->buffer,
        .cnt_first = (uint64_t)self->cnt_first,
        .cnt_step = (uint64_t)self->cnt_step,
        .no_offload = self->no_offload,
    };
    error = weir_spead_sender_open(&options, env->error, &self->sender);
    const char *warning = error == 0 ? weir_spead_sender_warning(self->sender) : NULL;
    if (warning)
        weir_notice(env, "fragments", "%s", warning);
    return error;
}

static void sink_close(void *state, struct weir_env *env)
{
    struct sink_spead *self = state;
    (void)env;
    weir_spead_sender_close(self->sender, NULL, 0);
    for (int64_t i = 0; self->slots && i < self->max_heaps; i++) {
        weir_batch_release(self->slots[i].batch);
        weir_spead_outgoing_free(self->slots[i].heap);
    }
    weir_spead_outgoing_free(self->stop);
    memory_free(self->slots);
    memory_free(self->destinations);
    memory_free(self->items);
    weir_schema_release(self->schema);
}

static void sink_report(void *state, struct weir_facts *facts)
{
    struct sink_spead *self = state;
    struct weir_spead_sender_counters counters;
    uint64_t out_of_range = atomic_load_explicit(&self->out_of_range, memory_order_relaxed);
    if (!self->sender)
        return;
    weir_spead_sender_count(self->sender, &counters);
    weir_fact(facts, "heaps", (double)counters.heaps, "");
    weir_fact(facts, "packets", (double)counters.packets, "");
    weir_fact(facts, "bytes", (double)counters.bytes, "B");
    weir_fact(facts, "most_in_flight", counters.in_flight_most, "");
    weir_fact(facts, "wakeups", (double)counters.wakeups, "");
    if (counters.failed_heaps)
        weir_fact(facts, "failed_heaps", (double)counters.failed_heaps, "");
    if (counters.refused)
        weir_fact(facts, "refused", (double)counters.refused, "");
    if (counters.no_memory)
        weir_fact(facts, "no_buffer_space", (double)counters.no_memory, "");
    if (out_of_range)
        weir_fact(facts, "immediates_out_of_range", (double)out_of_range, "");
}

#define FIELD(member) .offset = offsetof(struct sink_spead, member)

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option options[] = {
    {.name = "to", .type = WEIR_OPTION_STRINGS, FIELD(to), .flags = WEIR_OPTION_MAIN | WEIR_OPTION_REQUIRED,
     .help = "where to send: \"host:8888\", \"239.1.2.3:7148\"; several get heaps in turn"},
    {.name = "tcp", .type = WEIR_OPTION_BOOL, FIELD(tcp), .help = "TCP instead of UDP"},
    {.name = "rate", .type = WEIR_OPTION_NUMBER, FIELD(rate), .fallback = "0", .least = 0, .most = 1e6,
     .help = "limit in Gb/s, SPEAD headers included; 0: none"},
    {.name = "packet_size", .type = WEIR_OPTION_SIZE, FIELD(packet_size), .fallback = "1472", .least = 56,
     .most = 65487, .help = "largest packet, as UDP payload; 8972 where frames may have 9000 bytes"},
    {.name = "max_heaps", .type = WEIR_OPTION_INTEGER, FIELD(max_heaps), .fallback = "4", .least = 1, .most = 4096,
     .help = "heaps in flight; their batches are held meanwhile"},
    {.name = "ids", .type = WEIR_OPTION_MAP, FIELD(ids),
     .help = "column: id of its item (0x1600); others get 0x1000 and on, in their order"},
    {.name = "immediate", .type = WEIR_OPTION_STRINGS, FIELD(immediate),
     .help = "columns of whole numbers that are sent in their pointer, with as many bits as an address"},
    {.name = "address_bits", .type = WEIR_OPTION_INTEGER, FIELD(address_bits), .fallback = "48", .least = 8,
     .most = 56, .help = "the XX of SPEAD-64-XX; spead2 sends 40 unless told otherwise, and receives any"},
    {.name = "descriptors_every", .type = WEIR_OPTION_INTEGER, FIELD(descriptors_every), .fallback = "100",
     .least = 0, .most = 1e12, .help = "heaps after which descriptors are sent again; 0: only when they change"},
    {.name = "stops", .type = WEIR_OPTION_INTEGER, FIELD(stops), .fallback = "3", .least = 0, .most = 1000,
     .help = "stop heaps at the end, for each destination; one may get lost"},
    {.name = "cnt_first", .type = WEIR_OPTION_INTEGER, FIELD(cnt_first), .fallback = "1", .least = 1, .most = 1e14,
     .help = "count of the first heap"},
    {.name = "cnt_step", .type = WEIR_OPTION_INTEGER, FIELD(cnt_step), .fallback = "1", .least = 1, .most = 1e9,
     .help = "between counts: the number of senders of one stream"},
    {.name = "burst", .type = WEIR_OPTION_SIZE, FIELD(burst), .fallback = "64KiB", .least = 1, .most = 1 << 30,
     .help = "sent without a pause where there is a rate"},
    {.name = "burst_rate_ratio", .type = WEIR_OPTION_NUMBER, FIELD(burst_rate_ratio), .fallback = "1.05", .least = 1,
     .most = 1000, .help = "rate × this is the most while lateness is made up for"},
    {.name = "buffer", .type = WEIR_OPTION_SIZE, FIELD(buffer), .fallback = "512KiB", .least = 4096, .most = 1 << 30,
     .help = "of the socket"},
    {.name = "local", .type = WEIR_OPTION_STRING, FIELD(local),
     .help = "address or interface to send from, for multicast too"},
    {.name = "ttl", .type = WEIR_OPTION_INTEGER, FIELD(ttl), .fallback = "1", .least = 1, .most = 255,
     .help = "of multicast packets"},
    {.name = "pyspead", .type = WEIR_OPTION_BOOL, FIELD(pyspead),
     .help = "descriptors as PySPEAD 0.5.2 reads them"},
    {.name = "no_offload", .type = WEIR_OPTION_BOOL, FIELD(no_offload),
     .help = "each packet in a message of its own"},
    {.type = WEIR_OPTION_END},
};

const struct weir_sink sink_spead = {
    .part = {
        .kind = WEIR_SINK,
        .name = "spead",
        .summary = "records sent as heaps of SPEAD, a column an item: UDP, multicast, TCP",
        .example = "# In another terminal: weir spead recv :8888\n"
                   "sources:\n"
                   "  digitiser: {type: adc, sample_rate: 1e6, samples: 4096, count: 100}\n"
                   "sinks:\n"
                   "  network: {type: spead, to: \"127.0.0.1:8888\", ids: {timestamp: 0x1600, samples: 0x3300},\n"
                   "            immediate: [timestamp]}\n",
        .options = options,
        .size = sizeof(struct sink_spead),
        .open = sink_open,
        .close = sink_close,
        .report = sink_report,
    },
    .bind = sink_bind,
    .write = sink_write,
    .commit = sink_commit,
    .finish = sink_finish,
    .commit_rows = COMMIT_ROWS,
    .keep_order = true,
};
