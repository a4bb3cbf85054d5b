/* SPDX-License-Identifier: MIT */
/* Times as text or numbers ↔ ns since 1970 (proleptic Gregorian, no leap seconds). No allocation, no locale. */
#ifndef DATA_TIME_TEXT_H
#define DATA_TIME_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum time_format {
    TIME_AUTO,    /* text: RFC 3339 or plain; numbers: unit by magnitude (see time_unit_guess) */
    TIME_RFC3339, /* 2024-11-21T03:20:00.123Z, +01:00; also a blank for the T */
    TIME_PLAIN,   /* YYYY-MM-DD HH:MM:SS[.fraction], in the zone */
    TIME_EPOCH_S, /* this and below: numbers; fractions allowed */
    TIME_EPOCH_MS,
    TIME_EPOCH_US,
    TIME_EPOCH_NS,
};
extern const char *const time_format_names[]; /* "auto", "rfc3339", "plain", "epoch_s", … NULL-terminated */

/* A time zone from the system's database ("Europe/Berlin"), "UTC", "local" or "+01:00". */
struct time_zone;
int time_zone_open(const char *name, struct time_zone **ret); /* -ENOENT unknown */
void time_zone_close(struct time_zone *zone);

/* Parse: 0 and *ret_ns, or -EINVAL / -ERANGE. zone NULL is UTC; used where the text has no offset of its own. In a
 * repeated hour (end of summer time) the first is taken; in a skipped hour the time moves forward. Plain and auto also
 * take a date alone or without seconds; RFC 3339 wants an offset unless there is a zone. A leap second (:60) is the
 * last nanosecond of its minute; digits beyond nanoseconds are ignored. INT64_MIN, which is null, is out of range. */
int time_parse(const char *text, size_t length, enum time_format format, const struct time_zone *zone, int64_t *ret_ns);
/* A number of seconds (ms, …) given as text, exactly (no rounding through a double): "1732147200.123". */
int time_parse_epoch(const char *text, size_t length, enum time_format format, int64_t *ret_ns);
/* TIME_EPOCH_S … _NS, by magnitude: |x| < 1e11 s, < 1e14 ms, < 1e17 µs, else ns. */
enum time_format time_unit_guess(double value);

enum { TIME_TEXT_MAX = 40 };
/* RFC 3339 in UTC with as many fractional digits (0, 3, 6, 9) as are needed; returns the length (no terminator). */
size_t time_show_rfc3339(int64_t ns, char out[TIME_TEXT_MAX]);
/* The same where one time follows another, mostly in the same minute: what they share is kept. Zero it before. */
struct time_minute {
    int64_t begin; /* ns; meaningful when there is a text */
    char text[17]; /* "2024-11-21T08:00:" */
};
size_t time_show_next(struct time_minute *minute, int64_t ns, char out[TIME_TEXT_MAX]);
/* The same in any format: plain is in UTC, epoch_* a decimal number, auto RFC 3339. */
size_t time_show(int64_t ns, enum time_format format, char out[TIME_TEXT_MAX]);
#endif
