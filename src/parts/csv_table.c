/* SPDX-License-Identifier: MIT */
#include "parts/csv_table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/system.h"
#include "base/units.h"

enum { ROWS_FIRST = 64, NUMBER_MOST = 64 };

struct csv_table {
    char *text;
    size_t size;
    char *names[CSV_TABLE_COLUMNS_MOST];
    uint32_t columns, key;
    size_t *rows; /* where each begins */
    uint32_t row_count, row_room;
    uint32_t *slots; /* row + 1 by hash of its key; 0: free */
    uint32_t slot_count;
    struct timespec modified;
    ino_t inode;
    off_t length;
};

/* ---- Cells ------------------------------------------------------------------------------------------------------- */

/* Appends the cell that begins at *at, and steps behind it. False: it was the last of its row. */
static bool read_cell(const struct csv_table *table, size_t *at, struct weir_buffer *out)
{
    const char *text = table->text;
    size_t i = *at;
    bool quoted = i < table->size && text[i] == '"';
    for (i += quoted; i < table->size; i++) {
        char c = text[i];
        if (quoted && c == '"') {
            if (i + 1 == table->size || text[i + 1] != '"') {
                quoted = false;
                continue;
            }
            i++;
        } else if (!quoted && (c == ',' || c == '\n')) {
            break;
        } else if (!quoted && c == '\r' && (i + 1 == table->size || text[i + 1] == '\n')) {
            continue;
        }
        if (out)
            buffer_append(out, &text[i], 1);
    }
    bool more = i < table->size && text[i] == ',';
    *at = i < table->size ? i + 1 : i;
    return more;
}

/* Appends cell `column` of a row; false: the row has fewer. */
static bool find_cell(const struct csv_table *table, uint32_t row, uint32_t column, struct weir_buffer *out)
{
    size_t at = table->rows[row];
    for (uint32_t i = 0; i < column; i++)
        if (!read_cell(table, &at, NULL))
            return false;
    (void)read_cell(table, &at, out);
    return true;
}

static bool is_number(const struct weir_buffer *cell)
{
    char text[NUMBER_MOST];
    double value;
    if (cell->size == 0 || cell->size >= sizeof text)
        return false;
    memcpy(text, cell->data, cell->size);
    text[cell->size] = 0;
    const char *digits = text + (text[0] == '-');
    bool padded = digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9'; /* an identifier, such as 007 */
    bool plain = digits[0] >= '0' && digits[0] <= '9' && strspn(text, "0123456789.eE+-") == cell->size;
    return plain && !padded && text[cell->size - 1] != '.' && units_number(text, &value) == 0;
}

/* ---- Loading ----------------------------------------------------------------------------------------------------- */

static int read_file(struct csv_table *table, const char *path, struct weir_error *error)
{
    struct stat status = {0};
    int fd = SYSTEM_CALL(open(path, O_RDONLY | O_CLOEXEC)), code = 0;
    if (fd < 0)
        return weir_fail(error, -errno, "the table %s cannot be read: %s", path, strerror(errno));
    if (SYSTEM_CALL(fstat(fd, &status)) < 0)
        code = weir_fail(error, -errno, "the table %s cannot be read: %s", path, strerror(errno));
    else if (!S_ISREG(status.st_mode) || status.st_size > CSV_TABLE_BYTES_MOST)
        code = weir_fail(error, -EINVAL, "the table %s is %s", path,
                         S_ISREG(status.st_mode) ? "larger than 1 GiB" : "not a file");
    else if (!(table->text = memory_allocate((size_t)status.st_size + 1)))
        code = weir_fail(error, -ENOMEM, "out of memory for the table %s", path);
    while (code >= 0 && table->size < (size_t)status.st_size) {
        ssize_t got = SYSTEM_CALL(read(fd, table->text + table->size, (size_t)status.st_size - table->size));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            code = weir_fail(error, -errno, "the table %s cannot be read: %s", path, strerror(errno));
        if (got <= 0)
            break;
        table->size += (size_t)got;
    }
    close(fd);
    table->modified = status.st_mtim;
    table->inode = status.st_ino;
    table->length = status.st_size;
    return code;
}

static int read_header(struct csv_table *table, const char *path, const char *key, size_t *at, struct weir_error *error)
{
    struct weir_buffer cell = {0};
    bool more = true;
    if (table->size >= 3 && memcmp(table->text, "\xef\xbb\xbf", 3) == 0)
        *at = 3;
    while (more && *at < table->size) {
        cell.size = 0;
        more = read_cell(table, at, &cell);
        buffer_append(&cell, "", 1);
        char *name = cell.failed ? NULL : memory_string(cell.data);
        if (!name || table->columns == CSV_TABLE_COLUMNS_MOST) {
            memory_free(name);
            buffer_free(&cell);
            return name ? weir_fail(error, -E2BIG, "%s:1: more than %d columns", path, CSV_TABLE_COLUMNS_MOST)
                        : weir_fail(error, -ENOMEM, "out of memory for the table %s", path);
        }
        table->names[table->columns++] = name;
    }
    buffer_free(&cell);
    int32_t found = csv_table_find(table, key);
    if (found < 0)
        return weir_fail(error, -EINVAL, "%s:1: the table has no column \"%s\" to find rows by; `file_key` names it",
                         path, key);
    table->key = (uint32_t)found;
    return 0;
}

static int add_row(struct csv_table *table, size_t begin)
{
    if (table->row_count == table->row_room) {
        uint32_t room = table->row_room ? table->row_room * 2 : ROWS_FIRST;
        size_t *rows = memory_resize(table->rows, room * sizeof *rows);
        if (!rows)
            return -ENOMEM;
        table->rows = rows;
        table->row_room = room;
    }
    table->rows[table->row_count++] = begin;
    return 0;
}

