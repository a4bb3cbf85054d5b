/* SPDX-License-Identifier: MIT */
/*
 * Asks a server about records, a model or an embedding server: they are posted one by one or some at a time, and what
 * it answers becomes columns. Calls overlap, as many as the limit lets.
 *
 * The records of a batch are written once, as lines of NDJSON; a call's body is made of its lines and the template:
 *
 *     body: '{"model": "minilm", "input": $records}'     {"model": "minilm", "input": [{…},{…},{…}]}
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "codec/codec.h"
#include "net/http_url.h"
#include "parts/answers.h"
#include "parts/calls.h"
#include "parts/endpoint.h"
#include "parts/parts.h"

enum { GROUP_MOST = 100000, BODY_MOST = 64 << 20 };
enum compress { COMPRESS_NONE, COMPRESS_GZIP };
static const char *const compress_names[] = {"none", "gzip", NULL};

struct stage_call {
    const char *url, *body, *records_at;
    int64_t group;
    struct weir_list send, values, fields;
    struct weir_quoted value;
    bool repeatable;
    int on_failure, compress;
    struct endpoint_options options;
    const char *concurrency;
    int64_t most;
    int order;

    struct weir_env *env;
    struct calls calls;
    struct endpoint endpoint;
    struct answers answers;
    struct weir_schema *sent;        /* the columns that are posted */
    struct weir_buffer bare;         /* of `value`: what comes before it in a line */
    const char *marker, *marker_end; /* in the template: what stands for the records */
    bool list;                       /* it stands for a list of them */
};

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

/* Finds $record or $records in the template. */
static int read_template(struct stage_call *self, struct weir_env *env)
{
    self->list = self->group > 1;
    if (!self->body)
        self->body = self->list ? "$records" : "$record";
    self->marker = strstr(self->body, "$record");
    if (!self->marker)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "`body` says nowhere where the records go: write $records for a list of them, or $record "
                            "for a single one");
    self->list = self->marker[7] == 's';
    self->marker_end = self->marker + 7 + self->list;
    if (strstr(self->marker_end, "$record"))
        return weir_fail_at(env->error, -EINVAL, env->mark, "`body` has more than one place for the records");
    if (!self->list && self->group > 1)
        return weir_fail_at(env->error, -EINVAL, env->mark, "`batch: %lld` sends lists: write $records in `body`",
                            (long long)self->group);
    return 0;
}

static int call_open(void *state, struct weir_env *env)
{
    struct stage_call *self = state;
    self->env = env;
    if (self->send.count && self->value.text)
        return weir_fail_at(env->error, -EINVAL, self->value.mark,
                            "`send` posts columns as an object, `value` one alone: give one of the two");
    if (!self->values.count)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "call needs to know what to take from the answer: values: {score: /score}");
    int error = endpoint_check_url(env, self->url);
    if (error >= 0)
        error = read_template(self, env);
    if (error >= 0)
        error = answers_open(&self->answers, env, &self->values, &self->fields, WEIR_F64);
    if (error >= 0)
        error = calls_open(&self->calls, env, self->concurrency, self->most, self->order);
    if (error >= 0)
        error = endpoint_open(&self->endpoint, env, &self->options, self->calls.limiter.options.most);
    return error;
}

static void call_end_task(void *state, struct weir_env *env)
{
    struct stage_call *self = state;
    (void)env;
    endpoint_close(&self->endpoint);
}

static void call_close(void *state, struct weir_env *env)
{
    struct stage_call *self = state;
    (void)env;
    endpoint_close(&self->endpoint);
    answers_close(&self->answers);
    weir_schema_release(self->sent);
    buffer_free(&self->bare);
}

static int choose_column(struct weir_env *env, const struct weir_schema *in, const struct weir_quoted *name,
                         struct weir_field *ret)
{
    int32_t column = weir_schema_find(in, name->text);
    if (column < 0)
        return weir_fail_at(env->error, -EINVAL, name->mark, "there is no column \"%s\" to send", name->text);
    *ret = in->fields[column];
    return 0;
}

