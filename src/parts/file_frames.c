/* SPDX-License-Identifier: MIT */
#include "parts/file_frames.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/system.h"

enum {
    HEADER_BYTES = 4096,    /* a frame with a longer header is read as ever */
    FRAME_LEAST = 32 << 10, /* and so are small ones, of which a block holds many */
    FRAME_MOST = 1 << 20,
    PAUSE_BLOCKS = 8,
};

struct frames_file {
    struct weir_unread unread; /* first */
    atomic_uint references;
    int fd; /* of our own: the source may be done with the file before the lanes are */
};

static int64_t read_fully(struct weir_unread *unread, uint64_t offset, char *data, size_t size)
{
    const struct frames_file *file = (const struct frames_file *)unread;
    size_t done = 0;
    while (done < size) {
        ssize_t got = SYSTEM_CALL(pread(file->fd, data + done, size - done, (off_t)(offset + done)));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (int64_t)done;
}

static void release(struct weir_unread *unread)
{
    struct frames_file *file = (struct frames_file *)unread;
    if (atomic_fetch_sub(&file->references, 1) > 1)
        return;
    close(file->fd);
    memory_free(file);
}

static struct weir_unread *file_new(int fd)
{
    struct frames_file *file = memory_zeroed(1, sizeof *file);
    if (!file)
        return NULL;
    file->unread = (struct weir_unread){.read = read_fully, .release = release};
    atomic_init(&file->references, 1);
    file->fd = SYSTEM_CALL(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (file->fd >= 0)
        return &file->unread;
    memory_free(file);
    return NULL;
}

/* As many bytes as are in the page cache; nothing is waited for. 0: none, or nobody knows. */
static size_t read_cached(int fd, uint64_t offset, char *data, size_t size)
{
    struct iovec piece = {.iov_base = data, .iov_len = size};
    ssize_t got = preadv2(fd, &piece, 1, (off_t)offset, RWF_NOWAIT);
    return got > 0 ? (size_t)got : 0;
}

/* Is there a frame worth it, all of which seems to be at hand? */
static bool find_frame(const struct file_reader *reader, int fd, uint64_t offset, uint64_t *ret_size,
                       uint64_t *ret_records)
{
    char header[HEADER_BYTES], last;
    size_t got = read_cached(fd, offset, header, sizeof header);
    return codec_describes(reader->format, header, got, ret_size, ret_records) && *ret_size >= FRAME_LEAST &&
           *ret_size <= FRAME_MOST && read_cached(fd, offset + *ret_size - 1, &last, 1) == 1;
}

int file_frames_hand_on(struct file_frames *frames, struct file_reader *reader, int fd, uint64_t offset,
                        uint64_t *ret_offset)
{
    uint64_t size, records;
    int error = 0;
    *ret_offset = offset;
    if (frames->pause > 0) {
        frames->pause--;
        return 0;
    }
    while (error == 0 && find_frame(reader, fd, *ret_offset, &size, &records)) {
        if (!frames->file && !(frames->file = file_new(fd)))
            break; /* the source reads by itself */
        atomic_fetch_add(&((struct frames_file *)frames->file)->references, 1);
        error = file_reader_hand_on_unread(reader, frames->file, *ret_offset, size, records);
        *ret_offset += size;
        if (error == 0 && weir_stopping(reader->shared->context))
            error = -ECANCELED;
    }
    frames->pause = PAUSE_BLOCKS;
    return error;
}

void file_frames_free(struct file_frames *frames)
{
    if (frames->file)
        frames->file->release(frames->file);
    frames->file = NULL;
}
