/* SPDX-License-Identifier: MIT */
/*
 * Batches against a model: each row of a random batch carries values made from its number alone, so that wherever a row
 * goes, all that belongs to it can be checked.
 */
#include "data/test_data.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "data/batch_receipt.h"
#include "data/pool.h"

static const struct weir_field fields[] = {
    {.name = "time", .type = WEIR_TIME},
    {.name = "value", .type = WEIR_F64},
    {.name = "count", .type = WEIR_I64},
    {.name = "good", .type = WEIR_BOOL},
    {.name = "sensor", .type = WEIR_SYMBOL},
    {.name = "note", .type = WEIR_TEXT},
    {.name = "shape", .type = WEIR_ARRAY, .element = WEIR_ELEMENT_I64, .elements = 3},
};
enum { FIELDS = 7, NOTE = 5 };

static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

struct world {
    struct memory_budget budget;
    struct weir_pool *pool;
    struct weir_schema *schema;
    _Atomic int receipts; /* alive */
};

struct counted_receipt {
    struct weir_receipt receipt;
    struct world *world;
};

static void receipt_gone(struct weir_receipt *receipt)
{
    struct counted_receipt *counted = (struct counted_receipt *)receipt;
    counted->world->receipts--;
    free(counted);
}

static struct weir_receipt *new_receipt(struct world *world)
{
    struct counted_receipt *counted = malloc(sizeof *counted);
    *counted = (struct counted_receipt){.receipt = {.released = receipt_gone}, .world = world};
    atomic_init(&counted->receipt.references, 1);
    world->receipts++;
    return &counted->receipt;
}

static void open_world(struct world *world)
{
    *world = (struct world){.budget = {.limit = 1 << 30}};
    world->pool = pool_new(&world->budget, 1 << 20);
    world->schema = weir_schema_new(fields, FIELDS, 0, 4);
}

static void close_world(struct world *world)
{
    assert_int_equal(world->receipts, 0);
    weir_schema_release(world->schema);
    pool_close(world->pool);
    assert_int_equal(world->budget.used, 0);
}

/* Writes row `row` of a batch as record `number`. */
static void set_row(struct weir_batch *batch, uint32_t row, uint64_t number)
{
    ((int64_t *)weir_batch_column_data(batch, 0))[row] = (int64_t)number * 1000;
    ((double *)weir_batch_column_data(batch, 1))[row] = (double)number / 3;
    ((int64_t *)weir_batch_column_data(batch, 2))[row] = -(int64_t)number;
    ((uint8_t *)weir_batch_column_data(batch, 3))[row] = number % 3 == 2 ? WEIR_BOOL_NULL : (uint8_t)(number % 3);
    ((uint32_t *)weir_batch_column_data(batch, 4))[row] = (uint32_t)number + 7;
    ((struct weir_text *)weir_batch_column_data(batch, 5))[row] = (struct weir_text){letters + number % 20,
                                                                                     (uint32_t)(number % 6)};
    for (int i = 0; i < 3; i++) {
        ((int64_t *)weir_batch_column_data(batch, 6))[3 * row + i] = (int64_t)number * 3 + i;
    }
}

static void check_row(const struct weir_batch *batch, uint32_t row, uint64_t number)
{
    assert_true(weir_batch_position(batch, row) == number);
    assert_true(batch->columns[0].i64[row] == (int64_t)number * 1000);
    assert_true(batch->columns[1].f64[row] == (double)number / 3);
    assert_true(batch->columns[2].i64[row] == -(int64_t)number);
    assert_true(batch->columns[3].bools[row] == (number % 3 == 2 ? WEIR_BOOL_NULL : number % 3));
    assert_true(batch->columns[4].symbols[row] == number + 7);
    assert_ptr_equal(batch->columns[5].texts[row].data, letters + number % 20);
    assert_int_equal(batch->columns[5].texts[row].length, number % 6);
    for (int i = 0; i < 3; i++) {
        assert_true(batch->columns[6].i64[3 * row + i] == (int64_t)number * 3 + i);
    }
}

