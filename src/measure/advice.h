/* SPDX-License-Identifier: MIT */
/*
 * Advice at the end of a run, in words: what held it back and what is at most to be won there (Amdahl), whether more
 * lanes would help, what gathering records into batches costs in latency, and which goals were missed by how much.
 * Pure: the same report, the same words.
 */
#ifndef MEASURE_ADVICE_H
#define MEASURE_ADVICE_H

#include "base/buffer.h"

struct report;

/* Appends one paragraph without line breaks; nothing where there is nothing to say (no record came in). */
void advice_text(const struct report *report, struct weir_buffer *out);

#endif
