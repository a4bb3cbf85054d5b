/* SPDX-License-Identifier: MIT */
/*
 * System calls with a switch for tests: what can fail in the field is made to fail here, the Nth call of all that are
 * written as SYSTEM_CALL(...), as base/memory.h does for allocations.
 */
#ifndef BASE_SYSTEM_H
#define BASE_SYSTEM_H
#include <stdbool.h>
#include <stdint.h>

/* -1 with errno set when it is this call's turn to fail; then it is not made. */
#define SYSTEM_CALL(call) (system_must_fail() ? -1 : (call))

bool system_must_fail(void);
/* Makes the nth call from now fail with errno `error`; 0 switches it off. Returns how many calls were made since the
 * last time. Tests only; process-wide, as memory_fail_nth is. */
uint64_t system_fail_nth(uint64_t nth, int error);
#endif
