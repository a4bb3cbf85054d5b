/* SPDX-License-Identifier: MIT */
/* A plan as a drawing in ASCII. */
#ifndef APP_DRAW_H
#define APP_DRAW_H
#include "base/buffer.h"
#include "flow/plan.h"

/* Appends the drawing to out; out->failed when out of memory. */
void draw_plan(const struct plan *plan, struct weir_buffer *out);

#endif
