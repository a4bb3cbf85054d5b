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
#endif
