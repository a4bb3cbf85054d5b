/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "base/display.h"
#include "base/memory.h"
#include "measure/plot_axis.h"

enum { WIDTH = 800, HEIGHT = 480, LEFT = 76, RIGHT = 34, TOP = 44, BOTTOM = 62 };
enum { PLOT_WIDTH = WIDTH - LEFT - RIGHT, PLOT_HEIGHT = HEIGHT - TOP - BOTTOM };
enum { LEGEND_LINE = 18, LEGEND_PAD = 8, LEGEND_STEPS = 16, CHARACTER = 7, POINTS_SHOWN_MOST = 40, TITLE_COLUMNS = 60 };

/* Told apart by colour-blind eyes, too, and by the shape of the dashes without any colour (Okabe and Ito's palette). */
static const struct {
    const char *colour, *dashes;
} styles[PLOT_SERIES_MAX] = {
    {"#0072b2", "none"}, {"#d55e00", "8 4"}, {"#009e73", "2 3"},      {"#cc79a7", "10 3 2 3"},
    {"#56b4e9", "5 5"},  {"#e69f00", "1 4"}, {"#000000", "12 4 4 4"}, {"#999999", "3 8"},
};

static void put_text(struct weir_buffer *out, const char *text)
{
    for (const char *at = text ? text : ""; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (c == '<')
            buffer_string(out, "&lt;");
        else if (c == '>')
            buffer_string(out, "&gt;");
        else if (c == '&')
            buffer_string(out, "&amp;");
        else if (c == '"')
            buffer_string(out, "&quot;");
        else if (c >= 0x20) /* XML knows no other control characters */
            buffer_append(out, at, 1);
    }
}

static double across(const struct plot_ruler *ruler, double value)
{
    return LEFT + plot_place(ruler, value) * PLOT_WIDTH;
}

static double up(const struct plot_ruler *ruler, double value)
{
    return TOP + (1 - plot_place(ruler, value)) * PLOT_HEIGHT;
}

/* What fits above the plot; all of it is in the document's title. */
static void put_title(struct weir_buffer *out, const char *title)
{
    size_t length = strlen(title), columns, fits = display_cut(title, length, TITLE_COLUMNS, &columns);
    char *cut = fits < length ? memory_format("%.*s…", (int)fits, title) : NULL;
    put_text(out, cut ? cut : title);
    memory_free(cut);
}