/* rows `first` and on, without gaps. */
static struct weir_batch *new_dense(struct world *world, uint64_t first, uint32_t rows)
{
    struct weir_batch *batch = weir_batch_new(world->pool, world->schema, rows);
    assert_non_null(batch);
    for (uint32_t i = 0; i < FIELDS; i++) {
        assert_int_equal((uintptr_t)batch->columns[i].data % 64, 0);
    }
    for (uint32_t row = 0; row < rows; row++) {
        set_row(batch, row, first + row);
    }
    batch->position = first;
    batch->produced = (int64_t)first;
    return batch;
}

static void select_some(struct world *world, struct weir_batch *batch, struct random *random, unsigned per_cent)
{
    (void)world;
    uint32_t *selection = weir_batch_allocate(batch, batch->rows * sizeof *selection + 1), count = 0;
    for (uint32_t row = 0; row < batch->rows; row++) {
        if (random_below(random, 100) < per_cent) {
            selection[count++] = row;
        }
    }
    weir_batch_select(batch, selection, count);
}

static void derive_shares_and_adds(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    struct weir_batch *parent = new_dense(&world, 100, 1000);
    batch_set_receipt(parent, new_receipt(&world));
    struct weir_field added[] = {{.name = "z", .type = WEIR_F64}, {.name = "count", .type = WEIR_F64}};
    struct weir_schema *schema = weir_schema_extend(world.schema, added, 2);
    struct weir_batch *batch = weir_batch_derive(world.pool, parent, schema);
    assert_ptr_equal(batch->columns[1].data, parent->columns[1].data);
    assert_null(batch->columns[2].data); /* of another type */
    assert_null(batch->columns[7].data);
    double *z = weir_batch_add_column(batch, 7);
    assert_ptr_equal(batch->columns[7].data, z);
    assert_non_null(weir_batch_add_column(batch, 2));
    for (int i = 0; i < 1000; i++) {
        z[i] = i;
    }
    assert_ptr_equal(batch->receipts[0], parent->receipts[0]);
    weir_batch_release(parent);
    assert_int_equal(weir_batch_position(batch, 5), 105);
    assert_true(batch->columns[1].f64[5] == 105.0 / 3);

    struct weir_schema *few = weir_schema_new((struct weir_field[]){fields[6], fields[0]}, 2, 1, -1);
    struct weir_batch *selected = weir_batch_derive(world.pool, batch, few);
    assert_ptr_equal(selected->columns[0].data, batch->columns[6].data);
    assert_ptr_equal(selected->columns[1].data, batch->columns[0].data);
    weir_batch_release(batch);
    assert_int_equal(world.receipts, 1);
    assert_int_equal(selected->columns[1].i64[9], 109000);
    weir_batch_release(selected);
    weir_schema_release(few);
    weir_schema_release(schema);
    weir_batch_release(NULL);
    close_world(&world);
}

/* Of some of the rows: each cut has its part of them, and they outlive the batch that they are of. */
static void cut_takes_a_part(void **state)
{
    (void)state;
    struct world world;
    struct random random = random_start();
    open_world(&world);
    struct weir_batch *batch = new_dense(&world, 100, 1000), *cuts[3];
    select_some(&world, batch, &random, 40);
    const uint32_t *rows = batch->selection, ends[] = {0, batch->count / 3, batch->count / 3, batch->count};
    for (int i = 0; i < 3; i++) {
        cuts[i] = weir_batch_cut(world.pool, batch, ends[i], ends[i + 1]);
        assert_non_null(cuts[i]);
    }
    weir_batch_release(batch);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cuts[i]->count, ends[i + 1] - ends[i]);
        for (uint32_t at = 0; at < cuts[i]->count; at++) {
            assert_int_equal(weir_batch_row(cuts[i], at), rows[ends[i] + at]); /* which live as long as the cuts */
            check_row(cuts[i], weir_batch_row(cuts[i], at), 100 + rows[ends[i] + at]);
        }
    }
    for (int i = 0; i < 3; i++) {
        weir_batch_release(cuts[i]);
    }
    close_world(&world);
}

