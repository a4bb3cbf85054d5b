/* SPDX-License-Identifier: MIT */
#include "net/http_url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int refuse(const char **ret_reason, const char *reason)
{
    if (ret_reason)
        *ret_reason = reason;
    return -EINVAL;
}

/* Whatever could end a line or a word of a request. */
static bool is_plain(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f || strchr("\"<>\\^`{|}", text[i]))
            return false;
    }
    return true;
}

static int parse_port(struct http_text digits, uint16_t *port)
{
    uint32_t number = 0;
    if (digits.length == 0) /* "host:" means the usual port */
        return 0;
    if (digits.length > 5)
        return -EINVAL;
    for (size_t i = 0; i < digits.length; i++) {
        if (digits.text[i] < '0' || digits.text[i] > '9')
            return -EINVAL;
        number = number * 10 + (uint32_t)(digits.text[i] - '0');
    }
    if (number == 0 || number > 65535)
        return -EINVAL;
    *port = (uint16_t)number;
    return 0;
}

static bool is_host(struct http_text host, bool literal)
{
    for (size_t i = 0; i < host.length; i++) {
        char c = host.text[i], low = (char)(c | 32);
        bool letter = (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9');
        if (!letter && !strchr(literal ? ":." : "-._~", c))
            return false;
    }
    return host.length > 0 && host.length <= HTTP_HOST_MOST;
}

/* [user[:password]@]host[:port] */
static int parse_authority(struct http_url *url, const char *text, size_t length, const char **ret_reason)
{
    const char *at = memrchr(text, '@', length), *end = text + length;
    if (at) {
        const char *colon = memchr(text, ':', (size_t)(at - text));
        url->user = (struct http_text){text, (size_t)((colon ? colon : at) - text)};
        url->password = colon ? (struct http_text){colon + 1, (size_t)(at - colon - 1)} : (struct http_text){at, 0};
        text = at + 1;
    }
    const char *host_end = end, *colon;
    if (text < end && *text == '[') {
        host_end = memchr(text, ']', (size_t)(end - text));
        if (!host_end)
            return refuse(ret_reason, "the bracket of its address is not closed");
        url->literal = true;
        url->host = (struct http_text){text + 1, (size_t)(host_end - text - 1)};
        colon = ++host_end;
        if (colon < end && *colon != ':')
            return refuse(ret_reason, "there is something between its address and its port");
    } else {
        colon = memchr(text, ':', (size_t)(end - text));
        colon = colon ? colon : end;
        url->host = (struct http_text){text, (size_t)(colon - text)};
    }
    if (!is_host(url->host, url->literal))
        return refuse(ret_reason, url->host.length ? "its host is not a name or address" : "it has no host");
    if (colon < end && parse_port((struct http_text){colon + 1, (size_t)(end - colon - 1)}, &url->port) < 0)
        return refuse(ret_reason, "its port is not a number from 1 to 65535");
    return 0;
}

int http_url_parse(const char *text, struct http_url *ret, const char **ret_reason)
{
    struct http_url url = {.port = 80};
    size_t length = strnlen(text, HTTP_URL_MOST + 1);
    if (length > HTTP_URL_MOST)
        return refuse(ret_reason, "it is longer than 4096 characters");
    if (!is_plain(text, length))
        return refuse(ret_reason, "it contains a blank or another character that must be percent-encoded");
    const char *rest = text + 7;
    if (strncasecmp(text, "https://", 8) == 0) {
        url.https = true;
        url.port = 443;
        rest++;
    } else if (strncasecmp(text, "http://", 7) != 0) {
        return refuse(ret_reason, "it does not begin with http:// or https://");
    }
    size_t authority = strcspn(rest, "/?#");
    int error = parse_authority(&url, rest, authority, ret_reason);
    if (error)
        return error;
    url.target = (struct http_text){rest + authority, strcspn(rest + authority, "#")};
    *ret = url;
    return 0;
}

bool http_url_same_host(const struct http_url *a, const struct http_url *b)
{
    return a->https == b->https && a->port == b->port && a->host.length == b->host.length &&
           strncasecmp(a->host.text, b->host.text, a->host.length) == 0;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char low = (char)(c | 32);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

size_t http_url_decode(struct http_text text, char *out)
{
    size_t size = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.text[i] == '%' && i + 2 < text.length && hex(text.text[i + 1]) >= 0 && hex(text.text[i + 2]) >= 0) {
            out[size++] = (char)(hex(text.text[i + 1]) * 16 + hex(text.text[i + 2]));
            i += 2;
        } else {
            out[size++] = text.text[i];
        }
    }
    return size;
}

/* ---- For people ------------------------------------------------------------------------------------------------- */

static bool is_secret_name(const char *name, size_t length)
{
    static const char *const words[] = {"token", "key", "secret", "pass", "auth", "sig", "credential", NULL};
    for (int i = 0; words[i]; i++) {
        size_t wanted = strlen(words[i]);
        for (size_t at = 0; at + wanted <= length; at++) {
            if (strncasecmp(name + at, words[i], wanted) == 0)
                return true;
        }
    }
    return false;
}

