/* SPDX-License-Identifier: MIT */
/*
 * The names of files that were rotated: a number before the ending, readings.ndjson.gz → readings.000001.ndjson.gz. The
 * numbers only grow, also from run to run, so the files sorted by name, with readings.ndjson.gz behind them, are the
 * records in the order in which they were written. One thread; all of it looks at the folder, and may block on it.
 */
#ifndef PARTS_FILE_ROTATION_H
#define PARTS_FILE_ROTATION_H
#include <stdint.h>

/* Gives the file `name` the next number in the row of `path`'s; nothing is overwritten. *ret: its new name, for
 * memory_free. Returns 0 or a negative errno. */
int file_rotation_move(const char *name, const char *path, char **ret);
/* Removes those with the lowest numbers until `keep` are left; *ret_removed: how many. Returns 0 or a negative errno.
 */
int file_rotation_trim(const char *path, int64_t keep, uint64_t *ret_removed);
/* The folder that a file is in; for memory_free. NULL: no memory. */
char *file_rotation_folder(const char *path);

#endif
