/* SPDX-License-Identifier: MIT */
#include "app/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "base/units.h"
#include "measure/text.h"

/* The width alone decides between the two forms of the line: it is not to change from one second to the next. */
enum { SEGMENTS = 6, SEGMENT_MAX = 160, COLUMNS_FALLBACK = 80, COLUMNS_FOR_WORDS = 130 };

#define CLEAR_LINE "\r\x1b[K"
#define CLEAR_REST "\x1b[K"
#define SEPARATOR " \xe2\x94\x82 " /* a light vertical line */

/* ---- The line: pure --------------------------------------------------------------------------------------------- */

struct segment {
    char text[SEGMENT_MAX];
    int rank; /* the highest goes first when there is not enough room */
};

/* "12.3 M" → "12.3M" where room is short. */
static const char *squeeze(char *text, bool compact)
{
    char *to = text;
    for (const char *from = text; compact && *from; from++) {
        if (*from != ' ') {
            *to++ = *from;
        }
    }
    if (compact) {
        *to = '\0';
    }
    return text;
}

static void format_memory(const struct status_view *view, bool compact, char *out, size_t size)
{
    static const char *const units[] = {"KiB", "MiB", "GiB"};
    double unit = 1024;
    size_t i = 0;
    while (i < 2 && (double)view->memory_limit >= 1024 * unit) {
        unit *= 1024;
        i++;
    }
    snprintf(out, size, "mem %.*f%s%.*f%s%s", i == 2, (double)view->memory / unit, compact ? "/" : " of ", i == 2,
             (double)view->memory_limit / unit, compact ? "" : " ", units[i]);
}

/* "falling behind, 40 s per minute" → "falling behind 40 s/min" where room is short. */
static void shorten_verdict(char *text, bool compact)
{
    char *comma = compact ? strchr(text, ',') : NULL, *per = comma ? strstr(comma, " s per minute") : NULL;
    if (per) {
        memcpy(per, " s/min", sizeof " s/min");
        memmove(comma, comma + 1, strlen(comma + 1) + 1);
    }
}

static void fill_segments(const struct status_view *view, bool compact, struct segment segments[SEGMENTS])
{
    char first[32], second[32];
    memset(segments, 0, SEGMENTS * sizeof *segments);
    units_show_count(view->recent.in, first, sizeof first);
    units_show_count(view->recent.out, second, sizeof second);
    snprintf(segments[0].text, SEGMENT_MAX, "in %s%s out %s/s", squeeze(first, compact), compact ? "" : "/s",
             squeeze(second, compact));
    segments[0].rank = 1;
    if (view->recent.latencies > 0) {
        units_show_duration(view->recent.p50, first, sizeof first);
        units_show_duration(view->recent.p99, second, sizeof second);
        snprintf(segments[1].text, SEGMENT_MAX, "p50 %s p99 %s", squeeze(first, compact), squeeze(second, compact));
        segments[1].rank = 3;
    }
    snprintf(segments[2].text, SEGMENT_MAX, "lag %.1f%ss", (double)view->verdict.lag / 1e9, compact ? "" : " ");
    segments[2].rank = 2;
    if (view->memory_limit > 0) {
        format_memory(view, compact, segments[3].text, SEGMENT_MAX);
        segments[3].rank = 4;
    }
    if (view->draining) {
        snprintf(segments[4].text, SEGMENT_MAX, "draining");
    } else {
        verdict_brief(&view->verdict, segments[4].text, SEGMENT_MAX);
        shorten_verdict(segments[4].text, compact);
    }
    if (view->blocking) {
        snprintf(segments[5].text, SEGMENT_MAX, "%s holds back", view->blocking);
        segments[5].rank = 5;
    }
}

static int columns_needed(const struct segment segments[SEGMENTS], const char *separator)
{
    int needed = 0;
    for (int i = 0; i < SEGMENTS; i++) {
        if (segments[i].text[0]) {
            needed += (int)text_columns(segments[i].text) + (needed > 0 ? (int)text_columns(separator) : 0);
        }
    }
    return needed;
}

