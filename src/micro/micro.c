/* SPDX-License-Identifier: MIT */
#include "micro/micro.h"

const struct microbench *const micro_tables[] = {
    micro_codecs, micro_symbols, micro_expressions, micro_kernels,   micro_edges, micro_tasks,
    micro_spead,  micro_lessons, micro_sums,        micro_handovers, NULL};
