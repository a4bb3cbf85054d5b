/* SPDX-License-Identifier: MIT */
/*
 * Codecs: bytes ↔ batches. Reading happens in two places:
 *
 *   the reader's thread    codec_cut: where do whole records end?    codec_layout: what are the columns?
 *   any lane               decoder_decode: block → batch
 *
 * The layout is made by the reader at the start of each file (from the declared fields, the header, and the first
 * block) and travels with each block, so lanes need not agree on anything. The schema is decided once per source, by
 * the first layout, and then kept: later layouts map their file's fields onto it.
 *
 * Nothing in the data is fatal. A line that cannot be read is refused: counted by reason, reported with file, line and
 * what to do. A value of another type than its column's becomes null, a missing field null; both, and fields that have
 * no column, are counted by field.
 */
#ifndef CODEC_CODEC_H
#define CODEC_CODEC_H
#include <weir/part.h>
#include "base/buffer.h"
#include "data/pool.h"
#include "data/symbols.h"
#include "data/time_text.h"

enum codec_format { CODEC_AUTO, CODEC_NDJSON, CODEC_CSV, CODEC_INFLUX, CODEC_FRAME, CODEC_TABLE };

/* Options shared by every part that reads bytes. Put CODEC_READ_OPTIONS(struct my_source, read) in the part's table. */
struct codec_read_options {
    int format;              /* enum codec_format; AUTO: by file name, else by the first byte */
    const char *delimiter;   /* csv; one character, "\t" as tab */
    bool header;             /* csv: the first line has names; without it columns are c1, c2, … or `fields` */
    struct weir_list fields; /* name: type (time, f64, i64, bool, symbol, text) */
    struct weir_quoted time; /* the column of event time */
    int time_format;         /* enum time_format */
    const char *time_zone;
    struct weir_quoted key; /* the column that says which sensor */
    int64_t line_max;       /* bytes */
};
extern const char *const codec_format_names[]; /* auto, ndjson, csv, influx, frame; NULL-terminated */

/* The rows of an option table; expands to initialisers (help and limits live in codec.c's documentation of them). */
#define CODEC_READ_OPTIONS(state, member)                                                                              \
    {.name = "format",                                                                                                 \
     .type = WEIR_OPTION_CHOICE,                                                                                       \
     .offset = offsetof(state, member.format),                                                                         \
     .fallback = "auto",                                                                                               \
     .choices = codec_format_names,                                                                                    \
     .help = "how records are written; auto goes by the file name, then the first byte"},                              \
        {.name = "delimiter",                                                                                          \
         .type = WEIR_OPTION_STRING,                                                                                   \
         .offset = offsetof(state, member.delimiter),                                                                  \
         .fallback = ",",                                                                                              \
         .help = "csv: the character between fields"},                                                                 \
        {.name = "header",                                                                                             \
         .type = WEIR_OPTION_BOOL,                                                                                     \
         .offset = offsetof(state, member.header),                                                                     \
         .fallback = "true",                                                                                           \
         .help = "csv: the first line of each file names the fields"},                                                 \
        {.name = "fields",                                                                                             \
         .type = WEIR_OPTION_MAP,                                                                                      \
         .offset = offsetof(state, member.fields),                                                                     \
         .help = "name: type for each field (time, f64, i64, bool, symbol, text); without it types are inferred"},     \
        {.name = "time",                                                                                               \
         .type = WEIR_OPTION_COLUMN,                                                                                   \
         .offset = offsetof(state, member.time),                                                                       \
         .help = "the field with the time of the reading; without it the first that looks like one"},                  \
        {.name = "time_format",                                                                                        \
         .type = WEIR_OPTION_CHOICE,                                                                                   \
         .offset = offsetof(state, member.time_format),                                                                \
         .fallback = "auto",                                                                                           \
         .choices = time_format_names,                                                                                 \
         .help = "how times are written"},                                                                             \
        {.name = "time_zone",                                                                                          \
         .type = WEIR_OPTION_STRING,                                                                                   \
         .offset = offsetof(state, member.time_zone),                                                                  \
         .fallback = "UTC",                                                                                            \
         .help = "zone of times that name none: UTC, local, +01:00 or a name such as Europe/Berlin"},                  \
        {.name = "key",                                                                                                \
         .type = WEIR_OPTION_COLUMN,                                                                                   \
         .offset = offsetof(state, member.key),                                                                        \
         .help = "the field that says which sensor a record is from"},                                                 \
    {                                                                                                                  \
        .name = "line_max", .type = WEIR_OPTION_SIZE, .offset = offsetof(state, member.line_max), .fallback = "1MiB",  \
        .least = 64, .most = 64 << 20, .help = "longest line; a longer one is refused, the next is read"               \
    }

struct codec_layout; /* reference-counted, immutable, any thread */

/* What a file name says of the format, packed (.gz, .zst, .zstd) or not; CODEC_AUTO: nothing. */
enum codec_format codec_format_of_name(const char *file);
/* Resolves CODEC_AUTO from a file name (may be NULL) and the first bytes. */
enum codec_format codec_guess(const char *file, const char *data, size_t size);

/* How many bytes at the start of data are whole records (the end of the last record end, or 0). data begins at a
 * record's start. CSV: newlines inside quotes do not end a record. */
size_t codec_cut(enum codec_format format, const struct codec_read_options *options, const char *data, size_t size);

