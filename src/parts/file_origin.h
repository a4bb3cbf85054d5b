/* SPDX-License-Identifier: MIT */
/*
 * Which file and line is record number n of a source? Known for as long as the record is under way: the blocks that
 * were handed on last are remembered as runs, in each of which lines and positions grow together.
 */
#ifndef PARTS_FILE_ORIGIN_H
#define PARTS_FILE_ORIGIN_H
#include <pthread.h>
#include <stdint.h>

enum { FILE_ORIGIN_RUNS = 1024 }; /* as many as a source may have batches in flight (flow/receipt.h) */

struct file_run {
    uint64_t position, line; /* of its first record */
    const char *file;        /* lives as long as the source */
    uint32_t step;           /* lines for each record: 1; 0: unknown, the line is that of the run */
};
struct file_origin {
    pthread_mutex_t lock;
    struct file_run runs[FILE_ORIGIN_RUNS]; /* run number n at n modulo its size */
    uint64_t count;
};

void file_origin_init(struct file_origin *origin);
void file_origin_destroy(struct file_origin *origin);
/* The records from `run.position` on, whose positions are above those of all runs before. */
void file_origin_add(struct file_origin *origin, struct file_run run);
/* NULL: not known any more. Any thread. */
const char *file_origin_find(struct file_origin *origin, uint64_t position, uint64_t *ret_line);

#endif
