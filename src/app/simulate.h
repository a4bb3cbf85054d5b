/* SPDX-License-Identifier: MIT */
/* How a simulated peer runs as a command: on a loop of its own, until Ctrl-C. */
#ifndef APP_SIMULATE_H
#define APP_SIMULATE_H

#include "app/app.h"
#include "app/signals.h"
#include "sim/settings.h"

struct simulation;

/* A kind of peer. */
struct simulation_kind {
    int (*serve)(struct weir_context *context, struct simulation *simulation);
    settings_set *set;
    void (*describe)(const struct simulation *simulation, uint16_t port); /* once it listens */
    void (*report)(const struct simulation *simulation);                  /* when it is over */
};

enum { SIMULATION_HOST = 256 };

struct simulation {
    const struct simulation_kind *kind;
    void *peer; /* struct fleet, server or proxy: the caller's */
    char host[SIMULATION_HOST];
    uint16_t port;
    bool addresses;
    const char *script_path;        /* NULL: none */
    long long duration_ns;          /* 0: until Ctrl-C */
    struct settings_script *script; /* as read from there */
    /* private */
    struct weir_error error;
    struct signals_wait signals;
};

/* "host:port", "port" or "[::1]:port"; 0, or -EINVAL after a message. */
int simulation_address(const char *option, const char *text, char *host, uint16_t *port);
/* A setting from an option, unless its value is NULL; 0, or -EINVAL after a message that names the option. */
int simulation_option(struct simulation *simulation, const char *option, const char *name, const char *value);
/* Those of --set. */
int simulation_settings(struct simulation *simulation, const struct app_list *settings);
/* Reads the script, if there is one; 0, or -EINVAL after a message. The caller frees `script`. */
int simulation_script(struct simulation *simulation);
/* Sets all that the script ever will, at once, in the peer as it is now; 0, or -EINVAL after a message. */
int simulation_rehearse(struct simulation *simulation);
/* Runs it to its end; returns the exit code. */
int simulation_run(struct simulation *simulation);
/* For describe and report, which the peer calls back through. */
void simulation_ready(void *simulation, uint16_t port);

#endif
