/* SPDX-License-Identifier: MIT */
/* What weir spead recv, inspect and bench share: from operands to a receiver, and heaps until Ctrl-C. */
#ifndef APP_SPEAD_LISTEN_H
#define APP_SPEAD_LISTEN_H
#include <weir/spead.h>

#include "app/signals.h"

struct spead_listen {
    struct weir_spead_receive_options options;
    bool tcp;
    const char *interface, *only_from; /* of multicast */
    struct weir_spead_receiver *receiver;
    struct signals_count signals;
};
/* Opens the operands (captures, or places to listen at) and starts. Says what is wrong: returns -1, or an exit code.
 * Ctrl-C and SIGTERM are blocked from here on, and looked for by spead_listen_next. */
int spead_listen_start(struct spead_listen *listen, char **operands, int count);
/* The next heap; waits. The first Ctrl-C ends the receiving, the second the program. -EPIPE: all is over. */
int spead_listen_next(struct spead_listen *listen, struct weir_spead_heap **ret);
/* Looks whether Ctrl-C was pressed. */
void spead_listen_interrupts(struct spead_listen *listen);
/* The exit code: APP_OK, or the receiver's failure explained. */
int spead_listen_result(struct spead_listen *listen);
/* Frees the receiver; Ctrl-C does again what it did (signals_settle). */
void spead_listen_end(struct spead_listen *listen);
/* Is this the name of a capture rather than of a place to listen at? */
bool spead_listen_is_file(const char *operand);
#endif
