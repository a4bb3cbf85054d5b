/* SPDX-License-Identifier: MIT */
/* Whole files that commands write and read besides data. Mistakes are explained on stderr. */
#ifndef APP_FILES_H
#define APP_FILES_H

#include "base/buffer.h"

enum { FILES_SIZE_MAX = 64 << 20 };

/* Writes beside the file and renames, so that nobody sees half of it; "-" is stdout. Empties the buffer. APP_OK or
 * APP_FAILED. */
int files_save(const char *path, struct weir_buffer *text);
/* Before any work is done for it: can files_save write there? Leaves nothing behind. path: NULL is fine. -1: go on;
 * else the exit code, and the mistake was explained as one of `option`. */
int files_check(const char *option, const char *path);
/* 0 or a negative errno. Free the buffer in any case. */
int files_load(const char *path, struct weir_buffer *text);
/* The path's last part. */
const char *files_name(const char *path);

#endif
