/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of a loop, by epoll. Our own sockets are registered once, edge-triggered, for everything. Those of client
 * libraries, which open and close behind our back, are armed for one event (EPOLLONESHOT) whenever somebody waits.
 */
#include "async/runtime.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/system.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS_FIRST = 256, EVENTS_MOST = 16384, WAIT_FEW = 16 };

/* What stands in epoll_event.data: the address of a socket_watch, or one of these in the lowest bits. */
enum { TAG_WATCH, TAG_FOREIGN, TAG_WAKE, TAG_CANCEL, TAG_MASK = 3, TAG_BITS = 2 };

/* Somebody waits for one descriptor. */
struct foreign_wait {
    struct foreign_wait *next;
    struct weir_task *task;
    struct pollfd *polled;
};
struct foreign {
    struct foreign_wait *first;
    bool known; /* epoll has it, unless it was closed meanwhile */
};

struct descriptors {
    struct loop *loop;
    int epoll_fd, event_fd;
    struct epoll_event *events;
    uint32_t capacity;
    struct foreign *foreign; /* by number */
    uint32_t foreign_count;
};

int descriptors_new(struct loop *loop, struct descriptors **ret)
{
    struct descriptors *descriptors = memory_zeroed(1, sizeof *descriptors);
    if (!descriptors)
        return -ENOMEM;
    descriptors->loop = loop;
    descriptors->event_fd = -1;
    descriptors->epoll_fd = SYSTEM_CALL(epoll_create1(EPOLL_CLOEXEC));
    int error = descriptors->epoll_fd < 0 ? -errno : 0;
    if (error == 0) {
        descriptors->event_fd = SYSTEM_CALL(eventfd(0, EFD_CLOEXEC));
        error = descriptors->event_fd < 0 ? -errno : 0;
    }
    struct epoll_event wake = {.events = EPOLLIN, .data.u64 = TAG_WAKE};
    if (error == 0 && SYSTEM_CALL(epoll_ctl(descriptors->epoll_fd, EPOLL_CTL_ADD, descriptors->event_fd, &wake)) < 0)
        error = -errno;
    int cancel_fd = loop->outer->cancel_fd;
    struct epoll_event cancel = {.events = EPOLLIN | EPOLLET, .data.u64 = TAG_CANCEL};
    if (error == 0 && loop->outer->cancelled && cancel_fd >= 0 &&
        SYSTEM_CALL(epoll_ctl(descriptors->epoll_fd, EPOLL_CTL_ADD, cancel_fd, &cancel)) < 0)
        error = -errno;
    descriptors->capacity = EVENTS_FIRST;
    descriptors->events = memory_allocate(EVENTS_FIRST * sizeof *descriptors->events);
    if (error == 0 && !descriptors->events)
        error = -ENOMEM;
    if (error < 0) {
        descriptors_free(descriptors);
        return error;
    }
    *ret = descriptors;
    return 0;
}

void descriptors_free(struct descriptors *descriptors)
{
    if (!descriptors)
        return;
    if (descriptors->event_fd >= 0)
        close(descriptors->event_fd);
    if (descriptors->epoll_fd >= 0)
        close(descriptors->epoll_fd);
    memory_free(descriptors->events);
    memory_free(descriptors->foreign);
    memory_free(descriptors);
}

/* ---- Our own sockets ---- */

/* Closing the descriptor ends it. Tasks run only after all events of one epoll_wait were looked at, so none of those
 * can still name one that a task has closed. */
int socket_watch_add(struct descriptors *descriptors, struct socket_watch *watch, int fd)
{
    watch->descriptors = descriptors;
    watch->fd = fd;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = watch};
    if (SYSTEM_CALL(epoll_ctl(descriptors->epoll_fd, EPOLL_CTL_ADD, fd, &event)) < 0)
        return -errno;
    return 0;
}

static void watch_fired(struct socket_watch *watch, uint32_t events)
{
    const uint32_t over = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if (events & over)
        watch->ended = true;
    if (events & (EPOLLIN | over)) {
        watch->readable = true;
        weir_event_signal(&watch->readers, true);
    }
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        watch->writable = true;
        weir_event_signal(&watch->writers, true);
    }
}

/* ---- Others' descriptors ---- */

