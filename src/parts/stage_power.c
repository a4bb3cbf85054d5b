/* SPDX-License-Identifier: MIT */
/*
 * power: the mean power of the samples in an array, mean(x²), or mean(re² + im²) of complex ones. Sums of integers are
 * exact; samples that are null are left out.
 */
#include <errno.h>
#include <math.h>

#include "parts/arrays.h"
#include "parts/parts.h"

struct power {
    struct weir_quoted field, as;
    bool iq, decibels;
    double reference;

    uint32_t column, output;
    bool pairs;
    struct weir_schema *out;
};

static int power_open(void *self, struct weir_env *env)
{
    const struct power *power = self;
    if (!(power->reference > 0))
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: `reference` is a power above 0", env->name);
    return 0;
}

static void power_close(void *self, struct weir_env *env)
{
    struct power *power = self;
    (void)env;
    weir_schema_release(power->out);
}

static int power_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct power *power = self;
    char name[WEIR_NAME_MAX + 1];
    int error = arrays_column(env, in, power->field, &power->column);
    if (error == 0)
        error = arrays_name(env, in, in->fields[power->column].name, "_power", power->as, name);
    if (error == 0)
        error = arrays_pairs(env, &in->fields[power->column], power->iq, &power->pairs);
    if (error < 0)
        return error;
    weir_schema_release(power->out);
    power->out = weir_schema_together(env,
                                      weir_schema_extend(in, &(struct weir_field){.name = name, .type = WEIR_F64}, 1));
    if (!power->out)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    power->output = (uint32_t)weir_schema_find(power->out, name);
    *out = weir_schema_reference(power->out);
    return 0;
}

static double power_of(const struct power *power, const struct weir_field *field, const void *data)
{
    struct array_sums sums = array_sums(field->element, data, 0,
                                        (size_t)field->elements * array_numbers_each(field->element));
    double samples = (double)sums.count / (power->pairs ? 2 : 1);
    double mean = sums.count > 0 ? sums.squares / samples : (double)NAN;
    return power->decibels ? 10 * log10(mean / power->reference) : mean / power->reference;
}

static int power_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct power *power = self;
    const struct weir_field *field = &in->schema->fields[power->column];
    struct weir_batch *made = weir_batch_derive(env->pool, in, power->out);
    double *results = made ? weir_batch_add_column(made, power->output) : NULL;
    if (!results) {
        weir_batch_release(made);
        return weir_fail(env->error, -ENOMEM, "%s: out of memory for a batch of %u records", env->name, in->count);
    }
    for (uint32_t row = 0; in->selection && row < in->rows; row++)
        results[row] = NAN;
    for (uint32_t i = 0; i < in->count; i++) {
        uint32_t row = weir_batch_row(in, i);
        results[row] = power_of(power, field, arrays_row(in, power->column, row));
    }
    weir_out_emit(out, made);
    return 0;
}

#define FIELD(member) .offset = offsetof(struct power, member)

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option power_options[] = {
    {.name = "field", .type = WEIR_OPTION_COLUMN, FIELD(field), .flags = WEIR_OPTION_MAIN,
     .help = "the column of arrays; without it the only one"},
    {.name = "as", .type = WEIR_OPTION_COLUMN, FIELD(as), .help = "name of the result; without it FIELD_power"},
    {.name = "iq", .type = WEIR_OPTION_BOOL, FIELD(iq),
     .help = "samples are pairs of numbers, real and imaginary, though their type does not say so"},
    {.name = "decibels", .type = WEIR_OPTION_BOOL, FIELD(decibels), .help = "10 log10 of the power"},
    {.name = "reference", .type = WEIR_OPTION_NUMBER, FIELD(reference), .fallback = "1",
     .help = "the power that counts as 1, or 0 dB"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_power = {
    .part = {
        .kind = WEIR_STAGE,
        .name = "power",
        .summary = "the mean power of the samples in an array",
        .example = "sources:\n"
                   "  digitiser: {type: adc, sample_rate: 1e6, samples: 4096, count: 20}\n"
                   "stages:\n"
                   "  - power: samples\n"
                   "  - select: [timestamp, samples_power]\n",
        .options = power_options,
        .size = sizeof(struct power),
        .open = power_open,
        .close = power_close,
    },
    .bind = power_bind,
    .process = power_process,
};
