/* SPDX-License-Identifier: MIT */
/* The rule for times after the last change that a zone file lists: POSIX's TZ, with hours up to ±167 (RFC 8536). */
#include "data/time_zone.h"

#include <string.h>

struct reader {
    const char *at, *end;
};

static bool accept(struct reader *in, char wanted)
{
    if (in->at < in->end && *in->at == wanted) {
        in->at++;
        return true;
    }
    return false;
}

static bool read_number(struct reader *in, uint32_t most, uint32_t *ret)
{
    uint32_t value = 0;
    const char *start = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9' && in->at - start < 4) {
        value = value * 10 + (uint32_t)(*in->at++ - '0');
    }
    *ret = value;
    return in->at > start && value <= most;
}

/* "CET" or "<+03>": what it is called is of no interest here. */
static bool skip_name(struct reader *in)
{
    const char *start = in->at;
    if (accept(in, '<')) {
        while (in->at < in->end && *in->at != '>') {
            in->at++;
        }
        return accept(in, '>');
    }
    while (in->at < in->end && ((*in->at >= 'A' && *in->at <= 'Z') || (*in->at >= 'a' && *in->at <= 'z'))) {
        in->at++;
    }
    return in->at - start >= 3;
}

/* [+-]h[:mm[:ss]] in seconds. */
static bool read_time(struct reader *in, int32_t *ret)
{
    bool negative = accept(in, '-');
    if (!negative) {
        accept(in, '+');
    }
    uint32_t hours, minutes = 0, seconds = 0;
    if (!read_number(in, 167, &hours)) {
        return false;
    }
    if (accept(in, ':') && (!read_number(in, 59, &minutes) || (accept(in, ':') && !read_number(in, 59, &seconds)))) {
        return false;
    }
    int32_t total = (int32_t)(hours * 3600 + minutes * 60 + seconds);
    *ret = negative ? -total : total;
    return true;
}

static bool read_day(struct reader *in, struct time_rule_day *ret)
{
    struct time_rule_day day = {.time = 2 * 3600};
    if (accept(in, 'M')) {
        day.kind = 'M';
        if (!read_number(in, 12, &day.month) || day.month == 0 || !accept(in, '.') || !read_number(in, 5, &day.week) ||
            day.week == 0 || !accept(in, '.') || !read_number(in, 6, &day.day)) {
            return false;
        }
    } else {
        day.kind = accept(in, 'J') ? 'J' : 'N';
        if (!read_number(in, 365, &day.day) || (day.kind == 'J' && day.day == 0)) {
            return false;
        }
    }
    if (accept(in, '/') && !read_time(in, &day.time)) {
        return false;
    }
    *ret = day;
    return true;
}

bool time_rule_parse(const char *text, size_t length, struct time_rule *ret)
{
    struct reader in = {text, text + length};
    struct time_rule rule = {0};
    int32_t west;
    if (!skip_name(&in) || !read_time(&in, &west)) {
        return false;
    }
    rule.standard = -west;
    rule.summer = rule.standard;
    if (in.at < in.end) {
        rule.has_summer = true;
        rule.summer = rule.standard + 3600;
        if (!skip_name(&in)) {
            return false;
        }
        if (in.at < in.end && *in.at != ',') {
            if (!read_time(&in, &west)) {
                return false;
            }
            rule.summer = -west;
        }
        if (!accept(&in, ',') || !read_day(&in, &rule.start) || !accept(&in, ',') || !read_day(&in, &rule.end)) {
            return false;
        }
    }
    *ret = rule;
    return in.at == in.end;
}

static int64_t day_of_rule(const struct time_rule_day *rule, uint32_t year)
{
    int64_t first = time_days(year, 1, 1);
    if (rule->kind == 'N') {
        return first + rule->day;
    }
    if (rule->kind == 'J') {
        return first + rule->day - 1 + (time_leap_year(year) && rule->day >= 60);
    }
    first = time_days(year, rule->month, 1);
    int64_t weekday = (first + 4) % 7; /* 1970-01-01 was a Thursday; Sunday is 0 */
    weekday = weekday < 0 ? weekday + 7 : weekday;
    int64_t day = first + (rule->day + 7 - weekday) % 7 + (rule->week - 1) * 7;
    while (day >= first + time_days_in_month(year, rule->month)) { /* week 5 is the last, be it the fourth */
        day -= 7;
    }
    return day;
}

void time_rule_changes(const struct time_rule *rule, uint32_t year, struct time_change changes[2])
{
    struct time_change start = {.when = day_of_rule(&rule->start, year) * TIME_DAY + rule->start.time - rule->standard,
                                .offset = rule->summer};
    struct time_change end = {.when = day_of_rule(&rule->end, year) * TIME_DAY + rule->end.time - rule->summer,
                              .offset = rule->standard};
    bool south = end.when < start.when;
    changes[0] = south ? end : start;
    changes[1] = south ? start : end;
}
