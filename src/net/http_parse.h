/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.1 messages (RFC 9112) as bytes: heads of requests and replies, and the framing of bodies. Pure: no socket, no
 * clock, no allocation. Strict, because what two programs read differently is how one smuggles past the other: lines
 * end with CR LF, names are tokens, there is no folding, a length is digits and there is one, chunked is the only
 * transfer coding and never comes with a length.
 *
 *     http_head_start(&head, HTTP_REPLY, &limits);
 *     while ((size = http_head_parse(&head, bytes, have)) == 0)       // 0: the head has not ended yet
 *         have += read more behind `bytes`;                           // which may move: the head holds offsets
 *     http_body_start(&body, &head, &limits);
 *     while (!body.done)
 *         used = http_body_feed(&body, bytes, have, &data, &data_size);   // data lies within bytes
 *
 * A negative result means that the message must not be used, nor its connection again; `fault` says what is wrong.
 */
#ifndef NET_HTTP_PARSE_H
#define NET_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_FIELDS_MOST = 100,          /* header fields of a head; and of a trailer */
    HTTP_HEAD_MOST = 32 * 1024,      /* default limit of a head in bytes */
    HTTP_CHUNK_LINE_MOST = 1024,     /* size and extensions of one chunk */
    HTTP_TRAILER_MOST = 8 * 1024,    /* bytes behind the last chunk */
    HTTP_METHOD_MOST = 24,           /* characters */
    HTTP_BODY_MOST = 8 * 1024 * 1024 /* default limit of a body in bytes */
};

enum http_kind { HTTP_REQUEST, HTTP_REPLY };

/* What is wrong with a message; http_fault_words says it to people. */
enum http_fault {
    HTTP_FAULT_NONE,
    HTTP_FAULT_START_LINE,
    HTTP_FAULT_VERSION,
    HTTP_FAULT_STATUS,
    HTTP_FAULT_METHOD,
    HTTP_FAULT_TARGET,
    HTTP_FAULT_HOST,
    HTTP_FAULT_LINE_END,
    HTTP_FAULT_CONTROL,
    HTTP_FAULT_FIELD_NAME,
    HTTP_FAULT_FOLDED,
    HTTP_FAULT_HEAD_SIZE,
    HTTP_FAULT_FIELD_COUNT,
    HTTP_FAULT_LENGTH,
    HTTP_FAULT_LENGTH_TWICE,
    HTTP_FAULT_LENGTH_AND_CHUNKED,
    HTTP_FAULT_CODING,
    HTTP_FAULT_CHUNK_SIZE,
    HTTP_FAULT_CHUNK_LINE,
    HTTP_FAULT_CHUNK_END,
    HTTP_FAULT_TRAILER,
    HTTP_FAULT_BODY_SIZE,
    HTTP_FAULT_CUT_HEAD,
    HTTP_FAULT_CUT_LENGTH,
    HTTP_FAULT_CUT_CHUNK,
    HTTP_FAULTS
};
/* "a line ends with LF alone, not with CR LF"; static. */
const char *http_fault_words(enum http_fault fault);

struct http_limits {
    uint32_t head_most; /* bytes; 0: HTTP_HEAD_MOST */
    uint64_t body_most; /* bytes; 0: HTTP_BODY_MOST */
};

/* A part of the head's bytes, by offset. */
struct http_slice {
    uint32_t at, length;
};
struct http_field {
    struct http_slice name, value; /* the value without blanks around it */
};

/* How the end of a body is found. */
enum http_framing { HTTP_NO_BODY, HTTP_LENGTH, HTTP_CHUNKED, HTTP_UNTIL_CLOSE };

struct http_head {
    enum http_kind kind;
    enum http_fault fault;
    struct http_slice method, target; /* of a request */
    int status;                       /* of a reply: 100 to 999 */
    struct http_slice reason;
    int minor; /* HTTP/1.minor: 0 or 1 */
    /* Valid once the head is complete. */
    enum http_framing framing; /* of a reply: as for GET; the caller knows whether it asked with HEAD */
    uint64_t length;           /* HTTP_LENGTH; also of a reply to HEAD or with 304, whose body is not there */
    bool has_length;
    bool keep_alive;      /* the connection may be used again after the body */
    bool expect_continue; /* the client waits for "100 Continue" before its body */
    uint32_t size;        /* bytes, with the empty line */
    uint32_t count;
    /* private */
    uint32_t head_most, next, scanned;
    bool started, chunked, close, keep, has_host;
    struct http_field fields[HTTP_FIELDS_MOST];
};

/* limits NULL: defaults. */
void http_head_start(struct http_head *head, enum http_kind kind, const struct http_limits *limits);
/* `bytes` are all that has come of this message so far. Returns the size of the head, 0: it has not ended yet, or
 * -EBADMSG and `fault`. A fault is found in the line in which it is, without waiting for the rest. */
int64_t http_head_parse(struct http_head *head, const char *bytes, size_t size);
/* The first field of that name, in any case of letters; NULL: there is none. */
const struct http_field *http_head_find(const struct http_head *head, const char *bytes, const char *name);
/* True when the comma-separated list in `value` has this word, in any case of letters. */
bool http_list_has(const char *value, size_t length, const char *word);

struct http_body {
    enum http_framing framing;
    enum http_fault fault;
    bool done;
    uint64_t taken; /* bytes of content so far */
    /* private */
    uint64_t left, body_most;
    uint32_t state, digits, line, lines;
};

/* limits NULL: defaults. `no_body`: a reply to HEAD. -EMSGSIZE: its length is over the limit already. */
int http_body_start(struct http_body *body, const struct http_head *head, bool no_body,
                    const struct http_limits *limits);
/* Takes from `bytes`, which follow what was taken before; returns how many, and in *ret_data the piece of content in
 * them (size 0: none in this step). Call again until it takes nothing, or `done`. -EBADMSG or -EMSGSIZE and `fault`. */
int64_t http_body_feed(struct http_body *body, const char *bytes, size_t size, const char **ret_data,
                       size_t *ret_data_size);
/* The connection has ended: 0 when the body may end here, else -EBADMSG and `fault`. */
int http_body_end(struct http_body *body);

#endif
