/* SPDX-License-Identifier: MIT */
#include "async/breaker.h"

void breaker_init(struct breaker *breaker, const struct breaker_options *options)
{
    *breaker = (struct breaker){.options = *options, .open_for = options->open_ns};
    if (breaker->options.most_ns < breaker->options.open_ns)
        breaker->options.most_ns = breaker->options.open_ns;
}

bool breaker_allow(struct breaker *breaker, int64_t now_ns)
{
    if (breaker->state == BREAKER_OPEN && now_ns >= breaker->until)
        breaker->state = BREAKER_HALF_OPEN;
    if (breaker->state == BREAKER_OPEN || breaker->probing) {
        breaker->refused++;
        return false;
    }
    breaker->probing = breaker->state == BREAKER_HALF_OPEN;
    return true;
}

static void open_circuit(struct breaker *breaker, int64_t now_ns)
{
    breaker->state = BREAKER_OPEN;
    breaker->until = now_ns + breaker->open_for;
    breaker->opened++;
}

void breaker_report(struct breaker *breaker, int64_t now_ns, bool good)
{
    bool probe = breaker->state == BREAKER_HALF_OPEN;
    breaker->probing = false;
    if (breaker->state == BREAKER_OPEN)
        return; /* a late answer from before it opened */
    if (good) {
        breaker->state = BREAKER_CLOSED;
        breaker->failed = 0;
        breaker->open_for = breaker->options.open_ns;
        return;
    }
    if (breaker->failed++ == 0)
        breaker->failing_since = now_ns;
    if (probe) {
        breaker->open_for = breaker->open_for > breaker->options.most_ns / 2 ? breaker->options.most_ns
                                                                             : breaker->open_for * 2;
        open_circuit(breaker, now_ns);
    } else if (breaker->options.failures && breaker->failed >= breaker->options.failures) {
        open_circuit(breaker, now_ns);
    }
}

void breaker_withdraw(struct breaker *breaker)
{
    breaker->probing = false;
}

int64_t breaker_next(const struct breaker *breaker)
{
    return breaker->state == BREAKER_OPEN ? breaker->until : 0;
}

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = {"closed", "open", "half open"};
    return names[state];
}
