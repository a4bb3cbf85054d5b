/* SPDX-License-Identifier: MIT */
/*
 * Random graphs with little memory: one to three sources, branches, stages with state by several keys, stages that emit
 * in pieces or when time has come, calls that wait, slow sinks. Whatever the seed, a run ends, accounts for every
 * record, stores what the same graph stores on one lane with plenty of memory, and never needed a timeout to go on.
 *
 *     pipeline_random_test [FIRST LAST [threads]]        seeds; a failure says which one it was
 */
#include "flow/pipeline_random_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "flow/test_accounts.h"

enum { STAGES_MOST = 6, SINKS_MOST = 2, NODES_MOST = SOURCES_MOST + STAGES_MOST + SINKS_MOST, FROM_MOST = 12 };
enum { RUN_MOST_S = 36000, HANG_S = 60, KIB = 1024 };

struct scene {
    uint64_t random;
    struct plan plan;
    struct plan_node nodes[NODES_MOST];
    char names[NODES_MOST][16];
    uint32_t from[NODES_MOST][FROM_MOST];
    uint32_t sources, stages, sinks;
    struct giving giving[SOURCES_MOST];
    struct work work[NODES_MOST];
    struct taking taking[SINKS_MOST];
    struct taking_into into[SINKS_MOST];
    uint32_t comes_from[NODES_MOST]; /* bits of sources */
    int64_t copies[NODES_MOST];      /* what one record may be by then */
    bool timed[NODES_MOST];          /* behind a stage that lets go by time */
    bool joined[NODES_MOST];         /* behind several ways of one source */
    bool loose[NODES_MOST];          /* in which order records come there is not promised */
};

static uint64_t draw(struct scene *scene, uint64_t of)
{
    return hash_random(&scene->random) % of;
}

static struct plan_node *add_node(struct scene *scene, const struct weir_part *part, void *options)
{
    const uint32_t index = scene->plan.count++;
    struct plan_node *node = &scene->nodes[index];
    snprintf(scene->names[index], sizeof scene->names[index], "%s%u", part->name, index);
    *node = (struct plan_node){
        .name = scene->names[index], .part = part, .options = options, .from = scene->from[index]};
    return node;
}

static void draw_sources(struct scene *scene)
{
    const int64_t rows[] = {1, 7, 60, 300};
    const int64_t keys = 1 + (int64_t)draw(scene, 12);
    scene->sources = 1 + (uint32_t)draw(scene, SOURCES_MOST);
    for (uint32_t i = 0; i < scene->sources; i++) {
        scene->giving[i] = (struct giving){.records = 20 + (int64_t)draw(scene, 600),
                                           .keys = keys,
                                           .most_rows = rows[draw(scene, 4)],
                                           .pause_ns = draw(scene, 4) ? 0 : (int64_t)draw(scene, 2000000),
                                           .number = i,
                                           .seed = draw(scene, UINT32_MAX)};
        struct plan_node *node = add_node(scene, &source_giving.part, &scene->giving[i]);
        node->key = (char *)"key";
        scene->comes_from[i] = 1U << i;
        scene->copies[i] = 1;
    }
}

/* What is known of the records at a node by those it reads from. */
static void note_ways(struct scene *scene, uint32_t index, bool apart)
{
    const struct plan_node *node = &scene->nodes[index];
    int64_t copies = 0;
    bool ways = false;
    for (uint32_t i = 0; i < node->from_count; i++) {
        const uint32_t from = node->from[i];
        ways |= (scene->comes_from[index] & scene->comes_from[from]) != 0;
        scene->comes_from[index] |= scene->comes_from[from];
        scene->timed[index] |= scene->timed[from];
        scene->joined[index] |= scene->joined[from];
        scene->loose[index] |= scene->loose[from];
        copies += scene->copies[from];
    }
    scene->copies[index] = copies;
    scene->joined[index] |= ways;
    if (ways && !apart && (scene->timed[index] || copies > (int64_t)node->from_count))
        scene->loose[index] = true;
}

