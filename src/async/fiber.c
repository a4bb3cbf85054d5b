/* SPDX-License-Identifier: MIT */
#include "async/fiber.h"

#include <stdint.h>

#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#ifdef FIBER_ASSEMBLY
/* fiber_swap(save, load): stores on the stack what a callee must preserve, the stack pointer in *save, takes the one
 * given, and restores the same from there. fiber_begin is where a fresh stack "returns" to. */
void fiber_swap(void **save, void *load); /* again: the header shows it to some builds only */
void fiber_begin(void);
#endif

#if defined(FIBER_ASSEMBLY) && defined(__x86_64__)
/* System V ABI, x86-64: rbx, rbp, r12 to r15, and the control words of the x87 unit and MXCSR, which are loaded only
 * where they differ. */
__asm__(".text\n"
        ".type fiber_swap, @function\n"
        ".globl fiber_swap\n"
        ".hidden fiber_swap\n"
        "fiber_swap:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    subq $8, %rsp\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movl (%rsp), %eax\n"
        "    movzwl 4(%rsp), %ecx\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    xorl (%rsp), %eax\n"
        "    testl $0xffc0, %eax\n" /* what MXCSR controls; its lowest bits say what happened */
        "    jne 1f\n"
        "    cmpw 4(%rsp), %cx\n"
        "    jne 1f\n"
        "0:  addq $8, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        "1:  ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    jmp 0b\n"
        ".size fiber_swap, .-fiber_swap\n"
        ".type fiber_begin, @function\n"
        ".globl fiber_begin\n"
        ".hidden fiber_begin\n"
        "fiber_begin:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined rip\n" /* backtraces end here */
        "    movq %r12, %rdi\n"
        "    call *%r13\n"
        "    ud2\n"
        "    .cfi_endproc\n"
        ".size fiber_begin, .-fiber_begin\n");

static void *first_frame(char *top, void (*entry)(void *argument), void *argument)
{
    uint64_t *frame = (uint64_t *)top;
    *--frame = 0;
    *--frame = 0; /* keeps the stack aligned for the call in fiber_begin */
    *--frame = (uint64_t)(uintptr_t)fiber_begin;
    *--frame = 0; /* rbp */
    *--frame = 0; /* rbx */
    *--frame = (uint64_t)(uintptr_t)argument;
    *--frame = (uint64_t)(uintptr_t)entry;
    *--frame = 0;                 /* r14 */
    *--frame = 0;                 /* r15 */
    *--frame = 0x037f00001f80ULL; /* x87 control word 0x037f, MXCSR 0x1f80: the defaults */
    return frame;
}
#endif

#if defined(FIBER_ASSEMBLY) && defined(__aarch64__)
/* AAPCS64: x19 to x28, the frame pointer x29, the link register x30, the lower halves of v8 to v15, and FPCR. */
__asm__(".text\n"
        ".type fiber_swap, %function\n"
        ".globl fiber_swap\n"
        ".hidden fiber_swap\n"
        "fiber_swap:\n"
        "    sub sp, sp, #176\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mrs x9, fpcr\n"
        "    str x9, [sp, #160]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldr x9, [sp, #160]\n"
        "    msr fpcr, x9\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #176\n"
        "    ret\n"
        ".size fiber_swap, .-fiber_swap\n"
        ".type fiber_begin, %function\n"
        ".globl fiber_begin\n"
        ".hidden fiber_begin\n"
        "fiber_begin:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined x30\n"
        "    mov x0, x19\n"
        "    blr x20\n"
        "    brk #1\n"
        "    .cfi_endproc\n"
        ".size fiber_begin, .-fiber_begin\n");

static void *first_frame(char *top, void (*entry)(void *argument), void *argument)
{
    uint64_t *frame = (uint64_t *)(top - 176);
    for (int i = 0; i < 176 / 8; i++)
        frame[i] = 0;
    frame[0] = (uint64_t)(uintptr_t)argument;     /* x19 */
    frame[1] = (uint64_t)(uintptr_t)entry;        /* x20 */
    frame[11] = (uint64_t)(uintptr_t)fiber_begin; /* x30 */
    return frame;
}
#endif

