/* SPDX-License-Identifier: MIT */
/*
 * A simulated digitiser: each record is an array of successive samples of one antenna, tones in noise, rounded to
 * integers. Sample n of an antenna follows from the seed and n, whatever the lengths of records and batches.
 *
 *   x(n) = Σ amplitude × cos(2π frequency n / sample_rate) + noise × gaussian(n), clipped to what the type holds
 *
 * With `iq` samples are complex: the cosine's partner, the sine, is the imaginary part; noise has parts of its own.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "data/symbols.h"
#include "data/time_text.h"
#include "parts/parts.h"

enum {
    TONES_MOST = 64,
    ANTENNAS_MOST = 4096,
    BATCH_BYTES = 1 << 20, /* of samples; a record may be larger */
    PIECE = 1024,          /* samples that are added up before they are rounded */
};
#define MEMORY_PATIENCE (10 * CLOCK_SECOND)

enum { INT8, INT16 };
static const char *const type_names[] = {"int8", "int16", NULL};
enum column { TIME, ANTENNA, TIMESTAMP, SAMPLES, COLUMNS };

struct source_adc {
    double sample_rate;
    int64_t samples, antennas, count;
    struct weir_numbers tones, amplitudes;
    double noise, speed;
    int type;
    bool iq;
    int64_t seed;
    const char *start;

    struct weir_env *env;
    struct weir_schema *schema;
    uint32_t *ids; /* symbol of each antenna */
    uint64_t noise_seed;
    int64_t start_ns; /* event time of sample 0 */
    bool start_given;
    int64_t origin_ns; /* when sample 0 was taken */
    uint64_t next;     /* number of the next record, of all antennas */
    _Atomic uint64_t clipped;
};

/* ---- Samples ----------------------------------------------------------------------------------------------------- */

/* Nearly gaussian, variance 1: the sum of four uniform numbers of 16 bits. */
static inline double gaussian(uint64_t bits)
{
    int64_t sum = (int64_t)(bits & 0xffff) + (int64_t)(bits >> 16 & 0xffff) + (int64_t)(bits >> 32 & 0xffff) +
                  (int64_t)(bits >> 48);
    return (double)(sum - 131070) * (1 / 65536.0 * 1.7320508075688772);
}

/* Adds a tone to `count` samples from number `first` on. The phase at the beginning is exact, then it turns step by
 * step. */
static void add_tone(const struct source_adc *self, double frequency, double amplitude, uint64_t first, uint32_t count,
                     double *re, double *im)
{
    long double turns = (long double)first * ((long double)frequency / (long double)self->sample_rate);
    double phase = 2 * M_PI * (double)(turns - floorl(turns)), step = 2 * M_PI * frequency / self->sample_rate;
    double x = amplitude * cos(phase), y = amplitude * sin(phase), c = cos(step), s = sin(step);
    for (uint32_t i = 0; i < count; i++) {
        double turned = x * c - y * s;
        re[i] += x;
        im[i] += y;
        y = x * s + y * c;
        x = turned;
    }
}

static void add_noise(const struct source_adc *self, uint64_t seed, uint64_t first, uint32_t count, double *values)
{
    for (uint32_t i = 0; self->noise > 0 && i < count; i++)
        values[i] += self->noise * gaussian(hash_u64(seed + (first + i) * 0x9e3779b97f4a7c15ULL));
}

/* Rounds to every `stride`th number of the array; returns how many had to be clipped. */
static uint64_t round_off(const struct source_adc *self, const double *values, uint32_t count, uint32_t stride,
                          void *into)
{
    double most = self->type == INT8 ? INT8_MAX : INT16_MAX, least = -most - 1;
    uint64_t clipped = 0;
    for (uint32_t i = 0; i < count; i++) {
        double value = rint(values[i]);
        clipped += value > most || value < least;
        value = value > most ? most : value < least ? least : value;
        if (self->type == INT8)
            ((int8_t *)into)[(size_t)i * stride] = (int8_t)value;
        else
            ((int16_t *)into)[(size_t)i * stride] = (int16_t)value;
    }
    return clipped;
}

