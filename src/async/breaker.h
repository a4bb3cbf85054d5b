/* SPDX-License-Identifier: MIT */
/*
 * A circuit breaker: after `failures` in a row nobody calls for a while; then one probe decides. (Nygard, "Release
 * It!", 2007.)
 *
 *     closed ──(failures in a row)──► open ──(its time has passed)──► half open: one probe at a time
 *        ▲                             ▲                                │            │
 *        └──────── success ────────────┼────────────────────────────────┘            │
 *                                      └── failure: open for twice as long, up to most
 *
 * Pure arithmetic: no waiting, no allocation. One thread.
 */
#ifndef ASYNC_BREAKER_H
#define ASYNC_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker_options {
    uint32_t failures;        /* in a row that open it; 0: it never opens */
    int64_t open_ns, most_ns; /* how long it stays open: at first, at most */
};
struct breaker {
    struct breaker_options options;
    enum breaker_state state;
    uint32_t failed;       /* in a row */
    int64_t failing_since; /* when the first of these was reported */
    int64_t open_for, until;
    bool probing; /* half open: the probe is under way */
    uint64_t opened, refused;
};

void breaker_init(struct breaker *breaker, const struct breaker_options *options);
/* True: call, and report how it went with breaker_report. False: do not (counted). */
bool breaker_allow(struct breaker *breaker, int64_t now_ns);
void breaker_report(struct breaker *breaker, int64_t now_ns, bool good);
/* The call that was allowed was not made, or was cancelled: nothing is known. */
void breaker_withdraw(struct breaker *breaker);
/* When breaker_allow may next say yes: in the past unless it is open. */
int64_t breaker_next(const struct breaker *breaker);
const char *breaker_state_name(enum breaker_state state);

#endif
