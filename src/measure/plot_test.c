/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/histogram.h"
#include "base/memory.h"
#include "measure/plot.h"
#include "measure/plot_axis.h"

static char *finish(struct weir_buffer *out)
{
    assert_false(out->failed);
    buffer_append(out, "", 1);
    assert_non_null(out->data);
    return out->data;
}

static size_t occurrences(const char *text, const char *what)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        count++;
    return count;
}

static const double concurrency[] = {1, 10, 100, 1000}, rate[] = {10, 99, 500, 480}, good[] = {10, 99, 450, 100};
static const struct plot_series two[] = {{"throughput", concurrency, rate, 4}, {"good <&> put", concurrency, good, 4}};

static struct plot sweep_plot(void)
{
    return (struct plot){.title = "sweep \"a\" & b",
                         .x = {.label = "concurrency", .scale = PLOT_LOG},
                         .y = {.label = "rate", .unit = "/s"},
                         .series = two,
                         .series_count = 2};
}

static void test_svg_has_axes_units_legend(void **state)
{
    struct weir_buffer out = {0};
    struct plot plot = sweep_plot();
    const struct plot_mark mark = {100, "sweet spot"};
    (void)state;
    plot.marks = &mark;
    plot.mark_count = 1;
    plot_svg(&plot, &out);
    const char *text = finish(&out);
    assert_non_null(strstr(text, "sweep &quot;a&quot; &amp; b"));
    assert_non_null(strstr(text, ">concurrency</text>"));
    assert_non_null(strstr(text, ">rate (/s)</text>"));
    assert_non_null(strstr(text, ">throughput</text>"));
    assert_non_null(strstr(text, ">good &lt;&amp;&gt; put</text>"));
    assert_non_null(strstr(text, ">sweet spot</text>"));
    assert_non_null(strstr(text, ">1000</text>"));
    assert_int_equal(occurrences(text, "class=\"series\""), 2);
    assert_int_equal(occurrences(text, "<circle"), 8);
    assert_null(strstr(text, "nan"));
    buffer_free(&out);
}

