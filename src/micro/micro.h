/* SPDX-License-Identifier: MIT */
/*
 * What `weir bench` measures: one file for each kind of work, each with a table of benchmarks (measure/microbench.h),
 * all listed in micro.c. They run weir's own code on data made here, without files, sockets or an engine around it, and
 * check what comes out: a benchmark of what does not work fails.
 */
#ifndef MICRO_MICRO_H
#define MICRO_MICRO_H
#include "measure/microbench.h"

/* In the order in which they are shown; a pair stands together. NULL-terminated. */
extern const struct microbench *const micro_tables[]; /* each ends with name NULL */

extern const struct microbench micro_codecs[], micro_symbols[], micro_expressions[], micro_kernels[], micro_edges[],
    micro_tasks[], micro_spead[], micro_lessons[], micro_sums[], micro_handovers[];

/* What is known of the machine. `pin`: runs this thread from now on on one processor alone: the one it is on. */
void micro_machine(bool pin, struct microbench_machine *ret);
/* MHz: how many additions that wait for each other the processor does in a microsecond of processor time. */
double micro_frequency(void);

#endif
