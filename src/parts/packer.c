/* SPDX-License-Identifier: MIT */
#include "parts/packer.h"

#include <errno.h>
#include <string.h>
#ifdef WEIR_HAVE_GZIP
#include <zlib.h>
#endif
#ifdef WEIR_HAVE_ZSTD
#include <zstd.h>
#endif

#include "base/memory.h"

enum { ROOM = 64 << 10 /* bytes of output that each step has */ };

struct packer {
    enum packing packing;
    bool inside; /* something was added since the last end */
#ifdef WEIR_HAVE_GZIP
    z_stream gzip;
    bool gzip_made;
#endif
#ifdef WEIR_HAVE_ZSTD
    ZSTD_CCtx *zstd;
#endif
};

const char *packer_missing(enum packing packing)
{
#ifndef WEIR_HAVE_GZIP
    if (packing == PACKING_GZIP)
        return "zlib1g-dev";
#endif
#ifndef WEIR_HAVE_ZSTD
    if (packing == PACKING_ZSTD)
        return "libzstd-dev";
#endif
    (void)packing;
    return NULL;
}

enum packing packer_of_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    if (dot && strcasecmp(dot, ".gz") == 0)
        return PACKING_GZIP;
    return dot && (strcasecmp(dot, ".zst") == 0 || strcasecmp(dot, ".zstd") == 0) ? PACKING_ZSTD : PACKING_NONE;
}

#ifdef WEIR_HAVE_GZIP
static int make_gzip(struct packer *packer, int level)
{
    packing_use_memory(&packer->gzip);
    if (deflateInit2(&packer->gzip, level ? level : Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    packer->gzip_made = true;
    return 0;
}

static int step_gzip(struct packer *packer, const char *data, size_t size, bool end, struct weir_buffer *out)
{
    z_stream *stream = &packer->gzip;
    for (bool done = false; !done;) {
        unsigned piece = size < 1u << 30 ? (unsigned)size : 1u << 30;
        char *room = buffer_reserve(out, ROOM);
        if (!room)
            return -ENOMEM;
        stream->next_in = (Bytef *)(uintptr_t)data; /* zlib reads it only */
        stream->avail_in = piece;
        stream->next_out = (unsigned char *)room;
        stream->avail_out = ROOM;
        int result = deflate(stream, piece < size ? Z_NO_FLUSH : end ? Z_FINISH : Z_SYNC_FLUSH);
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return -EIO;
        data += piece - stream->avail_in;
        size -= piece - stream->avail_in;
        out->size += ROOM - stream->avail_out;
        done = end ? result == Z_STREAM_END : size == 0 && stream->avail_out > 0;
    }
    return end && deflateReset(stream) != Z_OK ? -EIO : 0;
}
#endif

#ifdef WEIR_HAVE_ZSTD
static int make_zstd(struct packer *packer, int level)
{
    packer->zstd = ZSTD_createCCtx();
    if (!packer->zstd)
        return -ENOMEM;
    if (ZSTD_isError(
            ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_compressionLevel, level ? level : ZSTD_CLEVEL_DEFAULT)))
        return -EIO;
    return ZSTD_isError(ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_checksumFlag, 1)) ? -EIO : 0;
}

static int step_zstd(struct packer *packer, const char *data, size_t size, bool end, struct weir_buffer *out)
{
    ZSTD_inBuffer in = {.src = data, .size = size};
    for (size_t left = 1; left > 0;) {
        char *room = buffer_reserve(out, ROOM);
        if (!room)
            return -ENOMEM;
        ZSTD_outBuffer piece = {.dst = room, .size = ROOM};
        left = ZSTD_compressStream2(packer->zstd, &piece, &in, end ? ZSTD_e_end : ZSTD_e_flush);
        if (ZSTD_isError(left))
            return -EIO;
        out->size += piece.pos;
    }
    return 0;
}
#endif

int packer_new(enum packing packing, int level, struct packer **ret)
{
    int error = -ENOTSUP;
    struct packer *packer = memory_zeroed(1, sizeof *packer);
    if (!packer)
        return -ENOMEM;
    packer->packing = packing;
#ifdef WEIR_HAVE_GZIP
    if (packing == PACKING_GZIP)
        error = make_gzip(packer, level < 9 ? level : 9);
#endif
#ifdef WEIR_HAVE_ZSTD
    if (packing == PACKING_ZSTD)
        error = make_zstd(packer, level);
#endif
    (void)level;
    if (error < 0)
        packer_free(packer);
    else
        *ret = packer;
    return error;
}

void packer_free(struct packer *packer)
{
    if (!packer)
        return;
#ifdef WEIR_HAVE_GZIP
    if (packer->gzip_made)
        deflateEnd(&packer->gzip);
#endif
#ifdef WEIR_HAVE_ZSTD
    ZSTD_freeCCtx(packer->zstd);
#endif
    memory_free(packer);
}

static int step(struct packer *packer, const char *data, size_t size, bool end, struct weir_buffer *out)
{
#ifdef WEIR_HAVE_GZIP
    if (packer->packing == PACKING_GZIP)
        return step_gzip(packer, data, size, end, out);
#endif
#ifdef WEIR_HAVE_ZSTD
    if (packer->packing == PACKING_ZSTD)
        return step_zstd(packer, data, size, end, out);
#endif
    (void)data, (void)size, (void)end, (void)out;
    return -ENOTSUP;
}

int packer_add(struct packer *packer, const char *data, size_t size, struct weir_buffer *out)
{
    if (size == 0)
        return 0;
    packer->inside = true;
    return step(packer, data, size, false, out);
}

int packer_end(struct packer *packer, struct weir_buffer *out)
{
    if (!packer->inside)
        return 0;
    packer->inside = false;
    return step(packer, "", 0, true, out);
}