static void allocations_do_not_overlap(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    struct random random = random_start();
    struct weir_batch *batch = weir_batch_new_empty(world.pool, world.schema, 10);
    assert_null(batch->columns[0].data);
    enum { COUNT = 200 };
    unsigned char *memory[COUNT];
    size_t sizes[COUNT];
    for (int i = 0; i < COUNT; i++) {
        sizes[i] = random_below(&random, i % 10 ? 300 : 20000);
        memory[i] = weir_batch_allocate(batch, sizes[i]);
        assert_non_null(memory[i]);
        assert_int_equal((uintptr_t)memory[i] % 64, 0);
        memset(memory[i], i, sizes[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        for (size_t at = 0; at < sizes[i]; at++) {
            assert_int_equal(memory[i][at], i);
        }
    }
    assert_null(weir_batch_allocate(batch, SIZE_MAX));
    assert_null(weir_batch_allocate(batch, SIZE_MAX - 100));
    assert_true(weir_batch_bytes(batch) >= 200 * 150);
    weir_batch_release(batch);

    struct weir_field huge = {.name = "huge", .type = WEIR_ARRAY, .element = WEIR_ELEMENT_F64, .elements = UINT32_MAX};
    struct weir_schema *schema = weir_schema_new(&huge, 1, -1, -1);
    assert_null(weir_batch_new(world.pool, schema, UINT32_MAX));
    weir_schema_release(schema);
    close_world(&world);
}

static int releases;
static void foreign_gone(struct weir_memory *memory)
{
    releases++;
    assert_ptr_equal(memory->owner, &releases);
}

static void foreign_memory_lives_as_long_as_needed(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    struct weir_memory memory = {.references = 1, .release = foreign_gone, .owner = &releases, .size = 1000};
    struct weir_batch *batch = new_dense(&world, 0, 10);
    weir_batch_own_memory(batch, &memory);
    assert_true(weir_batch_bytes(batch) >= 1000);
    uint32_t rows[] = {3, 4};
    struct weir_batch *copy = weir_batch_compact(world.pool, batch, rows, 2); /* has texts */
    struct weir_batch *merged = weir_batch_merge(world.pool, &copy, 1);
    weir_batch_release(batch);
    weir_batch_release(copy);
    assert_int_equal(releases, 0);
    check_row(merged, 1, 4);
    weir_batch_release(merged);
    assert_int_equal(releases, 1);
    close_world(&world);
}

static void compact_agrees_with_the_model(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < 300; round++) {
        struct world world;
        open_world(&world);
        struct weir_batch *batch = new_dense(&world, 1000, (uint32_t)random_below(&random, 3000));
        bool receipts = random_below(&random, 2);
        if (receipts) {
            batch_set_receipt(batch, new_receipt(&world));
        }
        if (random_below(&random, 3)) {
            select_some(&world, batch, &random, (unsigned)random_below(&random, 101));
        }
        struct weir_batch *once = weir_batch_compact(world.pool, batch, NULL, 0);
        assert_int_equal(once->rows, batch->count);
        assert_int_equal(once->count, batch->count);
        assert_null(once->selection);
        for (uint32_t i = 0; i < once->rows; i++) {
            uint32_t row = weir_batch_row(batch, i);
            check_row(once, i, 1000 + row);
            assert_int_equal(weir_batch_produced(once, i), 1000);
            assert_int_equal(receipts && once->receipt_row ? once->receipt_row[i] : row, row);
        }
        /* Some of those, by number, backwards: rows of rows. */
        uint32_t count = once->rows / 2, *rows = malloc(count * sizeof *rows + 1);
        for (uint32_t i = 0; i < count; i++) {
            rows[i] = once->rows - 1 - 2 * i;
        }
        struct weir_batch *twice = weir_batch_compact(world.pool, once, rows, count);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t row = weir_batch_row(batch, rows[i]);
            check_row(twice, i, 1000 + row);
            assert_true(!receipts || twice->receipt_row[i] == row);
        }
        assert_int_equal(twice->receipt_count, receipts);
        free(rows);
        weir_batch_release(once);
        weir_batch_release(batch);
        weir_batch_release(twice);
        close_world(&world);
    }
}

