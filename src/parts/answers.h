/* SPDX-License-Identifier: MIT */
/*
 * Answers that become columns: what a server or a table knows about a record, taken out of JSON by pointers, in
 * columns of declared types. What is missing, or of another type, is null and counted by column.
 */
#ifndef PARTS_ANSWERS_H
#define PARTS_ANSWERS_H
#include <weir/part.h>

#include "base/buffer.h"
#include "codec/json_pointer.h"

enum { ANSWERS_COLUMNS_MOST = 256, ANSWERS_ELEMENTS_MOST = 65536 };

struct answer_column {
    struct weir_field field;
    const char *pointer; /* within the answer */
    struct weir_mark mark;
    uint32_t at; /* in the schema that goes out */
};

struct answers { /* zeroed: none */
    struct answer_column *columns;
    uint32_t count;
    struct weir_schema *schema; /* that goes out */
};

/* What becomes of records that no answer came for: a part's option `on_failure`. */
enum answers_failure { ANSWERS_FAILURE_REFUSE, ANSWERS_FAILURE_NULL, ANSWERS_FAILURE_STOP };
extern const char *const answers_failure_names[];
/* Tells of a failure of a kind ("call failed"). 0, or -EIO with words where the run is to stop. */
int answers_fail(struct weir_env *env, enum answers_failure on_failure, const char *kind, const char *words);

/* The names of `values` with their pointers, and types as `fields` says ("f64", "text", "f64[384]", …), else
 * `fallback`. -EINVAL with words and the place; -ENOMEM. */
int answers_open(struct answers *answers, struct weir_env *env, const struct weir_list *values,
                 const struct weir_list *fields, enum weir_type fallback);
/* Adds one by hand; both texts are kept by the caller. */
int answers_add(struct answers *answers, struct weir_env *env, const char *name, const char *pointer,
                const struct weir_list *fields, enum weir_type fallback, struct weir_mark mark);
void answers_close(struct answers *answers);

/* The schema of records with these columns. */
int answers_bind(struct answers *answers, struct weir_env *env, struct weir_schema *in, struct weir_schema **out);
/* A batch as `in` with these columns, all null. NULL: out of memory. */
struct weir_batch *answers_batch(const struct answers *answers, struct weir_env *env, struct weir_batch *in);

/* Is the answer of this server JSON? False: `words` say what it is instead. */
bool answers_check(const char *url, struct json_text answer, char *words, size_t size);
/* The texts that the pointers find in an answer; data NULL: nothing there. */
void answers_find(const struct answers *answers, struct json_text answer, struct json_text *values);
/* Puts found texts into a physical row. 0 or -ENOMEM. */
int answers_put(const struct answers *answers, struct weir_env *env, struct weir_batch *batch, uint32_t row,
                const struct json_text *values);

/* Found texts as bytes that can be kept, and back; texts then point into the bytes. */
void answers_pack(const struct answers *answers, const struct json_text *values, struct weir_buffer *out);
void answers_unpack(const struct answers *answers, const char *bytes, size_t size, struct json_text *values);

/* Settles rows of `in` as refused and gives a batch of the others, `count` of which are marked in `refused` (a byte for
 * each selected row): takes over `made`, which has the rows of `in`; NULL when none is left or there is no memory. */
int answers_refuse(struct weir_env *env, struct weir_batch *in, struct weir_batch **made, const uint8_t *refused,
                   uint32_t count, const char *reason);
#endif
