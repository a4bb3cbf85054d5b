/* SPDX-License-Identifier: MIT */
/* Values with units as people write them. Parsers return 0, or -EINVAL (not of this form) or -ERANGE. */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H
#include <stddef.h>
#include <stdint.h>
int units_duration(const char *text, int64_t *ret_ns); /* 500ms 10s 1.5h 100us 100µs 20ns 1d; "0" */
int units_size(const char *text, int64_t *ret_bytes);  /* 256MiB 1GiB 64KiB 1MB 4096 512B */
int units_rate(const char *text, double *ret_rate);    /* 5000/s 10/min 1e6/s 3600/h; "unlimited" → 0; plain: per s */
int units_number(const char *text, double *ret);       /* strict, whole text */
int units_integer(const char *text, int64_t *ret);     /* strict; 1_000_000 allowed */
/* For people: "12.3 ms", "1.20 M", "96.0 MiB"; written into out, which is returned. */
char *units_show_duration(int64_t ns, char *out, size_t size);
char *units_show_count(double count, char *out, size_t size);
char *units_show_bytes(uint64_t bytes, char *out, size_t size);
#endif