/* The slot of a key: where its row is, or where it would go. */
static uint32_t find_slot(const struct csv_table *table, const char *key, size_t size, struct weir_buffer *cell)
{
    uint32_t slot = (uint32_t)hash_bytes(key, size) & (table->slot_count - 1);
    for (; table->slots[slot]; slot = (slot + 1) & (table->slot_count - 1)) {
        cell->size = 0;
        (void)find_cell(table, table->slots[slot] - 1, table->key, cell);
        if (cell->size == size && (size == 0 || memcmp(cell->data, key, size) == 0))
            break;
    }
    return slot;
}

static int index_rows(struct csv_table *table)
{
    struct weir_buffer key = {0}, cell = {0};
    table->slot_count = ROWS_FIRST;
    while (table->slot_count < table->row_count * 2)
        table->slot_count *= 2;
    table->slots = memory_zeroed(table->slot_count, sizeof *table->slots);
    bool failed = !table->slots;
    for (uint32_t row = 0; row < table->row_count && !failed; row++) {
        key.size = 0;
        if (find_cell(table, row, table->key, &key) && !key.failed)
            table->slots[find_slot(table, key.data, key.size, &cell)] = row + 1;
        failed = key.failed || cell.failed;
    }
    buffer_free(&key);
    buffer_free(&cell);
    return failed ? -ENOMEM : 0;
}

static int parse(struct csv_table *table, const char *path, const char *key, struct weir_error *error)
{
    size_t at = 0;
    int code = read_header(table, path, key, &at, error);
    bool full = false;
    while (code >= 0 && !full && at < table->size) {
        size_t begin = at;
        if (table->text[at] == '\n' || table->text[at] == '\r') { /* an empty line */
            at++;
            continue;
        }
        while (read_cell(table, &at, NULL))
            continue;
        full = add_row(table, begin) < 0;
    }
    if (code >= 0 && (full || index_rows(table) < 0))
        code = weir_fail(error, -ENOMEM, "out of memory for the table %s", path);
    return code;
}

static int make_table(const char *path, const char *key, const char *text, size_t size, struct csv_table **ret,
                      struct weir_error *error)
{
    struct csv_table *table = memory_zeroed(1, sizeof *table);
    int code = table ? 0 : weir_fail(error, -ENOMEM, "out of memory for the table %s", path);
    if (code >= 0 && !text) {
        code = read_file(table, path, error);
    } else if (code >= 0) {
        table->text = memory_allocate(size + 1);
        code = table->text ? 0 : weir_fail(error, -ENOMEM, "out of memory for the table %s", path);
        if (code >= 0 && size > 0)
            memcpy(table->text, text, size);
        table->size = size;
    }
    if (code >= 0)
        code = parse(table, path, key, error);
    if (code < 0) {
        csv_table_free(table);
        return code;
    }
    *ret = table;
    return 0;
}

int csv_table_load(const char *path, const char *key, struct csv_table **ret, struct weir_error *error)
{
    return make_table(path, key, NULL, 0, ret, error);
}

int csv_table_parse(const char *text, size_t size, const char *key, struct csv_table **ret, struct weir_error *error)
{
    return make_table("text", key, text ? text : "", size, ret, error);
}

void csv_table_free(struct csv_table *table)
{
    if (!table)
        return;
    for (uint32_t i = 0; i < table->columns; i++)
        memory_free(table->names[i]);
    memory_free(table->rows);
    memory_free(table->slots);
    memory_free(table->text);
    memory_free(table);
}

bool csv_table_changed(const struct csv_table *table, const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 &&
           (status.st_ino != table->inode || status.st_size != table->length ||
            status.st_mtim.tv_sec != table->modified.tv_sec || status.st_mtim.tv_nsec != table->modified.tv_nsec);
}

size_t csv_table_bytes(const struct csv_table *table)
{
    return sizeof *table + table->size + table->row_room * sizeof *table->rows +
           table->slot_count * sizeof *table->slots;
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

uint32_t csv_table_columns(const struct csv_table *table)
{
    return table->columns;
}

const char *csv_table_name(const struct csv_table *table, uint32_t column)
{
    return table->names[column];
}

int32_t csv_table_find(const struct csv_table *table, const char *column)
{
    for (uint32_t i = 0; i < table->columns; i++)
        if (strcmp(table->names[i], column) == 0)
            return (int32_t)i;
    return -1;
}

bool csv_table_numeric(const struct csv_table *table, uint32_t column)
{
    struct weir_buffer cell = {0};
    bool any = false, numeric = true;
    for (uint32_t row = 0; row < table->row_count && numeric; row++) {
        cell.size = 0;
        if (!find_cell(table, row, column, &cell) || !cell.size)
            continue;
        any = true;
        numeric = is_number(&cell);
    }
    buffer_free(&cell);
    return any && numeric;
}

int64_t csv_table_row(const struct csv_table *table, const char *key, size_t size)
{
    struct weir_buffer cell = {0};
    uint32_t slot = find_slot(table, key, size, &cell);
    buffer_free(&cell);
    return (int64_t)table->slots[slot] - 1;
}

void csv_table_cell(const struct csv_table *table, int64_t row, uint32_t column, struct weir_buffer *out)
{
    struct weir_buffer cell = {0};
    if (!find_cell(table, (uint32_t)row, column, &cell) || !cell.size)
        buffer_string(out, "null");
    else if (is_number(&cell))
        buffer_append(out, cell.data, cell.size);
    else
        buffer_json_string(out, cell.data, cell.size);
    out->failed |= cell.failed;
    buffer_free(&cell);
}
