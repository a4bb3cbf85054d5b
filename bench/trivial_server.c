/* SPDX-License-Identifier: MIT */
/* An HTTP server that does as little as it can: whatever ends with an empty line is answered with the same few bytes.
 * What load generators are compared on: it is faster than any of them. Prints its port; ends when its input does. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 1024, BACKLOG = 4096, DESCRIPTORS = 65536 };

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n";
static unsigned char matched[DESCRIPTORS]; /* of "\r\n\r\n", at the end of what has come */

/* How many requests have ended in these bytes. */
static int count_ends(int fd, const char *bytes, ssize_t size)
{
    int ends = 0;
    for (ssize_t i = 0; i < size; i++) {
        matched[fd] = bytes[i] == "\r\n\r\n"[matched[fd]] ? matched[fd] + 1 : bytes[i] == '\r';
        if (matched[fd] == 4) {
            matched[fd] = 0;
            ends++;
        }
    }
    return ends;
}

static void serve(int fd)
{
    char bytes[16 * 1024];
    ssize_t size = read(fd, bytes, sizeof bytes);
    int ends = size > 0 ? count_ends(fd, bytes, size) : 0;
    bool broken = size <= 0;
    for (; ends > 0 && !broken; ends--)
        broken = write(fd, answer, sizeof answer - 1) < 0;
    if (broken)
        close(fd);
}

static void take(int listener, int epoll)
{
    int one = 1, fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (fd >= DESCRIPTORS || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
            close(fd);
        else
            matched[fd] = 0;
    }
}

int main(void)
{
    static struct epoll_event events[EVENTS];
    struct rlimit limit = {DESCRIPTORS, DESCRIPTORS};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, input = {.events = EPOLLIN, .data.fd = 0};
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (listener < 0 || epoll < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, BACKLOG) < 0 || getsockname(listener, (struct sockaddr *)&address, &length) < 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &input) < 0) {
        perror("trivial_server");
        return EXIT_FAILURE;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == 0)
                return EXIT_SUCCESS;
            if (events[i].data.fd == listener)
                take(listener, epoll);
            else
                serve(events[i].data.fd);
        }
    }
}
