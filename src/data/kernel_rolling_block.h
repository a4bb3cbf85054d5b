/* SPDX-License-Identifier: MIT */
/*
 * Private to kernel_rolling_column.c, which includes it once for each set of instructions: sums, mean and deviation
 * after each of eight records of one key, side by side. Before that: BLOCK_LANES, doubles in a vector (2, 4 or 8),
 * BLOCK(name) for the names, BLOCK_SQRT and, where there is such an instruction, BLOCK_FMA(a, b, c) = a · b + c rounded
 * once. The same operations for each set, so the same bits.
 *
 * The chain of additions, where each waits for the one before, becomes a tree of three steps (Sklansky,
 * "Conditional-sum addition logic", 1960):
 *
 *     a  b  c   d    e  f  g   h       of two neighbours the right one takes in the left one
 *     a ab  c   cd   e ef  g   gh      of two pairs the right one takes in the end of the left one
 *     a ab abc abcd  e ef efg efgh     and so of the two halves
 *
 * What these additions round off need not be known one by one: sum[i] − sum[i − 1], which can be had exactly, is what
 * has been added; what it lacks of what should have been goes, by such a tree, to low[i].
 *
 * Each pass is short and goes over the whole chunk: a processor that has few instructions waiting for each other finds
 * those of the next eight records sooner.
 */
#define HALVES (ROLLING_BLOCK / BLOCK_LANES)
#define VECTOR BLOCK(vector)
#define MASK BLOCK(mask)
#define EIGHT struct BLOCK(eight)
#define EACH for (int h = 0; h < HALVES; h++)
#define INLINE static inline __attribute__((always_inline))

typedef double VECTOR __attribute__((vector_size(8 * BLOCK_LANES)));
typedef double BLOCK(loose) __attribute__((vector_size(8 * BLOCK_LANES), aligned(8), may_alias));
typedef int64_t MASK __attribute__((vector_size(8 * BLOCK_LANES)));

EIGHT
{
    VECTOR v[HALVES];
};

INLINE EIGHT BLOCK(load)(const double *from)
{
    EIGHT x;
    EACH x.v[h] = *(const BLOCK(loose) *)(from + BLOCK_LANES * h);
    return x;
}

INLINE void BLOCK(store)(double *to, EIGHT x)
{
    EACH *(BLOCK(loose) *)(to + BLOCK_LANES * h) = x.v[h];
}

#if BLOCK_LANES == 8
INLINE EIGHT BLOCK(prefixes)(EIGHT x)
{
    const VECTOR zero = {0};
    x.v[0] += __builtin_shufflevector(zero, x.v[0], 0, 8, 0, 10, 0, 12, 0, 14);
    x.v[0] += __builtin_shufflevector(zero, x.v[0], 0, 0, 9, 9, 0, 0, 13, 13);
    x.v[0] += __builtin_shufflevector(zero, x.v[0], 0, 0, 0, 0, 11, 11, 11, 11);
    return x;
}

INLINE EIGHT BLOCK(plus_last)(EIGHT x, EIGHT before) /* the last of those before is added to each */
{
    x.v[0] += __builtin_shufflevector(before.v[0], before.v[0], 7, 7, 7, 7, 7, 7, 7, 7);
    return x;
}
#elif BLOCK_LANES == 4
INLINE EIGHT BLOCK(prefixes)(EIGHT x)
{
    const VECTOR zero = {0};
    EACH x.v[h] += __builtin_shufflevector(zero, x.v[h], 0, 4, 2, 6);
    EACH x.v[h] += __builtin_shufflevector(zero, x.v[h], 0, 1, 5, 5);
    x.v[1] += __builtin_shufflevector(x.v[0], x.v[0], 3, 3, 3, 3);
    return x;
}

INLINE EIGHT BLOCK(plus_last)(EIGHT x, EIGHT before)
{
    VECTOR last = __builtin_shufflevector(before.v[1], before.v[1], 3, 3, 3, 3);
    EACH x.v[h] += last;
    return x;
}
#else
INLINE EIGHT BLOCK(prefixes)(EIGHT x)
{
    const VECTOR zero = {0};
    EACH x.v[h] += __builtin_shufflevector(zero, x.v[h], 0, 2);
    x.v[1] += __builtin_shufflevector(x.v[0], x.v[0], 1, 1);
    x.v[3] += __builtin_shufflevector(x.v[2], x.v[2], 1, 1);
    VECTOR last = __builtin_shufflevector(x.v[1], x.v[1], 1, 1);
    x.v[2] += last;
    x.v[3] += last;
    return x;
}

INLINE EIGHT BLOCK(plus_last)(EIGHT x, EIGHT before)
{
    VECTOR last = __builtin_shufflevector(before.v[3], before.v[3], 1, 1);
    EACH x.v[h] += last;
    return x;
}
#endif

/* a / b rounded as a division is, when inverse is 1 / b and b a whole number below 2^53: what the product lacks is then
 * exact, and the second step right (Markstein, "Computation of elementary functions on the IBM RISC System/6000
 * processor", 1990), as long as nothing underflows. */
INLINE VECTOR BLOCK(quotient)(VECTOR a, double b, double inverse)
{
#ifdef BLOCK_FMA
    VECTOR divisor = b - (VECTOR){0}, factor = inverse - (VECTOR){0}, near = a * factor;
    return BLOCK_FMA(-BLOCK_FMA(near, divisor, -a), factor, near);
#else
    (void)inverse;
    return a / b;
#endif
}

