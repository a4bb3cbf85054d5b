/* SPDX-License-Identifier: MIT */
/* weir init: looks at a data file and writes a first configuration for it, with a comment for every line that was
 * inferred. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/profile.h"
#include "app/sample.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "data/time_text.h"

enum { SAMPLE_BYTES = 8 << 20, NAME_BYTES = 48 };

struct init {
    const char *path;
    char name[NAME_BYTES + 1]; /* of the source: the file's, as far as it can be a name */
    struct sample sample;
    struct codec_read_options options;
    enum codec_format format;
    struct codec_layout *layout;
    size_t skip;
    struct profile profile;
    int32_t key, number; /* columns, or -1 */
    struct weir_buffer out;
};

/* ---- What is in the file --------------------------------------------------------------------------------------- */

static void make_name(struct init *init)
{
    const char *slash = strrchr(init->path, '/'), *base = slash ? slash + 1 : init->path;
    size_t length = strcspn(base, "."), used = 0;
    for (size_t i = 0; i < length && used < NAME_BYTES; i++)
        init->name[used++] = (char)(isalnum((unsigned char)base[i]) ? base[i] : '_');
    if (used == 0 || strcmp(init->path, "-") == 0)
        memcpy(init->name, "input", sizeof "input");
}

static int read_layout(struct init *init, struct weir_error *error)
{
    struct weir_env env = {.name = init->name, .lanes = 1, .error = error};
    uint64_t lines = 0;
    codec_layout_release(init->layout);
    init->layout = NULL;
    int code = codec_layout_new(init->format, &init->options, &env, init->sample.data, init->sample.size,
                                init->sample.whole, NULL, &init->layout, &init->skip, &lines);
    if (code < 0)
        return code;
    size_t size = init->sample.size;
    if (!init->sample.whole) {
        size_t cut = codec_cut(init->format, &init->options, init->sample.data, size);
        size = cut > init->skip ? cut : init->skip;
    }
    profile_free(&init->profile);
    return profile_new(init->layout, init->sample.data + init->skip, size - init->skip, &init->profile, error);
}

static const char *format_word(enum codec_format format)
{
    return format == CODEC_CSV ? "CSV" : format == CODEC_INFLUX ? "InfluxDB lines" : "NDJSON";
}

/* The separator that is in the first line most often, if it is not the comma. */
static void guess_delimiter(struct init *init)
{
    static const char *const candidates[] = {",", ";", "\t", "|"};
    size_t most = 0, length = strcspn(init->sample.data, "\r\n");
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
        size_t count = 0;
        for (size_t j = 0; j < length; j++)
            count += init->sample.data[j] == candidates[i][0];
        if (count > most) {
            most = count;
            init->options.delimiter = candidates[i];
        }
    }
}

static bool key_name(const char *name)
{
    static const char *const words[] = {"sensor", "device",  "machine", "key",     "host",
                                        "tag",    "station", "unit",    "channel", "id"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *at = strcasestr(name, words[i]);
        size_t length = strlen(words[i]);
        if (at && (strlen(name) == length || (at == name && !isalpha((unsigned char)at[length])) ||
                   (at > name && !isalpha((unsigned char)at[-1]) && !at[length])))
            return true;
    }
    return false;
}

/* A column of words that come again and again says which sensor a record is from: by its name, else the first such one.
 */
static int32_t find_key(const struct init *init)
{
    const struct profile *profile = &init->profile;
    int32_t best = -1;
    for (uint32_t i = 0; i < profile->schema->count; i++) {
        const struct profile_column *column = &profile->columns[i];
        enum weir_type type = profile->schema->fields[i].type;
        bool texts = (type == WEIR_TEXT || type == WEIR_SYMBOL) && column->nulls == 0 && column->values > 1;
        bool again = column->distinct * 2 <= column->values && column->distinct < PROFILE_DISTINCT_MOST;
        if (texts && again && key_name(profile->schema->fields[i].name))
            return (int32_t)i;
        if (texts && again && best < 0 && column->distinct > 1)
            best = (int32_t)i;
    }
    return best;
}

static int32_t find_number(const struct init *init)
{
    const struct profile *profile = &init->profile;
    int32_t best = -1;
    for (uint32_t i = 0; i < profile->schema->count; i++) {
        enum weir_type type = profile->schema->fields[i].type;
        const struct profile_column *column = &profile->columns[i];
        if ((int32_t)i == init->key || column->values < 2 || (type != WEIR_F64 && type != WEIR_I64))
            continue;
        if (best < 0)
            best = (int32_t)i;
        if (column->most > column->least && !key_name(profile->schema->fields[i].name))
            return (int32_t)i;
    }
    return best;
}

