/* SPDX-License-Identifier: MIT */
/*
 * An edge against a naive model: the parts of the turns of several sources come in any order from several threads; a
 * consumer takes. Every turn arrives once, in the order of its source, whole; what is dropped is what the policy says.
 */
#include "flow/edge.h"

#include "base/memory.h"
#include "data/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { SOURCES = 2, TURNS = 400, PARTS = 3, ROWS = 5, SLAB = 4096 + 192 };

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return *state >> 33;
}

struct world {
    struct weir_schema *schema;
    struct account accounts[SOURCES];
    struct weir_waiter source_waiter, consumer, producers[PARTS];
    struct edge *edge;
    uint64_t seed;
    bool empty_parts; /* some parts bring nothing */
    bool pieces;      /* some come in several */
    _Atomic uint64_t submitted;
};

static void open_world(struct world *world, enum plan_policy policy, size_t limit, uint32_t parts, uint64_t seed)
{
    static const struct weir_field fields[] = {{.name = "n", .type = WEIR_I64}};
    uint32_t counts[SOURCES];
    memset(world, 0, sizeof *world);
    world->seed = seed;
    world->schema = weir_schema_new(fields, 1, -1, -1);
    waiter_init(&world->source_waiter);
    waiter_init(&world->consumer);
    for (uint32_t i = 0; i < SOURCES; i++) {
        counts[i] = parts;
        assert_int_equal(account_init(&world->accounts[i], UINT64_MAX, false, &world->source_waiter), 0);
    }
    struct edge_options options = {
        .from = "a", .to = "b", .limit = limit, .policy = policy, .sources = SOURCES, .parts = counts, .ordered = true};
    world->edge = edge_new(&options);
    assert_non_null(world->edge);
    assert_int_equal(edge_add_consumer(world->edge, &world->consumer), 0);
    for (uint32_t i = 0; i < PARTS; i++) {
        waiter_init(&world->producers[i]);
        assert_int_equal(edge_add_producer(world->edge, &world->producers[i]), 0);
    }
}

/* All of it must be settled by then. */
static void close_world(struct world *world, uint64_t stored, uint64_t dropped)
{
    uint64_t sum_stored = 0, sum_dropped = 0;
    edge_free(world->edge);
    for (uint32_t i = 0; i < SOURCES; i++) {
        assert_int_equal(world->accounts[i].unaccounted, 0);
        assert_int_equal(world->accounts[i].oldest, world->accounts[i].next);
        sum_stored += world->accounts[i].outcomes[OUTCOME_STORED];
        sum_dropped += world->accounts[i].outcomes[OUTCOME_DROPPED];
        account_destroy(&world->accounts[i]);
    }
    assert_int_equal(sum_stored, stored);
    assert_int_equal(sum_dropped, dropped);
    weir_schema_release(world->schema);
}

/* Rows of the parts interleave, and those of their pieces, which are not as far apart in one as in another. */
static uint64_t position_of(uint64_t sequence, uint32_t part, uint32_t piece)
{
    return sequence * 100 + part + (uint64_t)piece * (ROWS + 5 * part);
}

static struct turn *new_turn(struct world *world, struct weir_pool *pool, uint32_t source, uint64_t sequence,
                             uint32_t part, uint32_t piece, bool last)
{
    struct turn *turn = turn_new(source, sequence);
    assert_non_null(turn);
    if (!world->empty_parts || (sequence + part) % 3) {
        struct weir_batch *batch = weir_batch_new(pool, world->schema, ROWS);
        struct receipt *receipt = receipt_new(&world->accounts[source], 1, 1);
        assert_true(batch && receipt);
        batch->position = position_of(sequence, part, piece);
        for (uint32_t row = 0; row < ROWS; row++)
            ((int64_t *)weir_batch_column_data(batch, 0))[row] = (int64_t)(batch->position + row);
        assert_int_equal(receipt_set_records(receipt, ROWS, ROWS), 0);
        batch_set_receipt(batch, &receipt->head);
        turn_append(turn, MESSAGE_DATA)->batch = batch;
    }
    if (last)
        assert_non_null(turn_append(turn, MESSAGE_END));
    return turn;
}

