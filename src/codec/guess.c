/* SPDX-License-Identifier: MIT */
/* From the values of a sample to the type of each field. */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "codec/layout.h"
#include "codec/ndjson_simdjson.h"

void guesses_free(struct guesses *guesses)
{
    for (uint32_t i = 0; i < guesses->count; i++) {
        memory_free(guesses->items[i].name);
    }
    memory_free(guesses->items);
    *guesses = (struct guesses){0};
}

static bool is_called(const struct guess *guess, const char *name, size_t length)
{
    return strlen(guess->name) == length && memcmp(guess->name, name, length) == 0; /* name may have a NUL */
}

int guesses_find(struct guesses *guesses, const char *name, size_t length, uint32_t hint, struct guess **ret)
{
    *ret = NULL;
    if (hint < guesses->count && is_called(&guesses->items[hint], name, length)) {
        *ret = &guesses->items[hint];
        return 0;
    }
    for (uint32_t i = 0; i < guesses->count; i++) {
        if (is_called(&guesses->items[i], name, length)) {
            *ret = &guesses->items[i];
            return 0;
        }
    }
    /* What cannot be the name of a column is an extra field. */
    if (guesses->count == WEIR_FIELDS_MAX || length == 0 || length > WEIR_NAME_MAX || memchr(name, 0, length)) {
        return 0;
    }
    if (guesses->count == guesses->capacity) {
        uint32_t capacity = guesses->capacity ? guesses->capacity * 2 : 16;
        struct guess *items = memory_resize(guesses->items, capacity * sizeof *items);
        if (!items) {
            return -ENOMEM;
        }
        guesses->items = items;
        guesses->capacity = capacity;
    }
    char *copy = memory_allocate(length + 1);
    if (!copy) {
        return -ENOMEM;
    }
    memcpy(copy, name, length);
    copy[length] = '\0';
    *ret = &guesses->items[guesses->count++];
    **ret = (struct guess){.name = copy};
    return 0;
}

static bool is_integer(const char *text, size_t length)
{
    for (size_t i = *text == '-'; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
    }
    return true;
}

/* 1990 to 2100, in s, ms, µs or ns. */
static bool is_plausible_epoch(double value)
{
    for (double unit = 1; unit <= 1e9; unit *= 1e3) {
        if (value >= 631152000 * unit && value < 4102444800.0 * unit) {
            return true;
        }
    }
    return false;
}

void guess_number(struct guess *guess, const char *text, size_t length)
{
    double value;
    if (number_from_text(text, length, &value) != 0) {
        return; /* out of range: says nothing */
    }
    guess->numbers++;
    guess->epochs += is_plausible_epoch(value);
    if (is_integer(text, length)) {
        guess->integers++;
        guess->large = guess->large || value >= 9007199254740992.0 || value <= -9007199254740992.0;
    }
}

void guess_string(struct guess *guess, const char *text, size_t length, const struct time_zone *zone)
{
    int64_t ns;
    guess->strings++;
    if (length >= 10 && (time_parse(text, length, TIME_RFC3339, zone, &ns) == 0 ||
                         time_parse(text, length, TIME_PLAIN, zone, &ns) == 0)) {
        guess->times++;
    }
}

static bool is_time_name(const char *name)
{
    static const char *const names[] = {"ts", "time", "timestamp", "date", "datetime", "@timestamp", NULL};
    for (int i = 0; names[i]; i++) {
        if (strcasecmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Where values of several types were seen, the most frequent decides; in CSV text takes them all, as all is text there.
 * Without any value: f64. */
enum weir_type guess_type(const struct guess *guess, bool is_key, bool is_csv)
{
    uint32_t strings = guess->strings;
    if (guess->tag || guess->stamp) {
        return guess->tag ? WEIR_SYMBOL : WEIR_TIME;
    }
    if (strings > 0 && (is_csv || (strings >= guess->numbers && strings >= guess->bools))) {
        bool all_times = guess->times == strings && (!is_csv || guess->numbers + guess->bools == 0);
        return is_key ? WEIR_SYMBOL : all_times ? WEIR_TIME : WEIR_TEXT;
    }
    if (is_csv && guess->bools > 0 && guess->numbers > 0) {
        return is_key ? WEIR_SYMBOL : WEIR_TEXT;
    }
    if (guess->bools > guess->numbers) {
        return WEIR_BOOL;
    }
    bool integers = guess->numbers > 0 && guess->integers == guess->numbers;
    if (is_key && guess->numbers > 0) {
        return integers ? WEIR_I64 : is_csv ? WEIR_SYMBOL : WEIR_F64;
    }
    if (guess->epochs > 0 && guess->epochs == guess->numbers && is_time_name(guess->name)) {
        return WEIR_TIME;
    }
    return integers && guess->large ? WEIR_I64 : WEIR_F64;
}
