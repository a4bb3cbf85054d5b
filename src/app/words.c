/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "app/app.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/units.h"
#include "conf/tree.h"
#include "conf/secret.h"

enum { COLUMNS_MOST = 10000 }; /* what is wider is no terminal */

void app_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("weir: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* The line that the mark is in, from the file: parts know where an option stands, not what it looks like. Lines with a
 * secret in them are not shown. */
static bool read_line(const struct weir_mark *mark, char *out, size_t size)
{
    out[0] = 0;
    FILE *file = fopen(mark->file, "re");
    int number = 1;
    bool found = false;
    while (file && !found && fgets(out, (int)size, file)) { /* a longer line is read in pieces: its first is shown */
        bool whole = strchr(out, '\n');
        found = number == mark->line;
        for (int c = 0; !whole && c != EOF && c != '\n';)
            c = getc(file);
        number++;
    }
    if (file)
        fclose(file);
    out[strcspn(out, "\r\n")] = 0;
    size_t begin, end;
    return found && !conf_is_secret(out) && !conf_secret_in_text(out, strlen(out), 0, &begin, &end);
}

/* How many characters from the mark on are one word. */
static int word_length(const char *line, int column)
{
    const char *at = line;
    for (int i = 1; i < column && *at; i++) {
        at++;
        while (((unsigned char)*at & 0xc0) == 0x80)
            at++;
    }
    return (int)strcspn(at, " \t,:]}\"'");
}

int app_report(const struct weir_error *error)
{
    char text[WEIR_ERROR_MAX + 4096], line[1024], drawn[512];
    const struct weir_mark *mark = &error->mark;
    error_format(error, text, sizeof text);
    fprintf(stderr, "%s%s", mark->file ? "" : "weir: ", text);
    if (mark->file && mark->column > 0 && !strchr(error->text, '^') && read_line(mark, line, sizeof line)) {
        error_caret(line, mark->column, word_length(line, mark->column), drawn, sizeof drawn);
        fprintf(stderr, "%s\n", drawn);
    }
    return error->code == -EINVAL ? APP_USAGE : APP_FAILED;
}

int app_put(FILE *file, struct weir_buffer *out)
{
    bool failed = out->failed;
    errno = 0;
    bool written = !failed && (out->size == 0 || fwrite(out->data, 1, out->size, file) == out->size);
    written = fflush(file) == 0 && written;
    int error = errno;
    buffer_free(out);
    if (failed)
        app_say("out of memory");
    else if (!written && error != EPIPE)
        app_say("cannot write to %s: %s", file == stdout ? "stdout" : "stderr", strerror(error));
    clearerr(file); /* it was said */
    return failed || (!written && error != EPIPE) ? APP_FAILED : APP_OK;
}

int app_columns(int descriptor, int otherwise)
{
    const char *text = getenv("COLUMNS");
    struct winsize size;
    int64_t columns = 0;
    if (text && units_integer(text, &columns) == 0 && columns > 0 && columns < COLUMNS_MOST)
        return (int)columns;
    return ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : otherwise;
}

void app_wrap(struct weir_buffer *out, const char *text, size_t width, const char *indent)
{
    for (bool first = true; *text; first = false) {
        size_t length = strlen(text);
        if (length > width) {
            length = width;
            while (length > 0 && text[length] != ' ')
                length--;
            length = length ? length : strcspn(text, " ");
        }
        buffer_format(out, "%s%.*s", first ? "" : indent, (int)length, text);
        text += length;
        text += strspn(text, " ");
        if (*text)
            buffer_string(out, "\n");
    }
}

bool app_colour(int descriptor)
{
    const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(descriptor) && !(no && *no) && terminal && strcmp(terminal, "dumb") != 0;
}

uint32_t app_processors(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
    return count > 0 ? (uint32_t)count : 1;
}

const struct weir_part *app_part(enum weir_kind kind, const char *name)
{
    for (size_t i = 0; weir_parts[i]; i++) {
        if (weir_parts[i]->kind == kind && strcmp(weir_parts[i]->name, name) == 0)
            return weir_parts[i];
    }
    return NULL;
}

const char *app_kind_name(enum weir_kind kind)
{
    static const char *const names[] = {[WEIR_SOURCE] = "source", [WEIR_STAGE] = "stage", [WEIR_SINK] = "sink"};
    return names[kind];
}
