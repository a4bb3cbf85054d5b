/* SPDX-License-Identifier: MIT */
/*
 *     factory --> filter --> rolling -+-> store (sqlite)
 *                                     +-> alarms (filter) --> alarm (stdout)
 *     spare --> filter ...
 *
 * Each part is drawn once with all that comes after it; where a second branch joins it, its name and "..." stand for
 * it.
 */
#include "app/draw.h"

#include <string.h>

#include "base/memory.h"

enum { WIDTH = 96, INDENT = 4, COLUMN_MOST = 400 };

struct drawing {
    const struct plan *plan;
    struct weir_buffer *out;
    bool *drawn;
    char bars[COLUMN_MOST]; /* what stands in each column of a new line: blanks, and '|' where a fork goes on */
};

static uint32_t count_readers(const struct plan *plan, uint32_t index, uint32_t nth, uint32_t *ret)
{
    uint32_t count = 0;
    for (uint32_t i = index + 1; i < plan->count; i++) {
        for (uint32_t j = 0; j < plan->nodes[i].from_count; j++) {
            if (plan->nodes[i].from[j] != index)
                continue;
            if (count == nth)
                *ret = i;
            count++;
            break;
        }
    }
    return count;
}

static size_t new_line(struct drawing *drawing, size_t column)
{
    buffer_string(drawing->out, "\n");
    size_t width = column < COLUMN_MOST ? column : COLUMN_MOST;
    buffer_append(drawing->out, drawing->bars, width);
    return width;
}

static void draw(struct drawing *drawing, uint32_t index, size_t column)
{
    const struct plan *plan = drawing->plan;
    const struct plan_node *node = &plan->nodes[index];
    struct weir_buffer *out = drawing->out;
    size_t begin = out->size;
    buffer_string(out, node->name);
    if (drawing->drawn[index]) {
        buffer_string(out, " ...");
        return;
    }
    drawing->drawn[index] = true;
    if (strcmp(node->name, node->part->name) != 0)
        buffer_format(out, " (%s)", node->part->name);
    column += out->size - begin;
    uint32_t reader = 0, readers = count_readers(plan, index, 0, &reader);
    if (readers == 1) {
        if (column > WIDTH)
            column = new_line(drawing, 2 * INDENT);
        buffer_string(out, " --> ");
        draw(drawing, reader, column + 5);
        return;
    }
    if (readers > 1 && column > WIDTH)
        column = new_line(drawing, 2 * INDENT);
    for (uint32_t nth = 0; nth < readers; nth++) {
        bool bar = nth + 1 < readers && column + 2 < COLUMN_MOST;
        if (nth > 0)
            new_line(drawing, column + 2);
        buffer_string(out, nth == 0 ? " -+-> " : "+-> ");
        if (column + 2 < COLUMN_MOST)
            drawing->bars[column + 2] = bar ? '|' : ' ';
        (void)count_readers(plan, index, nth, &reader);
        draw(drawing, reader, column + 6);
    }
}

void draw_plan(const struct plan *plan, struct weir_buffer *out)
{
    struct drawing drawing = {.plan = plan, .out = out, .drawn = memory_zeroed(plan->count, sizeof(bool))};
    if (!drawing.drawn) {
        out->failed = true;
        return;
    }
    memset(drawing.bars, ' ', sizeof drawing.bars);
    for (uint32_t i = 0; i < plan->count; i++) {
        if (plan->nodes[i].part->kind != WEIR_SOURCE)
            continue;
        buffer_format(out, "%*s", INDENT, "");
        draw(&drawing, i, INDENT);
        buffer_string(out, "\n");
    }
    memory_free(drawing.drawn);
}