static int choose_columns(struct stage_call *self, struct weir_env *env, struct weir_schema *in)
{
    struct weir_field fields[WEIR_FIELDS_MAX];
    uint32_t count = (uint32_t)self->send.count;
    int error = 0;
    weir_schema_release(self->sent);
    self->sent = NULL;
    if (count > WEIR_FIELDS_MAX)
        return weir_fail_at(env->error, -E2BIG, env->mark, "`send` has more than %d columns", WEIR_FIELDS_MAX);
    for (uint32_t i = 0; i < count && error >= 0; i++)
        error = choose_column(env, in, &self->send.items[i].value, &fields[i]);
    if (self->value.text) {
        error = choose_column(env, in, &self->value, &fields[0]);
        count = 1;
        self->bare.size = 0;
        buffer_append(&self->bare, "{", 1);
        buffer_json_string(&self->bare, self->value.text, strlen(self->value.text));
        buffer_append(&self->bare, ":", 1);
    }
    if (error < 0)
        return error;
    self->sent = count ? weir_schema_new(fields, count, -1, -1) : weir_schema_reference(in);
    return self->sent && !self->bare.failed ? 0 : weir_fail(env->error, -ENOMEM, "out of memory");
}

static int call_bind(void *state, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct stage_call *self = state;
    int error = choose_columns(self, env, in);
    return error < 0 ? error : answers_bind(&self->answers, env, in, out);
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

/* A batch and its calls. */
struct asking {
    struct stage_call *self;
    struct weir_batch *batch; /* that goes out */
    struct weir_buffer lines; /* of the selected rows */
    size_t *starts;           /* of each of them, and the end */
    uint8_t *failed;          /* a byte for each */
    uint32_t failures;
};

static void put_line(const struct stage_call *self, const struct asking *asking, uint32_t i, struct weir_buffer *body)
{
    const char *line = asking->lines.data + asking->starts[i];
    size_t size = asking->starts[i + 1] - asking->starts[i] - 1; /* without its newline */
    if (self->value.text) {
        line += self->bare.size;
        size -= self->bare.size + 1;
    }
    buffer_append(body, line, size);
}

static void make_body(const struct stage_call *self, const struct calls_piece *pieces, uint32_t count,
                      struct weir_buffer *body)
{
    buffer_append(body, self->body, (size_t)(self->marker - self->body));
    if (self->list)
        buffer_append(body, "[", 1);
    for (uint32_t p = 0; p < count; p++) {
        for (uint32_t i = pieces[p].first; i < pieces[p].first + pieces[p].count; i++) {
            if (p > 0 || i > pieces[p].first)
                buffer_append(body, ",", 1);
            put_line(self, pieces[p].argument, i, body);
        }
    }
    if (self->list)
        buffer_append(body, "]", 1);
    buffer_string(body, self->marker_end);
}

/* The call's records stay without an answer. */
static int give_up(struct stage_call *self, const struct calls_piece *pieces, uint32_t count, const char *words)
{
    for (uint32_t p = 0; p < count; p++) {
        struct asking *asking = pieces[p].argument;
        memset(asking->failed + pieces[p].first, 1, pieces[p].count);
        asking->failures += pieces[p].count;
    }
    return answers_fail(self->env, (enum answers_failure)self->on_failure, "call failed", words);
}

static uint32_t count_elements(struct json_text list)
{
    const char *state = NULL;
    struct json_text element;
    uint32_t count = 0;
    while (count < UINT32_MAX && json_text_element(list, &state, &element))
        count++;
    return count;
}

static int put_result(struct stage_call *self, const struct calls_piece *piece, uint32_t i, struct json_text result)
{
    struct json_text values[ANSWERS_COLUMNS_MOST];
    struct asking *asking = piece->argument;
    answers_find(&self->answers, result, values);
    return answers_put(&self->answers, self->env, asking->batch, weir_batch_row(asking->batch, i), values);
}

/* One result for each record. */
static int take_results(struct stage_call *self, const struct calls_piece *pieces, uint32_t count,
                        const struct http_reply *reply)
{
    struct json_text found, element;
    const char *pointer = self->records_at ? self->records_at : "", *state = NULL;
    const struct json_text answer = {reply->body, reply->body_size};
    char words[ENDPOINT_WORDS], url[256];
    uint32_t wanted = 0;
    int error = 0;
    for (uint32_t p = 0; p < count; p++)
        wanted += pieces[p].count;
    if (!answers_check(self->url, answer, words, sizeof words)) {
        endpoint_keep_reason(&self->endpoint, words);
        return give_up(self, pieces, count, words);
    }
    http_url_show(self->url, url, sizeof url);
    if (!json_text_find(answer, pointer, &found)) {
        snprintf(words, sizeof words, "%s: the answer has nothing at `records: %.100s`", url, pointer);
        return give_up(self, pieces, count, words);
    }
    if (!self->list)
        return put_result(self, pieces, pieces->first, found);
    uint32_t results = found.data[0] == '[' ? count_elements(found) : 0;
    if (found.data[0] != '[' || results != wanted) {
        if (found.data[0] == '[')
            snprintf(words, sizeof words, "%s: the answer to %u records has %u results", url, wanted, results);
        else
            snprintf(words, sizeof words, "%s: the answer to %u records is no list of results%s", url, wanted,
                     self->records_at ? "" : "; say with `records` where in it that is");
        return give_up(self, pieces, count, words);
    }
    for (uint32_t p = 0; p < count; p++)
        for (uint32_t i = pieces[p].first; error >= 0 && i < pieces[p].first + pieces[p].count; i++)
            if (json_text_element(found, &state, &element))
                error = put_result(self, &pieces[p], i, element);
    return error;
}

static int ask(struct weir_context *context, const struct calls_piece *pieces, uint32_t count,
               enum limiter_outcome *outcome)
{
    struct stage_call *self = ((struct asking *)pieces->argument)->self;
    struct endpoint_answer answer;
    struct weir_buffer body = {0};
    make_body(self, pieces, count, &body);
    if (body.failed || body.size > BODY_MOST) {
        bool failed = body.failed;
        buffer_free(&body);
        return failed ? weir_fail(self->env->error, -ENOMEM, "%s: out of memory", self->env->name)
                      : give_up(self, pieces, count, "the records are larger than 64 MiB: make `batch` smaller");
    }
    const struct endpoint_question question = {.url = self->url,
                                               .body = body.data,
                                               .body_size = body.size,
                                               .content_type = "application/json",
                                               .gzip = self->compress == COMPRESS_GZIP,
                                               .repeatable = self->repeatable};
    int error = endpoint_ask(context, &self->endpoint, &question, &answer);
    *outcome = answer.limit;
    if (error == 0)
        error = take_results(self, pieces, count, &answer.reply);
    else if (error != -ECANCELED)
        error = give_up(self, pieces, count, answer.words);
    http_reply_release(&answer.reply);
    buffer_free(&body);
    return error;
}

/* The selected rows as lines. */
static int write_lines(struct asking *asking, struct weir_batch *in)
{
    const struct codec_write_options options = {.format = CODEC_NDJSON};
    struct weir_env *env = asking->self->env;
    struct weir_batch *sent = weir_batch_derive(env->pool, in, asking->self->sent);
    int error = sent ? codec_encode(&options, env->symbols, sent, &asking->lines) : -ENOMEM;
    weir_batch_release(sent);
    asking->starts = memory_zeroed((size_t)in->count + 1, sizeof *asking->starts);
    asking->failed = memory_zeroed(in->count, 1);
    if (error < 0 || asking->lines.failed || !asking->starts || !asking->failed)
        return -ENOMEM;
    size_t at = 0;
    for (uint32_t i = 0; i < in->count; i++) {
        const char *end = memchr(asking->lines.data + at, '\n', asking->lines.size - at);
        asking->starts[i] = at;
        at = end ? (size_t)(end - asking->lines.data) + 1 : asking->lines.size;
    }
    asking->starts[in->count] = at;
    return 0;
}

static int settle(struct asking *asking, struct weir_batch *in)
{
    struct stage_call *self = asking->self;
    if (!asking->failures)
        return 0;
    if (self->on_failure == ANSWERS_FAILURE_NULL) {
        weir_count(self->env, "passed on without an answer", NULL, asking->failures);
        return 0;
    }
    return answers_refuse(self->env, in, &asking->batch, asking->failed, asking->failures, "call failed");
}

static int call_call(void *state, struct weir_env *env, struct weir_context *context, struct weir_batch *in,
                     struct weir_out *out)
{
    struct stage_call *self = state;
    struct asking asking = {.self = self, .batch = answers_batch(&self->answers, env, in)};
    int error = asking.batch ? write_lines(&asking, in) : -ENOMEM;
    if (error < 0)
        weir_fail(env->error, error, "%s: out of memory for a batch of %u records", env->name, in->count);
    else
        error = calls_run(&self->calls, env, context, in, in->count, (uint32_t)self->group, ask, &asking);
    if (error >= 0)
        error = settle(&asking, in);
    if (error >= 0 && asking.batch)
        weir_out_emit(out, asking.batch);
    else
        weir_batch_release(asking.batch);
    buffer_free(&asking.lines);
    memory_free(asking.starts);
    memory_free(asking.failed);
    return error;
}

static bool call_unordered(const void *state)
{
    return ((const struct stage_call *)state)->order == CALLS_ORDER_NONE;
}

static void call_report(void *state, struct weir_facts *facts)
{
    struct stage_call *self = state;
    calls_report(&self->calls, facts, false);
    endpoint_report(&self->endpoint, facts);
}

#define FIELD(member) .offset = offsetof(struct stage_call, member)

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option options[] = {
    {.name = "url", .type = WEIR_OPTION_STRING, FIELD(url), .flags = WEIR_OPTION_MAIN | WEIR_OPTION_REQUIRED,
     .help = "whom to ask"},
    {.name = "batch", .type = WEIR_OPTION_INTEGER, FIELD(group), .fallback = "1", .least = 1, .most = GROUP_MOST,
     .help = "records in a call; there may be fewer when few are there"},
    {.name = "send", .type = WEIR_OPTION_STRINGS, FIELD(send),
     .help = "columns to send; without it all"},
    {.name = "value", .type = WEIR_OPTION_COLUMN, FIELD(value),
     .help = "send the values of this column alone, not as objects: [\"one\",\"two\"]"},
    {.name = "body", .type = WEIR_OPTION_STRING, FIELD(body),
     .help = "what to post, with $records (a list) or $record (a single one) in it; without it nothing else is posted"},
    {.name = "records", .type = WEIR_OPTION_STRING, FIELD(records_at),
     .help = "JSON pointer to the result in the answer; after a list, to the list of results, one for each record"},
    {.name = "values", .type = WEIR_OPTION_MAP, FIELD(values),
     .help = "name: pointer for each column to take from a result; \"\" is the whole result"},
    {.name = "fields", .type = WEIR_OPTION_MAP, FIELD(fields),
     .help = "name: type of those that are not f64: time, i64, bool, symbol, text, or f64[N] for a list of N numbers"},
    {.name = "on_failure", .type = WEIR_OPTION_CHOICE, FIELD(on_failure), .fallback = "refuse",
     .choices = answers_failure_names,
     .help = "records whose call failed are refused and counted, or passed on with nulls, or the run stops"},
    {.name = "repeatable", .type = WEIR_OPTION_BOOL, FIELD(repeatable), .fallback = "true",
     .help = "asking twice does no harm; false: only what the server surely did not begin with is tried again"},
    {.name = "compress", .type = WEIR_OPTION_CHOICE, FIELD(compress), .fallback = "none", .choices = compress_names,
     .help = "gzip: send bodies with Content-Encoding: gzip"},
    CALLS_OPTIONS(struct stage_call, "adaptive"),
    ENDPOINT_OPTIONS(struct stage_call, options, "10s", "2"),
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_call = {
    .part = {
        .kind = WEIR_STAGE,
        .name = "call",
        .summary = "posts records to a server, a model or an embedding server; its answers become columns",
        .example = "# In another terminal: weir simulate server --dimensions 4\n"
                   "sources:\n"
                   "  fleet: {type: generate, keys: 10, rate: 100/s, count: 50}\n"
                   "stages:\n"
                   "  - call: {url: \"http://127.0.0.1:9800/embed\", batch: 10, value: sensor,\n"
                   "           values: {embedding: \"\"}, fields: {embedding: \"f64[4]\"}}\n"
                   "sinks:\n"
                   "  out: {type: stdout, format: ndjson}\n",
        .options = options,
        .size = sizeof(struct stage_call),
        .open = call_open,
        .close = call_close,
        .report = call_report,
    },
    .bind = call_bind,
    .call = call_call,
    .unordered = call_unordered,
    .end_task = call_end_task,
};
