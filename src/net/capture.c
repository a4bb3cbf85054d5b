/* SPDX-License-Identifier: MIT */
/* The files: pcap and pcapng. Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng. */
#include <errno.h>
#include <string.h>
#include <weir/part.h>

#include "base/memory.h"
#include "net/capture.h"

enum { BUFFER_SIZE = CAPTURE_RECORD_MAX + (64 << 10) };

struct interface {
    uint32_t link;
    uint64_t units; /* of time per second */
};

struct capture {
    capture_read *read;
    void *owner;
    const char *name;
    bool ng, swapped, ended;
    struct interface interfaces[CAPTURE_INTERFACES_MAX];
    uint32_t interface_count;
    uint64_t position; /* in the file, of data + begin */
    size_t begin, end; /* of what is read and not used yet */
    struct capture_counts counts;
    uint8_t data[BUFFER_SIZE];
};

static uint16_t load16(const struct capture *capture, const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return capture->swapped ? __builtin_bswap16(value) : value;
}
static uint32_t load32(const struct capture *capture, const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return capture->swapped ? __builtin_bswap32(value) : value;
}

/* Makes `size` bytes available at data + begin. 1: they are; 0: the file ends before the first of them; negative. */
static int want(struct capture *capture, size_t size, struct weir_error *error)
{
    if (size > CAPTURE_RECORD_MAX)
        return weir_fail(error, -EINVAL, "%s: at byte %llu: a record of %zu bytes; the capture is damaged there",
                         capture->name, (unsigned long long)capture->position, size);
    if (BUFFER_SIZE - capture->begin < size) {
        memmove(capture->data, capture->data + capture->begin, capture->end - capture->begin);
        capture->end -= capture->begin;
        capture->begin = 0;
    }
    while (capture->end - capture->begin < size && !capture->ended) {
        ssize_t got = capture->read(capture->owner, capture->data + capture->end, BUFFER_SIZE - capture->end);
        if (got < 0)
            return weir_fail(error, (int)got, "%s: cannot read: %s", capture->name, strerror((int)-got));
        capture->ended = got == 0;
        capture->end += (size_t)got;
    }
    if (capture->end - capture->begin >= size)
        return 1;
    if (capture->end == capture->begin)
        return 0;
    return weir_fail(error, -EINVAL, "%s: ends inside of a record, at byte %llu; was the capture cut off?",
                     capture->name, (unsigned long long)capture->position);
}

static void use(struct capture *capture, size_t size)
{
    capture->begin += size;
    capture->position += size;
}

/* ---- Opening --------------------------------------------------------------------------------------------------- */

static int fail_magic(const struct capture *capture, struct weir_error *error)
{
    static const struct {
        uint8_t bytes[4];
        uint32_t count;
        const char *name, *command;
    } packers[] = {{{0x1f, 0x8b}, 2, "gzip", "gunzip"},
                   {{'B', 'Z', 'h'}, 3, "bzip2", "bunzip2"},
                   {{0xfd, '7', 'z', 'X'}, 4, "xz", "unxz"},
                   {{0x28, 0xb5, 0x2f, 0xfd}, 4, "zstd", "unzstd"}};
    for (size_t i = 0; i < sizeof packers / sizeof *packers; i++) {
        if (memcmp(capture->data, packers[i].bytes, packers[i].count) == 0)
            return weir_fail(error, -EINVAL, "%s is compressed with %s: unpack it first, with %s", capture->name,
                             packers[i].name, packers[i].command);
    }
    return weir_fail(error, -EINVAL, "%s is no capture: it begins neither like a pcap nor like a pcapng file",
                     capture->name);
}

static int read_head(struct capture *capture, struct weir_error *error)
{
    uint32_t magic;
    int got = want(capture, 24, error);
    if (got < 0)
        return got;
    if (got == 0)
        return weir_fail(error, -EINVAL, "%s is empty", capture->name);
    memcpy(&magic, capture->data, sizeof magic);
    if (magic == 0x0a0d0d0a) { /* the same in both orders; the section's header is read as a block */
        capture->ng = true;
        return 0;
    }
    capture->swapped = magic == 0xd4c3b2a1 || magic == 0x4d3cb2a1;
    if (capture->swapped)
        magic = __builtin_bswap32(magic);
    if (magic != 0xa1b2c3d4 && magic != 0xa1b23c4d)
        return fail_magic(capture, error);
    capture->interfaces[0] = (struct interface){
        .link = load32(capture, capture->data + 20) & 0xffff,
        .units = magic == 0xa1b23c4d ? 1000000000 : 1000000,
    };
    capture->interface_count = 1;
    use(capture, 24);
    return 0;
}

int capture_open(capture_read *read, void *owner, const char *name, struct weir_error *error, struct capture **ret)
{
    struct capture *capture = memory_allocate(sizeof *capture);
    if (!capture)
        return weir_fail(error, -ENOMEM, "no memory to read %s", name);
    memset(capture, 0, offsetof(struct capture, data));
    capture->read = read;
    capture->owner = owner;
    capture->name = name;
    int failed = read_head(capture, error);
    if (failed < 0) {
        memory_free(capture);
        return failed;
    }
    *ret = capture;
    return 0;
}

void capture_close(struct capture *capture)
{
    memory_free(capture);
}