INLINE void BLOCK(add)(struct rolling_work *work, uint32_t rows)
{
    const double scale = work->scale, anchor = work->anchor;
    EIGHT sum = BLOCK(load)(work->sum_before), squares = BLOCK(load)(work->squares_before);
    for (uint32_t i = 0; i < rows; i += ROLLING_BLOCK) {
        EIGHT new = BLOCK(load)(work->values + i), old = BLOCK(load)(work->old + i), difference, change, rest;
        EACH
        {
            VECTOR a = new.v[h] * scale, b = old.v[h] * scale, d = a - b, back = d - a;
            difference.v[h] = d;
            rest.v[h] = (a - (d - back)) - (b + back);
            change.v[h] = d * ((a - anchor) + (b - anchor));
        }
        BLOCK(store)(work->difference + i, difference);
        BLOCK(store)(work->rest + i, rest);
        sum = BLOCK(plus_last)(BLOCK(prefixes)(difference), sum);
        squares = BLOCK(plus_last)(BLOCK(prefixes)(change), squares);
        BLOCK(store)(work->sum + i, sum);
        BLOCK(store)(work->squares + i, squares);
    }
}

INLINE void BLOCK(add_low)(struct rolling_work *work, uint32_t rows)
{
    EIGHT low = BLOCK(load)(work->low_before);
    for (uint32_t i = 0; i < rows; i += ROLLING_BLOCK) {
        EIGHT sum = BLOCK(load)(work->sum + i), before = BLOCK(load)(work->sum + i - 1);
        EIGHT difference = BLOCK(load)(work->difference + i), rest = BLOCK(load)(work->rest + i);
        EACH
        {
            VECTOR a = sum.v[h], b = before.v[h], d = a - b, back = d - a;
            rest.v[h] = (difference.v[h] - d) + (rest.v[h] - ((a - (d - back)) - (b + back)));
        }
        low = BLOCK(plus_last)(BLOCK(prefixes)(rest), low);
        BLOCK(store)(work->low + i, low);
    }
}

/* The statistics, of windows that are full. False: some row is in doubt; the peaks are then of no use. */
INLINE bool BLOCK(finish)(struct rolling_work *work, uint32_t begin, uint32_t end, const uint32_t asked)
{
    const double anchor = work->anchor, unscale = work->unscale, count = work->count, inverse = work->inverse;
    const double loss = work->loss, small = fabs(anchor) * ROLLING_MEAN_LOSS;
    EIGHT peak = BLOCK(load)(work->peaks);
    MASK fine[HALVES], near_zero[HALVES];
    EACH fine[h] = ~(MASK){0}, near_zero[h] = (MASK){0};
    for (uint32_t i = begin; i < end; i += ROLLING_BLOCK) {
        EIGHT sum = BLOCK(load)(work->sum + i), low = BLOCK(load)(work->low + i);
        EIGHT squares = BLOCK(load)(work->squares + i);
        EACH
        {
            const uint32_t at = i + BLOCK_LANES * (uint32_t)h;
            VECTOR both = sum.v[h] + low.v[h], s = squares.v[h];
            MASK higher = (MASK)(s > peak.v[h]);
            peak.v[h] = (VECTOR)((higher & (MASK)s) | (~higher & (MASK)peak.v[h]));
            fine[h] &= (MASK)(s * count - both * both >= peak.v[h] * loss) & (MASK)(peak.v[h] <= ROLLING_SQUARES_MOST);
            VECTOR deviation = BLOCK(quotient)(both, count, inverse), mean = anchor + deviation;
            VECTOR about_mean = s - both * deviation;
            near_zero[h] |= (MASK)((VECTOR)((MASK)mean & INT64_MAX) < small);
            if (asked & 1u << ROLLING_SUM)
                *(BLOCK(loose) *)(work->to[ROLLING_SUM] + at) = (anchor * count + both) * unscale;
            if (asked & 1u << ROLLING_MEAN)
                *(BLOCK(loose) *)(work->to[ROLLING_MEAN] + at) = mean * unscale;
            if (asked & 1u << ROLLING_VAR)
                *(BLOCK(loose) *)(work->to[ROLLING_VAR] + at) = about_mean / work->freedom * unscale * unscale;
            if (asked & 1u << ROLLING_STDDEV)
                *(BLOCK(loose) *)(work->to[ROLLING_STDDEV] + at) = BLOCK_SQRT(about_mean * work->inverse_freedom) *
                                                                   unscale;
        }
    }
    BLOCK(store)(work->peaks, peak);
    int64_t all = -1, some = 0;
    for (int lane = 0; lane < ROLLING_BLOCK; lane++) {
        all &= fine[lane / BLOCK_LANES][lane % BLOCK_LANES];
        some |= near_zero[lane / BLOCK_LANES][lane % BLOCK_LANES];
    }
    work->small |= some;
    return all;
}

#undef HALVES
#undef VECTOR
#undef MASK
#undef EIGHT
#undef EACH
#undef INLINE
#undef BLOCK_LANES
#undef BLOCK
#undef BLOCK_FMA
#undef BLOCK_SQRT
