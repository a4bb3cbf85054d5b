/* SPDX-License-Identifier: MIT */
/* What the files of the load generator share. */
#ifndef LOAD_LOAD_PRIVATE_H
#define LOAD_LOAD_PRIVATE_H

#include "load/load.h"

/* How an attempt ended that got no reply. */
enum load_end load_end_of(enum http_outcome outcome);
/* How long this thread was ready without having a processor so far; 0 where the system does not say. */
int64_t load_queued_ns(void);

#endif
