/* SPDX-License-Identifier: MIT */
/*
 * Requests that go through libcurl: https, and proxies. Each request borrows a session: a multi handle with one easy
 * handle and the connections that those keep. libcurl says which descriptors and timer it waits for, the task waits for
 * them, and no two requests share anything: libcurl's multi interface grows faster than linearly with what is in it.
 *
 * Heads are written, and read, by our own code (http_message.c, http_parse.c): what a server answers means the same by
 * either way.
 */
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "async/context.h"
#include "base/memory.h"
#include "net/http_private.h"

enum { WATCHED_MOST = 8, SESSION_CONNECTIONS = 4 };

struct http_session {
    struct http_session *next;
    CURLM *multi;
    CURL *easy;
    struct pollfd watched[WATCHED_MOST];
    uint32_t watched_count;
    int64_t timer; /* weir_now; WEIR_NEVER: none */
    struct weir_context *context;
    uint16_t port;
    char host[HTTP_HOST_MOST + 1]; /* asked last */
    char words[CURL_ERROR_SIZE];
};

/* A request under way. */
struct transfer {
    struct http_call *call;
    struct http_session *session;
    struct weir_buffer message; /* the head of the request, as http_message.c writes it */
    char *url;                  /* without credentials */
    struct curl_slist *fields;
    bool head_done; /* the head of the reply has come, and was read */
    int error;      /* by our own judgement: the reply says which */
};

bool http_has_https(void)
{
    return true;
}

/* ---- Sessions -----------------------------------------------------------------------------------------------------
 */

static void start_library(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int note_socket(CURL *easy, curl_socket_t fd, int what, void *owner, void *ignored)
{
    struct http_session *session = owner;
    uint32_t i = 0;
    (void)easy;
    (void)ignored;
    while (i < session->watched_count && session->watched[i].fd != fd)
        i++;
    if (what == CURL_POLL_REMOVE) {
        if (i < session->watched_count)
            session->watched[i] = session->watched[--session->watched_count];
        return 0;
    }
    if (i == WATCHED_MOST)
        return -1;
    session->watched_count += i == session->watched_count;
    session->watched[i] = (struct pollfd){
        fd, (short)((what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0)), 0};
    return 0;
}

static int note_timer(CURLM *multi, long ms, void *owner)
{
    struct http_session *session = owner;
    (void)multi;
    session->timer = ms < 0 ? WEIR_NEVER : weir_now(session->context) + ms * INT64_C(1000000);
    return 0;
}

static void free_session(struct http_session *session)
{
    curl_easy_cleanup(session->easy);
    if (session->multi)
        curl_multi_cleanup(session->multi);
    memory_free(session);
}

static struct http_session *new_session(struct weir_context *context)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_library);
    struct http_session *session = memory_zeroed(1, sizeof *session);
    if (!session)
        return NULL;
    session->context = context;
    session->multi = curl_multi_init();
    session->easy = curl_easy_init();
    if (!session->multi || !session->easy) {
        free_session(session);
        return NULL;
    }
    curl_multi_setopt(session->multi, CURLMOPT_SOCKETFUNCTION, note_socket);
    curl_multi_setopt(session->multi, CURLMOPT_SOCKETDATA, session);
    curl_multi_setopt(session->multi, CURLMOPT_TIMERFUNCTION, note_timer);
    curl_multi_setopt(session->multi, CURLMOPT_TIMERDATA, session);
    curl_multi_setopt(session->multi, CURLMOPT_MAXCONNECTS, (long)SESSION_CONNECTIONS);
    return session;
}

static bool is_for(const struct http_session *session, const struct http_url *url)
{
    return session->port == url->port && strlen(session->host) == url->host.length &&
           strncasecmp(session->host, url->host.text, url->host.length) == 0;
}

/* One that has a connection to the host, or else a new one, while there may be more. */
static struct http_session *take_session(struct http_call *call)
{
    struct http_client *client = call->client;
    struct http_session **at = &client->sessions;
    while (*at && !is_for(*at, &call->url))
        at = &(*at)->next;
    if (!*at && client->session_count >= client->options.idle_most)
        at = &client->sessions; /* the one used last: what it is connected to is closed in its time */
    struct http_session *session = *at;
    if (session) {
        *at = session->next;
        client->session_count--;
    } else {
        session = new_session(call->context);
    }
    if (session) {
        session->context = call->context;
        session->timer = WEIR_NEVER;
        session->port = call->url.port;
        memcpy(session->host, call->url.host.text, call->url.host.length);
        session->host[call->url.host.length] = 0;
    }
    return session;
}

static void give_session(struct http_client *client, struct http_session *session)
{
    if (client->session_count >= client->options.idle_most) {
        free_session(session);
        return;
    }
    session->next = client->sessions;
    client->sessions = session;
    client->session_count++;
}

