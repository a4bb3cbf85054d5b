/* SPDX-License-Identifier: MIT */
#include "parts/packing.h"

#include <string.h>

#include "base/memory.h"

static const unsigned char magic_gzip[] = {0x1f, 0x8b}, magic_zstd[] = {0x28, 0xb5, 0x2f, 0xfd};

static bool begins(const void *data, size_t size, const unsigned char *magic, size_t magic_size)
{
    return memcmp(data, magic, size < magic_size ? size : magic_size) == 0;
}

enum packing packing_of(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    if (size >= sizeof(magic_gzip) && begins(data, size, magic_gzip, sizeof(magic_gzip)))
        return PACKING_GZIP;
    if (size >= sizeof(magic_zstd) && begins(data, size, magic_zstd, sizeof(magic_zstd)))
        return PACKING_ZSTD;
    /* What zstd calls a skippable frame may come first, as pzstd has it: */
    if (size >= 4 && (bytes[0] & 0xf0) == 0x50 && bytes[1] == 0x2a && bytes[2] == 0x4d && bytes[3] == 0x18)
        return PACKING_ZSTD;
    bool perhaps = size == 0 || begins(data, size, magic_gzip, sizeof(magic_gzip)) ||
                   begins(data, size, magic_zstd, sizeof(magic_zstd)) ||
                   ((bytes[0] & 0xf0) == 0x50 &&
                    begins(bytes + 1, size - 1, (const unsigned char[]){0x2a, 0x4d, 0x18}, 3));
    return perhaps && size < PACKING_MAGIC ? PACKING_UNKNOWN : PACKING_NONE;
}

const char *packing_name(enum packing packing)
{
    return packing == PACKING_GZIP ? "gzip" : packing == PACKING_ZSTD ? "zstd" : "none";
}

bool packing_begins_member(enum packing packing, const unsigned char *head)
{
    if (packing == PACKING_ZSTD)
        return begins(head, PACKING_MAGIC, magic_zstd, sizeof(magic_zstd)) && !(head[4] & 0x08);
    bool deflated = begins(head, PACKING_MAGIC, magic_gzip, sizeof(magic_gzip)) && head[2] == 8;
    bool speed = head[8] == 0 || head[8] == 2 || head[8] == 4, system = head[9] <= 13 || head[9] == 255;
    return deflated && head[3] < 0x20 && speed && system;
}

#ifdef WEIR_HAVE_GZIP
static void *gzip_allocate(void *opaque, unsigned items, unsigned size)
{
    (void)opaque;
    return memory_zeroed(items, size);
}

static void gzip_free(void *opaque, void *pointer)
{
    (void)opaque;
    memory_free(pointer);
}

void packing_use_memory(z_stream *stream)
{
    stream->zalloc = gzip_allocate;
    stream->zfree = gzip_free;
}
#endif
