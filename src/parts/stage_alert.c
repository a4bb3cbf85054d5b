/* SPDX-License-Identifier: MIT */
/*
 * alert: from readings to records that say "raised" and "cleared". For each key a small machine:
 *
 *              over the threshold            for `for`                 at or under clear
 *     quiet ────────────────────► pending ──────────────► raised ──────────────────────► quiet
 *        ▲                           │ no longer over
 *        └───────────────────────────┘
 *
 * and beside it another for missing data, which event time drives: a heap of the keys by when they would be missing.
 * A record older than the newest of its key says nothing about how things are now and is passed over. What happens
 * depends on the records and their order alone, not on where batches begin.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "data/symbols.h"
#include "expr/expr.h"
#include "parts/grouping.h"
#include "parts/numeric.h"
#include "parts/parts.h"

enum { AT_MOST_MOST = 16 };  /* raised in a period, of one key */
enum { EVENTS_MOST = 4096 }; /* that go out at once when event time comes to them */
enum { TIME, HEAD };         /* first columns that go out; then the key; then: */
enum { NAME, STATE, VALUE, REASON, TAIL };
#define SPAN_MOST 3.2e17 /* ns: ten years */
/* Times from 1824 to 2116: with spans added to them they are still times. Others are passed over. */
#define TIME_MOST (INT64_MAX / 2)
#define TIME_LEAST (INT64_MIN / 2)

enum reason { OVER, UNDER, MISSING, BACK, REASONS };

struct alert_key { /* state of a key */
    int64_t newest, since;
    uint64_t number; /* of the key on this lane, from 1; 0: never seen */
    bool pending, raised, held_back, missing, armed;
    uint8_t raises_next, raises_count;
    int64_t raises[AT_MOST_MOST]; /* when it was raised, the last few times */
    uint64_t values[];            /* of its columns */
};

struct event { /* a record that goes out */
    const struct alert_key *key;
    int64_t time, produced;
    uint64_t position;
    double value;
    enum reason reason;
};

struct due { /* heap: when a key would be missing */
    int64_t time;
    struct alert_key *key;
};

struct alert {
    struct weir_quoted field, when, clear_when; /* options */
    struct weir_numbers above, below, clear;
    int64_t for_ns, missing_ns;
    struct weir_quoted at_most;
    struct weir_list by;

    uint32_t most; /* of at_most */
    int64_t period;
    struct expr *when_expr, *clear_expr;
    struct grouping grouping;
    uint32_t column; /* of field */
    enum weir_type key_types[GROUPING_COLUMNS_MOST];
    struct weir_schema *out;
    uint32_t reasons[REASONS], name, raised, cleared; /* symbols */
    int64_t watermark, produced;
    uint64_t keys;
    uint32_t source;
    uint64_t sequence;

    struct due *heap;
    size_t heap_count, heap_capacity;
    struct event *events;
    size_t event_count, event_capacity;
    void **states; /* room for a batch */
    size_t states_capacity;
    double *scratch;
    size_t scratch_capacity;
    uint8_t *over, *under;
    size_t over_capacity, under_capacity;
};

static const char *alert_key(const void *self)
{
    return grouping_key(&((const struct alert *)self)->by);
}

/* ---- Options --------------------------------------------------------------------------------------------------- */

/* "2/10m": a number and a duration, which may be a unit alone. */
static int read_at_most(struct alert *alert, struct weir_env *env)
{
    const char *text = alert->at_most.text, *slash = text ? strchr(text, '/') : NULL;
    char number[8] = "", duration[32];
    int64_t most = 0;
    if (!text)
        return 0;
    if (slash && (size_t)(slash - text) < sizeof number)
        memcpy(number, text, (size_t)(slash - text));
    snprintf(duration, sizeof duration, "%s%s", slash && slash[1] >= '0' && slash[1] <= '9' ? "" : "1",
             slash ? slash + 1 : "");
    if (!slash || units_integer(number, &most) < 0 || units_duration(duration, &alert->period) < 0 ||
        alert->period <= 0)
        return weir_fail_at(env->error, -EINVAL, alert->at_most.mark,
                            "%s: at_most: \"%s\" is not a number of alerts in a time, such as 1/10m or 3/h", env->name,
                            text);
    if (most < 1 || most > AT_MOST_MOST)
        return weir_fail_at(env->error, -EINVAL, alert->at_most.mark, "%s: at_most takes from 1 to %d alerts in a time",
                            env->name, (int)AT_MOST_MOST);
    alert->most = (uint32_t)most;
    return 0;
}

