/* SPDX-License-Identifier: MIT */
/* A run in which no part gave up may have failed all the same: its exit code must not say that all went well. */
#ifndef APP_DELIVERY_H
#define APP_DELIVERY_H

#include <stdbool.h>

#include "flow/pipeline.h"

/* -EIO with words when a run that is over came to nothing: each of its reads failed, or nothing of what it read was
 * delivered (verdict_look has the rule). `told`: it was told to end; then reads may have had no time to succeed, while
 * records that were refused are gone. Else 0. */
int delivery_check(const struct pipeline_snapshot *snapshot, bool told, struct weir_error *error);

#endif
