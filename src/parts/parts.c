/* SPDX-License-Identifier: MIT */
/* The registry: which parts are built in, in the order in which `weir list` shows them. */
#include "parts/parts.h"

#include <string.h>

/* Tables are laid out by hand: */
/* clang-format off */

const struct weir_part *const weir_parts[] = {
    &source_file.part,
    &source_generate.part,
    &source_http.part,
    &source_spead.part,
    &source_adc.part,
    &stage_filter.part,
    &stage_derive.part,
    &stage_select.part,
    &stage_normalize.part,
    &stage_rolling.part,
    &stage_aggregate.part,
    &stage_alert.part,
    &stage_join.part,
    &stage_dedup.part,
    &stage_fill.part,
    &stage_throttle.part,
    &stage_sample.part,
    &stage_unpack.part,
    &stage_power.part,
#ifdef WEIR_HAVE_FFTW
    &stage_spectrum.part,
#endif
    &stage_burn.part,
    &stage_delay.part,
    &stage_call.part,
    &stage_lookup.part,
    &sink_stdout.part,
    &sink_file.part,
#ifdef WEIR_HAVE_SQLITE
    &sink_sqlite.part,
#endif
    &sink_http.part,
    &sink_spead.part,
    &sink_null.part,
    NULL,
};

const struct weir_left_out weir_left_out[] = {
#ifndef WEIR_HAVE_SQLITE
    {WEIR_SINK, "sqlite", "libsqlite3-dev"},
#endif
#ifndef WEIR_HAVE_FFTW
    {WEIR_STAGE, "spectrum", "libfftw3-dev"},
#endif
    {.name = NULL},
};

/* clang-format on */

const struct weir_left_out *weir_find_left_out(enum weir_kind kind, const char *name)
{
    for (const struct weir_left_out *part = weir_left_out; part->name; part++) {
        if (part->kind == kind && strcmp(part->name, name) == 0)
            return part;
    }
    return NULL;
}
