/* SPDX-License-Identifier: MIT */
/*
 * Looks up what is known about each record, by HTTP or in a CSV file, and adds it as columns. Answers are kept in a
 * cache, so that a key is asked for once in a while and by one task at a time.
 *
 *     rows of a batch ─► their keys, each once ─► in the cache ───────────────────────────► columns
 *                                                 not there: asked for together, under the limit ─┘
 *
 * A key is the address with the record's values in it, or the value that the table is searched for.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "async/cache.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/memory.h"
#include "parts/answers.h"
#include "parts/calls.h"
#include "parts/csv_table.h"
#include "parts/endpoint.h"
#include "parts/key_text.h"
#include "parts/parts.h"

enum missing { MISSING_NULL, MISSING_REFUSE, MISSING_DROP };
static const char *const missing_names[] = {"null", "refuse", "drop", NULL};

struct stage_lookup {
    const char *url, *file, *file_key;
    struct weir_quoted key;
    struct weir_list values, fields;
    int on_failure, missing;
    int64_t ttl, negative_ttl, cache_bytes;
    struct endpoint_options options;
    const char *concurrency;
    int64_t most;
    int order;

    struct weir_env *env;
    struct calls calls;
    struct endpoint endpoint;
    struct answers answers;
    struct cache *cache;
    struct key_text key_text; /* the address, or the value alone */
    struct csv_table *table;
    uint32_t *columns; /* of the table, for each of the answers */
    size_t table_bytes, cache_taken;
    bool reloading;
    struct weir_event reloaded;
    _Atomic uint64_t asked, hits, absent, kept_bytes, kept, evicted; /* for the report */
};

/* ---- The table -----------------------------------------------------------------------------------------------------
 */

static const char *table_key(const struct stage_lookup *self)
{
    return self->file_key ? self->file_key : self->key.text;
}

/* The columns to take: those of `values`, else all but the key. Types are declared, or as the cells look. */
static int choose_columns(struct stage_lookup *self, struct weir_env *env)
{
    const struct csv_table *table = self->table;
    uint32_t count = self->values.count ? (uint32_t)self->values.count : csv_table_columns(table);
    self->columns = memory_zeroed(count ? count : 1, sizeof *self->columns);
    if (!self->columns)
        return weir_fail(env->error, -ENOMEM, "out of memory");
    int error = 0;
    for (uint32_t i = 0; i < count && error >= 0; i++) {
        const struct weir_pair *pair = self->values.count ? &self->values.items[i] : NULL;
        const char *column = pair ? pair->value.text : csv_table_name(table, i);
        int32_t found = csv_table_find(table, column);
        if (found < 0)
            return weir_fail_at(env->error, -EINVAL, pair->value.mark, "the table %s has no column \"%.100s\"",
                                self->file, column);
        if (!pair && strcmp(column, table_key(self)) == 0)
            continue;
        self->columns[self->answers.count] = (uint32_t)found;
        error = answers_add(&self->answers, env, pair ? pair->name.text : column, "", &self->fields,
                            csv_table_numeric(table, (uint32_t)found) ? WEIR_F64 : WEIR_SYMBOL,
                            pair ? pair->name.mark : env->mark);
    }
    return error;
}

static int take_table_memory(struct stage_lookup *self, struct weir_env *env, size_t bytes)
{
    if (bytes > self->table_bytes && !weir_memory_take(env, bytes - self->table_bytes))
        return weir_fail(env->error, -ENOMEM,
                         "%s: the table %s takes %zu bytes, which run.memory has no room for; raise it", env->name,
                         self->file, bytes);
    if (bytes < self->table_bytes)
        weir_memory_give(env, self->table_bytes - bytes);
    self->table_bytes = bytes;
    return 0;
}

static int open_table(struct stage_lookup *self, struct weir_env *env)
{
    if (!self->key.text)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "a table wants `key`: the column of the records whose value is searched for in it");
    struct weir_error words = {0};
    int error = csv_table_load(self->file, table_key(self), &self->table, &words);
    if (error < 0)
        return weir_fail_at(env->error, error, env->mark, "%s", words.text);
    error = take_table_memory(self, env, csv_table_bytes(self->table));
    return error < 0 ? error : choose_columns(self, env);
}

/* A changed file, read again on a thread of its own. */
struct reload {
    const struct stage_lookup *self;
    struct csv_table *table;
    struct weir_error error;
    bool changed;
};

