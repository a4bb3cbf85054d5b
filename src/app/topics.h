/* SPDX-License-Identifier: MIT */
/* What `weir explain` knows besides the parts. */
#ifndef APP_TOPICS_H
#define APP_TOPICS_H
#include <stdbool.h>
#include <weir/part.h>

#include "base/buffer.h"

struct topic {
    const char *name, *summary, *text;
    const struct weir_option *options;                   /* printed below the text; may be NULL */
    void (*put)(bool markdown, struct weir_buffer *out); /* more, from a table; may be NULL */
};
extern const struct topic topics[]; /* ends with name NULL */

#endif
