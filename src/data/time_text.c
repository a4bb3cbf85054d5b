/* SPDX-License-Identifier: MIT */
/*
 * Text → time reads the digits of "YYYY-MM-" and "HH:MM:SS" eight at a time, each byte of a word one character.
 *
 * More than nine digits of a fraction are read and ignored. A leap second (:60, with any fraction) is the last
 * nanosecond of its minute, so that it comes neither before :59 nor after the next minute's :00.
 */
#include "data/time_text.h"

#include <errno.h>
#include <string.h>

#include "data/time_zone.h"

__extension__ typedef __int128 wide;

enum { SECOND = 1000000000 };

const char *const time_format_names[] = {"auto",     "rfc3339",  "plain",    "epoch_s",
                                         "epoch_ms", "epoch_us", "epoch_ns", NULL};

static const uint32_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

struct moment {
    uint32_t year, month, day, hour, minute, second, ns;
    bool has_offset;
    int32_t offset; /* seconds */
};

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

/* The first character is in the lowest byte, on any machine. */
static inline uint64_t read_word(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* Compares eight characters with a pattern of digits ('0') and separators. `reach` has what takes a byte that should be
 * 0 to 9 (a separator: 0) but is more up to its top bit. *ret_pairs: byte i is the number that characters i and i + 1
 * are the digits of. */
static inline bool read_pairs(const char *text, uint64_t pattern, uint64_t reach, uint64_t *ret_pairs)
{
    uint64_t word = read_word(text) ^ pattern;
    *ret_pairs = word * 10 + (word >> 8);
    return ((word | (word + reach)) & 0x8080808080808080) == 0;
}

static inline uint32_t pair(uint64_t pairs, int at)
{
    return (uint32_t)(pairs >> (8 * at)) & 0xff;
}

/* "YYYY-MM-" and "HH:MM:SS" as words. '-' is 0x2d, ':' 0x3a, '0' 0x30. */
#define PATTERN_DATE UINT64_C(0x2d30302d30303030)
#define REACH_DATE UINT64_C(0x7f76767f76767676)
#define PATTERN_TIME UINT64_C(0x30303a30303a3030)
#define REACH_TIME UINT64_C(0x76767f76767f7676)

/* The 19 characters that every date with a time begins with. */
static inline bool read_date_time(const char *text, struct moment *moment)
{
    uint64_t date, time;
    bool good = read_pairs(text, PATTERN_DATE, REACH_DATE, &date) &
                read_pairs(text + 11, PATTERN_TIME, REACH_TIME, &time);
    good &= is_digit(text[8]) & is_digit(text[9]);
    good &= (text[10] == 'T') | (text[10] == ' ') | (text[10] == 't');
    moment->year = pair(date, 0) * 100 + pair(date, 2);
    moment->month = pair(date, 5);
    moment->day = (uint32_t)(text[8] - '0') * 10 + (uint32_t)(text[9] - '0');
    moment->hour = pair(time, 0);
    moment->minute = pair(time, 3);
    moment->second = pair(time, 6);
    return good && moment->month - 1 < 12 && moment->day - 1 < time_days_in_month(moment->year, moment->month) &&
           moment->hour < 24 && moment->minute < 60 && moment->second <= 60;
}

static const char *read_fraction(const char *at, const char *end, uint32_t *ret_ns)
{
    if (end - at >= 3 && is_digit(at[0]) & is_digit(at[1]) & is_digit(at[2]) && (end - at == 3 || !is_digit(at[3]))) {
        *ret_ns = (uint32_t)(at[0] * 100 + at[1] * 10 + at[2] - '0' * 111) * 1000000; /* milliseconds: the usual */
        return at + 3;
    }
    const char *start = at, *last = end - at > 9 ? at + 9 : end;
    uint32_t value = 0;
    for (; at < last && is_digit(*at); at++) {
        value = value * 10 + (uint32_t)(*at - '0');
    }
    *ret_ns = value * powers[9 - (at - start)];
    while (at < end && is_digit(*at)) {
        at++;
    }
    return at;
}

/* Z, ±HH:MM, ±HHMM, ±HH: all of what is left. */
static bool read_offset(const char *at, const char *end, struct moment *moment)
{
    moment->has_offset = true;
    size_t length = (size_t)(end - at);
    if (length == 1) {
        return *at == 'Z' || *at == 'z';
    }
    if ((*at != '+' && *at != '-') || length < 3 || length > 6 || !is_digit(at[1]) || !is_digit(at[2])) {
        return false;
    }
    uint32_t hours = (uint32_t)(at[1] - '0') * 10 + (uint32_t)(at[2] - '0'), minutes = 0;
    if (length > 3) {
        const char *tail = at + 3 + (length == 6);
        if (length == 4 || (length == 6 && at[3] != ':') || !is_digit(tail[0]) || !is_digit(tail[1])) {
            return false;
        }
        minutes = (uint32_t)(tail[0] - '0') * 10 + (uint32_t)(tail[1] - '0');
    }
    if (hours > 23 || minutes > 59) {
        return false;
    }
    int32_t offset = (int32_t)(hours * 3600 + minutes * 60);
    moment->offset = *at == '-' ? -offset : offset;
    return true;
}

static int to_ns(const struct moment *moment, const struct time_zone *zone, int64_t *ret_ns)
{
    int64_t wall = time_days(moment->year, moment->month, moment->day) * TIME_DAY + moment->hour * 3600 +
                   moment->minute * 60 + moment->second;
    uint32_t ns = moment->ns;
    if (moment->second == 60) {
        wall--;
        ns = SECOND - 1;
    }
    int64_t seconds = moment->has_offset ? wall - moment->offset : time_zone_to_utc(zone, wall);
    if (moment->year - (TIME_YEAR_FIRST + 1) < TIME_YEAR_LAST - TIME_YEAR_FIRST - 1) { /* not at an end of the range */
        *ret_ns = seconds * SECOND + ns;
        return 0;
    }
    wide total = (wide)seconds * SECOND + ns;
    if (total <= INT64_MIN || total > INT64_MAX) {
        return -ERANGE;
    }
    *ret_ns = (int64_t)total;
    return 0;
}

static int parse_text(const char *text, size_t length, enum time_format format, const struct time_zone *zone,
                      int64_t *ret_ns)
{
    struct moment moment;
    char whole[19] = "YYYY-MM-DDT00:00:00";
    if (format != TIME_RFC3339 && (length == 10 || length == 16)) { /* only a date, or without seconds */
        memcpy(whole, text, length);
        text = whole;
        length = sizeof whole;
    }
    if (length < 19 || !read_date_time(text, &moment)) {
        return -EINVAL;
    }
    const char *at = text + 19, *end = text + length;
    moment.ns = 0;
    moment.has_offset = false;
    moment.offset = 0;
    if (end - at >= 2 && (*at == '.' || *at == ',')) {
        const char *digits = at + 1;
        at = read_fraction(digits, end, &moment.ns);
        if (at == digits) {
            return -EINVAL;
        }
    }
    if (at < end) {
        if (!read_offset(at, end, &moment)) {
            return -EINVAL;
        }
    } else if (format == TIME_RFC3339 && !zone) {
        return -EINVAL; /* the format demands an offset; a zone given makes up for it */
    }
    return to_ns(&moment, zone, ret_ns);
}

/* A decimal number as its parts, in place. */
struct decimal {
    const char *whole, *fraction;
    size_t whole_digits, fraction_digits; /* whole: without leading zeros */
    int32_t exponent;
    bool negative;
};

static size_t count_digits(const char *at, const char *end)
{
    size_t count = 0;
    while (at + count < end && is_digit(at[count])) {
        count++;
    }
    return count;
}

static bool read_exponent(const char *at, const char *end, int32_t *ret)
{
    bool negative = at < end && *at == '-';
    at += at < end && (*at == '-' || *at == '+');
    size_t digits = count_digits(at, end);
    int32_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        value = value < 100000 ? value * 10 + (at[i] - '0') : value; /* beyond that it makes no difference */
    }
    *ret = negative ? -value : value;
    return digits > 0 && at + digits == end;
}

