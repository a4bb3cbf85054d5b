/* SPDX-License-Identifier: MIT */
/*
 * Allocation with a switch for tests: every allocation of weir goes through here, so that the Nth can be made to fail.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdatomic.h>

void *memory_allocate(size_t size);             /* uninitialised; NULL when none is left */
void *memory_zeroed(size_t count, size_t size); /* overflow-checked */
void *memory_resize(void *pointer, size_t size);
void *memory_aligned(size_t alignment, size_t size); /* free with memory_free */
/* Memory of whole huge pages, for what is visited at random: where the system has them, one entry of the processor's
 * table of addresses stands for each, instead of hundreds that do not fit. `size`: a multiple of MEMORY_HUGE_PAGE. */
enum { MEMORY_HUGE_PAGE = 2 << 20 };
void *memory_huge(size_t size);        /* free with memory_free */
char *memory_string(const char *text); /* a copy */
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
void memory_free(void *pointer); /* NULL is allowed */

/* All threads that begin from now on take from one heap, so that what one gave back another can have: else each keeps
 * the most that it ever had. They may then wait for each other: with batches of one record that takes up to twice as
 * long. */
void memory_one_heap(void);

/* Makes the nth allocation from now fail (1: the next), once or from then on; 0 switches it off. Returns how many
 * allocations were made since the last call. Tests only. */
uint64_t memory_fail_nth(uint64_t nth, bool forever);

/* A budget in bytes, shared by threads: used <= limit, but for what is charged. */
struct memory_budget {
    _Atomic uint64_t used, peak, refusals;
    uint64_t limit;
};
bool memory_budget_take(struct memory_budget *budget, uint64_t bytes);   /* false: would exceed; counted */
void memory_budget_charge(struct memory_budget *budget, uint64_t bytes); /* memory that is there already */
void memory_budget_give(struct memory_budget *budget, uint64_t bytes);
#endif