/* The corner where it hides nothing. */
static void test_legend_gets_out_of_the_way(void **state)
{
    static const double x[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, rises[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    static const double falls[] = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, high[] = {9, 8.9, 8.9, 8.9, 9, 9, 9, 9, 9, 9};
    static const struct {
        const double *y;
        const char *first, *second; /* where the rectangle and its first line are */
    } rows[] = {{rises, "x=\"86\" y=\"52\"", "M94 65"},
                {falls, "x=\"668\" y=\"52\"", "M676 65"},
                {high, "x=\"668\" y=\"384\"", "M676 397"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct weir_buffer out = {0};
        const struct plot_series one = {.name = "rate", .x = x, .y = rows[i].y, .count = 10};
        struct plot plot = {.title = "t", .series = &one, .series_count = 1};
        plot_svg(&plot, &out);
        const char *text = finish(&out);
        if (!strstr(text, rows[i].first) || !strstr(text, rows[i].second))
            fail_msg("%zu: no %s, %s in %s", i, rows[i].first, rows[i].second, text);
        buffer_free(&out);
    }
}

static void test_text_shows_each_series(void **state)
{
    struct weir_buffer out = {0};
    struct plot plot = sweep_plot();
    (void)state;
    plot_text(&plot, 72, 12, &out);
    const char *text = finish(&out);
    assert_true(occurrences(text, "●") >= 3); /* two points of the series coincide */
    assert_true(occurrences(text, "×") >= 4);
    assert_non_null(strstr(text, "rate (/s)"));
    assert_non_null(strstr(text, "concurrency"));
    assert_non_null(strstr(text, "● throughput"));
    buffer_free(&out);
}

static void test_no_data(void **state)
{
    static const double none[] = {NAN, INFINITY, -1};
    const struct plot_series series = {"nothing", none, none, 3};
    const struct plot plot = {.title = "empty", .y = {.scale = PLOT_LOG}, .series = &series, .series_count = 1};
    struct weir_buffer svg = {0}, text = {0};
    struct histogram *histogram = memory_allocate(sizeof *histogram);
    (void)state;
    histogram_init(histogram);
    plot_svg(&plot, &svg);
    plot_text(&plot, 60, 10, &text);
    const struct plot_histogram empty = {"empty", histogram};
    plot_spectrum_text("spectrum", &empty, 1, 60, 10, &text);
    plot_hgrm(histogram, &text);
    assert_non_null(strstr(finish(&svg), "no data"));
    assert_int_equal(occurrences(finish(&text), "no data"), 2);
    assert_non_null(strstr(text.data, "Total count    =            0]"));
    memory_free(histogram);
    buffer_free(&svg);
    buffer_free(&text);
}

static void test_gaps_and_single_points(void **state)
{
    static const double x[] = {1, 2, 3}, y[] = {1, NAN, 3}, one[] = {5};
    const struct plot_series gap = {"gap", x, y, 3}, point = {"point", one, one, 1};
    struct plot plot = {.title = "t", .series = &gap, .series_count = 1};
    struct weir_buffer out = {0};
    (void)state;
    plot_svg(&plot, &out);
    assert_int_equal(occurrences(finish(&out), " M"), 2);
    assert_null(strstr(out.data, " L"));
    out.size = 0;
    plot.series = &point;
    plot_svg(&plot, &out);
    plot_text(&plot, 40, 5, &out);
    assert_non_null(strstr(finish(&out), "●"));
    buffer_free(&out);
}

static void test_ticks(void **state)
{
    static const double x[] = {0, 0.9995}, y[] = {0.0001, 0.0042};
    const struct plot_series series = {"s", x, y, 2};
    const struct plot plot = {.title = "t",
                              .x = {.label = "share", .scale = PLOT_PERCENTILE},
                              .y = {.label = "time", .unit = "s"},
                              .series = &series,
                              .series_count = 1};
    struct plot_ruler ruler;
    (void)state;
    assert_true(plot_ruler_x(&plot, 8, &ruler));
    assert_int_equal(ruler.tick_count, 4);
    assert_string_equal(ruler.ticks[1].text, "90%");
    assert_string_equal(ruler.ticks[3].text, "99.9%");
    assert_true(fabs(plot_place(&ruler, 0.99) - 2 / -log10(0.0005)) < 1e-12);
    assert_true(plot_ruler_y(&plot, 5, &ruler));
    assert_string_equal(ruler.label, "time (ms)");
    assert_string_equal(ruler.ticks[0].text, "0");
    assert_string_equal(ruler.ticks[1].text, "1");
    assert_true(fabs(ruler.ticks[1].at - 1 / (4.2 * 1.05)) < 1e-9);

    /* Given values: the first and the last, and what there is room for. */
    const double levels[] = {1, 2, 3, 500, 1900, 2000}, rates[] = {1, 2, 3, 4, 5, 6};
    const struct plot_series measured[] = {{"rate", levels, rates, 6}};
    const struct plot given = {
        .x = {.scale = PLOT_LOG, .ticks = levels, .tick_count = 6}, .series = measured, .series_count = 1};
    assert_true(plot_ruler_x(&given, 8, &ruler));
    assert_int_equal(ruler.tick_count, 4);
    assert_string_equal(ruler.ticks[0].text, "1");
    assert_string_equal(ruler.ticks[1].text, "2");
    assert_string_equal(ruler.ticks[2].text, "500");
    assert_string_equal(ruler.ticks[3].text, "2000");
    assert_true(fabs(ruler.ticks[3].at - 1) < 1e-9);
}

/* Each line says: TotalCount values are at most Value, which are at least the share Percentile. */
static void test_hgrm_is_true_of_the_values(void **state)
{
    enum { VALUES = 10000 };
    struct histogram *histogram = memory_allocate(sizeof *histogram);
    struct weir_buffer out = {0};
    double value, share, inverse, last = -1;
    unsigned long long count;
    int lines = 0;
    (void)state;
    histogram_init(histogram);
    for (int i = 1; i <= VALUES; i++)
        histogram_record(histogram, (int64_t)i * 100000, 1); /* 0.1 ms … 1 s */
    plot_hgrm(histogram, &out);
    char *line = strstr(finish(&out), "\n\n") + 2;
    for (; *line && *line != '#'; line = strchr(line, '\n') + 1, lines++) {
        int fields = sscanf(line, "%lf %lf %llu %lf", &value, &share, &count, &inverse);
        assert_true(fields == 4 || (fields == 3 && share == 1));
        assert_true((double)count >= share * VALUES);
        assert_true(fabs(value - (double)count / 10) <= value / 64 + 1e-6);
        assert_true(share > last);
        last = share;
    }
    assert_true(lines > 40);
    assert_true(last == 1);
    assert_int_equal(count, VALUES);
    assert_non_null(strstr(line, "Total count    =        10000]"));
    double mean = 0, deviation = 0;
    assert_int_equal(sscanf(line, "#[Mean    = %lf, StdDeviation   = %lf]", &mean, &deviation), 2);
    assert_true(fabs(mean - 500.05) < 0.01);
    assert_true(fabs(deviation - 288.675) < 1);
    buffer_free(&out);
    memory_free(histogram);
}

static void test_spectrum(void **state)
{
    struct histogram *histogram = memory_allocate(sizeof *histogram);
    struct weir_buffer svg = {0}, text = {0};
    (void)state;
    histogram_init(histogram);
    for (int i = 0; i < 1000; i++)
        histogram_record(histogram, i < 990 ? 1000000 : 100000000, 1);
    const struct plot_histogram one = {"latency", histogram};
    plot_spectrum_svg("latency of a.yaml", &one, 1, &svg);
    plot_spectrum_text("latency of a.yaml", &one, 1, 72, 10, &text);
    assert_non_null(strstr(finish(&svg), ">99.9%</text>"));
    assert_null(strstr(svg.data, ">99.99%</text>")); /* 1000 values know nothing of it */
    assert_non_null(strstr(svg.data, ">latency</text>"));
    assert_non_null(strstr(svg.data, "time (ms)"));
    assert_non_null(strstr(finish(&text), "╭"));
    memory_free(histogram);
    buffer_free(&svg);
    buffer_free(&text);
}

static void test_memory_runs_out(void **state)
{
    struct histogram *histogram = memory_allocate(sizeof *histogram);
    (void)state;
    histogram_init(histogram);
    histogram_record(histogram, 5, 10);
    const struct plot_histogram one = {"latency", histogram};
    for (uint64_t nth = 1; nth < 100; nth++) {
        struct weir_buffer out = {0};
        memory_fail_nth(nth, true);
        plot_spectrum_svg("t", &one, 1, &out);
        memory_fail_nth(0, false);
        bool failed = out.failed;
        buffer_free(&out);
        if (!failed) {
            memory_free(histogram);
            return;
        }
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_svg_has_axes_units_legend),
        cmocka_unit_test(test_legend_gets_out_of_the_way),
        cmocka_unit_test(test_text_shows_each_series),
        cmocka_unit_test(test_no_data),
        cmocka_unit_test(test_gaps_and_single_points),
        cmocka_unit_test(test_ticks),
        cmocka_unit_test(test_hgrm_is_true_of_the_values),
        cmocka_unit_test(test_spectrum),
        cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
