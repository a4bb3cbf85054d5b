/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/units.h"
#include "measure/attribution.h"
#include "measure/text.h"

enum { COLUMNS = 10, CELL = 64, GAP = 2, NAME_WIDTH = 24, ADVICE_ROWS = 3 };
#define SMALL_SHARE 0.1 /* of a part that is not worth its while */
#define FULL_SHARE 0.05 /* of the run: a queue that was full for less held nobody back */

struct line {
    char cells[COLUMNS][CELL];
};
struct table {
    uint32_t columns, left; /* left: how many of the first columns are aligned to the left */
    size_t widths[COLUMNS];
};

/* ---- Tables ----------------------------------------------------------------------------------------------------- */

static void widen(struct table *table, const struct line *line)
{
    for (uint32_t i = 0; i < table->columns; i++) {
        size_t columns = text_columns(line->cells[i]);
        table->widths[i] = columns > table->widths[i] ? columns : table->widths[i];
    }
}

static void put_line(const struct table *table, const struct line *line, struct weir_buffer *out)
{
    for (uint32_t i = 0; i < table->columns; i++) {
        size_t used = text_columns(line->cells[i]);
        int fill = table->widths[i] > used ? (int)(table->widths[i] - used) : 0;
        bool last = i + 1 == table->columns;
        if (i < table->left)
            buffer_format(out, "%s%*s", line->cells[i], last ? 0 : fill, "");
        else
            buffer_format(out, "%*s%s", fill, "", line->cells[i]);
        buffer_format(out, "%*s", last ? 0 : GAP, "");
    }
    while (out->size > 0 && out->data[out->size - 1] == ' ')
        out->size--;
    buffer_string(out, "\n");
}

static void show_seconds(double seconds, char *out, size_t size)
{
    units_show_duration((int64_t)(seconds * 1e9 + 0.5), out, size);
}

static void show_nanoseconds(double ns, char *out, size_t size)
{
    if (!isfinite(ns))
        snprintf(out, size, "-");
    else if (ns < 99.95)
        snprintf(out, size, "%.1f", ns);
    else
        text_count((uint64_t)(ns + 0.5), out, size);
}

static void show_times(double times, char *out, size_t size)
{
    if (!isfinite(times) || times >= 999.5)
        snprintf(out, size, "%s", isfinite(times) ? ">999 x" : "-");
    else
        snprintf(out, size, "%.*f x", times < 9.995 ? 2 : times < 99.95 ? 1 : 0, times);
}

/* ---- The profile ------------------------------------------------------------------------------------------------ */

static void put_head(const struct attribution *made, struct weir_buffer *out)
{
    char records[32], seconds[32], rate[32];
    show_seconds(made->seconds, seconds, sizeof seconds);
    buffer_format(out, "%s: %s records in %s, %s records/s; %u lane%s, %u processor%s%s\n\n", made->configuration,
                  text_count(made->records, records, sizeof records), seconds,
                  text_rate(made->records_per_second, rate, sizeof rate), made->lanes, made->lanes == 1 ? "" : "s",
                  made->processors, made->processors == 1 ? "" : "s", made->interrupted ? "; interrupted" : "");
}

/* A row's name, and its type where it is the part itself, or what of it the row is. */
static struct line named_line(const struct attribution_row *row)
{
    struct line line = {0};
    snprintf(line.cells[0], CELL, "%.*s", NAME_WIDTH, row->name);
    snprintf(line.cells[1], CELL, "%.30s",
             row->work == WORK_PROCESS ? row->type
             : row->type[0]            ? attribution_work(row->work)
                                       : "");
    return line;
}

static struct line line_of(const struct attribution_row *row)
{
    struct line line = named_line(row);
    text_count(row->calls, line.cells[2], CELL);
    text_count(row->records, line.cells[3], CELL);
    show_seconds(row->total_seconds, line.cells[4], CELL);
    show_seconds(row->own_seconds, line.cells[5], CELL);
    show_nanoseconds(row->nanoseconds, line.cells[6], CELL);
    snprintf(line.cells[7], CELL, "%.1f %%", row->share * 100);
    show_times(row->removed, line.cells[8], CELL);
    show_times(row->halved, line.cells[9], CELL);
    if (row->work == WORK_ENGINE)
        snprintf(line.cells[2], CELL, "-");
    return line;
}

