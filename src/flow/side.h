/* SPDX-License-Identifier: MIT */
/*
 * The part that stands in a plan for a stage's second way out (weir_out_emit_side), so that others can read from it by
 * a name of its own: it passes on what it gets. A plan node of it has `side` set and reads from that stage alone.
 */
#ifndef FLOW_SIDE_H
#define FLOW_SIDE_H
#include <weir/part.h>

extern const struct weir_stage flow_side;
#endif
