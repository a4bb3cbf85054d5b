/* SPDX-License-Identifier: MIT */
/*
 * The HTTP server of a run: /metrics for Prometheus, /healthz (the process works), /readyz (no goal is missed, nothing
 * falls behind). A thread of its own answers from the board; GET and HEAD only, and no more than SERVER_CONNECTIONS at
 * a time. No encryption and no passwords: it is for the loopback interface or a trusted network.
 */
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H
#include <weir/part.h>

struct board;
struct server;

enum { SERVER_CONNECTIONS = 32, SERVER_TIMEOUT_SECONDS = 10, SERVER_ADDRESS_MAX = 256 };

/* True when this build has it. */
bool server_available(void);
/* `listen`: "127.0.0.1:9600", "[::1]:9600", "localhost:9600"; port 0: any that is free. Negative errno with words; the
 * signals of the calling thread's mask are blocked in the server's thread. */
int server_start(const char *listen, struct board *board, struct server **ret, struct weir_error *error);
/* "127.0.0.1:9600", with the port that it has. */
const char *server_address(const struct server *server);
/* Waits for answers under way. NULL is allowed. */
void server_stop(struct server *server);

#endif
