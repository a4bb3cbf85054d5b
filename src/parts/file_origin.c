/* SPDX-License-Identifier: MIT */
#include "parts/file_origin.h"

#include <stdbool.h>
#include <stddef.h>

void file_origin_init(struct file_origin *origin)
{
    pthread_mutex_init(&origin->lock, NULL);
    origin->count = 0;
}

void file_origin_destroy(struct file_origin *origin)
{
    pthread_mutex_destroy(&origin->lock);
}

static struct file_run *run_at(struct file_origin *origin, uint64_t number)
{
    return &origin->runs[number % FILE_ORIGIN_RUNS];
}

void file_origin_add(struct file_origin *origin, struct file_run run)
{
    pthread_mutex_lock(&origin->lock);
    const struct file_run *last = origin->count ? run_at(origin, origin->count - 1) : NULL;
    bool goes_on = last && last->file == run.file && last->step == run.step && run.step > 0 &&
                   run.line - last->line == (run.position - last->position) * run.step;
    if (!goes_on)
        *run_at(origin, origin->count++) = run;
    pthread_mutex_unlock(&origin->lock);
}

const char *file_origin_find(struct file_origin *origin, uint64_t position, uint64_t *ret_line)
{
    const char *file = NULL;
    pthread_mutex_lock(&origin->lock);
    uint64_t oldest = origin->count > FILE_ORIGIN_RUNS ? origin->count - FILE_ORIGIN_RUNS : 0;
    for (uint64_t n = origin->count; n > oldest && !file; n--) {
        const struct file_run *run = run_at(origin, n - 1);
        if (run->position > position)
            continue;
        file = run->file;
        *ret_line = run->line + (position - run->position) * run->step;
    }
    pthread_mutex_unlock(&origin->lock);
    return file;
}
