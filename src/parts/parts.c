/* SPDX-License-Identifier: MIT */
/* The registry: which parts are built in, in the order in which `weir list` shows them. */
#include "parts/parts.h"

/* Tables are laid out by hand: */
/* clang-format off */

const struct weir_part *const weir_parts[] = {
    &source_file.part,
    &source_generate.part,
    &stage_filter.part,
    &stage_derive.part,
    &stage_select.part,
    &stage_normalize.part,
    &stage_rolling.part,
    &stage_aggregate.part,
    &stage_alert.part,
    &stage_dedup.part,
    &stage_fill.part,
    &stage_throttle.part,
    &stage_sample.part,
    &stage_burn.part,
    &sink_stdout.part,
    &sink_file.part,
#ifdef WEIR_HAVE_SQLITE
    &sink_sqlite.part,
#endif
    &sink_null.part,
    NULL,
};
