/* SPDX-License-Identifier: MIT */
#include "measure/advice.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "flow/pipeline.h"
#include "measure/attribution.h"
#include "measure/report.h"
#include "measure/text.h"

#define NEIGHBOURS 0.2  /* of a thread's busy time, without a processor: others are in the way */
#define UNEVEN 1.5      /* times as much work as the average lane has */
#define WORTH 1.05      /* times as fast: less is not worth a change */
#define NOTICEABLE 0.1  /* of the mean latency */
#define FULL_SHARE 0.05 /* of the run: a queue that was full for less does not count */
enum { TEXT = 48 };

/* Sentences of a paragraph. */
static void begin(struct weir_buffer *out, size_t start)
{
    if (out->size > start)
        buffer_string(out, " ");
}

static bool is_lane(const struct attribution_thread *thread)
{
    return strncmp(thread->name, "lane ", 5) == 0;
}

static const struct attribution_thread *critical(const struct report *report)
{
    const struct attribution *made = report->attribution;
    if (!made || made->critical < 0 || (uint32_t)made->critical >= made->thread_count)
        return NULL;
    return &made->threads[made->critical];
}

/* ---- The bottleneck --------------------------------------------------------------------------------------------- */

/* The part from which most is to be won. */
static const struct attribution_row *best_row(const struct attribution *made)
{
    const struct attribution_row *best = NULL;
    for (uint32_t i = 0; i < made->row_count; i++) {
        const struct attribution_row *row = &made->rows[i];
        if (row->type[0] && row->work != WORK_OBSERVE && (!best || row->removed > best->removed))
            best = row;
    }
    return best;
}

