/* SPDX-License-Identifier: MIT */
#include "app/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app.h"
#include "base/memory.h"

static int write_all(int descriptor, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(descriptor, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        data += written;
        size -= (size_t)written;
    }
    return 0;
}

static int fail(const char *what, const char *path, int error)
{
    app_say("cannot %s %s: %s", what, path, strerror(-error));
    return error;
}

/* What is no plain file (a pipe, /dev/null) is written as it is. */
static int write_in_place(const char *path, const struct weir_buffer *text)
{
    int descriptor = open(path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0)
        return fail("write", path, -errno);
    int error = write_all(descriptor, text->data, text->size);
    if (close(descriptor) < 0 && !error)
        error = -errno;
    return error ? fail("write", path, error) : 0;
}

static int write_beside(const char *path, const struct weir_buffer *text)
{
    char *beside = memory_format("%s.new", path);
    if (!beside)
        return fail("write", path, -ENOMEM);
    int descriptor = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int error = descriptor < 0 ? -errno : write_all(descriptor, text->data, text->size);
    if (descriptor >= 0 && close(descriptor) < 0 && !error)
        error = -errno;
    if (!error && rename(beside, path) < 0)
        error = -errno;
    if (error && descriptor >= 0)
        (void)unlink(beside);
    memory_free(beside);
    return error ? fail("write", path, error) : 0;
}

int files_save(const char *path, struct weir_buffer *text)
{
    struct stat status;
    int error;
    if (strcmp(path, "-") == 0)
        return app_put(stdout, text);
    if (text->failed)
        error = fail("write", path, -ENOMEM);
    else if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        error = write_in_place(path, text);
    else
        error = write_beside(path, text);
    buffer_free(text);
    return error ? APP_FAILED : APP_OK;
}

/* 0 where a file could be made, and was taken away again, or where there is one to write to. */
static int try_file(const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return S_ISDIR(status.st_mode) ? -EISDIR : access(path, W_OK) < 0 ? -errno : 0;
    char *beside = memory_format("%s.new", path);
    if (!beside)
        return -ENOMEM;
    int descriptor = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    int error = descriptor < 0 ? -errno : 0;
    if (descriptor >= 0) {
        close(descriptor);
        (void)unlink(beside);
    }
    if (error == -EEXIST) /* left by somebody who was stopped while writing */
        error = access(beside, W_OK) < 0 ? -errno : 0;
    memory_free(beside);
    return error;
}

int files_check(const char *option, const char *path)
{
    int error = path && strcmp(path, "-") != 0 ? *path ? try_file(path) : -ENOENT : 0;
    if (!error)
        return -1;
    const char *slash = path ? strrchr(path, '/') : NULL;
    if (error == -ENOENT && slash && slash > path)
        app_say("%s %s cannot be written: there is no folder %.*s; make it, or name another file", option, path,
                (int)(slash - path), path);
    else
        app_say("%s %s cannot be written: %s; name another file", option, path, strerror(-error));
    return APP_USAGE;
}

int files_load(const char *path, struct weir_buffer *text)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return fail("read", path, -errno);
    int error = 0;
    for (;;) {
        char *room = buffer_reserve(text, 65536);
        ssize_t got = room ? read(descriptor, room, 65536) : 0;
        if (got < 0 && errno == EINTR)
            continue;
        if (!room || got < 0)
            error = room ? -errno : -ENOMEM;
        if (error || got == 0)
            break;
        text->size += (size_t)got;
        if (text->size > FILES_SIZE_MAX) {
            error = -EFBIG;
            break;
        }
    }
    close(descriptor);
    return error ? fail("read", path, error) : 0;
}

const char *files_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}
