/* SPDX-License-Identifier: MIT */
/* weir sweep URL: how much concurrency a server really takes. The sweep runs on a thread of its own, and makes its load
 * on others; this one draws and waits for Ctrl-C. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/files.h"
#include "app/signals.h"
#include "app/sweep_arguments.h"
#include "base/clock.h"
#include "base/units.h"
#include "measure/text.h"
#include "net/http_url.h"

enum { TICK_MS = 200, COLUMNS_OF_FILES = 140, COLUMNS_LEAST = 60, ROWS_OTHERWISE = 24, DESCRIPTORS_SPARE = 64 };

struct sweeping {
    struct sweep_arguments *arguments;
    struct sweep *sweep;
    struct sweep_words words;
    char url[512];
    struct load_progress progress;
    pthread_t thread;
    _Atomic bool stop;
    int stop_fd, over_fd;
    struct signals_wait signals;
    /* What is drawn while it runs: made by the sweep's thread, shown by the main one. */
    bool live;
    pthread_mutex_t lock;
    struct weir_buffer table;
    double running; /* copies for the line below it */
    uint32_t round, runs, runs_wanted;
    int64_t started, run_started;
    uint64_t ended_before, good_before;
    int drawn; /* lines on the screen */
};

/* ---- The sweep's thread ------------------------------------------------------------------------------------------ */

static int run_level(void *owner, const struct load_options *options, struct load_tally *tallies)
{
    struct sweeping *sweeping = owner;
    return load_run_threads(options, sweeping->arguments->options.threads, &sweeping->stop, sweeping->stop_fd, tallies);
}

static void note_change(void *owner, const struct sweep *sweep)
{
    struct sweeping *sweeping = owner;
    if (!sweeping->live)
        return;
    pthread_mutex_lock(&sweeping->lock);
    sweeping->table.size = 0;
    sweep_table(sweep, &sweeping->words, &sweeping->table);
    sweeping->running = sweep->running;
    sweeping->round = sweep->round;
    sweeping->runs = sweep->runs;
    sweeping->runs_wanted = sweep->runs_wanted;
    sweeping->run_started = clock_monotonic();
    sweeping->ended_before = atomic_load(&sweeping->progress.ended);
    sweeping->good_before = atomic_load(&sweeping->progress.good);
    pthread_mutex_unlock(&sweeping->lock);
}

static void *run_sweep(void *argument)
{
    struct sweeping *sweeping = argument;
    uint64_t one = 1;
    sweep_run(sweeping->sweep);
    return write(sweeping->over_fd, &one, sizeof one) == (ssize_t)sizeof one ? NULL : sweeping;
}

/* ---- The screen -------------------------------------------------------------------------------------------------- */

static int columns_of(int descriptor)
{
    int columns = app_columns(descriptor, COLUMNS_OF_FILES);
    return columns < COLUMNS_LEAST ? COLUMNS_LEAST : columns;
}

static int rows_of_screen(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 ? ROWS_OTHERWISE : size.ws_row;
}

static void put_progress(struct sweeping *sweeping, struct weir_buffer *out)
{
    char ended[32], good[32], left[32];
    const struct load_progress *progress = &sweeping->progress;
    int64_t now = clock_monotonic();
    if (sweeping->running <= 0)
        return;
    bool open = sweeping->arguments->options.load.kind == LOAD_OPEN;
    buffer_format(out, "measuring %.10g%s: %s answers, %s good, %d in flight", sweeping->running, open ? "/s" : "",
                  text_count(atomic_load(&progress->ended) - sweeping->ended_before, ended, sizeof ended),
                  text_count(atomic_load(&progress->good) - sweeping->good_before, good, sizeof good),
                  (int)atomic_load(&progress->in_flight));
    if (sweeping->runs_wanted > 0 && sweeping->runs > 0) {
        double each = (double)(sweeping->run_started - sweeping->started) / sweeping->runs;
        double rest = each * (sweeping->runs_wanted - sweeping->runs) - (double)(now - sweeping->run_started);
        int64_t seconds = rest < 1e9 ? 1 : (int64_t)(rest * 1e-9);
        buffer_format(out, "; pass %u of %u, about %s left", sweeping->round + 1, sweeping->arguments->options.repeats,
                      units_show_duration(seconds * CLOCK_SECOND, left, sizeof left));
    }
    buffer_string(out, "; Ctrl-C ends it\n");
}