static int check_options(const struct alert *alert, struct weir_env *env)
{
    bool threshold = alert->above.count || alert->below.count;
    const char *wrong = NULL;
    if (!threshold && !alert->when.text && !alert->missing_ns)
        wrong = "say when: above: 80 or below: 10 of a field, when: CONDITION, or missing: 10m";
    else if (threshold && alert->when.text)
        wrong = "above and below go with a field, not with when";
    else if (threshold && !alert->field.text)
        wrong = "above and below need field: COLUMN";
    else if (alert->above.count > 1 || alert->below.count > 1 || alert->clear.count > 1)
        wrong = "above, below and clear are one number each";
    else if (alert->above.count && alert->below.count && alert->below.values[0] > alert->above.values[0])
        wrong =
            "below is higher than above: any value is beyond one of them, and the alert would never be cleared; for "
            "an alert outside of 5 to 6 say above: 6, below: 5";
    else if (alert->clear.count && alert->above.count + alert->below.count != 1)
        wrong = "clear goes with either above or below";
    else if (alert->clear.count && alert->above.count && alert->clear.values[0] > alert->above.values[0])
        wrong = "clear is higher than above: the alert would be raised and cleared at once";
    else if (alert->clear.count && alert->below.count && alert->clear.values[0] < alert->below.values[0])
        wrong = "clear is lower than below: the alert would be raised and cleared at once";
    else if (alert->clear_when.text && !alert->when.text)
        wrong = "clear_when goes with when";
    else if (alert->for_ns && !threshold && !alert->when.text)
        wrong = "for goes with above, below or when";
    return wrong ? weir_fail_at(env->error, -EINVAL, env->mark, "%s: %s", env->name, wrong) : 0;
}

static int alert_open(void *self, struct weir_env *env)
{
    struct alert *alert = self;
    int error = check_options(alert, env);
    alert->watermark = INT64_MIN;
    if (!error)
        error = read_at_most(alert, env);
    if (!error && alert->when.text)
        error = expr_parse(alert->when, &alert->when_expr, env->error);
    if (!error && alert->clear_when.text)
        error = expr_parse(alert->clear_when, &alert->clear_expr, env->error);
    return error;
}

static void alert_close(void *self, struct weir_env *env)
{
    struct alert *alert = self;
    (void)env;
    expr_free(alert->when_expr);
    expr_free(alert->clear_expr);
    grouping_free(&alert->grouping);
    weir_schema_release(alert->out);
    memory_free(alert->heap);
    memory_free(alert->events);
    memory_free(alert->states);
    memory_free(alert->scratch);
    memory_free(alert->over);
    memory_free(alert->under);
}

/* ---- Schema ---------------------------------------------------------------------------------------------------- */

static int bind_condition(struct weir_env *env, struct expr *expr, struct weir_quoted text,
                          const struct weir_schema *in)
{
    int error = expr ? expr_bind(expr, in, env->symbols, env->error) : 0;
    if (!error && expr && expr_type(expr) != WEIR_BOOL)
        error = weir_fail_at(env->error, -EINVAL, text.mark,
                             "%s: a condition is needed, as in `value > 3`; `%.80s` is of type %s", env->name,
                             text.text, weir_type_name(expr_type(expr)));
    return error;
}

