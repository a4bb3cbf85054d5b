/* SPDX-License-Identifier: MIT */
/* Private to codec/: binary frames, byte by byte in docs/frame.md. */
#ifndef CODEC_FRAME_H
#define CODEC_FRAME_H
#include "codec/codec.h"

enum { FRAME_VERSION = 1, FRAME_LINE = 64, FRAME_COLUMN = 32, FRAME_HEADER_MAX = 512 << 10 };
#define FRAME_SIZE_MAX (UINT64_C(1) << 30)
#define FRAME_MAGIC "\x89WEIR\n\x1a\n"

/* The first 64 bytes; all numbers are little-endian. */
struct frame_head {
    char magic[8];
    uint16_t version, columns;
    uint32_t header_size; /* these bytes and the columns' descriptions, a multiple of 64 */
    uint64_t size;        /* of the frame, a multiple of 64 */
    uint32_t rows;
    int32_t time, key; /* columns, or -1 */
    uint32_t body_crc, header_crc;
    uint8_t reserved[20];
};
_Static_assert(sizeof(struct frame_head) == FRAME_LINE, "as documented");

/* A column's description: this, then its name, then zeros up to a multiple of 8. */
struct frame_column {
    uint8_t type, element;
    uint16_t name_length;
    uint32_t elements;
    uint64_t offset, size; /* of its data, from the frame's beginning */
    uint32_t strings;      /* symbols: how many the frame has of them */
    uint32_t reserved;
};
_Static_assert(sizeof(struct frame_column) == FRAME_COLUMN, "as documented");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames are read in place");

enum frame_found {
    FRAME_GOOD,    /* a whole frame with a good header; its body was not looked at */
    FRAME_BAD,     /* bytes that are no frame, up to where one begins or the data ends */
    FRAME_PARTIAL, /* the data ends inside of what may be a frame: read more */
};
/* What is at the beginning of data? *ret_size: its bytes. `whole`: nothing follows the data, so nothing is partial. */
enum frame_found frame_find(const char *data, size_t size, bool whole, struct frame_head *ret, size_t *ret_size);
/* Does data begin with a good header, whether or not the frame is all there? */
bool frame_describes(const char *data, size_t size, struct frame_head *ret);
bool frame_body_good(const char *frame, const struct frame_head *head);
/* The description at *at, which is moved behind it; the header is good. Returns its name (not terminated). */
const char *frame_column_next(const char *frame, size_t *at, struct frame_column *ret);
uint32_t frame_header_crc(const char *frame, size_t header_size);
/* Bytes of one row of a column; texts 8, symbols 4. */
size_t frame_width(const struct frame_column *column);

size_t frame_cut(const struct codec_read_options *options, const char *data, size_t size);

#endif