static void put_rows(const struct attribution *made, struct weir_buffer *out)
{
    static const struct line head = {
        {"part", "work", "calls", "records", "total", "own", "ns/record", "share", "if gone", "if halved"}};
    struct table table = {.columns = COLUMNS, .left = 2};
    widen(&table, &head);
    for (uint32_t i = 0; i < made->row_count; i++) {
        struct line line = line_of(&made->rows[i]);
        widen(&table, &line);
    }
    put_line(&table, &head, out);
    for (uint32_t i = 0; i < made->row_count; i++) {
        struct line line = line_of(&made->rows[i]);
        put_line(&table, &line, out);
    }
}

static void show_share(double part, double whole, char *out, size_t size)
{
    snprintf(out, size, "%.1f %%", whole > 0 ? part / whole * 100 : 0);
}

static struct line line_of_thread(const struct attribution *made, uint32_t index)
{
    const struct attribution_thread *thread = &made->threads[index];
    struct line line = {0};
    snprintf(line.cells[0], CELL, "%s", thread->name);
    show_share(thread->busy_seconds, made->seconds, line.cells[1], CELL);
    show_share(thread->processor_seconds, made->seconds, line.cells[2], CELL);
    show_share(thread->queued_seconds, made->seconds, line.cells[3], CELL);
    show_share(thread->blocked_seconds, made->seconds, line.cells[4], CELL);
    show_share(thread->starved_seconds, made->seconds, line.cells[5], CELL);
    show_nanoseconds(thread->nanoseconds, line.cells[6], CELL);
    snprintf(line.cells[7], CELL, "%s",
             made->critical == (int32_t)index && !made->processors_bound ? "<- critical" : "");
    return line;
}

static void put_threads(const struct attribution *made, struct weir_buffer *out)
{
    static const struct line head = {{"thread", "busy", "processor", "queued", "blocked", "starved", "ns/record", ""}};
    struct table table = {.columns = 8, .left = 1};
    widen(&table, &head);
    for (uint32_t i = 0; i < made->thread_count; i++) {
        struct line line = line_of_thread(made, i);
        widen(&table, &line);
    }
    buffer_string(out, "\n");
    put_line(&table, &head, out);
    for (uint32_t i = 0; i < made->thread_count; i++) {
        struct line line = line_of_thread(made, i);
        put_line(&table, &line, out);
    }
}

static void put_queues(const struct attribution *made, struct weir_buffer *out)
{
    static const struct line head = {{"queue", "batches", "wait", "full"}};
    struct table table = {.columns = 4, .left = 1};
    buffer_string(out, "\n");
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 0)
            widen(&table, &head);
        else
            put_line(&table, &head, out);
        for (uint32_t i = 0; i < made->queue_count; i++) {
            const struct attribution_queue *queue = &made->queues[i];
            struct line line = {0};
            snprintf(line.cells[0], CELL, "%.*s > %.*s", NAME_WIDTH, queue->from, NAME_WIDTH, queue->to);
            text_count(queue->batches, line.cells[1], CELL);
            show_seconds(queue->wait_seconds, line.cells[2], CELL);
            show_share(queue->full_seconds, made->seconds, line.cells[3], CELL);
            if (pass == 0)
                widen(&table, &line);
            else
                put_line(&table, &line, out);
        }
    }
}

/* ---- In words --------------------------------------------------------------------------------------------------- */

/* "rolling", "in (decode)". */
static void name_of(const struct attribution_row *row, char *out, size_t size)
{
    if (row->work == WORK_PROCESS || !row->type[0])
        snprintf(out, size, "%s", row->name);
    else
        snprintf(out, size, "%s (%s)", row->name, attribution_work(row->work));
}

