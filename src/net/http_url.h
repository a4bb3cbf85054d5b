/* SPDX-License-Identifier: MIT */
/* URLs of http and https (RFC 3986), as slices of their text: nothing is copied or allocated. */
#ifndef NET_HTTP_URL_H
#define NET_HTTP_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_URL_MOST = 4096, HTTP_HOST_MOST = 253 };

struct http_text {
    const char *text;
    size_t length;
};

struct http_url {
    bool https;
    bool literal;                    /* the host is an IPv6 address, which stood in brackets */
    struct http_text user, password; /* text NULL: none; percent-encoded as they stood */
    struct http_text host;           /* without brackets */
    uint16_t port;                   /* 80 or 443 when none is given */
    struct http_text target;         /* path and query, without the fragment; may be empty or begin with '?' */
};

/* 0, or -EINVAL and in *ret_reason (may be NULL) why: a static text. The url holds pointers into `text`. */
int http_url_parse(const char *text, struct http_url *ret, const char **ret_reason);

/* The URL without what must not be read by others: credentials, and values of query parameters that are named like
 * secrets, become "***". Any text; always terminated; returns out. */
char *http_url_show(const char *text, char *out, size_t size);

/* Where `location` of a reply to `base` leads: an absolute URL in out, without fragment, dots in its path resolved.
 * Credentials of the base are not carried over. -EINVAL: not an http URL; -ENAMETOOLONG: longer than HTTP_URL_MOST. */
int http_url_resolve(const struct http_url *base, const char *location, size_t length, char *out, size_t size);

/* Same scheme, host and port. */
bool http_url_same_host(const struct http_url *a, const struct http_url *b);

/* Undoes percent-encoding; returns the length written. out has room for text.length bytes. */
size_t http_url_decode(struct http_text text, char *out);

#endif