static uint32_t intern(struct weir_env *env, const char *text)
{
    uint32_t id = symbols_intern(env->symbols, text, strlen(text));
    return id == SYMBOLS_FULL ? WEIR_SYMBOL_NULL : id;
}

/* In the words of the configuration: "value > 80 for 5 min". */
static void make_reasons(struct alert *alert, struct weir_env *env)
{
    const char *field = alert->field.text ? alert->field.text : "";
    char words[512], held[64] = "", length[32];
    int at = 0;
    if (alert->for_ns)
        snprintf(held, sizeof held, " for %s", units_show_duration(alert->for_ns, length, sizeof length));
    if (alert->when.text)
        at = snprintf(words, sizeof words, "%.400s", alert->when.text);
    if (alert->above.count)
        at = snprintf(words, sizeof words, "%s > %g", field, alert->above.values[0]);
    if (alert->below.count)
        at += snprintf(words + at, sizeof words - (size_t)at, "%s%s < %g", at ? " or " : "", field,
                       alert->below.values[0]);
    snprintf(words + at, sizeof words - (size_t)at, "%s", held);
    alert->reasons[OVER] = intern(env, words);
    if (alert->clear_when.text)
        snprintf(words, sizeof words, "%.400s", alert->clear_when.text);
    else if (alert->when.text)
        snprintf(words, sizeof words, "not %.400s", alert->when.text);
    else if (alert->above.count && alert->below.count)
        snprintf(words, sizeof words, "%s in %g to %g", field, alert->below.values[0], alert->above.values[0]);
    else if (alert->above.count)
        snprintf(words, sizeof words, "%s <= %g", field,
                 alert->clear.count ? alert->clear.values[0] : alert->above.values[0]);
    else if (alert->below.count)
        snprintf(words, sizeof words, "%s >= %g", field,
                 alert->clear.count ? alert->clear.values[0] : alert->below.values[0]);
    alert->reasons[UNDER] = intern(env, words);
    snprintf(words, sizeof words, "no data for %s", units_show_duration(alert->missing_ns, length, sizeof length));
    alert->reasons[MISSING] = intern(env, words);
    alert->reasons[BACK] = intern(env, "data again");
    alert->name = intern(env, env->name);
    alert->raised = intern(env, "raised");
    alert->cleared = intern(env, "cleared");
}

static int bind_outputs(struct alert *alert, struct weir_env *env, const struct weir_schema *in)
{
    struct weir_field fields[HEAD + GROUPING_COLUMNS_MOST + TAIL];
    const uint32_t keys = alert->grouping.count, tail = HEAD + keys, count = tail + TAIL;
    fields[TIME] = in->fields[in->time];
    for (uint32_t i = 0; i < keys; i++)
        fields[HEAD + i] = grouping_field(&alert->grouping, in, i);
    fields[tail + NAME] = (struct weir_field){.name = "alert", .type = WEIR_SYMBOL};
    fields[tail + STATE] = (struct weir_field){.name = "state", .type = WEIR_SYMBOL};
    fields[tail + VALUE] = (struct weir_field){.name = "value", .type = WEIR_F64};
    fields[tail + REASON] = (struct weir_field){.name = "reason", .type = WEIR_SYMBOL};
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(fields[i].name, fields[j].name) == 0)
                return weir_fail_at(env->error, -EINVAL, env->mark,
                                    "%s: two columns that go out would be called \"%s\"; rename one with select before",
                                    env->name, fields[i].name);
    weir_schema_release(alert->out);
    alert->out = weir_schema_together(env, weir_schema_new(fields, count, TIME, keys ? HEAD : -1));
    return alert->out ? 0 : weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
}