static uint32_t pieces_of(const struct world *world, uint32_t source, uint64_t sequence, uint32_t part)
{
    uint64_t mixed = world->seed + sequence * 31 + source * 7 + part;
    return world->pieces ? 1 + (uint32_t)(next_random(&mixed) % 3) : 1;
}

static uint64_t rows_of(const struct world *world, uint32_t source, uint64_t sequence)
{
    uint64_t rows = 0;
    for (uint32_t part = 0; part < PARTS; part++)
        rows += !world->empty_parts || (sequence + part) % 3 ? ROWS * pieces_of(world, source, sequence, part) : 0;
    return rows;
}

/* All pieces of a part of a turn, those of every other turn backwards; the end is in the last. */
static void submit_pieces(struct world *world, struct weir_pool *pool, uint32_t source, uint64_t sequence,
                          uint32_t part)
{
    uint32_t count = pieces_of(world, source, sequence, part);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t piece = sequence % 2 ? i : count - 1 - i;
        bool more = piece + 1 < count;
        struct turn *turn = new_turn(world, pool, source, sequence, part, piece, !more && sequence == TURNS - 1);
        turn->piece = piece;
        turn->more = more;
        turn->until = position_of(sequence, part, piece) + ROWS - 1;
        edge_submit(world->edge, turn, part, pool);
    }
}

struct producer {
    struct world *world;
    uint32_t part;
    bool ask; /* for credit */
};

/* Brings its part of every turn, the sources in turns as it happens; within a stretch of each source in any order. */
static void *produce(void *argument)
{
    const struct producer *producer = argument;
    struct world *world = producer->world;
    struct weir_pool *pool = pool_new(NULL, 1 << 20);
    uint64_t seed = world->seed + producer->part;
    for (uint64_t start = 0; start < TURNS; start += 8) {
        uint64_t first = next_random(&seed);
        for (uint64_t i = 0; i < 8 * SOURCES; i++) {
            uint64_t which = (i + first) % (8 * SOURCES), sequence = start + which / SOURCES;
            while (producer->ask && !edge_credit(world->edge))
                waiter_park(&world->producers[producer->part], INT64_MAX);
            submit_pieces(world, pool, (uint32_t)(which % SOURCES), sequence, producer->part);
            atomic_fetch_add(&world->submitted, 1);
        }
    }
    pool_close(pool);
    return NULL;
}

/* The rows of a turn come in the order of position, over all its pieces. Returns how many batches there are. */
static uint32_t check_rows(const struct turn *turn, uint64_t *position)
{
    uint32_t batches = 0;
    for (const struct message *message = turn->first; message; message = message->next) {
        if (message->kind != MESSAGE_DATA)
            continue;
        const struct weir_batch *batch = message->batch;
        for (uint32_t i = 0; i < batch->count; i++) {
            uint32_t row = weir_batch_row(batch, i);
            assert_int_equal(batch->columns[0].i64[row], weir_batch_position(batch, row));
            assert_true(weir_batch_position(batch, row) >= *position);
            *position = weir_batch_position(batch, row);
        }
        batches++;
    }
    return batches;
}

