/* SPDX-License-Identifier: MIT */
/*
 * A file being written, whole pieces at a time: when the disk is full in the middle of one, the file is cut back to the
 * end of the piece before. Words for what went wrong are env->error's. One thread; every call may block on the disk.
 */
#ifndef PARTS_FILE_OUTPUT_H
#define PARTS_FILE_OUTPUT_H
#include <stdbool.h>
#include <sys/types.h>
#include <weir/part.h>

struct file_output {  /* zeroed: nothing open */
    const char *path; /* for messages; the caller's */
    int fd;           /* + 1, so that 0 is none */
    bool regular;
    off_t size; /* of a regular file: whole pieces */
};

/* Opens `name`, created if need be, its content left as it is, and locks it, so that two writers do not mix their
 * records: -EBUSY when somebody else has. `fresh`: it must not have been there (-EEXIST). */
int file_output_open(struct file_output *output, struct weir_env *env, const char *name, bool fresh);
void file_output_close(struct file_output *output);
static inline bool file_output_is_open(const struct file_output *output)
{
    return output->fd > 0;
}

/* Cuts a regular file off at `size`; what is written next goes there. */
int file_output_cut(struct file_output *output, struct weir_env *env, off_t size);
/* All of data or, where the file can be cut back, nothing of it. */
int file_output_write(struct file_output *output, struct weir_env *env, const char *data, size_t size);
/* Waits for the disk; `all`: also for what the file system says of the file, as at its end. */
int file_output_sync(struct file_output *output, struct weir_env *env, bool all);
/* Renamed files are there after a power failure, too. Best effort. */
void file_output_sync_folder(const char *path);

/* Sets env's error to the words for a negative errno about `name`, and returns it. */
int file_output_explain(const char *name, struct weir_env *env, int code);

#endif
