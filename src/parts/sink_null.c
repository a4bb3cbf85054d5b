/* SPDX-License-Identifier: MIT */
/* Takes everything and keeps nothing: for measuring a pipeline without the cost of its output. */
#include "parts/parts.h"

const struct weir_sink sink_null = {
    .part =
        {
            .kind = WEIR_SINK,
            .name = "null",
            .summary = "takes records and keeps nothing",
            .example = "sinks: {nowhere: {type: null}}\n",
        },
};
