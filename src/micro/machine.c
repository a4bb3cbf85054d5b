/* SPDX-License-Identifier: MIT */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "micro/micro.h"

/* Registers only: an addition takes one cycle, and cannot begin before the one before it has ended. Operands that the
 * compiler knows nothing of, as newer processors do additions of constants while they rename registers. */
static uint64_t add(uint64_t sum, uint64_t step, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        for (int j = 0; j < 64; j++) {
            sum += step;
            __asm__ volatile("" : "+r"(sum), "+r"(step));
        }
    }
    return sum;
}

double micro_frequency(void)
{
    enum { TURNS = 20000, TRIES = 7 };
    double best = 0;
    for (int i = 0; i < TRIES; i++) {
        int64_t start = clock_thread_cpu();
        uint64_t sum = add(1, 3, TURNS);
        int64_t took = clock_thread_cpu() - start;
        double megahertz = took > 0 && sum ? 64.0 * TURNS * 1000 / (double)took : 0;
        best = megahertz > best ? megahertz : best;
    }
    return best;
}

/* The first line of a small file of the system; "" if there is none. */
static void read_line(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    out[0] = '\0';
    if (!file)
        return;
    if (!fgets(out, (int)size, file))
        out[0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    fclose(file);
}

/* "model name : AMD EPYC …", "cpu MHz : 2595.124": the first of each. */
static void read_processor(struct microbench_machine *ret)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (!colon)
            continue;
        colon += 1 + strspn(colon + 1, " ");
        line[strcspn(line, "\n")] = '\0';
        if (!ret->processor[0] && strncmp(line, "model name", 10) == 0)
            snprintf(ret->processor, sizeof ret->processor, "%.95s", colon);
        else if (ret->megahertz <= 0 && strncmp(line, "cpu MHz", 7) == 0)
            ret->megahertz = strtod(colon, NULL);
    }
    if (file)
        fclose(file);
}

void micro_machine(bool pin, struct microbench_machine *ret)
{
    char path[96], line[64];
    double load;
    *ret = (struct microbench_machine){.pinned = -1, .load = -1};
    cpu_set_t set;
    CPU_ZERO(&set);
    int here = sched_getcpu();
    ret->processors = sched_getaffinity(0, sizeof set, &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 0;
    if (pin && here >= 0) {
        CPU_ZERO(&set);
        CPU_SET(here, &set);
        if (sched_setaffinity(0, sizeof set, &set) == 0)
            ret->pinned = here;
    }
    read_processor(ret);
    int number = here >= 0 ? here : 0;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", number);
    read_line(path, ret->governor, sizeof ret->governor);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq", number);
    read_line(path, line, sizeof line);
    if (strtod(line, NULL) > 0)
        ret->megahertz = strtod(line, NULL) / 1000; /* it is in kHz */
    if (getloadavg(&load, 1) == 1)
        ret->load = load;
    ret->measured_before = micro_frequency();
}
