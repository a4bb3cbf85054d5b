/* SPDX-License-Identifier: MIT */
#include "sim/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/units.h"

struct line {
    int64_t at_ns;
    const char *pairs; /* in the script's copy of the text */
    size_t length;
    int number;
};

struct settings_script {
    char *text, *name;
    size_t size;
    struct line *lines;
    size_t count;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static int set_pair(const char *pair, size_t length, settings_set *set, void *owner, struct weir_error *error)
{
    char text[SETTINGS_TEXT_MOST + 1];
    if (length > SETTINGS_TEXT_MOST)
        return weir_fail(error, -EINVAL, "a setting is longer than %d characters", SETTINGS_TEXT_MOST);
    memcpy(text, pair, length);
    text[length] = 0;
    char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return weir_fail(error, -EINVAL, "\"%s\" is not a setting; write name=value", text);
    *equals = 0;
    return set(owner, text, equals + 1, error);
}

int settings_apply(const char *pairs, size_t length, char mark, settings_set *set, void *owner,
                   struct weir_error *error)
{
    for (size_t at = 0; at < length;) {
        size_t end = at;
        while (end < length && pairs[end] != mark && !(mark == ' ' && is_blank(pairs[end])))
            end++;
        int status = end > at ? set_pair(pairs + at, end - at, set, owner, error) : 0;
        if (status < 0)
            return status;
        at = end + 1;
    }
    return 0;
}

/* ---- Scripts ---------------------------------------------------------------------------------------------------- */

void settings_script_free(struct settings_script *script)
{
    if (!script)
        return;
    memory_free(script->text);
    memory_free(script->name);
    memory_free(script->lines);
    memory_free(script);
}

/* "10s workers=25": the time, and where the pairs are. */
static int parse_line(struct settings_script *script, size_t from, size_t to, int number, struct weir_error *error)
{
    char word[64];
    struct weir_mark mark = {script->name, number, 1};
    while (from < to && is_blank(script->text[from]))
        from++;
    size_t end = from;
    while (end < to && !is_blank(script->text[end]))
        end++;
    if (end == from || script->text[from] == '#')
        return 0;
    struct line *line = &script->lines[script->count];
    size_t length = end - from < sizeof word - 1 ? end - from : sizeof word - 1;
    memcpy(word, script->text + from, length);
    word[length] = 0;
    if (units_duration(word, &line->at_ns) < 0)
        return weir_fail_at(error, -EINVAL, mark,
                            "a line begins with a time since the start, for example 10s; this one begins with \"%s\"",
                            word);
    if (script->count > 0 && line->at_ns < line[-1].at_ns)
        return weir_fail_at(error, -EINVAL, mark, "%s is before the line above: times must not go back", word);
    if (script->count == SETTINGS_SCRIPT_MOST)
        return weir_fail_at(error, -EINVAL, mark, "a script has at most %d lines", SETTINGS_SCRIPT_MOST);
    line->pairs = script->text + end;
    line->length = to - end;
    line->number = number;
    script->count++;
    return 0;
}

static int parse_lines(struct settings_script *script, struct weir_error *error)
{
    int number = 0, status = 0;
    for (size_t at = 0; at < script->size && status == 0;) {
        const char *line_feed = memchr(script->text + at, '\n', script->size - at);
        size_t end = line_feed ? (size_t)(line_feed - script->text) : script->size;
        status = parse_line(script, at, end, ++number, error);
        at = end + 1;
    }
    return status;
}

int settings_script_parse(const char *text, size_t size, const char *name, struct settings_script **ret,
                          struct weir_error *error)
{
    struct settings_script *script = memory_zeroed(1, sizeof *script);
    size_t lines = 2;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    if (lines > SETTINGS_SCRIPT_MOST + 1)
        lines = SETTINGS_SCRIPT_MOST + 1;
    if (script) {
        script->text = memory_allocate(size + 1);
        script->name = memory_string(name);
        script->lines = memory_zeroed(lines, sizeof *script->lines);
        script->size = size;
    }
    if (!script || !script->text || !script->name || !script->lines) {
        settings_script_free(script);
        return weir_fail(error, -ENOMEM, "no memory left for the script %s", name);
    }
    memcpy(script->text, text, size);
    int status = parse_lines(script, error);
    if (status < 0) {
        if (error && error->mark.file == script->name)
            error->mark.file = name;
        settings_script_free(script);
        return status;
    }
    *ret = script;
    return 0;
}

int settings_script_read(const char *path, struct settings_script **ret, struct weir_error *error)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC), status = 0;
    if (fd < 0 || fstat(fd, &about) < 0) {
        status = weir_fail(error, -errno, "cannot read the script %s: %s", path, strerror(errno));
    } else if (!S_ISREG(about.st_mode) || about.st_size > SETTINGS_FILE_MOST) {
        status = weir_fail(error, -EINVAL, "the script %s is not a file, or larger than %d bytes", path,
                           SETTINGS_FILE_MOST);
    } else {
        size_t size = (size_t)about.st_size;
        char *text = memory_allocate(size + 1);
        ssize_t got = text ? read(fd, text, size) : -1;
        if (got < 0)
            status = weir_fail(error, -EIO, "cannot read the script %s", path);
        else
            status = settings_script_parse(text, (size_t)got, path, ret, error);
        memory_free(text);
    }
    if (fd >= 0)
        close(fd);
    return status;
}

