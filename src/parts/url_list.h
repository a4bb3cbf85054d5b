/* SPDX-License-Identifier: MIT */
/*
 * Many addresses from few words:
 *
 *     http://10.0.0.5/sensor/{0..99}        a range; {00..99} keeps the zeros
 *     http://10.0.0.{1..4}/{temp,hum}       lists; several pieces multiply
 *     http://[::1]:9700/x                   brackets are left alone, and so are braces that are neither
 *
 * and from a file: one address a line, or a name and an address; # begins a comment. Each sensor has a name: what the
 * pieces were replaced by, joined by "-", or what the file says, or else the address.
 */
#ifndef PARTS_URL_LIST_H
#define PARTS_URL_LIST_H
#include <weir/part.h>

enum { URL_LIST_MOST = 1000000, URL_LIST_LENGTH_MOST = 2048, URL_LIST_PIECES_MOST = 8 };

struct url_list {
    struct url_entry {
        char *url, *name;
    } * entries;
    uint32_t count, capacity;
};

/* Adds what a pattern stands for. -EINVAL with words, -E2BIG (more than URL_LIST_MOST), -ENOMEM. */
int url_list_add(struct url_list *list, const char *pattern, struct weir_error *error);
/* Adds the addresses of a file; mistakes name its line. */
int url_list_read(struct url_list *list, const char *path, struct weir_error *error);
void url_list_free(struct url_list *list);
#endif
