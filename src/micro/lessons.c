/* SPDX-License-Identifier: MIT */
/* Pairs: the obvious way and the better one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data/symbols.h"
#include "micro/micro.h"

enum { PIECES = 5000, NAMES = 10000, NAME_LENGTH = 24 };

struct lesson_work {
    char (*names)[NAME_LENGTH];
    size_t *lengths;
    uint32_t count;
    size_t total; /* bytes of all names */
    struct weir_symbols *set;
};

static void close_lesson(void *state)
{
    struct lesson_work *work = state;
    memory_free(work->names);
    memory_free(work->lengths);
    if (work->set)
        symbols_free(work->set);
    memory_free(work);
}

static int open_lesson(const struct microbench *bench, void **ret)
{
    struct lesson_work *work = memory_zeroed(1, sizeof *work);
    if (!work)
        return -ENOMEM;
    work->count = *(const uint32_t *)bench->settings;
    work->names = memory_zeroed(work->count, sizeof *work->names);
    work->lengths = memory_zeroed(work->count, sizeof *work->lengths);
    work->set = symbols_new(NULL, 0);
    if (!work->names || !work->lengths || !work->set) {
        close_lesson(work);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < work->count; i++) {
        work->lengths[i] = (size_t)snprintf(work->names[i], NAME_LENGTH, "sensor-%05u;", i);
        work->total += work->lengths[i];
        if (symbols_intern(work->set, work->names[i], work->lengths[i]) == SYMBOLS_FULL) {
            close_lesson(work);
            return -ENOMEM;
        }
    }
    *ret = work;
    return 0;
}

/* ---- A string of many pieces ------------------------------------------------------------------------------------- */

static bool is_whole(const struct lesson_work *work, const char *text, size_t length)
{
    size_t last = work->lengths[work->count - 1];
    return length == work->total && memcmp(text + length - last, work->names[work->count - 1], last) == 0;
}

/* As strings that cannot change are appended to: a new one each time, with a copy of all before. */
static int run_append(void *state, uint64_t calls)
{
    const struct lesson_work *work = state;
    for (uint64_t i = 0; i < calls; i++) {
        char *text = NULL;
        size_t length = 0;
        for (uint32_t k = 0; k < work->count; k++) {
            char *longer = memory_allocate(length + work->lengths[k]);
            if (!longer) {
                memory_free(text);
                return -ENOMEM;
            }
            if (length)
                memcpy(longer, text, length);
            memcpy(longer + length, work->names[k], work->lengths[k]);
            length += work->lengths[k];
            memory_free(text);
            text = longer;
        }
        bool whole = is_whole(work, text, length);
        memory_free(text);
        if (!whole)
            return -EIO;
    }
    return 0;
}

/* How long all are together first; then each is copied once. */
static int run_join(void *state, uint64_t calls)
{
    const struct lesson_work *work = state;
    for (uint64_t i = 0; i < calls; i++) {
        size_t total = 0, length = 0;
        for (uint32_t k = 0; k < work->count; k++)
            total += work->lengths[k];
        char *text = memory_allocate(total);
        if (!text)
            return -ENOMEM;
        for (uint32_t k = 0; k < work->count; k++) {
            memcpy(text + length, work->names[k], work->lengths[k]);
            length += work->lengths[k];
        }
        bool whole = is_whole(work, text, length);
        memory_free(text);
        if (!whole)
            return -EIO;
    }
    return 0;
}

/* ---- One of many --------------------------------------------------------------------------------------------------
 */

/* The compiler is not to find out that it looks for the same name each time. */
static const char *last_name(const struct lesson_work *work)
{
    const char *name = work->names[work->count - 1];
    __asm__ volatile("" : "+r"(name) : : "memory");
    return name;
}

static int run_list(void *state, uint64_t calls)
{
    const struct lesson_work *work = state;
    size_t wanted_length = work->lengths[work->count - 1];
    for (uint64_t i = 0; i < calls; i++) {
        const char *wanted = last_name(work);
        uint32_t at = 0;
        while (at < work->count &&
               (work->lengths[at] != wanted_length || memcmp(work->names[at], wanted, wanted_length) != 0))
            at++;
        if (at != work->count - 1)
            return -EIO;
    }
    return 0;
}

static int run_set(void *state, uint64_t calls)
{
    const struct lesson_work *work = state;
    size_t wanted_length = work->lengths[work->count - 1];
    for (uint64_t i = 0; i < calls; i++) {
        if (symbols_find(work->set, last_name(work), wanted_length) != work->count)
            return -EIO;
    }
    return 0;
}

#define LESSON(title, words, what, number, other, function)                                                            \
    {                                                                                                                  \
        .name = title, .summary = words, .item = what, .items = 1, .slow = other,                                      \
        .settings = &(const uint32_t){number}, .open = open_lesson, .run = function, .close = close_lesson             \
    }

const struct microbench micro_lessons[] = {
    LESSON("string.append", "a string of 5,000 pieces, each appended to a copy of all before", "string", PIECES, NULL,
           run_append),
    LESSON("string.join", "the same, joined once", "string", PIECES, "string.append", run_join),
    LESSON("search.list", "the last of 10,000 names, looked for in a list", "look-up", NAMES, NULL, run_list),
    LESSON("search.set", "the same, looked up in a set", "look-up", NAMES, "search.list", run_set),
    {.name = NULL},
};
