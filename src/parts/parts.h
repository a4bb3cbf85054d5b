/* SPDX-License-Identifier: MIT */
/*
 * The built-in parts. Each source_*.c, stage_*.c and sink_*.c of this folder ends with one of these tables and exports
 * nothing else; parts.c lists them. Nobody but parts.c needs this header: everybody else finds a part by its name in
 * weir_parts, and gets at the whole table of its kind with the conversions below.
 */
#ifndef PARTS_PARTS_H
#define PARTS_PARTS_H
#include <weir/part.h>

extern const struct weir_source source_file, source_generate, source_http, source_spead, source_adc;
extern const struct weir_stage stage_filter, stage_derive, stage_select, stage_normalize, stage_rolling, stage_burn;
extern const struct weir_stage stage_aggregate, stage_alert, stage_join, stage_dedup, stage_fill, stage_throttle,
    stage_sample;
extern const struct weir_stage stage_delay, stage_call, stage_lookup;
extern const struct weir_stage stage_power, stage_unpack;
#ifdef WEIR_HAVE_FFTW
extern const struct weir_stage stage_spectrum;
#endif
extern const struct weir_sink sink_stdout, sink_file, sink_null, sink_http;
extern const struct weir_sink sink_spead;
#ifdef WEIR_HAVE_SQLITE
extern const struct weir_sink sink_sqlite;
#endif

/* From the head that weir_parts lists to the whole table; NULL when the part is of another kind. (The head is the first
 * member of each of them.) */
static inline const struct weir_source *parts_source(const struct weir_part *part)
{
    return part->kind == WEIR_SOURCE ? (const struct weir_source *)part : NULL;
}
static inline const struct weir_stage *parts_stage(const struct weir_part *part)
{
    return part->kind == WEIR_STAGE ? (const struct weir_stage *)part : NULL;
}
static inline const struct weir_sink *parts_sink(const struct weir_part *part)
{
    return part->kind == WEIR_SINK ? (const struct weir_sink *)part : NULL;
}

#endif
