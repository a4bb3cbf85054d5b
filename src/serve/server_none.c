/* SPDX-License-Identifier: MIT */
/* What stands for the HTTP server in a build without libmicrohttpd. */
#include <errno.h>

#include "serve/server.h"

bool server_available(void)
{
    return false;
}

int server_start(const char *listen, struct board *board, struct server **ret, struct weir_error *error)
{
    (void)board, (void)ret;
    return weir_fail(
        error, -ENOSYS,
        "serve: listen: %s: this weir was built without libmicrohttpd; install libmicrohttpd-dev and build "
        "it again, or leave the section serve out",
        listen);
}

const char *server_address(const struct server *server)
{
    (void)server;
    return "";
}

void server_stop(struct server *server)
{
    (void)server;
}