/* The samples of a record, from number `first` of its antenna on. */
static void fill_samples(struct source_adc *self, uint32_t antenna, uint64_t first, void *into)
{
    uint64_t seed = hash_u64(self->noise_seed + antenna), clipped = 0;
    uint32_t stride = self->iq ? 2 : 1;
    size_t size = self->type == INT8 ? 1 : 2;
    for (uint64_t at = 0, count; at < (uint64_t)self->samples; at += count) {
        double re[PIECE] = {0}, im[PIECE] = {0};
        count = (uint64_t)self->samples - at < PIECE ? (uint64_t)self->samples - at : PIECE;
        for (size_t t = 0; t < self->tones.count; t++) {
            double amplitude = self->amplitudes.values[self->amplitudes.count > 1 ? t : 0];
            add_tone(self, self->tones.values[t], amplitude, first + at, (uint32_t)count, re, im);
        }
        add_noise(self, seed, first + at, (uint32_t)count, re);
        char *place = (char *)into + at * stride * size;
        clipped += round_off(self, re, (uint32_t)count, stride, place);
        if (self->iq) {
            add_noise(self, seed + 1, first + at, (uint32_t)count, im);
            clipped += round_off(self, im, (uint32_t)count, stride, place + size);
        }
    }
    if (clipped)
        atomic_fetch_add_explicit(&self->clipped, clipped, memory_order_relaxed);
}

/* ---- Records ----------------------------------------------------------------------------------------------------- */

/* Time between sample 0 and a sample, ns. */
static int64_t since_start(const struct source_adc *self, uint64_t sample)
{
    return (int64_t)((long double)sample * 1e9L / (long double)self->sample_rate);
}

/* When a record is complete: its last sample was taken. */
static int64_t due_time(const struct source_adc *self, uint64_t record)
{
    uint64_t samples = (record / (uint64_t)self->antennas + 1) * (uint64_t)self->samples;
    return self->origin_ns + (int64_t)((double)since_start(self, samples) / self->speed);
}

static struct weir_batch *build(struct source_adc *self, uint32_t rows, int64_t now)
{
    struct weir_batch *batch = weir_batch_new(self->env->pool, self->schema, rows);
    int64_t *produced = batch && self->speed > 0 ? weir_batch_allocate(batch, rows * sizeof *produced) : NULL;
    if (!batch || (self->speed > 0 && !produced)) {
        weir_batch_release(batch);
        return NULL;
    }
    int64_t *times = weir_batch_column_data(batch, TIME), *stamps = weir_batch_column_data(batch, TIMESTAMP);
    uint32_t *antennas = weir_batch_column_data(batch, ANTENNA);
    char *samples = weir_batch_column_data(batch, SAMPLES);
    size_t width = weir_field_width(&self->schema->fields[SAMPLES]);
    for (uint32_t i = 0; i < rows; i++) {
        uint64_t record = self->next + i;
        uint32_t antenna = (uint32_t)(record % (uint64_t)self->antennas);
        uint64_t first = record / (uint64_t)self->antennas * (uint64_t)self->samples;
        times[i] = self->start_ns + since_start(self, first);
        stamps[i] = (int64_t)first;
        antennas[i] = self->ids[antenna];
        fill_samples(self, antenna, first, samples + i * width);
        if (produced)
            produced[i] = due_time(self, record);
    }
    batch->position = self->next;
    batch->produced = now;
    batch->produced_rows = produced;
    self->next += rows;
    return batch;
}

static int emit(struct source_adc *self, struct weir_context *context, struct weir_emitter *out, uint32_t rows)
{
    int64_t until = weir_now(context) + MEMORY_PATIENCE;
    struct weir_batch *batch;
    while (!(batch = build(self, rows, weir_now(context)))) {
        if (weir_now(context) > until)
            return weir_fail(self->env->error, -ENOMEM,
                             "no memory for %u records of %lld samples in 10 s; raise `memory`, or lower `samples`",
                             rows, (long long)self->samples);
        int error = weir_sleep(context, CLOCK_MILLISECOND);
        if (error < 0)
            return error;
    }
    return weir_emit_batch(context, out, batch);
}

