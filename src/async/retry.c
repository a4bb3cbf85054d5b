/* SPDX-License-Identifier: MIT */
#include "async/retry.h"

int64_t retry_wait(const struct retry_options *options, uint32_t attempt, uint64_t random)
{
    int64_t step = options->step_ns;
    for (uint32_t i = 2; i < attempt && step < options->most_ns; i++)
        step = step > options->most_ns / 2 ? options->most_ns : step * 2;
    if (step > options->most_ns)
        step = options->most_ns;
    return step > 0 ? (int64_t)((double)(random >> 11) * 0x1p-53 * (double)step) : 0;
}

void retry_budget_init(struct retry_budget *budget, double per_call, double most)
{
    *budget = (struct retry_budget){.tokens = most, .most = most, .per_call = per_call};
}

void retry_budget_earn(struct retry_budget *budget)
{
    budget->tokens += budget->per_call;
    if (budget->tokens > budget->most)
        budget->tokens = budget->most;
}

bool retry_budget_take(struct retry_budget *budget)
{
    if (budget->tokens < 1) {
        budget->refused++;
        return false;
    }
    budget->tokens -= 1;
    return true;
}