static int alert_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct alert *alert = self;
    if (in->time < 0)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: alerts are of event time, and these records have none: give the source time: COLUMN",
                            env->name);
    int error = grouping_bind(&alert->grouping, env, &alert->by, in);
    for (uint32_t i = 0; !error && i < alert->grouping.count; i++) {
        enum weir_type type = in->fields[alert->grouping.columns[i]].type;
        if (alert->out && (type != alert->key_types[i] || alert->out->count != HEAD + alert->grouping.count + TAIL))
            error = weir_fail_at(env->error, -EINVAL, env->mark, "%s: the key of the records has changed on the way",
                                 env->name);
        alert->key_types[i] = type;
    }
    if (!error && alert->field.text)
        error = numeric_column(env, in, alert->field, &alert->column);
    if (!error)
        error = bind_condition(env, alert->when_expr, alert->when, in);
    if (!error)
        error = bind_condition(env, alert->clear_expr, alert->clear_when, in);
    if (!error)
        error = bind_outputs(alert, env, in);
    if (!error)
        error = weir_key_state_define(
            env,
            &(struct weir_key_options){.size = sizeof(struct alert_key) + alert->grouping.count * sizeof(uint64_t)});
    if (error)
        return error;
    make_reasons(alert, env);
    *out = weir_schema_reference(alert->out);
    return 0;
}

/* ---- What happens to a key -------------------------------------------------------------------------------------- */

static int add_event(struct alert *alert, const struct event *event)
{
    size_t capacity = alert->event_capacity;
    if (alert->event_count == capacity &&
        numeric_reserve(&alert->events, &alert->event_capacity, capacity ? 2 * capacity : 64, sizeof *event) < 0)
        return -ENOMEM;
    alert->events[alert->event_count++] = *event;
    return 0;
}

/* False: there were enough in the period; what is held back is not cleared either. */
static bool may_raise(struct alert *alert, struct alert_key *key, int64_t time)
{
    if (!alert->most)
        return true;
    int64_t oldest = key->raises[key->raises_next]; /* of the last `most` */
    if (key->raises_count == alert->most && time - oldest < alert->period)
        return false;
    key->raises[key->raises_next] = time;
    key->raises_next = (uint8_t)((key->raises_next + 1u) % alert->most);
    key->raises_count += key->raises_count < alert->most;
    return true;
}

static int raise_alert(struct alert *alert, struct weir_env *env, struct alert_key *key, const struct event *event)
{
    key->held_back = !may_raise(alert, key, event->time);
    if (key->held_back)
        weir_count(env, "alerts held back", NULL, 1);
    return key->held_back ? 0 : add_event(alert, event);
}

static int clear_alert(struct alert *alert, struct alert_key *key, const struct event *event)
{
    bool silent = key->held_back;
    key->held_back = false;
    return silent ? 0 : add_event(alert, event);
}

static bool before(const struct due *a, const struct due *b)
{
    return a->time != b->time ? a->time < b->time : a->key->number < b->key->number;
}

static int push_due(struct alert *alert, struct due due)
{
    size_t capacity = alert->heap_capacity, at = alert->heap_count;
    if (at == capacity &&
        numeric_reserve(&alert->heap, &alert->heap_capacity, capacity ? 2 * capacity : 64, sizeof due) < 0)
        return -ENOMEM;
    alert->heap_count++;
    for (size_t above; at > 0 && before(&due, &alert->heap[above = (at - 1) / 2]); at = above)
        alert->heap[at] = alert->heap[above];
    alert->heap[at] = due;
    return 0;
}

static struct due pop_due(struct alert *alert)
{
    struct due first = alert->heap[0], last = alert->heap[--alert->heap_count];
    size_t at = 0, count = alert->heap_count;
    for (size_t below; (below = 2 * at + 1) < count; at = below) {
        below += below + 1 < count && before(&alert->heap[below + 1], &alert->heap[below]);
        if (!before(&alert->heap[below], &last))
            break;
        alert->heap[at] = alert->heap[below];
    }
    if (count)
        alert->heap[at] = last;
    return first;
}

