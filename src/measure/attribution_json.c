/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/json.h"
#include "base/memory.h"
#include "flow/plan.h"
#include "measure/attribution.h"

#define FORMAT "weir profile"

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

static void put_text(struct weir_buffer *out, const char *name, const char *text)
{
    buffer_format(out, "%s\"%s\": ", out->size && out->data[out->size - 1] == '{' ? "" : ", ", name);
    buffer_json_string(out, text, strlen(text));
}

static void put_number(struct weir_buffer *out, const char *name, double number)
{
    buffer_format(out, "%s\"%s\": ", out->size && out->data[out->size - 1] == '{' ? "" : ", ", name);
    if (isfinite(number))
        buffer_format(out, "%.12g", number);
    else
        buffer_string(out, "null");
}

static void put_bool(struct weir_buffer *out, const char *name, bool value)
{
    buffer_format(out, ", \"%s\": %s", name, value ? "true" : "false");
}

static void put_row(const struct attribution_row *row, struct weir_buffer *out)
{
    put_text(out, "name", row->name);
    put_text(out, "type", row->type);
    put_text(out, "work", attribution_work(row->work));
    put_number(out, "calls", (double)row->calls);
    put_number(out, "records", (double)row->records);
    put_number(out, "total_seconds", row->total_seconds);
    put_number(out, "own_seconds", row->own_seconds);
    put_number(out, "ns_per_record", row->nanoseconds);
    put_number(out, "share", row->share);
    put_number(out, "speedup_if_removed", row->removed);
    put_number(out, "speedup_if_halved", row->halved);
    put_number(out, "ns_per_record_median", row->spread.median);
    put_number(out, "ns_per_record_error", row->spread.error);
    put_number(out, "intervals", row->spread.count);
}

static void put_thread(const struct attribution_thread *thread, bool critical, struct weir_buffer *out)
{
    put_text(out, "name", thread->name);
    put_number(out, "busy_seconds", thread->busy_seconds);
    put_number(out, "processor_seconds", thread->processor_seconds);
    put_number(out, "queued_seconds", thread->queued_seconds);
    put_number(out, "blocked_seconds", thread->blocked_seconds);
    put_number(out, "starved_seconds", thread->starved_seconds);
    put_number(out, "ns_per_record", thread->nanoseconds);
    put_bool(out, "critical", critical);
}

static void put_queue(const struct attribution_queue *queue, struct weir_buffer *out)
{
    put_text(out, "from", queue->from);
    put_text(out, "to", queue->to);
    put_number(out, "batches", (double)queue->batches);
    put_number(out, "wait_seconds_mean", queue->wait_seconds);
    put_number(out, "full_seconds", queue->full_seconds);
}

static void put_lists(const struct attribution *made, struct weir_buffer *out)
{
    buffer_string(out, ", \"rows\": [");
    for (uint32_t i = 0; i < made->row_count; i++) {
        buffer_string(out, i ? "}, {" : "{");
        put_row(&made->rows[i], out);
    }
    buffer_string(out, made->row_count ? "}], \"threads\": [" : "], \"threads\": [");
    for (uint32_t i = 0; i < made->thread_count; i++) {
        buffer_string(out, i ? "}, {" : "{");
        put_thread(&made->threads[i], made->critical == (int32_t)i, out);
    }
    buffer_string(out, made->thread_count ? "}], \"queues\": [" : "], \"queues\": [");
    for (uint32_t i = 0; i < made->queue_count; i++) {
        buffer_string(out, i ? "}, {" : "{");
        put_queue(&made->queues[i], out);
    }
    buffer_string(out, made->queue_count ? "}], \"outputs\": [" : "], \"outputs\": [");
    for (uint32_t i = 0; i < made->output_count; i++) {
        buffer_string(out, i ? ", " : "");
        fingerprint_write(&made->outputs[i], out);
    }
    buffer_string(out, "]");
}

static const char *change_name(enum attribution_change change)
{
    static const char *const names[] = {
        [CHANGE_NONE] = "none", [CHANGE_NOISE] = "noise",     [CHANGE_FASTER] = "faster",   [CHANGE_SLOWER] = "slower",
        [CHANGE_NEW] = "new",   [CHANGE_UNKNOWN] = "unknown", [CHANGE_UNCLEAR] = "unclear",
    };
    return names[change];
}

static const struct fingerprint *output_of(const struct attribution *made, const char *sink)
{
    for (uint32_t i = 0; i < made->output_count; i++) {
        if (strcmp(made->outputs[i].sink, sink) == 0)
            return &made->outputs[i];
    }
    return NULL;
}