/* Behind the point, for three significant digits. */
static int places(double value)
{
    return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

static void put_best(const struct attribution *made, struct weir_buffer *out)
{
    const struct attribution_row *row = best_row(made);
    if (!row || !(row->removed >= WORTH)) {
        buffer_string(out, " No single part is worth making faster: at best that would gain less than 5 %.");
        return;
    }
    buffer_format(out, " Most is to be won at %s (%s), %.0f %% of all work: the run would be ", row->name,
                  attribution_work(row->work), row->share * 100);
    if (row->removed < 1000)
        buffer_format(out, "%.*f times as fast if it took no time (Amdahl's bound), ", places(row->removed),
                      row->removed);
    buffer_format(out, "%.2f times if it took half.", row->halved);
}

/* A part that is waited for although the processors are not busy. */
static void put_waited_for(const char *name, double share, struct weir_buffer *out)
{
    buffer_format(out,
                  "The bottleneck is %s: what leads there was full %.0f %% of the time, while no thread was busy. It "
                  "waits for others (a disk, a peer), so a faster part would not help; more of its calls at a time, or "
                  "larger writes, may.",
                  name, share * 100);
}

static const struct pipeline_fact_view *find_fact(const struct pipeline_snapshot *snapshot, const char *part,
                                                  const char *name)
{
    const struct pipeline_fact_view *most = NULL;
    for (uint32_t i = 0; i < snapshot->fact_count; i++) {
        const struct pipeline_fact_view *fact = &snapshot->facts[i];
        if (!fact->text && (!part || strcmp(fact->part, part) == 0) && strcmp(fact->name, name) == 0 &&
            (!most || fact->value > most->value))
            most = fact;
    }
    return most;
}

/* A stage that may have only so many calls at a time, and waited for one of them to end. */
static bool put_limit(const struct pipeline_snapshot *snapshot, struct weir_buffer *out)
{
    const struct pipeline_fact_view *waited = find_fact(snapshot, NULL, "waited for the limit");
    double elapsed = (double)(snapshot->now - snapshot->started) * 1e-9;
    if (!waited || !(elapsed > 0) || waited->value < FULL_SHARE * elapsed)
        return false;
    const struct pipeline_fact_view *limit = find_fact(snapshot, waited->part, "limit");
    buffer_format(out, "The bottleneck is %s: %.0f %% of the time it waited for its limit", waited->part,
                  fmin(waited->value / elapsed, 1) * 100);
    if (limit)
        buffer_format(out, " of %.0f call%s at a time", limit->value, limit->value == 1 ? "" : "s");
    const struct pipeline_fact_view *failed = find_fact(snapshot, waited->part, "failed");
    const struct pipeline_fact_view *answered = find_fact(snapshot, waited->part, "answered");
    if (failed && answered && failed->value > answered->value)
        buffer_string(out, "; more of its calls failed than were answered.");
    else
        buffer_string(out, limit ? "; raise its concurrency, if what it calls can take more."
                                 : ", which adapts to what it calls: that takes no more at a time.");
    return true;
}

/* The queue that was longest. */
static void put_longest_queue(const struct pipeline_snapshot *snapshot, struct weir_buffer *out)
{
    const struct pipeline_edge_view *longest = NULL;
    char size[TEXT];
    for (uint32_t i = 0; i < snapshot->edge_count; i++) {
        if (snapshot->edges[i].bytes_peak > (longest ? longest->bytes_peak : 0))
            longest = &snapshot->edges[i];
    }
    buffer_string(out, "The sources were not what held the run back: records had to wait");
    if (longest)
        buffer_format(out, ", most of them for %s (up to %s)",
                      strcmp(longest->to, "lanes") == 0 ? "the stages" : longest->to,
                      units_show_bytes(longest->bytes_peak, size, sizeof size));
    buffer_string(out, ".");
}

/* True where it is known that not the sources alone set the pace. */
static bool put_not_the_sources(const struct report *report, struct weir_buffer *out)
{
    enum verdict_kind kind = report->verdict.kind;
    bool behind = kind == VERDICT_FALLING_BEHIND || kind == VERDICT_SATURATED;
    /* No data: all that came may have been refused, after waiting. */
    if (!behind && kind != VERDICT_FULL_SPEED && kind != VERDICT_NO_DATA)
        return false;
    if (put_limit(report->snapshot, out))
        return true;
    if (behind)
        put_longest_queue(report->snapshot, out);
    return behind;
}

static void put_bottleneck(const struct report *report, struct weir_buffer *out)
{
    const struct attribution *made = report->attribution;
    const struct attribution_thread *thread = critical(report);
    char rate[TEXT], each[TEXT];
    double share = 0;
    const char *held = report_bottleneck(report, &share);
    if (!thread) {
        if (held)
            buffer_format(out, "The bottleneck is %s: what leads there was full %.0f %% of the time.", held,
                          share * 100);
        else if (!put_not_the_sources(report, out))
            buffer_string(out, "Nothing held the run back but its sources.");
        return;
    }
    text_rate(made->bound_per_second, rate, sizeof rate);
    if (attribution_has_room(report->attribution) && held && share >= FULL_SHARE) {
        put_waited_for(held, share, out);
    } else if (attribution_has_room(report->attribution)) {
        if (!put_not_the_sources(report, out))
            buffer_format(out,
                          "Nothing held the run back but its sources: the busiest thread worked %.0f %% of the time, "
                          "and with its work for each record %s could take %s records/s.",
                          attribution_busiest(made) * 100, thread->name, rate);
    } else if (made->processors_bound) {
        buffer_format(out,
                      "The bottleneck are the processors: what all threads do for a record allows %s records/s on "
                      "%u of them.",
                      rate, made->processors);
        put_best(made, out);
    } else {
        units_show_duration((int64_t)(thread->nanoseconds + 0.5), each, sizeof each);
        buffer_format(out, "The bottleneck is %s: its %s of work for each record allow %s records/s.", thread->name,
                      each, rate);
        if (thread->queued_seconds > NEIGHBOURS * thread->busy_seconds)
            buffer_format(out, " Other work on this machine kept it waiting for a processor %.0f %% of the time.",
                          thread->queued_seconds / made->seconds * 100);
        put_best(made, out);
    }
}

/* ---- Lanes ------------------------------------------------------------------------------------------------------ */

struct lanes {
    uint32_t count;
    double most, sum;       /* work for a record, ns: of the busiest lane; of all */
    double others, threads; /* of the busiest thread that is no lane; of all threads */
    const char *busiest;
};

static struct lanes look_at_lanes(const struct attribution *made)
{
    struct lanes lanes = {0};
    for (uint32_t i = 0; i < made->thread_count; i++) {
        const struct attribution_thread *thread = &made->threads[i];
        double work = thread->nanoseconds > 0 ? thread->nanoseconds : 0;
        lanes.threads += work;
        if (!is_lane(thread)) {
            lanes.others = fmax(lanes.others, work);
            continue;
        }
        lanes.count++;
        lanes.sum += work;
        if (work >= lanes.most) {
            lanes.most = work;
            lanes.busiest = thread->name;
        }
    }
    return lanes;
}

static void put_lanes(const struct report *report, struct weir_buffer *out)
{
    const struct attribution *made = report->attribution;
    const struct attribution_thread *thread = critical(report);
    struct lanes lanes = look_at_lanes(made);
    double average = lanes.count ? lanes.sum / lanes.count : 0;
    double now = fmax(fmax(lanes.most, lanes.others), lanes.threads / made->processors);
    double then = fmax(fmax(lanes.sum / made->processors, lanes.others), lanes.threads / made->processors);
    if (lanes.count == 0)
        return;
    if (attribution_has_room(report->attribution))
        buffer_string(out, "More lanes would not help: those there are wait.");
    else if (!is_lane(thread) && !made->processors_bound)
        buffer_format(out, "More lanes would not help: the work of %s is done by one thread.", thread->name);
    else if (!made->processors_bound && lanes.count > 1 && lanes.most > UNEVEN * average)
        buffer_format(out,
                      "More lanes would hardly help: %s has %.1f times the work of the average lane. Few keys, or one "
                      "with most of the records, keep the others idle.",
                      lanes.busiest, lanes.most / average);
    else if (lanes.count < made->processors && then > 0 && now / then >= WORTH)
        buffer_format(out, "More lanes would help: with lanes: %u, one for each processor, at most %.2f times as fast.",
                      made->processors, now / then);
    else
        buffer_format(out, "More lanes would not help: %u processor%s there for them.", made->processors,
                      made->processors == 1 ? " is" : "s are");
}

/* ---- Batches ---------------------------------------------------------------------------------------------------- */

/* Batches that left the sources. */
static uint64_t count_batches(const struct pipeline_snapshot *snapshot)
{
    uint64_t batches = 0;
    for (uint32_t i = 0; i < snapshot->edge_count; i++) {
        for (uint32_t j = 0; j < snapshot->source_count; j++) {
            if (strcmp(snapshot->edges[i].from, snapshot->sources[j].name) == 0)
                batches += snapshot->edges[i].batches;
        }
    }
    return batches;
}

/* The first record of a batch waits for the others, at most `linger`; all of them on average half of that. */
static void put_batches(const struct report *report, struct weir_buffer *out)
{
    const struct pipeline_snapshot *snapshot = report->snapshot;
    double batches = (double)count_batches(snapshot), latency = histogram_mean(&snapshot->latency);
    double elapsed = (double)(snapshot->now - snapshot->started);
    if (batches <= 0 || latency <= 0 || elapsed <= 0)
        return;
    double each = (double)snapshot->records_in / batches, sources = snapshot->source_count;
    if (each < 1) /* a source's turns without a record are batches too: of the others nothing is known */
        return;
    double gathered = (each - 1) * elapsed * sources / (double)snapshot->records_in;
    char wait[TEXT], lingers[TEXT], mean[TEXT], limit[TEXT] = "auto";
    gathered = fmin(fmax(gathered, 0), fmin((double)report->linger, latency));
    if (report->batch > 0)
        snprintf(limit, sizeof limit, "%lld", (long long)report->batch);
    if (each < 99.95)
        snprintf(mean, sizeof mean, "%.3g", each);
    else
        text_count((uint64_t)(each + 0.5), mean, sizeof mean);
    units_show_duration((int64_t)gathered, wait, sizeof wait);
    units_show_duration(report->linger, lingers, sizeof lingers);
    buffer_format(out, "A batch had %s record%s on average (batch: %s, linger: %s): ", mean,
                  strcmp(mean, "1") == 0 ? "" : "s", limit, lingers);
    if (gathered < 1000)
        buffer_string(out, "nobody waited for one to fill.");
    else if (gathered / 2 >= NOTICEABLE * latency)
        buffer_format(
            out,
            "its first waited up to %s for the others, %.0f %% of the mean latency being that; a smaller batch "
            "or linger lowers it, at more work for each record.",
            wait, gathered / 2 / latency * 100);
    else
        buffer_format(out, "its first waited up to %s for the others, little of the latency.", wait);
}

/* ---- What was lost ----------------------------------------------------------------------------------------------- */

static uint64_t count_of(const struct pipeline_snapshot *snapshot, const char *part, const char *what)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < snapshot->counter_count; i++) {
        const struct pipeline_counter_view *counter = &snapshot->counters[i];
        if (strcmp(counter->part, part) == 0 && strcmp(counter->what, what) == 0)
            sum += counter->number;
    }
    return sum;
}

