/* SPDX-License-Identifier: MIT */
/*
 * The records that whole pipelines are measured with, the same ones each time: readings of 1000 sensors in random
 * order, a millisecond apart, 66 bytes a line of NDJSON on average over 10 million.
 *
 *     make_records ndjson|csv [RECORDS [SENSORS]] >FILE
 *
 *     {"ts":1732147200.123,"sensor":"s654","value":25.276,"seq":123}
 */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_BYTES = 1 << 20 };

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = (*state += UINT64_C(0x9e3779b97f4a7c15));
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Normal, in thousandths: Box and Muller. */
static long next_reading(uint64_t *state, double mean, double stddev)
{
    double radius = sqrt(-2 * log(((double)(next_random(state) >> 11) + 0.5) * 0x1p-53));
    double angle = 2 * M_PI * (double)(next_random(state) >> 11) * 0x1p-53;
    return lrint(1000 * (mean + stddev * radius * cos(angle)));
}

int main(int argc, char **argv)
{
    bool csv = argc > 1 && strcmp(argv[1], "csv") == 0;
    if (argc < 2 || (!csv && strcmp(argv[1], "ndjson") != 0)) {
        fprintf(stderr, "usage: make_records ndjson|csv [RECORDS [SENSORS]] >FILE\n");
        return 2;
    }
    uint64_t records = argc > 2 ? strtoull(argv[2], NULL, 10) : 10000000;
    uint64_t sensors = argc > 3 ? strtoull(argv[3], NULL, 10) : 1000;
    uint64_t state = 1;
    const char *form = csv ? "%" PRIu64 ".%03u,s%" PRIu64 ",%s%ld.%03ld,%" PRIu64 "\n"
                           : "{\"ts\":%" PRIu64 ".%03u,\"sensor\":\"s%" PRIu64 "\",\"value\":%s%ld.%03ld,"
                             "\"seq\":%" PRIu64 "}\n";

    setvbuf(stdout, NULL, _IOFBF, BUFFER_BYTES);
    if (csv)
        puts("ts,sensor,value,seq");
    for (uint64_t n = 0; n < records; n++) {
        long value = next_reading(&state, 20, 5);
        uint64_t sensor = next_random(&state) % (sensors ? sensors : 1);
        printf(form, 1732147200 + n / 1000, (unsigned)(n % 1000), sensor, value < 0 ? "-" : "", labs(value) / 1000,
               labs(value) % 1000, n);
    }
    return ferror(stdout) || fflush(stdout) != 0;
}
