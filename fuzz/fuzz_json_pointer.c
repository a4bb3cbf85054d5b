/* SPDX-License-Identifier: MIT */
/* Answers of servers, and pointers into them. The first line is the pointer, the rest the answer: what is found lies
 * within, elements come one behind the other, and what is one whole value is found as such. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "codec/json_pointer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_within(struct json_text found, struct json_text all)
{
    check(found.size > 0 && found.data >= all.data && found.data + found.size <= all.data + all.size);
}

static void read_string(struct json_text value)
{
    size_t length = 0;
    char *out = memory_allocate(value.size);
    if (out && json_text_string(value, out, &length))
        check(length <= value.size - 2);
    memory_free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = memchr(data, '\n', size);
    struct json_text found, element;
    const char *state = NULL;
    if (!line)
        return 0;
    size_t rest = size - (size_t)(line + 1 - data);
    char *pointer = memory_zeroed((size_t)(line - data) + 1, 1), *copy = memory_allocate(rest ? rest : 1);
    if (!pointer || !copy)
        abort();
    memcpy(pointer, data, (size_t)(line - data));
    memcpy(copy, line + 1, rest); /* a block of its own: reading beyond it shows */
    const struct json_text answer = {copy, rest};
    bool whole = json_text_whole(answer);
    check(!whole || json_text_find(answer, "", &found));
    if (json_text_find(answer, pointer, &found)) {
        check_within(found, answer);
        read_string(found);
        const char *behind = found.data;
        while (json_text_element(found, &state, &element)) {
            check_within(element, found);
            check(element.data > behind);
            behind = element.data + element.size - 1;
        }
    }
    memory_free(copy);
    memory_free(pointer);
    return 0;
}
