/* SPDX-License-Identifier: MIT */
/*
 * For tests that let what lies under the code fail: the Nth allocation, or the Nth system call, from a moment on.
 */
#ifndef BASE_TEST_FAILING_H
#define BASE_TEST_FAILING_H
#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/system.h"

struct failing {
    uint64_t nth;
    int error;    /* of a system call; 0: an allocation */
    bool forever; /* allocations: and all after it */
};

static inline void failing_begin(const struct failing *failing)
{
    if (failing->error)
        system_fail_nth(failing->nth, failing->error);
    else
        memory_fail_nth(failing->nth, failing->forever);
}

/* None fails from here on. Returns how many calls there were. */
static inline uint64_t failing_end(const struct failing *failing)
{
    return failing->error ? system_fail_nth(0, 0) : memory_fail_nth(0, false);
}
#endif
