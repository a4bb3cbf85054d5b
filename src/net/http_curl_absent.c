/* SPDX-License-Identifier: MIT */
/* In the place of http_curl.c where there is no libcurl. */
#include "net/http_private.h"

#include <errno.h>

bool http_has_https(void)
{
    return false;
}

int http_curl_perform(struct http_call *call)
{
    return http_fail(call->reply, HTTP_UNSUPPORTED, -ENOTSUP);
}

void http_curl_close_all(struct http_client *client)
{
    (void)client;
}
