/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/units.h"
#include "measure/microbench.h"
#include "measure/text.h"

char *microbench_show_time(double ns, char *out, size_t size)
{
    static const char *const units[] = {"ps", "ns", "µs", "ms", "s"};
    int unit = 0;
    if (!isfinite(ns)) {
        snprintf(out, size, "-");
        return out;
    }
    double value = ns * 1000;
    for (; fabs(value) >= 999.5 && unit < 4; unit++)
        value /= 1000;
    if (unit == 0 && fabs(value) >= 99.95) { /* 0.250 ns: what a cycle takes is not for ps */
        snprintf(out, size, "%.3f ns", ns);
        return out;
    }
    snprintf(out, size, "%.*f %s", fabs(value) < 9.995 ? 2 : fabs(value) < 99.95 ? 1 : 0, value, units[unit]);
    return out;
}

/* The farther end of the interval from the median, in percent. */
static double uncertainty(const struct microbench_spread *spread)
{
    double below = spread->median - spread->low, above = spread->high - spread->median;
    return spread->median > 0 ? 100 * (below > above ? below : above) / spread->median : 0;
}

/* Text with µ and … has more bytes than columns. */
static void put_right(const char *text, int columns, struct weir_buffer *out)
{
    buffer_format(out, "%*s%s", columns - (int)text_columns(text) > 0 ? columns - (int)text_columns(text) : 0, "",
                  text);
}

void microbench_text_head(int width, bool against, struct weir_buffer *out)
{
    buffer_format(out, "%-*s      time  ± 95 %%     MAD  %s\n", width, "benchmark",
                  against ? "   before    change" : "      rate  per      samples × calls");
}

static void put_change(const struct microbench_result *result, const struct microbench_against *against,
                       struct weir_buffer *out)
{
    static const char *const words[] = {"within noise", "faster", "SLOWER", "new"};
    const struct microbench_result *before = microbench_find(against->before->results, against->before->count,
                                                             result->name);
    enum microbench_change change = microbench_compare(before, result, against->tolerance);
    char text[32];
    if (before) {
        put_right(microbench_show_time(before->time.median, text, sizeof text), 9, out);
        buffer_format(out, "  %+7.1f %%", 100 * (result->time.median / before->time.median - 1));
    } else {
        put_right("-", 9, out);
        put_right("", 11, out);
    }
    buffer_format(out, "  %s\n", words[change]);
}

void microbench_text_row(const struct microbench_result *result, int width, const struct microbench_against *against,
                         struct weir_buffer *out)
{
    const struct microbench_spread *time = &result->time;
    char text[64], count[32];
    buffer_format(out, "%-*s ", width, result->name);
    put_right(microbench_show_time(time->median, text, sizeof text), 9, out);
    buffer_format(out, "  %5.1f %%  %4.1f %%  ", uncertainty(time),
                  time->median > 0 ? 100 * time->mad / time->median : 0);
    if (against) {
        put_change(result, against, out);
        return;
    }
    snprintf(text, sizeof text, "%s/s", time->median > 0 ? text_rate(1e9 / time->median, count, sizeof count) : "-");
    put_right(text, 9, out);
    buffer_format(out, "  %-7s", result->item);
    buffer_format(out, "  %u × %s%s\n", time->count, text_count(result->calls, text, sizeof text),
                  result->wall ? ", real time" : "");
}

void microbench_text_pairs(const struct microbench_set *set, struct weir_buffer *out)
{
    char slow[32], fast[32], gain[32], low[32], high[32];
    for (uint32_t i = 0; i < set->count; i++) {
        const struct microbench_result *result = &set->results[i];
        const struct microbench_result *other = result->gain.count
                                                    ? microbench_find(set->results, set->count, result->slow)
                                                    : NULL;
        if (!other)
            continue;
        buffer_format(out, "%s takes %s, %s %s: %s times less (%s to %s).\n", other->name,
                      microbench_show_time(other->time.median, slow, sizeof slow), result->name,
                      microbench_show_time(result->time.median, fast, sizeof fast),
                      text_rate(result->gain.median, gain, sizeof gain), text_rate(result->gain.low, low, sizeof low),
                      text_rate(result->gain.high, high, sizeof high));
    }
}

void microbench_text_machine(const struct microbench_machine *machine, struct weir_buffer *out)
{
    buffer_format(out, "%s, %u processor%s, ", machine->processor[0] ? machine->processor : "unknown processor",
                  machine->processors, machine->processors == 1 ? "" : "s");
    if (machine->pinned >= 0)
        buffer_format(out, "pinned to number %d", machine->pinned);
    else
        buffer_string(out, "not pinned");
    if (machine->measured_before > 0)
        buffer_format(out, "; %.2f GHz measured", machine->measured_before / 1000);
    if (machine->megahertz > 0)
        buffer_format(out, ", %.2f GHz by the system", machine->megahertz / 1000);
    if (machine->governor[0])
        buffer_format(out, ", governor %s", machine->governor);
    buffer_string(out, ".\n");
    if (machine->load > machine->processors * 0.5)
        buffer_format(out, "The machine has other work (load %.1f on %u processors): caches and memory are shared.\n",
                      machine->load, machine->processors);
}

void microbench_text_changes(const struct microbench_machine *machine, struct weir_buffer *out)
{
    if (machine->measured_before > 0 && machine->measured_after > 0 &&
        fabs(machine->measured_after / machine->measured_before - 1) > 0.03)
        buffer_format(out, "The processor's speed changed meanwhile: %.2f GHz before, %.2f GHz after.\n",
                      machine->measured_before / 1000, machine->measured_after / 1000);
}