#ifdef FIBER_ASAN
static _Thread_local struct fiber *left; /* whom the fiber that begins or goes on now has taken over from */

static void arrive(struct fiber *fiber)
{
    __sanitizer_finish_switch_fiber(fiber ? fiber->fake_stack : NULL, &left->bottom, &left->size);
}
#endif

static void tell_of_switch(struct fiber *from, struct fiber *to, int ended)
{
    (void)from;
    (void)to;
    (void)ended;
#ifdef FIBER_ASAN
    left = from;
    __sanitizer_start_switch_fiber(ended ? NULL : &from->fake_stack, to->bottom, to->size);
#endif
#ifdef FIBER_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
}

void fiber_adopt(struct fiber *fiber)
{
    *fiber = (struct fiber){0};
#ifdef FIBER_TSAN
    fiber->tsan = __tsan_get_current_fiber();
#endif
}

#ifndef FIBER_ASSEMBLY
static void begin(unsigned entry_high, unsigned entry_low, unsigned argument_high, unsigned argument_low)
{
    void (*entry)(void *) = (void (*)(void *))(uintptr_t)((uint64_t)entry_high << 32 | entry_low);
    entry((void *)(uintptr_t)((uint64_t)argument_high << 32 | argument_low));
    __builtin_unreachable();
}
#endif

void fiber_prepare(struct fiber *fiber, void *stack, size_t size, void (*entry)(void *argument), void *argument)
{
#ifdef FIBER_ASSEMBLY
    fiber->pointer = first_frame((char *)stack + size, entry, argument);
#else
    uint64_t entry_bits = (uintptr_t)entry, argument_bits = (uintptr_t)argument;
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = stack;
    fiber->context.uc_stack.ss_size = size;
    fiber->context.uc_link = NULL;
    makecontext(&fiber->context, (void (*)(void))begin, 4, (unsigned)(entry_bits >> 32), (unsigned)entry_bits,
                (unsigned)(argument_bits >> 32), (unsigned)argument_bits);
#endif
#ifdef FIBER_ASAN
    __asan_unpoison_memory_region(stack, size); /* frames of an earlier use that never returned */
    fiber->bottom = stack;
    fiber->size = size;
    fiber->fake_stack = NULL;
#endif
#ifdef FIBER_TSAN
    if (!fiber->tsan)
        fiber->tsan = __tsan_create_fiber(0);
#endif
}

void fiber_started(void)
{
#ifdef FIBER_ASAN
    arrive(NULL);
#endif
}

#if !defined(FIBER_ASSEMBLY) || defined(FIBER_ASAN) || defined(FIBER_TSAN)
void fiber_switch(struct fiber *from, struct fiber *to)
{
    tell_of_switch(from, to, 0);
#ifdef FIBER_ASSEMBLY
    fiber_swap(&from->pointer, to->pointer);
#else
    swapcontext(&from->context, &to->context);
#endif
#ifdef FIBER_ASAN
    arrive(from);
#endif
}
#endif

void fiber_leave(struct fiber *from, struct fiber *to)
{
    tell_of_switch(from, to, 1);
#ifdef FIBER_ASSEMBLY
    fiber_swap(&from->pointer, to->pointer);
#else
    setcontext(&to->context);
#endif
    __builtin_unreachable();
}

void fiber_release(struct fiber *fiber)
{
    (void)fiber;
#ifdef FIBER_ASAN
    if (fiber->bottom)
        __asan_unpoison_memory_region(fiber->bottom, fiber->size);
#endif
#ifdef FIBER_TSAN
    if (fiber->tsan)
        __tsan_destroy_fiber(fiber->tsan);
#endif
}