/* Deals the rows of several source batches to pieces, at random, and merges the pieces: all must be as before. */
enum { PIECES = 9, SOURCES = 4 };
static void merge_round(struct random *random)
{
    struct world world;
    open_world(&world);
    uint32_t source_count = 1 + (uint32_t)random_below(random, SOURCES),
             piece_count = 1 + (uint32_t)random_below(random, PIECES);
    struct weir_batch *pieces[PIECES * SOURCES];
    uint32_t made = 0, total = 0;
    uint64_t end[SOURCES], start[SOURCES];
    struct weir_receipt *receipts[SOURCES];
    for (uint32_t s = 0; s < source_count; s++) {
        uint32_t rows = (uint32_t)random_below(random, 500);
        start[s] = total;
        struct weir_batch *batch = new_dense(&world, total, rows);
        receipts[s] = new_receipt(&world);
        batch_set_receipt(batch, receipts[s]);
        uint32_t *lists = malloc((size_t)piece_count * rows * sizeof *lists + 1), counts[PIECES] = {0};
        for (uint32_t row = 0; row < rows; row++) {
            uint32_t piece = (uint32_t)random_below(random, piece_count);
            lists[piece * rows + counts[piece]++] = row;
        }
        for (uint32_t p = 0; p < piece_count; p++) {
            if (random_below(random, 2)) {
                pieces[made++] = weir_batch_compact(world.pool, batch, lists + p * rows, counts[p]);
            } else { /* the whole batch with a selection */
                struct weir_batch *piece = weir_batch_derive(world.pool, batch, batch->schema);
                uint32_t *selection = weir_batch_allocate(piece, counts[p] * sizeof *selection + 1);
                memcpy(selection, lists + p * rows, counts[p] * sizeof *selection);
                weir_batch_select(piece, selection, counts[p]);
                pieces[made++] = piece;
            }
        }
        free(lists);
        weir_batch_release(batch);
        total += rows;
        end[s] = total;
    }
    /* Merge in two steps, so that merged batches are merged as well. */
    uint32_t half = made / 2;
    if (half) {
        struct weir_batch *first = weir_batch_merge(world.pool, pieces, half);
        for (uint32_t i = 0; i < half; i++) {
            weir_batch_release(pieces[i]);
        }
        pieces[half - 1] = first;
    }
    uint32_t from = half ? half - 1 : 0;
    struct weir_batch *merged = weir_batch_merge(world.pool, pieces + from, made - from);
    for (uint32_t i = from; i < made; i++) {
        weir_batch_release(pieces[i]);
    }
    assert_int_equal(merged->rows, total);
    assert_int_equal(merged->count, total);
    for (uint32_t row = 0, s = 0; row < total; row++) {
        while (row >= end[s]) {
            s++;
        }
        check_row(merged, row, row);
        assert_int_equal(weir_batch_produced(merged, row), start[s]);
        assert_ptr_equal(merged->receipts[merged->receipt_of ? merged->receipt_of[row] : 0], receipts[s]);
        assert_int_equal(merged->receipt_row[row], row - start[s]);
    }
    assert_int_equal(world.receipts, source_count);
    weir_batch_release(merged);
    close_world(&world);
}

static void merge_agrees_with_the_model(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < 300; round++) {
        merge_round(&random);
    }
}

static void merge_keeps_the_order_of_equal_positions(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    struct weir_batch *a = new_dense(&world, 5, 3), *b = new_dense(&world, 50, 3);
    b->position = 5; /* the same positions, other values */
    batch_set_receipt(b, new_receipt(&world));
    struct weir_batch *merged = weir_batch_merge(world.pool, (struct weir_batch *[]){b, a}, 2);
    int64_t expected[] = {-50, -5, -51, -6, -52, -7};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(merged->columns[2].i64[i], expected[i]);
        /* Rows of the batch without a receipt are nobody's. */
        assert_int_equal(merged->receipt_row[i], i % 2 ? UINT32_MAX : (uint32_t)i / 2);
    }
    weir_batch_release(merged);
    weir_batch_release(a);
    weir_batch_release(b);
    assert_null(weir_batch_merge(world.pool, NULL, 0));
    close_world(&world);
}

