/* SPDX-License-Identifier: MIT */
#include "app/run_values.h"

/* A count that is not given leaves *ret as it is. */
static int read_count(const char *option, const char *text, long long least, long long most, int64_t *ret)
{
    long long value = 0;
    if (!text)
        return -1;
    if (app_count(option, text, least, most, &value) < 0)
        return APP_USAGE;
    *ret = value;
    return -1;
}

static int read_units(const char *option, const char *text, int (*read)(const char *, const char *, long long *),
                      int64_t *ret)
{
    long long value = 0;
    if (!text)
        return -1;
    if (read(option, text, &value) < 0)
        return APP_USAGE;
    *ret = value;
    return -1;
}

int run_values_read(struct run_values *values)
{
    struct conf_overrides *overrides = &values->overrides;
    values->seed = -1;
    overrides->set = values->set.values;
    int64_t lanes = overrides->lanes;
    int code = read_count("--limit", values->limit, 1, INT64_MAX, &overrides->limit);
    if (code < 0)
        code = read_count("--lanes", values->lanes, 1, 1024, &lanes);
    if (code < 0)
        code = read_units("--memory", values->memory, app_size, &overrides->memory);
    if (code < 0)
        code = read_units("--duration", values->duration, app_time, &overrides->duration);
    if (code < 0)
        code = read_count("--seed", values->seed_text, 0, INT64_MAX, &values->seed);
    overrides->lanes = lanes;
    return code;
}
