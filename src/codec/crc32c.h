/* SPDX-License-Identifier: MIT */
/* CRC-32C (Castagnoli; reflected polynomial 0x82f63b78), as iSCSI, ext4 and others have it: of "123456789" it is
 * 0xe3069283. */
#ifndef CODEC_CRC32C_H
#define CODEC_CRC32C_H
#include <stddef.h>
#include <stdint.h>

/* Of what was covered before (0: nothing) and then these bytes. */
uint32_t crc32c(uint32_t before, const void *data, size_t size);
/* The same without the processor's instruction; for tests. */
uint32_t crc32c_by_table(uint32_t before, const void *data, size_t size);

#endif
