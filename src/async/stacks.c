/* SPDX-License-Identifier: MIT */
#include "async/stacks.h"

#include "base/memory.h"
#include "base/system.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13: faults without a mapping of its own */
#endif

enum { CHUNK = 16 * 1024 * 1024, MAPS_FALLBACK = 65530 };

/* Half of the kernel's limit of mappings, and each guard page makes two. */
static uint64_t guards_allowed(void)
{
    unsigned long long maps = MAPS_FALLBACK;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file) {
        if (fscanf(file, "%llu", &maps) != 1)
            maps = MAPS_FALLBACK;
        fclose(file);
    }
    return maps / 4;
}

void stacks_init(struct stacks *stacks, size_t stack_size)
{
    size_t page = (size_t)getpagesize();
    *stacks = (struct stacks){.page = page, .light_guards = true, .guards_left = UINT64_MAX};
    /* An odd number of pages: stacks of one size would otherwise all compete for the same few sets of the caches. */
    size_t pages = (stack_size + page - 1) / page + 1;
    stacks->stride = (pages | 1) * page;
    stacks->per_chunk = stacks->stride < CHUNK ? (uint32_t)(CHUNK / stacks->stride) : 1;
    stacks->cut = stacks->per_chunk;
}

void stacks_done(struct stacks *stacks)
{
    for (uint32_t i = 0; i < stacks->chunk_count; i++)
        munmap(stacks->chunks[i], stacks->stride * stacks->per_chunk);
    memory_free(stacks->chunks);
    *stacks = (struct stacks){0};
}

static int add_chunk(struct stacks *stacks)
{
    if (stacks->chunk_count == stacks->chunk_capacity) {
        uint32_t capacity = stacks->chunk_capacity ? stacks->chunk_capacity * 2 : 8;
        void **grown = memory_resize(stacks->chunks, capacity * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        stacks->chunks = grown;
        stacks->chunk_capacity = capacity;
    }
    size_t size = stacks->stride * stacks->per_chunk;
    void *chunk = system_must_fail() ? MAP_FAILED
                                     : mmap(NULL, size, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (chunk == MAP_FAILED)
        return -ENOMEM;
    (void)madvise(chunk, size, MADV_NOHUGEPAGE); /* a huge page would make memory of 30 stacks for the sake of one */
    stacks->chunks[stacks->chunk_count++] = chunk;
    stacks->cut = 0;
    return 0;
}

static bool guard(struct stacks *stacks, void *bottom)
{
    if (stacks->light_guards) {
        if (madvise(bottom, stacks->page, MADV_GUARD_INSTALL) == 0)
            return true;
        stacks->light_guards = false;
        stacks->guards_left = guards_allowed();
    }
    if (stacks->guards_left == 0 || mprotect(bottom, stacks->page, PROT_NONE) != 0)
        return false;
    stacks->guards_left--;
    return true;
}

int stacks_cut(struct stacks *stacks, struct stack *ret)
{
    int error = stacks->cut == stacks->per_chunk ? add_chunk(stacks) : 0;
    if (error < 0)
        return error;
    char *bottom = (char *)stacks->chunks[stacks->chunk_count - 1] + stacks->cut++ * stacks->stride;
    bool guarded = guard(stacks, bottom);
    ret->bottom = guarded ? bottom + stacks->page : bottom;
    ret->size = stacks->stride - (size_t)(ret->bottom - bottom);
    ret->guarded = guarded;
    return 0;
}
