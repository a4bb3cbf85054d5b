/* SPDX-License-Identifier: MIT */
/*
 * Records into a table of a SQLite database: WAL, one transaction for many batches, several records in one INSERT.
 *
 * SQLite may take back a whole transaction by itself when it fails (disk full), and with it batches for which write has
 * said 0. So we hold on to the batches of the open transaction: the next attempt begins a new one and stores them again
 * before anything else. Nothing but a commit lets go of them.
 *
 * SQLite blocks its thread; a sink has its own. While another process holds the database we wait a moment, then say
 * -EBUSY, and the engine comes back.
 */
#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "data/symbols.h"
#include "data/time_text.h"
#include "parts/parts.h"

enum {
    BUSY_MS = 100,        /* how long a call waits for another process's lock */
    ROWS_PER_INSERT = 32, /* about twice as fast as one by one */
    COMMIT_ROWS = 50000,
};

enum if_exists { APPEND, REPLACE, FAIL };
static const char *const if_exists_names[] = {"append", "replace", "fail", NULL};

struct sink_sqlite {
    const char *path;
    const char *table;
    int time_format;
    int if_exists;

    sqlite3 *db;
    sqlite3_stmt *insert_one, *insert_many; /* for `schema`; NULL until needed */
    struct weir_schema *schema;             /* whose columns the table is known to have; a reference */
    struct weir_schema *bound;              /* of the records that are to come; a reference */
    bool wal;                               /* the journal mode is set */
    bool created;                           /* the table was seen to, in a transaction that was committed */
    bool creating;                          /* ... in the open one */
    bool in_transaction;
    struct weir_batch **batches; /* of the transaction; a reference each */
    size_t batch_count, batch_room;
    char (*times)[TIME_TEXT_MAX]; /* texts of one INSERT */
    size_t time_room;
};

/* ---- Errors ---------------------------------------------------------------------------------------------------- */

/* What SQLite says, as errno and words with a remedy. */
static int explain(struct sink_sqlite *self, struct weir_env *env, int result)
{
    struct weir_error *error = env->error;
    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return weir_fail(error, -EBUSY, "%s: the database is locked by another process; end its transaction",
                         self->path);
    case SQLITE_FULL:
        return weir_fail(error, -ENOSPC, "%s: the disk is full; make room, or choose a `path` on another disk",
                         self->path);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return weir_fail(error, -EINVAL, "%s: this is not a SQLite database, or it is damaged; choose another `path`",
                         self->path);
    case SQLITE_CANTOPEN:
        return weir_fail(
            error, -ENOENT,
            "%s: cannot be opened (%s); check that its folder exists and may be written, or choose another `path`",
            self->path, strerror(self->db ? sqlite3_system_errno(self->db) : EIO));
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return weir_fail(error, -EACCES, "%s: no permission to write it; see ls -l, or choose another `path`",
                         self->path);
    case SQLITE_NOMEM:
        return weir_fail(error, -ENOMEM, "%s: SQLite has no memory", self->path);
    case SQLITE_CONSTRAINT:
        return weir_fail(error, -EINVAL,
                         "%s: table %s does not take a record: %s; change its constraints, or use another `table`",
                         self->path, self->table, sqlite3_errmsg(self->db));
    case SQLITE_IOERR: {
        int cause = sqlite3_system_errno(self->db);
        if (cause == ENOSPC || cause == EDQUOT)
            return weir_fail(error, -cause, "%s: the disk is full; make room, or choose a `path` on another disk",
                             self->path);
        return weir_fail(error, -EIO, "%s: %s (%s); check the disk", self->path, sqlite3_errmsg(self->db),
                         strerror(cause));
    }
    default:
        return weir_fail(error, -EIO, "%s: SQLite says: %s", self->path, sqlite3_errmsg(self->db));
    }
}

static int no_memory(struct sink_sqlite *self, struct weir_env *env)
{
    return weir_fail(env->error, -ENOMEM, "%s: no memory for its statements", self->path);
}

