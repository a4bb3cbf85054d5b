/* SPDX-License-Identifier: MIT */
/* JSON that weir reads back: every string in the tree can be written again and then reads the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct json_node *node)
{
    for (; node; node = node->next) {
        if (node->kind == JSON_STRING && node->text[node->length] != '\0')
            abort();
        if (node->name && json_member(&(struct json_node){.kind = JSON_OBJECT, .first = node}, node->name) != node)
            abort();
        walk(node->first);
    }
}

static void write_string(const struct json_node *node)
{
    struct weir_buffer out = {0};
    struct json_tree *again = NULL;
    buffer_json_string(&out, node->text, node->length);
    if (json_tree_parse(out.data, out.size, &again, NULL) < 0)
        abort();
    json_tree_free(again);
    buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_tree *tree = NULL;
    struct weir_error error = {0};
    char *text = malloc(size ? size : 1); /* exactly as long, so that a read past the end is seen */
    memcpy(text, data, size);
    int code = json_tree_parse(text, size, &tree, &error);
    free(text);
    if (code < 0)
        return error.text[0] ? 0 : (abort(), 0);
    walk(json_tree_root(tree));
    if (json_tree_root(tree)->kind == JSON_STRING)
        write_string(json_tree_root(tree));
    json_tree_free(tree);
    return 0;
}
