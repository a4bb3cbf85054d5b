/* SPDX-License-Identifier: MIT */
/*
 * When the next packets may go, for a rate. Bytes are sent in bursts of at least burst_size without a pause; two lower
 * bounds say when the next burst is due, and the later one holds:
 *
 *   standard   moves on by bytes / rate with each burst, whenever it was really sent: so a late burst is made up for
 *   catch-up   when the last burst was really sent, plus its bytes / (rate × ratio): so making up is no flood
 *
 * After a time with nothing to send the standard clock is pulled to now: idle time is not made up for. Times are
 * doubles beside a base in whole nanoseconds: a rounding of a fraction of a nanosecond per burst would be an error in
 * the rate.
 *
 * Source of the algorithm: spead2's documentation, "Send rate limiting". Pure: the clock is the caller's.
 */
#ifndef NET_SPEAD_PACER_H
#define NET_SPEAD_PACER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spead_pacer {
    double ns_per_byte, catch_up_ns_per_byte; /* 0: unlimited */
    size_t burst_size;
    int64_t base;              /* ns; moved on now and then so that the doubles stay small */
    double standard, catch_up; /* ns after base */
    uint64_t bytes;            /* sent since the last burst ended */
};
void spead_pacer_init(struct spead_pacer *pacer, double rate, size_t burst_size, double ratio, int64_t now);
static inline bool spead_pacer_limits(const struct spead_pacer *pacer)
{
    return pacer->ns_per_byte > 0;
}
/* Bytes were sent, or are about to be. */
static inline void spead_pacer_sent(struct spead_pacer *pacer, uint64_t bytes)
{
    pacer->bytes += bytes;
}
/* How many more bytes this burst takes; 0: ask spead_pacer_due first. */
static inline size_t spead_pacer_room(const struct spead_pacer *pacer)
{
    return pacer->bytes < pacer->burst_size ? pacer->burst_size - (size_t)pacer->bytes : 0;
}
/* Ends the burst; returns when the next one may begin (≤ now: at once). */
int64_t spead_pacer_due(struct spead_pacer *pacer, int64_t now);
/* There was nothing to send until now. */
void spead_pacer_idle(struct spead_pacer *pacer, int64_t now);
#endif