static int execute(struct sink_sqlite *self, struct weir_env *env, const char *text)
{
    int result = sqlite3_exec(self->db, text, NULL, NULL, NULL);
    return result == SQLITE_OK ? 0 : explain(self, env, result);
}

/* ---- Statements ------------------------------------------------------------------------------------------------ */

static void append_name(struct weir_buffer *text, const char *name)
{
    buffer_append(text, "\"", 1);
    for (; *name; name++)
        buffer_append(text, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1);
    buffer_append(text, "\"", 1);
}

static const char *type_of(const struct sink_sqlite *self, const struct weir_field *field)
{
    switch (field->type) {
    case WEIR_TIME:
        if (self->time_format == TIME_EPOCH_NS)
            return "INTEGER";
        return self->time_format >= TIME_EPOCH_S ? "NUMERIC" : "TEXT";
    case WEIR_F64:
        return "REAL";
    case WEIR_I64:
    case WEIR_BOOL:
        return "INTEGER";
    case WEIR_ARRAY:
        return "BLOB";
    default:
        return "TEXT";
    }
}

/* Terminates the text and runs it. */
static int execute_buffer(struct sink_sqlite *self, struct weir_env *env, struct weir_buffer *text)
{
    buffer_append(text, "", 1);
    int error = text->failed ? no_memory(self, env) : execute(self, env, text->data);
    buffer_free(text);
    return error;
}

static int create_table(struct sink_sqlite *self, struct weir_env *env, const struct weir_schema *schema)
{
    struct weir_buffer text = {0};
    buffer_string(&text, "CREATE TABLE ");
    append_name(&text, self->table);
    for (uint32_t i = 0; i < schema->count; i++) {
        buffer_string(&text, i == 0 ? " (" : ", ");
        append_name(&text, schema->fields[i].name);
        buffer_format(&text, " %s", type_of(self, &schema->fields[i]));
    }
    buffer_string(&text, ")");
    return execute_buffer(self, env, &text);
}

static int drop_table(struct sink_sqlite *self, struct weir_env *env)
{
    struct weir_buffer text = {0};
    buffer_string(&text, "DROP TABLE ");
    append_name(&text, self->table);
    return execute_buffer(self, env, &text);
}

static int add_column(struct sink_sqlite *self, struct weir_env *env, const struct weir_field *field)
{
    struct weir_buffer text = {0};
    buffer_string(&text, "ALTER TABLE ");
    append_name(&text, self->table);
    buffer_string(&text, " ADD COLUMN ");
    append_name(&text, field->name);
    buffer_format(&text, " %s", type_of(self, field));
    return execute_buffer(self, env, &text);
}

static uint32_t rows_per_insert(const struct sink_sqlite *self, const struct weir_schema *schema)
{
    uint32_t most = (uint32_t)sqlite3_limit(self->db, SQLITE_LIMIT_VARIABLE_NUMBER, -1) / schema->count;
    return most < 1 ? 1 : most < ROWS_PER_INSERT ? most : ROWS_PER_INSERT;
}

static int prepare_insert(struct sink_sqlite *self, struct weir_env *env, uint32_t rows, sqlite3_stmt **ret)
{
    const struct weir_schema *schema = self->schema;
    struct weir_buffer text = {0};
    buffer_string(&text, "INSERT INTO ");
    append_name(&text, self->table);
    for (uint32_t i = 0; i < schema->count; i++) {
        buffer_string(&text, i == 0 ? " (" : ", ");
        append_name(&text, schema->fields[i].name);
    }
    for (uint32_t row = 0; row < rows; row++) {
        buffer_string(&text, row == 0 ? ") VALUES (" : "), (");
        for (uint32_t i = 0; i < schema->count; i++)
            buffer_string(&text, i == 0 ? "?" : ", ?");
    }
    buffer_string(&text, ")");
    int result = SQLITE_NOMEM;
    if (!text.failed)
        result = sqlite3_prepare_v3(self->db, text.data, (int)text.size, SQLITE_PREPARE_PERSISTENT, ret, NULL);
    buffer_free(&text);
    return result == SQLITE_OK ? 0 : explain(self, env, result);
}

