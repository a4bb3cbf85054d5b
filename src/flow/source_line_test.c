/* SPDX-License-Identifier: MIT */
/*
 * examples/source_line.c, the source that docs/async.md is about, at work: on the simulated network with sensors that
 * answer, one that says nothing and one that is not there, and on real sockets.
 */
#include "flow/pipeline_test_parts.h"

#include "async/network.h"
#include "base/clock.h"
#include <weir/task.h>

#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

extern const struct weir_source source_line;
struct line_options { /* as the source has them: what conf would fill in */
    const char *host;
    int64_t port, count, every;
    void *live[2];
};

enum { FIRST_PORT = 7001, ANSWERING = 5, SILENT = FIRST_PORT + ANSWERING, SENSORS = ANSWERING + 2, SECONDS = 20 };

/* ---- Sensors ---- */

struct speaker {
    uint16_t port;
    int said;
};

static int speak(struct weir_context *context, void *argument)
{
    struct speaker *speaker = argument;
    struct weir_listener *listener;
    int error = weir_stream_listen(context, "localhost", speaker->port, &listener);
    while (error == 0) {
        struct weir_stream *stream;
        char text[32];
        error = weir_stream_accept(context, listener, WEIR_NEVER, &stream);
        if (error < 0)
            break;
        int length = snprintf(text, sizeof text, "%d.5\n", speaker->port * 1000 + speaker->said++);
        if (speaker->port == SILENT)
            error = weir_stream_read(context, stream, text, 1, WEIR_NEVER) < 0 ? -ECANCELED : 0;
        else
            error = weir_stream_write(context, stream, text, (size_t)length, WEIR_NEVER);
        weir_stream_close(stream, false);
    }
    weir_listener_close(listener);
    return error;
}

static int speak_all(struct weir_context *context, void *owner)
{
    struct speaker *speakers = owner;
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    for (uint16_t i = 0; i <= ANSWERING; i++) {
        speakers[i].port = (uint16_t)(FIRST_PORT + i);
        assert_int_equal(weir_scope_spawn(&scope, "speaker", speak, &speakers[i]), 0);
    }
    return weir_scope_join(&scope);
}

/* ---- Tests ---- */

static void check_rows(const struct collection *collection, const struct speaker *speakers)
{
    int seen[SENSORS] = {0};
    for (size_t i = 0; i < collection->count; i++) {
        const struct row *row = &collection->rows[i];
        int64_t sensor = row->key - FIRST_PORT;
        assert_true(sensor >= 0 && sensor < SENSORS);
        assert_int_equal(row->position, i);
        if (sensor < ANSWERING)
            assert_true(row->last == (double)(row->key * 1000 + seen[sensor]) + 0.5);
        else
            assert_true(isnan(row->last));
        seen[sensor]++;
    }
    for (int i = 0; i < ANSWERING; i++) {
        assert_int_equal(seen[i], SECONDS); /* one each second, whatever the others do */
        assert_int_equal(speakers[i].said, SECONDS);
    }
    assert_int_equal(seen[ANSWERING + 1], SECONDS);                            /* refused at once */
    assert_true(seen[ANSWERING] >= SECONDS - 1 && seen[ANSWERING] <= SECONDS); /* given up after a second */
}

static void test_on_the_simulated_network(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct rig rig;
        struct speaker speakers[ANSWERING + 1] = {0};
        struct line_options line = {.host = "localhost", .port = FIRST_PORT, .count = SENSORS, .every = CLOCK_SECOND};
        struct network *network = network_new(seed);
        struct weir_error error = {0};
        struct pipeline *pipeline;
        struct pipeline_snapshot *snapshot;
        rig_init(&rig, 2);
        add(&rig, &source_line.part, "line", &line, -1, -1);
        add(&rig, &sink_collecting.part, "out", &rig.collecting[0], 0, -1);
        rig.plan.duration = SECONDS * CLOCK_SECOND - CLOCK_MILLISECOND;
        const struct pipeline_options options = {
            .simulated = true, .seed = seed, .network = network, .peer = speak_all, .peer_owner = speakers};
        assert_int_equal(pipeline_open(&rig.plan, &options, &pipeline, &error), 0);
        assert_int_equal(pipeline_start(pipeline), 0);
        assert_int_equal(pipeline_wait(pipeline, INT64_MAX), 1);
        assert_int_equal(pipeline_result(pipeline, &error), 0);
        assert_int_equal(pipeline_snapshot(pipeline, &snapshot), 0);
        assert_int_equal(snapshot->records_in, snapshot->records_stored);
        assert_int_equal(snapshot->records_in, rig.collections[0].count);
        check_rows(&rig.collections[0], speakers);
        pipeline_snapshot_free(snapshot);
        pipeline_close(pipeline);
        network_free(network);
        rig_free(&rig);
    }
}

static void *speak_once(void *argument)
{
    int listener = *(int *)argument, fd = accept(listener, NULL, NULL);
    if (fd >= 0 && write(fd, "42.5\n", 5) == 5)
        close(fd);
    return NULL;
}

static void test_on_real_sockets(void **state)
{
    (void)state;
    struct rig rig;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    pthread_t thread;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(pthread_create(&thread, NULL, speak_once, &listener), 0);
    struct line_options line = {
        .host = "127.0.0.1", .port = ntohs(address.sin_port), .count = 1, .every = 10 * CLOCK_SECOND};
    rig_init(&rig, 1);
    add(&rig, &source_line.part, "line", &line, -1, -1);
    add(&rig, &sink_collecting.part, "out", &rig.collecting[0], 0, -1);
    rig.plan.limit = 1;
    struct pipeline_snapshot *snapshot = run(&rig, false, 1, 0);
    assert_int_equal(snapshot->records_stored, 1);
    assert_true(rig.collections[0].rows[0].last == 42.5);
    pipeline_snapshot_free(snapshot);
    pthread_join(thread, NULL);
    close(listener);
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_on_the_simulated_network),
        cmocka_unit_test(test_on_real_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
