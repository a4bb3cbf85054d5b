/* SPDX-License-Identifier: MIT */
#include "app/spectra.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/files.h"
#include "base/buffer.h"

enum { COLUMNS_OTHERWISE = 80, COLUMNS_MOST = 120, ROWS = 16 };

static bool is_stdout(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

int spectra_check(const struct spectra *spectra, bool json)
{
    if (json + is_stdout(spectra->svg) + is_stdout(spectra->hgrm) <= 1) {
        int code = files_check("--svg", spectra->svg);
        return code < 0 ? files_check("--hgrm", spectra->hgrm) : code;
    }
    app_say("only one of --json, --svg - and --hgrm - can be on stdout: give the others a file");
    return APP_USAGE;
}

static int draw(const char *title, const struct plot_histogram *histograms, uint32_t count, int words)
{
    struct weir_buffer out = {0};
    FILE *file = words == STDOUT_FILENO ? stdout : stderr;
    buffer_string(&out, "\n");
    int columns = app_columns(words, COLUMNS_OTHERWISE);
    plot_spectrum_text(title, histograms, count, columns < COLUMNS_MOST ? columns : COLUMNS_MOST, ROWS, &out);
    return app_put(file, &out);
}

int spectra_show(const struct spectra *spectra, const char *title, const struct plot_histogram *histograms,
                 uint32_t count, const struct histogram *latency, int words)
{
    struct weir_buffer text = {0};
    int code = spectra->plot ? draw(title, histograms, count, words) : APP_OK;
    if (spectra->svg) {
        plot_spectrum_svg(title, histograms, count, &text);
        int saved = files_save(spectra->svg, &text);
        code = code ? code : saved;
    }
    if (spectra->hgrm && latency) {
        plot_hgrm(latency, &text);
        int saved = files_save(spectra->hgrm, &text);
        code = code ? code : saved;
    }
    return code;
}