static void draw_stage(struct scene *scene)
{
    static const struct weir_stage *const kinds[] = {&stage_dropping,  &stage_spreading, &stage_numbering,
                                                     &stage_holding,   &stage_meeting,   &stage_pausing,
                                                     &stage_spreading, &stage_numbering};
    static const char *const keys[] = {WEIR_KEY_OF_SOURCE, "key", "other", "t"};
    const uint32_t index = scene->plan.count;
    const struct weir_stage *kind = kinds[draw(scene, sizeof kinds / sizeof *kinds)];
    struct work *work = &scene->work[index];
    uint32_t from_count = kind == &stage_meeting ? 2 : 1 + (draw(scene, 3) == 0);
    if (from_count > index)
        kind = &stage_numbering, from_count = 1;
    struct plan_node *node = add_node(scene, &kind->part, work);
    while (node->from_count < from_count) {
        uint32_t from = draw(scene, 2) ? index - 1 - (uint32_t)draw(scene, index < 3 ? index : 3)
                                       : (uint32_t)draw(scene, index);
        if (node->from_count == 0 || node->from[0] != from)
            node->from[node->from_count++] = from;
    }
    note_ways(scene, index, kind == &stage_meeting);
    const int64_t most = 60 / scene->copies[index];
    const bool keyed = kind != &stage_spreading || draw(scene, 2);
    *work = (struct work){.by = keyed ? keys[draw(scene, 4)] : WEIR_UNKEYED,
                          .of = 2 + (int64_t)draw(scene, 5),
                          .copies = 1 + (int64_t)draw(scene, most > 1 ? (uint64_t)most : 1),
                          .pause_ns = (int64_t)draw(scene, 3000000),
                          .piece = 1 + (uint32_t)draw(scene, 150),
                          .number = index,
                          .ordered = !scene->loose[index]};
    if (kind == &stage_spreading)
        scene->copies[index] *= work->copies;
    if (kind == &stage_spreading && scene->joined[index])
        scene->loose[index] = true;
    if (kind == &stage_holding || kind == &stage_meeting) { /* each lane learns of times from a turn of its own */
        const uint32_t bits = scene->comes_from[index];
        scene->timed[index] = true;
        scene->loose[index] = (bits & (bits - 1)) != 0;
    }
}

/* Sinks read all that nobody else does, and here and there what others read too. */
static void draw_sinks(struct scene *scene)
{
    bool read[NODES_MOST] = {false};
    const uint32_t count = scene->plan.count;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < scene->nodes[i].from_count; j++)
            read[scene->nodes[i].from[j]] = true;
    scene->sinks = 1 + (uint32_t)draw(scene, SINKS_MOST);
    for (uint32_t i = 0; i < scene->sinks; i++) {
        scene->taking[i] = (struct taking){.into = &scene->into[i],
                                           .pause_ns = draw(scene, 3) ? 0 : (int64_t)draw(scene, 5000000)};
        struct plan_node *sink = add_node(scene, draw(scene, 2) ? &sink_taking.part : &sink_keeping.part,
                                          &scene->taking[i]);
        for (uint32_t from = 0; from < count; from++)
            if (draw(scene, 8) == 0 || (!read[from] && (i + 1 == scene->sinks || draw(scene, 2)))) {
                sink->from[sink->from_count++] = from;
                read[from] = true;
            }
        if (!sink->from_count)
            sink->from[sink->from_count++] = count - 1;
    }
}

static void draw_scene(struct scene *scene, uint64_t seed)
{
    memset(scene, 0, sizeof *scene);
    scene->random = seed;
    scene->plan = (struct plan){.nodes = scene->nodes, .lanes = 1, .memory = 64 << 20, .linger = 1000000, .seed = 1};
    draw_sources(scene);
    scene->stages = 1 + (uint32_t)draw(scene, STAGES_MOST);
    for (uint32_t i = 0; i < scene->stages; i++)
        draw_stage(scene);
    draw_sinks(scene);
}

static void free_scene(struct scene *scene)
{
    for (uint32_t i = 0; i < scene->sinks; i++)
        memory_free(scene->into[i].rows);
}

static int compare_taken(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct taken));
}

static int failures;

static void show_scene(const struct scene *scene)
{
    printf("lanes %u, memory %lld\n", scene->plan.lanes, (long long)scene->plan.memory);
    for (uint32_t i = 0; i < scene->plan.count; i++) {
        const struct work *work = &scene->work[i];
        printf("  %s", scene->names[i]);
        if (i < scene->sources)
            printf(" records %lld rows %lld pause %lld", (long long)scene->giving[i].records,
                   (long long)scene->giving[i].most_rows, (long long)scene->giving[i].pause_ns);
        else
            printf(" by %s of %lld copies %lld piece %u pause %lld%s%s from", work->by ? work->by : "-",
                   (long long)work->of, (long long)work->copies, work->piece, (long long)work->pause_ns,
                   scene->timed[i] ? " timed" : "", scene->loose[i] ? " loose" : "");
        for (uint32_t j = 0; j < scene->nodes[i].from_count; j++)
            printf(" %s", scene->names[scene->nodes[i].from[j]]);
        printf("\n");
    }
}