static int look(struct init *init, struct weir_error *error)
{
    int code = sample_read(init->path, SAMPLE_BYTES, &init->sample, error);
    if (code < 0)
        return code;
    if (init->sample.size == 0)
        return weir_fail(error, -EINVAL, "%s is empty: there is nothing to look at", init->path);
    const char *dot = strrchr(init->path, '.');
    if (dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0))
        return weir_fail(error, -EINVAL,
                         "%s is a configuration, by its name: weir init looks at data; weir run %s runs it", init->path,
                         init->path);
    if (memchr(init->sample.data, 0, init->sample.size))
        return weir_fail(error, -EINVAL, "%s is no text: weir init looks at CSV with a header line, and at NDJSON",
                         init->path);
    init->format = codec_guess(init->path, init->sample.data, init->sample.size);
    if (init->format == CODEC_CSV)
        guess_delimiter(init);
    code = read_layout(init, error);
    if (code < 0)
        return code;
    if (init->profile.records == 0)
        return weir_fail(error, -EINVAL, "%s: no record could be read as %s: is it CSV with a header line, or NDJSON?",
                         init->path, format_word(init->format));
    init->key = find_key(init);
    if (init->key >= 0) { /* once more: the key is to be a symbol */
        init->options.key.text = memory_string(init->profile.schema->fields[init->key].name);
        code = init->options.key.text ? read_layout(init, error) : weir_fail(error, -ENOMEM, "out of memory");
    }
    init->number = code < 0 ? -1 : find_number(init);
    return code;
}

/* ---- Words ----------------------------------------------------------------------------------------------------- */

static bool is_plain(const char *text)
{
    static const char *const reserved[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (strcasecmp(text, reserved[i]) == 0)
            return false;
    }
    size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-");
    return *text && !text[length] && text[0] != '-';
}

static void add_yaml(struct weir_buffer *out, const char *text)
{
    if (is_plain(text)) {
        buffer_string(out, text);
        return;
    }
    const char *expands = strstr(text, "${");
    buffer_json_string(out, text, expands ? (size_t)(expands - text) : strlen(text));
    if (!expands)
        return;
    out->size--; /* the closing quote: ${ is to stay what it is */
    buffer_string(out, "$");
    size_t begin = out->size;
    buffer_json_string(out, expands, strlen(expands));
    if (!out->failed) {
        memmove(out->data + begin, out->data + begin + 1, out->size - begin - 1);
        out->size--;
    }
}

/* A column in an expression: odd names in backquotes. */
static void add_operand(struct weir_buffer *out, const char *name)
{
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    bool plain = length > 0 && !name[length] && !isdigit((unsigned char)name[0]);
    buffer_format(out, plain ? "%s" : "`%s`", name);
}

/* Rounds away from the data to two digits: 162.3 → 170. */
static double round_out(double value, bool up)
{
    if (value == 0 || !isfinite(value))
        return value;
    double unit = pow(10, floor(log10(fabs(value))) - 1);
    return (up ? ceil(value / unit) : floor(value / unit)) * unit;
}

static void add_number_text(struct weir_buffer *out, double value, int digits)
{
    buffer_format(out, "%.*g", digits, value);
}

static void add_column_note(struct weir_buffer *out, const struct init *init, uint32_t index)
{
    const struct weir_field *field = &init->profile.schema->fields[index];
    const struct profile_column *column = &init->profile.columns[index];
    char least[TIME_TEXT_MAX], most[TIME_TEXT_MAX];
    buffer_format(out, "#   %-20s %-7s ", field->name, weir_type_name(field->type));
    if (field->type == WEIR_BOOL && column->values > 0)
        buffer_string(out, "true or false");
    if (column->values == 0) {
        buffer_string(out, "no values");
    } else if (field->type == WEIR_TIME) {
        size_t a = time_show_rfc3339((int64_t)column->least, least), b = time_show_rfc3339((int64_t)column->most, most);
        buffer_format(out, "%.*s to %.*s", (int)(a < 19 ? a : 19), least, (int)(b < 19 ? b : 19), most);
    } else if (field->type == WEIR_F64 || field->type == WEIR_I64) {
        buffer_format(out, "%.6g to %.6g, mean %.6g, standard deviation %.4g", column->least, column->most,
                      column->mean, profile_stddev(column));
    } else if (field->type == WEIR_TEXT || field->type == WEIR_SYMBOL) {
        buffer_format(out, "%s%" PRIu64 " different: ", column->distinct == PROFILE_DISTINCT_MOST ? "at least " : "",
                      column->distinct);
        for (const char *c = column->first; *c; c++)
            buffer_append(out, (unsigned char)*c < ' ' ? "?" : c, 1);
        buffer_string(out, column->distinct > 1 ? ", …" : "");
    }
    if (column->nulls)
        buffer_format(out, "; missing in %" PRIu64, column->nulls);
    if (field->type == WEIR_TIME)
        buffer_string(out, "; the time of the reading");
    if ((int32_t)index == init->key)
        buffer_string(out, "; says which sensor");
    buffer_string(out, "\n");
}