static bool read_decimal(const char *text, size_t length, struct decimal *ret)
{
    struct decimal number = {0};
    const char *at = text, *end = text + length;
    if (at < end && (*at == '-' || *at == '+')) {
        number.negative = *at++ == '-';
    }
    number.whole = at;
    number.whole_digits = count_digits(at, end);
    at += number.whole_digits;
    if (at < end && *at == '.') {
        number.fraction = ++at;
        number.fraction_digits = count_digits(at, end);
        at += number.fraction_digits;
    }
    if (number.whole_digits + number.fraction_digits == 0) {
        return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        if (!read_exponent(at + 1, end, &number.exponent)) {
            return false;
        }
        at = end;
    }
    while (number.whole_digits && *number.whole == '0') {
        number.whole++;
        number.whole_digits--;
    }
    *ret = number;
    return at == end;
}

/* scale_decimal for the usual number: no exponent, and no overflow possible. */
static int64_t scale_short(const struct decimal *number, int32_t shift)
{
    int64_t value = 0;
    for (size_t i = 0; i < number->whole_digits; i++) {
        value = value * 10 + (number->whole[i] - '0');
    }
    size_t digits = number->fraction_digits < (size_t)shift ? number->fraction_digits : (size_t)shift;
    for (size_t i = 0; i < digits; i++) {
        value = value * 10 + (number->fraction[i] - '0');
    }
    value *= powers[(size_t)shift - digits];
    return number->negative ? -value : value;
}

