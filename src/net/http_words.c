/* SPDX-License-Identifier: MIT */
/* What became of a request, in words. */
#include "net/http.h"

#include <stdio.h>
#include <string.h>

#include "net/http_url.h"

static const struct {
    const char *name, *words;
} outcomes[HTTP_OUTCOMES] = {
    [HTTP_DONE] = {"done", "all went well"},
    [HTTP_BAD_URL] = {"bad_url", "this is not a URL that can be asked"},
    [HTTP_BAD_REQUEST] = {"bad_request", "a header, the method or the credentials cannot be sent as they are"},
    [HTTP_NO_SUCH_NAME] = {"no_such_name", "there is no host of that name"},
    [HTTP_REFUSED] = {"refused", "connection refused: nobody listens there"},
    [HTTP_UNREACHABLE] = {"unreachable", "there is no way to that host"},
    [HTTP_CONNECT_FAILED] = {"connect_failed", "it could not be connected to"},
    [HTTP_BUSY_TIMEOUT] = {"busy_timeout", "timed out while waiting for a free connection (all were in use)"},
    [HTTP_CONNECT_TIMEOUT] = {"connect_timeout", "timed out while connecting"},
    [HTTP_SEND_TIMEOUT] = {"send_timeout", "timed out while sending the request"},
    [HTTP_HEAD_TIMEOUT] = {"head_timeout", "timed out while waiting for the reply"},
    [HTTP_BODY_TIMEOUT] = {"body_timeout", "timed out while reading the reply"},
    [HTTP_RESET] = {"reset", "the connection was reset"},
    [HTTP_NO_REPLY] = {"no_reply", "the connection was closed without a reply"},
    [HTTP_MALFORMED] = {"malformed", "the reply is not proper HTTP"},
    [HTTP_TOO_LARGE] = {"too_large", "the reply is too large"},
    [HTTP_ENCODED] = {"encoded", "the reply is compressed, which was not asked for"},
    [HTTP_UPGRADED] = {"upgraded", "the server wants to speak another protocol"},
    [HTTP_BAD_STATUS] = {"bad_status", "the server answered"},
    [HTTP_REDIRECT_BAD] = {"redirect_bad", "it redirects to where an HTTP client cannot go"},
    [HTTP_REDIRECT_LOOP] = {"redirect_loop", "it redirects in a loop"},
    [HTTP_REDIRECT_MANY] = {"redirect_many", "it redirects more often than allowed"},
    [HTTP_CERTIFICATE] = {"certificate", "the server's certificate is not to be trusted"},
    [HTTP_TLS] = {"tls", "TLS failed"},
    [HTTP_PROXY] = {"proxy", "the proxy failed"},
    [HTTP_UNSUPPORTED] = {"unsupported", "https and proxies need libcurl and real sockets"},
    [HTTP_CANCELLED] = {"cancelled", "it was cancelled"},
    [HTTP_NO_MEMORY] = {"no_memory", "there is no memory left"},
};

const char *http_outcome_name(enum http_outcome outcome)
{
    return outcome < HTTP_OUTCOMES ? outcomes[outcome].name : "unknown";
}

const char *http_outcome_words(enum http_outcome outcome)
{
    return outcome < HTTP_OUTCOMES ? outcomes[outcome].words : "it failed";
}

char *http_explain(const struct http_request *request, const struct http_reply *reply, char *out, size_t size)
{
    char url[512];
    const char *method = request->method ? request->method : request->body_size ? "POST" : "GET";
    int used = snprintf(out, size, "%s %s: %s", method, http_url_show(request->url, url, sizeof url),
                        http_outcome_words(reply->outcome));
    size_t at = used < 0 || (size_t)used >= size ? size : (size_t)used;
    if (reply->outcome == HTTP_BAD_STATUS && at < size) {
        struct http_slice reason = reply->head ? reply->head->reason : (struct http_slice){0, 0};
        used = snprintf(out + at, size - at, " %d%s%.*s", reply->status, reason.length ? " " : "", (int)reason.length,
                        reply->head ? reply->head_bytes + reason.at : "");
        at = used < 0 || (size_t)used >= size - at ? size : at + (size_t)used;
    }
    if (reply->fault && at < size) {
        used = snprintf(out + at, size - at, ": %s", http_fault_words(reply->fault));
        at = used < 0 || (size_t)used >= size - at ? size : at + (size_t)used;
    }
    if (reply->detail[0] && at < size)
        snprintf(out + at, size - at, ": %s", reply->detail);
    return out;
}
