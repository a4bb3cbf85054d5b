/* SPDX-License-Identifier: MIT */
/*
 * Private to time_*.c: the calendar, and a time zone as a table.
 *
 * A zone is the list of moments at which its clocks change, from the zone file and, where that ends with a rule, by the
 * rule until the last year that a time can have. So a lookup is one binary search, whatever the year.
 */
#ifndef DATA_TIME_ZONE_H
#define DATA_TIME_ZONE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct time_change {
    int64_t wall;   /* first local second (as if it were UTC) that is read with `offset`; see time_zone_to_utc */
    int64_t when;   /* seconds since 1970 */
    int32_t offset; /* local − UTC from then on, seconds */
};

struct time_zone {
    int32_t first_offset; /* before the first change */
    uint32_t count;
    struct time_change changes[];
};

/* Years in which times as int64 nanoseconds lie. */
enum { TIME_YEAR_FIRST = 1677, TIME_YEAR_LAST = 2262 };
enum { TIME_DAY = 86400 };

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar; year 0 to 9999, month 1 to 12. */
static inline int64_t time_days(uint32_t year, uint32_t month, uint32_t day)
{
    static const uint16_t before[] = {0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    /* Years of leap days passed: this one's counts from March. 400 years more, so that none is before year 0. */
    uint32_t y = year + 400 - (month <= 2), centuries = y / 100;
    uint32_t leaps = y / 4 - centuries + centuries / 4;
    return (int64_t)(365 * (year + 400) + leaps + before[month] + day) - 719528 - 146097;
}

static inline bool time_leap_year(uint32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static inline uint32_t time_days_in_month(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && time_leap_year(year) ? 29 : days[month];
}

/* Local seconds (a date and time counted as if it were UTC) → seconds since 1970. In a repeated hour the first is
 * taken; in a skipped hour the time moves forward. zone NULL: UTC. */
int64_t time_zone_to_utc(const struct time_zone *zone, int64_t wall);

/* local − UTC at a moment, seconds. */
int32_t time_zone_offset(const struct time_zone *zone, int64_t when);

/* The contents of a zone file (TZif, version 1 to 4) → a zone. -EINVAL, -ENOMEM. Never reads past size. */
int time_zone_parse(const unsigned char *data, size_t size, struct time_zone **ret);

/* ---- The rule at the end of a zone file: time_zone_rule.c ---- */

struct time_rule_day {
    char kind; /* 'M': week `week` of month, on `day`; 'J': day 1 to 365, 29 February not counted; 'N': 0 to 365 */
    uint32_t month, week, day;
    int32_t time; /* local seconds after midnight; may be negative or more than a day */
};
struct time_rule {
    int32_t standard, summer; /* local − UTC */
    bool has_summer;
    struct time_rule_day start, end; /* of summer time */
};
/* "CET-1CEST,M3.5.0,M10.5.0/3". false: not a rule. */
bool time_rule_parse(const char *text, size_t length, struct time_rule *ret);
/* The two changes of a year, in order of time (`wall` is not set). */
void time_rule_changes(const struct time_rule *rule, uint32_t year, struct time_change changes[2]);
#endif