static void forget_statements(struct sink_sqlite *self)
{
    sqlite3_finalize(self->insert_one);
    sqlite3_finalize(self->insert_many);
    self->insert_one = self->insert_many = NULL;
    weir_schema_release(self->schema);
    self->schema = NULL;
}

/* ---- The table ------------------------------------------------------------------------------------------------- */

/* Which columns of `schema` the table lacks, one flag for each. Returns how many columns the table has (0: there is no
 * table), or a negative errno. */
static int look_at_table(struct sink_sqlite *self, struct weir_env *env, const struct weir_schema *schema, bool *lacks)
{
    sqlite3_stmt *list;
    int result = sqlite3_prepare_v2(self->db, "SELECT name FROM pragma_table_info(?)", -1, &list, NULL);
    if (result != SQLITE_OK)
        return explain(self, env, result);
    sqlite3_bind_text(list, 1, self->table, -1, SQLITE_STATIC);
    memset(lacks, true, schema->count * sizeof(*lacks));
    int count = 0;
    while ((result = sqlite3_step(list)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(list, 0);
        for (uint32_t i = 0; name && i < schema->count; i++) {
            if (sqlite3_stricmp(name, schema->fields[i].name) == 0)
                lacks[i] = false;
        }
        count++;
    }
    sqlite3_finalize(list);
    return result == SQLITE_DONE ? count : explain(self, env, result);
}

/* SQLite does not tell upper from lower case in names. */
static int check_names(struct sink_sqlite *self, struct weir_env *env, const struct weir_schema *schema)
{
    for (uint32_t i = 0; i < schema->count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (sqlite3_stricmp(schema->fields[i].name, schema->fields[k].name) == 0)
                return weir_fail_at(
                    env->error, -EINVAL, env->mark,
                    "%s: SQLite takes the columns %s and %s for one; `select` one of them, or rename it", self->path,
                    schema->fields[k].name, schema->fields[i].name);
        }
    }
    return 0;
}

static int mismatch(struct sink_sqlite *self, struct weir_env *env, const struct weir_schema *schema, const bool *lacks)
{
    uint32_t i = 0;
    while (i + 1 < schema->count && !lacks[i])
        i++;
    return weir_fail_at(env->error, -EEXIST, env->mark,
                        "%s: table %s exists and has no column %s; choose another `table`, or if_exists: replace, or "
                        "`select` the columns that it has",
                        self->path, self->table, schema->fields[i].name);
}

/* Sees that the table has all columns of the schema. `change`: make it so, in the open transaction; else only find out
 * what cannot be made so. A table that was there before must match at first; once we write to it, it may grow. */
static int fit_table(struct sink_sqlite *self, struct weir_env *env, const struct weir_schema *schema, bool change)
{
    bool lacks[WEIR_FIELDS_MAX];
    int count = look_at_table(self, env, schema, lacks);
    if (count < 0)
        return count;
    bool ours = self->created || self->creating;
    if (count > 0 && !ours && self->if_exists == FAIL)
        return weir_fail_at(env->error, -EEXIST, env->mark,
                            "%s: table %s exists; choose another `table`, or if_exists: append or replace", self->path,
                            self->table);
    bool replace = count > 0 && !ours && self->if_exists == REPLACE;
    bool lacking = false;
    for (uint32_t i = 0; i < schema->count; i++)
        lacking |= lacks[i];
    if (count > 0 && !ours && !replace && lacking)
        return mismatch(self, env, schema, lacks);
    if (!change)
        return 0;

    int error = replace ? drop_table(self, env) : 0;
    if (error == 0 && (replace || count == 0))
        error = create_table(self, env, schema);
    for (uint32_t i = 0; error == 0 && count > 0 && !replace && i < schema->count; i++) {
        if (lacks[i])
            error = add_column(self, env, &schema->fields[i]);
    }
    if (error == 0)
        self->creating = true;
    return error;
}