static void put_head(const struct plot *plot, struct weir_buffer *out)
{
    buffer_format(out,
                  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
                  "style=\"max-width:100%%;height:auto\" role=\"img\" font-family=\"sans-serif\" font-size=\"13\">\n"
                  "<title>",
                  WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_text(out, plot->title);
    buffer_format(out,
                  "</title>\n<defs><clipPath id=\"frame\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>"
                  "</clipPath></defs>\n<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n",
                  LEFT - 4, TOP - 4, PLOT_WIDTH + 8, PLOT_HEIGHT + 8, WIDTH, HEIGHT);
    buffer_format(out, "<text class=\"title\" x=\"%d\" y=\"26\" text-anchor=\"middle\" font-size=\"16\">",
                  LEFT + PLOT_WIDTH / 2);
    put_title(out, plot->title ? plot->title : "");
    buffer_string(out, "</text>\n");
}

static void put_ticks_x(const struct plot_ruler *ruler, struct weir_buffer *out)
{
    buffer_string(out, "<g class=\"axis x\" fill=\"#333333\" text-anchor=\"middle\">\n");
    for (uint32_t i = 0; i < ruler->tick_count; i++) {
        double x = LEFT + ruler->ticks[i].at * PLOT_WIDTH;
        buffer_format(out, "<path d=\"M%.1f %d V%d\" stroke=\"#e4e4e4\"/><text class=\"tick\" x=\"%.1f\" y=\"%d\">", x,
                      TOP, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 20);
        put_text(out, ruler->ticks[i].text);
        buffer_string(out, "</text>\n");
    }
    buffer_format(out,
                  "<path d=\"M%d %d H%d\" stroke=\"#333333\"/>\n<text class=\"label\" x=\"%d\" y=\"%d\" "
                  "font-size=\"14\">",
                  LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, LEFT + PLOT_WIDTH / 2, HEIGHT - 16);
    put_text(out, ruler->label);
    buffer_string(out, "</text>\n</g>\n");
}

static void put_ticks_y(const struct plot_ruler *ruler, struct weir_buffer *out)
{
    buffer_string(out, "<g class=\"axis y\" fill=\"#333333\" text-anchor=\"end\">\n");
    for (uint32_t i = 0; i < ruler->tick_count; i++) {
        double y = TOP + (1 - ruler->ticks[i].at) * PLOT_HEIGHT;
        buffer_format(out, "<path d=\"M%d %.1f H%d\" stroke=\"#e4e4e4\"/><text class=\"tick\" x=\"%d\" y=\"%.1f\">",
                      LEFT, y, WIDTH - RIGHT, LEFT - 8, y + 4.5);
        put_text(out, ruler->ticks[i].text);
        buffer_string(out, "</text>\n");
    }
    buffer_format(out,
                  "<path d=\"M%d %d V%d\" stroke=\"#333333\"/>\n<text class=\"label\" transform=\"translate(18 %d) "
                  "rotate(-90)\" text-anchor=\"middle\" font-size=\"14\">",
                  LEFT, TOP, HEIGHT - BOTTOM, TOP + PLOT_HEIGHT / 2);
    put_text(out, ruler->label);
    buffer_string(out, "</text>\n</g>\n");
}

static void put_series(const struct plot_series *series, uint32_t index, const struct plot_ruler *x,
                       const struct plot_ruler *y, struct weir_buffer *out)
{
    uint32_t count = plot_point_count(series);
    bool pen_down = false;
    buffer_string(out, "<g class=\"series\" clip-path=\"url(#frame)\">");
    buffer_format(out,
                  "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-linejoin=\"round\" "
                  "stroke-dasharray=\"%s\" d=\"",
                  styles[index].colour, styles[index].dashes);
    for (uint32_t i = 0; i < count; i++) {
        double px = across(x, series->x[i]), py = up(y, series->y[i]);
        if (isfinite(px) && isfinite(py))
            buffer_format(out, "%s%.1f %.1f", pen_down ? " L" : " M", px, py);
        pen_down = isfinite(px) && isfinite(py);
    }
    buffer_string(out, "\"/>");
    for (uint32_t i = 0; i < count && count <= POINTS_SHOWN_MOST; i++) {
        double px = across(x, series->x[i]), py = up(y, series->y[i]);
        if (isfinite(px) && isfinite(py))
            buffer_format(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>", px, py, styles[index].colour);
    }
    buffer_string(out, "</g>\n");
}

static void put_marks(const struct plot *plot, const struct plot_ruler *x, struct weir_buffer *out)
{
    for (uint32_t i = 0; i < plot_mark_count(plot); i++) {
        double at = across(x, plot->marks[i].x);
        if (!isfinite(at) || at < LEFT || at > WIDTH - RIGHT)
            continue;
        bool left = at > LEFT + PLOT_WIDTH * 0.75;
        buffer_format(out,
                      "<g class=\"mark\"><path d=\"M%.1f %d V%d\" stroke=\"#666666\" stroke-dasharray=\"4 4\"/>"
                      "<text x=\"%.1f\" y=\"%d\" fill=\"#333333\" text-anchor=\"%s\">",
                      at, TOP, HEIGHT - BOTTOM, left ? at - 6 : at + 6, HEIGHT - BOTTOM - 8 - (int)(i % 3) * 16,
                      left ? "end" : "start");
        put_text(out, plot->marks[i].name);
        buffer_string(out, "</text></g>\n");
    }
}

struct rectangle {
    int left, top, width, height;
};

/* How much of the lines is in a rectangle, or right beside it. */
static uint32_t covered(const struct plot *plot, const struct plot_ruler *x, const struct plot_ruler *y,
                        const struct rectangle *place)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < plot_series_count(plot); i++) {
        const struct plot_series *series = &plot->series[i];
        for (uint32_t j = 1; j < plot_point_count(series); j++) {
            double from_x = across(x, series->x[j - 1]), from_y = up(y, series->y[j - 1]);
            double to_x = across(x, series->x[j]), to_y = up(y, series->y[j]);
            for (int step = 0; step <= LEGEND_STEPS; step++) {
                double at_x = from_x + (to_x - from_x) * step / LEGEND_STEPS - place->left;
                double at_y = from_y + (to_y - from_y) * step / LEGEND_STEPS - place->top;
                found += at_x > -LEGEND_PAD && at_x < place->width + LEGEND_PAD && at_y > -LEGEND_PAD &&
                         at_y < place->height + LEGEND_PAD;
            }
        }
    }
    return found;
}

