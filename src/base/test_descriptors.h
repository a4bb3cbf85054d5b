/* SPDX-License-Identifier: MIT */
/* For tests that nothing stays open. */
#ifndef BASE_TEST_DESCRIPTORS_H
#define BASE_TEST_DESCRIPTORS_H
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* How many descriptors this process has; only differences mean something. */
static inline uint32_t test_open_descriptors(void)
{
    uint32_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

#endif
