/* SPDX-License-Identifier: MIT */
#include "net/spead_pacer.h"

#include <math.h>

void spead_pacer_init(struct spead_pacer *pacer, double rate, size_t burst_size, double ratio, int64_t now)
{
    *pacer = (struct spead_pacer){.burst_size = burst_size, .base = now};
    if (rate > 0) {
        pacer->ns_per_byte = 1e9 / rate;
        pacer->catch_up_ns_per_byte = pacer->ns_per_byte / ratio;
    }
}

/* Keeps the doubles below a second, where they resolve 1e-7 ns. */
static void rebase(struct spead_pacer *pacer)
{
    double whole = floor(pacer->standard);
    if (whole < 1e9)
        return;
    pacer->base += (int64_t)whole;
    pacer->standard -= whole;
    pacer->catch_up -= whole;
}

int64_t spead_pacer_due(struct spead_pacer *pacer, int64_t now)
{
    double bytes = (double)pacer->bytes, present;
    pacer->bytes = 0;
    pacer->standard += bytes * pacer->ns_per_byte;
    pacer->catch_up += bytes * pacer->catch_up_ns_per_byte;
    rebase(pacer);
    present = (double)(now - pacer->base);
    double due = fmax(pacer->standard, pacer->catch_up);
    pacer->catch_up = fmax(due, present); /* the burst goes then, or now if that is later */
    return pacer->base + (int64_t)due;
}

void spead_pacer_idle(struct spead_pacer *pacer, int64_t now)
{
    double backdated = (double)(now - pacer->base) - (double)pacer->bytes * pacer->ns_per_byte;
    pacer->standard = fmax(pacer->standard, backdated);
}