/* Records that a part has no answer for, or was not rid of. */
static uint64_t lost_by(const struct pipeline_snapshot *snapshot, const char *part)
{
    static const char *const names[] = {PIPELINE_NOT_STORED, "call failed", "lookup failed",
                                        "passed on without an answer", "rejected by the server"};
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        sum += count_of(snapshot, part, names[i]);
    return sum;
}

static bool is_sink(const struct pipeline_snapshot *snapshot, const char *part)
{
    for (uint32_t i = 0; i < snapshot->part_count; i++) {
        if (strcmp(snapshot->parts[i].name, part) == 0)
            return snapshot->parts[i].part->kind == WEIR_SINK;
    }
    return false;
}

/* A sentence for each part whose server did not do its share: what became of the records, and why. */
static void put_losses(const struct pipeline_snapshot *snapshot, struct weir_buffer *out)
{
    size_t start = out->size;
    char lost[TEXT], failed[TEXT];
    for (uint32_t i = 0; i < snapshot->fact_count; i++) {
        const struct pipeline_fact_view *fact = &snapshot->facts[i];
        const struct pipeline_fact_view *calls = find_fact(snapshot, fact->part, "failed");
        uint64_t records = fact->text && strcmp(fact->name, WEIR_LAST_FAILURE) == 0 ? lost_by(snapshot, fact->part) : 0;
        if (records == 0)
            continue;
        begin(out, start);
        text_count(records, lost, sizeof lost);
        buffer_format(out, "%s %s %s record%s", fact->part,
                      is_sink(snapshot, fact->part) ? "did not deliver" : "had no answer for", lost,
                      records == 1 ? "" : "s");
        if (calls && calls->value > 0)
            buffer_format(out, "; the last of its %s failed call%s",
                          text_count((uint64_t)calls->value, failed, sizeof failed), calls->value == 1 ? "" : "s");
        buffer_format(out, ": %s.", fact->text);
    }
}

