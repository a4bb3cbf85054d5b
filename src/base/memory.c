/* SPDX-License-Identifier: MIT */
#include "base/memory.h"
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/*
 * The switch for tests. Process-wide by nature: it stands where the allocator itself stands. While it is off, an
 * allocation pays one relaxed load of a line that nobody writes.
 */
static struct {
    _Atomic bool on;
    _Atomic bool forever;
    _Atomic uint64_t nth;
    _Atomic uint64_t made;
} failing;

static bool must_fail_now(void)
{
    uint64_t number = atomic_fetch_add_explicit(&failing.made, 1, memory_order_relaxed) + 1;
    uint64_t nth = atomic_load_explicit(&failing.nth, memory_order_relaxed);

    return number == nth || (number > nth && atomic_load_explicit(&failing.forever, memory_order_relaxed));
}

static inline bool must_fail(void)
{
    return __builtin_expect(atomic_load_explicit(&failing.on, memory_order_relaxed), false) && must_fail_now();
}

uint64_t memory_fail_nth(uint64_t nth, bool forever)
{
    uint64_t made;

    atomic_store(&failing.on, false);
    made = atomic_exchange(&failing.made, 0);
    atomic_store(&failing.nth, nth);
    atomic_store(&failing.forever, forever);
    atomic_store(&failing.on, nth > 0);
    return made;
}

void memory_one_heap(void)
{
    (void)mallopt(M_ARENA_MAX, 1); /* a wish, as sanitizers bring heaps of their own */
}

void *memory_allocate(size_t size)
{
    return must_fail() ? NULL : malloc(size > 0 ? size : 1);
}

void *memory_zeroed(size_t count, size_t size)
{
    size_t total;

    if (must_fail() || __builtin_mul_overflow(count, size, &total))
        return NULL;
    return calloc(1, total > 0 ? total : 1);
}

void *memory_resize(void *pointer, size_t size)
{
    return must_fail() ? NULL : realloc(pointer, size > 0 ? size : 1);
}

void *memory_aligned(size_t alignment, size_t size)
{
    void *pointer = NULL;

    if (must_fail())
        return NULL;
    if (alignment < sizeof(void *))
        alignment = sizeof(void *);
    return posix_memalign(&pointer, alignment, size > 0 ? size : 1) == 0 ? pointer : NULL;
}

void *memory_huge(size_t size)
{
    void *pointer = memory_aligned(MEMORY_HUGE_PAGE, size);

    if (pointer)
        (void)madvise(pointer, size, MADV_HUGEPAGE); /* a wish */
    return pointer;
}

char *memory_string(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memory_allocate(size);

    if (copy)
        memcpy(copy, text, size);
    return copy;
}

char *memory_format(const char *format, ...)
{
    va_list arguments;
    char *text;
    int length;

    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return NULL;
    text = memory_allocate((size_t)length + 1);
    if (!text)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

void memory_free(void *pointer)
{
    free(pointer);
}

static void note_peak(struct memory_budget *budget, uint64_t used)
{
    uint64_t peak = atomic_load_explicit(&budget->peak, memory_order_relaxed);

    while (peak < used && !atomic_compare_exchange_weak_explicit(&budget->peak, &peak, used, memory_order_relaxed,
                                                                 memory_order_relaxed)) {
    }
}

bool memory_budget_take(struct memory_budget *budget, uint64_t bytes)
{
    uint64_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
    uint64_t next;

    do {
        if (bytes > budget->limit || used > budget->limit - bytes) {
            atomic_fetch_add_explicit(&budget->refusals, 1, memory_order_relaxed);
            return false;
        }
        next = used + bytes;
    } while (
        !atomic_compare_exchange_weak_explicit(&budget->used, &used, next, memory_order_relaxed, memory_order_relaxed));
    note_peak(budget, next);
    return true;
}

void memory_budget_charge(struct memory_budget *budget, uint64_t bytes)
{
    note_peak(budget, atomic_fetch_add_explicit(&budget->used, bytes, memory_order_relaxed) + bytes);
}

void memory_budget_give(struct memory_budget *budget, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_relaxed);
}
