/* SPDX-License-Identifier: MIT */
/*
 * Follows files that grow: whatever is appended comes out as records, over rotation by rename (what was renamed is read
 * to its end first), rotation by copy and truncate (begins again at the start), and files that appear and vanish under
 * a pattern. A last line waits until its newline comes, or until its file was rotated away and nothing came for a
 * while.
 */
#ifndef PARTS_FILE_FOLLOW_H
#define PARTS_FILE_FOLLOW_H
#include <weir/part.h>

#include "parts/file_reader.h"

enum follow_begin { FOLLOW_START, FOLLOW_END };

/* Until the pipeline stops; 0 or a negative errno. `patterns` as in a source's path. `read_whole` reads a file once, to
 * its end: for compressed ones, which do not grow. */
int file_follow(struct file_reading *reading, const struct weir_list *patterns, enum follow_begin begin,
                int (*read_whole)(struct file_reading *reading, const char *name, bool only));

#endif
