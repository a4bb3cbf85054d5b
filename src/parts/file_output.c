/* SPDX-License-Identifier: MIT */
#include "parts/file_output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/system.h"
#include "parts/file_rotation.h"

int file_output_explain(const char *name, struct weir_env *env, int code)
{
    const char *words;
    switch (-code) {
    case ENOENT:
        words = "there is no such folder; create it, or check `path`";
        break;
    case EISDIR:
        words = "this is a directory; give the name of a file in it";
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        words = "no permission to write it; see ls -l, or choose another `path`";
        break;
    case EBUSY:
        words = "another file sink, of this or another weir, is writing it; choose another `path`";
        break;
    case ENOSPC:
        words = "the disk is full; make room, or choose a `path` on another disk";
        break;
    case EDQUOT:
        words = "the quota is used up; make room, or choose a `path` elsewhere";
        break;
    case EFBIG:
        words = "the file must not get larger here; see ulimit -f";
        break;
    case EPIPE:
        words = "nobody reads it any more";
        break;
    case ENOMEM:
        words = "out of memory";
        break;
    default:
        return weir_fail(env->error, code, "%s: %s; check the file and its disk", name, strerror(-code));
    }
    return weir_fail(env->error, code, "%s: %s", name, words);
}

int file_output_open(struct file_output *output, struct weir_env *env, const char *name, bool fresh)
{
    struct stat status;
    int flags = O_CREAT | O_CLOEXEC | O_NOCTTY | (fresh ? O_EXCL : 0);
    int fd = SYSTEM_CALL(open(name, O_RDWR | flags, 0666));
    if (fd < 0 && errno == EACCES) /* devices and files that can be written but not read */
        fd = SYSTEM_CALL(open(name, O_WRONLY | flags, 0666));
    if (fd < 0)
        return file_output_explain(name, env, -errno);
    output->fd = fd + 1;
    output->size = 0;
    if (fstat(fd, &status) < 0)
        return file_output_explain(name, env, -errno);
    output->regular = S_ISREG(status.st_mode);
    if (output->regular && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return file_output_explain(name, env, -EBUSY);
    return 0;
}

void file_output_close(struct file_output *output)
{
    if (output->fd > 0)
        close(output->fd - 1);
    output->fd = 0;
}

int file_output_cut(struct file_output *output, struct weir_env *env, off_t size)
{
    if (ftruncate(output->fd - 1, size) < 0)
        return file_output_explain(output->path, env, -errno);
    output->size = size;
    return 0;
}

int file_output_write(struct file_output *output, struct weir_env *env, const char *data, size_t size)
{
    int fd = output->fd - 1;
    size_t done = 0;
    while (done < size) {
        ssize_t written = output->regular
                              ? SYSTEM_CALL(pwrite(fd, data + done, size - done, output->size + (off_t)done))
                              : SYSTEM_CALL(write(fd, data + done, size - done));
        if (written > 0) {
            done += (size_t)written;
            continue;
        }
        int code = written == 0 ? -ENOSPC : -errno;
        if (code == -EINTR)
            continue;
        if (done > 0 && output->regular && ftruncate(fd, output->size) < 0)
            return weir_fail(env->error, -EIO, "%s: %s, and it cannot be cut back (%s): it ends in half a record",
                             output->path, strerror(-code), strerror(errno));
        if (done > 0 && !output->regular) /* a pipe or device: not to be tried again, what is written is written */
            return weir_fail(env->error, -EIO, "%s: %s in the middle of a record; check what reads it", output->path,
                             strerror(-code));
        return file_output_explain(output->path, env, code);
    }
    if (output->regular)
        output->size += (off_t)size;
    return 0;
}

int file_output_sync(struct file_output *output, struct weir_env *env, bool all)
{
    if (!output->regular)
        return 0;
    int result = all ? fsync(output->fd - 1) : fdatasync(output->fd - 1);
    return result < 0 ? file_output_explain(output->path, env, -errno) : 0;
}

void file_output_sync_folder(const char *path)
{
    char *folder = file_rotation_folder(path);
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    memory_free(folder);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}
