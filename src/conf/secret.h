/* SPDX-License-Identifier: MIT */
/* What of a configuration is not for other eyes: values of options that are named like secrets, credentials within
 * addresses (https://user:password@host/), and parts of their queries that are named like secrets (?api_key=…). */
#ifndef CONF_SECRET_H
#define CONF_SECRET_H
#include <stdbool.h>
#include <stddef.h>

struct weir_buffer;

extern const char *const secret_words[]; /* in names of secrets; NULL-terminated */
enum { SECRET_WORDS = 10 };              /* of them */

/* True for an option or header whose value must not be shown. */
bool conf_is_secret(const char *name);
/* The first secret within an address at or behind `from`; false: none. */
bool conf_secret_in_text(const char *text, size_t size, size_t from, size_t *ret_begin, size_t *ret_end);
/* Appends the text with *** in the place of each of them. */
void conf_mask_text(const char *text, struct weir_buffer *out);
#endif
