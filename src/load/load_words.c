/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "load/load_private.h"

static const struct {
    const char *name, *words;
} ends[LOAD_ENDS] = {
    [LOAD_GOOD] = {"good", "good"},
    [LOAD_STATUS] = {"status", "answered with an unexpected status"},
    [LOAD_BODY] = {"body", "answered with something else"},
    [LOAD_TIMEOUT] = {"timeout", "timed out"},
    [LOAD_REFUSED] = {"refused", "refused"},
    [LOAD_CONNECT] = {"connect", "could not connect"},
    [LOAD_RESET] = {"reset", "reset"},
    [LOAD_MALFORMED] = {"malformed", "answered with broken HTTP"},
    [LOAD_TLS] = {"tls", "failed at TLS"},
    [LOAD_NOT_SENT] = {"not_sent", "not sent"},
    [LOAD_OTHER] = {"other", "failed otherwise"},
};

const char *load_end_name(enum load_end end)
{
    return ends[end].name;
}

const char *load_end_words(enum load_end end)
{
    return ends[end].words;
}

enum load_end load_end_of(enum http_outcome outcome)
{
    switch (outcome) {
    case HTTP_BUSY_TIMEOUT:
    case HTTP_CONNECT_TIMEOUT:
    case HTTP_SEND_TIMEOUT:
    case HTTP_HEAD_TIMEOUT:
    case HTTP_BODY_TIMEOUT:
        return LOAD_TIMEOUT;
    case HTTP_REFUSED:
        return LOAD_REFUSED;
    case HTTP_NO_SUCH_NAME:
    case HTTP_UNREACHABLE:
    case HTTP_CONNECT_FAILED:
        return LOAD_CONNECT;
    case HTTP_RESET:
    case HTTP_NO_REPLY:
        return LOAD_RESET;
    case HTTP_MALFORMED:
    case HTTP_TOO_LARGE:
    case HTTP_ENCODED:
    case HTTP_UPGRADED:
        return LOAD_MALFORMED;
    case HTTP_CERTIFICATE:
    case HTTP_TLS:
        return LOAD_TLS;
    default:
        return LOAD_OTHER;
    }
}

int64_t load_queued_ns(void)
{
    long long ran = 0, queued = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (!file)
        return 0;
    int fields = fscanf(file, "%lld %lld", &ran, &queued);
    fclose(file);
    return fields == 2 ? queued : 0;
}