/* ---- The configuration ----------------------------------------------------------------------------------------- */

/* A comment cannot hold what would end its line. */
static void add_comment_text(struct weir_buffer *out, const char *text)
{
    for (; *text; text++)
        buffer_append(out, (unsigned char)*text < ' ' ? "?" : text, 1);
}

static void add_head(struct init *init)
{
    struct weir_buffer *out = &init->out;
    buffer_string(out, "# Written by: weir init ");
    add_comment_text(out, init->path);
    buffer_format(
        out,
        "\n#\n# A first pipeline for this data. It runs as it is:  weir run THIS_FILE\n#\n# Looked at %" PRIu64
        " records (%s); %s.\n",
        init->profile.records, format_word(init->format),
        init->sample.whole ? "that is all of the file" : "the file goes on, so ranges may be wider");
    if (init->profile.refused)
        buffer_format(out, "# %" PRIu64 " lines could not be read; weir run tells which, and goes on.\n",
                      init->profile.refused);
    buffer_string(out, "#\n");
    for (uint32_t i = 0; i < init->profile.schema->count; i++)
        add_column_note(out, init, i);
}

static void add_source(struct init *init)
{
    struct weir_buffer *out = &init->out;
    const struct weir_schema *schema = init->profile.schema;
    buffer_format(out, "\nsources:\n  %s:\n    type: file\n    path: ", init->name);
    add_yaml(out, init->path);
    buffer_format(out, "%s\n    format: %s\n",
                  strcmp(init->path, "-") == 0 ? "   # stdin"
                  : init->path[0] == '/'       ? ""
                                               : "   # relative to the folder that weir is started in",
                  init->format == CODEC_CSV      ? "csv"
                  : init->format == CODEC_INFLUX ? "influx"
                                                 : "ndjson");
    if (init->format == CODEC_CSV && strcmp(init->options.delimiter, ",") != 0)
        buffer_format(out, "    delimiter: %s\n",
                      init->options.delimiter[0] == '\t'  ? "\"\\t\""
                      : init->options.delimiter[0] == ';' ? "\";\""
                                                          : "\"|\"");
    if (schema->time >= 0) {
        buffer_string(out, "    time: ");
        add_yaml(out, schema->fields[schema->time].name);
        buffer_string(out, "\n    time_zone: UTC   # of times that do not name one: local, +01:00, Europe/Berlin, …\n");
    }
    if (init->key >= 0) {
        buffer_string(out, "    key: ");
        add_yaml(out, schema->fields[init->key].name);
        buffer_string(out, "   # each sensor has its own rolling window\n");
    }
    buffer_string(out, "    fields:   # declared, so that weir check knows them and every run reads them alike\n");
    for (uint32_t i = 0; i < schema->count; i++) {
        buffer_string(out, "      ");
        add_yaml(out, schema->fields[i].name);
        buffer_format(out, ": %s\n", weir_type_name(schema->fields[i].type));
    }
}

