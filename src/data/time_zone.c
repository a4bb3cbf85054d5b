/* SPDX-License-Identifier: MIT */
/*
 * Zone files (RFC 8536): a header with counts, then arrays of big-endian numbers. Version 2 and later repeat all of it
 * with 64-bit times and end with a rule between two newlines.
 */
#include "data/time_zone.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "data/time_text.h"

enum {
    HEADER = 44,
    FILE_MAX = 1 << 20,
    CHANGES_MAX = 16384, /* the most in the system's database are some 300 */
    OFFSET_MAX = 26 * 3600,
};

static const char database[] = "/usr/share/zoneinfo";

static uint32_t read_be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t read_be64(const unsigned char *p)
{
    return (int64_t)((uint64_t)read_be32(p) << 32 | read_be32(p + 4));
}

/* One of the two data blocks of a file, its arrays found and its size checked. */
struct block {
    const unsigned char *times, *kinds, *types;
    uint32_t change_count, type_count, time_size;
    size_t size; /* with its header */
};

static bool read_block(const unsigned char *data, size_t size, uint32_t time_size, struct block *ret)
{
    if (size < HEADER || memcmp(data, "TZif", 4) != 0) {
        return false;
    }
    uint64_t is_utc = read_be32(data + 20), is_standard = read_be32(data + 24), leaps = read_be32(data + 28);
    uint64_t changes = read_be32(data + 32), types = read_be32(data + 36), names = read_be32(data + 40);
    if (changes > CHANGES_MAX || types == 0 || types > 256 || names > FILE_MAX || leaps > FILE_MAX || is_utc > types ||
        is_standard > types) {
        return false;
    }
    uint64_t all = HEADER + changes * (time_size + 1) + types * 6 + names + leaps * (time_size + 4) + is_standard +
                   is_utc;
    if (all > size || (leaps && time_size == 8)) { /* a table that counts leap seconds: its times are not ours */
        return false;
    }
    ret->change_count = (uint32_t)changes;
    ret->type_count = (uint32_t)types;
    ret->time_size = time_size;
    ret->times = data + HEADER;
    ret->kinds = ret->times + changes * time_size;
    ret->types = ret->kinds + changes;
    ret->size = all;
    return true;
}

static bool block_offset(const struct block *block, uint32_t type, int32_t *ret)
{
    if (type >= block->type_count) {
        return false;
    }
    *ret = (int32_t)read_be32(block->types + (size_t)type * 6);
    return *ret >= -OFFSET_MAX && *ret <= OFFSET_MAX;
}

static bool read_changes(const struct block *block, struct time_zone *zone)
{
    int64_t earliest = time_days(TIME_YEAR_FIRST, 1, 1) * TIME_DAY, before = INT64_MIN;
    if (!block_offset(block, 0, &zone->first_offset)) {
        return false;
    }
    for (uint32_t i = 0; i < block->change_count; i++) {
        const unsigned char *time = block->times + (size_t)i * block->time_size;
        int64_t when = block->time_size == 8 ? read_be64(time) : (int32_t)read_be32(time);
        int32_t offset;
        if (!block_offset(block, block->kinds[i], &offset) || when < before) {
            return false;
        }
        before = when;
        if (when < earliest) {
            zone->first_offset = offset;
        } else if (when < time_days(TIME_YEAR_LAST + 1, 1, 1) * TIME_DAY) {
            zone->changes[zone->count++] = (struct time_change){.when = when, .offset = offset};
        }
    }
    return true;
}

static uint32_t year_of(int64_t when)
{
    uint32_t year = (uint32_t)(1970 + when / (INT64_C(31556952)));
    while (time_days(year + 1, 1, 1) * TIME_DAY <= when) {
        year++;
    }
    while (time_days(year, 1, 1) * TIME_DAY > when) {
        year--;
    }
    return year;
}

/* Goes on from the last change of the table by the rule. */
static void apply_rule(const struct time_rule *rule, struct time_zone *zone)
{
    if (!rule->has_summer) {
        if (zone->count == 0) {
            zone->first_offset = rule->standard;
        }
        return;
    }
    int64_t last = zone->count ? zone->changes[zone->count - 1].when : INT64_MIN;
    uint32_t year = zone->count ? year_of(last) : TIME_YEAR_FIRST;
    for (; year <= TIME_YEAR_LAST; year++) {
        struct time_change changes[2];
        time_rule_changes(rule, year, changes);
        for (int i = 0; i < 2; i++) {
            if (changes[i].when > last) {
                zone->changes[zone->count++] = changes[i];
            }
        }
    }
}

/* A local time is read with the offset from before a change as long as that clock still showed it (a repeated hour: the
 * first), or, where an hour is skipped, as long as the new clock does not show it (so it moves forward). */
static void set_walls(struct time_zone *zone)
{
    int32_t before = zone->first_offset;
    int64_t least = INT64_MIN;
    for (uint32_t i = 0; i < zone->count; i++) {
        struct time_change *change = &zone->changes[i];
        change->wall = change->when + (change->offset > before ? change->offset : before);
        if (change->wall < least) { /* two changes in a day: keep the order */
            change->wall = least;
        }
        least = change->wall;
        before = change->offset;
    }
}