static int reload_work(void *argument)
{
    struct reload *reload = argument;
    const struct stage_lookup *self = reload->self;
    reload->changed = csv_table_changed(self->table, self->file);
    return reload->changed ? csv_table_load(self->file, table_key(self), &reload->table, &reload->error) : 0;
}

static int take_reloaded(struct stage_lookup *self, struct reload *reload)
{
    uint32_t columns[ANSWERS_COLUMNS_MOST];
    for (uint32_t i = 0; i < self->answers.count; i++) {
        const char *name = csv_table_name(self->table, self->columns[i]);
        int32_t found = csv_table_find(reload->table, name);
        if (found < 0)
            return weir_fail(&reload->error, -EINVAL, "the table %s has lost its column \"%.100s\"", self->file, name);
        columns[i] = (uint32_t)found;
    }
    struct weir_error *kept = self->env->error;
    self->env->error = &reload->error;
    int error = take_table_memory(self, self->env, csv_table_bytes(reload->table));
    self->env->error = kept;
    if (error < 0)
        return error;
    memcpy(self->columns, columns, self->answers.count * sizeof *columns);
    csv_table_free(self->table);
    self->table = reload->table;
    reload->table = NULL;
    return 0;
}

/* Looks whether the file has changed. What cannot be read leaves the table as it was. Shielded: the work looks at the
 * table, and must not outlive it. */
static int refresh_table(struct weir_context *context, struct stage_lookup *self)
{
    struct reload reload = {.self = self};
    while (self->reloading) {
        int error = weir_event_wait(context, &self->reloaded, WEIR_NEVER);
        if (error < 0 || !self->reloading)
            return error;
    }
    self->reloading = true;
    weir_shield(context, true);
    int error = weir_offload(context, reload_work, &reload, NULL, WEIR_NEVER);
    weir_shield(context, false);
    if (error >= 0 && reload.table)
        error = take_reloaded(self, &reload);
    if (error < 0 && error != -ECANCELED)
        weir_notice(self->env, "table not read again", "%s; the answers are those of before",
                    reload.error.text[0] ? reload.error.text : strerror(-error));
    csv_table_free(reload.table);
    self->reloading = false;
    weir_event_signal(&self->reloaded, true);
    return error == -ECANCELED ? error : 0;
}

static int fetch_row(struct weir_context *context, struct stage_lookup *self, const char *key, size_t size,
                     struct weir_buffer *value)
{
    int error = refresh_table(context, self);
    if (error < 0)
        return error;
    int64_t row = csv_table_row(self->table, key, size);
    if (row < 0)
        return -ENOENT;
    struct json_text found[ANSWERS_COLUMNS_MOST];
    size_t ends[ANSWERS_COLUMNS_MOST];
    struct weir_buffer cells = {0};
    for (uint32_t i = 0; i < self->answers.count; i++) {
        csv_table_cell(self->table, row, self->columns[i], &cells);
        ends[i] = cells.size;
    }
    for (uint32_t i = 0; i < self->answers.count && !cells.failed; i++) {
        size_t begin = i ? ends[i - 1] : 0;
        found[i] = (struct json_text){cells.data + begin, ends[i] - begin};
    }
    if (!cells.failed)
        answers_pack(&self->answers, found, value);
    error = cells.failed ? -ENOMEM : 0;
    buffer_free(&cells);
    return error;
}

/* ---- Fetching ------------------------------------------------------------------------------------------------------
 */

/* One key of a batch. */
struct wanted {
    struct stage_lookup *self;
    const char *key;
    uint32_t size;
    const struct cache_value *value;
    enum limiter_outcome *outcome; /* of the call under way */
    bool failed;
};