/* Takes what was drawn away, and draws the last `rows` lines of text. */
static void draw_text(struct sweeping *sweeping, const char *text, size_t size)
{
    int columns = columns_of(STDERR_FILENO), rows = rows_of_screen() - 1, lines = 0;
    const char *from = text + size;
    while (from > text && lines < rows) {
        const char *line = from - 1;
        while (line > text && line[-1] != '\n')
            line--;
        char copy[512];
        snprintf(copy, sizeof copy, "%.*s", (int)(from - line), line);
        lines += 1 + (int)text_columns(copy) / (columns + 1);
        if (lines > rows)
            break;
        from = line;
    }
    if (sweeping->drawn > 0)
        fprintf(stderr, "\033[%dA", sweeping->drawn);
    fprintf(stderr, "\r\033[J");
    if (text + size > from)
        fwrite(from, 1, (size_t)(text + size - from), stderr);
    fflush(stderr);
    sweeping->drawn = lines > rows ? rows : lines;
}

static void draw(struct sweeping *sweeping)
{
    struct weir_buffer text = {0};
    pthread_mutex_lock(&sweeping->lock);
    buffer_append(&text, sweeping->table.data ? sweeping->table.data : "", sweeping->table.size);
    put_progress(sweeping, &text);
    pthread_mutex_unlock(&sweeping->lock);
    if (!text.failed)
        draw_text(sweeping, text.data ? text.data : "", text.size);
    buffer_free(&text);
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

static void stop_sweep(struct sweeping *sweeping)
{
    uint64_t one = 1;
    if (!signals_wait_take(&sweeping->signals))
        return;
    atomic_store(&sweeping->stop, true);
    if (write(sweeping->stop_fd, &one, sizeof one) < 0)
        app_say("cannot end the level: %s", strerror(errno));
}

static void wait_for_end(struct sweeping *sweeping)
{
    struct pollfd descriptors[2] = {{.fd = sweeping->over_fd, .events = POLLIN},
                                    {.fd = sweeping->signals.descriptor, .events = POLLIN}};
    while (descriptors[0].revents == 0) {
        if (sweeping->live)
            draw(sweeping);
        if (poll(descriptors, 2, sweeping->live ? TICK_MS : -1) < 0 && errno != EINTR)
            break;
        if (descriptors[1].revents)
            stop_sweep(sweeping);
    }
    pthread_join(sweeping->thread, NULL);
    if (sweeping->live)
        draw_text(sweeping, "", 0);
}

/* Each connection is a descriptor. */
static int raise_descriptor_limit(const struct sweep_arguments *arguments)
{
    struct rlimit limit;
    double most = 0;
    for (uint32_t i = 0; i < arguments->options.level_count && !arguments->options.automatic; i++)
        most = arguments->levels[i] > most ? arguments->levels[i] : most;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* refused: fewer connections */
    }
    if (arguments->options.load.kind == LOAD_OPEN || getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
        most + DESCRIPTORS_SPARE < (double)limit.rlim_cur)
        return 0;
    app_say("%.0f connections are more than this process may have open (%llu); raise it with ulimit -n", most,
            (unsigned long long)limit.rlim_cur);
    return -EMFILE;
}

static int start(struct sweeping *sweeping)
{
    int error = signals_wait_open(&sweeping->signals);
    sweeping->stop_fd = eventfd(0, EFD_CLOEXEC);
    sweeping->over_fd = eventfd(0, EFD_CLOEXEC);
    if (error < 0)
        return error;
    if (sweeping->stop_fd < 0 || sweeping->over_fd < 0)
        return -errno;
    sweeping->started = sweeping->run_started = clock_monotonic();
    return -pthread_create(&sweeping->thread, NULL, run_sweep, sweeping);
}

