/* SPDX-License-Identifier: MIT */
/*
 *     p99 ms
 *      20 ┤                       ╭──
 *      10 ┤            ╭──────────╯
 *       0 ┤────────────╯
 *         └┬───────────┬──────────┬──
 *          0%         90%        99%
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "measure/plot_axis.h"
#include "measure/text.h"

enum { COLUMNS_LEAST = 40, COLUMNS_MOST = 240, ROWS_LEAST = 5, ROWS_MOST = 60, CELL = 4, TICK_GAP = 2 };

struct canvas {
    int width, height;
    char cells[ROWS_MOST][COLUMNS_MOST][CELL]; /* one character each, UTF-8 */
};

static const char *const glyphs[PLOT_SERIES_MAX] = {"●", "×", "+", "○", "◆", "▲", "■", "□"};

static void set(struct canvas *canvas, int column, int row, const char *glyph)
{
    if (column >= 0 && column < canvas->width && row >= 0 && row < canvas->height)
        snprintf(canvas->cells[row][column], CELL, "%s", glyph);
}

/* The value of a series in the middle of a column, between its points; NaN outside. */
static double value_at(const struct plot_series *series, const struct plot_ruler *x, const struct plot_ruler *y,
                       double place)
{
    double found = NAN;
    for (uint32_t i = 0; i + 1 < plot_point_count(series); i++) {
        double left = plot_place(x, series->x[i]), right = plot_place(x, series->x[i + 1]);
        double from = plot_place(y, series->y[i]), to = plot_place(y, series->y[i + 1]);
        if (!(left <= place && place <= right) || !isfinite(from) || !isfinite(to))
            continue;
        found = right > left ? from + (to - from) * (place - left) / (right - left) : to;
    }
    return found;
}

static int row_of(const struct canvas *canvas, double place)
{
    double row = (1 - place) * (canvas->height - 1);
    return isfinite(row) ? (int)lround(row) : -1;
}

/* One series alone is a line; where it climbs, corners show it. */
static void draw_line(struct canvas *canvas, const struct plot_series *series, const struct plot_ruler *x,
                      const struct plot_ruler *y)
{
    int before = -1;
    for (int column = 0; column < canvas->width; column++) {
        double place = value_at(series, x, y, (double)column / (canvas->width - 1));
        int row = row_of(canvas, place);
        if (row >= 0 && before >= 0 && row != before) {
            int from = row < before ? row : before, to = row < before ? before : row;
            for (int between = from + 1; between < to; between++)
                set(canvas, column, between, "│");
            set(canvas, column, before, row < before ? "╯" : "╮");
            set(canvas, column, row, row < before ? "╭" : "╰");
        } else if (row >= 0) {
            set(canvas, column, row, "─");
        }
        before = row;
    }
}

static void draw_points(struct canvas *canvas, const struct plot_series *series, const struct plot_ruler *x,
                        const struct plot_ruler *y, const char *glyph, bool joined)
{
    for (int column = 0; joined && column < canvas->width; column++) {
        int row = row_of(canvas, value_at(series, x, y, (double)column / (canvas->width - 1)));
        if (row >= 0 && row < canvas->height && strcmp(canvas->cells[row][column], " ") == 0)
            set(canvas, column, row, "·");
    }
    for (uint32_t i = 0; i < plot_point_count(series); i++) {
        double place = plot_place(x, series->x[i]);
        if (isfinite(place))
            set(canvas, (int)lround(place * (canvas->width - 1)), row_of(canvas, plot_place(y, series->y[i])), glyph);
    }
}

static void draw_marks(struct canvas *canvas, const struct plot *plot, const struct plot_ruler *x)
{
    for (uint32_t i = 0; i < plot_mark_count(plot); i++) {
        double place = plot_place(x, plot->marks[i].x);
        for (int row = 0; row < canvas->height && isfinite(place); row++)
            set(canvas, (int)lround(place * (canvas->width - 1)), row, "┊");
    }
}

static void pad(struct weir_buffer *out, const char *text, size_t columns)
{
    size_t used = text_columns(text);
    buffer_format(out, "%*s%s", columns > used ? (int)(columns - used) : 0, "", text);
}

/* The text of the tick that belongs to this row, or "". */
static const char *tick_of(const struct canvas *canvas, const struct plot_ruler *y, int row)
{
    for (uint32_t i = 0; i < y->tick_count; i++) {
        if (row_of(canvas, y->ticks[i].at) == row)
            return y->ticks[i].text;
    }
    return "";
}

