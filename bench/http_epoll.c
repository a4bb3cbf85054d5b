/* SPDX-License-Identifier: MIT */
/*
 * usage: http_epoll HOST PORT SENSORS CYCLES
 *
 * As little as reading many HTTP sensors can cost: kept-alive connections, one epoll, one write and one read for each
 * reading, nothing parsed but where the head ends. Each cycle asks all sensors at once and lasts until all have
 * answered. Prints {"cycles_ms": […], "cpu_ms": …}: of each cycle but the first, which connects.
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

enum { EVENTS = 512, CYCLES_MOST = 1000, SENSORS_MOST = 100000 };

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

static int run_cycle(int epoll, const int *fds, unsigned sensors)
{
    struct epoll_event events[EVENTS];
    unsigned left = sensors;
    for (unsigned i = 0; i < sensors; i++)
        if (ask(fds[i], i) < 0)
            return -1;
    while (left > 0) {
        int count = epoll_wait(epoll, events, EVENTS, 30000);
        if (count <= 0)
            return -1;
        for (int i = 0; i < count; i++)
            if (take(events[i].data.fd) < 0)
                return -1;
        left -= (unsigned)count;
    }
    return 0;
}

static int connect_all(int epoll, const struct sockaddr_in *address, int *fds, unsigned sensors)
{
    for (unsigned i = 0; i < sensors; i++) {
        fds[i] = connect_to(address);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fds[i]};
        if (fds[i] < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) < 0)
            return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static int fds[SENSORS_MOST];
    static double cycles[CYCLES_MOST];
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct rlimit limit;
    if (argc != 5 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1)
        return fprintf(stderr, "usage: http_epoll HOST PORT SENSORS CYCLES\n"), 2;
    address.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
    unsigned sensors = (unsigned)strtoul(argv[3], NULL, 10), count = (unsigned)strtoul(argv[4], NULL, 10);
    if (sensors > SENSORS_MOST || count > CYCLES_MOST)
        return 2;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || connect_all(epoll, &address, fds, sensors) < 0)
        return fprintf(stderr, "http_epoll: cannot connect: %s\n", strerror(errno)), 1;
    double cpu = 0;
    for (unsigned i = 0; i <= count; i++) {
        double start = now_ms(CLOCK_MONOTONIC);
        if (run_cycle(epoll, fds, sensors) < 0)
            return fprintf(stderr, "http_epoll: a sensor did not answer: %s\n", strerror(errno)), 1;
        if (i == 0)
            cpu = now_ms(CLOCK_THREAD_CPUTIME_ID);
        else
            cycles[i - 1] = now_ms(CLOCK_MONOTONIC) - start;
    }
    printf("{\"cycles_ms\": [");
    for (unsigned i = 0; i < count; i++)
        printf("%s%.2f", i ? ", " : "", cycles[i]);
    printf("], \"cpu_ms\": %.2f}\n", (now_ms(CLOCK_THREAD_CPUTIME_ID) - cpu) / count);
    return 0;
}
