/* SPDX-License-Identifier: MIT */
/*
 * usage: http_epoll HOST PORT SENSORS CYCLES
 *
 * As little as reading many HTTP sensors can cost: kept-alive connections, one epoll, one write and one read for each
 * reading, nothing parsed but where the head ends. All sensors are asked at once, and each again as soon as it has
 * answered. Prints {"cycle_ms": …, "cpu_ms": …}: the mean time from one answer of a sensor to its next, and the
 * processor time that a reading of all takes; the first answer of each, whose connection is new, begins the clock.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 512, SENSORS_MOST = 100000 };

static double now_ms(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static int connect_to(const struct sockaddr_in *address)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) < 0)
        return -1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static int ask(int fd, unsigned sensor)
{
    char text[128];
    int length = snprintf(text, sizeof text, "GET /sensor/%u HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n",
                          sensor);
    return send(fd, text, (size_t)length, MSG_NOSIGNAL) == length ? 0 : -1;
}

/* One reading is one segment: what the fleet answers is short. */
static int take(int fd)
{
    char bytes[4096];
    ssize_t got = recv(fd, bytes, sizeof bytes - 1, 0);
    if (got <= 0)
        return -1;
    bytes[got] = 0;
    return strncmp(bytes, "HTTP/1.1 200", 12) == 0 && strstr(bytes, "\r\n\r\n") ? 0 : -1;
}

/* Asks each sensor `cycles` times more than once. *ret: ms from its first answer to its last, mean of all sensors. */
static int read_all(int epoll, const int *fds, unsigned sensors, unsigned cycles, double *ret)
{
    static unsigned answers[SENSORS_MOST];
    struct epoll_event events[EVENTS];
    double sum = 0;
    for (unsigned i = 0; i < sensors; i++)
        if (ask(fds[i], i) < 0)
            return -1;
    for (unsigned left = sensors; left > 0;) {
        int count = epoll_wait(epoll, events, EVENTS, 30000);
        if (count <= 0)
            return -1;
        for (int i = 0; i < count; i++) {
            unsigned sensor = events[i].data.u32, answer = answers[sensor]++;
            if (take(fds[sensor]) < 0)
                return -1;
            if (answer == 0)
                sum -= now_ms(CLOCK_MONOTONIC);
            if (answer == cycles) {
                sum += now_ms(CLOCK_MONOTONIC);
                left--;
            } else if (ask(fds[sensor], sensor) < 0) {
                return -1;
            }
        }
    }
    *ret = sum / sensors;
    return 0;
}

static int connect_all(int epoll, const struct sockaddr_in *address, int *fds, unsigned sensors)
{
    for (unsigned i = 0; i < sensors; i++) {
        fds[i] = connect_to(address);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (fds[i] < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) < 0)
            return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static int fds[SENSORS_MOST];
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct rlimit limit;
    if (argc != 5 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1)
        return fprintf(stderr, "usage: http_epoll HOST PORT SENSORS CYCLES\n"), 2;
    address.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
    unsigned sensors = (unsigned)strtoul(argv[3], NULL, 10), cycles = (unsigned)strtoul(argv[4], NULL, 10);
    if (sensors < 1 || sensors > SENSORS_MOST || cycles < 1)
        return 2;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || connect_all(epoll, &address, fds, sensors) < 0)
        return fprintf(stderr, "http_epoll: cannot connect: %s\n", strerror(errno)), 1;
    double cpu = now_ms(CLOCK_THREAD_CPUTIME_ID), span;
    if (read_all(epoll, fds, sensors, cycles, &span) < 0)
        return fprintf(stderr, "http_epoll: a sensor did not answer: %s\n", strerror(errno)), 1;
    printf("{\"cycle_ms\": %.2f, \"cpu_ms\": %.2f}\n", span / cycles,
           (now_ms(CLOCK_THREAD_CPUTIME_ID) - cpu) / (cycles + 1));
    return 0;
}
