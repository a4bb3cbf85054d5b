/* SPDX-License-Identifier: MIT */
/*
 * The contract of a part: a source, a stage or a sink. One part is one file in src/parts/ with one `const` ops table
 * at its end, listed in src/parts/parts.c.
 *
 * The engine allocates `size` zeroed bytes for each instance, fills in the options (each at its offset), then calls
 * `open`, which may fail anywhere; `close` is called exactly once after open was called, whether it failed or not, and
 * copes with a half-open part. A stage has one instance for each lane (no state is shared, no locks are needed), a
 * source or sink has one. All calls to one instance come from one thread at a time.
 *
 * Errors are negative errno values; the words for the user go into the env's error with weir_fail.
 */
#ifndef WEIR_PART_H
#define WEIR_PART_H

#include <weir/batch.h>
#include <weir/context.h>
#include <weir/schema.h>

/* ---- Errors ---------------------------------------------------------------------------------------------------- */

/* A place in a configuration file; file NULL when unknown. Lines and columns count from 1. */
struct weir_mark {
    const char *file; /* lives as long as the configuration */
    int line, column;
};

enum { WEIR_ERROR_MAX = 1024 };
struct weir_error {
    int code; /* negative errno, 0: none */
    struct weir_mark mark;
    char text[WEIR_ERROR_MAX]; /* what is wrong and what to do about it; may have several lines (a caret) */
};
/* Sets the error (only the first one is kept) and returns `code`. `error` may be NULL. */
int weir_fail(struct weir_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
int weir_fail_at(struct weir_error *error, int code, struct weir_mark mark, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- Options --------------------------------------------------------------------------------------------------- */

enum weir_option_type {
    WEIR_OPTION_BOOL,       /* bool */
    WEIR_OPTION_INTEGER,    /* int64_t */
    WEIR_OPTION_NUMBER,     /* double */
    WEIR_OPTION_STRING,     /* const char * */
    WEIR_OPTION_DURATION,   /* int64_t ns; "500ms" */
    WEIR_OPTION_SIZE,       /* int64_t bytes; "256MiB" */
    WEIR_OPTION_RATE,       /* double per second; "5000/s"; "unlimited" is 0 */
    WEIR_OPTION_CHOICE,     /* int: index into choices */
    WEIR_OPTION_EXPRESSION, /* struct weir_quoted */
    WEIR_OPTION_COLUMN,     /* struct weir_quoted: the name of a column */
    WEIR_OPTION_QUOTED,     /* struct weir_quoted: a text, for the part to take apart and to point into */
    WEIR_OPTION_STRINGS,    /* struct weir_list: one string or a list of them */
    WEIR_OPTION_NUMBERS,    /* struct weir_numbers: one number or a list of them */
    WEIR_OPTION_MAP,        /* struct weir_list with names: name: value pairs, in order */
    WEIR_OPTION_END
};

/* Text from the configuration with its place, for carets in messages. text NULL: not given. */
struct weir_quoted {
    const char *text;
    struct weir_mark mark;
};
struct weir_pair {
    struct weir_quoted name; /* MAP only */
    struct weir_quoted value;
};
struct weir_list {
    const struct weir_pair *items;
    size_t count;
};
struct weir_numbers {
    const double *values;
    size_t count;
};

enum {
    WEIR_OPTION_REQUIRED = 1,
    WEIR_OPTION_MAIN = 2, /* `filter: value > 3` sets this option of filter; a MAIN of type MAP takes all keys that no
                             other option has */
    WEIR_OPTION_EXPRESSIONS = 4, /* MAP: the values are expressions; mistakes in them are found when the file is read */
    WEIR_OPTION_SIDE = 8,        /* STRING, of a stage: the name of its second way out (weir_out_emit_side) */
};
struct weir_option {
    const char *name;
    enum weir_option_type type;
    size_t offset;              /* of the field in the private state */
    const char *fallback;       /* default, as it would be written in the file; NULL: zero */
    double least, most;         /* limits for numeric types, when most > least */
    const char *const *choices; /* CHOICE: NULL-terminated */
    unsigned flags;
    const char *help; /* one sentence, no full stop */
};

/* ---- Environment ----------------------------------------------------------------------------------------------- */

struct weir_symbols;
struct weir_engine_node; /* the engine's side of an instance */

/* What the engine gives to an instance; valid from open to close. */
struct weir_env {
    const char *name; /* as configured, unique in the pipeline */
    uint32_t lane, lanes;
    uint64_t seed;           /* of the run, for what is random */
    bool sequential;         /* for comparison: do one thing after the other (weir compare) */
    int64_t watermark_delay; /* the most that a record may be older than the newest of its source, ns */
    uint32_t sources;        /* how many sources' records come to this stage */
    /* Stages, set before each bind and process: */
    uint32_t input;           /* which of the parts that it reads (weir_stage.inputs) the schema or batch comes from */
    int64_t source_watermark; /* process: how far event time of the batch's own source had come before the batch */
    struct weir_pool *pool;   /* of the thread that calls this instance */
    struct weir_symbols *symbols; /* shared */
    struct weir_context *context; /* clock; waiting only where the contract says so */
    struct weir_error *error;     /* where weir_fail writes before a call returns an error */
    struct weir_mark mark;        /* where the part stands in the configuration */
    struct weir_engine_node *node;
};

/* A line to the user (stderr), at most a few per part and kind; the rest is counted. `kind` is a constant string. */
void weir_notice(struct weir_env *env, const char *kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Adds to the counter `what` of this part, by `field` (may be NULL): "type mismatch" by "value". Both strings are
 * copied. A slow path: not for each record. Shown in the report. */
void weir_count(struct weir_env *env, const char *what, const char *field, uint64_t number);

enum weir_kind { WEIR_SOURCE, WEIR_STAGE, WEIR_SINK };

struct weir_facts;
/* Something about itself that a part tells in the report: "achieved rate", 0.97, "Hz". The unit may be "". `name` is
 * copied; at most WEIR_FACTS_MOST of a part are kept. */
enum { WEIR_FACTS_MOST = 64 };
void weir_fact(struct weir_facts *facts, const char *name, double value, const char *unit);
void weir_fact_text(struct weir_facts *facts, const char *name, const char *text);
#define WEIR_LAST_FAILURE "last failure" /* text: why the last call of whom the part asks failed; advice repeats it */

struct weir_part {
    enum weir_kind kind;
    const char *name;
    const char *summary; /* one line for `weir list` */
    const char *example; /* YAML of a whole small pipeline or of the part alone, for `weir explain`; may be NULL */
    const struct weir_option *options; /* ends with type WEIR_OPTION_END; NULL: none */
    size_t size;
    int (*open)(void *self, struct weir_env *env);   /* may be NULL */
    void (*close)(void *self, struct weir_env *env); /* may be NULL */
    /* Sources, sinks and asynchronous stages: tells facts about itself. Main thread, between open and close, at the
     * same time as other calls: reads what is atomic. May be NULL. */
    void (*report)(void *self, struct weir_facts *facts);
};

/* ---- Sources --------------------------------------------------------------------------------------------------- */

struct weir_emitter;
struct codec_layout;

/* Bytes that a lane reads itself, when it comes to them, so that they are in the caches near it. */
struct weir_unread {
    /* Reads `size` bytes from `offset` on. Any thread, several at a time; they are at hand, so it hardly waits. Returns
     * how many there were (fewer: the file has been cut since), or a negative errno. */
    int64_t (*read)(struct weir_unread *unread, uint64_t offset, char *data, size_t size);
    void (*release)(struct weir_unread *unread); /* of one reference: each block has one. Any thread */
};

/* A piece of a byte stream that holds whole records; a lane decodes it. */
struct weir_block {
    struct weir_memory *memory; /* owns data; at least 64 readable bytes follow data + size */
    const char *data;
    size_t size;
    struct weir_unread *unread; /* not NULL: there is no memory yet, and these are size bytes from offset on */
    uint64_t offset;
    uint64_t records;            /* unread: that it holds */
    struct codec_layout *layout; /* a reference: how to decode; knows the schema */
    const char *file;            /* name for messages; lives as long as the source */
    uint64_t line;               /* number of the first line in the file, from 1 */
    uint64_t position;           /* number of the first line in the source, from 0 */
    uint64_t records_most;       /* frames: decode no more records than these; 0: all */
    int64_t produced;            /* weir_now() when its bytes were read */
};

/* A line that could not be read. */
struct weir_refusal {
    const char *reason; /* a constant string */
    const char *file;   /* may be NULL */
    uint64_t line;      /* in the file, from 1 */
    const char *text;   /* the line, or its beginning; not terminated */
    size_t length;
    const char *detail; /* what exactly, and the remedy */
};

/* How much there is of a source's data. */
enum weir_extent {
    WEIR_FINITE,  /* it ends, and can be had again */
    WEIR_ENDLESS, /* it does not end by itself */
    WEIR_ONCE     /* it comes once: who runs a second time does not find it again */
};

struct weir_source {
    struct weir_part part;
    /* Produces until the data ends or a wait says -ECANCELED; returns 0, or a negative errno with words. Own thread. */
    int (*run)(void *self, struct weir_context *context, struct weir_emitter *out);
    /* True: run is called as a task on a loop of the source's own, and may open scopes and wait for thousands of things
     * at the same time (weir/task.h). */
    bool tasks;
    /* The schema, where the options alone say it, for `weir check`: a new reference, or NULL when out of memory. Not
     * opened. May be NULL: the schema comes with the data. */
    struct weir_schema *(*schema)(const void *self);
    /* From the options alone, not opened, for commands that run the same work twice; *ret_remedy: what makes it finite
     * ("give it a `count`"), constant, or NULL. May be NULL: WEIR_FINITE. */
    enum weir_extent (*extent)(const void *self, const char **ret_remedy);
    /* A line of one of the source's blocks was refused; told and counted already. Comes from any lane, at the same time
     * as other calls, until close. Must not wait long. May be NULL. */
    void (*refused)(void *self, const struct weir_refusal *refusal);
    /* The same for records: the selected rows of `batch`, which came from this source's, were refused by the stage
     * `stage`, for `reason`; told and counted already. The batch is the stage's, so other stages may have changed it,
     * but for its positions. `detail`: what exactly, and the remedy; may be NULL. From any thread. May be NULL. */
    void (*rows_refused)(void *self, const struct weir_batch *batch, const char *stage, const char *reason,
                         const char *detail);
};

/* Announces the schema of the batches that follow. Row sources call it before the first batch and when it changes. */
int weir_emit_schema(struct weir_context *context, struct weir_emitter *out, struct weir_schema *schema);
/* Hands on a batch or block; takes over the caller's reference(s) also on failure; waits while there is no credit.
 * The engine sets source, sequence and receipts. Returns 0 or -ECANCELED. */
int weir_emit_batch(struct weir_context *context, struct weir_emitter *out, struct weir_batch *batch);
int weir_emit_block(struct weir_context *context, struct weir_emitter *out, const struct weir_block *block);
/* The easy way, for sources of which many tasks emit a record now and then: hands on one record, produced now, with a
 * value for each field of the schema; waits while there is no credit. Records are in the order in which they are handed
 * on. Each is a batch of its own: who has many at a time uses weir_emit_batch, and no source uses both. Texts (of
 * WEIR_SYMBOL and WEIR_TEXT; NULL: null) are copied; arrays are not possible. Returns 0, -ECANCELED or -ENOMEM. */
union weir_value {
    double f64;
    int64_t i64; /* also WEIR_TIME */
    bool truth;
    const char *text;
};
int weir_emit_record(struct weir_context *context, struct weir_emitter *out, struct weir_schema *schema,
                     const union weir_value *values);
/* True when a lane waits for data: hand on what there is. False: filling the batch further costs nobody anything. */
bool weir_emit_wanted(struct weir_emitter *out);
/* How many rows (bytes) the next batch (block) should have at most: adapts to the time that a record takes downstream.
 */
uint32_t weir_emit_rows(struct weir_emitter *out);
size_t weir_emit_bytes(struct weir_emitter *out);
/* How long a batch that is not full may wait for more (the `linger` option), ns. */
int64_t weir_emit_linger(struct weir_emitter *out);
/* The rate at which records come into being whether or not anybody takes them, if the source knows it (a schedule);
 * 0: unknown. Or: the source has all its data already and gives it as fast as it is taken (a file at full speed). */
void weir_emit_offered(struct weir_emitter *out, double records_per_second);
void weir_emit_unhurried(struct weir_emitter *out, bool full_speed);
/* Adds to the histogram of late_by: how much later than intended a reading was asked for. */
void weir_emit_late_by(struct weir_emitter *out, int64_t ns, uint64_t records);
/* Adds to the histogram of fetch: from asked to answered, just now. */
void weir_emit_fetch(struct weir_emitter *out, int64_t ns, uint64_t records);

/* ---- Stages ---------------------------------------------------------------------------------------------------- */

struct weir_out;

#define WEIR_UNKEYED ((const char *)0)
#define WEIR_KEY_OF_SOURCE "" /* the key that the source declares; all records are one group if it declares none */
enum { WEIR_INPUTS_MAX = 4 };

struct weir_stage {
    struct weir_part part;
    /* How many parts it reads and tells apart, in the order of `from`: env->input says which one a schema or batch is
     * from. Each has its own order; event time is the least of all. 0: any number, all alike, as one stream. */
    uint32_t inputs;
    /* Options are filled in, open was not called yet: the column that this stage keeps state by, WEIR_KEY_OF_SOURCE, or
     * WEIR_UNKEYED for a stage that keeps none. NULL pointer: unkeyed. */
    const char *(*key)(const void *self);
    /* A schema comes: check columns, say the schema that goes out (a new reference in *out; to keep `in`, a reference
     * to it). A keyed stage calls weir_key_state_define here. On a mistake weir_fail_at with the mark of the option. A
     * stage with several inputs leaves *out NULL while it cannot say yet, for want of the others' schemas; each of its
     * inputs is bound before the first batch of it. */
    int (*bind)(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out);
    /* `in` belongs to the caller and is immutable; in->count > 0. Emits any number of batches. Does not wait. Where
     * much is to be emitted it may return 1 after a part of it: then it is called again with the same batch, when there
     * is room for more and before anything else of the stage is. If it fails then, it has settled what is left itself.
     */
    int (*process)(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out);
    /* Event time has come to time_ns (INT64_MAX: the end of the stream), in all that this instance is given; all that
     * the parts in front emit at this time has come. Each lane's instance is told: a stage that has this and no key is
     * spread by the key of the source. Where much is to be emitted, it may return 1 after a part of it: then it is
     * called again with the same time (or a later one), when there is room for more. 0 when done. May be NULL. */
    int (*on_watermark)(void *self, struct weir_env *env, int64_t time_ns, struct weir_out *out);
    /* An asynchronous stage has this instead of process: it waits (for a server, a file, a timer) on `context`. There
     * is one instance, with a thread and a loop of its own; each batch is a task, and many of them run at the same
     * time, as long as their results fit on the edge behind. Results leave in the order in which the batches came,
     * unless `unordered` says otherwise. bind is not called while a call is under way. -ECANCELED: the run was given
     * up; the engine settles the records of `in` then. */
    int (*call)(void *self, struct weir_env *env, struct weir_context *context, struct weir_batch *in,
                struct weir_out *out);
    bool (*unordered)(const void *self); /* of call: results leave as they come; may be NULL */
    /* process works on all rows of a batch, selected or not: where rows go to lanes by key, a lane's then come as a
     * batch of their own, and not as a selection of one that the lanes share. */
    bool every_row;
    /* Of call: no more calls come, and none is under way; the last thing on their loop. What belongs to the loop, such
     * as connections, is closed here. May be NULL. */
    void (*end_task)(void *self, struct weir_env *env);
};

/* The consumer has these records now: their time since they were produced goes into the histogram of waits. For stages
 * with `call` and sinks that hold records back before they begin with them; else the engine does it. */
void weir_begun(struct weir_env *env, const struct weir_batch *batch, uint32_t first, uint32_t count);
/* The consumer is done with what it began at began_ns (weir_now). */
void weir_finished(struct weir_env *env, int64_t began_ns);

/* Passes a batch on; takes over the reference. */
void weir_out_emit(struct weir_out *out, struct weir_batch *batch);

/* A stage's second way out, for records that it has no use for, as they came: late ones, say. A part with an option of
 * the flag WEIR_OPTION_SIDE has one where that option is given; its value is the name that others read `from`. Where
 * weir_out_side is false nobody does, and the records are to be settled as ever. Takes over the reference. */
bool weir_out_side(const struct weir_out *out);
void weir_out_emit_side(struct weir_out *out, struct weir_batch *batch);

/* A new batch (caller's reference) with only the given rows of `in`; the other selected rows are settled as filtered.
 * `rows` is ascending and lives as long as the result: allocate it with weir_batch_allocate on … see weir_filter_rows.
 */
struct weir_batch *weir_filter(struct weir_env *env, struct weir_batch *in, const uint32_t *rows, uint32_t count);
/* Settles rows of `in` as refused, for `reason` (a constant string, counted). The stage must not pass them on. A sink
 * with a commit may refuse rows of batches that write has taken, once, from the commit that follows: the others of them
 * are stored. */
void weir_refuse(struct weir_env *env, struct weir_batch *in, const uint32_t *rows, uint32_t count, const char *reason);

/* For bind: takes over the reference to a schema that it made, and returns one to use instead. Of many columns the
 * instances of a stage have one schema together, rather than one on each lane. NULL stays NULL. */
struct weir_schema *weir_schema_together(struct weir_env *env, struct weir_schema *schema);

/* Keyed state: each key gets `size` bytes that `init` fills. Calling it again in a later bind with another size drops
 * all state. `idle_ns` > 0: a key not seen for that long in event time is forgotten; most_keys > 0 limits their number.
 */
struct weir_key_options {
    size_t size;
    void (*init)(void *self, void *state); /* NULL: zeroed */
    int64_t idle_ns;
    uint64_t most_keys; /* 0: what the memory budget allows */
};
int weir_key_state_define(struct weir_env *env, const struct weir_key_options *options);
/* Memory that a stage keeps beyond the states of its keys is to count against the same budget: asked for before it is
 * allocated (false: there is no room), given back after it is freed. */
bool weir_state_take(struct weir_env *env, size_t bytes);
void weir_state_give(struct weir_env *env, size_t bytes);
/* The same for what a part of any kind needs for as long as it is open, however far event time has come. */
bool weir_memory_take(struct weir_env *env, size_t bytes);
void weir_memory_give(struct weir_env *env, size_t bytes);
/* Fills states[i] with the state of selected row i's key. Rows whose key is over the limit are settled as refused, and
 * *batch is replaced by one without them (the engine releases it after process). Returns 0 or a negative errno. */
int weir_key_states(struct weir_env *env, struct weir_batch **batch, void **states);

/* Memory for process of a stage, of a lane's stages together: what is in it is lost once the stage emits or returns.
 * There are WEIR_SCRATCHES; `which` is one of them. At least `bytes`, uninitialised, aligned as a cache line. NULL: no
 * memory.
 */
enum { WEIR_SCRATCHES = 3 };
void *weir_scratch(struct weir_env *env, uint32_t which, size_t bytes);

/* How far event time has come when this row comes, after the `watermark` that the stage was last told: so what is late
 * does not depend on where batches begin. Where the records of several sources meet it is only what was told. */
static inline int64_t weir_row_watermark(const struct weir_env *env, const struct weir_batch *batch, uint32_t row,
                                         int64_t watermark)
{
    return env->sources == 1 ? weir_batch_watermark(batch, row, watermark) : watermark;
}
/* How far it has come in the row's own source, whatever the others do: a matter of that source's records alone. */
static inline int64_t weir_source_watermark(const struct weir_env *env, const struct weir_batch *batch, uint32_t row)
{
    return weir_batch_watermark(batch, row, env->source_watermark);
}

/* ---- Sinks ----------------------------------------------------------------------------------------------------- */

struct weir_buffer; /* growing bytes: base/buffer.h */

struct weir_sink {
    struct weir_part part;
    int (*bind)(void *self, struct weir_env *env, struct weir_schema *in); /* may be NULL */
    /* Batch → bytes, on a lane, in parallel with others: self is read-only but for what bind set up. May be NULL: then
     * write gets no bytes. */
    int (*encode)(const void *self, struct weir_symbols *symbols, const struct weir_batch *in, struct weir_buffer *out);
    /* Stores a batch (bytes: what encode made of it). Own thread; may wait on ctx. 0: stored, or, if there is a commit,
     * stored once commit has returned 0. Negative errno with words: nothing of this batch is stored. -EAGAIN, -EBUSY,
     * -ENOSPC, -EDQUOT: the engine says so, waits and tries again. A sink without write stores on the lane, at no cost.
     */
    int (*write)(void *self, struct weir_env *env, struct weir_batch *in, const char *bytes, size_t size);
    /* Makes durable what was written. Called when no more input waits, after `commit_rows` or `commit_ns`, and at the
     * end. May be NULL. */
    int (*commit)(void *self, struct weir_env *env);
    /* Completes what was written: once, after the last commit, when all input came and nothing failed. Retried as write
     * is. May be NULL. */
    int (*finish)(void *self, struct weir_env *env);
    /* The run has ended well, every sink has finished: outputs get their names. Main thread. Negative errno with words:
     * the run has failed after all. May be NULL. */
    int (*publish)(void *self, struct weir_env *env);
    uint64_t commit_rows;
    int64_t commit_ns;
    /* True: write and commit are called as a task on a loop of the sink's own (env->context is the task's) and may open
     * scopes that last until the next commit. */
    bool tasks;
    void (*end_task)(void *self,
                     struct weir_env *env); /* tasks: the last call in the task: closes scopes; may be NULL */
    bool keep_order; /* records arrive in the order of their source (else: each key's order only) */
};

/* From write: only the first `count` records of the batch were stored, and no more are wanted. The run ends as if it
 * was told to; what still comes to this sink is settled as dropped. */
void weir_enough(struct weir_env *env, uint32_t count);

/* The parts that are built in: parts/parts.c. NULL-terminated. */
extern const struct weir_part *const weir_parts[];

/* Parts that weir has but this build does not, as the library they stand on was not there: for messages. Ends with name
 * NULL. */
struct weir_left_out {
    enum weir_kind kind;
    const char *name;
    const char *package; /* what to install before weir is built again */
};
extern const struct weir_left_out weir_left_out[];
const struct weir_left_out *weir_find_left_out(enum weir_kind kind, const char *name); /* NULL: no such part */

#endif
