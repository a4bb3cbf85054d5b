/* SPDX-License-Identifier: MIT */
/* The beginning of a data file: what its columns are, before anything runs. */
#ifndef APP_SAMPLE_H
#define APP_SAMPLE_H
#include "codec/codec.h"
#include "flow/plan.h"

struct sample {
    char *data;
    size_t size;
    bool whole; /* the file holds no more */
    uint64_t file_size;
};
/* Reads up to `most` bytes. Only regular files: a pipe would lose what is read here (-ESPIPE); and "-", stdin. */
int sample_read(const char *path, size_t most, struct sample *ret, struct weir_error *error);
void sample_free(struct sample *sample);

/* The schema of the records of a source, from its first file: 0 and *ret a reference, or *ret NULL when it cannot be
 * known yet (no file, a stream). Negative: a mistake, with words. */
int sample_schema(const struct plan_node *source, struct weir_schema **ret, struct weir_error *error);

/* The path or pattern of a source that reads files which no file is behind (now, here), or NULL. Borrowed. */
const char *sample_missing(const struct plan_node *source);

#endif
