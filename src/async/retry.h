/* SPDX-License-Identifier: MIT */
/*
 * Trying again: how long to wait, and whether to. Waits are exponential with full jitter (drawn evenly between nothing
 * and the step; Brooker, "Exponential Backoff and Jitter", 2015), so that what failed together does not come back
 * together. A budget keeps retries from becoming the load: each call earns a part of one (Google, "Site Reliability
 * Engineering", 2016, ch. 21). Whether a call is safe to repeat is for the caller to know.
 *
 * Pure arithmetic: no waiting, no allocation.
 */
#ifndef ASYNC_RETRY_H
#define ASYNC_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct retry_options {
    uint32_t attempts;        /* in all, the first included; 1: never again */
    int64_t step_ns, most_ns; /* the first wait is up to step_ns, the next up to twice that, … up to most_ns */
};
/* Wait before attempt `attempt` (2: the first retry), drawn with `random`, 64 even bits. ns. */
int64_t retry_wait(const struct retry_options *options, uint32_t attempt, uint64_t random);

struct retry_budget {
    double tokens, most, per_call; /* each retry costs 1, each call earns per_call; most: what can be saved up */
    uint64_t refused;
};
void retry_budget_init(struct retry_budget *budget, double per_call, double most);
void retry_budget_earn(struct retry_budget *budget); /* at each first attempt */
bool retry_budget_take(struct retry_budget *budget); /* false: the budget is spent, and it is counted */

#endif