/* Event time has come so far that data of this key is missing. */
static int find_missing(struct alert *alert, struct weir_env *env, struct alert_key *key, uint64_t position,
                        int64_t watermark)
{
    if (!alert->missing_ns || key->missing || key->newest == INT64_MIN || watermark == INT64_MAX ||
        watermark < key->newest + alert->missing_ns)
        return 0;
    struct event event = {.key = key,
                          .time = key->newest + alert->missing_ns,
                          .produced = alert->produced,
                          .position = position,
                          .value = NAN,
                          .reason = MISSING};
    key->missing = true;
    if (!key->raised) /* one alert at a time */
        return raise_alert(alert, env, key, &event);
    return 0;
}

static int note_data(struct alert *alert, struct alert_key *key, struct event *event)
{
    bool was_missing = key->missing;
    key->newest = event->time;
    key->missing = false;
    if (alert->missing_ns && !key->armed) {
        if (push_due(alert, (struct due){event->time + alert->missing_ns, key}) < 0)
            return -ENOMEM;
        key->armed = true;
    }
    event->reason = BACK;
    return was_missing && !key->raised ? clear_alert(alert, key, event) : 0;
}

/* `over`, `under`: 1, 0 or null, for not known. */
static int note_condition(struct alert *alert, struct weir_env *env, struct alert_key *key, struct event *event,
                          uint8_t over, uint8_t under)
{
    if (key->raised) {
        event->reason = UNDER;
        key->raised = under != 1;
        return key->raised ? 0 : clear_alert(alert, key, event);
    }
    if (over != 1) {
        key->pending &= over != 0;
        return 0;
    }
    if (!key->pending)
        key->since = event->time;
    key->pending = true;
    if (event->time - key->since < alert->for_ns)
        return 0;
    key->pending = false;
    key->raised = true;
    event->reason = OVER;
    return raise_alert(alert, env, key, event);
}

/* ---- Records come ---------------------------------------------------------------------------------------------- */

/* Whether each row is over the threshold, and whether it is under that of clearing. */
static int judge(struct alert *alert, const struct weir_batch *in, const double *values)
{
    if (alert->when_expr) {
        if (expr_evaluate(alert->when_expr, in, alert->over) < 0 ||
            (alert->clear_expr && expr_evaluate(alert->clear_expr, in, alert->under) < 0))
            return -ENOMEM;
        for (uint32_t row = 0; !alert->clear_expr && row < in->rows; row++)
            alert->under[row] = alert->over[row] == 0;
        return 0;
    }
    const double above = alert->above.count ? alert->above.values[0] : INFINITY;
    const double below = alert->below.count ? alert->below.values[0] : -INFINITY;
    const double clear_above = alert->above.count && alert->clear.count ? alert->clear.values[0] : above;
    const double clear_below = alert->below.count && alert->clear.count ? alert->clear.values[0] : below;
    bool threshold = alert->above.count || alert->below.count;
    for (uint32_t row = 0; row < in->rows; row++) {
        double value = threshold ? values[row] : 0;
        alert->over[row] = isnan(value) ? WEIR_BOOL_NULL : value > above || value < below;
        alert->under[row] = isnan(value) ? WEIR_BOOL_NULL : value <= clear_above && value >= clear_below;
    }
    return 0;
}

static int note_row(struct alert *alert, struct weir_env *env, const struct weir_batch *in, uint32_t row,
                    struct alert_key *key, double value)
{
    int64_t time = in->columns[in->schema->time].i64[row];
    struct event event = {.key = key,
                          .time = time,
                          .produced = weir_batch_produced(in, row),
                          .position = weir_batch_position(in, row),
                          .value = value};
    alert->produced = event.produced;
    if (!key->number) {
        key->number = ++alert->keys;
        key->newest = INT64_MIN;
        grouping_values(&alert->grouping, env, in, row, key->values);
    }
    int error = find_missing(alert, env, key, event.position, weir_row_watermark(env, in, row, alert->watermark));
    if (error || time < TIME_LEAST || time > TIME_MOST || time < key->newest || (alert->field.text && isnan(value)))
        return error ? error : time >= TIME_LEAST && time < key->newest;
    error = note_data(alert, key, &event);
    return error ? error : note_condition(alert, env, key, &event, alert->over[row], alert->under[row]);
}

