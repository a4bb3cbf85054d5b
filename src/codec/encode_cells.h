/* SPDX-License-Identifier: MIT */
/*
 * Private to codec/: the texts of some rows, column by column, as the formats want them (see show_column.h for cells).
 * What an encoder is left with is to copy cells and what stands between them.
 */
#ifndef CODEC_ENCODE_CELLS_H
#define CODEC_ENCODE_CELLS_H
#include "codec/encode.h"
#include "codec/show_column.h"

/* What the texts of a format are made of. */
enum cell_style {
    CELL_JSON,   /* null; strings and times with quotes; "inf" */
    CELL_CSV,    /* null is empty, which an empty text is not: quotes are left to the encoder */
    CELL_INFLUX, /* null, infinities and empty tags are empty; 3i, "a text", a tag */
};

/* One batch on its way. */
struct cell_table {
    enum cell_style style;
    const struct codec_write_options *options;
    const struct weir_symbols *symbols;
    const struct weir_batch *batch;
    uint32_t count;       /* rows in the cells */
    const uint32_t *rows; /* which they are, of the batch; NULL: `first` and so on */
    uint32_t first;
    const struct show_kernels *kernels;
    struct cells *columns; /* as many as the schema has */
    struct time_minute minute;
};

/* -ENOMEM or 0. The table refers to its arguments. */
int cell_table_open(struct cell_table *table, enum cell_style style, const struct codec_write_options *options,
                    const struct weir_symbols *symbols, const struct weir_batch *batch);
void cell_table_close(struct cell_table *table);
/* The texts of the selected rows from `first` on, as many as fit; returns how many, 0 at the end. CELL_LONG, for texts
 * and arrays only: it is to be written in another way. */
uint32_t cell_table_fill(struct cell_table *table, uint32_t first);

/* When the first `count` rows have become what `out` has behind `begin`: room for the others, if they are as long. Else
 * a buffer that doubles copies what it has, time and again. The first may be much longer than the others: so it is no
 * more than EXPECTED_MOST. */
enum { EXPECTED_MOST = 2 << 20 };
static inline void cell_table_expect(const struct cell_table *table, uint32_t count, size_t begin,
                                     struct weir_buffer *out)
{
    if (table->first > 0 || count >= table->batch->count)
        return;
    size_t expected = (out->size - begin) / count * (table->batch->count - count);
    (void)buffer_reserve(out, expected < EXPECTED_MOST ? expected : EXPECTED_MOST);
}

static inline uint32_t cell_table_row(const struct cell_table *table, uint32_t i)
{
    return table->rows ? table->rows[i] : table->first + i;
}

/* The end of what is written: the cell, and up to CELL_SIZE bytes of no meaning behind it. */
static inline char *cell_put(char *at, const struct cells *cells, uint32_t i)
{
    memcpy(at, cells->texts[i], CELL_SIZE);
    return at + cells->lengths[i];
}

/* Of eight bytes, is one a control character, a quote, a backslash, DEL or no ASCII? Subtractions borrow from the next
 * byte only where one is. */
#define EACH_BYTE (~UINT64_C(0) / 255)
static inline uint64_t cell_special_json(uint64_t bytes)
{
    uint64_t quote = bytes ^ EACH_BYTE * '"', backslash = bytes ^ EACH_BYTE * '\\', delete = bytes ^ EACH_BYTE * 0x7f;
    uint64_t low = (bytes - EACH_BYTE * 0x20) | (quote - EACH_BYTE) | (backslash - EACH_BYTE) | (delete - EACH_BYTE);
    return (low | bytes) & EACH_BYTE * 0x80;
}

/* Copies a text; false when there is something `special` in it, and what was copied is of no use. */
static inline __attribute__((always_inline)) bool cell_copy_plain(char *out, const char *text, size_t length,
                                                                  uint64_t (*special)(uint64_t bytes))
{
    uint64_t bytes, found = 0;
    if (length >= 8) {
        for (size_t i = 0; i + 8 < length; i += 8) {
            memcpy(&bytes, text + i, 8);
            memcpy(out + i, &bytes, 8);
            found |= special(bytes);
        }
        memcpy(&bytes, text + length - 8, 8);
        memcpy(out + length - 8, &bytes, 8);
        return (found | special(bytes)) == 0;
    }
    if (length >= 4) {
        uint32_t first, last;
        memcpy(&first, text, 4);
        memcpy(&last, text + length - 4, 4);
        memcpy(out, &first, 4);
        memcpy(out + length - 4, &last, 4);
        return special(first | (uint64_t)last << 32) == 0;
    }
    if (length == 0)
        return true;
    /* One to three bytes: the first, the middle one, the last; some of them may be the same. */
    unsigned char first = (unsigned char)text[0], middle = (unsigned char)text[length / 2];
    unsigned char last = (unsigned char)text[length - 1];
    out[0] = (char)first;
    out[length / 2] = (char)middle;
    out[length - 1] = (char)last;
    bytes = EACH_BYTE * 'a';
    return special((bytes << 24) | (uint64_t)first | (uint64_t)middle << 8 | (uint64_t)last << 16) == 0;
}

#endif
