/* SPDX-License-Identifier: MIT */
/*
 * A fiber: where one stack of execution stands while another runs. Switching saves what the ABI asks a callee to keep
 * and swaps the stack pointer: a few nanoseconds, in assembly on x86-64 and aarch64, by ucontext elsewhere.
 * AddressSanitizer and ThreadSanitizer are told of each switch. One thread only.
 */
#ifndef ASYNC_FIBER_H
#define ASYNC_FIBER_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif
#endif

#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(WEIR_FIBER_UCONTEXT)
#define FIBER_ASSEMBLY 1
#else
#include <ucontext.h>
#endif

/* Frames of instrumented code are several times as large: stacks grow with them. */
#if defined(FIBER_ASAN) || defined(FIBER_TSAN)
enum { FIBER_STACK_FACTOR = 4 };
#else
enum { FIBER_STACK_FACTOR = 1 };
#endif

struct fiber {
#ifdef FIBER_ASSEMBLY
    void *pointer; /* its stack pointer while another runs */
#else
    ucontext_t context;
#endif
#if defined(FIBER_ASAN)
    const void *bottom;
    size_t size;
    void *fake_stack;
#endif
#if defined(FIBER_TSAN)
    void *tsan;
#endif
};

/* What runs now becomes `fiber`, which can be switched away from. */
void fiber_adopt(struct fiber *fiber);
/* Makes it begin with entry(argument) on the given stack (16-byte aligned at its end) when first switched to. entry
 * calls fiber_started first and never returns: it ends with fiber_leave. `fiber` is zeroed, or was prepared before and
 * has ended. */
void fiber_prepare(struct fiber *fiber, void *stack, size_t size, void (*entry)(void *argument), void *argument);
void fiber_started(void);
/* Leaves `from`, which runs now, and goes on with `to`; returns when somebody switches to `from`. */
#if defined(FIBER_ASSEMBLY) && !defined(FIBER_ASAN) && !defined(FIBER_TSAN)
void fiber_swap(void **save, void *load); /* fiber.c */
static inline void fiber_switch(struct fiber *from, struct fiber *to)
{
    fiber_swap(&from->pointer, to->pointer);
}
#else
void fiber_switch(struct fiber *from, struct fiber *to);
#endif
/* It will be prepared with this stack: until then, that is what fiber_prefetch asks for. */
static inline void fiber_expect(struct fiber *fiber, void *stack, size_t size)
{
#ifdef FIBER_ASSEMBLY
    fiber->pointer = (char *)stack + size - 192;
#else
    (void)fiber;
    (void)stack;
    (void)size;
#endif
}
/* Asks for the memory that switching to it will need. Always inline, or GCC leaves it out. */
__attribute__((always_inline)) static inline void fiber_prefetch(const struct fiber *fiber)
{
#ifdef FIBER_ASSEMBLY
    __builtin_prefetch(fiber->pointer, 1);
    __builtin_prefetch((const char *)fiber->pointer + 64, 1);
    __builtin_prefetch((const char *)fiber->pointer + 128, 1);
#else
    (void)fiber;
#endif
}
/* The same for one that has ended: never returns. */
void fiber_leave(struct fiber *from, struct fiber *to) __attribute__((noreturn));
/* Prepared, and ended or never started; not for an adopted one. */
void fiber_release(struct fiber *fiber);

#endif