static int note_rows(struct alert *alert, struct weir_env *env, const struct weir_batch *in,
                     const struct weir_batch *keyed)
{
    const double *values = alert->field.text ? numeric_values(in, alert->column, alert->scratch) : NULL;
    uint64_t old = 0;
    int error = judge(alert, in, values);
    for (uint32_t i = 0; error >= 0 && i < keyed->count; i++) {
        uint32_t row = weir_batch_row(keyed, i);
        error = note_row(alert, env, in, row, alert->states[i], values ? values[row] : NAN);
        old += error == 1;
    }
    weir_count(env, "records older than the newest", NULL, old);
    return error < 0 ? error : 0;
}

static int emit_events(struct alert *alert, struct weir_env *env, struct weir_out *out)
{
    const uint32_t count = (uint32_t)alert->event_count, keys = alert->grouping.count, tail = HEAD + keys;
    if (!count)
        return 0;
    struct weir_batch *batch = weir_batch_new(env->pool, alert->out, count);
    uint64_t *positions = batch ? weir_batch_allocate(batch, count * sizeof *positions) : NULL;
    int64_t *produced = positions ? weir_batch_allocate(batch, count * sizeof *produced) : NULL;
    if (!produced) {
        weir_batch_release(batch);
        return -ENOMEM;
    }
    for (uint32_t row = 0; row < count; row++) {
        const struct event *event = &alert->events[row];
        bool raised = event->reason == OVER || event->reason == MISSING;
        ((int64_t *)weir_batch_column_data(batch, TIME))[row] = event->time;
        for (uint32_t i = 0; i < keys; i++)
            grouping_put(&alert->out->fields[HEAD + i], weir_batch_column_data(batch, HEAD + i), row,
                         event->key->values[i]);
        ((uint32_t *)weir_batch_column_data(batch, tail + NAME))[row] = alert->name;
        ((uint32_t *)weir_batch_column_data(batch, tail + STATE))[row] = raised ? alert->raised : alert->cleared;
        ((double *)weir_batch_column_data(batch, tail + VALUE))[row] = event->value;
        ((uint32_t *)weir_batch_column_data(batch, tail + REASON))[row] = alert->reasons[event->reason];
        positions[row] = event->position;
        produced[row] = event->produced;
    }
    batch->positions = positions;
    batch->position = positions[0];
    batch->produced_rows = produced;
    batch->produced = produced[0];
    batch->source = alert->source;
    batch->sequence = alert->sequence;
    alert->event_count = 0;
    weir_out_emit(out, batch);
    return 0;
}

static int make_room(struct alert *alert, const struct weir_batch *in)
{
    int error = numeric_reserve(&alert->states, &alert->states_capacity, in->count, sizeof(void *));
    if (!error)
        error = numeric_reserve(&alert->scratch, &alert->scratch_capacity, in->rows, sizeof(double));
    if (!error)
        error = numeric_reserve(&alert->over, &alert->over_capacity, in->rows, 1);
    if (!error)
        error = numeric_reserve(&alert->under, &alert->under_capacity, in->rows, 1);
    return error;
}

static int out_of_memory(struct weir_env *env)
{
    return weir_fail(env->error, -ENOMEM, "%s: out of memory; give the pipeline more with run: {memory: ...}",
                     env->name);
}