void http_curl_close_all(struct http_client *client)
{
    while (client->sessions) {
        struct http_session *session = client->sessions;
        client->sessions = session->next;
        free_session(session);
    }
    client->session_count = 0;
}

/* ---- The request --------------------------------------------------------------------------------------------------
 */

static bool add_field(struct transfer *transfer, const char *line)
{
    struct curl_slist *longer = curl_slist_append(transfer->fields, line);
    if (longer)
        transfer->fields = longer;
    return longer != NULL;
}

/* The lines of the message, but for the first and those that libcurl writes itself. */
static bool read_fields(struct transfer *transfer)
{
    char *at = transfer->message.data, *end;
    bool good = true, typed = false;
    for (at = strstr(at, "\r\n") + 2; good && (end = strstr(at, "\r\n")) && end > at; at = end + 2) {
        *end = 0;
        typed |= strncasecmp(at, "Content-Type:", 13) == 0;
        if (strncasecmp(at, "Content-Length:", 15) != 0)
            good = add_field(transfer, at);
        *end = '\r';
    }
    return good && (typed || add_field(transfer, "Content-Type:")) && add_field(transfer, "Expect:");
}

static int write_request(struct transfer *transfer)
{
    struct http_call *call = transfer->call;
    const struct http_url *url = &call->url;
    int error = http_message_write(call, &transfer->message);
    if (error < 0)
        return error;
    buffer_append(&transfer->message, "", 1);
    transfer->url = memory_format("%s://%s%.*s%s:%u%s%.*s", url->https ? "https" : "http", url->literal ? "[" : "",
                                  (int)url->host.length, url->host.text, url->literal ? "]" : "", url->port,
                                  url->target.length > 0 && url->target.text[0] == '/' ? "" : "/",
                                  (int)url->target.length, url->target.text);
    if (!transfer->url || transfer->message.failed || !read_fields(transfer))
        return http_fail(call->reply, HTTP_NO_MEMORY, -ENOMEM);
    return 0;
}

/* ---- The reply ----------------------------------------------------------------------------------------------------
 */

static size_t refuse(struct transfer *transfer, int error)
{
    transfer->error = error;
    return 0; /* not what was given: libcurl ends the transfer */
}

/* A line of a head: of an interim reply, of the reply, or of a trailer. */
static size_t take_head(char *data, size_t size, size_t count, void *owner)
{
    struct transfer *transfer = owner;
    struct http_reply *reply = transfer->call->reply;
    struct http_exchange *exchange = reply->exchange;
    const struct http_limits limits = {transfer->call->request->head_most, 0};
    size_t length = size * count;
    if (!reply->first_byte_ns)
        reply->first_byte_ns = weir_now(transfer->call->context);
    transfer->call->began = true;
    if (transfer->head_done && exchange->head.status >= 200)
        return length;
    if (transfer->head_done || exchange->bytes.size == 0) {
        exchange->bytes.size = 0;
        transfer->head_done = false;
        http_head_start(&exchange->head, HTTP_REPLY, &limits);
    }
    buffer_append(&exchange->bytes, data, length);
    if (exchange->bytes.failed)
        return refuse(transfer, http_fail(reply, HTTP_NO_MEMORY, -ENOMEM));
    int64_t got = http_head_parse(&exchange->head, exchange->bytes.data, exchange->bytes.size);
    if (got < 0)
        return refuse(transfer, http_fail_fault(reply, exchange->head.fault));
    transfer->head_done = got > 0;
    if (got > 0 && exchange->head.status == 101)
        return refuse(transfer, http_fail(reply, HTTP_UPGRADED, -EPROTO));
    return length;
}

static size_t take_body(char *data, size_t size, size_t count, void *owner)
{
    struct transfer *transfer = owner;
    struct http_reply *reply = transfer->call->reply;
    struct weir_buffer *bytes = &reply->exchange->bytes;
    size_t length = size * count;
    uint64_t most = transfer->call->request->body_most;
    if (!transfer->head_done)
        return refuse(transfer, http_fail_fault(reply, HTTP_FAULT_START_LINE));
    if (bytes->size - reply->exchange->head.size + length > (most ? most : HTTP_BODY_MOST))
        return refuse(transfer, http_fail_fault(reply, HTTP_FAULT_BODY_SIZE));
    buffer_append(bytes, data, length);
    if (bytes->failed)
        return refuse(transfer, http_fail(reply, HTTP_NO_MEMORY, -ENOMEM));
    return length;
}

/* ---- Outcomes -----------------------------------------------------------------------------------------------------
 */

static int fail_words(struct transfer *transfer, enum http_outcome outcome, int error)
{
    struct http_reply *reply = transfer->call->reply;
    snprintf(reply->detail, sizeof reply->detail, "%.*s", (int)sizeof reply->detail - 1, transfer->session->words);
    return http_fail(reply, outcome, error);
}