/* The corner where the legend hides least of the lines: an upper one, unless the lower right is freer than both. Marks
 * have their names at the bottom. */
static struct rectangle place_legend(const struct plot *plot, const struct plot_ruler *x, const struct plot_ruler *y)
{
    size_t longest = 0;
    for (uint32_t i = 0; i < plot_series_count(plot); i++) {
        size_t length = plot->series[i].name ? strlen(plot->series[i].name) : 0;
        longest = length > longest ? length : longest;
    }
    int width = (int)(longest < 60 ? longest : 60) * CHARACTER + 44 + 2 * LEGEND_PAD;
    int height = (int)plot_series_count(plot) * LEGEND_LINE + LEGEND_PAD, right = WIDTH - RIGHT - width - 10;
    const struct rectangle corners[] = {{LEFT + 10, TOP + 8, width, height},
                                        {right, TOP + 8, width, height},
                                        {right, HEIGHT - BOTTOM - height - 8, width, height}};
    size_t best = 0, count = plot->mark_count ? 2 : 3;
    for (size_t i = 1; i < count; i++) {
        if (covered(plot, x, y, &corners[i]) < covered(plot, x, y, &corners[best]))
            best = i;
    }
    return corners[best];
}

static void put_legend(const struct plot *plot, const struct rectangle *place, struct weir_buffer *out)
{
    int left = place->left;
    buffer_format(out,
                  "<g class=\"legend\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#ffffff\" "
                  "fill-opacity=\"0.85\" stroke=\"#cccccc\"/>\n",
                  left, place->top, place->width, place->height);
    for (uint32_t i = 0; i < plot_series_count(plot); i++) {
        int y = place->top + LEGEND_PAD / 2 + (int)i * LEGEND_LINE + LEGEND_LINE / 2;
        buffer_format(out,
                      "<path d=\"M%d %d h30\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\"/><text "
                      "x=\"%d\" y=\"%d\" fill=\"#333333\">",
                      left + LEGEND_PAD, y, styles[i].colour, styles[i].dashes, left + LEGEND_PAD + 38, y + 4);
        put_text(out, plot->series[i].name);
        buffer_string(out, "</text>\n");
    }
    buffer_string(out, "</g>\n");
}

void plot_svg(const struct plot *plot, struct weir_buffer *out)
{
    struct plot_ruler x, y;
    put_head(plot, out);
    if (plot_ruler_x(plot, 8, &x) && plot_ruler_y(plot, 6, &y)) {
        put_ticks_x(&x, out);
        put_ticks_y(&y, out);
        put_marks(plot, &x, out);
        for (uint32_t i = 0; i < plot_series_count(plot); i++)
            put_series(&plot->series[i], i, &x, &y, out);
        struct rectangle legend = place_legend(plot, &x, &y);
        put_legend(plot, &legend, out);
    } else {
        buffer_format(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"#333333\">no data</text>\n",
                      WIDTH / 2, HEIGHT / 2);
    }
    buffer_string(out, "</svg>\n");
}