/* The same for the first record, or what else is convenient to hand on at once (a frame): at least 1 byte when data
 * holds whole records, as codec_cut says. Binary formats only; others give `size`. */
size_t codec_cut_first(enum codec_format format, const struct codec_read_options *options, const char *data,
                       size_t size);
/* Are records lines, of which one without an end within line_max is to be refused? Else they say how long they are. */
bool codec_is_text(enum codec_format format);

/* Does data begin with what says how long these records are (a frame's header), and how many? Else false. */
bool codec_describes(enum codec_format format, const char *data, size_t size, uint64_t *ret_size,
                     uint64_t *ret_records);

/* By how much whole records move on the line (frames: the byte) and the number of the next record. */
struct codec_extent {
    uint64_t lines, records;
};
struct codec_extent codec_extent(enum codec_format format, const char *data, size_t size);
/* The records (lines) of a block that are wanted, and the block without those behind the first `records` of them. */
uint64_t codec_block_records(const struct weir_block *block);
void codec_block_trim(struct weir_block *block, uint64_t records);
/* Gives back what the block refers to. Any thread. */
void codec_block_release(const struct weir_block *block);
/* Takes the records of a text block behind the first `records` off into *rest, which then holds references of its own.
 * False: there are no more, or they cannot be told apart without decoding them (a frame, quotes in CSV). */
bool codec_block_split(struct weir_block *block, uint64_t records, struct weir_block *rest);

/* Makes the layout for a file from its first bytes (whole lines as far as `size` goes; `whole` says that this is all of
 * the file). `previous` is the source's earlier layout (its schema is kept) or NULL. *ret_skip: bytes of header to skip
 * (a BOM, the CSV header line) and *ret_lines how many lines they are. Errors (a declared time or key field that is no
 * column, a bad type name, an empty file with nothing declared) go to env->error. Reader's thread. */
int codec_layout_new(enum codec_format format, const struct codec_read_options *options, struct weir_env *env,
                     const char *data, size_t size, bool whole, struct codec_layout *previous,
                     struct codec_layout **ret, size_t *ret_skip, uint64_t *ret_lines);
struct codec_layout *codec_layout_reference(struct codec_layout *layout);
void codec_layout_release(struct codec_layout *layout);
struct weir_schema *codec_layout_schema(const struct codec_layout *layout); /* borrowed */

/* Refused lines are told to the decoder's owner, one call each (the slow path). */
struct codec_refusal {
    const char *reason; /* constant: "not JSON", "line too long", … */
    const char *file;
    uint64_t line;
    uint64_t position;
    const char *text; /* the line's beginning, not terminated */
    size_t length;
    char detail[128]; /* what exactly, and the remedy */
};
struct decoder_events {
    void *owner;
    void (*refused)(void *owner, const struct codec_refusal *refusal);
    /* what: "type mismatch", "missing field", "extra field", "symbol table full", "number out of range", … by field */
    void (*counted)(void *owner, const char *what, const char *field, uint64_t number);
};

struct decoder; /* one for each lane; not shared */
struct decoder *decoder_new(struct weir_pool *pool, struct weir_symbols *symbols, const struct decoder_events *events);
void decoder_free(struct decoder *decoder);
/* Decodes a block into one dense batch (NULL in *ret when no record was good) with positions, position and produced set
 * (no source, sequence, receipts). *ret_records: records seen, good and refused (blank lines are none). Text columns
 * may point into the block's memory, which the batch then keeps. Returns 0, or -ENOMEM with nothing decoded. */
int decoder_decode(struct decoder *decoder, const struct weir_block *block, struct weir_batch **ret,
                   uint64_t *ret_records);

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

struct codec_write_options {
    int format;              /* CODEC_NDJSON, CODEC_CSV, CODEC_INFLUX, CODEC_FRAME or CODEC_TABLE */
    int time_format;         /* enum time_format; AUTO: RFC 3339 */
    bool header;             /* csv */
    const char *measurement; /* influx: for records without a column `measurement`; NULL: "weir" */
    int width;               /* table: columns of the terminal, which no line is to exceed; 0: without end */
};
/* Appends the selected rows. Floats are the shortest text that reads back the same; infinities, which JSON lacks, are
 * written as strings "inf", "-inf" in NDJSON. Any thread. Returns 0 or -ENOMEM.
 *
 * Influx line protocol: the column `measurement`, symbols as tags, others as fields, the event time in the unit of
 * time_format (ns unless it is epoch_*). Left out, as it knows no such things: nulls, NaN, infinities, empty tags,
 * arrays, and rows that then have no field. Line ends inside of texts become blanks, a backslash that ends a tag is
 * left out. */
int codec_encode(const struct codec_write_options *options, const struct weir_symbols *symbols,
                 const struct weir_batch *batch, struct weir_buffer *out);
/* How many rows of the batch were left out when it became these bytes. */
uint64_t codec_encode_skipped(const struct codec_write_options *options, const struct weir_batch *batch,
                              const char *bytes, size_t size);
/* The CSV header line for a schema (nothing for NDJSON). */
int codec_encode_header(const struct codec_write_options *options, const struct weir_schema *schema,
                        struct weir_buffer *out);
/* The shortest decimal text that reads back as exactly `value`; returns its length (< 32). Not terminated. */
size_t codec_show_f64(double value, char out[32]);
#endif
