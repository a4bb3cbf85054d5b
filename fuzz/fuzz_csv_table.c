/* SPDX-License-Identifier: MIT */
/* Tables to look things up in: whatever they hold, each row is found by its own key, or a later one with the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "parts/csv_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct csv_table *table;
    struct weir_buffer cell = {0};
    if (csv_table_parse((const char *)data, size, "k", &table, NULL) < 0)
        return 0;
    for (uint32_t column = 0; column < csv_table_columns(table); column++)
        (void)csv_table_numeric(table, column);
    for (size_t begin = 0; begin < size && begin < 64; begin++) {
        int64_t row = csv_table_row(table, (const char *)data + begin, size - begin < 8 ? size - begin : 8);
        for (uint32_t column = 0; row >= 0 && column < csv_table_columns(table); column++)
            csv_table_cell(table, row, column, &cell);
    }
    buffer_free(&cell);
    csv_table_free(table);
    return 0;
}
