/* SPDX-License-Identifier: MIT */
/*
 * What the system tells of files and folders that change, by inotify. It only makes things quick: events may be
 * missing (other machines' file systems) and whoever watches looks by itself now and then.
 */
#ifndef PARTS_FILE_WATCH_H
#define PARTS_FILE_WATCH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watched_folder {
    int descriptor;
    char *prefix; /* of the names in it: "", "logs/" */
};
struct file_watch {
    int fd; /* -1: there is no inotify */
    struct watched_folder *folders;
    size_t folder_count;
    char *moved_from; /* a name that went away, until it is said where to */
    uint32_t moved_cookie;
};
struct file_watch_events {
    void *owner;
    void (*changed)(void *owner, int descriptor);                 /* a file was written to */
    void (*names)(void *owner);                                   /* files came or went */
    void (*moved)(void *owner, const char *from, const char *to); /* as seen from the watched folders */
    void (*lost)(void *owner);                                    /* events were lost: anything may have changed */
};

void file_watch_open(struct file_watch *watch);
void file_watch_close(struct file_watch *watch);
/* Watches the folder that `name` is in; again and again is fine. */
void file_watch_folder_of(struct file_watch *watch, const char *name);
int file_watch_add(struct file_watch *watch, const char *name); /* a descriptor, or -1 */
void file_watch_remove(struct file_watch *watch, int descriptor);
/* Tells of all events so far, in their order. Does not wait. */
void file_watch_drain(struct file_watch *watch, const struct file_watch_events *events);

#endif