static int sink_bind(void *state, struct weir_env *env, struct weir_schema *in)
{
    struct sink_sqlite *self = state;
    if (in->count == 0)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: records without columns; `select` at least one",
                            self->path);
    int error = check_names(self, env, in);
    if (error == 0)
        error = fit_table(self, env, in, false);
    if (error == 0) {
        weir_schema_release(self->bound);
        self->bound = weir_schema_reference(in);
    }
    return error;
}

/* ---- Values ---------------------------------------------------------------------------------------------------- */

static int bind_time(const struct sink_sqlite *self, sqlite3_stmt *insert, int at, int64_t value, char *text)
{
    static const int64_t unit[] = {
        [TIME_EPOCH_S] = 1000000000, [TIME_EPOCH_MS] = 1000000, [TIME_EPOCH_US] = 1000, [TIME_EPOCH_NS] = 1};
    if (value == WEIR_TIME_NULL)
        return sqlite3_bind_null(insert, at);
    if (self->time_format < TIME_EPOCH_S)
        return sqlite3_bind_text(insert, at, text, (int)time_show(value, (enum time_format)self->time_format, text),
                                 SQLITE_STATIC);
    int64_t divisor = unit[self->time_format];
    if (value % divisor == 0)
        return sqlite3_bind_int64(insert, at, value / divisor);
    return sqlite3_bind_double(insert, at, (double)value / (double)divisor);
}

static int bind_text(sqlite3_stmt *insert, int at, struct weir_text text)
{
    if (!text.data)
        return sqlite3_bind_null(insert, at);
    return sqlite3_bind_text64(insert, at, text.data, text.length, SQLITE_STATIC, SQLITE_UTF8);
}

/* One value. `text` has room for a time, until the statement has run. */
static int bind_value(const struct sink_sqlite *self, const struct weir_env *env, sqlite3_stmt *insert, int at,
                      const struct weir_field *field, const struct weir_column *column, uint32_t row, char *text)
{
    switch (field->type) {
    case WEIR_TIME:
        return bind_time(self, insert, at, column->i64[row], text);
    case WEIR_F64: /* NaN, our null, is SQLite's too */
        return sqlite3_bind_double(insert, at, column->f64[row]);
    case WEIR_I64:
        return column->i64[row] == WEIR_I64_NULL ? sqlite3_bind_null(insert, at)
                                                 : sqlite3_bind_int64(insert, at, column->i64[row]);
    case WEIR_BOOL:
        return column->bools[row] == WEIR_BOOL_NULL ? sqlite3_bind_null(insert, at)
                                                    : sqlite3_bind_int(insert, at, column->bools[row]);
    case WEIR_SYMBOL:
        return bind_text(insert, at, symbols_text(env->symbols, column->symbols[row]));
    case WEIR_TEXT:
        return bind_text(insert, at, column->texts[row]);
    case WEIR_ARRAY: {
        size_t width = weir_field_width(field);
        return sqlite3_bind_blob64(insert, at, (const char *)column->data + row * width, width, SQLITE_STATIC);
    }
    default:
        return sqlite3_bind_null(insert, at);
    }
}

/* Stores `rows` selected rows from `from` on with a statement for as many. */
static int insert_rows(struct sink_sqlite *self, struct weir_env *env, sqlite3_stmt *insert,
                       const struct weir_batch *batch, uint32_t from, uint32_t rows)
{
    uint32_t columns = batch->schema->count;
    int result = SQLITE_OK, at = 0;
    for (uint32_t i = from; i < from + rows; i++) {
        uint32_t row = weir_batch_row(batch, i);
        for (uint32_t column = 0; column < columns && result == SQLITE_OK; column++) {
            result = bind_value(self, env, insert, at + 1, &batch->schema->fields[column], &batch->columns[column], row,
                                self->times[at]);
            at++;
        }
    }
    if (result == SQLITE_OK)
        result = sqlite3_step(insert);
    int error = result == SQLITE_DONE || result == SQLITE_OK ? 0 : explain(self, env, result);
    sqlite3_reset(insert);
    return error;
}