static void complain(uint64_t seed, const char *what, uint64_t number, uint64_t expected)
{
    printf("seed %llu: %s: %llu, expected %llu\n", (unsigned long long)seed, what, (unsigned long long)number,
           (unsigned long long)expected);
    fflush(stdout);
    failures++;
}

static void run_scene(struct scene *scene, bool simulated, uint64_t seed, bool judge)
{
    const struct pipeline_options options = {.simulated = simulated, .seed = seed};
    struct pipeline *pipeline = NULL;
    struct pipeline_snapshot *snapshot = NULL;
    struct weir_error error = {0};
    uint64_t given = 0, records = 0;
    alarm(HANG_S);
    if (pipeline_open(&scene->plan, &options, &pipeline, &error) < 0) {
        printf("%s\n", error.text);
        complain(seed, "cannot be opened", (uint64_t)-error.code, 0);
        return;
    }
    const int64_t end = pipeline_now(pipeline) + RUN_MOST_S * CLOCK_SECOND;
    assert_int_equal(pipeline_start(pipeline), 0);
    const int ended = pipeline_wait(pipeline, simulated ? end : INT64_MAX);
    if (ended != 1) {
        show_scene(scene);
        complain(seed, "does not end", (uint64_t)ended, 1);
        abort();
    }
    if (pipeline_result(pipeline, &error) < 0) {
        printf("%s\n", error.text);
        complain(seed, "failed", (uint64_t)-error.code, 0);
    }
    (void)test_accounts(pipeline, &records);
    for (uint32_t i = 0; i < scene->sources; i++)
        given += (uint64_t)scene->giving[i].records;
    assert_int_equal(pipeline_snapshot(pipeline, &snapshot), 0);
    if (records != given)
        complain(seed, "records", records, given);
    if (snapshot->records_refused)
        complain(seed, "refused", snapshot->records_refused, 0);
    if (judge && snapshot->timed_steps)
        complain(seed, "went on by a timeout", snapshot->timed_steps, 0);
    pipeline_snapshot_free(snapshot);
    pipeline_close(pipeline);
    alarm(0);
    for (uint32_t i = 0; i < scene->sinks; i++)
        if (scene->into[i].count)
            qsort(scene->into[i].rows, scene->into[i].count, sizeof *scene->into[i].rows, compare_taken);
}

/* The same graph with little of everything. */
static void squeeze(struct scene *scene, uint64_t seed)
{
    const int64_t shares[] = {1024 * KIB, 1024 * KIB, 2048 * KIB, 8192 * KIB};
    draw_scene(scene, seed);
    scene->plan.lanes = 1 + (uint32_t)draw(scene, 4);
    scene->plan.memory = 2 * shares[draw(scene, 4)];
    for (uint32_t i = 0; i < scene->sources; i++)
        scene->giving[i].most_rows = 1 + (int64_t)draw(scene, (uint64_t)scene->giving[i].most_rows * 2);
}

static void try_seed(uint64_t seed, bool simulated)
{
    struct scene expected, found;
    draw_scene(&expected, seed);
    run_scene(&expected, true, seed, true);
    squeeze(&found, seed);
    for (uint32_t i = 0; !simulated && i < NODES_MOST; i++) /* real time is dear */
        found.work[i].pause_ns /= 100;
    for (uint32_t i = 0; !simulated && i < found.sources; i++)
        found.giving[i].pause_ns /= 100;
    for (uint32_t i = 0; !simulated && i < found.sinks; i++)
        found.taking[i].pause_ns /= 100;
    run_scene(&found, simulated, seed, simulated);
    for (uint32_t i = 0; i < expected.sinks; i++) {
        const struct taking_into *want = &expected.into[i], *have = &found.into[i];
        if (want->count != have->count)
            complain(seed, "records of a sink", have->count, want->count);
        else if (want->count && memcmp(want->rows, have->rows, want->count * sizeof *want->rows) != 0)
            complain(seed, "other content in sink", i, i);
    }
    if (getenv("SHOW"))
        show_scene(&found);
    free_scene(&expected);
    free_scene(&found);
}

static void test_simulated(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++)
        try_seed(seed, true);
    assert_int_equal(failures, 0);
}

static void test_threads(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        try_seed(seed, false);
    assert_int_equal(failures, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_simulated), cmocka_unit_test(test_threads)};
    if (argc < 3)
        return cmocka_run_group_tests(tests, NULL, NULL);
    for (uint64_t seed = strtoull(argv[1], NULL, 10); seed <= strtoull(argv[2], NULL, 10); seed++)
        try_seed(seed, argc < 4);
    printf("%d failures\n", failures);
    return failures > 0;
}
