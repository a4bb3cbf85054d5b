/* SPDX-License-Identifier: MIT */
/* What weir spead recv and weir spead inspect show of heaps, descriptors and losses. */
#ifndef APP_SPEAD_SHOW_H
#define APP_SPEAD_SHOW_H
#include "base/buffer.h"
#include "net/spead_book.h"

/* "heap 7: 8000 bytes in 6 packets, 64-48, from 127.0.0.1:40312", and a line for each item unless `brief`. */
void spead_show_heap(struct weir_buffer *out, const struct weir_spead_heap *heap, const struct spead_book *book,
                     const char *source, bool brief);
/* A table of all that the book has. */
void spead_show_book(struct weir_buffer *out, const struct spead_book *book);
/* What was received, and every kind of loss that there was, by source where there are several. */
void spead_show_statistics(struct weir_buffer *out, struct weir_spead_receiver *receiver);
/* The same as a JSON object. `interrupted`: receiving ended by a signal. */
void spead_show_statistics_json(struct weir_buffer *out, struct weir_spead_receiver *receiver, bool interrupted);
/* Writes what has gathered to the stream and empties the buffer; false: out of memory, or the stream is closed. */
bool spead_show_flush(struct weir_buffer *out, void *stream);

#endif
