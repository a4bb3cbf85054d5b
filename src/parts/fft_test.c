/* SPDX-License-Identifier: MIT */
/* Power spectra against the sum that defines them, for all windows, lengths that are no powers of two, too. */
#include "parts/fft.h"

#include <complex.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <weir/schema.h>

#include "base/hash.h"

enum { LENGTH_MAX = 130, SKIP = 3 };

static double noise(uint64_t seed, uint64_t number)
{
    return (double)(int64_t)hash_u64(seed * 100003 + number) * 0x1p-63;
}

/* The definition: bin k of `length` samples, before real ones count twice. */
static double naive(const double complex *samples, uint32_t length, enum fft_window window, int64_t k)
{
    double complex sum = 0;
    double weights = 0;
    for (uint32_t n = 0; n < length; n++) {
        double weight = fft_window_value(window, length, n);
        weights += weight;
        sum += weight * samples[n] * cexp(-2 * M_PI * I * (double)(k * (int64_t)n % length) / length);
    }
    return creal(sum * conj(sum)) / (weights * weights);
}

static void check(uint32_t length, enum fft_window window, bool single, bool is_complex, uint64_t seed)
{
    double numbers[2 * (LENGTH_MAX + SKIP)], bins[LENGTH_MAX] = {0};
    double complex samples[LENGTH_MAX];
    struct fft_options options = {.length = length, .window = window, .single = single, .pairs = is_complex};
    struct fft *fft;
    for (uint32_t i = 0; i < 2 * (length + SKIP); i++)
        numbers[i] = noise(seed, i);
    for (uint32_t n = 0; n < length; n++)
        samples[n] = is_complex ? numbers[2 * (n + SKIP)] + I * numbers[2 * (n + SKIP) + 1] : numbers[n + SKIP];
    assert_int_equal(fft_new(&options, &fft), 0);
    fft_add_power(fft, WEIR_ELEMENT_F64, numbers, SKIP, bins);
    fft_add_power(fft, WEIR_ELEMENT_F64, numbers, SKIP, bins); /* it adds */
    assert_int_equal(fft_bins(&options), is_complex ? length : length / 2 + 1);
    for (uint32_t bin = 0; bin < fft_bins(&options); bin++) {
        int64_t k = is_complex ? (int64_t)bin - length / 2 : bin;
        double expected = 2 * naive(samples, length, window, k);
        if (!is_complex && bin > 0 && 2 * bin != length)
            expected *= 2;
        if (fabs(bins[bin] - expected) > (single ? 2e-6 : 1e-14))
            fail_msg("length %u window %d bin %u: %.17g instead of %.17g", length, window, bin, bins[bin], expected);
    }
    fft_free(fft);
}

static void test_against_the_definition(void **state)
{
    static const uint32_t lengths[] = {2, 3, 8, 15, 64, 127, 130};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (int window = FFT_HANN; window <= FFT_NONE; window++) {
            for (int variant = 0; variant < 4; variant++)
                check(lengths[i], (enum fft_window)window, variant & 1, variant & 2, i * 16 + (uint64_t)window);
        }
    }
}

/* A tone's power stands in its bin: A²/2 for a real one, A² for a complex one at the negative frequency. */
static void test_a_tone(void **state)
{
    enum { LENGTH = 64, BIN = 11, AMPLITUDE = 100 };
    int8_t real[LENGTH], pairs[2 * LENGTH];
    double bins[LENGTH] = {0}, bins_complex[LENGTH] = {0};
    struct fft_options options = {.length = LENGTH, .window = FFT_NONE};
    struct fft *fft;
    (void)state;
    for (int n = 0; n < LENGTH; n++) {
        double phase = 2 * M_PI * BIN * n / LENGTH;
        real[n] = (int8_t)lrint(AMPLITUDE * cos(phase));
        pairs[2 * n] = real[n];
        pairs[2 * n + 1] = (int8_t)lrint(-AMPLITUDE * sin(phase));
    }
    assert_int_equal(fft_new(&options, &fft), 0);
    fft_add_power(fft, WEIR_ELEMENT_I8, real, 0, bins);
    fft_free(fft);
    assert_true(fabs(bins[BIN] - AMPLITUDE * AMPLITUDE / 2.0) < 50);
    options.pairs = true;
    assert_int_equal(fft_new(&options, &fft), 0);
    fft_add_power(fft, WEIR_ELEMENT_I8 | WEIR_ELEMENT_COMPLEX, pairs, 0, bins_complex);
    fft_free(fft);
    assert_true(fabs(bins_complex[LENGTH / 2 - BIN] - AMPLITUDE * AMPLITUDE) < 100);
    for (int k = 0; k < LENGTH; k++)
        assert_true(k == LENGTH / 2 - BIN || bins_complex[k] < 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_the_definition),
        cmocka_unit_test(test_a_tone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