static int fetch_answer(struct weir_context *context, struct wanted *wanted, const char *key, size_t size,
                        struct weir_buffer *value)
{
    struct stage_lookup *self = wanted->self;
    struct json_text found[ANSWERS_COLUMNS_MOST];
    struct endpoint_answer answer;
    char url[KEY_TEXT_MOST + 1];
    memcpy(url, key, size);
    url[size] = 0;
    const struct endpoint_question question = {.url = url, .may_be_none = true};
    int error = endpoint_ask(context, &self->endpoint, &question, &answer);
    int status = answer.reply.status;
    *wanted->outcome = answer.limit;
    bool json = status == 204 || error < 0 ||
                answers_check(url, (struct json_text){answer.reply.body, answer.reply.body_size}, answer.words,
                              sizeof answer.words);
    if (!json) {
        error = -EBADMSG;
        endpoint_keep_reason(&self->endpoint, answer.words);
    }
    if (error == 0 && status != 204) {
        answers_find(&self->answers, (struct json_text){answer.reply.body, answer.reply.body_size}, found);
        answers_pack(&self->answers, found, value);
    } else if (error == 0 || (error == -EPROTO && (status == 404 || status == 410))) {
        error = -ENOENT;
        *wanted->outcome = LIMITER_GOOD;
    } else if (error != -ECANCELED) {
        (void)answers_fail(self->env, (enum answers_failure)self->on_failure, "lookup failed", answer.words);
    }
    http_reply_release(&answer.reply);
    return error;
}

static int fetch(struct weir_context *context, void *argument, const void *key, size_t size, struct weir_buffer *value)
{
    struct wanted *wanted = argument;
    return wanted->self->file ? fetch_row(context, wanted->self, key, size, value)
                              : fetch_answer(context, wanted, key, size, value);
}

/* A call: one key, through the cache. */
static int ask(struct weir_context *context, const struct calls_piece *pieces, uint32_t count,
               enum limiter_outcome *outcome)
{
    struct wanted **all = pieces->argument, *wanted = all[pieces->first];
    struct stage_lookup *self = wanted->self;
    (void)count;
    wanted->outcome = outcome;
    *outcome = LIMITER_OTHER; /* of who waits for another's fetch */
    int error = cache_get(context, self->cache, wanted->key, wanted->size, fetch, wanted, WEIR_NEVER, &wanted->value);
    if (error == 0 || error == -ECANCELED || error == -ENOMEM)
        return error;
    wanted->failed = true;
    if (self->on_failure != ANSWERS_FAILURE_STOP)
        return 0;
    return weir_fail(self->env->error, -EIO, "%s: a lookup failed (on_failure: stop)", self->env->name);
}

/* ---- A batch -------------------------------------------------------------------------------------------------------
 */

enum { NO_KEY = UINT32_MAX };
struct looking {
    struct stage_lookup *self;
    struct weir_batch *in, *out;
    struct weir_buffer keys;  /* texts, one after the other */
    size_t *begins;           /* of each wanted key, and the end */
    struct wanted *wanted;    /* each key once */
    struct wanted **missed;   /* those that are to be asked for */
    uint32_t *of_row, *slots; /* key of each selected row; a table of keys by hash: index + 1 */
    uint32_t count, slot_count, missed_count;
    uint8_t *refused, *dropped; /* a byte for each selected row */
    uint32_t refusals, drops, failures;
};

static int allocate(struct looking *looking, uint32_t rows)
{
    looking->slot_count = 16;
    while (looking->slot_count < rows * 2)
        looking->slot_count *= 2;
    looking->begins = memory_zeroed((size_t)rows + 1, sizeof *looking->begins);
    looking->wanted = memory_zeroed(rows, sizeof *looking->wanted);
    looking->missed = memory_zeroed(rows, sizeof *looking->missed);
    looking->of_row = memory_zeroed(rows, sizeof *looking->of_row);
    looking->slots = memory_zeroed(looking->slot_count, sizeof *looking->slots);
    looking->refused = memory_zeroed(rows, 1);
    looking->dropped = memory_zeroed(rows, 1);
    looking->out = answers_batch(&looking->self->answers, looking->self->env, looking->in);
    return looking->begins && looking->wanted && looking->missed && looking->of_row && looking->slots &&
                   looking->refused && looking->dropped && looking->out
               ? 0
               : -ENOMEM;
}

/* The key that was just appended: known already, or new. */
static uint32_t note_key(struct looking *looking)
{
    size_t begin = looking->begins[looking->count], size = looking->keys.size - begin;
    const char *key = looking->keys.data + begin;
    uint32_t slot = (uint32_t)hash_bytes(key, size) & (looking->slot_count - 1);
    for (; looking->slots[slot]; slot = (slot + 1) & (looking->slot_count - 1)) {
        uint32_t other = looking->slots[slot] - 1;
        size_t at = looking->begins[other];
        if (looking->begins[other + 1] - at == size && memcmp(looking->keys.data + at, key, size) == 0) {
            looking->keys.size = begin;
            return other;
        }
    }
    looking->slots[slot] = ++looking->count;
    looking->begins[looking->count] = looking->keys.size;
    return looking->count - 1;
}