static int fail_connect(struct transfer *transfer)
{
    struct http_reply *reply = transfer->call->reply;
    long system = 0;
    if (transfer->call->client->options.proxy)
        return fail_words(transfer, HTTP_PROXY, -ECONNREFUSED);
    curl_easy_getinfo(transfer->session->easy, CURLINFO_OS_ERRNO, &system);
    if (system == ECONNREFUSED)
        return http_fail(reply, HTTP_REFUSED, -ECONNREFUSED);
    if (system == EHOSTUNREACH || system == ENETUNREACH)
        return http_fail(reply, HTTP_UNREACHABLE, -(int)system);
    return fail_words(transfer, HTTP_CONNECT_FAILED, system ? -(int)system : -ECONNABORTED);
}

/* The connection ended, or broke, before the reply did. */
static int fail_cut(struct transfer *transfer, bool broken)
{
    struct http_reply *reply = transfer->call->reply;
    const struct http_head *head = &reply->exchange->head;
    if (broken)
        return http_fail(reply, HTTP_RESET, -ECONNRESET);
    if (!transfer->call->began)
        return http_fail(reply, HTTP_NO_REPLY, -ECONNRESET);
    return http_fail_fault(reply, !transfer->head_done ? HTTP_FAULT_CUT_HEAD
                                  : head->chunked      ? HTTP_FAULT_CUT_CHUNK
                                                       : HTTP_FAULT_CUT_LENGTH);
}

static int judge(struct transfer *transfer, CURLcode code)
{
    struct http_reply *reply = transfer->call->reply;
    switch (code) {
    case CURLE_OK:
        return transfer->head_done ? 0 : http_fail(reply, HTTP_NO_REPLY, -ECONNRESET);
    case CURLE_COULDNT_RESOLVE_HOST:
        return http_fail(reply, HTTP_NO_SUCH_NAME, -ENXIO);
    case CURLE_COULDNT_CONNECT:
        return fail_connect(transfer);
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY:
        return fail_words(transfer, HTTP_PROXY, -EPROTO);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
        return fail_words(transfer, HTTP_CERTIFICATE, -EKEYREJECTED);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_USE_SSL_FAILED:
        return fail_words(transfer, HTTP_TLS, -EPROTO);
    case CURLE_GOT_NOTHING:
        return http_fail(reply, HTTP_NO_REPLY, -ECONNRESET);
    case CURLE_PARTIAL_FILE:
        return fail_cut(transfer, false);
    case CURLE_RECV_ERROR:
        /* A tunnel that a proxy did not open ends here, too. */
        return transfer->call->client->options.proxy && !transfer->call->began
                   ? fail_words(transfer, HTTP_PROXY, -EPROTO)
                   : fail_cut(transfer, true);
    case CURLE_SEND_ERROR:
        return fail_cut(transfer, true);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return http_fail_fault(reply, HTTP_FAULT_START_LINE);
    case CURLE_OUT_OF_MEMORY:
        return http_fail(reply, HTTP_NO_MEMORY, -ENOMEM);
    default: /* such as a body whose chunks are wrong */
        return fail_words(transfer, HTTP_MALFORMED, -EBADMSG);
    }
}

static int fail_late(struct transfer *transfer)
{
    struct http_call *call = transfer->call;
    CURL *easy = transfer->session->easy;
    curl_off_t connected = 0;
    curl_easy_getinfo(easy, call->url.https ? CURLINFO_APPCONNECT_TIME_T : CURLINFO_CONNECT_TIME_T, &connected);
    enum http_outcome outcome = transfer->head_done ? HTTP_BODY_TIMEOUT
                                : connected         ? HTTP_HEAD_TIMEOUT
                                                    : HTTP_CONNECT_TIMEOUT;
    return http_fail(call->reply, outcome, -ETIMEDOUT);
}

/* ---- At work ------------------------------------------------------------------------------------------------------
 */

