/* SPDX-License-Identifier: MIT */
/* The bytes of a request. */
#include "net/http_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_token_byte(char c)
{
    char low = (char)(c | 32);
    return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *text)
{
    const char *at = text;
    while (is_token_byte(*at))
        at++;
    return at > text && *at == 0;
}

static bool is_value(const char *text)
{
    for (; *text; text++) {
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return false;
    }
    return true;
}

/* What frames the message, or belongs to the connection, is the client's own business. */
static bool is_reserved(const char *name)
{
    static const char *const names[] = {"content-length", "transfer-encoding", "connection", "upgrade", "te",
                                        "trailer",        "keep-alive",        "expect",     NULL};
    for (int i = 0; names[i]; i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

bool http_message_valid(const struct http_request *request)
{
    if (request->field_count > HTTP_REQUEST_FIELDS_MOST)
        return false;
    if (request->method && (!is_token(request->method) || strlen(request->method) > HTTP_METHOD_MOST))
        return false;
    for (uint32_t i = 0; i < request->field_count; i++) {
        const struct http_pair *pair = &request->fields[i];
        if (!is_token(pair->name) || !is_value(pair->value) || is_reserved(pair->name))
            return false;
    }
    return (!request->content_type || is_value(request->content_type)) &&
           (!request->bearer || is_value(request->bearer));
}

static bool has_field(const struct http_request *request, const char *name)
{
    for (uint32_t i = 0; i < request->field_count; i++) {
        if (strcasecmp(request->fields[i].name, name) == 0)
            return true;
    }
    return false;
}

static void append_base64(struct weir_buffer *out, const char *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        uint32_t bits = (uint32_t)(unsigned char)data[i] << 16;
        if (i + 1 < size)
            bits |= (uint32_t)(unsigned char)data[i + 1] << 8;
        if (i + 2 < size)
            bits |= (unsigned char)data[i + 2];
        char group[4] = {digits[bits >> 18], digits[bits >> 12 & 63], digits[bits >> 6 & 63], digits[bits & 63]};
        if (i + 1 >= size)
            group[2] = '=';
        if (i + 2 >= size)
            group[3] = '=';
        buffer_append(out, group, 4);
    }
}

/* Basic credentials: of the request, else of the URL. */
static int append_basic(const struct http_call *call, struct weir_buffer *out)
{
    const struct http_request *request = call->request;
    char pair[512];
    size_t length;
    if (request->user) {
        size_t user = strlen(request->user), password = request->password ? strlen(request->password) : 0;
        if (user + password + 1 > sizeof pair)
            return -EINVAL;
        memcpy(pair, request->user, user);
        pair[user] = ':';
        memcpy(pair + user + 1, request->password ? request->password : "", password);
        length = user + 1 + password;
    } else {
        if (call->url.user.length + call->url.password.length + 1 > sizeof pair)
            return -EINVAL;
        length = http_url_decode(call->url.user, pair);
        pair[length++] = ':';
        length += http_url_decode(call->url.password, pair + length);
    }
    buffer_string(out, "Authorization: Basic ");
    append_base64(out, pair, length);
    buffer_string(out, "\r\n");
    memset(pair, 0, sizeof pair);
    return 0;
}

static int append_authorization(const struct http_call *call, struct weir_buffer *out)
{
    const struct http_request *request = call->request;
    if (call->same_host && has_field(request, "authorization"))
        return 0;
    if (call->same_host && request->bearer) {
        buffer_string(out, "Authorization: Bearer ");
        buffer_string(out, request->bearer);
        buffer_string(out, "\r\n");
        return 0;
    }
    return (call->same_host && request->user) || call->url.user.text ? append_basic(call, out) : 0;
}

/* What says who somebody is goes to the host that was asked, not to where it points. */
static bool is_credential(const char *name)
{
    return strcasecmp(name, "authorization") == 0 || strcasecmp(name, "cookie") == 0 ||
           strcasecmp(name, "proxy-authorization") == 0 || strcasecmp(name, "x-api-key") == 0;
}

static void append_start(const struct http_call *call, struct weir_buffer *out)
{
    const struct http_url *url = &call->url;
    buffer_string(out, call->method);
    buffer_append(out, " /", url->target.length > 0 && url->target.text[0] == '/' ? 1 : 2);
    buffer_append(out, url->target.text, url->target.length);
    buffer_string(out, " HTTP/1.1\r\n");
    if (has_field(call->request, "host") && call->same_host)
        return;
    buffer_append(out, "Host: [", url->literal ? 7 : 6);
    buffer_append(out, url->host.text, url->host.length);
    if (url->literal)
        buffer_append(out, "]", 1);
    if (url->port != (url->https ? 443 : 80))
        buffer_format(out, ":%u", url->port);
    buffer_string(out, "\r\n");
}

static void append_field(struct weir_buffer *out, const char *name, const char *value)
{
    buffer_string(out, name);
    buffer_append(out, ": ", 2);
    buffer_string(out, value);
    buffer_append(out, "\r\n", 2);
}

static bool wants_length(const struct http_call *call)
{
    return call->body_size > 0 || strcmp(call->method, "POST") == 0 || strcmp(call->method, "PUT") == 0 ||
           strcmp(call->method, "PATCH") == 0;
}

int http_message_write(struct http_call *call, struct weir_buffer *out)
{
    const struct http_request *request = call->request;
    append_start(call, out);
    if (!has_field(request, "user-agent"))
        append_field(out, "User-Agent", call->client->options.user_agent);
    if (!has_field(request, "accept"))
        buffer_string(out, "Accept: */*\r\n");
    if (append_authorization(call, out) < 0)
        return http_fail(call->reply, HTTP_BAD_REQUEST, -EINVAL);
    if (call->body_size > 0 && request->content_type && !has_field(request, "content-type"))
        append_field(out, "Content-Type", request->content_type);
    if (call->packed)
        buffer_string(out, "Content-Encoding: gzip\r\n");
    if (wants_length(call))
        buffer_format(out, "Content-Length: %zu\r\n", call->body_size);
    for (uint32_t i = 0; i < request->field_count; i++) {
        const char *name = request->fields[i].name;
        if (call->same_host || (!is_credential(name) && strcasecmp(name, "host") != 0))
            append_field(out, name, request->fields[i].value);
    }
    buffer_append(out, "\r\n", 2);
    if (call->body_size <= HTTP_TOGETHER)
        buffer_append(out, call->body, call->body_size);
    return out->failed ? http_fail(call->reply, HTTP_NO_MEMORY, -ENOMEM) : 0;
}
