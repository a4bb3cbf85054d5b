/* SPDX-License-Identifier: MIT */
/*
 * spectrum: the windowed power spectrum of the samples in an array, averaged over all pieces of `length` samples that
 * the array has, and over `average` records of a key. What does not fill a piece at the array's end is left out.
 *
 *     samples  |──── piece 0 ────|                      FIELD_spectrum = mean of the pieces' power spectra
 *                       |──── piece 1 ────|             FIELD_peak     = frequency of the largest bin
 *                                |──── piece 2 ────|    …
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "parts/arrays.h"
#include "parts/fft.h"
#include "parts/parts.h"

struct spectrum {
    struct weir_quoted field, as;
    int64_t length, average;
    int window, precision;
    double overlap, sample_rate, reference;
    bool iq, decibels;

    struct fft *fft;
    struct fft_options options;
    uint32_t column, spectrum_column, peak_column;
    uint32_t bins, pieces, hop;
    struct weir_schema *out;
    void **states;
    size_t states_capacity;
    uint32_t *rows; /* that have a result */
    size_t rows_capacity;
};

/* What is averaged of a key's records. */
struct state {
    uint64_t records;
    double sums[]; /* bins */
};

enum { DOUBLE, SINGLE };
static const char *const precision_names[] = {"double", "single", NULL};

static const char *spectrum_key(const void *self)
{
    const struct spectrum *spectrum = self;
    return spectrum->average > 1 ? WEIR_KEY_OF_SOURCE : WEIR_UNKEYED;
}

static void spectrum_close(void *self, struct weir_env *env)
{
    struct spectrum *spectrum = self;
    (void)env;
    fft_free(spectrum->fft);
    weir_schema_release(spectrum->out);
    memory_free(spectrum->states);
    memory_free(spectrum->rows);
}

static int cut_into_pieces(struct spectrum *spectrum, struct weir_env *env, const struct weir_field *field)
{
    uint32_t samples = field->elements / (spectrum->iq && !(field->element & WEIR_ELEMENT_COMPLEX) ? 2 : 1);
    spectrum->options.length = spectrum->length > 0 ? (uint32_t)spectrum->length : samples;
    if (spectrum->options.length > samples || spectrum->options.length < 2)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: \"%s\" has %u samples, a spectrum of %u was asked for; `length` is from 2 to that",
                            env->name, field->name, samples, spectrum->options.length);
    if (spectrum->options.length > FFT_LENGTH_MAX)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: `length` is at most %d; \"%s\" has %u samples",
                            env->name, FFT_LENGTH_MAX, field->name, samples);
    spectrum->hop = (uint32_t)lrint(spectrum->options.length * (1 - spectrum->overlap));
    spectrum->hop = spectrum->hop > 0 ? spectrum->hop : 1;
    spectrum->pieces = (samples - spectrum->options.length) / spectrum->hop + 1;
    return 0;
}

static int add_columns(struct spectrum *spectrum, struct weir_env *env, const struct weir_schema *in)
{
    char names[2][WEIR_NAME_MAX + 1];
    const struct weir_quoted none = {0};
    const char *field = in->fields[spectrum->column].name;
    int error = arrays_name(env, in, field, "_spectrum", spectrum->as, names[0]);
    if (error == 0)
        error = arrays_name(env, in, field, "_peak", none, names[1]);
    if (error < 0)
        return error;
    const struct weir_field fields[] = {
        {.name = names[0], .type = WEIR_ARRAY, .element = WEIR_ELEMENT_F64, .elements = spectrum->bins},
        {.name = names[1], .type = WEIR_F64},
    };
    weir_schema_release(spectrum->out);
    spectrum->out = weir_schema_together(env, weir_schema_extend(in, fields, 2));
    if (!spectrum->out)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    spectrum->spectrum_column = (uint32_t)weir_schema_find(spectrum->out, names[0]);
    spectrum->peak_column = (uint32_t)weir_schema_find(spectrum->out, names[1]);
    return 0;
}

