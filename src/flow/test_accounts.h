/* SPDX-License-Identifier: MIT */
/* For tests: is every record of a pipeline that has ended accounted for? */
#ifndef FLOW_TEST_ACCOUNTS_H
#define FLOW_TEST_ACCOUNTS_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "flow/pipeline.h"

/* That it has words for how it ended, if it failed, and that each record became something. Returns pipeline_result. */
static inline int test_accounts(struct pipeline *pipeline, uint64_t *ret_records)
{
    struct weir_error error = {0};
    struct pipeline_snapshot *snapshot = NULL;
    int code = pipeline_result(pipeline, &error);
    if (code < 0)
        assert_true(error.text[0] != 0);
    assert_int_equal(pipeline_snapshot(pipeline, &snapshot), 0);
    assert_int_equal(snapshot->unaccounted, 0);
    assert_int_equal(snapshot->in_flight_bytes, 0);
    assert_int_equal(snapshot->records_in, snapshot->records_stored + snapshot->records_refused +
                                               snapshot->records_filtered + snapshot->records_dropped);
    *ret_records = snapshot->records_in;
    pipeline_snapshot_free(snapshot);
    return code;
}

#endif