static void set_options(struct transfer *transfer)
{
    struct http_call *call = transfer->call;
    const struct http_client_options *options = &call->client->options;
    CURL *easy = transfer->session->easy;
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, transfer->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->session->words);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->fields);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_HEADEROPT,
                     (long)CURLHEADER_SEPARATE); /* what is for the server is not the proxy's */
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_head);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PROXY, options->proxy ? options->proxy : ""); /* "": not the environment's */
    if (options->proxy && call->url.https)
        curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, options->insecure ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, options->insecure ? 0L : 2L);
    if (options->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file);
    if (options->local)
        curl_easy_setopt(easy, CURLOPT_INTERFACE, options->local);
    if (strcmp(call->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (call->body_size > 0 || strcmp(call->method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_size);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body ? call->body : "");
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
}

/* Waits for what libcurl waits for, and tells it. */
static int step(struct transfer *transfer, int *running)
{
    struct http_call *call = transfer->call;
    struct http_session *session = transfer->session;
    int64_t until = session->timer < call->deadline ? session->timer : call->deadline;
    struct pollfd ready[WATCHED_MOST];
    uint32_t count = session->watched_count;
    memcpy(ready, session->watched, count * sizeof *ready);
    int error = count ? weir_wait_any(call->context, ready, count, until) : weir_sleep_until(call->context, until);
    if (error < 0 && error != -ETIMEDOUT)
        return http_fail(call->reply, error == -ECANCELED ? HTTP_CANCELLED : HTTP_RESET, error);
    int64_t now = weir_now(call->context);
    for (uint32_t i = 0; i < count && error > 0; i++) {
        int events = (ready[i].revents & (POLLIN | POLLHUP) ? CURL_CSELECT_IN : 0) |
                     (ready[i].revents & POLLOUT ? CURL_CSELECT_OUT : 0) |
                     (ready[i].revents & POLLERR ? CURL_CSELECT_ERR : 0);
        if (events)
            curl_multi_socket_action(session->multi, ready[i].fd, events, running);
    }
    if (now >= session->timer) {
        session->timer = WEIR_NEVER;
        curl_multi_socket_action(session->multi, CURL_SOCKET_TIMEOUT, 0, running);
    }
    return now >= call->deadline && *running ? fail_late(transfer) : 0;
}

static int run(struct transfer *transfer)
{
    struct http_session *session = transfer->session;
    struct http_client *client = transfer->call->client;
    CURLcode code = CURLE_OK;
    int running = 1, error = 0, left;
    if (curl_multi_add_handle(session->multi, session->easy) != CURLM_OK)
        return http_fail(transfer->call->reply, HTTP_NO_MEMORY, -ENOMEM);
    while (error == 0 && running)
        error = step(transfer, &running);
    for (CURLMsg *message; (message = curl_multi_info_read(session->multi, &left));) {
        if (message->msg == CURLMSG_DONE)
            code = message->data.result;
    }
    if (error == 0)
        error = transfer->error ? transfer->error : judge(transfer, code);
    long opened = 0;
    curl_off_t down = 0, up = 0;
    curl_easy_getinfo(session->easy, CURLINFO_NUM_CONNECTS, &opened);
    curl_easy_getinfo(session->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    curl_easy_getinfo(session->easy, CURLINFO_SIZE_UPLOAD_T, &up);
    transfer->call->reply->reused = opened == 0;
    *(opened ? &client->counters.opened : &client->counters.reused) += 1;
    client->counters.bytes_received += (uint64_t)down + transfer->call->reply->exchange->head.size;
    client->counters.bytes_sent += (uint64_t)up + transfer->message.size;
    curl_multi_remove_handle(session->multi, session->easy);
    return error;
}

static int finish(struct transfer *transfer)
{
    struct http_reply *reply = transfer->call->reply;
    struct weir_buffer *bytes = &reply->exchange->bytes;
    const struct http_head *head = &reply->exchange->head;
    if (!buffer_reserve(bytes, 1))
        return http_fail(reply, HTTP_NO_MEMORY, -ENOMEM);
    bytes->data[bytes->size] = 0;
    reply->body = bytes->data + head->size;
    reply->body_size = bytes->size - head->size;
    return http_check_coding(transfer->call);
}

int http_curl_perform(struct http_call *call)
{
    struct transfer transfer = {.call = call};
    struct http_reply *reply = call->reply;
    if (call->context->clock->simulated)
        return http_fail(reply, HTTP_UNSUPPORTED, -ENOTSUP);
    if (!reply->exchange)
        reply->exchange = http_exchange_take(call->client);
    transfer.session = reply->exchange ? take_session(call) : NULL;
    if (!transfer.session)
        return http_fail(reply, HTTP_NO_MEMORY, -ENOMEM);
    reply->exchange->bytes.size = 0;
    transfer.session->words[0] = 0;
    call->began = false;
    int error = write_request(&transfer);
    if (error == 0) {
        set_options(&transfer);
        error = run(&transfer);
    }
    if (transfer.head_done) {
        reply->status = reply->exchange->head.status;
        reply->head = &reply->exchange->head;
        reply->head_bytes = reply->exchange->bytes.data;
    }
    if (error == 0)
        error = finish(&transfer);
    if (transfer.head_done)
        reply->head_bytes = reply->exchange->bytes.data;
    curl_slist_free_all(transfer.fields);
    memory_free(transfer.url);
    buffer_free(&transfer.message);
    if (error == 0)
        give_session(call->client, transfer.session);
    else
        free_session(transfer.session);
    return error;
}
