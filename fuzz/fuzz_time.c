/* SPDX-License-Identifier: MIT */
/*
 * Times as text: whatever parses must come back the same after being shown in every format. The first byte chooses the
 * format and the zone; with 0xff, what follows is a zone file instead.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/time_text.h"
#include "data/time_zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good) {
        abort();
    }
}

static void fuzz_zone_file(const uint8_t *data, size_t size)
{
    struct time_zone *zone = NULL;
    if (time_zone_parse(data, size, &zone) != 0) {
        return;
    }
    for (int64_t when = INT64_C(-9223372036); when <= INT64_C(9223372036); when += 86400 * 50) {
        int64_t back = time_zone_to_utc(zone, when + time_zone_offset(zone, when));
        check(back - when < 86400 * 10 && when - back < 86400 * 10);
    }
    time_zone_close(zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct time_zone east = {.first_offset = 3600};
    if (size == 0) {
        return 0;
    }
    if (data[0] == 0xff) {
        fuzz_zone_file(data + 1, size - 1);
        return 0;
    }
    enum time_format format = (enum time_format)(data[0] % (TIME_EPOCH_NS + 1));
    const struct time_zone *zone = data[0] & 0x80 ? &east : NULL;
    size_t length = size - 1;
    char *text = malloc(length ? length : 1); /* exactly as long, so that a read past the end is seen */
    int64_t ns = INT64_MIN;
    memcpy(text, data + 1, length);
    int error = time_parse(text, length, format, zone, &ns);
    free(text);
    check((error == 0) == (ns != INT64_MIN));
    if (error) {
        return 0;
    }
    for (int shown = TIME_AUTO; shown <= TIME_EPOCH_NS; shown++) {
        char out[TIME_TEXT_MAX];
        int64_t back = 0;
        size_t written = time_show(ns, (enum time_format)shown, out);
        check(written <= sizeof out);
        check(time_parse(out, written, (enum time_format)shown, NULL, &back) == 0 && back == ns);
    }
    return 0;
}
