/* SPDX-License-Identifier: MIT */
#include "app/simulate.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "async/loop.h"
#include "base/units.h"

int simulation_address(const char *option, const char *text, char *host, uint16_t *port)
{
    const char *colon = strrchr(text, ':'), *digits = colon ? colon + 1 : text;
    const char *from = text, *to = colon ? colon : text;
    int64_t number;
    if (to - from >= 2 && *from == '[' && to[-1] == ']') {
        from++;
        to--;
    }
    size_t length = (size_t)(to - from);
    if (units_integer(digits, &number) < 0 || number < 0 || number > 65535 || length >= SIMULATION_HOST) {
        app_say("%s %s is not an address; write host:port, for example %s 127.0.0.1:9700", option, text, option);
        return -EINVAL;
    }
    if (length > 0) { /* a port alone leaves the host as it is */
        memcpy(host, from, length);
        host[length] = 0;
    }
    *port = (uint16_t)number;
    return 0;
}

int simulation_option(struct simulation *simulation, const char *option, const char *name, const char *value)
{
    struct weir_error error = {0};
    if (!value || simulation->kind->set(simulation->peer, name, value, &error) == 0)
        return 0;
    app_say("%s: %s", option, error.text);
    return -EINVAL;
}

int simulation_settings(struct simulation *simulation, const struct app_list *settings)
{
    for (size_t i = 0; i < settings->count; i++) {
        struct weir_error error = {0};
        const char *pair = settings->values[i];
        if (settings_apply(pair, strlen(pair), ' ', simulation->kind->set, simulation->peer, &error) < 0) {
            app_say("--set %s: %s", pair, error.text);
            return -EINVAL;
        }
    }
    return 0;
}

int simulation_script(struct simulation *simulation)
{
    if (!simulation->script_path ||
        settings_script_read(simulation->script_path, &simulation->script, &simulation->error) == 0)
        return 0;
    (void)app_report(&simulation->error);
    return -EINVAL;
}

int simulation_rehearse(struct simulation *simulation)
{
    if (!simulation->script ||
        settings_script_rehearse(simulation->script, simulation->kind->set, simulation->peer, &simulation->error) == 0)
        return 0;
    (void)app_report(&simulation->error);
    return -EINVAL;
}

void simulation_ready(void *owner, uint16_t port)
{
    struct simulation *simulation = owner;
    simulation->kind->describe(simulation, port);
}

/* ---- Tasks ------------------------------------------------------------------------------------------------------ */

static int serve(struct weir_context *context, void *argument)
{
    struct simulation *simulation = argument;
    int error = simulation->kind->serve(context, simulation);
    if (error < 0 && error != -ECANCELED)
        weir_fail(&simulation->error, error, "cannot listen at %s:%u: %s%s", simulation->host, simulation->port,
                  strerror(-error),
                  error == -EADDRINUSE ? "; another program does: choose another port with --listen" : "");
    return error;
}

/* A script that fails ends the run; one that is over does not. */
static int follow_script(struct weir_context *context, void *argument)
{
    struct simulation *simulation = argument;
    int error = settings_script_run(context, simulation->script, simulation->kind->set, simulation->peer,
                                    &simulation->error);
    return error ? error : weir_sleep_until(context, WEIR_NEVER);
}

static int wait_for_end(struct weir_context *context, void *argument)
{
    struct simulation *simulation = argument;
    int64_t deadline = simulation->duration_ns ? weir_now(context) + simulation->duration_ns : WEIR_NEVER;
    int error = weir_wait_fd(context, simulation->signals.descriptor, POLLIN, deadline);
    if (error == 0)
        (void)signals_wait_take(&simulation->signals); /* it must not end the process later */
    return error == -ETIMEDOUT ? 0 : error;
}

static int run_all(struct weir_context *context, void *argument)
{
    struct simulation *simulation = argument;
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    int error = weir_scope_spawn(&scope, "end", wait_for_end, simulation);
    if (error == 0)
        error = weir_scope_spawn(&scope, "peer", serve, simulation);
    if (error == 0 && simulation->script)
        error = weir_scope_spawn(&scope, "script", follow_script, simulation);
    if (error) {
        weir_scope_close(&scope);
        return error;
    }
    return weir_scope_race(&scope);
}

/* ---- The run ---------------------------------------------------------------------------------------------------- */

/* Each connection is a descriptor: as many as the system lets us have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* refused: fewer connections */
    }
}

static int run_loop(struct simulation *simulation)
{
    struct context_clock clock = {0};
    struct weir_waiter waiter;
    struct loop *loop;
    _Atomic bool cancelled = false;
    waiter_init(&waiter);
    struct weir_context outer = {.clock = &clock, .waiter = &waiter, .cancelled = &cancelled, .cancel_fd = -1};
    struct loop_options options = {.outer = &outer};
    int error = loop_new(&options, &loop);
    if (error < 0)
        return error;
    error = loop_run(loop, "simulate", run_all, simulation);
    loop_free(loop);
    return error;
}

int simulation_run(struct simulation *simulation)
{
    int error = signals_wait_open(&simulation->signals);
    raise_descriptor_limit();
    if (error == 0)
        error = run_loop(simulation);
    signals_wait_close(&simulation->signals);
    int status = APP_OK;
    if (simulation->error.code)
        status = app_report(&simulation->error);
    else if (error == 0)
        simulation->kind->report(simulation);
    else
        app_say("the simulation ended: %s", strerror(-error));
    return status ? status : error ? APP_FAILED : APP_OK;
}