static void put_output_changes(const struct attribution *before, const struct attribution *after,
                               struct weir_buffer *out)
{
    static const char *const names[] = {"same", "rounding", "different"};
    bool all = before->output_count > 0 && after->output_count > 0, same = true;
    char words[256];
    buffer_string(out, ", \"outputs\": [");
    for (uint32_t i = 0; all && i < after->output_count; i++) {
        const struct fingerprint *then = output_of(before, after->outputs[i].sink);
        enum fingerprint_verdict verdict = FINGERPRINT_DIFFERENT;
        snprintf(words, sizeof words, "there was no such sink");
        if (then)
            verdict = fingerprint_compare(then, &after->outputs[i], words, sizeof words);
        buffer_string(out, i ? "}, {" : "{");
        put_text(out, "sink", after->outputs[i].sink);
        put_text(out, "verdict", names[verdict]);
        put_text(out, "words", words);
        same = same && verdict != FINGERPRINT_DIFFERENT;
    }
    buffer_string(out, all && after->output_count ? "}]" : "]");
    if (all)
        put_bool(out, "outputs_same", same);
    else
        buffer_string(out, ", \"outputs_same\": null");
}

static void put_against(const struct attribution *before, const struct attribution *after, struct weir_buffer *out)
{
    buffer_string(out, ", \"against\": {");
    put_text(out, "configuration", before->configuration);
    put_number(out, "records_per_second", before->records_per_second);
    put_number(out, "speedup",
               before->records_per_second > 0 ? after->records_per_second / before->records_per_second : NAN);
    buffer_string(out, ", \"rows\": [");
    for (uint32_t i = 0; i < after->row_count; i++) {
        const struct attribution_row *row = &after->rows[i];
        struct attribution_difference difference = attribution_difference(attribution_find(before, row), row);
        buffer_string(out, i ? "}, {" : "{");
        put_text(out, "name", row->name);
        put_text(out, "work", attribution_work(row->work));
        put_number(out, "ns_per_record_before", difference.before);
        put_number(out, "ns_per_record", difference.after);
        put_number(out, "ratio", difference.ratio);
        put_text(out, "change", change_name(difference.change));
    }
    buffer_string(out, after->row_count ? "}]" : "]");
    put_output_changes(before, after, out);
    buffer_string(out, "}");
}

void attribution_json(const struct attribution *made, const struct attribution *before, struct weir_buffer *out)
{
    buffer_string(out, "{");
    put_text(out, "format", FORMAT);
    put_number(out, "version", ATTRIBUTION_VERSION);
    put_text(out, "configuration", made->configuration);
    put_number(out, "records", (double)made->records);
    put_number(out, "seconds", made->seconds);
    put_number(out, "records_per_second", made->records_per_second);
    put_number(out, "bound_per_second", made->bound_per_second);
    put_number(out, "observed_seconds", made->observed_seconds);
    put_number(out, "lanes", made->lanes);
    put_number(out, "processors", made->processors);
    put_bool(out, "interrupted", made->interrupted);
    if (made->critical >= 0)
        put_text(out, "critical_thread", made->threads[made->critical].name);
    else
        buffer_string(out, ", \"critical_thread\": null");
    put_bool(out, "processors_are_the_limit", made->processors_bound);
    put_lists(made, out);
    if (before)
        put_against(before, made, out);
    buffer_string(out, "}\n");
}

/* ---- Flame graphs ----------------------------------------------------------------------------------------------- */

static void put_path(const struct plan *plan, uint32_t node, uint32_t depth, struct weir_buffer *out)
{
    if (node >= plan->count || plan->nodes[node].part->kind == WEIR_SOURCE || depth > plan->count)
        return;
    put_path(plan, plan->nodes[node].from_count ? plan->nodes[node].from[0] : UINT32_MAX, depth + 1, out);
    buffer_format(out, ";%s", plan->nodes[node].name);
}

