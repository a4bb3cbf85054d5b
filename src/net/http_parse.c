/* SPDX-License-Identifier: MIT */
#include "net/http_parse.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

const char *http_fault_words(enum http_fault fault)
{
    static const char *const words[HTTP_FAULTS] = {
        [HTTP_FAULT_NONE] = "nothing is wrong",
        [HTTP_FAULT_START_LINE] = "it does not begin like HTTP/1.1",
        [HTTP_FAULT_VERSION] = "its version is neither HTTP/1.0 nor HTTP/1.1",
        [HTTP_FAULT_STATUS] = "its status is not a number of three digits",
        [HTTP_FAULT_METHOD] = "its method is not a word",
        [HTTP_FAULT_TARGET] = "its target is not a path or URL",
        [HTTP_FAULT_HOST] = "it has no Host header, or several",
        [HTTP_FAULT_LINE_END] = "a line of its head ends with LF alone, not with CR LF",
        [HTTP_FAULT_CONTROL] = "its head contains a control character",
        [HTTP_FAULT_FIELD_NAME] = "a header's name is empty, has a blank in it or no colon behind it",
        [HTTP_FAULT_FOLDED] = "a header goes on in the next line (obsolete folding)",
        [HTTP_FAULT_HEAD_SIZE] = "its head is larger than the limit",
        [HTTP_FAULT_FIELD_COUNT] = "it has more than 100 headers",
        [HTTP_FAULT_LENGTH] = "its Content-Length is not a number",
        [HTTP_FAULT_LENGTH_TWICE] = "it has two Content-Lengths that differ",
        [HTTP_FAULT_LENGTH_AND_CHUNKED] = "it has both a Content-Length and a Transfer-Encoding",
        [HTTP_FAULT_CODING] = "its Transfer-Encoding is not just \"chunked\"",
        [HTTP_FAULT_CHUNK_SIZE] = "a chunk's size is not a hexadecimal number, or too large",
        [HTTP_FAULT_CHUNK_LINE] = "a chunk's size line is malformed or longer than the limit",
        [HTTP_FAULT_CHUNK_END] = "a chunk does not end where its size says",
        [HTTP_FAULT_TRAILER] = "its trailer is malformed or larger than the limit",
        [HTTP_FAULT_BODY_SIZE] = "its body is larger than the limit",
        [HTTP_FAULT_CUT_HEAD] = "the connection ended within the head",
        [HTTP_FAULT_CUT_LENGTH] = "the connection ended before the body had its Content-Length",
        [HTTP_FAULT_CUT_CHUNK] = "the connection ended before the last chunk",
    };
    return fault < HTTP_FAULTS ? words[fault] : "an unknown fault";
}

/* ---- Characters -------------------------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* RFC 9110, 5.6.2. */
static bool is_token(char c)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    char low = (char)(c | 32);
    return (low >= 'a' && low <= 'z') || is_digit(c) || (c != 0 && strchr(marks, c));
}

static bool is_token_text(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!is_token(text[i]))
            return false;
    }
    return length > 0;
}

/* What may stand in a value or reason: no control character but the tab. */
static bool is_value_byte(char c)
{
    return ((unsigned char)c >= 0x20 && c != 0x7f) || c == '\t';
}

