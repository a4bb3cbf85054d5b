/* SPDX-License-Identifier: MIT */
#include "app/delivery.h"

#include <errno.h>

#include "base/error.h"
#include "measure/verdict.h"

enum { SENTENCE_MAX = 256 };

int delivery_check(const struct pipeline_snapshot *snapshot, bool told, struct weir_error *error)
{
    struct verdict_answer answer = {0};
    char sentence[SENTENCE_MAX];
    uint64_t failed = snapshot->records_in ? 0 : pipeline_snapshot_count(snapshot, "reads failed");
    if (failed && !told)
        return weir_fail(error, -EIO, "nothing was read: each of %llu reads failed", (unsigned long long)failed);
    verdict_look(&answer, snapshot);
    if (answer.kind == VERDICT_NOTHING_DELIVERED)
        return weir_fail(error, -EIO, "%s", verdict_sentence(&answer, NULL, sentence, sizeof sentence));
    return 0;
}
