/* SPDX-License-Identifier: MIT */
/*
 * A coroutine: a function with a stack of its own that may switch back to whoever resumed it, and be resumed where it
 * left off. One thread only. The switch saves what the ABI asks a callee to keep and swaps the stack pointer; on
 * machines without the assembly it is ucontext. AddressSanitizer and ThreadSanitizer are told of each switch.
 */
#ifndef ASYNC_COROUTINE_H
#define ASYNC_COROUTINE_H

#include <stdbool.h>
#include <stddef.h>

enum { COROUTINE_STACK = 512 * 1024 };

struct coroutine;

/* Makes one that will call entry(argument) at the first resume. The stack has a guard page below. NULL: no memory. */
struct coroutine *coroutine_new(void (*entry)(void *argument), void *argument, size_t stack_size);

/* Runs it until it suspends or ends. Not from inside itself. True while it has not ended. */
bool coroutine_resume(struct coroutine *coroutine);

/* From inside: goes back to the caller of resume. */
void coroutine_suspend(struct coroutine *coroutine);

/* Ended or never started only: a suspended one would leak what its stack owns. NULL is allowed. */
void coroutine_free(struct coroutine *coroutine);

#endif
