/* SPDX-License-Identifier: MIT */
/* Memory that is given back all at once. One thread. */
#ifndef CONF_ARENA_H
#define CONF_ARENA_H
#include <stddef.h>

struct arena;
struct arena *arena_new(void);        /* NULL: out of memory */
void arena_free(struct arena *arena); /* NULL is allowed */

/* Zeroed, 64-byte aligned when at least that large, else 16; NULL: out of memory. */
void *arena_allocate(struct arena *arena, size_t size);
char *arena_text(struct arena *arena, const char *text, size_t size); /* a terminated copy */
#endif