/* The number × 10^shift, cut off towards zero. */
static int scale_decimal(const struct decimal *number, int32_t shift, int64_t *ret)
{
    size_t digits = number->whole_digits + (size_t)shift;
    if (number->exponent == 0 && (digits <= 18 || (digits == 19 && number->whole_digits && *number->whole < '9'))) {
        *ret = scale_short(number, shift);
        return 0;
    }
    int64_t places = (int64_t)number->whole_digits + number->exponent + shift; /* digits before the point, then */
    uint64_t value = 0;
    for (int64_t i = 0; i < places; i++) {
        size_t at = (size_t)i;
        char digit = '0';
        if (at < number->whole_digits) {
            digit = number->whole[at];
        } else if (at - number->whole_digits < number->fraction_digits) {
            digit = number->fraction[at - number->whole_digits];
        } else if (value == 0) {
            break; /* zeros for ever */
        }
        if (value > INT64_MAX / 10) {
            return -ERANGE;
        }
        value = value * 10 + (uint64_t)(digit - '0');
        if (value > INT64_MAX) {
            return -ERANGE;
        }
    }
    *ret = number->negative ? -(int64_t)value : (int64_t)value;
    return 0;
}

/* Digits after the point that are nanoseconds or more. */
static int32_t unit_digits(enum time_format format)
{
    switch (format) {
    case TIME_EPOCH_S:
        return 9;
    case TIME_EPOCH_MS:
        return 6;
    case TIME_EPOCH_US:
        return 3;
    default:
        return 0;
    }
}

/* The unit that time_unit_guess would find, without a double: by the number of digits before the point. */
static enum time_format guess_by_digits(const struct decimal *number)
{
    int64_t digits = (int64_t)number->whole_digits;
    if (digits == 0) {
        for (size_t i = 0; i < number->fraction_digits && number->fraction[i] == '0'; i++) {
            digits--;
        }
    }
    digits += number->exponent;
    return digits <= 11 ? TIME_EPOCH_S : digits <= 14 ? TIME_EPOCH_MS : digits <= 17 ? TIME_EPOCH_US : TIME_EPOCH_NS;
}

int time_parse_epoch(const char *text, size_t length, enum time_format format, int64_t *ret_ns)
{
    struct decimal number;
    if (!read_decimal(text, length, &number)) {
        return -EINVAL;
    }
    if (format < TIME_EPOCH_S || format > TIME_EPOCH_NS) {
        format = guess_by_digits(&number);
    }
    return scale_decimal(&number, unit_digits(format), ret_ns);
}

enum time_format time_unit_guess(double value)
{
    double size = value < 0 ? -value : value;
    return size < 1e11 ? TIME_EPOCH_S : size < 1e14 ? TIME_EPOCH_MS : size < 1e17 ? TIME_EPOCH_US : TIME_EPOCH_NS;
}