static void end(struct sweeping *sweeping)
{
    if (sweeping->stop_fd >= 0)
        close(sweeping->stop_fd);
    if (sweeping->over_fd >= 0)
        close(sweeping->over_fd);
    signals_wait_close(&sweeping->signals);
    buffer_free(&sweeping->table);
}

/* ---- The answer -------------------------------------------------------------------------------------------------- */

static int show(struct sweeping *sweeping)
{
    const struct sweep_arguments *arguments = sweeping->arguments;
    struct weir_buffer text = {0};
    bool free = !(arguments->csv && strcmp(arguments->csv, "-") == 0) &&
                !(arguments->svg && strcmp(arguments->svg, "-") == 0);
    sweeping->words.columns = columns_of(STDOUT_FILENO);
    sweeping->words.colour = app_colour(STDOUT_FILENO);
    if (arguments->json) {
        sweep_json(sweeping->sweep, &sweeping->words, &text);
    } else if (free) {
        sweep_table(sweeping->sweep, &sweeping->words, &text);
        buffer_string(&text, "\n");
        sweep_plot_text(sweeping->sweep, &sweeping->words, &text);
        sweep_verdict(sweeping->sweep, &sweeping->words, &text);
    }
    return app_put(stdout, &text);
}

static int save(struct sweeping *sweeping, const char *path, bool svg)
{
    struct weir_buffer text = {0};
    if (!path)
        return APP_OK;
    if (svg)
        sweep_plot_svg(sweeping->sweep, &sweeping->words, &text);
    else
        sweep_csv(sweeping->sweep, &text);
    return files_save(path, &text);
}

static int tell(struct sweeping *sweeping)
{
    const struct sweep *sweep = sweeping->sweep;
    if (sweep->end == SWEEP_FAILED)
        app_say("the sweep ended early: %s", strerror(-sweep->error));
    if (sweep->end == SWEEP_GONE) {
        app_say("nothing to measure: %s", sweep->words[0] ? sweep->words : "nobody answers");
        if (!sweeping->arguments->json)
            return APP_FAILED;
    }
    int code = show(sweeping), csv = save(sweeping, sweeping->arguments->csv, false),
        svg = save(sweeping, sweeping->arguments->svg, true);
    if (sweep->end == SWEEP_FAILED || sweep->end == SWEEP_GONE || sweep->end == SWEEP_DIED)
        return APP_FAILED;
    if (code || csv || svg)
        return code ? code : csv ? csv : svg;
    enum judge_why why = sweep_judge(sweep).why;
    return why == JUDGE_NO_SUCCESS || why == JUDGE_TOO_SLOW ? APP_GOAL_MISSED : APP_OK;
}

static int sweep_url(struct sweeping *sweeping)
{
    struct sweep_options options = sweeping->arguments->options;
    options.run = run_level;
    options.changed = note_change;
    options.owner = sweeping;
    options.load.progress = &sweeping->progress;
    if (sweep_new(&options, &sweeping->sweep) < 0) {
        app_say("out of memory");
        return APP_FAILED;
    }
    int error = start(sweeping), code = APP_FAILED;
    if (error < 0)
        app_say("the sweep could not be started: %s", strerror(-error));
    else
        wait_for_end(sweeping);
    if (error == 0)
        code = tell(sweeping);
    end(sweeping);
    sweep_free(sweeping->sweep);
    return code;
}

int cmd_sweep(int argc, char **argv)
{
    struct sweep_arguments arguments = {0};
    struct sweeping sweeping = {.arguments = &arguments, .lock = PTHREAD_MUTEX_INITIALIZER};
    int code = sweep_arguments_read(argc, argv, &arguments);
    if (code < 0 && raise_descriptor_limit(&arguments) < 0)
        code = APP_USAGE;
    if (code < 0) {
        http_url_show(arguments.url, sweeping.url, sizeof sweeping.url);
        sweeping.words = (struct sweep_words){sweeping.url, WEIR_VERSION, columns_of(STDERR_FILENO), false};
        sweeping.live = isatty(STDERR_FILENO) && !arguments.quiet;
        code = sweep_url(&sweeping);
    }
    sweep_arguments_free(&arguments);
    return code;
}
