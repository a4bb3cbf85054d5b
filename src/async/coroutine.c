/* SPDX-License-Identifier: MIT */
#include "async/coroutine.h"

#include "async/fiber.h"
#include "base/memory.h"

#include <sys/mman.h>
#include <unistd.h>

struct coroutine {
    struct fiber own, caller;
    void (*entry)(void *argument);
    void *argument;
    void *mapping; /* guard page, then the stack */
    size_t mapping_size;
    bool ended;
};

static void run_entry(void *argument)
{
    struct coroutine *coroutine = argument;
    fiber_started();
    coroutine->entry(coroutine->argument);
    coroutine->ended = true;
    fiber_leave(&coroutine->own, &coroutine->caller);
}

struct coroutine *coroutine_new(void (*entry)(void *argument), void *argument, size_t stack_size)
{
    struct coroutine *coroutine = memory_zeroed(1, sizeof *coroutine);
    if (!coroutine)
        return NULL;
    size_t page = (size_t)getpagesize();
    coroutine->entry = entry;
    coroutine->argument = argument;
    coroutine->mapping_size = page + (stack_size + page - 1) / page * page;
    coroutine->mapping = mmap(NULL, coroutine->mapping_size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (coroutine->mapping == MAP_FAILED) {
        memory_free(coroutine);
        return NULL;
    }
    (void)mprotect(coroutine->mapping, page, PROT_NONE);
    fiber_prepare(&coroutine->own, (char *)coroutine->mapping + page, coroutine->mapping_size - page, run_entry,
                  coroutine);
    return coroutine;
}

bool coroutine_resume(struct coroutine *coroutine)
{
    if (coroutine->ended)
        return false;
    fiber_adopt(&coroutine->caller);
    fiber_switch(&coroutine->caller, &coroutine->own);
    return !coroutine->ended;
}

void coroutine_suspend(struct coroutine *coroutine)
{
    fiber_switch(&coroutine->own, &coroutine->caller);
}

void coroutine_free(struct coroutine *coroutine)
{
    if (!coroutine)
        return;
    fiber_release(&coroutine->own);
    munmap(coroutine->mapping, coroutine->mapping_size);
    memory_free(coroutine);
}
