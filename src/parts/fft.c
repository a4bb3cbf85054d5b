/* SPDX-License-Identifier: MIT */
#include "parts/fft.h"

#include <errno.h>
#include <fftw3.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/memory.h"
#include "data/array.h"

const char *const fft_window_names[] = {"hann", "hamming", "blackman", "none", NULL};

/* FFTW's planner has state of its own, which all threads share. */
static pthread_mutex_t planner = PTHREAD_MUTEX_INITIALIZER;

struct fft {
    struct fft_options options;
    uint32_t bins;
    double scale; /* 1 / (Σ w)² */
    union {       /* windows and samples in the precision asked for; samples are the input, where they stay */
        double *window;
        float *window_single;
    };
    void *in, *out;
    fftw_plan plan;
    fftwf_plan plan_single;
};

double fft_window_value(enum fft_window window, uint32_t length, uint32_t n)
{
    double phase = 2 * M_PI * n / length;
    switch (window) {
    case FFT_HANN:
        return 0.5 - 0.5 * cos(phase);
    case FFT_HAMMING:
        return 0.54 - 0.46 * cos(phase);
    case FFT_BLACKMAN:
        return 0.42 - 0.5 * cos(phase) + 0.08 * cos(2 * phase);
    default:
        return 1;
    }
}

uint32_t fft_bins(const struct fft_options *options)
{
    return options->pairs ? options->length : options->length / 2 + 1;
}

static void make_window(struct fft *fft)
{
    double sum = 0;
    for (uint32_t n = 0; n < fft->options.length; n++) {
        double value = fft_window_value(fft->options.window, fft->options.length, n);
        sum += value;
        if (fft->options.single)
            fft->window_single[n] = (float)value;
        else
            fft->window[n] = value;
    }
    fft->scale = 1 / (sum * sum);
}

static bool make_plan(struct fft *fft)
{
    int length = (int)fft->options.length;
    pthread_mutex_lock(&planner);
    if (fft->options.single)
        fft->plan_single = fft->options.pairs
                               ? fftwf_plan_dft_1d(length, fft->in, fft->out, FFTW_FORWARD, FFTW_ESTIMATE)
                               : fftwf_plan_dft_r2c_1d(length, fft->in, fft->out, FFTW_ESTIMATE);
    else
        fft->plan = fft->options.pairs ? fftw_plan_dft_1d(length, fft->in, fft->out, FFTW_FORWARD, FFTW_ESTIMATE)
                                       : fftw_plan_dft_r2c_1d(length, fft->in, fft->out, FFTW_ESTIMATE);
    pthread_mutex_unlock(&planner);
    return fft->plan || fft->plan_single;
}

int fft_new(const struct fft_options *options, struct fft **ret)
{
    struct fft *fft = memory_zeroed(1, sizeof *fft);
    if (!fft)
        return -ENOMEM;
    fft->options = *options;
    fft->bins = fft_bins(options);
    size_t number = options->single ? sizeof(float) : sizeof(double), length = ((size_t)options->length + 16) / 8 * 8;
    fft->window = memory_aligned(64, length * number);
    fft->in = memory_aligned(64, 2 * length * number);
    fft->out = memory_aligned(64, 2 * length * number);
    if (fft->window && fft->in && fft->out) {
        memset(fft->in, 0, 2 * length * number);
        make_window(fft);
    }
    if (!fft->window || !fft->in || !fft->out || !make_plan(fft)) {
        fft_free(fft);
        return -ENOMEM;
    }
    *ret = fft;
    return 0;
}

void fft_free(struct fft *fft)
{
    if (!fft)
        return;
    pthread_mutex_lock(&planner);
    if (fft->plan)
        fftw_destroy_plan(fft->plan);
    if (fft->plan_single)
        fftwf_destroy_plan(fft->plan_single);
    pthread_mutex_unlock(&planner);
    memory_free(fft->window);
    memory_free(fft->in);
    memory_free(fft->out);
    memory_free(fft);
}

/* Squares of what came out, in the order of the bins. One for each precision. */
#define DEFINE_STEPS(name, number, read)                                                                               \
    static void window_##name(const struct fft *fft, uint8_t element, const void *data, size_t first,                  \
                              const number *window)                                                                    \
    {                                                                                                                  \
        number *in = fft->in;                                                                                          \
        const uint32_t length = fft->options.length;                                                                   \
        if (!fft->options.pairs) {                                                                                     \
            read(element, data, first, length, in);                                                                    \
            for (uint32_t n = 0; n < length; n++)                                                                      \
                in[n] *= window[n];                                                                                    \
            return;                                                                                                    \
        }                                                                                                              \
        read(element, data, first * 2, (size_t)length * 2, in);                                                        \
        for (uint32_t n = 0; n < length; n++) {                                                                        \
            in[2 * n] *= window[n];                                                                                    \
            in[2 * n + 1] *= window[n];                                                                                \
        }                                                                                                              \
    }                                                                                                                  \
    static void square_##name(const struct fft *fft, double *into)                                                     \
    {                                                                                                                  \
        const number *out = fft->out;                                                                                  \
        const uint32_t length = fft->options.length;                                                                   \
        uint32_t half = length / 2;                                                                                    \
        for (uint32_t k = 0; k < fft->bins; k++) {                                                                     \
            uint32_t from = fft->options.pairs ? (k + length - half) % length : k;                                     \
            double re = (double)out[2 * (size_t)from], im = (double)out[2 * (size_t)from + 1];                         \
            bool twice = !fft->options.pairs && k > 0 && 2 * k != length;                                              \
            into[k] += (re * re + im * im) * fft->scale * (twice ? 2 : 1);                                             \
        }                                                                                                              \
    }
DEFINE_STEPS(double, double, array_read_f64)
DEFINE_STEPS(single, float, array_read_f32)

void fft_add_power(struct fft *fft, uint8_t element, const void *data, size_t first, double *into)
{
    if (fft->options.single) {
        window_single(fft, element, data, first, fft->window_single);
        fftwf_execute(fft->plan_single);
        square_single(fft, into);
    } else {
        window_double(fft, element, data, first, fft->window);
        fftw_execute(fft->plan);
        square_double(fft, into);
    }
}
