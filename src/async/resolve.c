/* SPDX-License-Identifier: MIT */
/*
 * Names to addresses. A loop keeps what it has looked up for a few seconds, and of many tasks that ask for one name at
 * once, one looks it up and the others wait for it: a thousand sensors on one host are one question.
 */
#include "async/runtime.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

enum { BUCKETS = 256, NAMES_MOST = 4096 };
#define KEEP_NS (5 * CLOCK_SECOND)
#define KEEP_FAILED_NS (CLOCK_SECOND)

struct known {
    struct known *next;
    char *name;
    bool passive, asking; /* one of those who want it is in the pool */
    uint32_t users;       /* tasks that look at it now */
    int64_t until;        /* what is in addresses holds until then; 0: nothing */
    struct addresses addresses;
    struct weir_event answered;
};
struct resolver {
    struct known *buckets[BUCKETS];
    uint32_t count;
};
struct question {
    char *name;
    bool passive;
    struct addresses addresses;
};

static int error_of(int code)
{
    return code == EAI_MEMORY ? -ENOMEM : code == EAI_SYSTEM && errno > 0 ? -errno : -ENXIO;
}

static bool numeric(const char *host, struct addresses *ret)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    ret->error = 0;
    ret->count = 1;
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
        memcpy(&ret->items[0], &v4, sizeof v4);
    else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)
        memcpy(&ret->items[0], &v6, sizeof v6);
    else
        return false;
    return true;
}

static void look_up(const char *host, bool passive, struct addresses *ret)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = passive ? AI_PASSIVE : AI_ADDRCONFIG}, *list;
    int code = getaddrinfo(host, passive ? "0" : NULL, &hints, &list);
    ret->count = 0;
    ret->error = code ? error_of(code) : 0;
    if (ret->error == -ENXIO && strcmp(host, "localhost") == 0)
        numeric("127.0.0.1", ret); /* always (RFC 6761, 6.3), also where there is no /etc/hosts */
    if (code)
        return;
    for (const struct addrinfo *at = list; at && ret->count < ADDRESSES_MOST; at = at->ai_next)
        if (at->ai_addrlen <= sizeof ret->items[0])
            memcpy(&ret->items[ret->count++], at->ai_addr, at->ai_addrlen);
    freeaddrinfo(list);
    if (!ret->count)
        ret->error = -ENXIO;
}

static int answer(void *argument)
{
    struct question *question = argument;
    look_up(question->name, question->passive, &question->addresses);
    return 0;
}

static void free_question(void *argument)
{
    struct question *question = argument;
    memory_free(question->name);
    memory_free(question);
}

static int ask(struct weir_context *context, const char *host, bool passive, int64_t deadline, struct addresses *ret)
{
    struct question *question = memory_zeroed(1, sizeof *question);
    char *name = memory_string(host);
    if (!question || !name) {
        memory_free(name);
        memory_free(question);
        return -ENOMEM;
    }
    question->name = name;
    question->passive = passive;
    int result = weir_offload(context, answer, question, free_question, deadline);
    if (result == -ETIMEDOUT || result == -ECANCELED)
        return result; /* the pool has the question */
    if (result == 0)
        *ret = question->addresses;
    free_question(question);
    return result;
}

/* ---- What is known ---- */

static void forget(struct resolver *resolver, struct known **at)
{
    struct known *known = *at;
    *at = known->next;
    resolver->count--;
    memory_free(known->name);
    memory_free(known);
}

/* NULL: no memory, or too many names at once; then nothing is kept. */
static struct known *find(struct loop *loop, const char *host, bool passive, int64_t now)
{
    if (!loop->resolver && !(loop->resolver = memory_zeroed(1, sizeof *loop->resolver)))
        return NULL;
    struct resolver *resolver = loop->resolver;
    struct known **at = &resolver->buckets[hash_bytes(host, strlen(host)) % BUCKETS];
    while (*at) {
        struct known *known = *at;
        if (strcmp(known->name, host) == 0 && known->passive == passive)
            return known;
        if (known->users == 0 && known->until <= now)
            forget(resolver, at);
        else
            at = &known->next;
    }
    struct known *known = resolver->count < NAMES_MOST ? memory_zeroed(1, sizeof *known) : NULL;
    char *name = known ? memory_string(host) : NULL;
    if (!name) {
        memory_free(known);
        return NULL;
    }
    known->name = name;
    known->passive = passive;
    *at = known;
    resolver->count++;
    return known;
}

static int resolve_once(struct weir_context *context, struct known *known, int64_t deadline, struct addresses *ret)
{
    for (;;) {
        int result = 0;
        if (known->until > weir_now(context)) {
            *ret = known->addresses;
            return ret->error;
        }
        if (known->asking) {
            result = weir_event_wait(context, &known->answered, deadline);
        } else {
            known->asking = true;
            result = ask(context, known->name, known->passive, deadline, &known->addresses);
            known->asking = false;
            if (result == 0)
                known->until = weir_now(context) + (known->addresses.error ? KEEP_FAILED_NS : KEEP_NS);
            weir_event_signal(&known->answered, true); /* if this one gave up, the next asks */
        }
        if (result < 0)
            return result;
    }
}

int resolve(struct weir_context *context, const char *host, bool passive, int64_t deadline, struct addresses *ret)
{
    if (passive && (!host || !*host || strcmp(host, "*") == 0))
        host = "0.0.0.0";
    if (numeric(host, ret))
        return 0;
    if (!context->task) {
        look_up(host, passive, ret);
        return ret->error;
    }
    struct known *known = find(context->task->loop, host, passive, weir_now(context));
    if (!known) {
        int result = ask(context, host, passive, deadline, ret);
        return result < 0 ? result : ret->error;
    }
    known->users++;
    int result = resolve_once(context, known, deadline, ret);
    known->users--;
    return result;
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    for (uint32_t i = 0; i < BUCKETS; i++)
        while (resolver->buckets[i])
            forget(resolver, &resolver->buckets[i]);
    memory_free(resolver);
}
