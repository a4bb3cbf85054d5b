/* SPDX-License-Identifier: MIT */
/* A part as it is written in the file, before it is a node of the plan. */
#ifndef CONF_ENTRY_H
#define CONF_ENTRY_H
#include "conf/tree.h"

struct entry {
    enum weir_kind kind;
    const struct weir_part *part;
    const char *name;
    bool unnamed;              /* the name was made from the type */
    bool side;                 /* a stage's second way out: reads from that stage, and stands after all others */
    const struct tree *at;     /* where its type or name stands */
    struct tree *values;       /* its options: a map, a list or a scalar; NULL: none */
    const char *const *others; /* keys of `values` that are no options of the part */
    uint32_t *from;            /* indices of entries */
    uint32_t from_count;
    void *options;
};
struct entries {
    struct entry *items;
    uint32_t count, capacity;
    uint32_t last_stage; /* UINT32_MAX: none */
    uint32_t sources;    /* how many, at the beginning */
};

const char *entry_kind(enum weir_kind kind);
const struct weir_part *part_find(enum weir_kind kind, const char *name); /* NULL: there is none */
struct entry *entries_find(struct entries *entries, const char *name);
int entries_add(struct conf *conf, struct entries *entries, const struct entry *entry);

/* Reads the three sections as far as types, names and where options stand; the overrides `to` and `set` are in it. */
int entries_read(struct conf *conf, const struct tree *root, struct entries *ret);

/* Fills in the options of every entry. */
int entries_fill(struct conf *conf, struct entries *entries);

/* Adds an entry for every side output that has been given a name (WEIR_OPTION_SIDE). After entries_fill. */
int entries_add_sides(struct conf *conf, struct entries *entries);

#endif