const struct capture_counts *capture_counted(const struct capture *capture)
{
    return &capture->counts;
}

/* ---- Records --------------------------------------------------------------------------------------------------- */

static int64_t to_ns(uint64_t time, uint64_t units)
{
    if (units == 1000000000)
        return (int64_t)time;
    uint64_t seconds = time / units, rest = time % units;
    return (int64_t)(seconds * 1000000000 + (uint64_t)((unsigned __int128)rest * 1000000000 / units));
}

/* 1: a datagram; 2: something else; else as want. */
static int next_record(struct capture *capture, struct weir_error *error, struct capture_datagram *ret)
{
    int got = want(capture, 16, error);
    if (got <= 0)
        return got;
    const uint8_t *head = capture->data + capture->begin;
    uint64_t units = capture->interfaces[0].units;
    ret->time_ns = to_ns(load32(capture, head) * units + load32(capture, head + 4), units);
    size_t captured = load32(capture, head + 8), original = load32(capture, head + 12);
    got = want(capture, 16 + captured, error);
    if (got <= 0)
        return got;
    const uint8_t *data = capture->data + capture->begin + 16;
    use(capture, 16 + captured);
    return capture_dissect(capture->interfaces[0].link, data, captured, original, &capture->counts, ret) ? 1 : 2;
}

/* ---- Blocks ---------------------------------------------------------------------------------------------------- */

enum { BLOCK_SECTION = 0x0a0d0d0a, BLOCK_INTERFACE = 1, BLOCK_PACKET_OLD = 2, BLOCK_SIMPLE = 3, BLOCK_PACKET = 6 };

/* The body of an interface's description. */
static void add_interface(struct capture *capture, const uint8_t *body, size_t size)
{
    struct interface interface = {.units = 1000000};
    if (capture->interface_count == CAPTURE_INTERFACES_MAX || size < 8)
        return;
    interface.link = load16(capture, body);
    for (size_t at = 8; at + 4 <= size;) {
        uint16_t code = load16(capture, body + at), length = load16(capture, body + at + 2);
        if (code == 0 || at + 4 + length > size)
            break;
        if (code == 9 && length >= 1) { /* resolution of times: a power of ten, or of two */
            uint8_t power = body[at + 4] & 0x7f;
            interface.units = 1;
            if (body[at + 4] & 0x80)
                interface.units = UINT64_C(1) << (power < 60 ? power : 60);
            for (int i = 0; !(body[at + 4] & 0x80) && i < power && i < 18; i++)
                interface.units *= 10;
        }
        at += 4 + (((size_t)length + 3) & ~(size_t)3);
    }
    capture->interfaces[capture->interface_count++] = interface;
}

static bool read_block(struct capture *capture, uint32_t type, const uint8_t *body, size_t size,
                       struct capture_datagram *ret)
{
    uint32_t index = 0;
    size_t head = type == BLOCK_SIMPLE ? 4 : 20, captured, original;
    if (type == BLOCK_INTERFACE)
        add_interface(capture, body, size);
    if ((type != BLOCK_PACKET && type != BLOCK_PACKET_OLD && type != BLOCK_SIMPLE) || size < head)
        return false;
    if (type == BLOCK_SIMPLE) {
        original = load32(capture, body);
        captured = original < size - head ? original : size - head;
    } else {
        index = type == BLOCK_PACKET ? load32(capture, body) : load16(capture, body);
        captured = load32(capture, body + 12);
        original = load32(capture, body + 16);
    }
    if (index >= capture->interface_count || captured > size - head) {
        capture->counts.records++;
        capture->counts.malformed++;
        return false;
    }
    uint64_t time = type == BLOCK_SIMPLE ? 0 : (uint64_t)load32(capture, body + 4) << 32 | load32(capture, body + 8);
    ret->time_ns = to_ns(time, capture->interfaces[index].units);
    return capture_dissect(capture->interfaces[index].link, body + head, captured, original, &capture->counts, ret);
}

static int next_block(struct capture *capture, struct weir_error *error, struct capture_datagram *ret)
{
    int got = want(capture, 12, error);
    if (got <= 0)
        return got;
    const uint8_t *head = capture->data + capture->begin;
    uint32_t type = load32(capture, head);
    if (type == BLOCK_SECTION) { /* a new section: its own byte order and interfaces */
        uint32_t magic;
        memcpy(&magic, head + 8, sizeof magic);
        capture->swapped = magic == 0x4d3c2b1a;
        capture->interface_count = 0;
    }
    size_t size = load32(capture, head + 4);
    if (size < 12 || size % 4 != 0)
        return weir_fail(error, -EINVAL, "%s: at byte %llu: a block of %zu bytes; the capture is damaged there",
                         capture->name, (unsigned long long)capture->position, size);
    got = want(capture, size, error);
    if (got <= 0)
        return got;
    const uint8_t *body = capture->data + capture->begin + 8;
    use(capture, size);
    return read_block(capture, type, body, size - 12, ret) ? 1 : 2;
}

int capture_next(struct capture *capture, struct weir_error *error, struct capture_datagram *ret)
{
    int got;
    do {
        got = capture->ng ? next_block(capture, error, ret) : next_record(capture, error, ret);
    } while (got == 2);
    return got;
}
