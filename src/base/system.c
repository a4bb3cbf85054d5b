/* SPDX-License-Identifier: MIT */
#include "base/system.h"
#include <errno.h>
#include <stdatomic.h>

static struct {
    _Atomic bool on;
    _Atomic int error;
    _Atomic uint64_t nth;
    _Atomic uint64_t made;
} failing;

static bool must_fail_now(void)
{
    if (atomic_fetch_add_explicit(&failing.made, 1, memory_order_relaxed) + 1 !=
        atomic_load_explicit(&failing.nth, memory_order_relaxed))
        return false;
    errno = atomic_load_explicit(&failing.error, memory_order_relaxed);
    return true;
}

bool system_must_fail(void)
{
    return __builtin_expect(atomic_load_explicit(&failing.on, memory_order_relaxed), false) && must_fail_now();
}

uint64_t system_fail_nth(uint64_t nth, int error)
{
    atomic_store(&failing.on, false);
    uint64_t made = atomic_exchange(&failing.made, 0);
    atomic_store(&failing.error, error);
    atomic_store(&failing.nth, nth);
    atomic_store(&failing.on, nth > 0);
    return made;
}