/* Takes everything; returns the records in it, settled as stored. */
static uint64_t consume(struct world *world)
{
    uint64_t next[SOURCES] = {0}, positions[SOURCES] = {0}, rows[SOURCES] = {0}, records = 0;
    uint32_t pieces[SOURCES] = {0};
    while (!edge_done(world->edge)) {
        struct turn *turn = edge_take(world->edge);
        if (!turn) {
            waiter_park(&world->consumer, INT64_MAX);
            continue;
        }
        uint32_t source = turn->source;
        assert_int_equal(turn->sequence, next[source]);
        assert_int_equal(turn->piece, pieces[source]++);
        assert_true(!turn->more || world->pieces);
        assert_int_equal(turn_has(turn, MESSAGE_END), turn->sequence == TURNS - 1 && !turn->more);
        assert_true(check_rows(turn, &positions[source]) <= 1);
        rows[source] += turn_records(turn);
        records += turn_discard_data(turn, OUTCOME_STORED);
        if (!turn->more) {
            assert_int_equal(rows[source], rows_of(world, source, turn->sequence));
            next[source]++;
            pieces[source] = 0;
            rows[source] = positions[source] = 0;
        }
        turn_free(turn);
    }
    for (uint32_t i = 0; i < SOURCES; i++)
        assert_int_equal(next[i], TURNS);
    return records;
}

static void test_parts_from_threads(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 10; round++) {
        struct world world;
        struct producer producers[PARTS];
        pthread_t threads[PARTS];
        bool ask = round % 2;
        open_world(&world, PLAN_BLOCK, ask ? 4 * SLAB : SIZE_MAX, PARTS, seed + (uint64_t)round);
        world.empty_parts = round >= 4 && round < 8;
        world.pieces = round >= 6;
        for (uint32_t i = 0; i < PARTS; i++) {
            producers[i] = (struct producer){&world, i, ask};
            assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
        }
        uint64_t records = consume(&world);
        for (uint32_t i = 0; i < PARTS; i++)
            pthread_join(threads[i], NULL);
        if (!world.empty_parts && !world.pieces)
            assert_int_equal(records, SOURCES * TURNS * PARTS * ROWS);
        close_world(&world, records, 0);
    }
}

/* One thread, one part: what is taken and dropped is what a list would say. */
static void policy_round(enum plan_policy policy, uint64_t seed)
{
    struct world world;
    struct weir_pool *pool = pool_new(NULL, 1 << 20);
    bool model[TURNS]; /* the turn's data is still there */
    size_t room = 1 + next_random(&seed) % 6;
    uint64_t given = 0, taken = 0, stored = 0, dropped = 0;
    open_world(&world, policy, room * SLAB, 1, seed);
    while (taken < TURNS) {
        if (given < TURNS && next_random(&seed) % 5 < 3) {
            edge_submit(world.edge, new_turn(&world, pool, 0, given, 0, 0, false), 0, pool);
            model[given++] = true;
            size_t held = 0;
            for (uint64_t i = taken; i < given; i++)
                held += model[i];
            if (held > room && policy == PLAN_DROP_NEWEST)
                model[given - 1] = false;
            for (uint64_t i = taken; held > room && policy == PLAN_DROP_OLDEST; i++) {
                held -= model[i];
                model[i] = false;
            }
        } else {
            struct turn *turn = edge_take(world.edge);
            assert_int_equal(turn != NULL, taken < given);
            if (!turn)
                continue;
            assert_int_equal(turn->sequence, taken);
            assert_int_equal(turn_records(turn), model[taken] ? ROWS : 0);
            stored += model[taken] ? ROWS : 0;
            dropped += model[taken++] ? 0 : ROWS;
            turn_discard_data(turn, OUTCOME_STORED);
            turn_free(turn);
        }
    }
    struct edge_view view;
    edge_look(world.edge, &view);
    assert_int_equal(view.dropped, dropped);
    assert_int_equal(view.bytes, 0);
    close_world(&world, stored, dropped);
    pool_close(pool);
}

static void test_policies(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        policy_round(PLAN_BLOCK, seed);
        policy_round(PLAN_DROP_NEWEST, seed);
        policy_round(PLAN_DROP_OLDEST, seed);
    }
}