int time_parse(const char *text, size_t length, enum time_format format, const struct time_zone *zone, int64_t *ret_ns)
{
    if (format == TIME_RFC3339 || format == TIME_PLAIN || (format == TIME_AUTO && length >= 10 && text[4] == '-')) {
        return parse_text(text, length, format, zone, ret_ns);
    }
    return time_parse_epoch(text, length, format, ret_ns);
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static const char two_digits[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                 "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                 "8081828384858687888990919293949596979899";

static inline char *put_pair(char *out, uint32_t value)
{
    memcpy(out, two_digits + 2 * (size_t)value, 2);
    return out + 2;
}

static inline char *put_triple(char *out, uint32_t value)
{
    *out = (char)('0' + value / 100);
    return put_pair(out + 1, value % 100);
}

/* ".123", ".123456", ".123456789" or nothing, for a number of `digits` (9, 6, 3, 0) digits. */
static char *put_fraction(char *out, uint32_t value, int digits)
{
    uint32_t left = value * powers[9 - digits]; /* as if they were nine */
    if (left == 0) {
        return out;
    }
    *out++ = '.';
    out = put_triple(out, left / 1000000);
    if (left % 1000000) {
        out = put_triple(out, left / 1000 % 1000);
    }
    return left % 1000 ? put_triple(out, left % 1000) : out;
}

static char *put_number(char *out, uint64_t value)
{
    char digits[20];
    int count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (count) {
        *out++ = digits[--count];
    }
    return out;
}

/* Days since 1970, in the range of times, → date. The inverse of time_days. */
static void date_of(int64_t days, uint32_t *ret_year, uint32_t *ret_month, uint32_t *ret_day)
{
    uint32_t n = (uint32_t)(days + 719468); /* since 0000-03-01 */
    uint32_t era = n / 146097, in_era = n % 146097;
    uint32_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    uint32_t in_year = in_era - (365 * year + year / 4 - year / 100);
    uint32_t month = (5 * in_year + 2) / 153; /* from March */
    *ret_day = in_year - (153 * month + 2) / 5 + 1;
    *ret_month = month < 10 ? month + 3 : month - 9;
    *ret_year = year + era * 400 + (*ret_month <= 2);
}

static size_t show_text(int64_t ns, char separator, bool zulu, char *out)
{
    int64_t seconds = ns / SECOND, rest = ns % SECOND;
    if (rest < 0) {
        rest += SECOND;
        seconds--;
    }
    int64_t days = seconds / TIME_DAY, in_day = seconds % TIME_DAY;
    if (in_day < 0) {
        in_day += TIME_DAY;
        days--;
    }
    uint32_t year, month, day, second = (uint32_t)in_day;
    date_of(days, &year, &month, &day);
    char *at = put_pair(put_pair(out, year / 100), year % 100);
    *at++ = '-';
    at = put_pair(at, month);
    *at++ = '-';
    at = put_pair(at, day);
    *at++ = separator;
    at = put_pair(at, second / 3600);
    *at++ = ':';
    at = put_pair(at, second / 60 % 60);
    *at++ = ':';
    at = put_fraction(put_pair(at, second % 60), (uint32_t)rest, 9);
    if (zulu) {
        *at++ = 'Z';
    }
    return (size_t)(at - out);
}

size_t time_show_rfc3339(int64_t ns, char out[TIME_TEXT_MAX])
{
    return show_text(ns, 'T', true, out);
}

size_t time_show_next(struct time_minute *minute, int64_t ns, char out[TIME_TEXT_MAX])
{
    const int64_t length = INT64_C(60) * SECOND;
    uint64_t rest = (uint64_t)ns - (uint64_t)minute->begin;
    if (ns < minute->begin || rest >= (uint64_t)length || !minute->text[0]) {
        size_t size = show_text(ns, 'T', true, out);
        int64_t in_minute = ns % length;
        in_minute += in_minute < 0 ? length : 0;
        if (ns >= INT64_MIN + in_minute) {
            memcpy(minute->text, out, sizeof minute->text);
            minute->begin = ns - in_minute;
        }
        return size;
    }
    memcpy(out, minute->text, sizeof minute->text);
    char *at = put_pair(out + sizeof minute->text, (uint32_t)(rest / SECOND));
    at = put_fraction(at, (uint32_t)(rest % SECOND), 9);
    *at++ = 'Z';
    return (size_t)(at - out);
}

size_t time_show(int64_t ns, enum time_format format, char out[TIME_TEXT_MAX])
{
    if (format == TIME_PLAIN) {
        return show_text(ns, ' ', false, out);
    }
    if (format < TIME_EPOCH_S || format > TIME_EPOCH_NS) {
        return show_text(ns, 'T', true, out);
    }
    int32_t digits = unit_digits(format);
    uint64_t size = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    char *at = out;
    if (ns < 0) {
        *at++ = '-';
    }
    at = put_number(at, size / powers[digits]);
    at = put_fraction(at, (uint32_t)(size % powers[digits]), digits);
    return (size_t)(at - out);
}