static int spectrum_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct spectrum *spectrum = self;
    int error = arrays_column(env, in, spectrum->field, &spectrum->column);
    if (error == 0)
        error = arrays_pairs(env, &in->fields[spectrum->column], spectrum->iq, &spectrum->options.pairs);
    if (error == 0)
        error = cut_into_pieces(spectrum, env, &in->fields[spectrum->column]);
    if (error < 0)
        return error;
    spectrum->options.window = (enum fft_window)spectrum->window;
    spectrum->options.single = spectrum->precision == SINGLE;
    spectrum->bins = fft_bins(&spectrum->options);
    fft_free(spectrum->fft);
    spectrum->fft = NULL;
    if (fft_new(&spectrum->options, &spectrum->fft) < 0)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory for a transform of %u samples", env->name,
                         spectrum->options.length);
    error = add_columns(spectrum, env, in);
    if (error == 0 && spectrum->average > 1)
        error = weir_key_state_define(
            env, &(struct weir_key_options){.size = sizeof(struct state) + spectrum->bins * sizeof(double)});
    if (error < 0)
        return error;
    *out = weir_schema_reference(spectrum->out);
    return 0;
}

/* The sum of the spectra of all pieces of a row. */
static void add_row(const struct spectrum *spectrum, const struct weir_batch *in, uint32_t row, double *into)
{
    const void *data = arrays_row(in, spectrum->column, row);
    uint8_t element = in->schema->fields[spectrum->column].element;
    for (uint32_t piece = 0; piece < spectrum->pieces; piece++)
        fft_add_power(spectrum->fft, element, data, (size_t)piece * spectrum->hop, into);
}

/* In Hz, or, where no rate of samples is given, as a share of it. */
static double frequency_of(const struct spectrum *spectrum, uint32_t bin)
{
    double k = spectrum->options.pairs ? (double)bin - spectrum->options.length / 2 : (double)bin; /* whole bins */
    return k / spectrum->options.length * (spectrum->sample_rate > 0 ? spectrum->sample_rate : 1);
}

/* Makes a mean of a sum; the largest bin says where the peak is. */
static void finish_row(const struct spectrum *spectrum, double *bins, double records, double *peak)
{
    double scale = 1 / (records * spectrum->pieces * spectrum->reference);
    uint32_t largest = 0;
    for (uint32_t k = 0; k < spectrum->bins; k++) {
        bins[k] *= scale;
        largest = bins[k] > bins[largest] ? k : largest;
    }
    *peak = isnan(bins[largest]) ? (double)NAN : frequency_of(spectrum, largest);
    for (uint32_t k = 0; spectrum->decibels && k < spectrum->bins; k++)
        bins[k] = 10 * log10(bins[k]);
}

static int no_memory(struct weir_env *env, uint32_t records)
{
    return weir_fail(env->error, -ENOMEM,
                     "%s: out of memory for the spectra of %u records; give the pipeline more with run: {memory: ...}",
                     env->name, records);
}

/* One record's spectrum, or its share of an average; true: there is a result. */
static bool process_row(const struct spectrum *spectrum, const struct weir_batch *in, uint32_t row, struct state *state,
                        double *bins, double *peak)
{
    size_t size = spectrum->bins * sizeof *bins;
    if (!state) {
        memset(bins, 0, size);
        add_row(spectrum, in, row, bins);
        finish_row(spectrum, bins, 1, peak);
        return true;
    }
    add_row(spectrum, in, row, state->sums);
    if (++state->records < (uint64_t)spectrum->average)
        return false;
    memcpy(bins, state->sums, size);
    finish_row(spectrum, bins, (double)state->records, peak);
    memset(state, 0, sizeof *state + size);
    return true;
}

/* Of an average, the last record carries the result; the others were filtered. */
static int process_rows(struct spectrum *spectrum, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct weir_batch *made = weir_batch_derive(env->pool, in, spectrum->out);
    double *bins = made ? weir_batch_add_column(made, spectrum->spectrum_column) : NULL;
    double *peaks = bins ? weir_batch_add_column(made, spectrum->peak_column) : NULL;
    uint32_t count = 0;
    if (!peaks) {
        weir_batch_release(made);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < in->count; i++) {
        uint32_t row = weir_batch_row(in, i);
        struct state *state = spectrum->average > 1 ? spectrum->states[i] : NULL;
        if (process_row(spectrum, in, row, state, bins + (size_t)row * spectrum->bins, &peaks[row]))
            spectrum->rows[count++] = row;
    }
    if (count < in->count) {
        struct weir_batch *kept = weir_filter(env, made, spectrum->rows, count);
        weir_batch_release(made);
        made = kept;
        if (!made)
            return -ENOMEM;
    }
    if (count > 0)
        weir_out_emit(out, made);
    else
        weir_batch_release(made);
    return 0;
}

