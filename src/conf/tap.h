/* SPDX-License-Identifier: MIT */
/* weir tap: a sink, and maybe a filter, put behind one part of a pipeline. */
#ifndef CONF_TAP_H
#define CONF_TAP_H
#include "conf/entry.h"

/* Adds them, as conf->overrides->tap says, to entries that have their names. */
int tap_add(struct conf *conf, const struct tree *root, struct entries *entries);

#endif
