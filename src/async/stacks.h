/* SPDX-License-Identifier: MIT */
/*
 * Stacks of tasks, cut from large mappings that are given back only with the pool: address space is reserved, memory is
 * what they touch. The lowest page of each is a guard where the kernel can do that at no cost (Linux ≥ 6.13), or by
 * mprotect for the first quarter of vm.max_map_count (each such page splits its mapping in two). The rest have no
 * guard: their lowest words must stay zero, which stack_overflown looks at.
 */
#ifndef ASYNC_STACKS_H
#define ASYNC_STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stacks {
    void **chunks;
    uint32_t chunk_count, chunk_capacity;
    uint32_t cut;       /* of the last chunk */
    uint32_t per_chunk; /* stacks in each */
    size_t stride, page;
    uint64_t guards_left; /* mprotect: how many more */
    bool light_guards;    /* the kernel has them */
};
struct stack {
    char *bottom; /* of what may be used */
    size_t size;
    bool guarded;
};

void stacks_init(struct stacks *stacks, size_t stack_size);
void stacks_done(struct stacks *stacks); /* all of them */
/* -ENOMEM. It is the pool's until stacks_done. */
int stacks_cut(struct stacks *stacks, struct stack *ret);
/* For one without a guard. Does not make memory of an untouched page. */
static inline bool stack_overflown(const char *bottom)
{
    const volatile uint64_t *words = (const volatile uint64_t *)bottom;
    return words[0] | words[1] | words[2] | words[3];
}

#endif
