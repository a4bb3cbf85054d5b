/* SPDX-License-Identifier: MIT */
/*
 * Power spectra by FFTW, in double or single precision. A plan belongs to one thread; plans are made in a way that does
 * not depend on the machine's load, so that equal samples give equal spectra, bit for bit.
 *
 *   power of bin k = |Σ w(n) x(n) exp(−2πi k n / N)|² / (Σ w(n))²
 *
 * of which bins other than 0 and N/2 count twice for real samples (they stand for −k too): a sine of amplitude A that
 * fills its bin has A²/2 there, its mean power. Real: bins 0 … N/2. Complex: N bins, from −N/2 up, 0 in the middle.
 */
#ifndef PARTS_FFT_H
#define PARTS_FFT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fft_window { FFT_HANN, FFT_HAMMING, FFT_BLACKMAN, FFT_NONE };
extern const char *const fft_window_names[]; /* NULL-terminated */

enum { FFT_LENGTH_MAX = 1 << 24 };

struct fft_options {
    uint32_t length; /* 2 …; any, powers of two are fastest */
    enum fft_window window;
    bool single; /* precision */
    bool pairs;  /* samples are complex */
};
struct fft;
int fft_new(const struct fft_options *options, struct fft **ret); /* -ENOMEM */
void fft_free(struct fft *fft);                                   /* NULL is allowed */
uint32_t fft_bins(const struct fft_options *options);

/* Adds the power spectrum of `length` samples (complex: pairs) that begin with number `first` of those at data, which
 * are of type `element` (enum weir_element), to the `bins` at `into`. */
void fft_add_power(struct fft *fft, uint8_t element, const void *data, size_t first, double *into);

/* The window's value at sample n of `length`; periodic, as for spectra. */
double fft_window_value(enum fft_window window, uint32_t length, uint32_t n);
#endif