/* The keys of all rows, each once, and what the cache has of them. */
static int find_keys(struct looking *looking, struct weir_context *context)
{
    struct stage_lookup *self = looking->self;
    uint64_t missed = 0;
    buffer_reserve(&looking->keys, 1);
    for (uint32_t i = 0; i < looking->in->count && !looking->keys.failed; i++) {
        bool there = key_text_append(&self->key_text, self->env, looking->in, weir_batch_row(looking->in, i),
                                     &looking->keys);
        if (!there)
            looking->keys.size = looking->begins[looking->count];
        looking->of_row[i] = there && !looking->keys.failed ? note_key(looking) : NO_KEY;
    }
    if (looking->keys.failed)
        return -ENOMEM;
    for (uint32_t i = 0; i < looking->count; i++) {
        struct wanted *wanted = &looking->wanted[i];
        size_t begin = looking->begins[i];
        *wanted = (struct wanted){
            .self = self, .key = looking->keys.data + begin, .size = (uint32_t)(looking->begins[i + 1] - begin)};
        wanted->value = cache_find(context, self->cache, wanted->key, wanted->size);
        if (!wanted->value)
            looking->missed[looking->missed_count++] = wanted;
    }
    for (uint32_t i = 0; i < looking->in->count; i++)
        missed += looking->of_row[i] != NO_KEY && !looking->wanted[looking->of_row[i]].value;
    self->asked += looking->in->count;
    /* Of the rows with a key that was not there, one each asks; the others share its answer. */
    self->hits += looking->in->count - (missed < looking->missed_count ? missed : looking->missed_count);
    return 0;
}

static int put_row(struct looking *looking, uint32_t i)
{
    struct stage_lookup *self = looking->self;
    struct json_text values[ANSWERS_COLUMNS_MOST];
    const struct wanted *wanted = looking->of_row[i] == NO_KEY ? NULL : &looking->wanted[looking->of_row[i]];
    if (wanted && wanted->failed) {
        looking->failures++;
        looking->refused[i] = self->on_failure == ANSWERS_FAILURE_REFUSE;
        looking->refusals += looking->refused[i];
        return 0;
    }
    if (wanted && wanted->value->found) {
        answers_unpack(&self->answers, wanted->value->data, wanted->value->size, values);
        return answers_put(&self->answers, self->env, looking->out, weir_batch_row(looking->in, i), values);
    }
    self->absent++;
    looking->refused[i] = self->missing == MISSING_REFUSE;
    looking->dropped[i] = self->missing == MISSING_DROP;
    looking->refusals += looking->refused[i];
    looking->drops += looking->dropped[i];
    return 0;
}

/* Rows that are not to go on. */
static int settle(struct looking *looking)
{
    struct stage_lookup *self = looking->self;
    struct weir_env *env = self->env;
    if (looking->failures > looking->refusals)
        weir_count(env, "passed on without an answer", NULL, looking->failures - looking->refusals);
    if (looking->drops) {
        uint32_t kept = 0, *rows = memory_zeroed(looking->in->count, sizeof *rows);
        for (uint32_t i = 0; rows && i < looking->in->count; i++)
            if (!looking->dropped[i])
                rows[kept++] = weir_batch_row(looking->in, i);
        struct weir_batch *rest = rows ? weir_filter(env, looking->out, rows, kept) : NULL;
        memory_free(rows);
        if (!rest)
            return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
        weir_batch_release(looking->out);
        looking->out = rest;
        kept = 0; /* the marks move up with their rows */
        for (uint32_t i = 0; i < looking->in->count; i++)
            if (!looking->dropped[i])
                looking->refused[kept++] = looking->refused[i];
    }
    if (!looking->refusals)
        return 0;
    struct weir_batch *from = weir_batch_reference(looking->out);
    int error = answers_refuse(env, from, &looking->out, looking->refused, looking->refusals,
                               looking->failures ? "lookup failed" : "not found");
    weir_batch_release(from);
    return error;
}

static void free_looking(struct looking *looking)
{
    for (uint32_t i = 0; looking->wanted && i < looking->count; i++)
        cache_release(looking->self->cache, looking->wanted[i].value);
    memory_free(looking->begins);
    memory_free(looking->wanted);
    memory_free(looking->missed);
    memory_free(looking->of_row);
    memory_free(looking->slots);
    memory_free(looking->refused);
    memory_free(looking->dropped);
    buffer_free(&looking->keys);
    weir_batch_release(looking->out);
}

