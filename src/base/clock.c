/* SPDX-License-Identifier: MIT */
#include "base/clock.h"
#include <errno.h>
#include <time.h>

enum { STEADY_SLOWER = 10 }; /* by one in so many, while it is ahead */

static int64_t read_clock(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now); /* cannot fail for these clocks */
    return (int64_t)now.tv_sec * CLOCK_SECOND + now.tv_nsec;
}

int64_t clock_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_thread_cpu(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_steady_at(struct clock_steady *steady, int64_t wall_ns, int64_t monotonic_ns)
{
    const int64_t real = wall_ns - monotonic_ns, slower = (monotonic_ns - steady->at) / STEADY_SLOWER;
    if (!steady->at || real > steady->offset - slower)
        steady->offset = real;
    else
        steady->offset -= slower;
    steady->at = monotonic_ns;
    return monotonic_ns + steady->offset;
}

void clock_sleep_until(int64_t monotonic_ns)
{
    struct timespec until = {.tv_sec = monotonic_ns / CLOCK_SECOND, .tv_nsec = monotonic_ns % CLOCK_SECOND};

    if (monotonic_ns <= 0)
        return;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}
