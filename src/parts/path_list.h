/* SPDX-License-Identifier: MIT */
/* The files that a source is to read: names and patterns become a list, and what is wrong with one gets words. */
#ifndef PARTS_PATH_LIST_H
#define PARTS_PATH_LIST_H
#include <stdbool.h>
#include <stddef.h>
#include <weir/part.h>

struct path_list { /* zeroed: empty */
    char **names;
    size_t count;
};

/* Adds the files that a name stands for, sorted by name; none is no error. A name stands for itself if there is such a
 * file, even with a `[` in it, or if it has nothing of a pattern; `-` is stdin. Returns 0 or -ENOMEM. */
int path_list_add(struct path_list *list, const char *name);
int path_list_add_name(struct path_list *list, const char *name); /* as it is */
void path_list_free(struct path_list *list);

bool path_is_stdin(const char *name);

/* Can it be read? Asks without opening pipes and devices, whose other end would notice. 0 or a negative errno; -EBUSY:
 * a file sink is writing it. */
int path_check(const char *name);

/* Fails with words for what the system says about a file. */
int path_explain(struct weir_error *error, struct weir_mark mark, const char *name, int code);

#endif