static int alert_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct alert *alert = self;
    struct weir_batch *keyed = in, *ended;
    const uint32_t none = 0;
    int error = make_room(alert, in);
    if (error >= 0)
        error = grouping_states(&alert->grouping, env, &keyed, alert->states);
    alert->source = in->source;
    alert->sequence = in->sequence;
    if (error >= 0 && keyed->count) {
        error = note_rows(alert, env, in, keyed);
        ended = error >= 0 ? weir_filter(env, keyed, &none, 0) : NULL;
        error = ended ? emit_events(alert, env, out) : -ENOMEM;
        weir_batch_release(ended);
    }
    grouping_done(&alert->grouping);
    return error < 0 ? out_of_memory(env) : 0;
}

/* Keys that may have been silent for too long; the end of the stream is no silence. */
static bool is_due(const struct alert *alert, int64_t time_ns)
{
    return time_ns != INT64_MAX && alert->heap_count && alert->heap[0].time <= time_ns;
}

static int alert_on_watermark(void *self, struct weir_env *env, int64_t time_ns, struct weir_out *out)
{
    struct alert *alert = self;
    int error = 0;
    alert->watermark = time_ns;
    while (!error && is_due(alert, time_ns) && alert->event_count < EVENTS_MOST) {
        struct due due = pop_due(alert);
        int64_t time = due.key->newest + alert->missing_ns;
        if (time > time_ns) {
            error = push_due(alert, (struct due){time, due.key});
            continue;
        }
        due.key->armed = false;
        error = find_missing(alert, env, due.key, UINT64_MAX, time_ns);
    }
    if (!error)
        error = emit_events(alert, env, out);
    return error < 0 ? out_of_memory(env) : is_due(alert, time_ns);
}

static const struct weir_option alert_options[] = {
    {.name = "when",
     .type = WEIR_OPTION_EXPRESSION,
     .offset = offsetof(struct alert, when),
     .flags = WEIR_OPTION_MAIN,
     .help = "condition that raises the alert; without clear_when it is cleared when this is false"},
    {.name = "clear_when",
     .type = WEIR_OPTION_EXPRESSION,
     .offset = offsetof(struct alert, clear_when),
     .help = "condition that clears it"},
    {.name = "field",
     .type = WEIR_OPTION_COLUMN,
     .offset = offsetof(struct alert, field),
     .help = "column of numbers: for above and below, and the value that goes out; where it is null there is no data"},
    {.name = "above",
     .type = WEIR_OPTION_NUMBERS,
     .offset = offsetof(struct alert, above),
     .help = "raise when the field is higher than this"},
    {.name = "below",
     .type = WEIR_OPTION_NUMBERS,
     .offset = offsetof(struct alert, below),
     .help = "raise when the field is lower than this"},
    {.name = "clear",
     .type = WEIR_OPTION_NUMBERS,
     .offset = offsetof(struct alert, clear),
     .help = "clear when the field has come back to this; without it, to the threshold itself"},
    {.name = "for",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct alert, for_ns),
     .least = 0,
     .most = SPAN_MOST,
     .help = "only when it has been so for this long, in event time, in every record"},
    {.name = "missing",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct alert, missing_ns),
     .least = 0,
     .most = SPAN_MOST,
     .help = "raise also when event time has gone on for this long without data of the key"},
    {.name = "at_most",
     .type = WEIR_OPTION_QUOTED,
     .offset = offsetof(struct alert, at_most),
     .help = "so many are raised for a key in a time, such as 1/10m; the others, and their clearing, are counted only"},
    {.name = "by",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct alert, by),
     .help = "column, or up to 8 of them, whose values each have an alert of their own; without it the key of the "
             "source"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_alert = {
    .part = {.kind = WEIR_STAGE,
             .name = "alert",
             .summary = "says when a threshold is passed, a condition lasts, or data is missing: raised and cleared",
             .example = "stages:\n"
                        "  - alert: {field: value, above: 24, clear: 22, for: 10s, missing: 10m}\n",
             .options = alert_options,
             .size = sizeof(struct alert),
             .open = alert_open,
             .close = alert_close},
    .key = alert_key,
    .bind = alert_bind,
    .process = alert_process,
    .on_watermark = alert_on_watermark,
    .every_row = true,
};