static bool is_value_text(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!is_value_byte(text[i]))
            return false;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool http_list_has(const char *value, size_t length, const char *word)
{
    size_t wanted = strlen(word);
    for (size_t at = 0; at < length;) {
        size_t end = at;
        while (end < length && value[end] != ',')
            end++;
        size_t from = at, to = end;
        while (from < to && is_blank(value[from]))
            from++;
        while (to > from && is_blank(value[to - 1]))
            to--;
        if (to - from == wanted && strncasecmp(value + from, word, wanted) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

/* ---- Heads ------------------------------------------------------------------------------------------------------- */

void http_head_start(struct http_head *head, enum http_kind kind, const struct http_limits *limits)
{
    memset(head, 0, offsetof(struct http_head, fields));
    head->kind = kind;
    head->head_most = limits && limits->head_most ? limits->head_most : HTTP_HEAD_MOST;
}

static int fail(struct http_head *head, enum http_fault fault)
{
    head->fault = fault;
    return -EBADMSG;
}

/* "HTTP/1.0" or "HTTP/1.1" at text. */
static int parse_version(struct http_head *head, const char *text, size_t length)
{
    if (length < 8 || memcmp(text, "HTTP/", 5) != 0)
        return fail(head, HTTP_FAULT_START_LINE);
    if (text[5] != '1' || text[6] != '.' || (text[7] != '0' && text[7] != '1'))
        return fail(head, HTTP_FAULT_VERSION);
    head->minor = text[7] - '0';
    return 0;
}

/* HTTP/1.1 200 OK; the reason, and the blank before an empty one, may be left out. */
static int parse_status_line(struct http_head *head, const char *bytes, uint32_t at, uint32_t end)
{
    const char *line = bytes + at;
    uint32_t length = end - at;
    int error = parse_version(head, line, length);
    if (error)
        return error;
    if (length < 12 || line[8] != ' ')
        return fail(head, HTTP_FAULT_STATUS);
    if (line[9] < '1' || !is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11]))
        return fail(head, HTTP_FAULT_STATUS);
    if (length > 12 && line[12] != ' ')
        return fail(head, HTTP_FAULT_STATUS);
    head->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    uint32_t reason = length > 12 ? at + 13 : end;
    if (!is_value_text(bytes + reason, end - reason))
        return fail(head, HTTP_FAULT_CONTROL);
    head->reason = (struct http_slice){reason, end - reason};
    return 0;
}

/* GET /path HTTP/1.1 */
static int parse_request_line(struct http_head *head, const char *bytes, uint32_t at, uint32_t end)
{
    const char *line = bytes + at, *blank = memchr(line, ' ', end - at);
    if (!blank || blank - line > HTTP_METHOD_MOST || !is_token_text(line, (size_t)(blank - line)))
        return fail(head, HTTP_FAULT_METHOD);
    head->method = (struct http_slice){at, (uint32_t)(blank - line)};
    uint32_t target = (uint32_t)(blank + 1 - bytes), after = target;
    while (after < end && (unsigned char)bytes[after] > 0x20 && bytes[after] != 0x7f)
        after++;
    head->target = (struct http_slice){target, after - target};
    bool known = after > target && (bytes[target] == '/' || (after - target == 1 && bytes[target] == '*') ||
                                    (after - target > 7 && strncasecmp(bytes + target, "http://", 7) == 0));
    if (!known || after >= end || bytes[after] != ' ')
        return fail(head, HTTP_FAULT_TARGET);
    if (end - after - 1 != 8)
        return fail(head, HTTP_FAULT_START_LINE);
    return parse_version(head, bytes + after + 1, end - after - 1);
}

static int take_length(struct http_head *head, const char *value, uint32_t length)
{
    uint64_t number = 0;
    if (length == 0 || length > 19)
        return fail(head, HTTP_FAULT_LENGTH);
    for (uint32_t i = 0; i < length; i++) {
        if (!is_digit(value[i]))
            return fail(head, HTTP_FAULT_LENGTH);
        number = number * 10 + (uint64_t)(value[i] - '0');
    }
    if (number > INT64_MAX)
        return fail(head, HTTP_FAULT_LENGTH);
    if (head->has_length && head->length != number)
        return fail(head, HTTP_FAULT_LENGTH_TWICE);
    head->length = number;
    head->has_length = true;
    return 0;
}

static bool is_name(const char *name, uint32_t length, const char *wanted)
{
    return strlen(wanted) == length && strncasecmp(name, wanted, length) == 0;
}

/* The fields that decide where the message ends and what becomes of the connection. */
static int take_meaning(struct http_head *head, const char *name, uint32_t name_length, const char *value,
                        uint32_t length)
{
    if (is_name(name, name_length, "content-length"))
        return take_length(head, value, length);
    if (is_name(name, name_length, "transfer-encoding")) {
        /* One coding, once: others would have to be undone, and nobody sends them. Not before HTTP/1.1. */
        if (head->chunked || head->minor == 0 || !is_name(value, length, "chunked"))
            return fail(head, HTTP_FAULT_CODING);
        head->chunked = true;
    } else if (is_name(name, name_length, "connection")) {
        head->close |= http_list_has(value, length, "close");
        head->keep |= http_list_has(value, length, "keep-alive");
    } else if (is_name(name, name_length, "expect")) {
        head->expect_continue |= is_name(value, length, "100-continue");
    } else if (is_name(name, name_length, "host") && head->kind == HTTP_REQUEST) {
        if (head->has_host)
            return fail(head, HTTP_FAULT_HOST);
        head->has_host = true;
    }
    return 0;
}

static int parse_field(struct http_head *head, const char *bytes, uint32_t at, uint32_t end)
{
    if (is_blank(bytes[at]))
        return fail(head, head->count ? HTTP_FAULT_FOLDED : HTTP_FAULT_FIELD_NAME);
    if (head->count == HTTP_FIELDS_MOST)
        return fail(head, HTTP_FAULT_FIELD_COUNT);
    const char *colon = memchr(bytes + at, ':', end - at);
    if (!colon || !is_token_text(bytes + at, (size_t)(colon - bytes) - at))
        return fail(head, HTTP_FAULT_FIELD_NAME);
    uint32_t name_end = (uint32_t)(colon - bytes), from = name_end + 1, to = end;
    while (from < to && is_blank(bytes[from]))
        from++;
    while (to > from && is_blank(bytes[to - 1]))
        to--;
    if (!is_value_text(bytes + from, to - from))
        return fail(head, HTTP_FAULT_CONTROL);
    head->fields[head->count++] = (struct http_field){{at, name_end - at}, {from, to - from}};
    return take_meaning(head, bytes + at, name_end - at, bytes + from, to - from);
}

/* The empty line has come: what the fields mean together. */
static int finish_head(struct http_head *head)
{
    if (head->chunked && head->has_length)
        return fail(head, HTTP_FAULT_LENGTH_AND_CHUNKED);
    if (head->kind == HTTP_REQUEST && head->minor == 1 && !head->has_host)
        return fail(head, HTTP_FAULT_HOST);
    bool bodiless = head->kind == HTTP_REPLY && (head->status < 200 || head->status == 204 || head->status == 304);
    if (bodiless)
        head->framing = HTTP_NO_BODY;
    else if (head->chunked)
        head->framing = HTTP_CHUNKED;
    else if (head->has_length)
        head->framing = HTTP_LENGTH;
    else
        head->framing = head->kind == HTTP_REPLY ? HTTP_UNTIL_CLOSE : HTTP_NO_BODY;
    head->keep_alive = !head->close && (head->minor == 1 || head->keep) && head->framing != HTTP_UNTIL_CLOSE;
    return 0;
}

/* The line from `at`, whose CR is at `end`. */
static int parse_line(struct http_head *head, const char *bytes, uint32_t at, uint32_t end)
{
    if (head->started)
        return parse_field(head, bytes, at, end);
    head->started = true;
    return head->kind == HTTP_REPLY ? parse_status_line(head, bytes, at, end)
                                    : parse_request_line(head, bytes, at, end);
}

/* What cannot become a status line is refused at its first bytes: a peer that is no web server may never send LF. */
static int check_start(struct http_head *head, const char *bytes, size_t size)
{
    if (head->started || head->kind != HTTP_REPLY)
        return 0;
    return memcmp(bytes, "HTTP/", size < 5 ? size : 5) == 0 ? 0 : fail(head, HTTP_FAULT_START_LINE);
}

int64_t http_head_parse(struct http_head *head, const char *bytes, size_t size)
{
    if (head->fault)
        return -EBADMSG;
    size_t limit = size < head->head_most ? size : head->head_most;
    int error = check_start(head, bytes, limit);
    while (!error && head->scanned < limit) {
        const char *line_feed = memchr(bytes + head->scanned, '\n', limit - head->scanned);
        if (!line_feed) {
            head->scanned = (uint32_t)limit;
            break;
        }
        uint32_t at = head->next, end = (uint32_t)(line_feed - bytes);
        head->next = head->scanned = end + 1;
        if (end == at || bytes[end - 1] != '\r')
            return fail(head, HTTP_FAULT_LINE_END);
        if (end - 1 == at && head->started) {
            head->size = end + 1;
            error = finish_head(head);
            return error ? error : (int64_t)head->size;
        }
        error = parse_line(head, bytes, at, end - 1);
    }
    if (!error && size >= head->head_most)
        error = fail(head, HTTP_FAULT_HEAD_SIZE);
    return error;
}

const struct http_field *http_head_find(const struct http_head *head, const char *bytes, const char *name)
{
    for (uint32_t i = 0; i < head->count; i++) {
        const struct http_field *field = &head->fields[i];
        if (is_name(bytes + field->name.at, field->name.length, name))
            return field;
    }
    return NULL;
}

/* ---- Bodies ------------------------------------------------------------------------------------------------------ */

enum chunk_state {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    TRAILER_START,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    TRAILER_END_LF,
};

static int fail_body(struct http_body *body, enum http_fault fault)
{
    body->fault = fault;
    return fault == HTTP_FAULT_BODY_SIZE ? -EMSGSIZE : -EBADMSG;
}

int http_body_start(struct http_body *body, const struct http_head *head, bool no_body,
                    const struct http_limits *limits)
{
    *body = (struct http_body){.framing = no_body ? HTTP_NO_BODY : head->framing,
                               .left = head->length,
                               .body_most = limits && limits->body_most ? limits->body_most : HTTP_BODY_MOST};
    if (body->framing == HTTP_LENGTH && body->left > body->body_most)
        return fail_body(body, HTTP_FAULT_BODY_SIZE);
    body->done = body->framing == HTTP_NO_BODY || (body->framing == HTTP_LENGTH && body->left == 0);
    return 0;
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    char low = (char)(c | 32);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* One byte of a chunk's size: digits, then blanks and extensions or the end. */
static int feed_size(struct http_body *body, char c)
{
    int digit = hex_digit(c);
    if (digit >= 0) {
        if (body->digits++ == 15) /* 2^60 is beyond any limit */
            return fail_body(body, HTTP_FAULT_CHUNK_SIZE);
        body->left = body->left * 16 + (uint64_t)digit;
        return 0;
    }
    if (body->digits == 0)
        return fail_body(body, HTTP_FAULT_CHUNK_SIZE);
    if (c == '\r')
        body->state = CHUNK_SIZE_LF;
    else if (c == ';' || is_blank(c))
        body->state = CHUNK_EXTENSION;
    else
        return fail_body(body, HTTP_FAULT_CHUNK_SIZE);
    return 0;
}

static int end_size_line(struct http_body *body)
{
    body->line = 0;
    body->digits = 0;
    if (body->left == 0) {
        body->state = TRAILER_START;
        return 0;
    }
    if (body->left > body->body_most || body->taken > body->body_most - body->left)
        return fail_body(body, HTTP_FAULT_BODY_SIZE);
    body->state = CHUNK_DATA;
    return 0;
}

/* One byte around the chunks' data. */
static int feed_chunk(struct http_body *body, char c)
{
    switch ((enum chunk_state)body->state) {
    case CHUNK_SIZE:
        return feed_size(body, c);
    case CHUNK_EXTENSION:
        if (c == '\r')
            body->state = CHUNK_SIZE_LF;
        else if (!is_value_byte(c))
            return fail_body(body, HTTP_FAULT_CHUNK_LINE);
        return 0;
    case CHUNK_SIZE_LF:
        return c == '\n' ? end_size_line(body) : fail_body(body, HTTP_FAULT_CHUNK_LINE);
    case CHUNK_DATA_CR:
        body->state = CHUNK_DATA_LF;
        return c == '\r' ? 0 : fail_body(body, HTTP_FAULT_CHUNK_END);
    case CHUNK_DATA_LF:
        body->state = CHUNK_SIZE;
        body->line = 0;
        return c == '\n' ? 0 : fail_body(body, HTTP_FAULT_CHUNK_END);
    default:
        return fail_body(body, HTTP_FAULT_CHUNK_LINE);
    }
}

/* One byte behind the last chunk: fields, which are checked and dropped, and the empty line. */
static int feed_trailer(struct http_body *body, char c)
{
    switch ((enum chunk_state)body->state) {
    case TRAILER_START:
        body->state = c == '\r' ? TRAILER_END_LF : TRAILER_NAME;
        return c == '\r' || (is_token(c) && body->lines++ < HTTP_FIELDS_MOST) ? 0 : fail_body(body, HTTP_FAULT_TRAILER);
    case TRAILER_NAME:
        if (c == ':')
            body->state = TRAILER_VALUE;
        else if (!is_token(c))
            return fail_body(body, HTTP_FAULT_TRAILER);
        return 0;
    case TRAILER_VALUE:
        if (c == '\r')
            body->state = TRAILER_LF;
        else if (!is_value_byte(c))
            return fail_body(body, HTTP_FAULT_TRAILER);
        return 0;
    case TRAILER_LF:
        body->state = TRAILER_START;
        return c == '\n' ? 0 : fail_body(body, HTTP_FAULT_TRAILER);
    default:
        body->done = true;
        return c == '\n' ? 0 : fail_body(body, HTTP_FAULT_TRAILER);
    }
}

static int64_t feed_data(struct http_body *body, const char *bytes, size_t size, const char **ret_data,
                         size_t *ret_data_size)
{
    size_t take = size < body->left ? size : (size_t)body->left;
    *ret_data = bytes;
    *ret_data_size = take;
    body->left -= take;
    body->taken += take;
    return (int64_t)take;
}

static int64_t feed_chunked(struct http_body *body, const char *bytes, size_t size, const char **ret_data,
                            size_t *ret_data_size)
{
    size_t at = 0;
    int error = 0;
    while (at < size && !body->done && error == 0) {
        if (body->state == CHUNK_DATA) {
            int64_t took = feed_data(body, bytes + at, size - at, ret_data, ret_data_size);
            if (body->left == 0)
                body->state = CHUNK_DATA_CR;
            return (int64_t)at + took;
        }
        bool trailer = body->state >= TRAILER_START;
        if (++body->line > (trailer ? HTTP_TRAILER_MOST : HTTP_CHUNK_LINE_MOST))
            return fail_body(body, trailer ? HTTP_FAULT_TRAILER : HTTP_FAULT_CHUNK_LINE);
        error = trailer ? feed_trailer(body, bytes[at++]) : feed_chunk(body, bytes[at++]);
    }
    return error ? error : (int64_t)at;
}

int64_t http_body_feed(struct http_body *body, const char *bytes, size_t size, const char **ret_data,
                       size_t *ret_data_size)
{
    *ret_data = bytes;
    *ret_data_size = 0;
    if (body->fault)
        return body->fault == HTTP_FAULT_BODY_SIZE ? -EMSGSIZE : -EBADMSG;
    if (body->done || size == 0)
        return 0;
    if (body->framing == HTTP_CHUNKED)
        return feed_chunked(body, bytes, size, ret_data, ret_data_size);
    if (body->framing == HTTP_UNTIL_CLOSE) {
        if (size > body->body_most - body->taken)
            return fail_body(body, HTTP_FAULT_BODY_SIZE);
        body->left = size;
        return feed_data(body, bytes, size, ret_data, ret_data_size);
    }
    int64_t took = feed_data(body, bytes, size, ret_data, ret_data_size);
    body->done = body->left == 0;
    return took;
}

int http_body_end(struct http_body *body)
{
    if (body->fault)
        return body->fault == HTTP_FAULT_BODY_SIZE ? -EMSGSIZE : -EBADMSG;
    if (body->framing == HTTP_UNTIL_CLOSE)
        body->done = true;
    if (body->done)
        return 0;
    return fail_body(body, body->framing == HTTP_CHUNKED ? HTTP_FAULT_CUT_CHUNK : HTTP_FAULT_CUT_LENGTH);
}
