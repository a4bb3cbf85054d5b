/* SPDX-License-Identifier: MIT */
#include "conf/secret.h"

#include <string.h>

#include "base/buffer.h"

const char *const secret_words[] = {"password", "token",  "secret", "authorization", "api_key", "api-key",
                                    "apikey",   "passwd", "cookie", "credential",    NULL};
_Static_assert(sizeof secret_words / sizeof *secret_words == SECRET_WORDS + 1, "as many as the header says");

bool conf_is_secret(const char *name)
{
    for (int i = 0; secret_words[i]; i++) {
        if (strcasestr(name, secret_words[i]))
            return true;
    }
    return false;
}

static bool ends_address(char c)
{
    return c == 0 || (c >= 0 && c <= ' ') || strchr("\"'<>,]", c);
}

/* user:password of what follows "://" at `at`. */
static bool find_credentials(const char *text, size_t size, size_t at, size_t *ret_end)
{
    bool found = false;
    for (size_t i = at; i < size && !ends_address(text[i]) && !strchr("/?#", text[i]); i++) {
        if (text[i] == '@') {
            *ret_end = i;
            found = true;
        }
    }
    return found;
}

/* The value of a part of a query that is named like a secret, when one begins behind the ? or & at `at`. */
static bool find_value(const char *text, size_t size, size_t at, size_t *ret_begin, size_t *ret_end)
{
    char name[64];
    size_t length = 0, i = at + 1;
    while (i < size && !ends_address(text[i]) && !strchr("=&#", text[i]) && length < sizeof name - 1)
        name[length++] = text[i++];
    name[length] = 0;
    if (i == size || text[i] != '=' ||
        !(conf_is_secret(name) || strcasecmp(name, "key") == 0 || strcasestr(name, "sig") || strcasestr(name, "auth")))
        return false;
    *ret_begin = ++i;
    while (i < size && !ends_address(text[i]) && text[i] != '&' && text[i] != '#')
        i++;
    *ret_end = i;
    return true;
}

bool conf_secret_in_text(const char *text, size_t size, size_t from, size_t *ret_begin, size_t *ret_end)
{
    for (size_t at = from; at < size; at++) {
        if (size - at > 3 && memcmp(text + at, "://", 3) == 0 && find_credentials(text, size, at + 3, ret_end)) {
            *ret_begin = at + 3;
            return true;
        }
        if ((text[at] == '?' || text[at] == '&') && find_value(text, size, at, ret_begin, ret_end))
            return true;
    }
    return false;
}

void conf_mask_text(const char *text, struct weir_buffer *out)
{
    size_t size = strlen(text), at = 0, begin, end;
    while (conf_secret_in_text(text, size, at, &begin, &end)) {
        buffer_append(out, text + at, begin - at);
        buffer_string(out, "***");
        at = end;
    }
    buffer_append(out, text + at, size - at);
}
