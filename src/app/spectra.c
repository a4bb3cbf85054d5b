/* SPDX-License-Identifier: MIT */
#include "app/spectra.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
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

static int columns_of(int descriptor)
{
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return COLUMNS_OTHERWISE;
    return size.ws_col < COLUMNS_MOST ? size.ws_col : COLUMNS_MOST;
}

static int draw(const char *title, const struct plot_histogram *histograms, uint32_t count, int words)
{
    struct weir_buffer out = {0};
    FILE *file = words == STDOUT_FILENO ? stdout : stderr;
    buffer_string(&out, "\n");
    plot_spectrum_text(title, histograms, count, columns_of(words), ROWS, &out);
    bool failed = out.failed;
    if (failed)
        app_say("out of memory for the plot");
    else
        (void)fwrite(out.data, 1, out.size, file);
    (void)fflush(file);
    buffer_free(&out);
    return failed ? APP_FAILED : APP_OK;
}

static int save(const char *path, struct weir_buffer *text)
{
    int error = files_save(path, text);
    buffer_free(text);
    return error ? APP_FAILED : APP_OK;
}

int spectra_show(const struct spectra *spectra, const char *title, const struct plot_histogram *histograms,
                 uint32_t count, const struct histogram *latency, int words)
{
    struct weir_buffer text = {0};
    int code = spectra->plot ? draw(title, histograms, count, words) : APP_OK;
    if (spectra->svg) {
        plot_spectrum_svg(title, histograms, count, &text);
        int saved = save(spectra->svg, &text);
        code = code ? code : saved;
    }
    if (spectra->hgrm && latency) {
        plot_hgrm(latency, &text);
        int saved = save(spectra->hgrm, &text);
        code = code ? code : saved;
    }
    return code;
}
