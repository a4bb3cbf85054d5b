/* SPDX-License-Identifier: MIT */
/* The sections sources, stages and sinks → the nodes of a plan, sorted. */
#ifndef CONF_GRAPH_H
#define CONF_GRAPH_H
#include "conf/tree.h"
#include "flow/plan.h"

/* Fills plan->nodes and plan->count; all memory is conf's arena. `set`: overrides of the form
 * "sources.name.option=value" (others are left alone). */
int graph_read(struct conf *conf, const struct tree *root, struct plan *plan);

#endif
