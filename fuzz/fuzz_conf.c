/* SPDX-License-Identifier: MIT */
/* The configuration: any text gives a plan or words, and the plan holds what its comments promise. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_node(const struct plan *plan, uint32_t index)
{
    const struct plan_node *node = &plan->nodes[index];
    if (!node->name || !node->part || !node->options || (node->part->kind == WEIR_SOURCE) != (node->from_count == 0))
        abort();
    for (uint32_t i = 0; i < node->from_count; i++) {
        if (node->from[i] >= index || plan->nodes[node->from[i]].part->kind == WEIR_SINK)
            abort();
    }
    for (const struct weir_option *option = node->part->options; option && option->type != WEIR_OPTION_END; option++)
        memory_free(conf_option_text(option, node->options));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const set[] = {"sources.in.rate=5/s", NULL};
    struct conf_overrides overrides = {.to = size % 7 == 0 ? "null" : NULL, .set = size % 11 == 0 ? set : NULL};
    struct weir_error error = {0};
    struct plan *plan = NULL;
    if (conf_parse("fuzz", (const char *)data, size, &overrides, &plan, &error) < 0) {
        if (error.code >= 0 || !error.text[0])
            abort();
    } else {
        for (uint32_t i = 0; i < plan->count; i++)
            check_node(plan, i);
        plan_free(plan);
    }
    return 0;
}
