/* SPDX-License-Identifier: MIT */
/* A sweep for people: the table. */
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "load/sweep.h"
#include "load/sweep_private.h"
#include "measure/text.h"

enum { COLUMNS = 12, CELL = 24, STATUSES_SHOWN = 3 };

struct column {
    const char *title;
    int least; /* left out on a terminal with fewer columns than that: what matters least first */
};
static const struct column columns[COLUMNS] = {
    {"concurrency", 0}, {"throughput", 0}, {"goodput", 0}, {"success", 0},    {"mean", 116}, {"p50", 0},
    {"p90", 125},       {"p99", 0},        {"max", 87},    {"in flight", 98}, {"gap", 134},  {"client", 107},
};

char *sweep_show_rate(double rate, char *out, size_t size)
{
    char number[24];
    snprintf(out, size, "%s/s", text_rate(rate, number, sizeof number));
    return out;
}

char *sweep_show_share(double share, char *out, size_t size)
{
    double percent = share * 100;
    if (percent > 99.9 && percent < 100)
        percent = 99.9; /* not all, whatever rounding says */
    snprintf(out, size, percent >= 99.95 || (percent < 10 && percent == (int)percent) ? "%.0f %%" : "%.1f %%", percent);
    return out;
}

char *sweep_show_time(double seconds, char *out, size_t size)
{
    return units_show_duration((int64_t)(seconds * 1e9), out, size);
}

char *sweep_show_level(const struct load_level *level, char *out, size_t size)
{
    if (level->kind == LOAD_OPEN)
        return sweep_show_rate(level->value, out, size);
    return text_count((uint64_t)level->value, out, size);
}

static void fill_row(const struct load_level *level, char cells[COLUMNS][CELL])
{
    const double times[] = {level->response.mean, level->response.p50, level->response.p90, level->response.p99,
                            level->response.most};
    sweep_show_level(level, cells[0], CELL);
    for (int i = 1; i < COLUMNS; i++)
        snprintf(cells[i], CELL, "-");
    if (level->repeats == 0)
        return;
    sweep_show_rate(level->throughput, cells[1], CELL);
    sweep_show_rate(level->goodput, cells[2], CELL);
    sweep_show_share(level->success, cells[3], CELL);
    for (int i = 0; i < 5 && !level->empty; i++)
        sweep_show_time(times[i], cells[4 + i], CELL);
    snprintf(cells[9], CELL, level->in_flight < 99.95 ? "%.1f" : "%.0f", level->in_flight);
    snprintf(cells[10], CELL, "%.1f %%", level->gap * 100);
    snprintf(cells[11], CELL, "%.0f %%", level->cpu * 100);
}

static const char *row_note(const struct sweep *sweep, uint32_t index, const struct judgement *found)
{
    const struct load_level *level = &sweep->levels[index];
    if (level->repeats == 0)
        return index >= sweep->used ? "left out" : "";
    return (int)index == found->sweet ? "◄ use this"
           : level->died              ? "it died"
           : level->client_bound      ? "weir is the limit"
           : level->broken            ? "broken"
           : level->unsustained       ? "not sustained"
                                      : "";
}

static void put_row(struct weir_buffer *out, char cells[COLUMNS][CELL], const size_t *widths, int room)
{
    for (int i = 0; i < COLUMNS; i++) {
        if (room < columns[i].least)
            continue;
        size_t width = text_columns(cells[i]);
        buffer_format(out, "%s%*s%s", i ? "  " : "", (int)(widths[i] - width), "", cells[i]);
    }
}

/* ---- What went wrong --------------------------------------------------------------------------------------------- */

static void put_kind(struct weir_buffer *out, uint64_t count, const char *words, bool *first)
{
    char number[32];
    if (count == 0)
        return;
    buffer_format(out, "%s%s %s", *first ? "" : ", ", text_count(count, number, sizeof number), words);
    *first = false;
}

static void put_errors(const struct sweep *sweep, const struct load_level *level, struct weir_buffer *out)
{
    char name[32], words[48];
    bool first = true;
    uint64_t bad = 0;
    for (int i = LOAD_GOOD + 1; i < LOAD_ENDS; i++)
        bad += level_ended(level, (enum load_end)i);
    if (bad == 0 && !(level->all && level->all->unfinished > 0))
        return;
    struct level_status statuses[STATUSES_SHOWN];
    uint32_t count = level_bad_statuses(level, sweep->options.load.target, statuses, STATUSES_SHOWN);
    buffer_format(out, "  at %s: ", sweep_show_level(level, name, sizeof name));
    for (uint32_t i = 0; i < count; i++) {
        snprintf(words, sizeof words, "answered %d", statuses[i].status);
        put_kind(out, statuses[i].count, words, &first);
    }
    for (int i = LOAD_GOOD + 1; i < LOAD_ENDS; i++) {
        if (i != LOAD_STATUS || count == 0)
            put_kind(out, level_ended(level, (enum load_end)i), load_end_words((enum load_end)i), &first);
    }
    put_kind(out, level->all->unfinished, "never ended", &first);
    buffer_string(out, "\n");
}

void sweep_table(const struct sweep *sweep, const struct sweep_words *words, struct weir_buffer *out)
{
    char cells[COLUMNS][CELL];
    size_t widths[COLUMNS];
    int room = words->columns;
    struct judgement found = sweep_judge(sweep);
    for (int i = 0; i < COLUMNS; i++) {
        snprintf(cells[i], CELL, "%s", i == 0 && sweep->options.load.kind == LOAD_OPEN ? "rate" : columns[i].title);
        widths[i] = text_columns(cells[i]) < 7 ? 7 : text_columns(cells[i]);
    }
    put_row(out, cells, widths, room);
    buffer_string(out, "\n");
    for (uint32_t i = 0; i < sweep->count; i++) {
        const char *note = row_note(sweep, i, &found);
        bool marked = words->colour && (int)i == found.sweet;
        fill_row(&sweep->levels[i], cells);
        buffer_string(out, marked ? "\033[1m" : "");
        put_row(out, cells, widths, room);
        buffer_format(out, "%s%s%s\n", *note ? "  " : "", note, marked ? "\033[0m" : "");
    }
    for (uint32_t i = 0; i < sweep->count; i++)
        put_errors(sweep, &sweep->levels[i], out);
}
