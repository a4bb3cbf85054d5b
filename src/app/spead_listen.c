/* SPDX-License-Identifier: MIT */
#include "app/spead_listen.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/app.h"
#include "base/clock.h"

static sigset_t interrupts(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

bool spead_listen_is_file(const char *operand)
{
    const char *port = strrchr(operand, ':');
    port = port ? port + 1 : operand;
    if (strcmp(operand, "-") == 0)
        return true;
    bool digits = *port && strspn(port, "0123456789") == strlen(port);
    return !digits || strchr(operand, '/') || access(operand, F_OK) == 0;
}

int spead_listen_start(struct spead_listen *listen, char **operands, int count)
{
    struct weir_error error = {0};
    sigset_t set = interrupts();
    int failed = weir_spead_receiver_new(&listen->options, &error, &listen->receiver);
    for (int i = 0; i < count && failed == 0; i++) {
        struct weir_spead_endpoint endpoint = {
            .address = operands[i], .interface = listen->interface, .only_from = listen->only_from};
        bool file = spead_listen_is_file(operands[i]);
        endpoint.transport = file ? WEIR_SPEAD_CAPTURE : listen->tcp ? WEIR_SPEAD_TCP : WEIR_SPEAD_UDP;
        failed = weir_spead_receiver_add(listen->receiver, &endpoint, &error);
    }
    if (failed == 0) {
        sigprocmask(SIG_BLOCK, &set, NULL);
        failed = weir_spead_receiver_start(listen->receiver, &error);
    }
    if (failed < 0) {
        spead_listen_end(listen);
        return app_report(&error);
    }
    const char *warning = weir_spead_receiver_warning(listen->receiver);
    if (warning)
        app_say("%s", warning);
    return -1;
}

void spead_listen_interrupts(struct spead_listen *listen)
{
    sigset_t set = interrupts();
    const struct timespec now = {0};
    int number;
    while ((number = sigtimedwait(&set, NULL, &now)) > 0) {
        if (!signals_counts(&listen->signals, number, clock_monotonic()))
            continue;
        if (listen->signals.requests > 1)
            _exit(APP_INTERRUPTED);
        weir_spead_receiver_stop(listen->receiver);
    }
}

int spead_listen_next(struct spead_listen *listen, struct weir_spead_heap **ret)
{
    for (;;) {
        int failed = weir_spead_receiver_next(listen->receiver, NULL, clock_monotonic() + 50 * CLOCK_MILLISECOND, ret);
        if (failed != -ETIMEDOUT)
            return failed;
        spead_listen_interrupts(listen);
    }
}

int spead_listen_result(struct spead_listen *listen)
{
    struct weir_error error = {0};
    return weir_spead_receiver_failure(listen->receiver, &error) < 0 ? app_report(&error) : APP_OK;
}

void spead_listen_end(struct spead_listen *listen)
{
    sigset_t set = interrupts();
    weir_spead_receiver_free(listen->receiver);
    listen->receiver = NULL;
    signals_settle(&listen->signals);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}
