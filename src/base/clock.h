/* SPDX-License-Identifier: MIT */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
#include <stdint.h>
#define CLOCK_SECOND INT64_C(1000000000)
#define CLOCK_MILLISECOND INT64_C(1000000)
#define CLOCK_MICROSECOND INT64_C(1000)
int64_t clock_monotonic(void);  /* ns */
int64_t clock_wall(void);       /* ns since 1970 */
int64_t clock_thread_cpu(void); /* ns of processor time of this thread */
void clock_sleep_until(int64_t monotonic_ns);

/*
 * A wall clock that never runs backwards, for stamps: windows of event time take what is older than their watermark for
 * late, and somebody who sets the clock back by an hour must not make an hour of readings late. It follows the real one
 * when that is set forward (or slept: CLOCK_MONOTONIC does not count that). When the real one is set back it goes on at
 * nine tenths of its speed until it is caught up with, ten times as long as the step was.
 */
struct clock_steady { /* all zero at first */
    int64_t offset;   /* told last: this clock minus the monotonic one */
    int64_t at;       /* monotonic, then */
};
/* What it shows when the real clocks show wall_ns and monotonic_ns. One thread at a time, monotonic_ns in order. */
int64_t clock_steady_at(struct clock_steady *steady, int64_t wall_ns, int64_t monotonic_ns);
#endif