static void publish(struct stage_lookup *self)
{
    struct cache_counters counters;
    cache_count(self->cache, &counters);
    self->kept = counters.entries;
    self->kept_bytes = counters.bytes;
    self->evicted = counters.evicted;
}

static int lookup_call(void *state, struct weir_env *env, struct weir_context *context, struct weir_batch *in,
                       struct weir_out *out)
{
    struct stage_lookup *self = state;
    struct looking looking = {.self = self, .in = in};
    int error = allocate(&looking, in->count);
    weir_begun(env, in, 0, in->count);
    if (error >= 0)
        error = find_keys(&looking, context);
    if (error < 0)
        weir_fail(env->error, error, "%s: out of memory for a batch of %u records", env->name, in->count);
    if (error >= 0 && looking.missed_count)
        error = calls_run(&self->calls, env, context, NULL, looking.missed_count, 1, ask, looking.missed);
    for (uint32_t i = 0; i < in->count && error >= 0; i++)
        error = put_row(&looking, i);
    if (error >= 0)
        error = settle(&looking);
    if (error >= 0 && looking.out && looking.out->count) {
        weir_out_emit(out, looking.out);
        looking.out = NULL;
    }
    free_looking(&looking);
    publish(self);
    return error;
}

/* ---- Opening -------------------------------------------------------------------------------------------------------
 */

static int open_cache(struct stage_lookup *self, struct weir_env *env)
{
    const struct cache_options options = {(uint64_t)self->cache_bytes, self->ttl, self->negative_ttl};
    if (!weir_memory_take(env, (size_t)self->cache_bytes))
        return weir_fail_at(env->error, -ENOMEM, env->mark,
                            "run.memory has no room for a cache of %lld bytes; raise it, or make `cache` smaller",
                            (long long)self->cache_bytes);
    self->cache_taken = (size_t)self->cache_bytes;
    self->cache = cache_new(&options);
    return self->cache ? 0 : weir_fail(env->error, -ENOMEM, "out of memory");
}

/* Is it an address, whatever the columns in it will be? */
static int check_address(const struct stage_lookup *self, struct weir_env *env)
{
    char *sample = memory_string(self->url);
    if (!sample)
        return weir_fail(env->error, -ENOMEM, "out of memory");
    for (char *at = sample; *at; at++)
        if (*at == '{' || *at == '}')
            *at = '0';
    int error = endpoint_check_url(env, sample);
    memory_free(sample);
    return error;
}

static int lookup_open(void *state, struct weir_env *env)
{
    struct stage_lookup *self = state;
    self->env = env;
    if (!self->url == !self->file)
        return weir_fail_at(env->error, -EINVAL, env->mark, "lookup asks a server (`url`) or a table (`file`): %s",
                            self->url ? "give one of the two" : "it needs one of them");
    if (self->url && !self->values.count)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "lookup needs to know what to take from the answer: values: {site: /site}");
    int error = calls_open(&self->calls, env, self->concurrency, self->most, self->order);
    if (error >= 0)
        error = self->file ? open_table(self, env) : check_address(self, env);
    if (error >= 0)
        error = self->file ? key_text_column(&self->key_text, env, &self->key)
                           : key_text_address(&self->key_text, env, self->url);
    if (error >= 0 && self->url)
        error = answers_open(&self->answers, env, &self->values, &self->fields, WEIR_F64);
    if (error >= 0 && self->url)
        error = endpoint_open(&self->endpoint, env, &self->options, self->calls.limiter.options.most);
    return error < 0 ? error : open_cache(self, env);
}

static void lookup_end_task(void *state, struct weir_env *env)
{
    struct stage_lookup *self = state;
    (void)env;
    endpoint_close(&self->endpoint);
}

static void lookup_close(void *state, struct weir_env *env)
{
    struct stage_lookup *self = state;
    endpoint_close(&self->endpoint);
    answers_close(&self->answers);
    cache_free(self->cache);
    csv_table_free(self->table);
    memory_free(self->columns);
    key_text_close(&self->key_text);
    weir_memory_give(env, self->table_bytes + self->cache_taken);
}

static int lookup_bind(void *state, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct stage_lookup *self = state;
    int error = key_text_bind(&self->key_text, env, in);
    return error < 0 ? error : answers_bind(&self->answers, env, in, out);
}

