/* SPDX-License-Identifier: MIT */
#include "async/coroutine.h"

#include "base/memory.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WITH_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#ifndef __x86_64__
#include <ucontext.h>
#endif

struct coroutine {
    void (*entry)(void *argument);
    void *argument;
    void *mapping; /* guard page, then the stack */
    size_t mapping_size;
    bool ended;
#ifdef __x86_64__
    void *stack_pointer;  /* of the coroutine while it is suspended */
    void *caller_pointer; /* of the resumer while the coroutine runs */
#else
    ucontext_t context, caller;
#endif
#ifdef WITH_ASAN
    void *own_fake_stack, *caller_fake_stack;
    const void *caller_bottom;
    size_t caller_size;
#endif
#ifdef WITH_TSAN
    void *fiber, *caller_fiber;
#endif
};

#ifdef __x86_64__
/* switch_stacks(save, load): pushes the callee-saved registers and the floating-point control words, stores the stack
 * pointer in *save, takes the one given, and pops the same from there (System V ABI, x86-64). */
void coroutine_switch_stacks(void **save, void *load);
__asm__(".text\n"
        ".type coroutine_switch_stacks, @function\n"
        "coroutine_switch_stacks:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    subq $8, %rsp\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    addq $8, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size coroutine_switch_stacks, .-coroutine_switch_stacks\n");
#endif

static void enter_coroutine(struct coroutine *coroutine)
{
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(&coroutine->caller_fake_stack, (char *)coroutine->mapping + getpagesize(),
                                   coroutine->mapping_size - (size_t)getpagesize());
#endif
#ifdef WITH_TSAN
    coroutine->caller_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(coroutine->fiber, 0);
#endif
#ifdef __x86_64__
    coroutine_switch_stacks(&coroutine->caller_pointer, coroutine->stack_pointer);
#else
    swapcontext(&coroutine->caller, &coroutine->context);
#endif
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(coroutine->caller_fake_stack, NULL, NULL);
#endif
}

static void leave_coroutine(struct coroutine *coroutine)
{
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(coroutine->ended ? NULL : &coroutine->own_fake_stack, coroutine->caller_bottom,
                                   coroutine->caller_size);
#endif
#ifdef WITH_TSAN
    __tsan_switch_to_fiber(coroutine->caller_fiber, 0);
#endif
#ifdef __x86_64__
    coroutine_switch_stacks(&coroutine->stack_pointer, coroutine->caller_pointer);
#else
    swapcontext(&coroutine->context, &coroutine->caller);
#endif
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(coroutine->own_fake_stack, &coroutine->caller_bottom, &coroutine->caller_size);
#endif
}

static _Thread_local struct coroutine *starting; /* the one argument that a fresh stack cannot be given otherwise */

static void first_frame(void)
{
    struct coroutine *coroutine = starting;
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(NULL, &coroutine->caller_bottom, &coroutine->caller_size);
#endif
    coroutine->entry(coroutine->argument);
    coroutine->ended = true;
    leave_coroutine(coroutine);
    __builtin_unreachable();
}

static void prepare_stack(struct coroutine *coroutine)
{
#ifdef __x86_64__
    uint64_t *top = (uint64_t *)((char *)coroutine->mapping + coroutine->mapping_size);
    *--top = 0;                                /* keeps the stack aligned as after a call, and ends backtraces */
    *--top = (uint64_t)(uintptr_t)first_frame; /* where `ret` goes */
    for (int i = 0; i < 6; i++)
        *--top = 0;             /* rbp rbx r12 … r15 */
    *--top = 0x037f00001f80ULL; /* x87 control word 0x037f, MXCSR 0x1f80: the defaults */
    coroutine->stack_pointer = top;
#else
    getcontext(&coroutine->context);
    coroutine->context.uc_stack.ss_sp = (char *)coroutine->mapping + getpagesize();
    coroutine->context.uc_stack.ss_size = coroutine->mapping_size - (size_t)getpagesize();
    coroutine->context.uc_link = NULL;
    makecontext(&coroutine->context, first_frame, 0);
#endif
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
    prepare_stack(coroutine);
#ifdef WITH_TSAN
    coroutine->fiber = __tsan_create_fiber(0);
#endif
    return coroutine;
}

bool coroutine_resume(struct coroutine *coroutine)
{
    if (coroutine->ended)
        return false;
    starting = coroutine;
    enter_coroutine(coroutine);
    return !coroutine->ended;
}

void coroutine_suspend(struct coroutine *coroutine)
{
    leave_coroutine(coroutine);
}

void coroutine_free(struct coroutine *coroutine)
{
    if (!coroutine)
        return;
#ifdef WITH_TSAN
    __tsan_destroy_fiber(coroutine->fiber);
#endif
#ifdef WITH_ASAN
    __asan_unpoison_memory_region(coroutine->mapping, coroutine->mapping_size);
#endif
    munmap(coroutine->mapping, coroutine->mapping_size);
    memory_free(coroutine);
}
