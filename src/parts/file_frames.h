/* SPDX-License-Identifier: MIT */
/*
 * Files of binary frames, whose headers say how long they are: a lane can read its frame itself, and then has it in the
 * caches near it, where the source's thread would have brought it to those of another processor. Only while the file is
 * in the page cache, as lanes do not wait. All on the source's thread, but for the reading.
 */
#ifndef PARTS_FILE_FRAMES_H
#define PARTS_FILE_FRAMES_H
#include "parts/file_reader.h"

struct file_frames { /* zeroed */
    struct weir_unread *file;
    uint32_t pause; /* for so many blocks it is not tried again */
};

/* Hands on whole frames of an uncompressed file of known layout, from `offset` on, without reading them, as far as that
 * goes; waits for credit. *ret_offset: where to read on. Returns 0 or a negative errno. */
int file_frames_hand_on(struct file_frames *frames, struct file_reader *reader, int fd, uint64_t offset,
                        uint64_t *ret_offset);
void file_frames_free(struct file_frames *frames);
#endif