static int spectrum_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct spectrum *spectrum = self;
    uint32_t records = in->count;
    int error = numeric_reserve(&spectrum->rows, &spectrum->rows_capacity, in->count, sizeof *spectrum->rows);
    if (error == 0)
        error = numeric_reserve(&spectrum->states, &spectrum->states_capacity, in->count, sizeof(void *));
    if (error == 0 && spectrum->average > 1)
        error = weir_key_states(env, &in, spectrum->states);
    if (error == 0 && in->count > 0)
        error = process_rows(spectrum, env, in, out);
    return error == -ENOMEM ? no_memory(env, records) : error;
}

#define FIELD(member) .offset = offsetof(struct spectrum, member)

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option spectrum_options[] = {
    {.name = "field", .type = WEIR_OPTION_COLUMN, FIELD(field), .flags = WEIR_OPTION_MAIN,
     .help = "the column of arrays; without it the only one"},
    {.name = "as", .type = WEIR_OPTION_COLUMN, FIELD(as),
     .help = "name of the column of spectra; without it FIELD_spectrum"},
    {.name = "length", .type = WEIR_OPTION_INTEGER, FIELD(length), .fallback = "0", .least = 0, .most = FFT_LENGTH_MAX,
     .help = "samples of one transform; real ones make length/2 + 1 bins, complex ones length bins, 0 Hz in the "
             "middle; 0: all samples of the array"},
    {.name = "window", .type = WEIR_OPTION_CHOICE, FIELD(window), .fallback = "hann", .choices = fft_window_names,
     .help = "what samples are weighted with, against leakage into other bins"},
    {.name = "overlap", .type = WEIR_OPTION_NUMBER, FIELD(overlap), .fallback = "0", .least = 0, .most = 0.99,
     .help = "share of its samples that a transform has in common with the one before it"},
    {.name = "average", .type = WEIR_OPTION_INTEGER, FIELD(average), .fallback = "1", .least = 1, .most = 1e9,
     .help = "records of a key that make one spectrum; the transforms of one record always do"},
    {.name = "sample_rate", .type = WEIR_OPTION_NUMBER, FIELD(sample_rate), .least = 0, .most = 1e15,
     .help = "samples per second: then FIELD_peak is in Hz, else a share of it"},
    {.name = "decibels", .type = WEIR_OPTION_BOOL, FIELD(decibels), .help = "10 log10 of the power"},
    {.name = "reference", .type = WEIR_OPTION_NUMBER, FIELD(reference), .fallback = "1", .least = 1e-300, .most = 1e300,
     .help = "the power that counts as 1, or 0 dB"},
    {.name = "precision", .type = WEIR_OPTION_CHOICE, FIELD(precision), .fallback = "double",
     .choices = precision_names, .help = "of the transform; single is about twice as fast"},
    {.name = "iq", .type = WEIR_OPTION_BOOL, FIELD(iq),
     .help = "samples are pairs of numbers, real and imaginary, though their type does not say so"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_spectrum = {
    .part = {
        .kind = WEIR_STAGE,
        .name = "spectrum",
        .summary = "windowed power spectra of the samples in an array, averaged (FFTW)",
        .example = "sources:\n"
                   "  digitiser: {type: adc, sample_rate: 1e6, samples: 4096, tones: [125e3], count: 20}\n"
                   "stages:\n"
                   "  - spectrum: {field: samples, length: 256, window: hann, sample_rate: 1e6, decibels: true}\n"
                   "  - select: [timestamp, samples_peak, samples_spectrum]\n",
        .options = spectrum_options,
        .size = sizeof(struct spectrum),
        .close = spectrum_close,
    },
    .key = spectrum_key,
    .bind = spectrum_bind,
    .process = spectrum_process,
};