struct writer {
    char *out;
    size_t size, used;
};

static void put(struct writer *writer, const char *text, size_t length)
{
    for (size_t i = 0; i < length && writer->used + 1 < writer->size; i++) {
        bool printable = (unsigned char)text[i] >= 0x20 && text[i] != 0x7f;
        writer->out[writer->used++] = printable ? text[i] : '?';
    }
}

char *http_url_show(const char *text, char *out, size_t size)
{
    struct writer writer = {out, size, 0};
    const char *authority = strstr(text, "://");
    authority = authority ? authority + 3 : text;
    put(&writer, text, (size_t)(authority - text));
    const char *rest = authority + strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', (size_t)(rest - authority));
    if (at)
        put(&writer, "***@", 4);
    authority = at ? at + 1 : authority;
    put(&writer, authority, (size_t)(rest - authority));
    size_t path = strcspn(rest, "?");
    put(&writer, rest, path);
    for (rest += path; *rest;) {
        size_t name = 1 + strcspn(rest + 1, "=&"), whole = 1 + strcspn(rest + 1, "&");
        bool secret = name < whole && is_secret_name(rest, name);
        put(&writer, rest, secret ? name + 1 : whole);
        if (secret)
            put(&writer, "***", 3);
        rest += whole;
    }
    if (size)
        out[writer.used] = 0;
    return out;
}

/* ---- Redirects -------------------------------------------------------------------------------------------------- */

/* Resolves "." and ".." of an absolute path in place (RFC 3986, 5.2.4); returns its new length. */
static size_t remove_dots(char *path, size_t length)
{
    size_t out = 0;
    for (size_t at = 0; at < length;) {
        size_t end = at + 1; /* a segment: from its slash to the next */
        while (end < length && path[end] != '/')
            end++;
        size_t segment = end - at - 1;
        bool one = segment == 1 && path[at + 1] == '.';
        bool two = segment == 2 && path[at + 1] == '.' && path[at + 2] == '.';
        if (two) {
            while (out > 0 && path[--out] != '/')
                ;
        }
        if (one || two) {
            if (end == length)
                path[out++] = '/';
        } else {
            memmove(path + out, path + at, end - at);
            out += end - at;
        }
        at = end;
    }
    return out;
}

/* The path of `base` up to and with its last slash: what a relative location follows. */
static size_t folder_length(struct http_text target)
{
    size_t length = 0;
    for (size_t i = 0; i < target.length && target.text[i] != '?'; i++) {
        if (target.text[i] == '/')
            length = i + 1;
    }
    return length;
}

static size_t write_origin(const struct http_url *url, char *out, size_t size)
{
    return (size_t)snprintf(out, size, "%s://%s%.*s%s:%u", url->https ? "https" : "http", url->literal ? "[" : "",
                            (int)url->host.length, url->host.text, url->literal ? "]" : "", url->port);
}

int http_url_resolve(const struct http_url *base, const char *location, size_t length, char *out, size_t size)
{
    const char *fragment = memchr(location, '#', length);
    struct http_text prefix = {"", 0};
    size_t origin = 0;
    length = fragment ? (size_t)(fragment - location) : length;
    if (size < HTTP_URL_MOST / 2)
        return -ENAMETOOLONG;
    bool absolute = (length > 7 && strncasecmp(location, "http://", 7) == 0) ||
                    (length > 8 && strncasecmp(location, "https://", 8) == 0);
    if (!absolute) {
        size_t first = 0;
        while (first < length && !strchr("/?:", location[first]))
            first++;
        if (first < length && location[first] == ':')
            return -EINVAL; /* another scheme */
        if (length > 1 && location[0] == '/' && location[1] == '/') {
            origin = (size_t)snprintf(out, size, "%s:", base->https ? "https" : "http");
        } else {
            origin = write_origin(base, out, size);
            size_t path = (size_t)(strcspn(base->target.text, "?#"));
            path = path < base->target.length ? path : base->target.length;
            if (length == 0 || location[0] == '?')
                prefix = (struct http_text){base->target.text, path};
            else if (location[0] != '/')
                prefix = (struct http_text){base->target.text, folder_length(base->target)};
            if (prefix.length == 0 && (length == 0 || location[0] != '/'))
                prefix = (struct http_text){"/", 1};
        }
    }
    if (origin + prefix.length + length + 2 > size || origin + prefix.length + length > HTTP_URL_MOST)
        return -ENAMETOOLONG;
    memcpy(out + origin, prefix.text, prefix.length);
    memcpy(out + origin + prefix.length, location, length);
    out[origin + prefix.length + length] = 0;
    struct http_url url;
    if (http_url_parse(out, &url, NULL) < 0)
        return -EINVAL;
    char *path = out + (url.target.text - out); /* in out: the URL ends with its target */
    size_t path_length = strcspn(path, "?"), query = strlen(path) - path_length;
    size_t shorter = path_length ? remove_dots(path, path_length) : 0;
    memmove(path + shorter, path + path_length, query + 1);
    return 0;
}