static void put_axis_x(const struct canvas *canvas, const struct plot_ruler *x, size_t margin, struct weir_buffer *out)
{
    char line[COLUMNS_MOST][CELL], words[COLUMNS_MOST + PLOT_TICK_TEXT];
    size_t end = 0;
    for (int column = 0; column < canvas->width; column++)
        memcpy(line[column], "─", sizeof "─");
    memset(words, ' ', sizeof words);
    for (uint32_t i = 0; i < x->tick_count; i++) {
        size_t at = (size_t)lround(x->ticks[i].at * (canvas->width - 1)), length = strlen(x->ticks[i].text);
        memcpy(line[at], "┬", sizeof "┬");
        size_t begin = at > length / 2 ? at - length / 2 : 0;
        if (begin + length > (size_t)canvas->width)
            begin = (size_t)canvas->width > length ? (size_t)canvas->width - length : 0;
        if (end > 0 && begin < end + TICK_GAP)
            continue; /* no room */
        memcpy(words + begin, x->ticks[i].text, length);
        end = begin + length;
    }
    pad(out, "└", margin + 2);
    for (int column = 0; column < canvas->width; column++)
        buffer_string(out, line[column]);
    buffer_format(out, "\n%*s%.*s\n", (int)margin + 2, "", (int)end, words);
    if (x->label[0])
        buffer_format(out, "%*s%s\n", (int)margin + 2, "", x->label);
}

static void put_legend(const struct plot *plot, size_t margin, struct weir_buffer *out)
{
    uint32_t count = plot_series_count(plot);
    for (uint32_t i = 0; i < count && count > 1; i++)
        buffer_format(out, "%*s%s %s\n", (int)margin + 2, "", glyphs[i], plot->series[i].name);
    for (uint32_t i = 0; i < plot_mark_count(plot); i++)
        buffer_format(out, "%*s┊ %s\n", (int)margin + 2, "", plot->marks[i].name);
}

static void clear(struct canvas *canvas)
{
    for (int row = 0; row < canvas->height; row++)
        for (int column = 0; column < canvas->width; column++)
            set(canvas, column, row, " ");
}

static int clamp(int value, int least, int most)
{
    return value < least ? least : value > most ? most : value;
}

static void draw(struct canvas *canvas, const struct plot *plot, const struct plot_ruler *x, const struct plot_ruler *y)
{
    uint32_t count = plot_series_count(plot);
    clear(canvas);
    draw_marks(canvas, plot, x);
    if (count == 1 && plot_point_count(&plot->series[0]) > 1) {
        draw_line(canvas, &plot->series[0], x, y);
        return;
    }
    for (uint32_t i = 0; i < count; i++) /* a dense line is its own glyphs */
        draw_points(canvas, &plot->series[i], x, y, glyphs[i],
                    plot_point_count(&plot->series[i]) < (uint32_t)canvas->width / 2);
}

void plot_text(const struct plot *plot, int columns, int rows, struct weir_buffer *out)
{
    struct canvas canvas = {.height = clamp(rows, ROWS_LEAST, ROWS_MOST)};
    struct plot_ruler x, y;
    size_t margin = 0;
    columns = clamp(columns, COLUMNS_LEAST, COLUMNS_MOST);
    buffer_format(out, "%s\n", plot->title ? plot->title : "");
    if (!plot_ruler_y(plot, (uint32_t)canvas.height / 2, &y) || !plot_ruler_x(plot, (uint32_t)columns / 10, &x)) {
        buffer_string(out, "  no data\n");
        return;
    }
    for (uint32_t i = 0; i < y.tick_count; i++) {
        size_t length = text_columns(y.ticks[i].text);
        margin = length > margin ? length : margin;
    }
    canvas.width = columns - (int)margin - 3;
    draw(&canvas, plot, &x, &y);
    if (y.label[0])
        buffer_format(out, "%s\n", y.label);
    for (int row = 0; row < canvas.height; row++) {
        const char *tick = tick_of(&canvas, &y, row);
        pad(out, tick, margin);
        buffer_string(out, *tick ? " ┤" : " │");
        int last = canvas.width;
        while (last > 0 && strcmp(canvas.cells[row][last - 1], " ") == 0)
            last--;
        for (int column = 0; column < last; column++)
            buffer_string(out, canvas.cells[row][column]);
        buffer_string(out, "\n");
    }
    put_axis_x(&canvas, &x, margin, out);
    put_legend(plot, margin, out);
}