static const struct attribution_row *largest(const struct attribution *made)
{
    const struct attribution_row *found = NULL;
    for (uint32_t i = 0; i < made->row_count; i++) {
        const struct attribution_row *row = &made->rows[i];
        if (!found || row->removed > found->removed || (row->removed == found->removed && row->share > found->share))
            found = row;
    }
    return found;
}

static void put_small(const struct attribution *made, const struct attribution_row *best, struct weir_buffer *out)
{
    uint32_t said = 0;
    for (uint32_t i = 0; i < made->row_count && said < ADVICE_ROWS; i++) {
        const struct attribution_row *row = &made->rows[i];
        char gone[CELL];
        if (row == best || row->work != WORK_PROCESS || row->share < 0.02 || row->share > SMALL_SHARE)
            continue;
        show_times(row->removed, gone, sizeof gone);
        buffer_format(out, "%s %s, at best %s", said++ ? ";" : "Not worth it:", row->name, gone);
    }
    buffer_string(out, said ? ".\n" : "");
}

/* No thread had much to do: what could be won there would only make it wait for longer. */
static void put_room(const struct attribution *made, const char *rate, struct weir_buffer *out)
{
    const struct attribution_queue *fullest = NULL;
    for (uint32_t i = 0; i < made->queue_count; i++) {
        if (!fullest || made->queues[i].full_seconds > fullest->full_seconds)
            fullest = &made->queues[i];
    }
    buffer_format(out,
                  "No thread is the limit, the busiest worked %.0f %% of the time: ", attribution_busiest(made) * 100);
    if (fullest && fullest->full_seconds >= FULL_SHARE * made->seconds)
        buffer_format(out,
                      "the queue from %s to %s was full, and what is\nbehind it waited for others (a disk, a peer).\n",
                      fullest->from, fullest->to);
    else
        buffer_string(out, "the run waited for its sources, or for peers.\n");
    buffer_format(out,
                  "A faster part gains nothing at this rate. The work for each record would allow %s records/s;\n"
                  "if gone and if halved are times that.\n",
                  rate);
}

static void put_words(const struct attribution *made, struct weir_buffer *out)
{
    char rate[32], ns[32], gone[CELL], halved[CELL], name[2 * ATTRIBUTION_NAME];
    const struct attribution_row *best = largest(made);
    buffer_string(out, "\n");
    if (!made->records || made->critical < 0 || !best) {
        buffer_string(out, "No records came in: there is nothing to attribute.\n");
        return;
    }
    text_rate(made->bound_per_second, rate, sizeof rate);
    show_nanoseconds(1e9 / made->bound_per_second, ns, sizeof ns);
    if (attribution_has_room(made)) {
        put_room(made, rate, out);
        return;
    }
    if (made->processors_bound)
        buffer_format(out, "All %u processors are the limit: %s ns of work for each record allow %s records/s.\n",
                      made->processors, ns, rate);
    else
        buffer_format(out, "The critical thread is %s: its %s ns of work for each record allow %s records/s.\n",
                      made->threads[made->critical].name, ns, rate);
    name_of(best, name, sizeof name);
    show_times(best->removed, gone, sizeof gone);
    show_times(best->halved, halved, sizeof halved);
    buffer_format(out, "Most is to be won at %s, %.0f %% of all work: %s the rate if it took no time, %s if half.\n",
                  name, best->share * 100, gone, halved);
    put_small(made, best, out);
}

void attribution_text(const struct attribution *made, struct weir_buffer *out)
{
    put_head(made, out);
    put_rows(made, out);
    put_threads(made, out);
    put_queues(made, out);
    put_words(made, out);
    if (made->observed_seconds > 0) {
        char text[32];
        show_seconds(made->observed_seconds, text, sizeof text);
        buffer_format(out, "Comparing the outputs took %s; it is not part of the figures above.\n", text);
    }
}

/* ---- Against another -------------------------------------------------------------------------------------------- */

