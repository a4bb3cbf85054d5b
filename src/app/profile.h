/* SPDX-License-Identifier: MIT */
/* What values there are in the columns of a sample. */
#ifndef APP_PROFILE_H
#define APP_PROFILE_H
#include "codec/codec.h"

enum { PROFILE_DISTINCT_MOST = 4096 };

struct profile_column {
    uint64_t values, nulls;
    double least, most, mean, squares; /* of numbers and times (ns); squares: sum of (x − mean)² */
    uint64_t distinct;                 /* texts, at most PROFILE_DISTINCT_MOST of them are told apart */
    char first[48];                    /* the first text, cut */
};
struct profile {
    uint64_t records, refused;
    struct weir_schema *schema;
    struct profile_column *columns; /* schema->count */
};
/* Decodes the sample with the layout. -ENOMEM with words. */
int profile_new(struct codec_layout *layout, const char *data, size_t size, struct profile *ret,
                struct weir_error *error);
void profile_free(struct profile *profile);
double profile_stddev(const struct profile_column *column);

#endif
