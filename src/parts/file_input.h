/* SPDX-License-Identifier: MIT */
/* The bytes of one file or stream, unpacked on the way where its first bytes say that it is compressed: gzip, zstd,
 * each of any number of members in a row. All on the source's thread. */
#ifndef PARTS_FILE_INPUT_H
#define PARTS_FILE_INPUT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "parts/packing.h"

struct unpacker;

struct file_input { /* zeroed but for fd and stream */
    int fd;         /* the caller's to close */
    bool stream;    /* a read may have to wait: no more than one in each file_input_read */
    bool asked;     /* in this call */
    bool unread;    /* the next call has something to give without a read: do not wait for fd */
    enum packing packing;
    unsigned char head[PACKING_MAGIC];
    size_t head_size;
    struct unpacker *unpacker;
    uint64_t offset;      /* bytes of the file that were taken */
    const char *mistake;  /* after -EBADMSG or -ENOTSUP: what is wrong with the packed bytes */
    uint64_t mistaken_at; /* and where: offset in the file */
    bool between;         /* it is behind a piece that was good */
    uint64_t member_at;   /* where the packed piece begins that is read, or was damaged */
    bool torn_members;    /* a member ended that was not the end of a line: members are cut anywhere */
    char last;            /* byte that was unpacked */
};

/* Reads up to `size` bytes. Returns how many came; 0: the end; -EAGAIN: none yet, try again, once fd is
 * readable if it is a stream;
 * -EBADMSG: the packed bytes are damaged (what this member gave before may be wrong, too), and the next call looks for
 * where another member begins; -ENOTSUP: this weir cannot unpack them; or another negative errno. */
ssize_t file_input_read(struct file_input *input, void *data, size_t size);
void file_input_free(struct file_input *input);

#endif
