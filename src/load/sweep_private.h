/* SPDX-License-Identifier: MIT */
/* What the forms of a sweep share: figures for people. Each returns out. */
#ifndef LOAD_SWEEP_PRIVATE_H
#define LOAD_SWEEP_PRIVATE_H

#include "load/sweep.h"

char *sweep_show_rate(double rate, char *out, size_t size);    /* "998/s" */
char *sweep_show_share(double share, char *out, size_t size);  /* "99.8 %"; 100 % only when it is all */
char *sweep_show_time(double seconds, char *out, size_t size); /* "52.3 ms" */
char *sweep_show_level(const struct load_level *level, char *out, size_t size); /* "1,000", or "900/s" */

#endif
