/* SPDX-License-Identifier: MIT */
/* The verdict in words. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/units.h"
#include "measure/text.h"
#include "measure/verdict.h"

struct words {
    char *out;
    size_t size, used;
};

static void say(struct words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct words *words, const char *format, ...)
{
    va_list arguments;
    if (words->used + 1 >= words->size) {
        return;
    }
    va_start(arguments, format);
    int written = vsnprintf(words->out + words->used, words->size - words->used, format, arguments);
    va_end(arguments);
    if (written > 0) {
        words->used += (size_t)written;
    }
}

static void say_limit(struct words *words, const struct verdict_answer *answer)
{
    char text[32];
    const char *what = answer->limit == VERDICT_LIMIT_LAG ? "max_lag" : "the memory limit";
    if (answer->limit == VERDICT_LIMIT_NONE) {
        return;
    }
    if (answer->limit_seconds <= 0) {
        say(words, "; %s is passed", what);
        return;
    }
    units_show_duration((int64_t)(answer->limit_seconds * 1e9), text, sizeof text);
    say(words, "; %s is reached in %s", what, text);
}

static void say_brief(struct words *words, const struct verdict_answer *answer)
{
    say(words, "%s", verdict_name(answer->kind));
    if (answer->kind == VERDICT_FALLING_BEHIND) {
        say(words, ", %.*f s per minute", answer->seconds_per_minute < 9.95 ? 1 : 0, answer->seconds_per_minute);
    } else if (answer->kind == VERDICT_DROPPING) {
        say(words, " %.3g %% of the records", answer->dropped_share * 100);
    }
}

static void say_falling(struct words *words, const struct verdict_answer *answer)
{
    char done[32], offered[32], lag[32];
    units_show_duration(answer->lag, lag, sizeof lag);
    say(words, ": the lag is %s", lag);
    if (answer->offered > 0) {
        text_rate(answer->settled_rate, done, sizeof done);
        text_rate(answer->offered, offered, sizeof offered);
        say(words, ", %s of the %s records/s that come are worked off", done, offered);
    }
}

static void say_losses(struct words *words, const struct verdict_answer *answer)
{
    char refused[32], lost[32];
    text_count(answer->refused, refused, sizeof refused);
    text_count(answer->lost, lost, sizeof lost);
    if (answer->refused > 0) {
        say(words, ": %s record%s refused", refused, answer->refused == 1 ? " was" : "s were");
    }
    if (answer->lost > 0) {
        say(words, "%s %s dropped", answer->refused > 0 ? "," : ":", lost);
    }
    say(words, ", none stored");
}

const char *verdict_name(enum verdict_kind kind)
{
    switch (kind) {
    case VERDICT_NO_DATA:
        return "no data yet";
    case VERDICT_IDLE:
        return "idle";
    case VERDICT_KEEPING_UP:
        return "keeping up";
    case VERDICT_SATURATED:
        return "saturated";
    case VERDICT_DROPPING:
        return "keeping up by dropping";
    case VERDICT_FALLING_BEHIND:
        return "falling behind";
    case VERDICT_FULL_SPEED:
        return "full speed";
    case VERDICT_NOTHING_DELIVERED:
        return "nothing delivered";
    }
    return "no data yet";
}

char *verdict_brief(const struct verdict_answer *answer, char *out, size_t size)
{
    struct words words = {out, size, 0};
    say_brief(&words, answer);
    return out;
}

char *verdict_sentence(const struct verdict_answer *answer, const char *busiest, char *out, size_t size)
{
    struct words words = {out, size, 0};
    char text[32];
    say_brief(&words, answer);
    switch (answer->kind) {
    case VERDICT_KEEPING_UP:
        if (answer->lag > CLOCK_SECOND && answer->slope <= -0.01) {
            units_show_duration(answer->lag, text, sizeof text);
            say(&words, ": working off a lag of %s", text);
        }
        break;
    case VERDICT_SATURATED:
        if (busiest && answer->busiest >= 0.5) {
            say(&words, ": %s is busy %.0f %% of the time, with no room for more", busiest, answer->busiest * 100);
        } else {
            say(&words, ": no room for more");
        }
        break;
    case VERDICT_FALLING_BEHIND:
        say_falling(&words, answer);
        break;
    case VERDICT_FULL_SPEED:
        say(&words, ": all input was there from the start and is read as fast as it goes");
        break;
    case VERDICT_NOTHING_DELIVERED:
        say_losses(&words, answer);
        break;
    case VERDICT_NO_DATA:
    case VERDICT_IDLE:
    case VERDICT_DROPPING:
        break;
    }
    say_limit(&words, answer);
    return out;
}
