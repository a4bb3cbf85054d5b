/* SPDX-License-Identifier: MIT */
#include "parts/file_watch.h"

#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/memory.h"

#define FOLDER_EVENTS                                                                                                  \
    (IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR)

void file_watch_open(struct file_watch *watch)
{
    *watch = (struct file_watch){.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
}

void file_watch_close(struct file_watch *watch)
{
    if (watch->fd >= 0)
        close(watch->fd);
    for (size_t i = 0; i < watch->folder_count; i++)
        memory_free(watch->folders[i].prefix);
    memory_free(watch->folders);
    memory_free(watch->moved_from);
    *watch = (struct file_watch){.fd = -1};
}

static struct watched_folder *find_folder(struct file_watch *watch, int descriptor)
{
    for (size_t i = 0; i < watch->folder_count; i++)
        if (watch->folders[i].descriptor == descriptor)
            return &watch->folders[i];
    return NULL;
}

/* Asks the system each time: the folder may have been replaced by another of its name. */
static void watch_folder(struct file_watch *watch, char *prefix)
{
    int descriptor = inotify_add_watch(watch->fd, *prefix ? prefix : ".", FOLDER_EVENTS);
    if (descriptor < 0 || find_folder(watch, descriptor))
        return;
    struct watched_folder *folders = memory_resize(watch->folders, (watch->folder_count + 1) * sizeof(*folders));
    if (!folders)
        return;
    watch->folders = folders;
    char *copy = memory_string(prefix);
    if (copy)
        folders[watch->folder_count++] = (struct watched_folder){.descriptor = descriptor, .prefix = copy};
}

void file_watch_folder_of(struct file_watch *watch, const char *name)
{
    const char *slash = strrchr(name, '/');
    if (watch->fd < 0)
        return;
    char *prefix = memory_format("%.*s", slash ? (int)(slash + 1 - name) : 0, name);
    if (prefix)
        watch_folder(watch, prefix);
    memory_free(prefix);
}

int file_watch_add(struct file_watch *watch, const char *name)
{
    return watch->fd < 0 ? -1 : inotify_add_watch(watch->fd, name, IN_MODIFY);
}

void file_watch_remove(struct file_watch *watch, int descriptor)
{
    if (watch->fd >= 0 && descriptor >= 0)
        (void)inotify_rm_watch(watch->fd, descriptor); /* fails when the file is gone: then so is the watch */
}

static void forget_folder(struct file_watch *watch, int descriptor)
{
    struct watched_folder *folder = find_folder(watch, descriptor);
    if (!folder)
        return;
    memory_free(folder->prefix);
    *folder = watch->folders[--watch->folder_count];
}

/* Of a move within watched folders the two halves come one behind the other. */
static void tell_move(struct file_watch *watch, const struct file_watch_events *events,
                      const struct inotify_event *event)
{
    const struct watched_folder *folder = find_folder(watch, event->wd);
    if (!folder)
        return;
    char *name = memory_format("%s%s", folder->prefix, event->name);
    if (event->mask & IN_MOVED_FROM) {
        memory_free(watch->moved_from);
        watch->moved_from = name;
        watch->moved_cookie = event->cookie;
        return;
    }
    if (name && watch->moved_from && watch->moved_cookie == event->cookie)
        events->moved(events->owner, watch->moved_from, name);
    memory_free(name);
}

static void tell(struct file_watch *watch, const struct file_watch_events *events, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW)
        events->lost(events->owner);
    else if (event->mask & IN_MODIFY)
        events->changed(events->owner, event->wd);
    else if (event->mask & IN_IGNORED)
        forget_folder(watch, event->wd);
    else
        events->names(events->owner);
    if (event->mask & (IN_MOVED_FROM | IN_MOVED_TO) && event->len > 0)
        tell_move(watch, events, event);
}

void file_watch_drain(struct file_watch *watch, const struct file_watch_events *events)
{
    _Alignas(struct inotify_event) char buffer[16 << 10];
    ssize_t size;
    while (watch->fd >= 0 && (size = read(watch->fd, buffer, sizeof(buffer))) > 0) {
        const struct inotify_event *event;
        for (ssize_t at = 0; at < size; at += (ssize_t)(sizeof(*event) + event->len)) {
            event = (const struct inotify_event *)(const void *)(buffer + at);
            tell(watch, events, event);
        }
    }
}
