/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <weir/part.h>
#include <weir/task.h>

struct line {
    const char *host;
    int64_t port, count, every; /* the options */
    struct weir_schema *schema;
    struct weir_emitter *out;
};

static int watch(struct weir_context *context, void *argument)
{
    struct line *self = argument;
    int64_t port = self->port++; /* no lock: tasks of a loop run in turns */
    int error = 0;
    for (int64_t due = weir_now(context); !error && !(error = weir_sleep_until(context, due)); due += self->every) {
        struct weir_stream *stream = NULL;
        char text[64] = "";
        int64_t got = weir_stream_connect(context, self->host, (uint16_t)port, NULL, due + self->every, &stream);
        got = got < 0 ? got : weir_stream_read(context, stream, text, sizeof text - 1, due + self->every);
        weir_stream_close(stream, false);
        double value = got > 0 ? strtod(text, NULL) : NAN; /* null: it did not answer in time */
        const union weir_value record[] = {{.i64 = weir_wall_time(context)}, {.i64 = port}, {.f64 = value}};
        error = weir_emit_record(context, self->out, self->schema, record); /* waits while the pipeline is full */
    }
    return error; /* -ECANCELED: the pipeline stops */
}

static int line_run(void *state, struct weir_context *context, struct weir_emitter *out)
{
    const struct weir_field fields[] = {{"ts", WEIR_TIME, 0, 0}, {"port", WEIR_I64, 0, 0}, {"value", WEIR_F64, 0, 0}};
    struct line *self = state;
    struct weir_scope sensors;
    self->out = out;
    self->schema = weir_schema_new(fields, 3, /* time: */ 0, /* key: */ 1);
    int error = self->schema ? 0 : -ENOMEM;
    weir_scope_open(context, &sensors);
    for (int64_t i = 0; error == 0 && i < self->count; i++)
        error = weir_scope_spawn(&sensors, "sensor", watch, self);
    error = error < 0 ? error : weir_scope_join(&sensors);
    weir_scope_close(&sensors);
    weir_schema_release(self->schema);
    return error == -ECANCELED ? 0 : error;
}

static const struct weir_option options[] = {
    {"host", WEIR_OPTION_STRING, offsetof(struct line, host), "127.0.0.1", 0, 0, NULL, 0, "where they are"},
    {"port", WEIR_OPTION_INTEGER, offsetof(struct line, port), NULL, 1, 65535, NULL, WEIR_OPTION_REQUIRED, "the first"},
    {"count", WEIR_OPTION_INTEGER, offsetof(struct line, count), "1", 1, 65535, NULL, 0, "how many there are"},
    {"every", WEIR_OPTION_DURATION, offsetof(struct line, every), "1s", 1e6, 1e15, NULL, 0, "time between readings"},
    {.type = WEIR_OPTION_END}};
const struct weir_source source_line = {
    .part = {WEIR_SOURCE, "line", "sensors that say a number", NULL, options, sizeof(struct line), NULL, NULL, NULL},
    .run = line_run,
    .tasks = true};
