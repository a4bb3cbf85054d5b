/* SPDX-License-Identifier: MIT */
#include "flow/plan.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"

enum { NAMES_MAX = 64 };

/* Where the file names the column, or else the part. */
static struct weir_mark mark_of(const struct plan_node *node, const char *key)
{
    for (const struct weir_option *option = node->options ? node->part->options : NULL;
         option && option->type != WEIR_OPTION_END; option++) {
        const void *field = (const char *)node->options + option->offset;
        const struct weir_quoted *column = field;
        const struct weir_list *list = field;
        if (option->type == WEIR_OPTION_COLUMN && column->text && strcmp(column->text, key) == 0)
            return column->mark;
        if (option->type == WEIR_OPTION_STRINGS && strcmp(option->name, "by") == 0 && list->count &&
            strcmp(list->items[0].value.text, key) == 0)
            return list->items[0].value.mark;
    }
    return node->mark;
}

int plan_no_key(const struct plan_node *node, const struct weir_schema *in, const char *key, struct weir_error *error)
{
    const char *names[NAMES_MAX];
    struct weir_buffer words = {0};
    uint32_t count = in->count < NAMES_MAX ? in->count : NAMES_MAX;
    for (uint32_t i = 0; i < count; i++)
        names[i] = in->fields[i].name;
    const char *near = error_nearest(key, names, count);
    if (near)
        buffer_format(&words, "; did you mean \"%s\"? There are: ", near);
    else
        buffer_string(&words, "; there are: ");
    for (uint32_t i = 0; i < count; i++)
        buffer_format(&words, "%s%s", i ? ", " : "", names[i]);
    if (in->count > count)
        buffer_string(&words, ", ...");
    buffer_append(&words, "", 1);
    int code = weir_fail_at(error, -EINVAL, mark_of(node, key), "%s: no column \"%s\" to group by%s", node->name, key,
                            words.failed ? "" : words.data);
    buffer_free(&words);
    return code;
}
