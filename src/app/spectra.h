/* SPDX-License-Identifier: MIT */
/* Percentile spectra of what a command measured: in the terminal, as a picture, as HdrHistogram's text. */
#ifndef APP_SPECTRA_H
#define APP_SPECTRA_H
#include "app/app.h"
#include "measure/plot.h"

struct spectra {
    bool plot;
    const char *svg, *hgrm; /* files; NULL: not wanted */
};

/* Rows of an option table; `spectra` is a struct spectra *. */
#define SPECTRA_OPTIONS(spectra)                                                                                       \
    {"plot", 0, NULL, "draw how times are distributed, as percentiles", .flag = &(spectra)->plot},                     \
    {                                                                                                                  \
        "svg", 0, "FILE", "the same as a picture; - is stdout", .value = &(spectra)->svg                               \
    }
#define SPECTRA_HGRM_OPTION(spectra)                                                                                   \
    {                                                                                                                  \
        "hgrm", 0, "FILE", "the latency as HdrHistogram's percentile text; - is stdout", .value = &(spectra)->hgrm     \
    }

/* stdout is for one thing, and files can be written. -1: go on; else the exit code, and the mistake was explained. */
int spectra_check(const struct spectra *spectra, bool json);

/* What was asked for: the plot goes to `words`, the files say nothing. `latency` is what --hgrm writes; may be NULL.
 * Returns an exit code; failures were explained. */
int spectra_show(const struct spectra *spectra, const char *title, const struct plot_histogram *histograms,
                 uint32_t count, const struct histogram *latency, int words);

#endif
