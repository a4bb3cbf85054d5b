/* SPDX-License-Identifier: MIT */
/* The drawing of weir compare: who produced and consumed when. */
#include "measure/compare.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/units.h"

enum { LABEL_COLUMNS = 14, WIDTH_LEAST = 20, WIDTH_MOST = 400 };

/* How many things at a time a row had under way, on average, in each column. */
static double fill_cells(const struct compare_side *side, uint32_t row, int64_t scale, uint32_t width, double *cells)
{
    double each = (double)scale / width, most = 0;
    for (uint32_t i = 0; i < width; i++)
        cells[i] = 0;
    for (uint32_t i = 0; i < side->span_count; i++) {
        const struct compare_span *span = &side->spans[i];
        if (span->row != row)
            continue;
        uint32_t first = (uint32_t)((double)span->from / each), last = (uint32_t)((double)span->to / each);
        for (uint32_t cell = first; cell <= last && cell < width; cell++) {
            double from = fmax((double)span->from, cell * each), to = (cell + 1) * each;
            to = to < (double)span->to ? to : (double)span->to;
            cells[cell] += to > from ? (to - from) / each : 0;
        }
    }
    for (uint32_t i = 0; i < width; i++)
        most = fmax(cells[i], most);
    return most;
}

static int by_time(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* The most that a row had under way at any moment; what ends just when another begins is over. 0 or -ENOMEM. */
static int find_peak(const struct compare_side *side, uint32_t row, uint32_t *ret)
{
    int64_t *begins = memory_allocate((size_t)(side->span_count + 1) * 2 * sizeof *begins);
    int64_t *ends = begins ? begins + side->span_count : NULL;
    uint32_t count = 0, over = 0, most = 0;
    if (!begins)
        return -ENOMEM;
    for (uint32_t i = 0; i < side->span_count; i++) {
        if (side->spans[i].row != row)
            continue;
        begins[count] = side->spans[i].from;
        ends[count++] = side->spans[i].to;
    }
    qsort(begins, count, sizeof *begins, by_time);
    qsort(ends, count, sizeof *ends, by_time);
    for (uint32_t i = 0; i < count; i++) {
        while (over < i && ends[over] <= begins[i])
            over++;
        most = i + 1 - over > most ? i + 1 - over : most;
    }
    memory_free(begins);
    *ret = most;
    return 0;
}

static void put_row(struct weir_buffer *out, const struct compare_side *side, uint32_t row, int64_t scale,
                    uint32_t width)
{
    static const char *const levels[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double cells[WIDTH_MOST], full = fmax(fill_cells(side, row, scale, width, cells), 1);
    uint32_t peak = 0;
    if (find_peak(side, row, &peak) < 0)
        out->failed = true;
    buffer_format(out, "  %-*.*s |", LABEL_COLUMNS, LABEL_COLUMNS, side->rows[row].part);
    for (uint32_t i = 0; i < width; i++) {
        double level = cells[i] / full * 8;
        buffer_string(out, levels[cells[i] > 0 && level < 1 ? 1 : level > 8 ? 8 : (int)(level + 0.5)]);
    }
    buffer_format(out, "| at most %u at a time\n", peak);
}

static void put_side(struct weir_buffer *out, const char *name, const struct compare_side *side, int64_t scale,
                     uint32_t width)
{
    char text[32];
    buffer_format(out, "%s: %s\n", name, units_show_duration(side->duration, text, sizeof text));
    for (int consumers = 0; consumers < 2; consumers++)
        for (uint32_t row = 0; row < side->row_count; row++)
            if (side->rows[row].consumer == consumers)
                put_row(out, side, row, scale, width);
    if (side->spans_lost)
        buffer_format(out, "  (%llu more spans are not drawn)\n", (unsigned long long)side->spans_lost);
}

void compare_timeline(const struct compare *compare, uint32_t columns, struct weir_buffer *out)
{
    int64_t scale = compare->sequential.duration > compare->concurrent.duration ? compare->sequential.duration
                                                                                : compare->concurrent.duration;
    uint32_t taken = LABEL_COLUMNS + 4 + 22, width = columns > taken + WIDTH_LEAST ? columns - taken : WIDTH_LEAST;
    width = width > WIDTH_MOST ? WIDTH_MOST : width;
    char text[32];
    if (scale <= 0) {
        buffer_string(out, "There is nothing to draw: no time has passed.\n");
        return;
    }
    put_side(out, "sequential", &compare->sequential, scale, width);
    put_side(out, "concurrent", &compare->concurrent, scale, width);
    buffer_format(out, "  %-*s |0%*s|\n", LABEL_COLUMNS, "", (int)width - 1,
                  units_show_duration(scale, text, sizeof text));
    buffer_string(out,
                  "  The height is how many were under way on average within a column, against the row's fullest.\n");
}
