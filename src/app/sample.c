/* SPDX-License-Identifier: MIT */
#include "app/sample.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "conf/option.h"

enum { SCHEMA_SAMPLE_BYTES = 256 << 10, TAIL_BYTES = 64 };

int sample_read(const char *path, size_t most, struct sample *ret, struct weir_error *error)
{
    struct stat status;
    bool standard = strcmp(path, "-") == 0;
    int descriptor = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return weir_fail(error, -errno, "cannot open %s: %s", path, strerror(errno));
    if (fstat(descriptor, &status) < 0 || (!standard && !S_ISREG(status.st_mode))) {
        bool folder = S_ISDIR(status.st_mode);
        close(descriptor);
        return weir_fail(error, folder ? -EISDIR : -ESPIPE, "%s is %s", path,
                         folder ? "a folder: name a file in it" : "no regular file: save its data to one first");
    }
    struct sample sample = {.data = memory_allocate(most + TAIL_BYTES), .file_size = (uint64_t)status.st_size};
    int failure = sample.data ? 0 : -ENOMEM;
    while (!failure && sample.size < most) {
        ssize_t got = read(descriptor, sample.data + sample.size, most - sample.size);
        if (got < 0 && errno != EINTR)
            failure = -errno;
        if (got == 0) {
            sample.whole = true;
            break;
        }
        sample.size += got > 0 ? (size_t)got : 0;
    }
    close(descriptor);
    if (failure) {
        sample_free(&sample);
        return weir_fail(error, failure, "cannot read %s: %s", path, strerror(-failure));
    }
    sample.whole = sample.whole || (!standard && sample.size == sample.file_size);
    memset(sample.data + sample.size, 0, TAIL_BYTES);
    *ret = sample;
    return 0;
}

void sample_free(struct sample *sample)
{
    memory_free(sample->data);
    *sample = (struct sample){0};
}

/* The table was made by CODEC_READ_OPTIONS if its rows lie as far apart as the fields do. */
/* The options with which a part reads bytes (CODEC_READ_OPTIONS), inside its options; NULL if it has none. */
static const struct codec_read_options *read_options(const struct weir_part *part, const void *options)
{
    const struct weir_option *format = option_find(part->options, "format");
    const struct weir_option *delimiter = option_find(part->options, "delimiter");
    const struct weir_option *line_max = option_find(part->options, "line_max");
    if (part->kind != WEIR_SOURCE || !format || !delimiter || !line_max)
        return NULL;
    size_t base = format->offset - offsetof(struct codec_read_options, format);
    if (delimiter->offset != base + offsetof(struct codec_read_options, delimiter) ||
        line_max->offset != base + offsetof(struct codec_read_options, line_max))
        return NULL;
    return (const struct codec_read_options *)((const char *)options + base);
}

/* The paths or patterns of a source that reads files, or NULL. */
static const struct weir_list *paths_of(const struct plan_node *source)
{
    const struct weir_option *option = option_find(source->part->options, "path");
    if (!option || option->type != WEIR_OPTION_STRINGS)
        return NULL;
    return (const struct weir_list *)((const char *)source->options + option->offset);
}

/* The first file that a path or pattern stands for; caller frees. */
static char *first_file(const struct plan_node *source)
{
    const struct weir_list *list = paths_of(source);
    glob_t found = {0};
    char *path = NULL;
    if (!list || list->count == 0 || strcmp(list->items[0].value.text, "-") == 0)
        return NULL;
    if (glob(list->items[0].value.text, 0, NULL, &found) == 0 && found.gl_pathc > 0)
        path = memory_string(found.gl_pathv[0]);
    globfree(&found);
    return path;
}

const char *sample_missing(const struct plan_node *source)
{
    const struct weir_list *list = paths_of(source);
    for (size_t i = 0; list && i < list->count; i++) {
        const char *path = list->items[i].value.text;
        glob_t found = {0};
        bool none = strcmp(path, "-") != 0 && access(path, F_OK) != 0 && glob(path, 0, NULL, &found) == GLOB_NOMATCH;
        globfree(&found);
        if (none)
            return path;
    }
    return NULL;
}

int sample_schema(const struct plan_node *source, struct weir_schema **ret, struct weir_error *error)
{
    const struct codec_read_options *options = read_options(source->part, source->options);
    char *path = options ? first_file(source) : NULL;
    struct sample sample = {0};
    struct weir_error unread = {0}; /* weir run says it better, with the part's own words */
    const struct weir_source *ops = (const struct weir_source *)(const void *)source->part; /* part is its head */
    *ret = ops->schema ? ops->schema(source->options) : NULL;
    if (*ret) {
        memory_free(path);
        return 0;
    }
    if (!path || sample_read(path, SCHEMA_SAMPLE_BYTES, &sample, &unread) < 0 || sample.size == 0) {
        sample_free(&sample);
        memory_free(path);
        return 0;
    }
    struct weir_env env = {.name = source->name, .lanes = 1, .error = error, .mark = source->mark};
    struct codec_layout *layout = NULL;
    size_t skip = 0;
    uint64_t lines = 0;
    enum codec_format format = (enum codec_format)options->format;
    if (format == CODEC_AUTO)
        format = codec_guess(path, sample.data, sample.size);
    int code = codec_layout_new(format, options, &env, sample.data, sample.size, sample.whole, NULL, &layout, &skip,
                                &lines);
    if (code == 0)
        *ret = weir_schema_reference(codec_layout_schema(layout));
    codec_layout_release(layout);
    sample_free(&sample);
    memory_free(path);
    return code;
}
