/* SPDX-License-Identifier: MIT */
/*
 * A simulated fleet of sensors. Record n is of sensor n mod keys, and everything in it follows from the seed and n, so
 * a run can be repeated bit for bit however its records are cut into batches; only the default of `start`, the wall
 * clock, has to be given for that.
 *
 *   value = mean + amplitude × waveform(time ÷ period + sensor ÷ keys) + noise × gaussian + drift × seconds since start
 *
 * With a rate, or bursts, record n is due at a time that is known from the start. It is produced at that time, however
 * late we are, so that latency and lag show what a real fleet would see.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/units.h"
#include "data/symbols.h"
#include "data/time_text.h"
#include "parts/parts.h"

enum {
    QUANTILES = 1024,    /* pieces of the table that turns uniform numbers into gaussian ones */
    STUCK_READINGS = 20, /* a stuck sensor repeats its value for this many readings */
    NAME_MAX_BYTES = 256,
};
#define PACE_LEAST (50 * CLOCK_MICROSECOND) /* shortest sleep worth its switch */
#define MEMORY_PATIENCE (10 * CLOCK_SECOND)

enum waveform { SINE, SQUARE, SAWTOOTH, CONSTANT, RANDOM_WALK };
static const char *const waveform_names[] = {"sine", "square", "sawtooth", "constant", "random walk", NULL};
enum fault { FAULT_NULL, FAULT_SPIKE, FAULT_STUCK };
static const char *const fault_names[] = {"null", "spike", "stuck", NULL};

enum column { TIME, SENSOR, VALUE, SEQUENCE, COLUMNS };

struct source_generate {
    int64_t keys;
    const char *key_format;
    double rate;
    int64_t burst, every;
    struct weir_list takes; /* one duration or two */
    int64_t count;
    int64_t step;
    int waveform;
    double mean, amplitude, noise, drift;
    int64_t period;
    double fault_rate;
    int fault;
    int64_t seed;
    const char *start;

    struct weir_env *env;
    struct weir_schema *schema;
    uint32_t *ids;     /* symbol of each sensor */
    double *walks;     /* random walk: where each sensor is */
    double *held;      /* stuck: the value that each sensor repeats */
    double *quantiles; /* of the normal distribution, QUANTILES + 1 */
    double between_ns; /* event time between records */
    int64_t start_ns;  /* event time of record 0 */
    bool start_given;
    int64_t takes_least, takes_most;
    uint64_t noise_seed, fault_seed, takes_seed;
    uint64_t next;        /* number of the next record */
    uint32_t next_sensor; /* next mod keys */
    int64_t origin_ns;    /* when record 0 was due */
};

/* ---- Random numbers -------------------------------------------------------------------------------------------- */

static uint64_t random_bits(uint64_t seed, uint64_t number)
{
    return hash_u64(seed + number * 0x9e3779b97f4a7c15ULL);
}

/* The z below which a normal number lies with probability p < 0.5: Newton's method on erfc, from the tail's shape. */
static double lower_quantile(double p)
{
    double z = -sqrt(-2 * log(p));
    for (int i = 0; i < 40; i++) {
        double density = exp(-0.5 * z * z) / sqrt(2 * M_PI);
        double step = (0.5 * erfc(-z / M_SQRT2) - p) / density;
        z -= step;
        if (fabs(step) < 1e-14 * fabs(z))
            break;
    }
    return z;
}

static void fill_quantiles(double *quantiles)
{
    quantiles[QUANTILES / 2] = 0;
    for (int i = 1; i < QUANTILES / 2; i++) {
        quantiles[i] = lower_quantile((double)i / QUANTILES);
        quantiles[QUANTILES - i] = -quantiles[i];
    }
    /* The ends are infinite; gaussian() does not use them. */
    quantiles[0] = quantiles[1];
    quantiles[QUANTILES] = quantiles[QUANTILES - 1];
}

/* The upper ten bits choose a piece of the table, the rest a place in it; the two outermost pieces, the tails
 * beyond 3.1, are computed. */
