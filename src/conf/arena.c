/* SPDX-License-Identifier: MIT */
#include "conf/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/memory.h"

enum { CHUNK_BYTES = 16 * 1024, HEAD_BYTES = 64 };

struct chunk {
    struct chunk *next;
    size_t used, size; /* bytes from the chunk's start, its head included */
};
_Static_assert(sizeof(struct chunk) <= HEAD_BYTES, "the head holds a chunk");

struct arena {
    struct chunk *chunks; /* the newest first */
};

struct arena *arena_new(void)
{
    return memory_zeroed(1, sizeof(struct arena));
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    while (arena->chunks) {
        struct chunk *next = arena->chunks->next;
        memory_free(arena->chunks);
        arena->chunks = next;
    }
    memory_free(arena);
}

static struct chunk *chunk_new(struct arena *arena, size_t size)
{
    size_t bytes = HEAD_BYTES + size;
    bytes = bytes < CHUNK_BYTES ? CHUNK_BYTES : (bytes + 63) & ~(size_t)63;
    struct chunk *chunk = memory_aligned(64, bytes);
    if (!chunk)
        return NULL;
    memset(chunk, 0, bytes);
    *chunk = (struct chunk){.next = arena->chunks, .used = HEAD_BYTES, .size = bytes};
    arena->chunks = chunk;
    return chunk;
}

void *arena_allocate(struct arena *arena, size_t size)
{
    size_t alignment = size >= 64 ? 64 : 16;
    struct chunk *chunk = arena->chunks;
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t start = chunk ? (chunk->used + alignment - 1) & ~(alignment - 1) : 0;
    if (!chunk || start > chunk->size || chunk->size - start < size) {
        chunk = chunk_new(arena, size);
        if (!chunk)
            return NULL;
        start = chunk->used;
    }
    chunk->used = start + size;
    return (char *)chunk + start;
}

char *arena_text(struct arena *arena, const char *text, size_t size)
{
    char *copy = arena_allocate(arena, size + 1);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}