int time_zone_parse(const unsigned char *data, size_t size, struct time_zone **ret)
{
    struct block block;
    struct time_rule rule = {0};
    bool has_rule = false;
    if (!read_block(data, size, 4, &block)) {
        return -EINVAL;
    }
    if (data[4] >= '2') {
        const unsigned char *second = data + block.size;
        size_t left = size - block.size;
        if (!read_block(second, left, 8, &block)) {
            return -EINVAL;
        }
        const char *footer = (const char *)second + block.size;
        const char *end = (const char *)data + size;
        const char *stop = footer < end && *footer == '\n' ? memchr(footer + 1, '\n', (size_t)(end - footer - 1))
                                                           : NULL;
        if (stop && stop > footer + 1) {
            has_rule = time_rule_parse(footer + 1, (size_t)(stop - footer - 1), &rule);
            if (!has_rule) {
                return -EINVAL;
            }
        }
    }
    size_t most = (size_t)block.change_count + 2 * (TIME_YEAR_LAST - TIME_YEAR_FIRST + 1);
    struct time_zone *zone = memory_zeroed(1, sizeof *zone + most * sizeof zone->changes[0]);
    if (!zone) {
        return -ENOMEM;
    }
    if (!read_changes(&block, zone)) {
        memory_free(zone);
        return -EINVAL;
    }
    if (has_rule) {
        apply_rule(&rule, zone);
    }
    set_walls(zone);
    *ret = zone;
    return 0;
}

static int read_whole(const char *path, unsigned char **ret, size_t *ret_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    unsigned char *data = memory_allocate(FILE_MAX);
    size_t size = 0;
    int error = data ? 0 : -ENOMEM;
    while (!error && size < FILE_MAX) {
        ssize_t got = read(fd, data + size, FILE_MAX - size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            error = -errno;
        }
        if (got <= 0) {
            break;
        }
        size += (size_t)got;
    }
    close(fd);
    if (error) {
        memory_free(data);
        return error;
    }
    *ret = data;
    *ret_size = size;
    return 0;
}

static int load(const char *path, struct time_zone **ret)
{
    unsigned char *data = NULL;
    size_t size = 0;
    int error = read_whole(path, &data, &size);
    if (error) {
        return error == -ENOMEM ? error : -ENOENT;
    }
    error = time_zone_parse(data, size, ret);
    memory_free(data);
    return error == -EINVAL ? -ENOENT : error;
}

static int new_fixed(int32_t offset, struct time_zone **ret)
{
    struct time_zone *zone = memory_zeroed(1, sizeof *zone);
    if (!zone) {
        return -ENOMEM;
    }
    zone->first_offset = offset;
    *ret = zone;
    return 0;
}

/* "+01:00", "-0330", "+5". */
static bool parse_offset(const char *name, int32_t *ret)
{
    unsigned digits[4] = {0}, count = 0;
    if (*name != '+' && *name != '-') {
        return false;
    }
    for (const char *p = name + 1; *p; p++) {
        if (*p == ':' && count == 2 && p[1]) {
            continue;
        }
        if (*p < '0' || *p > '9' || count == 4) {
            return false;
        }
        digits[count++] = (unsigned)(*p - '0');
    }
    if (count == 0 || count == 3) {
        return false;
    }
    unsigned hours = count == 1 ? digits[0] : digits[0] * 10 + digits[1];
    unsigned minutes = digits[2] * 10 + digits[3];
    if (hours > 23 || minutes > 59) {
        return false;
    }
    int32_t offset = (int32_t)(hours * 3600 + minutes * 60);
    *ret = *name == '-' ? -offset : offset;
    return true;
}

int time_zone_open(const char *name, struct time_zone **ret)
{
    int32_t offset;
    char path[PATH_MAX];
    if (strcmp(name, "UTC") == 0 || strcmp(name, "Z") == 0) {
        return new_fixed(0, ret);
    }
    if (parse_offset(name, &offset)) {
        return new_fixed(offset, ret);
    }
    if (strcmp(name, "local") == 0) { /* a machine without the file is on UTC */
        int error = load("/etc/localtime", ret);
        return error == -ENOENT && access("/etc/localtime", F_OK) != 0 ? new_fixed(0, ret) : error;
    }
    /* A name, not a path: nothing outside the database. */
    if (*name == '\0' || *name == '/' || *name == '.' || strstr(name, "..") ||
        (size_t)snprintf(path, sizeof path, "%s/%s", database, name) >= sizeof path) {
        return -ENOENT;
    }
    return load(path, ret);
}

void time_zone_close(struct time_zone *zone)
{
    memory_free(zone);
}

int64_t time_zone_to_utc(const struct time_zone *zone, int64_t wall)
{
    if (!zone) {
        return wall;
    }
    const struct time_change *at = zone->changes;
    size_t count = zone->count; /* changes from `at` on that may be the first one later than wall */
    while (count) {
        size_t half = count / 2;
        bool right = at[half].wall <= wall;
        at = right ? at + half + 1 : at;
        count = right ? count - half - 1 : half;
    }
    return wall - (at == zone->changes ? zone->first_offset : at[-1].offset);
}

int32_t time_zone_offset(const struct time_zone *zone, int64_t when)
{
    if (!zone) {
        return 0;
    }
    uint32_t low = 0, high = zone->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (zone->changes[middle].when <= when) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low ? zone->changes[low - 1].offset : zone->first_offset;
}