/* What is left in an edge, ready or not, is dropped with it and counted. */
static void test_free_with_turns(void **state)
{
    (void)state;
    struct world world;
    struct weir_pool *pool = pool_new(NULL, 1 << 20);
    open_world(&world, PLAN_BLOCK, SIZE_MAX, 2, 1);
    for (uint64_t i = 0; i < 10; i++) {
        edge_submit(world.edge, new_turn(&world, pool, 0, i, 0, 0, false), 0, pool);
        if (i != 4)
            edge_submit(world.edge, new_turn(&world, pool, 0, i, 1, 0, false), 1, pool);
    }
    close_world(&world, 0, 19 * ROWS);
    pool_close(pool);
}

/* Its limit can be made lower, and then as it was, but no higher. */
static void test_narrow(void **state)
{
    (void)state;
    struct world world;
    struct weir_pool *pool = pool_new(NULL, 1 << 20);
    open_world(&world, PLAN_BLOCK, 3 * SLAB, 1, 1);
    edge_submit(world.edge, new_turn(&world, pool, 0, 0, 0, 0, false), 0, pool);
    edge_submit(world.edge, new_turn(&world, pool, 0, 1, 0, 0, false), 0, pool);
    assert_true(edge_credit(world.edge));
    edge_narrow(world.edge, SLAB);
    assert_false(edge_credit(world.edge));
    struct edge_view view;
    edge_look(world.edge, &view);
    assert_int_equal(view.limit, SLAB);
    assert_true(view.full);
    edge_narrow(world.edge, SIZE_MAX);
    assert_true(edge_credit(world.edge));
    edge_look(world.edge, &view);
    assert_int_equal(view.limit, 3 * SLAB);
    close_world(&world, 0, 2 * ROWS);
    pool_close(pool);
}

/* A part whose rows all lie behind those of another waits for it, and is not to bring more meanwhile. */
static void test_part_ahead(void **state)
{
    (void)state;
    struct world world;
    struct weir_pool *pool = pool_new(NULL, 1 << 20);
    uint64_t stored = 0;
    open_world(&world, PLAN_BLOCK, SIZE_MAX, 2, 1);
    for (uint32_t piece = 0; piece < 3; piece++) {
        assert_false(edge_ahead(world.edge, 0, 0, 1));
        struct turn *turn = new_turn(&world, pool, 0, 0, 1, 10 + piece, false);
        turn->piece = piece;
        turn->more = true;
        turn->until = position_of(0, 1, 10 + piece) + ROWS - 1;
        edge_submit(world.edge, turn, 1, pool);
        if (!piece) { /* it is held: what the other part has comes before */
            struct turn *first = new_turn(&world, pool, 0, 0, 0, 0, false);
            first->more = true;
            first->until = position_of(0, 0, 0) + ROWS - 1;
            edge_submit(world.edge, first, 0, pool);
            struct turn *out = edge_take(world.edge);
            assert_non_null(out);
            assert_true(out->more);
            assert_int_equal(turn_records(out), ROWS);
            stored += turn_discard_data(out, OUTCOME_STORED);
            turn_free(out);
        }
        assert_null(edge_take(world.edge));
    }
    assert_true(edge_ahead(world.edge, 0, 0, 1));
    assert_false(edge_ahead(world.edge, 0, 0, 0));
    struct turn *last = new_turn(&world, pool, 0, 0, 0, 1, false);
    last->piece = 1;
    edge_submit(world.edge, last, 0, pool); /* now all that the first part has brought can go out, in its turn */
    assert_false(edge_ahead(world.edge, 0, 0, 1));
    for (struct turn *out; (out = edge_take(world.edge)); turn_free(out))
        stored += turn_discard_data(out, OUTCOME_STORED);
    assert_int_equal(stored, 5 * ROWS);
    close_world(&world, stored, 0);
    pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_from_threads), cmocka_unit_test(test_policies),
        cmocka_unit_test(test_free_with_turns),    cmocka_unit_test(test_narrow),
        cmocka_unit_test(test_part_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
