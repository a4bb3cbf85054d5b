/* SPDX-License-Identifier: MIT */
#include "parts/file_input.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#ifdef WEIR_HAVE_GZIP
#include <zlib.h>
#endif
#ifdef WEIR_HAVE_ZSTD
#include <zstd.h>
#include <zstd_errors.h>
#endif

#include "base/memory.h"
#include "base/system.h"

enum {
    RAW_BYTES = 64 << 10,
    ZSTD_WINDOW_LOG = 23, /* 8 MiB: what a hostile file may make us allocate */
    MEMBER_HEAD = 10,     /* bytes of a header that are looked at; no member is smaller */
    ZSTD_PIECE = 1 << 10, /* an error takes with it what else was unpacked in the same call: small steps */
};
#define ZSTD_WINDOW_WORDS "it needs a window of more than 8 MiB; compress it with level 19 or less, without --long"

struct unpacker {
    unsigned char raw[RAW_BYTES];
    size_t begin, filled; /* of raw: what is still to be unpacked */
    bool ended;           /* of the file */
    bool inside;          /* in the middle of a member */
    bool any;             /* a member was complete */
    bool searching;       /* for the next member, behind damage */
#ifdef WEIR_HAVE_GZIP
    z_stream gzip;
    bool gzip_made;
#endif
#ifdef WEIR_HAVE_ZSTD
    ZSTD_DStream *zstd;
#endif
};

static ssize_t read_raw(struct file_input *input, void *data, size_t size)
{
    ssize_t got;
    if (input->asked && input->stream)
        return -EAGAIN;
    input->asked = true;
    do {
        got = SYSTEM_CALL(read(input->fd, data, size));
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    input->offset += (uint64_t)got;
    return got;
}

/* Offset in the file of the next byte to be unpacked. */
static uint64_t place(const struct file_input *input)
{
    const struct unpacker *unpacker = input->unpacker;
    return input->offset - (unpacker ? unpacker->filled - unpacker->begin : 0);
}

static int mistake(struct file_input *input, int code, const char *words)
{
    struct unpacker *unpacker = input->unpacker;
    input->mistake = words;
    input->mistaken_at = place(input);
    input->between = !unpacker->inside;
    unpacker->searching = true;
    return code;
}

/* ---- Members --------------------------------------------------------------------------------------------------- */

#ifdef WEIR_HAVE_GZIP
/* Unpacks what is there; returns how many bytes came out, or a negative errno. */
static ssize_t unpack_gzip(struct file_input *input, void *data, size_t size)
{
    struct unpacker *self = input->unpacker;
    z_stream *stream = &self->gzip;
    if (!self->gzip_made) {
        packing_use_memory(stream);
        if (inflateInit2(stream, MAX_WBITS + 16) != Z_OK)
            return -ENOMEM;
        self->gzip_made = true;
    } else if (!self->inside && inflateReset(stream) != Z_OK) {
        return -EIO;
    }
    self->inside = true;
    stream->next_in = self->raw + self->begin;
    stream->avail_in = (unsigned)(self->filled - self->begin);
    stream->next_out = data;
    stream->avail_out = size < 1u << 30 ? (unsigned)size : 1u << 30;
    unsigned before = stream->avail_out;
    int result = inflate(stream, Z_NO_FLUSH);
    self->begin = self->filled - stream->avail_in;
    ssize_t got = before - stream->avail_out;
    if (result == Z_STREAM_END) {
        self->inside = false;
        self->any = true;
        return got;
    }
    if (result == Z_MEM_ERROR)
        return -ENOMEM;
    if (result != Z_OK && result != Z_BUF_ERROR && got == 0) /* with bytes: they are good, the error comes again */
        return mistake(input, -EBADMSG, stream->msg ? stream->msg : "it needs a dictionary");
    return got;
}
#endif

#ifdef WEIR_HAVE_ZSTD
static ssize_t unpack_zstd(struct file_input *input, void *data, size_t size)
{
    struct unpacker *self = input->unpacker;
    if (!self->zstd) {
        self->zstd = ZSTD_createDStream();
        if (!self->zstd || ZSTD_isError(ZSTD_DCtx_setParameter(self->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG)))
            return -ENOMEM;
    }
    self->inside = true;
    size_t left = self->filled - self->begin;
    ZSTD_inBuffer in = {.src = self->raw + self->begin, .size = left < ZSTD_PIECE ? left : ZSTD_PIECE};
    ZSTD_outBuffer out = {.dst = data, .size = size};
    size_t result = ZSTD_decompressStream(self->zstd, &out, &in);
    self->begin += in.pos;
    if (ZSTD_isError(result)) {
        if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation)
            return -ENOMEM;
        if (ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge)
            return mistake(input, -EBADMSG, ZSTD_WINDOW_WORDS);
        return mistake(input, -EBADMSG, ZSTD_getErrorName(result));
    }
    if (result == 0) {
        self->inside = false;
        self->any = true;
    }
    return (ssize_t)out.pos;
}
#endif

static ssize_t unpack(struct file_input *input, void *data, size_t size)
{
#ifdef WEIR_HAVE_GZIP
    if (input->packing == PACKING_GZIP)
        return unpack_gzip(input, data, size);
#endif
#ifdef WEIR_HAVE_ZSTD
    if (input->packing == PACKING_ZSTD)
        return unpack_zstd(input, data, size);
#endif
    (void)data, (void)size;
    return mistake(input, -ENOTSUP,
                   input->packing == PACKING_GZIP ? "gzip, which this weir was built without; unpack it before"
                                                  : "zstd, which this weir was built without; unpack it before");
}