static uint32_t wanted(const struct foreign *foreign)
{
    uint32_t events = 0;
    for (const struct foreign_wait *wait = foreign->first; wait; wait = wait->next)
        events |= (uint32_t)wait->polled->events & (POLLIN | POLLOUT | POLLPRI | POLLRDHUP);
    return events; /* poll's bits are epoll's */
}

/* 0, 1: it cannot be waited for, and counts as ready (a file), or a negative errno. */
static int arm(struct descriptors *descriptors, int fd)
{
    struct foreign *foreign = &descriptors->foreign[fd];
    struct epoll_event event = {
        .events = wanted(foreign) | EPOLLONESHOT,
        .data.u64 = (uint64_t)(unsigned)fd << TAG_BITS | TAG_FOREIGN,
    };
    int first = foreign->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int second = foreign->known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    int failed = SYSTEM_CALL(epoll_ctl(descriptors->epoll_fd, first, fd, &event));
    if (failed && (errno == ENOENT || errno == EEXIST)) /* closed and opened again meanwhile */
        failed = SYSTEM_CALL(epoll_ctl(descriptors->epoll_fd, second, fd, &event));
    foreign->known = !failed;
    return !failed ? 0 : errno == EPERM ? 1 : -errno;
}

static void foreign_fired(struct descriptors *descriptors, int fd, uint32_t events)
{
    struct foreign *foreign = &descriptors->foreign[fd];
    bool others = false;
    for (struct foreign_wait *wait = foreign->first; wait; wait = wait->next) {
        short seen = (short)(events & ((uint32_t)wait->polled->events | POLLERR | POLLHUP));
        if (seen) {
            wait->polled->revents |= seen;
            task_wake(wait->task, 0);
        } else {
            others = true;
        }
    }
    if (!others)
        return;
    int error = arm(descriptors, fd);
    for (struct foreign_wait *wait = foreign->first; error && wait; wait = wait->next) {
        wait->polled->revents |= error > 0 ? wait->polled->events : POLLNVAL;
        task_wake(wait->task, 0);
    }
}