/* ---- Goals ------------------------------------------------------------------------------------------------------ */

static void put_goal(const struct report *report, const struct goal *goal, struct weir_buffer *out)
{
    char wanted[TEXT], got[TEXT];
    if (!goal->measured) {
        buffer_format(out, "The goal %s was missed: there was nothing to measure it by.", goal->name);
    } else if (goal->at_least) {
        buffer_format(out, "The goal %s was missed by %.0f %%: %s/s instead of %s/s.", goal->name,
                      (1 - goal->got / goal->wanted) * 100, text_rate(goal->got, got, sizeof got),
                      text_rate(goal->wanted, wanted, sizeof wanted));
    } else {
        units_show_duration((int64_t)(goal->wanted * 1e9 + 0.5), wanted, sizeof wanted);
        units_show_duration((int64_t)(goal->got * 1e9 + 0.5), got, sizeof got);
        buffer_format(out, "The goal %s was missed: %s instead of %s, %.3g times as long", goal->name, got, wanted,
                      goal->wanted > 0 ? goal->got / goal->wanted : INFINITY);
        /* At full speed all queues are full: latency is how long they are. */
        buffer_string(out, report->verdict.kind == VERDICT_FULL_SPEED
                               ? "; at full speed that is the time in full queues, which a smaller queue shortens."
                               : ".");
    }
}

void advice_text(const struct report *report, struct weir_buffer *out)
{
    size_t start = out->size;
    if (report->snapshot->records_in == 0)
        return;
    bool delivered = report->verdict.kind != VERDICT_NOTHING_DELIVERED;
    put_losses(report->snapshot, out);
    if (!delivered && out->size == start)
        buffer_string(out, "Why each record was refused or dropped is counted by part and reason.");
    if (delivered) { /* else it does not matter what would be faster */
        begin(out, start);
        put_bottleneck(report, out);
        if (critical(report)) {
            begin(out, start);
            put_lanes(report, out);
        }
    }
    struct weir_buffer batches = {0};
    if (delivered)
        put_batches(report, &batches);
    if (batches.size > 0) {
        begin(out, start);
        buffer_append(out, batches.data, batches.size);
    }
    out->failed = out->failed || batches.failed;
    buffer_free(&batches);
    for (uint32_t i = 0; i < report->goal_count; i++) {
        if (!report->goals[i].met) {
            begin(out, start);
            put_goal(report, &report->goals[i], out);
        }
    }
}
