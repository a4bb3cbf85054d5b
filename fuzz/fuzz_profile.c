/* SPDX-License-Identifier: MIT */
/* Saved profiles and measurements: what is read can be compared with itself, written again, and read as the same. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "measure/attribution.h"
#include "measure/microbench.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good)
        abort();
}

static bool near(double a, double b)
{
    return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-9 * fabs(a);
}

/* Bytes that are no UTF-8 are not written as they came. */
static bool plain(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text >= 0x80)
            return false;
    }
    return true;
}

static void try_profile(const char *text, size_t size)
{
    struct attribution *made = NULL, *again = NULL;
    struct weir_error error = {0};
    struct weir_buffer out = {0};
    bool same = false;
    if (attribution_read(text, size, &made, &error) < 0) {
        must(error.text[0] != '\0');
        return;
    }
    attribution_text_against(made, made, &same, &out);
    out.size = 0;
    attribution_json(made, made, &out);
    out.size = 0;
    attribution_json(made, NULL, &out);
    must(attribution_read(out.data, out.size, &again, &error) == 0);
    must(again->row_count == made->row_count && again->output_count == made->output_count);
    must(again->records == made->records || made->records > 1u << 30); /* written with 12 digits */
    for (uint32_t i = 0; i < made->row_count; i++) {
        must(near(made->rows[i].nanoseconds, again->rows[i].nanoseconds));
        must(made->rows[i].work == again->rows[i].work);
        must(!plain(made->rows[i].name) || strcmp(made->rows[i].name, again->rows[i].name) == 0);
    }
    attribution_free(made);
    attribution_free(again);
    buffer_free(&out);
}

static void try_measurements(const char *text, size_t size)
{
    struct microbench_set set, again;
    struct weir_error error = {0};
    struct weir_buffer out = {0};
    if (microbench_read(text, size, &set, &error) < 0) {
        must(error.text[0] != '\0');
        return;
    }
    const struct microbench_against against = {.name = "itself", .before = &set, .tolerance = 0.05};
    microbench_json(&set, &against, &out);
    for (uint32_t i = 0; i < set.count; i++) {
        microbench_text_row(&set.results[i], 20, &against, &out);
        microbench_text_row(&set.results[i], 20, NULL, &out);
    }
    microbench_text_machine(&set.machine, &out);
    microbench_text_pairs(&set, &out);
    out.size = 0;
    microbench_json(&set, NULL, &out);
    must(microbench_read(out.data, out.size, &again, &error) == 0);
    must(again.count == set.count);
    for (uint32_t i = 0; i < set.count; i++)
        must(near(again.results[i].time.median, set.results[i].time.median));
    microbench_set_free(&set);
    microbench_set_free(&again);
    buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size ? size : 1); /* exactly as long, so that a read past the end is seen */
    memcpy(text, data, size);
    try_profile(text, size);
    try_measurements(text, size);
    free(text);
    return 0;
}
