/* SPDX-License-Identifier: MIT */
/* Line protocol: any bytes are rows or refusals, and the same ones however they are cut into blocks. */
#include "codec_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_codec(CODEC_INFLUX, data, size);
}