static const char *change_words(enum attribution_change change)
{
    static const char *const words[] = {
        [CHANGE_NONE] = "",           [CHANGE_NOISE] = "within noise",
        [CHANGE_FASTER] = "faster",   [CHANGE_SLOWER] = "SLOWER",
        [CHANGE_NEW] = "new",         [CHANGE_UNKNOWN] = "too short to tell",
        [CHANGE_UNCLEAR] = "unclear",
    };
    return words[change];
}

static struct line line_of_change(const struct attribution *before, const struct attribution_row *row)
{
    struct attribution_difference difference = attribution_difference(attribution_find(before, row), row);
    struct line line = named_line(row);
    show_nanoseconds(difference.before, line.cells[2], CELL);
    show_nanoseconds(difference.after, line.cells[3], CELL);
    if (isfinite(difference.ratio))
        snprintf(line.cells[4], CELL, "%+.1f %%", (difference.ratio - 1) * 100);
    else
        snprintf(line.cells[4], CELL, "-");
    snprintf(line.cells[5], CELL, "%s", change_words(difference.change));
    return line;
}

static void put_changes(const struct attribution *before, const struct attribution *after, struct weir_buffer *out)
{
    static const struct line head = {{"part", "work", "ns/record before", "after", "change", ""}};
    struct table table = {.columns = 6, .left = 2};
    widen(&table, &head);
    for (uint32_t i = 0; i < after->row_count; i++) {
        struct line line = line_of_change(before, &after->rows[i]);
        widen(&table, &line);
    }
    put_line(&table, &head, out);
    for (uint32_t i = 0; i < after->row_count; i++) {
        struct line line = line_of_change(before, &after->rows[i]);
        put_line(&table, &line, out);
    }
    for (uint32_t i = 0; i < before->row_count; i++) {
        if (!attribution_find(after, &before->rows[i]))
            buffer_format(out, "%s is gone\n", before->rows[i].name);
    }
}

static bool put_outputs(const struct attribution *before, const struct attribution *after, struct weir_buffer *out)
{
    bool same = true;
    char words[256];
    if (before->output_count == 0 || after->output_count == 0) {
        buffer_string(out, "Outputs: not compared, one of the profiles holds none.\n");
        return true;
    }
    for (uint32_t i = 0; i < after->output_count; i++) {
        const struct fingerprint *now = &after->outputs[i], *then = NULL;
        for (uint32_t j = 0; j < before->output_count; j++) {
            if (strcmp(before->outputs[j].sink, now->sink) == 0)
                then = &before->outputs[j];
        }
        enum fingerprint_verdict verdict = FINGERPRINT_DIFFERENT;
        if (then)
            verdict = fingerprint_compare(then, now, words, sizeof words);
        else
            snprintf(words, sizeof words, "there was no such sink");
        if (verdict == FINGERPRINT_DIFFERENT)
            buffer_format(out, "Output of %s: DIFFERENT, %s.\n", now->sink, words);
        else
            buffer_format(out, "Output of %s: the same%s.\n", now->sink,
                          verdict == FINGERPRINT_ROUNDING ? ", but for rounding (below 1e-10)" : ", bit for bit");
        same = same && verdict != FINGERPRINT_DIFFERENT;
    }
    return same;
}

void attribution_text_against(const struct attribution *before, const struct attribution *after, bool *ret_same,
                              struct weir_buffer *out)
{
    char then[32], now[32];
    buffer_string(out, "\n");
    put_changes(before, after, out);
    buffer_format(out, "\n%s records/s, were %s", text_rate(after->records_per_second, now, sizeof now),
                  text_rate(before->records_per_second, then, sizeof then));
    if (before->records_per_second > 0)
        buffer_format(out, ": %.2f x", after->records_per_second / before->records_per_second);
    buffer_string(out, "\n");
    *ret_same = put_outputs(before, after, out);
    if (!*ret_same)
        buffer_string(out, "What is fast and wrong is no gain: find out why the outputs differ first.\n");
}
