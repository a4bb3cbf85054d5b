/* SPDX-License-Identifier: MIT */
#include "parts/file_rotation.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "parts/packer.h"

enum { DIGITS = 6, DIGITS_MOST = 18, TRIES = 100 };

/* A path in pieces: "data/" "readings" ".ndjson.gz". They point into it. */
struct pieces {
    const char *stem, *ending;
    int folder_length, stem_length;
};

static struct pieces take_apart(const char *path)
{
    const char *slash = strrchr(path, '/'), *stem = slash ? slash + 1 : path, *end = path + strlen(path);
    if (packer_of_name(stem) != PACKING_NONE)
        end = strrchr(stem, '.');
    const char *dot = memrchr(stem, '.', (size_t)(end - stem));
    if (dot && dot > stem) /* .hidden has no ending */
        end = dot;
    return (struct pieces){
        .stem = stem, .ending = end, .folder_length = (int)(stem - path), .stem_length = (int)(end - stem)};
}

char *file_rotation_folder(const char *path)
{
    int length = take_apart(path).folder_length;
    return length ? memory_format("%.*s", length, path) : memory_string("./");
}

/* The number of a file of this row; 0: it is none. */
static uint64_t number_of(const struct pieces *pieces, const char *name)
{
    size_t stem = (size_t)pieces->stem_length;
    if (strncmp(name, pieces->stem, stem) != 0 || name[stem] != '.')
        return 0;
    const char *digits = name + stem + 1;
    size_t length = strspn(digits, "0123456789");
    if (length < DIGITS || length > DIGITS_MOST || strcmp(digits + length, pieces->ending) != 0)
        return 0;
    return strtoull(digits, NULL, 10);
}

static char *name_of(const char *path, const struct pieces *pieces, uint64_t number)
{
    return memory_format("%.*s%.*s.%0*" PRIu64 "%s", pieces->folder_length, path, pieces->stem_length, pieces->stem,
                         DIGITS, number, pieces->ending);
}

struct row { /* the numbers that there are */
    uint64_t *numbers, last;
    size_t count, capacity;
};

static int add_number(struct row *row, uint64_t number)
{
    if (row->count == row->capacity) {
        size_t capacity = row->capacity ? 2 * row->capacity : 64;
        uint64_t *numbers = memory_resize(row->numbers, capacity * sizeof *numbers);
        if (!numbers)
            return -ENOMEM;
        row->numbers = numbers;
        row->capacity = capacity;
    }
    row->numbers[row->count++] = number;
    row->last = number > row->last ? number : row->last;
    return 0;
}

static int read_row(const char *path, const struct pieces *pieces, struct row *row)
{
    char *folder = file_rotation_folder(path);
    DIR *directory = folder ? opendir(folder) : NULL;
    int error = folder ? directory ? 0 : -errno : -ENOMEM;
    memory_free(folder);
    for (struct dirent *entry; !error && (entry = readdir(directory));) {
        uint64_t number = number_of(pieces, entry->d_name);
        if (number)
            error = add_number(row, number);
    }
    if (directory)
        closedir(directory);
    return error;
}

int file_rotation_move(const char *name, const char *path, char **ret)
{
    struct pieces pieces = take_apart(path);
    struct row row = {0};
    int error = read_row(path, &pieces, &row);
    memory_free(row.numbers);
    for (int tries = 0; !error; tries++) {
        char *target = name_of(path, &pieces, ++row.last);
        if (!target)
            return -ENOMEM;
        if (renameat2(AT_FDCWD, name, AT_FDCWD, target, RENAME_NOREPLACE) == 0) {
            *ret = target;
            return 0;
        }
        int code = -errno;
        if (code == -EINVAL && access(target, F_OK) < 0) /* a file system that knows no such flag */
            code = rename(name, target) == 0 ? 0 : -errno;
        if (code == 0) {
            *ret = target;
            return 0;
        }
        memory_free(target);
        error = code == -EEXIST && tries < TRIES ? 0 : code; /* somebody else took the number */
    }
    return error;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

int file_rotation_trim(const char *path, int64_t keep, uint64_t *ret_removed)
{
    struct pieces pieces = take_apart(path);
    struct row row = {0};
    uint64_t removed = 0;
    int error = read_row(path, &pieces, &row);
    if (!error && row.count > 0)
        qsort(row.numbers, row.count, sizeof *row.numbers, compare);
    for (size_t i = 0; !error && row.count - i > (uint64_t)keep; i++) {
        char *name = name_of(path, &pieces, row.numbers[i]);
        if (!name)
            error = -ENOMEM;
        else if (unlink(name) == 0)
            removed++;
        else if (errno != ENOENT)
            error = -errno;
        memory_free(name);
    }
    memory_free(row.numbers);
    *ret_removed = removed;
    return error;
}
