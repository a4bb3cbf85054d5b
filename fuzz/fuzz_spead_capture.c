/* SPDX-License-Identifier: MIT */
/* Any bytes are a capture, or the beginning of one, or none; all datagrams in it lie within, and all records are
 * counted. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "net/capture.h"

struct input {
    const uint8_t *data;
    size_t size, piece; /* read in pieces of so many bytes: results may not depend on it */
};

static ssize_t read_input(void *owner, void *into, size_t size)
{
    struct input *input = owner;
    size_t length = size < input->size ? size : input->size;
    length = length < input->piece ? length : input->piece;
    memcpy(into, input->data, length);
    input->data += length;
    input->size -= length;
    return (ssize_t)length;
}

struct result {
    struct capture_counts counts;
    uint64_t sum;
    int code;
};

static struct result read_all(struct input input)
{
    struct result result = {0};
    struct weir_error error = {0};
    struct capture *capture;
    struct capture_datagram datagram;
    result.code = capture_open(read_input, &input, "fuzz", &error, &capture);
    if (result.code < 0) {
        if (error.code == 0) { /* without words */
            abort();
        }
        return result;
    }
    while ((result.code = capture_next(capture, &error, &datagram)) == 1) {
        for (size_t i = 0; i < datagram.size; i++) {
            result.sum = result.sum * 31 + datagram.data[i];
        }
    }
    if (result.code < 0 && error.code == 0) {
        abort();
    }
    result.counts = *capture_counted(capture);
    capture_close(capture);
    const struct capture_counts *counts = &result.counts;
    if (counts->records != counts->datagrams + counts->other + counts->unknown_link + counts->fragments +
                               counts->truncated + counts->malformed) {
        abort();
    }
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct result whole = read_all((struct input){data, size, SIZE_MAX});
    struct result pieces = read_all((struct input){data, size, 7});
    if (memcmp(&whole.counts, &pieces.counts, sizeof whole.counts) != 0 || whole.sum != pieces.sum ||
        whole.code != pieces.code) {
        abort();
    }
    return 0;
}
