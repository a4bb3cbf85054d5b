/* SPDX-License-Identifier: MIT */
/*
 * The table of interned strings: text → small number, once and for ever (append-only). Shared by all threads: reading
 * takes no lock; adding takes one. Ids count from 1; 0 is null. When the budget (or most_symbols) is used up, new
 * strings are refused: SYMBOLS_FULL.
 */
#ifndef DATA_SYMBOLS_H
#define DATA_SYMBOLS_H
#include <weir/schema.h>
#include "base/memory.h"

#define SYMBOLS_FULL UINT32_MAX
enum { SYMBOL_LENGTH_MAX = 65535 };

struct weir_symbols;
struct weir_symbols *symbols_new(struct memory_budget *budget, uint32_t most_symbols); /* 0: no limit but the budget */
void symbols_free(struct weir_symbols *symbols);
uint32_t symbols_count(const struct weir_symbols *symbols);
size_t symbols_bytes(const struct weir_symbols *symbols);
/* The id of the string, added if new; SYMBOLS_FULL if it is new and there is no room, or it is too long. Any thread. */
uint32_t symbols_intern(struct weir_symbols *symbols, const char *text, size_t length);
/* The same without adding: 0 when it is not there. */
uint32_t symbols_find(const struct weir_symbols *symbols, const char *text, size_t length);
/* The text of an id (terminated, lives as long as the table); null and unknown ids: data NULL. Any thread, no lock. */
struct weir_text symbols_text(const struct weir_symbols *symbols, uint32_t id);

/* A cache in front for one thread's hot loop: a hit costs a hash and a comparison, and shares no cache line. */
struct symbols_cache;
struct symbols_cache *symbols_cache_new(struct weir_symbols *symbols);
void symbols_cache_free(struct symbols_cache *cache);
uint32_t symbols_cache_intern(struct symbols_cache *cache, const char *text, size_t length);
/* Many strings, one behind the other in `text`, of which `readable` bytes may be read; `ends`, count + 1 numbers of 32
 * bits at any address, says where each begins and the last ends. ids[i] as above; returns how many of them are
 * SYMBOLS_FULL. */
uint32_t symbols_cache_intern_many(struct symbols_cache *cache, const char *text, size_t readable, const char *ends,
                                   uint32_t count, uint32_t *ids);
#endif
