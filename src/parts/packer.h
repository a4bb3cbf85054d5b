/* SPDX-License-Identifier: MIT */
/* Packs bytes on their way into a file, as gzip or zstd. Blocks the caller while it computes; one thread. */
#ifndef PARTS_PACKER_H
#define PARTS_PACKER_H
#include "base/buffer.h"
#include "parts/packing.h"

struct packer;

/* NULL: this weir can write that; else what to install and build again. */
const char *packer_missing(enum packing packing);
/* What a file name stands for: .gz, .zst, .zstd. */
enum packing packer_of_name(const char *name);
/* `level` 0: the format's own default. -ENOTSUP: left out of this build; -ENOMEM. */
int packer_new(enum packing packing, int level, struct packer **ret);
void packer_free(struct packer *packer); /* NULL is allowed */

/* Packs `size` bytes and appends what comes of it: everything that was given so far can be read back from what came
 * out, so a file that is cut off there has lost nothing. Returns 0, -ENOMEM, or -EIO. */
int packer_add(struct packer *packer, const char *data, size_t size, struct weir_buffer *out);
/* The end with its checksum, if anything was added since the last one. What is added next begins anew: such pieces may
 * stand one behind the other. */
int packer_end(struct packer *packer, struct weir_buffer *out);

#endif