static void add_stages(struct init *init)
{
    struct weir_buffer *out = &init->out, expression = {0};
    if (init->number < 0) {
        buffer_string(out, "\n# There is no column of numbers, so there are no stages yet: weir list stages\n");
        return;
    }
    const char *name = init->profile.schema->fields[init->number].name;
    const struct profile_column *column = &init->profile.columns[init->number];
    double stddev = profile_stddev(column), margin = column->most - column->least;
    margin = margin > 0 ? margin / 2 : fabs(column->mean) + 1;
    add_operand(&expression, name);
    buffer_string(&expression, " > ");
    add_number_text(&expression, round_out(column->least - margin, false), 6);
    buffer_string(&expression, " and ");
    add_operand(&expression, name);
    buffer_string(&expression, " < ");
    add_number_text(&expression, round_out(column->most + margin, true), 6);
    buffer_append(&expression, "", 1);
    out->failed = out->failed || expression.failed;
    buffer_string(out, "\nstages:\n  # Keeps what is plausible: the range of the sample and half of it more on each "
                       "side. What fails is\n"
                       "  # counted as filtered.\n  - filter: ");
    if (!out->failed && (strchr(expression.data, '`') || strstr(expression.data, ": ") || strchr(expression.data, '#')))
        buffer_json_string(out, expression.data, strlen(expression.data));
    else if (!out->failed)
        buffer_string(out, expression.data);
    buffer_free(&expression);
    if (stddev > 0) {
        buffer_string(out, "\n  # How many standard deviations from the mean of the sample? A new column, z.\n  - "
                           "normalize: {field: ");
        add_yaml(out, name);
        buffer_string(out, ", mean: ");
        add_number_text(out, column->mean, 8);
        buffer_string(out, ", stddev: ");
        add_number_text(out, stddev, 8);
        buffer_string(out, ", as: z}");
    }
    buffer_format(
        out, "\n  # Statistics of the last 10 records%s: new columns, named after the field.\n  - rolling: {field: ",
        init->key >= 0 ? " of each sensor" : "");
    add_yaml(out, name);
    buffer_string(out, ", window: 10, compute: [mean, stddev, min, max]}\n");
}

static void add_rest(struct init *init)
{
    struct weir_buffer *out = &init->out;
    if (app_part(WEIR_SINK, "sqlite"))
        buffer_format(out,
                      "\nsinks:\n  store:\n    type: sqlite\n    path: %s.db\n    table: readings\n"
                      "    if_exists: replace   # or append\n",
                      init->name);
    else
        buffer_format(out, "\nsinks:\n  store: {type: file, path: %s.out.ndjson}\n", init->name);
    buffer_string(out, "  # To see records pass instead: weir run THIS_FILE --to stdout --limit 10\n"
                       "\n# goals: {latency_p99: 200ms}   # what the report holds the run against\n"
                       "# run: {lanes: auto, memory: 256MiB}\n");
}

/* ---- The command ----------------------------------------------------------------------------------------------- */

static void tell(const struct init *init)
{
    const struct weir_schema *schema = init->profile.schema;
    app_say("%s: %" PRIu64 " records, %" PRIu32 " column%s; time: %s, key: %s",
            strcmp(init->path, "-") == 0 ? "stdin" : init->path, init->profile.records, schema->count,
            schema->count == 1 ? "" : "s", schema->time >= 0 ? schema->fields[schema->time].name : "none found",
            init->key >= 0 ? schema->fields[init->key].name : "none found");
}

static int write_out(struct init *init)
{
    add_head(init);
    add_source(init);
    add_stages(init);
    add_rest(init);
    int code = app_put(stdout, &init->out);
    if (code == APP_OK)
        tell(init);
    return code;
}

int cmd_init(int argc, char **argv)
{
    int operands = 0;
    const struct app_option options[] = {{.name = NULL}};
    const struct app_usage usage = {
        .synopsis = "init DATA.csv|DATA.ndjson",
        .summary = "Looks at a data file and writes a first configuration for it, on stdout.",
        .description =
            "  weir init data.csv > mine.yaml && weir check mine.yaml && weir run mine.yaml\n"
            "\n"
            "DATA may be - for stdin; so will the source be: producer | weir run mine.yaml\n"
            "\n"
            "Columns and their types, the time, the key (which sensor) and ranges are inferred from the first 8 MiB;\n"
            "comments say how.",
        .options = options,
        .operands_least = 1,
        .operands_most = 1,
    };
    int status = app_parse(&usage, argc, argv, &operands);
    if (status >= 0)
        return status;
    struct weir_error error = {0};
    struct init init = {
        .path = argv[1],
        .options = {.delimiter = ",", .header = true, .time_zone = "UTC", .line_max = 1 << 20},
        .key = -1,
        .number = -1,
    };
    make_name(&init);
    if (look(&init, &error) < 0) {
        (void)app_report(&error);
        status = APP_USAGE;
    } else {
        status = write_out(&init);
    }
    memory_free((char *)init.options.key.text);
    profile_free(&init.profile);
    codec_layout_release(init.layout);
    sample_free(&init.sample);
    buffer_free(&init.out);
    return status;
}
