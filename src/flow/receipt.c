/* SPDX-License-Identifier: MIT */
#include "flow/receipt.h"

#include "base/memory.h"

#include <errno.h>

int account_init(struct account *account, uint64_t bytes_limit, bool branches, struct weir_waiter *waiter)
{
    int error = pthread_mutex_init(&account->lock, NULL);
    if (error)
        return -error;
    account->bytes_limit = bytes_limit;
    account->branches = branches;
    account->waiter = waiter;
    return 0;
}

void account_destroy(struct account *account)
{
    pthread_mutex_destroy(&account->lock);
}

bool account_credit(struct account *account)
{
    pthread_mutex_lock(&account->lock);
    bool credit = account->next - account->oldest < ACCOUNT_WINDOW && account->bytes < account->bytes_limit;
    account->waiting = !credit;
    pthread_mutex_unlock(&account->lock);
    return credit;
}

int64_t account_oldest(struct account *account)
{
    pthread_mutex_lock(&account->lock);
    int64_t produced = account->oldest < account->next ? account->window[account->oldest % ACCOUNT_WINDOW].produced : 0;
    pthread_mutex_unlock(&account->lock);
    return produced;
}

/* The window moves up over all that is settled, so its start is always the oldest record that is not. */
static void close_in_account(struct account *account, const struct receipt *receipt)
{
    struct weir_waiter *wake = NULL;
    pthread_mutex_lock(&account->lock);
    account->window[receipt->sequence % ACCOUNT_WINDOW].done = true;
    while (account->oldest < account->next && account->window[account->oldest % ACCOUNT_WINDOW].done)
        account->oldest++;
    account->bytes -= receipt->bytes;
    if (account->waiting && account->bytes < account->bytes_limit)
        wake = account->waiter;
    pthread_mutex_unlock(&account->lock);
    if (wake)
        waiter_wake(wake);
}

static void count_marks(struct receipt *receipt)
{
    static const enum outcome order[] = {OUTCOME_STORED, OUTCOME_REFUSED, OUTCOME_DROPPED, OUTCOME_FILTERED};
    for (uint64_t row = 0; row < receipt->rows; row++) {
        unsigned marks = atomic_load_explicit(&receipt->marks[row], memory_order_relaxed);
        for (int i = 0; i < OUTCOME_COUNT; i++) {
            if (marks & (1U << order[i])) {
                receipt->outcomes[order[i]]++;
                break;
            }
        }
    }
}

static void receipt_released(struct weir_receipt *head)
{
    struct receipt *receipt = (struct receipt *)head;
    struct account *account = receipt->account;
    uint64_t total = 0;
    if (receipt->marks)
        count_marks(receipt);
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        uint64_t number = atomic_load_explicit(&receipt->outcomes[i], memory_order_relaxed);
        total += number;
        if (number)
            atomic_fetch_add_explicit(&account->outcomes[i], number, memory_order_relaxed);
    }
    uint64_t gap = total > receipt->records ? total - receipt->records : receipt->records - total;
    if (gap)
        atomic_fetch_add_explicit(&account->unaccounted, gap, memory_order_relaxed);
    close_in_account(account, receipt);
    memory_free((void *)receipt->marks);
    memory_free(receipt);
}

struct receipt *receipt_new(struct account *account, int64_t produced, uint64_t bytes)
{
    struct receipt *receipt = memory_zeroed(1, sizeof *receipt);
    if (!receipt)
        return NULL;
    atomic_store_explicit(&receipt->head.references, 1, memory_order_relaxed);
    receipt->head.released = receipt_released;
    receipt->account = account;
    receipt->bytes = bytes;
    pthread_mutex_lock(&account->lock);
    receipt->sequence = account->next++;
    account->window[receipt->sequence % ACCOUNT_WINDOW].produced = produced;
    account->window[receipt->sequence % ACCOUNT_WINDOW].done = false;
    account->bytes += bytes;
    if (account->bytes > account->bytes_peak)
        account->bytes_peak = account->bytes;
    pthread_mutex_unlock(&account->lock);
    return receipt;
}

void receipt_release(struct receipt *receipt)
{
    if (receipt)
        receipt_unreference(&receipt->head);
}

int receipt_set_records(struct receipt *receipt, uint64_t records, uint32_t rows)
{
    receipt->records = records;
    atomic_fetch_add_explicit(&receipt->account->read, records, memory_order_relaxed);
    if (!receipt->account->branches || !rows)
        return 0;
    receipt->marks = memory_zeroed(rows, sizeof *receipt->marks);
    receipt->rows = receipt->marks ? rows : 0;
    return receipt->marks ? 0 : -ENOMEM;
}

void receipt_settle_unseen(struct receipt *receipt, uint64_t records, enum outcome outcome)
{
    atomic_fetch_add_explicit(&receipt->outcomes[outcome], records, memory_order_relaxed);
}

static void settle_row(const struct weir_batch *batch, uint32_t row, enum outcome outcome)
{
    uint32_t index = batch->receipt_row ? batch->receipt_row[row] : row;
    if (index == UINT32_MAX)
        return;
    struct receipt *receipt = (struct receipt *)batch->receipts[batch->receipt_of ? batch->receipt_of[row] : 0];
    if (receipt->marks)
        atomic_fetch_or_explicit(&receipt->marks[index], (uint8_t)(1U << outcome), memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&receipt->outcomes[outcome], 1, memory_order_relaxed);
}

void receipt_settle(const struct weir_batch *batch, const uint32_t *rows, uint32_t count, enum outcome outcome)
{
    if (!batch->receipt_count || !count)
        return;
    struct receipt *first = (struct receipt *)batch->receipts[0];
    if (!rows)
        rows = batch->selection;
    if (batch->receipt_count == 1 && !first->marks && !batch->receipt_row) {
        atomic_fetch_add_explicit(&first->outcomes[outcome], count, memory_order_relaxed);
        return;
    }
    if (batch->receipt_count == 1 && !first->marks) { /* rows made by a stage are not records: leave them out */
        uint64_t records = 0;
        for (uint32_t i = 0; i < count; i++)
            records += batch->receipt_row[rows ? rows[i] : i] != UINT32_MAX;
        atomic_fetch_add_explicit(&first->outcomes[outcome], records, memory_order_relaxed);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        settle_row(batch, rows ? rows[i] : i, outcome);
}