/* ---- Transactions ---------------------------------------------------------------------------------------------- */

/* Statements for the columns of `schema`, which the table gets if it lacks them. */
static int use_schema(struct sink_sqlite *self, struct weir_env *env, struct weir_schema *schema)
{
    if (self->schema && (self->schema == schema || weir_schema_equal(self->schema, schema)))
        return 0;
    forget_statements(self);
    int error = fit_table(self, env, schema, true);
    if (error < 0)
        return error;
    uint32_t many = rows_per_insert(self, schema);
    if ((size_t)many * schema->count > self->time_room) {
        void *times = memory_resize(self->times, (size_t)many * schema->count * sizeof(*self->times));
        if (!times)
            return no_memory(self, env);
        self->times = times;
        self->time_room = (size_t)many * schema->count;
    }
    self->schema = weir_schema_reference(schema);
    error = prepare_insert(self, env, 1, &self->insert_one);
    if (error == 0)
        error = prepare_insert(self, env, many, &self->insert_many);
    if (error < 0)
        forget_statements(self);
    return error;
}

static int store_batch(struct sink_sqlite *self, struct weir_env *env, const struct weir_batch *batch)
{
    int error = use_schema(self, env, batch->schema);
    uint32_t many = rows_per_insert(self, batch->schema), done = 0;
    for (; error == 0 && batch->count - done >= many; done += many)
        error = insert_rows(self, env, self->insert_many, batch, done, many);
    for (; error == 0 && done < batch->count; done++)
        error = insert_rows(self, env, self->insert_one, batch, done, 1);
    return error;
}

static void roll_back(struct sink_sqlite *self)
{
    if (self->db && !sqlite3_get_autocommit(self->db))
        (void)sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
    self->in_transaction = false;
    if (self->creating) /* the table is as it was before */
        forget_statements(self);
    self->creating = false;
}