/* A stage stands below the stages that call it; what is done for sources and sinks stands by itself. */
void attribution_folded(const struct plan *plan, const struct pipeline_times *times, struct weir_buffer *out)
{
    for (uint32_t i = 0; i < times->cell_count; i++) {
        const struct pipeline_cell *cell = &times->cells[i];
        int64_t microseconds = cell->own_ns / 1000;
        if (microseconds <= 0)
            continue;
        buffer_string(out, times->threads[cell->thread].name);
        if (cell->work == WORK_PROCESS)
            put_path(plan, cell->node, 0, out);
        else if (cell->node < plan->count)
            buffer_format(out, ";%s (%s)", plan->nodes[cell->node].name, attribution_work(cell->work));
        else
            buffer_format(out, ";%s", attribution_work(cell->work));
        buffer_format(out, " %" PRId64 "\n", microseconds);
    }
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

static uint32_t count_children(const struct json_node *list)
{
    uint32_t count = 0;
    for (const struct json_node *at = list && list->kind == JSON_ARRAY ? list->first : NULL; at; at = at->next)
        count++;
    return count;
}

static int read_row(const struct json_node *node, struct attribution_row *row)
{
    const char *name = json_member_text(node, "name", NULL), *work = json_member_text(node, "work", NULL);
    if (!name || !work)
        return -EINVAL;
    int kind = 0;
    while (kind < WORK_COUNT && strcmp(attribution_work((enum pipeline_work)kind), work) != 0)
        kind++;
    if (kind == WORK_COUNT)
        return -EINVAL;
    snprintf(row->name, sizeof row->name, "%s", name);
    snprintf(row->type, sizeof row->type, "%s", json_member_text(node, "type", ""));
    row->work = (enum pipeline_work)kind;
    row->calls = json_member_count(node, "calls");
    row->records = json_member_count(node, "records");
    row->total_seconds = json_member_number(node, "total_seconds", 0);
    row->own_seconds = json_member_number(node, "own_seconds", 0);
    row->nanoseconds = json_member_number(node, "ns_per_record", NAN);
    row->share = json_member_number(node, "share", 0);
    row->removed = json_member_number(node, "speedup_if_removed", NAN);
    row->halved = json_member_number(node, "speedup_if_halved", NAN);
    row->spread.median = json_member_number(node, "ns_per_record_median", NAN);
    row->spread.error = json_member_number(node, "ns_per_record_error", NAN);
    row->spread.count = (uint32_t)json_member_count(node, "intervals");
    if (!isfinite(row->spread.median) || !isfinite(row->spread.error))
        row->spread.count = 0;
    return 0;
}

/* What a comparison needs; threads and queues are for people. */
static int read_made(const struct json_node *root, struct attribution *made, struct weir_error *error)
{
    const struct json_node *rows = json_member(root, "rows"), *outputs = json_member(root, "outputs");
    made->rows = memory_zeroed(count_children(rows) + 1, sizeof *made->rows);
    made->outputs = memory_zeroed(count_children(outputs) + 1, sizeof *made->outputs);
    if (!made->rows || !made->outputs)
        return weir_fail(error, -ENOMEM, "out of memory");
    if (!rows || rows->kind != JSON_ARRAY)
        return weir_fail(error, -EINVAL, "it has no rows");
    for (const struct json_node *at = rows->first; at; at = at->next) {
        if (read_row(at, &made->rows[made->row_count]) < 0)
            return weir_fail(error, -EINVAL, "row %u says not what was done", made->row_count + 1);
        made->row_count++;
    }
    for (const struct json_node *at = outputs && outputs->kind == JSON_ARRAY ? outputs->first : NULL; at;
         at = at->next) {
        if (fingerprint_read(at, &made->outputs[made->output_count]) < 0)
            return weir_fail(error, -EINVAL, "output %u is not whole", made->output_count + 1);
        made->output_count++;
    }
    snprintf(made->configuration, sizeof made->configuration, "%s", json_member_text(root, "configuration", ""));
    made->records = json_member_count(root, "records");
    made->seconds = json_member_number(root, "seconds", 0);
    made->records_per_second = json_member_number(root, "records_per_second", 0);
    made->bound_per_second = json_member_number(root, "bound_per_second", NAN);
    made->lanes = (uint32_t)json_member_count(root, "lanes");
    made->processors = (uint32_t)json_member_count(root, "processors");
    made->critical = -1;
    return 0;
}

int attribution_read(const char *text, size_t size, struct attribution **ret, struct weir_error *error)
{
    struct json_tree *tree = NULL;
    int code = json_tree_parse(text, size, &tree, error);
    if (code < 0)
        return code;
    const struct json_node *root = json_tree_root(tree);
    double version = json_member_number(root, "version", 0);
    struct attribution *made = NULL;
    if (strcmp(json_member_text(root, "format", ""), FORMAT) != 0) {
        code = weir_fail(error, -EINVAL, "it is no profile; weir profile --save writes one");
    } else if (version != ATTRIBUTION_VERSION) {
        code = weir_fail(error, -EINVAL,
                         "it is a profile of version %g, and this program reads version %d; make it again with weir "
                         "profile --save",
                         version, ATTRIBUTION_VERSION);
    } else {
        made = memory_zeroed(1, sizeof *made);
        code = made ? read_made(root, made, error) : weir_fail(error, -ENOMEM, "out of memory");
    }
    json_tree_free(tree);
    if (code < 0) {
        attribution_free(made);
        return code;
    }
    *ret = made;
    return 0;
}