/* Empties segments until the rest fits. */
static void fit(struct segment segments[SEGMENTS], const char *separator, int columns)
{
    while (columns_needed(segments, separator) > columns && columns >= 0) {
        int worst = -1;
        for (int i = 0; i < SEGMENTS; i++) {
            if (segments[i].text[0] && (worst < 0 || segments[i].rank > segments[worst].rank)) {
                worst = i;
            }
        }
        segments[worst].text[0] = '\0';
    }
}

static const char *colour_of(enum verdict_kind kind)
{
    switch (kind) {
    case VERDICT_FALLING_BEHIND:
    case VERDICT_NOTHING_DELIVERED:
        return "\x1b[31m";
    case VERDICT_SATURATED:
    case VERDICT_DROPPING:
        return "\x1b[33m";
    case VERDICT_KEEPING_UP:
    case VERDICT_FULL_SPEED:
        return "\x1b[32m";
    case VERDICT_NO_DATA:
    case VERDICT_IDLE:
        break;
    }
    return "";
}

char *status_format(const struct status_view *view, int columns, bool colour, char *out, size_t size)
{
    struct segment segments[SEGMENTS];
    size_t used = 0;
    out[0] = '\0';
    const char *separator = SEPARATOR;
    bool compact = columns < COLUMNS_FOR_WORDS;
    if (compact) {
        separator = "  ";
    }
    fill_segments(view, compact, segments);
    fit(segments, separator, columns);
    for (int i = 0; i < SEGMENTS && used + 1 < size; i++) {
        if (segments[i].text[0]) {
            const char *on = colour && i == 4 ? colour_of(view->verdict.kind) : "";
            int written = snprintf(out + used, size - used, "%s%s%s%s", used > 0 ? separator : "", on, segments[i].text,
                                   on[0] ? "\x1b[0m" : "");
            used += written > 0 ? (size_t)written : 0;
        }
    }
    return out;
}

/* ---- The terminal ----------------------------------------------------------------------------------------------- */

static void put(const char *text, size_t size)
{
    while (size > 0) {
        ssize_t written = write(STDERR_FILENO, text, size);
        if (written <= 0) {
            return; /* nobody reads: nothing to be said to nobody */
        }
        text += written;
        size -= (size_t)written;
    }
}

void status_init(struct status *status, bool wanted)
{
    const char *terminal = getenv("TERM");
    memset(status, 0, sizeof *status);
    pthread_mutex_init(&status->lock, NULL);
    status->on = wanted && isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
    status->colour = status->on && app_colour(STDERR_FILENO);
}

void status_draw(struct status *status, const struct status_view *view)
{
    char line[STATUS_LINE_MAX], whole[STATUS_LINE_MAX + 16];
    if (!status->on) {
        return;
    }
    /* The last column stays free: terminals differ in where the cursor goes after it. */
    status_format(view, app_columns(STDERR_FILENO, COLUMNS_FALLBACK) - 1, status->colour, line, sizeof line);
    int size = snprintf(whole, sizeof whole, "\r%s" CLEAR_REST, line); /* in one piece, over the old one */
    pthread_mutex_lock(&status->lock);
    put(whole, (size_t)size);
    status->drawn = true;
    pthread_mutex_unlock(&status->lock);
}

void status_notice(struct status *status, const char *line)
{
    char text[2 * STATUS_LINE_MAX];
    pthread_mutex_lock(&status->lock);
    int size = snprintf(text, sizeof text, "%sweir: %s\n", status->drawn ? CLEAR_LINE : "", line);
    put(text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
    status->drawn = false;
    pthread_mutex_unlock(&status->lock);
}

void status_end(struct status *status)
{
    pthread_mutex_lock(&status->lock);
    if (status->drawn) {
        put(CLEAR_LINE, sizeof CLEAR_LINE - 1);
        status->drawn = false;
    }
    status->on = false;
    pthread_mutex_unlock(&status->lock);
}
