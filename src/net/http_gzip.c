/* SPDX-License-Identifier: MIT */
#include "net/http_private.h"

#include <errno.h>
#include <limits.h>

#ifdef WEIR_HAVE_GZIP
#include <zlib.h>

int http_gzip(const void *body, size_t size, struct weir_buffer *out)
{
    z_stream stream = {0};
    if (size > UINT_MAX / 2)
        return -ENOTSUP;
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    size_t most = deflateBound(&stream, size);
    char *room = buffer_reserve(out, most);
    if (!room) {
        deflateEnd(&stream);
        return -ENOMEM;
    }
    stream.next_in = (Bytef *)(uintptr_t)body; /* zlib does not write there */
    stream.avail_in = (uInt)size;
    stream.next_out = (Bytef *)room;
    stream.avail_out = (uInt)most;
    int status = deflate(&stream, Z_FINISH);
    out->size += stream.total_out;
    deflateEnd(&stream);
    return status == Z_STREAM_END ? 0 : -ENOMEM;
}
#else
int http_gzip(const void *body, size_t size, struct weir_buffer *out)
{
    (void)body;
    (void)size;
    (void)out;
    return -ENOTSUP;
}
#endif
