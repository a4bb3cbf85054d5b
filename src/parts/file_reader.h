/* SPDX-License-Identifier: MIT */
/*
 * From the bytes of a file to blocks that end where a record ends; lanes decode them. Where the bytes come from is the
 * caller's business: it puts them behind `filled`, and says what there is to know about them.
 *
 *     memory  |#### handed on ####|···· whole records ····|·· begun ··|        free        |
 *             0                   begin                   cut         filled               room
 *
 * A block that was handed on belongs to the lanes too, so what is left behind `cut` is copied to the start of the next.
 * All on the source's thread.
 */
#ifndef PARTS_FILE_READER_H
#define PARTS_FILE_READER_H
#include "codec/codec.h"
#include "data/pool.h"
#include "parts/file_origin.h"
#include "parts/path_list.h"

#define FILE_SAMPLE_PATIENCE INT64_C(250000000) /* ns that a stream's first records wait for more of the sample */

/* What the files of one source share. */
struct file_reading {
    struct weir_env *env;
    struct weir_context *context;
    struct weir_emitter *out;
    const struct codec_read_options *options;
    double rate; /* records per second; 0: as fast as they are taken */

    struct codec_layout *layout;   /* of the file that was begun last; a reference */
    struct weir_schema *announced; /* the schema that was emitted last; a reference */
    uint64_t position;             /* of the next record in the source */
    int64_t due_from;              /* with a rate: the record at due_position is due at this time */
    uint64_t due_position;
    bool due_known;
    struct file_origin *origin; /* NULL: nobody asks */
    struct path_list names;     /* that followed files ever had: messages under way refer to them */
};
void file_reading_free(struct file_reading *reading); /* what it refers to */

/* One file being read. Begins zeroed but for shared, name and line. */
struct file_reader {
    struct file_reading *shared;
    const char *name; /* for messages and the decoder; lives as long as the source */
    bool waits;       /* the next bytes may be long in coming */
    bool ended;       /* there is nothing more to read: what is left is a record */
    bool cut_off;     /* with ended: what is left is no whole record, the rest of it is lost */
    bool started;     /* the layout is known */
    bool skipping;    /* in the rest of a line that is too long */
    bool lent;        /* part of the memory was handed on: it must not be written any more */
    enum codec_format format;
    struct codec_layout *layout; /* a reference; NULL: not started */
    struct weir_memory *memory;
    size_t begin, filled;
    uint64_t line;   /* number of the line at begin, from 1 */
    int64_t read_at; /* when the first bytes behind the carried-over ones were read; 0: not yet */
};

/* Memory that can be written, with space behind `filled`: a new block when the old one was handed on, a larger one when
 * a single record fills it. What was begun is carried over to its start. Waits for memory, 10 s at most. */
int file_reader_make_room(struct file_reader *reader);
static inline size_t file_reader_room(const struct file_reader *reader)
{
    return reader->memory ? reader->memory->size : 0;
}
/* Bytes were put behind `filled`. */
void file_reader_filled(struct file_reader *reader, size_t size);

/* Is there a record to hand on? At the beginning: something to make a layout of, so more than a header line. */
bool file_reader_has_record(const struct file_reader *reader);
/* Is there enough of a stream to guess types from, or nothing to guess? */
bool file_reader_has_sample(const struct file_reader *reader);
/* Finds out the columns from the first block. -ENODATA: the file is empty; -EAGAIN: more of it is needed. */
int file_reader_start(struct file_reader *reader);

/* Hands on the whole records among what was read; waits for credit. Returns 0 or a negative errno. */
int file_reader_hand_on(struct file_reader *reader);

/* Hands on a piece of a file that a lane is to read; takes over a reference. What was read before has been handed on.
 */
int file_reader_hand_on_unread(struct file_reader *reader, struct weir_unread *unread, uint64_t offset, uint64_t size,
                               uint64_t records);

/* Gives back the memory when nothing in it is waiting for its end. */
void file_reader_rest(struct file_reader *reader);
/* Forgets what was read; the next bytes are the beginning of a file of that name. */
void file_reader_reset(struct file_reader *reader);

#endif