static int make_room(struct descriptors *descriptors, int fd)
{
    uint32_t count = descriptors->foreign_count ? descriptors->foreign_count : 64;
    if ((uint32_t)fd < descriptors->foreign_count)
        return 0;
    while (count <= (uint32_t)fd)
        count *= 2;
    struct foreign *grown = memory_resize(descriptors->foreign, count * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    memset(grown + descriptors->foreign_count, 0, (count - descriptors->foreign_count) * sizeof *grown);
    descriptors->foreign = grown;
    descriptors->foreign_count = count;
    return 0;
}

static void unlink_wait(struct descriptors *descriptors, struct foreign_wait *wait)
{
    struct foreign_wait **at = &descriptors->foreign[wait->polled->fd].first;
    while (*at != wait)
        at = &(*at)->next;
    *at = wait->next;
}

static int wait_for_foreign(struct weir_task *task, struct foreign_wait *waits, struct pollfd *polled, uint32_t count,
                            int64_t deadline)
{
    struct descriptors *descriptors = task->loop->descriptors;
    uint32_t linked = 0, ready = 0;
    int error = 0;
    for (; linked < count && error == 0; linked++) {
        int fd = polled[linked].fd;
        error = make_room(descriptors, fd);
        if (error < 0)
            break;
        waits[linked] = (struct foreign_wait){descriptors->foreign[fd].first, task, &polled[linked]};
        descriptors->foreign[fd].first = &waits[linked];
        error = arm(descriptors, fd);
        if (error == 1)
            polled[linked].revents = polled[linked].events;
        ready += error == 1;
        error = error < 0 ? error : 0;
    }
    if (error == 0 && ready == 0)
        error = task_wait(task, NULL, deadline);
    while (linked > 0)
        unlink_wait(descriptors, &waits[--linked]);
    for (uint32_t i = ready = 0; i < count; i++)
        ready += polled[i].revents != 0;
    return error == 0 || (error == -ETIMEDOUT && ready > 0) ? (int)ready : error;
}

int task_poll(struct weir_task *task, struct pollfd *polled, uint32_t count, int64_t deadline)
{
    struct foreign_wait few[WAIT_FEW], *waits = few;
    for (uint32_t i = 0; i < count; i++) {
        polled[i].revents = 0;
        if (polled[i].fd < 0)
            return -EBADF;
    }
    if (task_stopping(task))
        return -ECANCELED;
    if (count > WAIT_FEW && !(waits = memory_allocate(count * sizeof *waits)))
        return -ENOMEM;
    int result;
    do /* woken without an event: it went to another that waited for the same descriptor */
        result = wait_for_foreign(task, waits, polled, count, deadline);
    while (result == 0);
    if (waits != few)
        memory_free(waits);
    return result;
}

int weir_wait_any(struct weir_context *context, struct pollfd *descriptors, uint32_t count, int64_t deadline_ns)
{
    if (count == 0)
        return -EINVAL;
    if (context->clock->simulated) { /* real descriptors know no simulated time: they count as ready */
        for (uint32_t i = 0; i < count; i++)
            descriptors[i].revents = descriptors[i].events;
        return weir_stopping(context) ? -ECANCELED : (int)count;
    }
    if (context->task)
        return task_poll(context->task, descriptors, count, deadline_ns);
    struct pollfd few[WAIT_FEW + 1], *polled = few;
    if (count > WAIT_FEW && !(polled = memory_allocate((count + 1) * sizeof *polled)))
        return -ENOMEM;
    memcpy(polled, descriptors, count * sizeof *polled);
    int ready = context_poll(context, polled, count, deadline_ns);
    memcpy(descriptors, polled, count * sizeof *polled);
    if (polled != few)
        memory_free(polled);
    return ready;
}

/* ---- Polling ---- */

static int poll_events(struct descriptors *descriptors, int64_t timeout)
{
    if (timeout == INT64_MAX)
        return epoll_wait(descriptors->epoll_fd, descriptors->events, (int)descriptors->capacity, -1);
    if (timeout == 0)
        return epoll_wait(descriptors->epoll_fd, descriptors->events, (int)descriptors->capacity, 0);
    struct timespec until = {.tv_sec = timeout / CLOCK_SECOND, .tv_nsec = timeout % CLOCK_SECOND};
    int count = epoll_pwait2(descriptors->epoll_fd, descriptors->events, (int)descriptors->capacity, &until, NULL);
    if (count >= 0 || errno != ENOSYS)
        return count;
    int64_t rounded = (timeout + CLOCK_MILLISECOND - 1) / CLOCK_MILLISECOND;
    return epoll_wait(descriptors->epoll_fd, descriptors->events, (int)descriptors->capacity,
                      rounded < 3600 * 1000 ? (int)rounded : 3600 * 1000);
}

static void tell(struct descriptors *descriptors, int count)
{
    for (int i = 0; i < count; i++) {
        const struct epoll_event *event = &descriptors->events[i];
        if ((event->data.u64 & TAG_MASK) == TAG_WATCH)
            watch_fired(event->data.ptr, event->events);
        else if ((event->data.u64 & TAG_MASK) == TAG_FOREIGN)
            foreign_fired(descriptors, (int)(event->data.u64 >> TAG_BITS), event->events);
    }
}

/* The next time it is as many, they fit. */
static void widen(struct descriptors *descriptors)
{
    uint32_t capacity = descriptors->capacity * 2;
    struct epoll_event *wider = capacity <= EVENTS_MOST ? memory_allocate(capacity * sizeof *wider) : NULL;
    if (!wider)
        return;
    memory_free(descriptors->events);
    descriptors->events = wider;
    descriptors->capacity = capacity;
}

bool descriptors_poll(struct descriptors *descriptors, bool wait, int64_t deadline)
{
    struct weir_context *outer = descriptors->loop->outer;
    bool polling = wait && waiter_begin_poll(outer->waiter, descriptors->event_fd), woken = wait && !polling;
    int count;
    if (polling) {
        int64_t since = context_begin_wait(outer);
        int64_t timeout = deadline == INT64_MAX ? INT64_MAX : deadline > since ? deadline - since : 0;
        count = poll_events(descriptors, timeout);
        context_end_wait(outer, since);
        woken = waiter_end_poll(outer->waiter, descriptors->event_fd);
    } else {
        count = poll_events(descriptors, 0);
    }
    tell(descriptors, count);
    while (count == (int)descriptors->capacity) {
        widen(descriptors);
        count = poll_events(descriptors, 0);
        tell(descriptors, count);
    }
    return woken;
}