/* More packed bytes: 1, 0 at the end, or a negative errno. */
static int fill_raw(struct file_input *input)
{
    struct unpacker *self = input->unpacker;
    size_t left = self->filled - self->begin;
    memmove(self->raw, self->raw + self->begin, left);
    self->begin = 0;
    self->filled = left;
    ssize_t got = read_raw(input, self->raw + left, sizeof(self->raw) - left);
    if (got > 0)
        self->filled += (size_t)got;
    self->ended = got == 0;
    return got < 0 ? (int)got : got > 0;
}

/* A damaged member may have swallowed some of those that follow, so the search begins where it began itself, if the
 * file can be read again. */
static void go_back(struct file_input *input)
{
    struct unpacker *self = input->unpacker;
    self->inside = false;
    if (!input->stream && lseek(input->fd, (off_t)input->member_at + 1, SEEK_SET) >= 0) {
        input->offset = input->member_at + 1;
        self->begin = self->filled = 0;
        self->ended = false;
    } else if (place(input) == input->member_at && self->begin < self->filled) {
        self->begin++; /* else it would be found again */
    }
}

/* Behind damage: looks for where another member begins. 1, 0 at the end, or a negative errno. */
static int find_member(struct file_input *input)
{
    struct unpacker *self = input->unpacker;
    if (self->inside)
        go_back(input);
    for (;;) {
        for (; self->begin + PACKING_MEMBER_HEAD <= self->filled; self->begin++) {
            if (!packing_begins_member(input->packing, self->raw + self->begin))
                continue;
#ifdef WEIR_HAVE_ZSTD
            if (self->zstd)
                ZSTD_DCtx_reset(self->zstd, ZSTD_reset_session_only);
#endif
            self->searching = false;
            return 1;
        }
        if (self->ended)
            return 0;
        int more = fill_raw(input);
        if (more < 0)
            return more;
    }
}

/* Between members: does another one begin here? 1, 0 at the end, or a negative errno. What follows the last member and
 * is none, gzip and zstd pad with zeros; anything else is damage. */
static int next_member(struct file_input *input)
{
    struct unpacker *self = input->unpacker;
    for (;;) {
        while (self->any && self->begin < self->filled && self->raw[self->begin] == 0)
            self->begin++;
        size_t left = self->filled - self->begin;
        enum packing found = left ? packing_of(self->raw + self->begin, left) : PACKING_UNKNOWN;
        if (found == input->packing)
            return 1;
        if (found != PACKING_UNKNOWN)
            return mistake(input, -EBADMSG, "what follows is no packed data");
        if (self->ended)
            return left == 0 ? 0 : mistake(input, -EBADMSG, "what follows is no packed data");
        int more = fill_raw(input);
        if (more < 0)
            return more;
    }
}

static ssize_t read_packed(struct file_input *input, void *data, size_t size)
{
    struct unpacker *self = input->unpacker;
    for (;;) {
        if (!self->inside || self->searching) {
            int more = self->searching ? find_member(input) : next_member(input);
            if (more <= 0)
                return more;
            input->member_at = place(input);
        }
        size_t before = self->filled - self->begin;
        ssize_t got = unpack(input, data, size);
        if (got > 0)
            input->last = ((const char *)data)[got - 1];
        if (!self->inside && input->last && input->last != '\n')
            input->torn_members = true;
        if (got != 0)
            return got;
        bool moved = !self->inside || self->filled - self->begin < before;
        if (moved && self->begin < self->filled)
            continue;
        if (!self->inside)
            continue;
        if (self->ended)
            return mistake(input, -EBADMSG, "it ends in the middle of the packed data");
        int more = fill_raw(input);
        if (more < 0)
            return more;
    }
}

/* ---- Bytes ----------------------------------------------------------------------------------------------------- */

/* Finds out what the file is; plain bytes that were read for it are returned. */
static ssize_t begin(struct file_input *input, void *data, size_t size)
{
    bool ended = false;
    while (!ended && packing_of(input->head, input->head_size) == PACKING_UNKNOWN) {
        ssize_t got = read_raw(input, input->head + input->head_size, sizeof(input->head) - input->head_size);
        if (got < 0)
            return got;
        input->head_size += (size_t)got;
        ended = got == 0;
    }
    input->packing = packing_of(input->head, input->head_size);
    if (input->packing == PACKING_UNKNOWN)
        input->packing = PACKING_NONE;
    if (input->packing == PACKING_NONE) {
        size_t count = input->head_size < size ? input->head_size : size;
        memcpy(data, input->head, count);
        return (ssize_t)count;
    }
    input->unpacker = memory_zeroed(1, sizeof(*input->unpacker));
    if (!input->unpacker)
        return -ENOMEM;
    memcpy(input->unpacker->raw, input->head, input->head_size);
    input->unpacker->filled = input->head_size;
    return read_packed(input, data, size);
}

ssize_t file_input_read(struct file_input *input, void *data, size_t size)
{
    input->asked = false;
    if (input->packing == PACKING_NONE)
        return read_raw(input, data, size);
    ssize_t got = input->packing == PACKING_UNKNOWN ? begin(input, data, size) : read_packed(input, data, size);
    input->unread = (got > 0 || got == -EBADMSG) && input->unpacker;
    return got;
}

void file_input_free(struct file_input *input)
{
    struct unpacker *unpacker = input->unpacker;
    if (!unpacker)
        return;
#ifdef WEIR_HAVE_GZIP
    if (unpacker->gzip_made)
        inflateEnd(&unpacker->gzip);
#endif
#ifdef WEIR_HAVE_ZSTD
    ZSTD_freeDStream(unpacker->zstd);
#endif
    memory_free(unpacker);
    input->unpacker = NULL;
}