int settings_script_rehearse(const struct settings_script *script, settings_set *set, void *owner,
                             struct weir_error *error)
{
    for (size_t i = 0; i < script->count; i++) {
        const struct line *line = &script->lines[i];
        struct weir_error inner = {0};
        int status = settings_apply(line->pairs, line->length, ' ', set, owner, &inner);
        if (status < 0)
            return weir_fail_at(error, status, (struct weir_mark){script->name, line->number, 1}, "%s", inner.text);
    }
    return 0;
}

int settings_script_run(struct weir_context *context, const struct settings_script *script, settings_set *set,
                        void *owner, struct weir_error *error)
{
    int64_t start = weir_now(context);
    for (size_t i = 0; i < script->count; i++) {
        const struct line *line = &script->lines[i];
        struct weir_error inner = {0};
        int status = weir_sleep_until(context, start + line->at_ns);
        if (status < 0)
            return status;
        status = settings_apply(line->pairs, line->length, ' ', set, owner, &inner);
        if (status < 0)
            return weir_fail_at(error, status, (struct weir_mark){script->name, line->number, 1}, "%s", inner.text);
    }
    return 0;
}

/* ---- Values ----------------------------------------------------------------------------------------------------- */

int settings_duration(const char *name, const char *value, int64_t *ret, struct weir_error *error)
{
    if (units_duration(value, ret) < 0)
        return weir_fail(error, -EINVAL, "%s=%s is not a duration, for example %s=100ms", name, value, name);
    return 0;
}

int settings_ratio(const char *name, const char *value, double *ret, struct weir_error *error)
{
    char text[32];
    size_t length = strlen(value);
    double number, scale = 1;
    if (length > 0 && length < sizeof text && value[length - 1] == '%') {
        length--;
        scale = 100;
    }
    if (length < sizeof text) {
        memcpy(text, value, length);
        text[length] = 0;
        if (units_number(text, &number) == 0 && number >= 0 && number <= scale) {
            *ret = number / scale;
            return 0;
        }
    }
    return weir_fail(error, -EINVAL, "%s=%s is not a ratio from 0 to 1, for example %s=0.05 or %s=5%%", name, value,
                     name, name);
}

int settings_count(const char *name, const char *value, int64_t least, int64_t most, int64_t *ret,
                   struct weir_error *error)
{
    int64_t number;
    if (units_integer(value, &number) < 0 || number < least || number > most)
        return weir_fail(error, -EINVAL, "%s=%s is not a whole number from %lld to %lld", name, value, (long long)least,
                         (long long)most);
    *ret = number;
    return 0;
}

static bool has_spread(enum distribution_kind kind)
{
    return kind != DISTRIBUTION_FIXED && kind != DISTRIBUTION_EXPONENTIAL;
}

int settings_distribution(const char *value, struct distribution *distribution, struct weir_error *error)
{
    enum distribution_kind kind;
    if (distribution_named(value, &kind) < 0)
        return weir_fail(error, -EINVAL, "distribution=%s: there are fixed, uniform, normal, exponential and lognormal",
                         value);
    if (distribution->spread_ns > 0 && !has_spread(kind))
        return weir_fail(error, -EINVAL,
                         "distribution=%s has no jitter; leave one of them out, or set jitter=0s before", value);
    distribution->kind = kind;
    return 0;
}

int settings_jitter(const char *value, struct distribution *distribution, struct weir_error *error)
{
    int64_t spread = 0;
    int status = settings_duration("jitter", value, &spread, error);
    if (status < 0)
        return status;
    if (spread > 0 && distribution->kind == DISTRIBUTION_EXPONENTIAL)
        return weir_fail(error, -EINVAL,
                         "jitter=%s: an exponential distribution has none; choose uniform, normal or lognormal before",
                         value);
    distribution->spread_ns = spread;
    if (distribution->kind == DISTRIBUTION_FIXED && spread > 0)
        distribution->kind = DISTRIBUTION_UNIFORM;
    return 0;
}