/* Opens a transaction and stores in it again what the last one lost. */
static int begin(struct sink_sqlite *self, struct weir_env *env)
{
    if (self->in_transaction)
        return 0;
    if (!self->wal) {
        int error = execute(self, env, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
        if (error < 0)
            return error;
        self->wal = true;
    }
    int error = execute(self, env, "BEGIN IMMEDIATE");
    if (error < 0)
        return error;
    self->in_transaction = true;
    for (size_t i = 0; error == 0 && i < self->batch_count; i++)
        error = store_batch(self, env, self->batches[i]);
    return error;
}

static int reserve_batch(struct sink_sqlite *self)
{
    if (self->batch_count < self->batch_room)
        return 0;
    size_t room = self->batch_room ? 2 * self->batch_room : 64;
    struct weir_batch **batches = memory_resize(self->batches, room * sizeof(*batches));
    if (!batches)
        return -ENOMEM;
    self->batches = batches;
    self->batch_room = room;
    return 0;
}

static int sink_write(void *state, struct weir_env *env, struct weir_batch *in, const char *bytes, size_t size)
{
    struct sink_sqlite *self = state;
    (void)bytes;
    (void)size;
    if (reserve_batch(self) < 0)
        return no_memory(self, env);
    int error = begin(self, env);
    if (error == 0)
        error = store_batch(self, env, in);
    if (error < 0) {
        roll_back(self);
        return error;
    }
    self->batches[self->batch_count++] = weir_batch_reference(in);
    return 0;
}

static void release_batches(struct sink_sqlite *self)
{
    for (size_t i = 0; i < self->batch_count; i++)
        weir_batch_release(self->batches[i]);
    self->batch_count = 0;
}

/* Ends a transaction that went as far as `error`: nothing of it stays unless all of it does. */
static int end_transaction(struct sink_sqlite *self, struct weir_env *env, int error)
{
    if (error == 0)
        error = execute(self, env, "COMMIT");
    if (error < 0)
        roll_back(self);
    else
        self->in_transaction = false;
    return error;
}

static int sink_commit(void *state, struct weir_env *env)
{
    struct sink_sqlite *self = state;
    if (self->batch_count == 0)
        return 0;
    int error = end_transaction(self, env, begin(self, env));
    if (error < 0)
        return error;
    self->created |= self->creating;
    self->creating = false;
    release_batches(self);
    return 0;
}

/* A run without a record for this table leaves an empty one, not that of the run before. */
static int sink_finish(void *state, struct weir_env *env)
{
    struct sink_sqlite *self = state;
    if (self->schema || !self->bound)
        return 0;
    int error = begin(self, env);
    if (error == 0)
        error = use_schema(self, env, self->bound);
    return end_transaction(self, env, error);
}

static int sink_open(void *state, struct weir_env *env)
{
    struct sink_sqlite *self = state;
    int result = sqlite3_open_v2(self->path, &self->db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (result != SQLITE_OK)
        return explain(self, env, result);
    sqlite3_extended_result_codes(self->db, 1);
    sqlite3_busy_timeout(self->db, BUSY_MS);
    /* The first look at the file: is it a database at all? That it is locked just now is no reason not to start. */
    result = sqlite3_exec(self->db, "PRAGMA schema_version", NULL, NULL, NULL);
    if (result != SQLITE_OK && (result & 0xff) != SQLITE_BUSY)
        return explain(self, env, result);
    if (sqlite3_db_readonly(self->db, "main") == 1)
        return explain(self, env, SQLITE_READONLY);
    return 0;
}

static void sink_close(void *state, struct weir_env *env)
{
    struct sink_sqlite *self = state;
    (void)env;
    roll_back(self);
    forget_statements(self);
    release_batches(self);
    memory_free(self->batches);
    memory_free(self->times);
    weir_schema_release(self->bound);
    self->bound = NULL;
    self->batches = NULL;
    self->times = NULL;
    sqlite3_close(self->db);
    self->db = NULL;
}

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option options[] = {
    {.name = "path", .type = WEIR_OPTION_STRING, .offset = offsetof(struct sink_sqlite, path),
     .flags = WEIR_OPTION_REQUIRED | WEIR_OPTION_MAIN, .help = "the database; it is created if there is none"},
    {.name = "table", .type = WEIR_OPTION_STRING, .offset = offsetof(struct sink_sqlite, table), .fallback = "readings",
     .help = "the table; it is created with the columns of the records if there is none"},
    {.name = "if_exists", .type = WEIR_OPTION_CHOICE, .offset = offsetof(struct sink_sqlite, if_exists),
     .fallback = "append", .choices = if_exists_names, .help = "what to do with a table that is there already"},
    {.name = "time_format", .type = WEIR_OPTION_CHOICE, .offset = offsetof(struct sink_sqlite, time_format),
     .fallback = "rfc3339", .choices = time_format_names,
     .help = "how times are stored: text (auto, rfc3339, plain), or numbers since 1970 (epoch_s and so on)"},
    {.type = WEIR_OPTION_END},
};

const struct weir_sink sink_sqlite = {
    .part = {
        .kind = WEIR_SINK,
        .name = "sqlite",
        .summary = "records into a table of a SQLite database",
        .example = "sinks:\n"
                   "  store: {type: sqlite, path: factory.db, table: readings}\n",
        .options = options,
        .size = sizeof(struct sink_sqlite),
        .open = sink_open,
        .close = sink_close,
    },
    .bind = sink_bind,
    .finish = sink_finish,
    .write = sink_write,
    .commit = sink_commit,
    .commit_rows = COMMIT_ROWS,
    .commit_ns = 1000000000,
    .keep_order = true,
};
