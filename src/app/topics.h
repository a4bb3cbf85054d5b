/* SPDX-License-Identifier: MIT */
/* What `weir explain` knows besides the parts. */
#ifndef APP_TOPICS_H
#define APP_TOPICS_H
#include <weir/part.h>

struct topic {
    const char *name, *summary, *text;
    const struct weir_option *options; /* printed below the text; may be NULL */
};
extern const struct topic topics[]; /* ends with name NULL */

#endif
