/* SPDX-License-Identifier: MIT */
#include "data/kernel_quantile.h"

#include <math.h>
#include <string.h>

#include "data/kernel_rolling_order.h"

enum { FEW = 24 }; /* so many are put in order one by one */

bool quantile_read(const char *name, double *ret_rank)
{
    if (strcmp(name, "median") == 0) {
        *ret_rank = 0.5;
        return true;
    }
    size_t digits = strspn(name[0] == 'p' ? name + 1 : "", "0123456789");
    if (digits < 1 || digits > 9 || name[digits + 1] != '\0' || (digits > 2 && name[digits] == '0'))
        return false; /* p100 would be p10, which nobody means */
    double number = 0, divisor = 1;
    for (size_t i = 1; i <= digits; i++, divisor *= 10)
        number = number * 10 + (name[i] - '0');
    *ret_rank = number / (digits < 2 ? 100 : divisor);
    return true;
}

static void swap(double *a, double *b)
{
    double value = *a;
    *a = *b;
    *b = value;
}

static void sort_few(double *values, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        double value = values[i];
        uint32_t at = i;
        for (; at > 0 && values[at - 1] > value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
}

static void sink(double *heap, uint32_t at, uint32_t count)
{
    double value = heap[at];
    for (uint32_t below; (below = 2 * at + 1) < count; at = below) {
        below += below + 1 < count && heap[below + 1] > heap[below];
        if (heap[below] <= value)
            break;
        heap[at] = heap[below];
    }
    heap[at] = value;
}

static void sort_heap(double *values, uint32_t count)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sink(values, i, count);
    for (uint32_t i = count; i-- > 1;) {
        swap(&values[0], &values[i]);
        sink(values, 0, i);
    }
}

/* Quicksort (Hoare 1962) about the middle one of three; where that goes badly for long, by heap (Musser 1997). */
static void sort_deep(double *values, uint32_t count, uint32_t depth)
{
    while (count > FEW) {
        if (depth-- == 0) {
            sort_heap(values, count);
            return;
        }
        double *low = values, *middle = values + count / 2, *high = values + count - 1;
        if (*middle < *low)
            swap(middle, low);
        if (*high < *middle)
            swap(high, middle);
        if (*middle < *low)
            swap(middle, low);
        const double pivot = *middle;
        uint32_t i = 0, j = count - 1;
        for (;; i++, j--) {
            while (values[i] < pivot)
                i++;
            while (values[j] > pivot)
                j--;
            if (i >= j)
                break;
            swap(&values[i], &values[j]);
        }
        uint32_t left = j + 1; /* values[0 … j] <= pivot <= the rest; both parts have some */
        if (left < count - left) {
            sort_deep(values, left, depth);
            values += left;
            count -= left;
        } else {
            sort_deep(values + left, count - left, depth);
            count = left;
        }
    }
    sort_few(values, count);
}

void quantile_sort(double *values, uint32_t count)
{
    uint32_t depth = 0;
    for (uint32_t left = count; left; left /= 2)
        depth += 2;
    sort_deep(values, count, depth);
}

double quantile_at(const double *values, uint32_t count, double rank)
{
    return count ? order_at(values, order_place(rank, count)) : NAN;
}

uint32_t quantile_distinct(double *values, uint32_t count)
{
    uint32_t different = 0;
    for (uint32_t i = 0; i < count; i++)
        if (different == 0 || values[different - 1] != values[i])
            values[different++] = values[i];
    return different;
}
