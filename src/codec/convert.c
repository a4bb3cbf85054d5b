/* SPDX-License-Identifier: MIT */
/* Values into columns: everything but the plain short number, which the decoders take inline. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "codec/decoder.h"

void convert_null(struct decoder_column *column, uint32_t row)
{
    switch (column->type) {
    case WEIR_TIME:
    case WEIR_I64:
        ((int64_t *)column->data)[row] = WEIR_I64_NULL;
        break;
    case WEIR_F64:
        ((double *)column->data)[row] = NAN;
        break;
    case WEIR_BOOL:
        ((uint8_t *)column->data)[row] = WEIR_BOOL_NULL;
        break;
    case WEIR_SYMBOL:
        ((uint32_t *)column->data)[row] = WEIR_SYMBOL_NULL;
        break;
    case WEIR_TEXT:
        ((struct weir_text *)column->data)[row] = (struct weir_text){0};
        break;
    default:
        break;
    }
}

static void failed(struct decoder_column *column, uint32_t row, int error)
{
    column->problems[error == -ERANGE ? PROBLEM_RANGE : PROBLEM_MISMATCH]++;
    convert_null(column, row);
}

/* Digits only. The sum runs downwards, as the negative side reaches further by one. */
static int integer_of(const char *text, size_t length, int64_t *ret)
{
    bool negative = length > 0 && *text == '-';
    int64_t value = 0;
    if (length == negative) {
        return -EINVAL;
    }
    for (size_t i = negative; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -EINVAL;
        }
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, text[i] - '0', &value)) {
            return -ERANGE;
        }
    }
    if (value == INT64_MIN) { /* stands for null, and has no positive counterpart */
        return -ERANGE;
    }
    *ret = negative ? value : -value;
    return 0;
}

/* An integer that a double does not hold exactly is not lost silently. */
void convert_f64(struct decoder_column *column, uint32_t row, const char *text, size_t length)
{
    double value;
    int64_t exact;
    int error = number_from_text(text, length, &value);
    if (error) {
        failed(column, row, error);
        return;
    }
    if (fabs(value) >= (double)NUMBER_EXACT_MAX && integer_of(text, length, &exact) == 0 &&
        (fabs(value) >= 0x1p63 || (int64_t)value != exact)) {
        column->problems[PROBLEM_ROUNDED]++;
    }
    ((double *)column->data)[row] = value;
}

/* A number with point or exponent will do if it is an integer that a double holds exactly. */
void convert_i64(struct decoder_column *column, uint32_t row, const char *text, size_t length)
{
    int64_t value = 0;
    int error = integer_of(text, length, &value);
    if (error == -EINVAL) {
        double number;
        error = number_from_text(text, length, &number);
        if (error == 0 && fabs(number) > (double)NUMBER_EXACT_MAX) {
            error = -ERANGE;
        } else if (error == 0 && number != floor(number)) {
            error = -EINVAL;
        }
        value = error == 0 ? (int64_t)number : 0;
    }
    if (error) {
        failed(column, row, error);
        return;
    }
    ((int64_t *)column->data)[row] = value;
}

void convert_time_number(const struct codec_layout *layout, struct decoder_column *column, uint32_t row,
                         const char *text, size_t length)
{
    enum time_format format = layout->time_format;
    int64_t ns;
    int error = -EINVAL;
    if (format == TIME_AUTO) {
        double value;
        error = number_from_text(text, length, &value);
        if (error == 0) {
            error = time_parse_epoch(text, length, time_unit_guess(value), &ns);
        }
    } else if (format >= TIME_EPOCH_S) {
        error = time_parse_epoch(text, length, format, &ns);
    }
    if (error || ns == WEIR_TIME_NULL) {
        failed(column, row, error ? error : -ERANGE);
        return;
    }
    ((int64_t *)column->data)[row] = ns;
}

void convert_time_text(const struct codec_layout *layout, struct decoder_column *column, uint32_t row, const char *text,
                       size_t length)
{
    int64_t ns;
    int error = time_parse(text, length, layout->time_format, layout->zone, &ns);
    if (error || ns == WEIR_TIME_NULL) {
        failed(column, row, error ? error : -ERANGE);
        return;
    }
    ((int64_t *)column->data)[row] = ns;
}
