/* SPDX-License-Identifier: MIT */
/* What libyaml says about broken YAML, in words that say what to do. Sets the error and returns -EINVAL. */
#ifndef CONF_SYNTAX_H
#define CONF_SYNTAX_H
#include <yaml.h>

#include "conf/tree.h"

int syntax_fail(struct conf *conf, const struct tree_text *text, const yaml_parser_t *parser);

#endif
