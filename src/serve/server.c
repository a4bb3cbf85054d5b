/* SPDX-License-Identifier: MIT */
#include "serve/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/system.h"
#include "serve/board.h"

struct server {
    struct MHD_Daemon *daemon;
    struct board *board;
    char address[SERVER_ADDRESS_MAX];
};

bool server_available(void)
{
    return true;
}

const char *server_address(const struct server *server)
{
    return server->address;
}

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

static unsigned put_index(struct board *board, struct weir_buffer *out)
{
    (void)board;
    buffer_string(out,
                  "weir\n\n/metrics  for Prometheus\n/healthz  does it work?\n/readyz   does it keep up, are its goals "
                  "met?\n");
    return 200;
}

static const struct page {
    const char *path, *type;
    unsigned (*put)(struct board *board, struct weir_buffer *out);
} pages[] = {
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", board_metrics},
    {"/healthz", "text/plain; charset=utf-8", board_health},
    {"/readyz", "text/plain; charset=utf-8", board_ready},
    {"/", "text/plain; charset=utf-8", put_index},
};
enum { PAGES = sizeof pages / sizeof *pages };

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              struct weir_buffer *text)
{
    if (text->failed) {
        buffer_free(text);
        return MHD_NO; /* the connection is closed */
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(text->size, text->data ? text->data : "",
                                                                    MHD_RESPMEM_MUST_COPY);
    buffer_free(text);
    if (!response)
        return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

/* Bodies of requests are let pass unread; the answer comes behind them. */
static enum MHD_Result handle(void *owner, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **seen)
{
    struct server *server = owner;
    struct weir_buffer text = {0};
    (void)version, (void)upload;
    if (!*seen) { /* the headers are there: some clients want to be told to go on */
        *seen = server;
        return MHD_YES;
    }
    if (*upload_size) {
        *upload_size = 0;
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        buffer_string(&text, "only GET and HEAD\n");
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, pages[PAGES - 1].type, &text);
    }
    for (size_t i = 0; i < PAGES; i++) {
        if (strcmp(pages[i].path, url) == 0) {
            unsigned status = pages[i].put(server->board, &text);
            return answer(connection, status, pages[i].type, &text);
        }
    }
    buffer_string(&text, "there are /metrics, /healthz and /readyz\n");
    return answer(connection, MHD_HTTP_NOT_FOUND, pages[PAGES - 1].type, &text);
}

/* ---- Listening -------------------------------------------------------------------------------------------------- */

static int fail_form(const char *listen, struct weir_error *error)
{
    return weir_fail(error, -EINVAL, "serve: listen: \"%s\" is no address with a port, such as 127.0.0.1:9600", listen);
}

/* The host without brackets and the port, both terminated. */
static int split(const char *listen, char *host, size_t size, const char **ret_port, struct weir_error *error)
{
    const char *colon = strrchr(listen, ':');
    size_t length = colon ? (size_t)(colon - listen) : 0;
    char *end;
    long port = colon ? strtol(colon + 1, &end, 10) : -1;
    if (length == 0 || port < 0 || port > 65535 || end == colon + 1 || *end || length >= size)
        return fail_form(listen, error);
    if (listen[0] == '[' && colon[-1] == ']')
        snprintf(host, size, "%.*s", (int)length - 2, listen + 1);
    else
        snprintf(host, size, "%.*s", (int)length, listen);
    if (strchr(host, ':') && listen[0] != '[')
        return fail_form(listen, error);
    *ret_port = colon + 1;
    return 0;
}

static int open_socket(const char *listen_on, struct weir_error *error)
{
    char host[SERVER_ADDRESS_MAX];
    const char *port = NULL;
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int code = split(listen_on, host, sizeof host, &port, error), on = 1;
    if (code < 0)
        return code;
    code = getaddrinfo(host, port, &hints, &found);
    if (code != 0)
        return weir_fail(error, -EADDRNOTAVAIL, "serve: listen: %s: %s", host, gai_strerror(code));
    int descriptor = SYSTEM_CALL(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    code = descriptor < 0 ? -errno : 0;
    if (!code)
        (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!code && (SYSTEM_CALL(bind(descriptor, found->ai_addr, found->ai_addrlen)) < 0 ||
                  SYSTEM_CALL(listen(descriptor, SERVER_CONNECTIONS)) < 0))
        code = -errno;
    freeaddrinfo(found);
    if (!code)
        return descriptor;
    if (descriptor >= 0)
        close(descriptor);
    return weir_fail(
        error, code, "serve: cannot listen on %s: %s%s", listen_on, strerror(-code),
        code == -EADDRINUSE ? "; another weir may be running: --set serve.listen=127.0.0.1:0 takes any port" : "");
}

static void note_address(struct server *server, int descriptor)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char host[128] = "?", port[16] = "0";
    if (getsockname(descriptor, (struct sockaddr *)&address, &length) == 0)
        (void)getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port, sizeof port,
                          NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(server->address, sizeof server->address, address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

int server_start(const char *listen_on, struct board *board, struct server **ret, struct weir_error *error)
{
    struct server *server = memory_zeroed(1, sizeof *server);
    if (!server)
        return weir_fail(error, -ENOMEM, "serve: out of memory");
    int descriptor = open_socket(listen_on, error);
    if (descriptor < 0) {
        memory_free(server);
        return descriptor;
    }
    server->board = board;
    note_address(server, descriptor);
    server->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, 0, NULL, NULL, handle, server,
                                      MHD_OPTION_LISTEN_SOCKET, descriptor, MHD_OPTION_CONNECTION_LIMIT,
                                      (unsigned)SERVER_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
                                      (unsigned)SERVER_TIMEOUT_SECONDS, MHD_OPTION_END);
    if (!server->daemon) {
        close(descriptor);
        memory_free(server);
        return weir_fail(error, -EIO, "serve: the HTTP server could not be started");
    }
    *ret = server;
    return 0;
}

void server_stop(struct server *server)
{
    if (!server)
        return;
    MHD_stop_daemon(server->daemon); /* closes the socket */
    memory_free(server);
}