static bool lookup_unordered(const void *state)
{
    return ((const struct stage_lookup *)state)->order == CALLS_ORDER_NONE;
}

static void lookup_report(void *state, struct weir_facts *facts)
{
    struct stage_lookup *self = state;
    uint64_t asked = self->asked;
    weir_fact(facts, "cache hit ratio", asked ? (double)self->hits / (double)asked : 0, "");
    weir_fact(facts, "cache entries", (double)self->kept, "");
    weir_fact(facts, "cache bytes", (double)self->kept_bytes, "B");
    if (self->evicted)
        weir_fact(facts, "cache evictions", (double)self->evicted, "");
    weir_fact(facts, "not found", (double)self->absent, "records");
    if (!self->url)
        return;
    calls_report(&self->calls, facts, false);
    endpoint_report(&self->endpoint, facts);
}

#define FIELD(member) .offset = offsetof(struct stage_lookup, member)

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option options[] = {
    {.name = "url", .type = WEIR_OPTION_STRING, FIELD(url), .flags = WEIR_OPTION_MAIN,
     .help = "address to ask for each key, with the values of columns in it: http://host/sensors/{sensor}"},
    {.name = "file", .type = WEIR_OPTION_STRING, FIELD(file),
     .help = "or a CSV file with a header, which is read again when it has changed"},
    {.name = "key", .type = WEIR_OPTION_COLUMN, FIELD(key),
     .help = "file: the column of the records whose value is searched for"},
    {.name = "file_key", .type = WEIR_OPTION_STRING, FIELD(file_key),
     .help = "file: the column of the file that it is searched for in; without it the one of the same name"},
    {.name = "values", .type = WEIR_OPTION_MAP, FIELD(values),
     .help = "name: JSON pointer for each column to take from an answer; of a file, name: column (without it all)"},
    {.name = "fields", .type = WEIR_OPTION_MAP, FIELD(fields),
     .help = "name: type of those that are not f64 (of a file: not what they look like): time, i64, bool, symbol, "
     "text, f64[N]"},
    {.name = "missing", .type = WEIR_OPTION_CHOICE, FIELD(missing), .fallback = "null", .choices = missing_names,
     .help = "records that nothing is found for (404, 410, 204, no such row): pass on with nulls, are refused, or "
     "filtered out"},
    {.name = "on_failure", .type = WEIR_OPTION_CHOICE, FIELD(on_failure), .fallback = "refuse",
     .choices = answers_failure_names,
     .help = "records whose lookup failed are refused and counted, or passed on with nulls, or the run stops"},
    {.name = "ttl", .type = WEIR_OPTION_DURATION, FIELD(ttl), .fallback = "5min", .least = 0, .most = 1e18,
     .help = "how long an answer is kept; 0s: for the whole run"},
    {.name = "negative_ttl", .type = WEIR_OPTION_DURATION, FIELD(negative_ttl), .fallback = "30s", .least = 0,
     .most = 1e18, .help = "how long it is kept that there is none; 0s: not at all"},
    {.name = "cache", .type = WEIR_OPTION_SIZE, FIELD(cache_bytes), .fallback = "1MiB", .least = 1024, .most = 1e15,
     .help = "memory for answers, out of run.memory; the one unused for longest goes first"},
    CALLS_OPTIONS(struct stage_lookup, "adaptive"),
    ENDPOINT_OPTIONS(struct stage_lookup, options, "5s", "2"),
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_lookup = {
    .part = {
        .kind = WEIR_STAGE,
        .name = "lookup",
        .summary = "adds what a server or a CSV file knows about each record, through a cache",
        .example = "sources:\n"
                   "  fleet: {type: generate, keys: 10, rate: 100/s, count: 50}\n"
                   "stages:\n"
                   "  - lookup: {file: sensors.csv, key: sensor, values: {site: location, limit: max_value},\n"
                   "             fields: {site: symbol}}\n"
                   "  - filter: value > limit\n"
                   "sinks:\n"
                   "  out: {type: stdout, format: ndjson}\n",
        .options = options,
        .size = sizeof(struct stage_lookup),
        .open = lookup_open,
        .close = lookup_close,
        .report = lookup_report,
    },
    .bind = lookup_bind,
    .call = lookup_call,
    .unordered = lookup_unordered,
    .end_task = lookup_end_task,
};