static inline double gaussian(const double *quantiles, uint64_t bits)
{
    uint32_t piece = (uint32_t)(bits >> 54);
    double inside = (double)(int64_t)(bits & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
    if (__builtin_expect(piece == 0 || piece == QUANTILES - 1, 0)) {
        double z = lower_quantile((inside + 0x1p-54) / QUANTILES);
        return piece == 0 ? z : -z;
    }
    return quantiles[piece] + inside * (quantiles[piece + 1] - quantiles[piece]);
}

/* ---- Waveforms ------------------------------------------------------------------------------------------------- */

/* sin(2πx), off by less than 1e-9: the Taylor series on a quarter of a turn. */
static inline double sine_of_turns(double x)
{
    x -= rint(x);
    double y = fabs(x);
    y = (y > 0.25 ? 0.5 - y : y) * (2 * M_PI);
    double z = y * y;
    double sum = 1.0 / 6227020800;
    sum = sum * z - 1.0 / 39916800;
    sum = sum * z + 1.0 / 362880;
    sum = sum * z - 1.0 / 5040;
    sum = sum * z + 1.0 / 120;
    sum = sum * z - 1.0 / 6;
    sum = sum * z + 1;
    return copysign(y * sum, x);
}

/* The value before noise of every record of a batch; sensors are shifted against each other. */
static void fill_wave(struct source_generate *self, uint32_t rows, double *values)
{
    double turns_each = self->between_ns / (double)self->period, shift_each = 1.0 / (double)self->keys;
    double mean = self->mean, amplitude = self->amplitude;
    uint64_t first = self->next;
    uint32_t sensor = self->next_sensor, keys = (uint32_t)self->keys;
    if (self->waveform == CONSTANT || self->waveform == RANDOM_WALK) {
        for (uint32_t i = 0; i < rows; i++)
            values[i] = mean;
        return;
    }
    for (uint32_t i = 0; i < rows; i++) {
        values[i] = (double)(int64_t)(first + i) * turns_each + sensor * shift_each;
        sensor = sensor + 1 == keys ? 0 : sensor + 1;
    }
    if (self->waveform == SINE) {
        for (uint32_t i = 0; i < rows; i++)
            values[i] = mean + amplitude * sine_of_turns(values[i]);
    } else if (self->waveform == SQUARE) {
        for (uint32_t i = 0; i < rows; i++)
            values[i] = mean + (values[i] - floor(values[i]) < 0.5 ? amplitude : -amplitude);
    } else {
        for (uint32_t i = 0; i < rows; i++)
            values[i] = mean + amplitude * (2 * (values[i] - floor(values[i])) - 1);
    }
}

/* Adds what makes readings differ. A random walk's steps are its noise. */
static void add_noise(struct source_generate *self, uint32_t rows, double *values)
{
    const double *quantiles = self->quantiles;
    uint64_t seed = self->noise_seed, first = self->next;
    double noise = self->noise;
    if (noise > 0 && self->waveform != RANDOM_WALK) {
        for (uint32_t i = 0; i < rows; i++)
            values[i] += noise * gaussian(quantiles, random_bits(seed, first + i));
    }
    if (self->waveform == RANDOM_WALK) {
        uint32_t sensor = self->next_sensor, keys = (uint32_t)self->keys;
        for (uint32_t i = 0; i < rows; i++) {
            self->walks[sensor] += noise * gaussian(quantiles, random_bits(seed, first + i));
            values[i] += self->walks[sensor];
            sensor = sensor + 1 == keys ? 0 : sensor + 1;
        }
    }
    double drift = self->drift * self->between_ns * 1e-9;
    for (uint32_t i = 0; drift != 0 && i < rows; i++)
        values[i] += drift * (double)(int64_t)(first + i);
}

static bool happens(const struct source_generate *self, uint64_t number)
{
    return (double)(random_bits(self->fault_seed, number) >> 11) * 0x1p-53 < self->fault_rate;
}

/* Spoils readings. A sensor sticks for STUCK_READINGS in a row, of which the first is still right. */
static void add_faults(struct source_generate *self, uint32_t rows, double *values)
{
    uint64_t keys = (uint64_t)self->keys;
    double spike = 10 * (fabs(self->amplitude) + self->noise) + 1;
    for (uint32_t i = 0; i < rows; i++) {
        uint64_t number = self->next + i;
        if (self->fault == FAULT_STUCK) {
            uint64_t sensor = number % keys, reading = number / keys;
            uint64_t episode = reading / STUCK_READINGS;
            if (reading % STUCK_READINGS == 0 || !happens(self, episode * keys + sensor))
                self->held[sensor] = values[i];
            values[i] = self->held[sensor];
        } else if (happens(self, number)) {
            bool down = random_bits(self->fault_seed, ~number) & 1;
            values[i] = self->fault == FAULT_NULL ? NAN : values[i] + (down ? -spike : spike);
        }
    }
}

/* ---- Batches --------------------------------------------------------------------------------------------------- */

static int64_t since_start(const struct source_generate *self, uint64_t number)
{
    return (int64_t)((double)(int64_t)number * self->between_ns);
}

/* When record `number` is due, on weir_now's clock; with a rate or bursts. */
static int64_t due_time(const struct source_generate *self, uint64_t number)
{
    if (self->burst > 0)
        return self->origin_ns + (int64_t)(number / (uint64_t)self->burst) * self->every;
    return self->origin_ns + since_start(self, number);
}

/* The next `rows` records. NULL when there is no memory. */
static struct weir_batch *build(struct source_generate *self, uint32_t rows, int64_t now)
{
    struct weir_batch *batch = weir_batch_new(self->env->pool, self->schema, rows);
    if (!batch)
        return NULL;
    uint64_t first = self->next;
    batch->position = first;
    batch->produced = self->burst > 0 || self->rate > 0 ? due_time(self, first) : now;
    if (self->rate > 0 && rows > 1) {
        int64_t *produced = weir_batch_allocate(batch, rows * sizeof(*produced));
        if (!produced) {
            weir_batch_release(batch);
            return NULL;
        }
        for (uint32_t i = 0; i < rows; i++)
            produced[i] = self->origin_ns + since_start(self, first + i);
        batch->produced_rows = produced;
    }

    int64_t *times = weir_batch_column_data(batch, TIME), *numbers = weir_batch_column_data(batch, SEQUENCE);
    uint32_t *sensors = weir_batch_column_data(batch, SENSOR);
    double *values = weir_batch_column_data(batch, VALUE);
    uint32_t sensor = self->next_sensor, keys = (uint32_t)self->keys;
    for (uint32_t i = 0; i < rows; i++) {
        times[i] = self->start_ns + since_start(self, first + i);
        numbers[i] = (int64_t)(first + i);
        sensors[i] = self->ids[sensor];
        sensor = sensor + 1 == keys ? 0 : sensor + 1;
    }
    fill_wave(self, rows, values);
    add_noise(self, rows, values);
    if (self->fault_rate > 0)
        add_faults(self, rows, values);
    self->next += rows;
    self->next_sensor = sensor;
    return batch;
}

static int emit(struct source_generate *self, struct weir_context *context, struct weir_emitter *out, uint32_t rows,
                int64_t now)
{
    struct weir_batch *batch;
    int64_t until = now + MEMORY_PATIENCE;
    while (!(batch = build(self, rows, now))) {
        if (weir_now(context) > until)
            return weir_fail(self->env->error, -ENOMEM, "no memory for a batch of %u records in 10 s; raise `memory`",
                             rows);
        int error = weir_sleep(context, CLOCK_MILLISECOND);
        if (error < 0)
            return error;
    }
    return weir_emit_batch(context, out, batch);
}

/* How many records from `next` on are due at `now`, `most` at most; of one burst only. */
static uint32_t due_rows(const struct source_generate *self, int64_t now, uint32_t most)
{
    if (due_time(self, self->next) > now)
        return 0;
    uint64_t due;
    if (self->burst > 0)
        due = (uint64_t)self->burst - self->next % (uint64_t)self->burst;
    else
        due = (uint64_t)((double)(now - self->origin_ns) / self->between_ns) + 1 - self->next;
    return due < 1 ? 1 : due < most ? (uint32_t)due : most;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Hands on what is due. While all lanes are busy, records gather until a batch is full or has waited for `linger`. */
static int run_schedule(struct source_generate *self, struct weir_context *context, struct weir_emitter *out)
{
    uint64_t count = (uint64_t)self->count;
    while (count == 0 || self->next < count) {
        int64_t now = weir_now(context), first_due = due_time(self, self->next);
        uint32_t most = weir_emit_rows(out);
        if (count > 0 && count - self->next < most)
            most = (uint32_t)(count - self->next);
        uint32_t rows = due_rows(self, now, most);
        int64_t patience = first_due + weir_emit_linger(out);
        bool gather = rows < most && self->burst == 0 && now < patience && !weir_emit_wanted(out);
        int error;
        if (rows == 0 || gather) {
            error = weir_sleep_until(context, later(rows == 0 ? first_due : 0, now + PACE_LEAST));
        } else {
            int64_t middle = due_time(self, self->next + rows / 2);
            error = emit(self, context, out, rows, now);
            weir_emit_late_by(out, later(now - middle, 0), rows);
        }
        if (error < 0)
            return error;
    }
    return 0;
}

static int run_unlimited(struct source_generate *self, struct weir_context *context, struct weir_emitter *out)
{
    uint64_t count = (uint64_t)self->count;
    weir_emit_unhurried(out, true);
    while (count == 0 || self->next < count) {
        uint32_t rows = weir_emit_rows(out);
        if (count > 0 && count - self->next < rows)
            rows = (uint32_t)(count - self->next);
        int error = emit(self, context, out, rows, weir_now(context));
        if (error < 0)
            return error;
        if (weir_stopping(context))
            return 0;
    }
    return 0;
}

/* Drawn evenly, in antithetic pairs: what one record takes longer the next takes shorter. So the mean is met in runs of
 * a few records, too. */
static int64_t time_taken(const struct source_generate *self, uint64_t number)
{
    int64_t range = self->takes_most - self->takes_least;
    int64_t drawn = (int64_t)((double)(random_bits(self->takes_seed, number / 2) >> 11) * 0x1p-53 * (double)range);
    return number % 2 ? self->takes_most - drawn : self->takes_least + drawn;
}

/* Producers that wait, each for its own time: a record is made of nothing but that. */
static int run_taking_time(struct source_generate *self, struct weir_context *context, struct weir_emitter *out)
{
    uint64_t count = (uint64_t)self->count;
    int error = 0;
    while (error == 0 && (count == 0 || self->next < count)) {
        int64_t takes = time_taken(self, self->next);
        error = weir_sleep(context, takes);
        if (error == 0) {
            weir_emit_fetch(out, takes, 1);
            error = emit(self, context, out, 1, weir_now(context));
        }
    }
    return error;
}

static int source_run(void *state, struct weir_context *context, struct weir_emitter *out)
{
    struct source_generate *self = state;
    if (!self->start_given)
        self->start_ns = weir_wall_time(context);
    self->origin_ns = weir_now(context);
    bool takes_time = self->takes.count > 0, scheduled = !takes_time && (self->burst > 0 || self->rate > 0);
    if (scheduled)
        weir_emit_offered(out, 1e9 / self->between_ns);
    int error = weir_emit_schema(context, out, self->schema);
    if (error == 0)
        error = scheduled    ? run_schedule(self, context, out)
                : takes_time ? run_taking_time(self, context, out)
                             : run_unlimited(self, context, out);
    return error == -ECANCELED ? 0 : error;
}

/* ---- Opening --------------------------------------------------------------------------------------------------- */

static int name_sensors(struct source_generate *self, struct weir_env *env)
{
    const char *place = strstr(self->key_format, "{}");
    if ((!place && self->keys > 1) || strlen(self->key_format) > NAME_MAX_BYTES - 32)
        return weir_fail(env->error, -EINVAL,
                         "`key_format` \"%.60s\" must have {} for the sensor's number, and fewer than %d characters",
                         self->key_format, NAME_MAX_BYTES - 32);
    for (int64_t i = 0; i < self->keys; i++) {
        char name[NAME_MAX_BYTES];
        int before = place ? (int)(place - self->key_format) : (int)strlen(self->key_format);
        int length = snprintf(name, sizeof(name), "%.*s", before, self->key_format);
        if (place)
            length += snprintf(name + before, sizeof(name) - (size_t)before, "%lld%s", (long long)i, place + 2);
        self->ids[i] = symbols_intern(env->symbols, name, (size_t)length);
        if (self->ids[i] == SYMBOLS_FULL)
            return weir_fail(env->error, -ENOSPC,
                             "no room for the names of %lld sensors; raise `memory` or lower `keys`",
                             (long long)self->keys);
    }
    return 0;
}

static int read_takes(struct source_generate *self, struct weir_env *env)
{
    int64_t *const values[] = {&self->takes_least, &self->takes_most};
    for (size_t i = 0; i < self->takes.count && i < 2; i++) {
        struct weir_quoted value = self->takes.items[i].value;
        if (units_duration(value.text, values[i]) < 0)
            return weir_fail_at(env->error, -EINVAL, value.mark, "`takes`: \"%.40s\" is not a duration, such as 500ms",
                                value.text);
    }
    if (self->takes.count == 1)
        self->takes_most = self->takes_least;
    if (self->takes.count > 2 || self->takes_most < self->takes_least)
        return weir_fail_at(env->error, -EINVAL, self->takes.items[0].value.mark,
                            "`takes` is one duration, or the least and the most: [500ms, 1500ms]");
    if (self->burst > 0)
        return weir_fail(env->error, -EINVAL, "`takes` and `burst` exclude each other");
    self->rate = 0;
    return 0;
}

static int read_options(struct source_generate *self, struct weir_env *env)
{
    if ((self->burst > 0) != (self->every > 0))
        return weir_fail(env->error, -EINVAL, "`burst` and `every` belong together: burst: 50000, every: 10s");
    /* An option's fallback cannot say "unless there are bursts": with bursts the rate is theirs. */
    if (self->burst > 0)
        self->rate = 0;
    if (self->takes.count > 0 && read_takes(self, env) < 0)
        return -EINVAL;
    if (self->burst > 0)
        self->between_ns = (double)self->every / (double)self->burst;
    else if (self->rate > 0)
        self->between_ns = 1e9 / self->rate;
    else
        self->between_ns = (double)self->step / (double)self->keys;

    if (self->start && *self->start) {
        if (time_parse(self->start, strlen(self->start), TIME_AUTO, NULL, &self->start_ns) < 0)
            return weir_fail(env->error, -EINVAL, "`start` \"%.60s\" is not a time; write it as 2024-11-21T03:20:00Z",
                             self->start);
        self->start_given = true;
    }
    self->noise_seed = hash_u64((self->seed ? (uint64_t)self->seed : env->seed) + 1);
    self->fault_seed = hash_u64(self->noise_seed + 1);
    self->takes_seed = hash_u64(self->fault_seed + hash_bytes(env->name, strlen(env->name)));
    return 0;
}

static struct weir_schema *source_schema(const void *state)
{
    static const struct weir_field fields[COLUMNS] = {
        [TIME] = {.name = "ts", .type = WEIR_TIME},
        [SENSOR] = {.name = "sensor", .type = WEIR_SYMBOL},
        [VALUE] = {.name = "value", .type = WEIR_F64},
        [SEQUENCE] = {.name = "seq", .type = WEIR_I64},
    };
    (void)state;
    return weir_schema_new(fields, COLUMNS, TIME, SENSOR);
}

static int source_open(void *state, struct weir_env *env)
{
    struct source_generate *self = state;
    self->env = env;
    int error = read_options(self, env);
    if (error < 0)
        return error;
    self->schema = source_schema(self);
    self->ids = memory_zeroed((size_t)self->keys, sizeof(*self->ids));
    self->quantiles = memory_zeroed(QUANTILES + 1, sizeof(*self->quantiles));
    if (self->waveform == RANDOM_WALK)
        self->walks = memory_zeroed((size_t)self->keys, sizeof(*self->walks));
    if (self->fault == FAULT_STUCK)
        self->held = memory_zeroed((size_t)self->keys, sizeof(*self->held));
    if (!self->schema || !self->ids || !self->quantiles || (self->waveform == RANDOM_WALK && !self->walks) ||
        (self->fault == FAULT_STUCK && !self->held))
        return weir_fail(env->error, -ENOMEM, "no memory for %lld sensors; lower `keys`", (long long)self->keys);
    fill_quantiles(self->quantiles);
    return name_sensors(self, env);
}

static void source_close(void *state, struct weir_env *env)
{
    struct source_generate *self = state;
    (void)env;
    weir_schema_release(self->schema);
    memory_free(self->ids);
    memory_free(self->walks);
    memory_free(self->held);
    memory_free(self->quantiles);
}

static enum weir_extent source_extent(const void *state, const char **ret_remedy)
{
    *ret_remedy = "give it a `count`";
    return ((const struct source_generate *)state)->count ? WEIR_FINITE : WEIR_ENDLESS;
}

#define FIELD(member) .offset = offsetof(struct source_generate, member)

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option options[] = {
    {.name = "keys", .type = WEIR_OPTION_INTEGER, FIELD(keys), .fallback = "10", .least = 1, .most = 1e8,
     .flags = WEIR_OPTION_MAIN, .help = "how many sensors there are; they take turns"},
    {.name = "key_format", .type = WEIR_OPTION_STRING, FIELD(key_format), .fallback = "s{}",
     .help = "the sensors' names; {} is the number, from 0"},
    {.name = "rate", .type = WEIR_OPTION_RATE, FIELD(rate), .fallback = "1000/s",
     .help = "records per second of all sensors together; unlimited: as fast as they are taken"},
    {.name = "burst", .type = WEIR_OPTION_INTEGER, FIELD(burst), .least = 0, .most = 1e12,
     .help = "instead of a rate: this many records arrive at once, one burst `every` so often"},
    {.name = "every", .type = WEIR_OPTION_DURATION, FIELD(every), .least = 0, .most = 1e18,
     .help = "time between bursts"},
    {.name = "takes", .type = WEIR_OPTION_STRINGS, FIELD(takes),
     .help = "instead of a rate: how long it takes to produce a record, or the least and the most, drawn evenly in "
             "pairs around the mean (what one takes longer, the next takes shorter): [500ms, 1500ms]"},
    {.name = "count", .type = WEIR_OPTION_INTEGER, FIELD(count), .fallback = "0", .least = 0, .most = 1e15,
     .help = "records in all; 0: no end"},
    {.name = "step", .type = WEIR_OPTION_DURATION, FIELD(step), .fallback = "1s", .least = 1, .most = 1e18,
     .help = "at rate unlimited: event time between two readings of one sensor"},
    {.name = "waveform", .type = WEIR_OPTION_CHOICE, FIELD(waveform), .fallback = "sine", .choices = waveform_names,
     .help = "what the readings look like; a random walk's steps are its noise"},
    {.name = "mean", .type = WEIR_OPTION_NUMBER, FIELD(mean), .fallback = "20", .help = "the middle of the wave"},
    {.name = "amplitude", .type = WEIR_OPTION_NUMBER, FIELD(amplitude), .fallback = "5",
     .help = "how far the wave goes from its middle"},
    {.name = "period", .type = WEIR_OPTION_DURATION, FIELD(period), .fallback = "60s", .least = 1, .most = 1e18,
     .help = "event time of one wave"},
    {.name = "noise", .type = WEIR_OPTION_NUMBER, FIELD(noise), .fallback = "0.5", .least = 0, .most = 1e300,
     .help = "standard deviation of what is added to each reading"},
    {.name = "drift", .type = WEIR_OPTION_NUMBER, FIELD(drift), .fallback = "0",
     .help = "what readings gain per second of event time"},
    {.name = "fault_rate", .type = WEIR_OPTION_NUMBER, FIELD(fault_rate), .fallback = "0", .least = 0, .most = 1,
     .help = "share of readings that are faulty"},
    {.name = "fault", .type = WEIR_OPTION_CHOICE, FIELD(fault), .fallback = "spike", .choices = fault_names,
     .help = "what is wrong with a faulty reading; a sensor is stuck for 20 readings in a row"},
    {.name = "seed", .type = WEIR_OPTION_INTEGER, FIELD(seed), .fallback = "0",
     .help = "the same seed gives the same readings; 0: the seed of the run"},
    {.name = "start", .type = WEIR_OPTION_STRING, FIELD(start),
     .help = "event time of the first reading, such as 2024-11-21T03:20:00Z; without it now"},
    {.type = WEIR_OPTION_END},
};

const struct weir_source source_generate = {
    .part = {
        .kind = WEIR_SOURCE,
        .name = "generate",
        .summary = "readings of a simulated fleet of sensors",
        .example = "sources:\n"
                   "  fleet: {type: generate, keys: 100, rate: 5000/s, noise: 0.5, fault_rate: 0.001}\n"
                   "sinks:\n"
                   "  screen: {type: stdout}\n"
                   "run: {duration: 5s}\n",
        .options = options,
        .size = sizeof(struct source_generate),
        .open = source_open,
        .close = source_close,
    },
    .run = source_run,
    .extent = source_extent,
    .schema = source_schema,
};
