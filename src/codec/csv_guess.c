/* SPDX-License-Identifier: MIT */
/* Of what types are the values of the first records? */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "codec/layout.h"
#include "codec/ndjson_simdjson.h"

static bool is_one_of(const char *text, size_t length, const char *const *words)
{
    for (; *words; words++) {
        if (strlen(*words) == length && strncasecmp(text, *words, length) == 0) {
            return true;
        }
    }
    return false;
}

static void look_at(const struct codec_layout *layout, const struct csv_field *field, struct guess *guess)
{
    static const char *const nulls[] = {"null", "na", "n/a", "nan", NULL};
    static const char *const bools[] = {"true", "false", NULL};
    const char *text = field->text;
    size_t length = field->length;
    while (length > 0 && *text == ' ') {
        text++;
        length--;
    }
    while (length > 0 && text[length - 1] == ' ') {
        length--;
    }
    if (length == 0 || is_one_of(text, length, nulls)) {
        return;
    }
    double value;
    size_t plus = *text == '+' && length > 1;
    int error = number_from_text(text + plus, length - plus, &value);
    if (error != -EINVAL) {
        guess_number(guess, text + plus, length - plus);
    } else if (is_one_of(text, length, bools)) {
        guess->bools++;
    } else {
        guess_string(guess, text, length, layout->zone);
    }
}

int csv_guess(const struct codec_layout *layout, const char *data, size_t size, struct guesses *guesses)
{
    for (uint32_t i = 0; i < layout->field_count; i++) {
        struct guess *guess;
        int error = guesses_find(guesses, layout->fields[i].name, strlen(layout->fields[i].name), i, &guess);
        if (error) {
            return error;
        }
    }
    size_t at = 0;
    for (int records = 0; records < GUESS_LINES && at < size; records++) {
        size_t length;
        const char *text = data + at;
        enum csv_record record = csv_record_end(text, size - at, layout->delimiter, layout->line_max, &length);
        const char *end = csv_trim_end(text, text + length);
        at += length;
        if (end == text || (record != CSV_GOOD && record != CSV_INCOMPLETE)) {
            continue;
        }
        struct csv_field field;
        uint32_t k = 0;
        for (const char *p = text; p && k < layout->field_count && k < guesses->count; k++) {
            p = csv_field_next(p, end, layout->delimiter, &field);
            look_at(layout, &field, &guesses->items[k]);
        }
        guesses->records++;
    }
    return 0;
}