/* One of everything; NULL as soon as something fails, with nothing left behind. */
static bool make_everything(struct world *world)
{
    struct weir_batch *made[5] = {0};
    made[0] = weir_batch_new(world->pool, world->schema, 400);
    bool good = made[0];
    if (good) {
        for (uint32_t row = 0; row < 400; row++) {
            set_row(made[0], row, row);
        }
        batch_set_receipt(made[0], new_receipt(world));
        good = weir_batch_allocate(made[0], 100000) &&
               (made[1] = weir_batch_derive(world->pool, made[0], world->schema));
    }
    if (good) {
        made[1]->position = 5000;
        uint32_t rows[] = {1, 2, 3};
        made[2] = weir_batch_compact(world->pool, made[1], rows, 3);
        good = made[2] && (made[3] = weir_batch_new(world->pool, world->schema, 9));
    }
    if (good) {
        memset(weir_batch_column_data(made[3], NOTE), 0, 9 * sizeof(struct weir_text));
        batch_set_receipt(made[3], new_receipt(world));
        good = (made[4] = weir_batch_merge(world->pool, made, 4));
    }
    for (int i = 0; i < 5; i++) {
        weir_batch_release(made[i]);
    }
    return good;
}

static void failing_allocations_leave_nothing_behind(void **state)
{
    (void)state;
    for (uint64_t nth = 1, done = 0; !done; nth++) {
        struct world world;
        open_world(&world);
        memory_fail_nth(nth, false);
        done = make_everything(&world);
        memory_fail_nth(0, false);
        close_world(&world);
        assert_true(nth < 100);
    }
    for (uint64_t limit = 4096, done = 0; !done; limit += 4096) { /* the same by budget */
        struct world world;
        open_world(&world);
        world.budget.limit = limit;
        done = make_everything(&world);
        close_world(&world);
    }
}

/* Published batches are shared: each thread derives, compacts and merges with a pool of its own, and whoever comes last
 * gives the memory back. */
enum { SHARERS = 3, SHARED = 200 };
static struct weir_batch *published[SHARED];

static void *share(void *argument)
{
    struct world *world = argument;
    struct weir_pool *pool = pool_new(&world->budget, 1 << 20);
    const char *complaint = NULL;
    for (int i = 0; i < SHARED; i++) {
        struct weir_batch *derived = weir_batch_derive(pool, published[i], published[i]->schema);
        weir_batch_release(published[i]);
        uint32_t rows[] = {1, 5, 7};
        struct weir_batch *copy = weir_batch_compact(pool, derived, rows, 3);
        struct weir_batch *merged = weir_batch_merge(pool, (struct weir_batch *[]){derived, copy}, 2);
        weir_batch_release(derived);
        weir_batch_release(copy);
        if (merged->receipt_count != 1 || merged->columns[2].i64[2] != -1 - 10 * i) {
            complaint = "wrong rows";
        }
        weir_batch_release(merged);
    }
    pool_close(pool);
    return (void *)complaint;
}

static void threads_share_batches(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    for (int i = 0; i < SHARED; i++) {
        published[i] = new_dense(&world, (uint64_t)i * 10, 10);
        batch_set_receipt(published[i], new_receipt(&world));
        for (int j = 1; j < SHARERS; j++) {
            weir_batch_reference(published[i]);
        }
    }
    pthread_t threads[SHARERS];
    for (int i = 0; i < SHARERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, share, &world), 0);
    }
    for (int i = 0; i < SHARERS; i++) {
        void *complaint;
        pthread_join(threads[i], &complaint);
        assert_null(complaint);
    }
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derive_shares_and_adds),
        cmocka_unit_test(cut_takes_a_part),
        cmocka_unit_test(allocations_do_not_overlap),
        cmocka_unit_test(foreign_memory_lives_as_long_as_needed),
        cmocka_unit_test(compact_agrees_with_the_model),
        cmocka_unit_test(merge_agrees_with_the_model),
        cmocka_unit_test(merge_keeps_the_order_of_equal_positions),
        cmocka_unit_test(failing_allocations_leave_nothing_behind),
        cmocka_unit_test(threads_share_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