/* How many records one batch may have. */
static uint32_t rows_most(const struct source_adc *self, struct weir_emitter *out)
{
    uint64_t rows = BATCH_BYTES / weir_field_width(&self->schema->fields[SAMPLES]);
    uint64_t wanted = weir_emit_rows(out);
    rows = rows < 1 ? 1 : rows < wanted ? rows : wanted;
    uint64_t left = self->count > 0 ? (uint64_t)(self->count * self->antennas) - self->next : rows;
    return (uint32_t)(left < rows ? left : rows);
}

/* How many of them were complete by now. */
static uint32_t rows_due(const struct source_adc *self, int64_t now, uint32_t most)
{
    uint32_t rows = 0;
    while (rows < most && due_time(self, self->next + rows) <= now)
        rows++;
    return rows;
}

static int source_run(void *state, struct weir_context *context, struct weir_emitter *out)
{
    struct source_adc *self = state;
    if (!self->start_given)
        self->start_ns = weir_wall_time(context);
    self->origin_ns = weir_now(context);
    if (self->speed > 0)
        weir_emit_offered(out, self->sample_rate * self->speed / (double)self->samples * (double)self->antennas);
    else
        weir_emit_unhurried(out, true);
    int error = weir_emit_schema(context, out, self->schema);
    while (error == 0 && (self->count == 0 || self->next < (uint64_t)(self->count * self->antennas))) {
        uint32_t rows = rows_most(self, out);
        int64_t now = weir_now(context);
        if (self->speed > 0)
            rows = rows_due(self, now, rows);
        if (rows == 0)
            error = weir_sleep_until(context, due_time(self, self->next));
        else
            error = emit(self, context, out, rows);
        if (error == 0 && weir_stopping(context))
            error = -ECANCELED;
    }
    return error == -ECANCELED ? 0 : error;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static struct weir_schema *source_schema(const void *state)
{
    const struct source_adc *self = state;
    uint8_t element = self->type == INT8 ? WEIR_ELEMENT_I8 : WEIR_ELEMENT_I16;
    const struct weir_field fields[COLUMNS] = {
        [TIME] = {.name = "ts", .type = WEIR_TIME},
        [ANTENNA] = {.name = "antenna", .type = WEIR_SYMBOL},
        [TIMESTAMP] = {.name = "timestamp", .type = WEIR_I64},
        [SAMPLES] = {.name = "samples",
                     .type = WEIR_ARRAY,
                     .element = element | (self->iq ? WEIR_ELEMENT_COMPLEX : 0),
                     .elements = (uint32_t)self->samples},
    };
    return weir_schema_new(fields, COLUMNS, TIME, ANTENNA);
}

static int check_options(struct source_adc *self, struct weir_env *env)
{
    if (!(self->sample_rate > 0))
        return weir_fail(env->error, -EINVAL, "`sample_rate` is a number of samples per second above 0");
    if (self->tones.count > TONES_MOST)
        return weir_fail(env->error, -EINVAL, "at most %d `tones`", TONES_MOST);
    if (self->amplitudes.count > 1 && self->amplitudes.count != self->tones.count)
        return weir_fail(env->error, -EINVAL, "`amplitudes` is one number, or one for each of the %zu tones",
                         self->tones.count);
    if (self->start && *self->start) {
        if (time_parse(self->start, strlen(self->start), TIME_AUTO, NULL, &self->start_ns) < 0)
            return weir_fail(env->error, -EINVAL, "`start` \"%.60s\" is not a time; write it as 2024-11-21T03:20:00Z",
                             self->start);
        self->start_given = true;
    }
    return 0;
}

static int source_open(void *state, struct weir_env *env)
{
    struct source_adc *self = state;
    int error = check_options(self, env);
    if (error < 0)
        return error;
    self->env = env;
    self->noise_seed = hash_u64((self->seed ? (uint64_t)self->seed : env->seed) + 77);
    self->schema = source_schema(self);
    self->ids = memory_zeroed((size_t)self->antennas, sizeof *self->ids);
    if (!self->schema || !self->ids)
        return weir_fail(env->error, -ENOMEM, "out of memory");
    for (int64_t i = 0; i < self->antennas; i++) {
        char name[32];
        int length = snprintf(name, sizeof name, "m%03lld", (long long)i);
        self->ids[i] = symbols_intern(env->symbols, name, (size_t)length);
        if (self->ids[i] == SYMBOLS_FULL)
            return weir_fail(env->error, -ENOSPC, "no room for the antennas' names; raise `memory`");
    }
    return 0;
}

static void source_close(void *state, struct weir_env *env)
{
    struct source_adc *self = state;
    (void)env;
    weir_schema_release(self->schema);
    memory_free(self->ids);
}

static void source_report(void *state, struct weir_facts *facts)
{
    struct source_adc *self = state;
    uint64_t clipped = atomic_load_explicit(&self->clipped, memory_order_relaxed);
    weir_fact(facts, "sample_rate", self->sample_rate, "Hz");
    if (clipped)
        weir_fact(facts, "clipped", (double)clipped, "");
}

static enum weir_extent source_extent(const void *state, const char **ret_remedy)
{
    *ret_remedy = "give it a `count`";
    return ((const struct source_adc *)state)->count ? WEIR_FINITE : WEIR_ENDLESS;
}

#define FIELD(member) .offset = offsetof(struct source_adc, member)

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option options[] = {
    {.name = "sample_rate", .type = WEIR_OPTION_NUMBER, FIELD(sample_rate), .fallback = "1e6", .least = 1e-6,
     .most = 1e12, .help = "samples per second of each antenna"},
    {.name = "samples", .type = WEIR_OPTION_INTEGER, FIELD(samples), .fallback = "4096", .least = 1, .most = 1 << 26,
     .help = "in one record"},
    {.name = "tones", .type = WEIR_OPTION_NUMBERS, FIELD(tones), .fallback = "125e3",
     .help = "frequencies, in Hz; [] for noise alone"},
    {.name = "amplitudes", .type = WEIR_OPTION_NUMBERS, FIELD(amplitudes), .fallback = "32",
     .help = "of each tone, or of all, in steps of the digitiser"},
    {.name = "noise", .type = WEIR_OPTION_NUMBER, FIELD(noise), .fallback = "4", .least = 0, .most = 1e6,
     .help = "standard deviation of what is added to each sample, in steps of the digitiser"},
    {.name = "dtype", .type = WEIR_OPTION_CHOICE, FIELD(type), .fallback = "int8", .choices = type_names,
     .help = "of the samples; what does not fit is clipped, and counted"},
    {.name = "iq", .type = WEIR_OPTION_BOOL, FIELD(iq), .help = "complex samples"},
    {.name = "antennas", .type = WEIR_OPTION_INTEGER, FIELD(antennas), .fallback = "1", .least = 1,
     .most = ANTENNAS_MOST, .help = "that take samples at the same time: m000, m001, … They are the key"},
    {.name = "count", .type = WEIR_OPTION_INTEGER, FIELD(count), .fallback = "0", .least = 0, .most = 1e12,
     .help = "records of each antenna; 0: no end"},
    {.name = "speed", .type = WEIR_OPTION_NUMBER, FIELD(speed), .fallback = "1", .least = 0, .most = 1e9,
     .help = "of the clock that samples are taken by; 1: real time, 0: as fast as they are taken off"},
    {.name = "seed", .type = WEIR_OPTION_INTEGER, FIELD(seed), .fallback = "0",
     .help = "the same seed gives the same noise; 0: the seed of the run"},
    {.name = "start", .type = WEIR_OPTION_STRING, FIELD(start),
     .help = "event time of the first sample, such as 2024-11-21T03:20:00Z; without it now"},
    {.type = WEIR_OPTION_END},
};

const struct weir_source source_adc = {
    .part = {
        .kind = WEIR_SOURCE,
        .name = "adc",
        .summary = "a simulated digitiser: arrays of samples, tones in noise",
        .example = "sources:\n"
                   "  digitiser: {type: adc, sample_rate: 1e6, samples: 4096, tones: [125e3, 250e3], count: 50}\n"
                   "stages:\n"
                   "  - power: samples\n"
                   "sinks:\n"
                   "  screen: {type: stdout}\n",
        .options = options,
        .size = sizeof(struct source_adc),
        .open = source_open,
        .close = source_close,
        .report = source_report,
    },
    .run = source_run,
    .extent = source_extent,
    .schema = source_schema,
};
