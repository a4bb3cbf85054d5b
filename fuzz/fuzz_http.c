/* SPDX-License-Identifier: MIT */
/*
 * HTTP messages: what is read in one piece must be read the same in pieces of any size, content lies within the bytes,
 * and limits hold. The first byte chooses request or reply and seeds the sizes of the pieces.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_MOST = 2048, BODY_MOST = 4096 };

struct outcome {
    enum http_fault fault;
    bool done;
    uint64_t taken, sum;
};

static void check(bool good)
{
    if (!good)
        abort();
}

static size_t grow(size_t have, size_t size, uint32_t *seed)
{
    if (*seed == 0)
        return size;
    *seed = *seed * 1103515245 + 12345;
    size_t more = 1 + (*seed >> 16) % 17;
    return size - have < more ? size : have + more;
}

static void read_body(struct http_body *body, const char *bytes, size_t size, size_t at, uint32_t seed,
                      struct outcome *outcome)
{
    size_t have = at;
    while (!body->done) {
        const char *content;
        size_t content_size;
        int64_t took = http_body_feed(body, bytes + at, have - at, &content, &content_size);
        if (took < 0)
            break;
        check((size_t)took <= have - at && content_size <= (size_t)took);
        check(content >= bytes && content + content_size <= bytes + have);
        for (size_t i = 0; i < content_size; i++)
            outcome->sum = outcome->sum * 31 + (unsigned char)content[i];
        at += (size_t)took;
        if (took == 0 && have == size) {
            http_body_end(body);
            break;
        }
        if (took == 0)
            have = grow(have, size, &seed);
    }
    check(body->taken <= BODY_MOST);
    outcome->fault = body->fault;
    outcome->done = body->done;
    outcome->taken = body->taken;
}

static struct outcome read_message(const char *bytes, size_t size, enum http_kind kind, uint32_t seed)
{
    static const struct http_limits limits = {HEAD_MOST, BODY_MOST};
    struct outcome outcome = {0};
    struct http_head head;
    struct http_body body;
    int64_t got = 0;
    http_head_start(&head, kind, &limits);
    for (size_t have = 0; got == 0 && have < size;) {
        have = grow(have, size, &seed);
        got = http_head_parse(&head, bytes, have);
    }
    outcome.fault = head.fault;
    check((got < 0) == (head.fault != HTTP_FAULT_NONE));
    if (got <= 0)
        return outcome;
    check(got <= HEAD_MOST && (size_t)got <= size && head.count <= HTTP_FIELDS_MOST);
    for (uint32_t i = 0; i < head.count; i++) {
        const struct http_field *field = &head.fields[i];
        check(field->name.length > 0 && field->value.at + field->value.length < (size_t)got);
        outcome.sum = outcome.sum * 31 + field->value.length;
    }
    if (http_body_start(&body, &head, false, &limits) == 0)
        read_body(&body, bytes, size, (size_t)got, seed, &outcome);
    else
        outcome.fault = body.fault;
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum http_kind kind = data[0] & 1 ? HTTP_REQUEST : HTTP_REPLY;
    char *bytes = malloc(size); /* exactly as long, so that a read past the end is seen */
    memcpy(bytes, data + 1, size - 1);
    char *exact = realloc(bytes, size > 1 ? size - 1 : 1);
    struct outcome whole = read_message(exact, size - 1, kind, 0);
    struct outcome pieces = read_message(exact, size - 1, kind, 1 + data[0]);
    check(whole.done == pieces.done && whole.fault == pieces.fault);
    if (whole.fault != HTTP_FAULT_BODY_SIZE)
        check(whole.taken == pieces.taken && whole.sum == pieces.sum);
    free(exact);
    return 0;
}
