/* SPDX-License-Identifier: MIT */
#include "parts/url_list.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "net/http.h"
#include "net/http_url.h"

/* A piece in braces: a range, or words. */
struct piece {
    const char *begin, *end; /* in the pattern, with the braces */
    bool range;
    long long first, last;
    int width;
    uint32_t count;
};

static int digits(const char *text, const char *end)
{
    const char *p = text;
    while (p < end && isdigit((unsigned char)*p))
        p++;
    return (int)(p - text);
}

static bool parse_range(struct piece *piece)
{
    const char *p = piece->begin + 1, *end = piece->end - 1;
    int before = digits(p, end);
    if (!before || before > 9 || end - p < before + 3 || p[before] != '.' || p[before + 1] != '.')
        return false;
    const char *second = p + before + 2;
    int after = digits(second, end);
    if (!after || after > 9 || second + after != end)
        return false;
    piece->first = strtoll(p, NULL, 10);
    piece->last = strtoll(second, NULL, 10);
    if (piece->last < piece->first)
        return false;
    piece->range = true;
    piece->width = p[0] == '0' ? before : 0;
    piece->count = (uint32_t)(piece->last - piece->first + 1);
    return true;
}

static bool parse_words(struct piece *piece)
{
    piece->count = 1;
    for (const char *p = piece->begin + 1; p < piece->end - 1; p++)
        piece->count += *p == ',';
    return piece->count > 1;
}

static int find_pieces(const char *pattern, struct piece *pieces)
{
    int count = 0;
    for (const char *p = pattern; (p = strchr(p, '{')); p++) {
        const char *end = strchr(p, '}');
        if (!end)
            break;
        struct piece piece = {.begin = p, .end = end + 1};
        if (!parse_range(&piece) && !parse_words(&piece))
            continue;
        if (count == URL_LIST_PIECES_MOST)
            return -E2BIG;
        pieces[count++] = piece;
        p = end;
    }
    return count;
}

/* The text that stands for a piece's choice. */
static int show_choice(const struct piece *piece, uint32_t choice, char *out, size_t size)
{
    if (piece->range)
        return snprintf(out, size, "%0*lld", piece->width, piece->first + (long long)choice);
    const char *p = piece->begin + 1;
    for (; choice; p++)
        choice -= *p == ',';
    return snprintf(out, size, "%.*s", (int)strcspn(p, ",}"), p);
}

static int append(struct url_list *list, const char *url, const char *name, struct weir_error *error)
{
    if (list->count == URL_LIST_MOST)
        return weir_fail(error, -E2BIG, "more than %d addresses", URL_LIST_MOST);
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity * 2 : 16;
        struct url_entry *entries = memory_resize(list->entries, capacity * sizeof *entries);
        if (!entries)
            return weir_fail(error, -ENOMEM, "out of memory for %u addresses", capacity);
        list->entries = entries;
        list->capacity = capacity;
    }
    char shown[URL_LIST_LENGTH_MOST + 16];
    struct url_entry entry = {memory_string(url),
                              memory_string(name == url ? http_url_show(url, shown, sizeof shown) : name)};
    if (!entry.url || !entry.name) {
        memory_free(entry.url);
        memory_free(entry.name);
        return weir_fail(error, -ENOMEM, "out of memory for addresses");
    }
    list->entries[list->count++] = entry;
    return 0;
}

static int check_scheme(const char *url, struct weir_error *error)
{
    char shown[128];
    if (strncmp(url, "http://", 7) == 0 || (strncmp(url, "https://", 8) == 0 && http_has_https()))
        return 0;
    http_url_show(url, shown, sizeof shown);
    if (strncmp(url, "https://", 8) == 0)
        return weir_fail(error, -EINVAL,
                         "\"%s\": https was left out of this build; install libcurl4-openssl-dev and build again",
                         shown);
    return weir_fail(error, -EINVAL, "\"%s\" does not begin with http:// or https://", shown);
}

static int add_choice(struct url_list *list, const char *pattern, const struct piece *pieces, int count,
                      uint64_t number, struct weir_error *error)
{
    char url[URL_LIST_LENGTH_MOST], name[URL_LIST_LENGTH_MOST] = "";
    size_t length = 0, named = 0;
    char choice_shown[64];
    const char *from = pattern;
    uint64_t choices[URL_LIST_PIECES_MOST];
    for (int i = count; i-- > 0; number /= pieces[i].count)
        choices[i] = number % pieces[i].count;
    for (int i = 0; i < count && length < sizeof url; i++) {
        char choice[URL_LIST_LENGTH_MOST];
        show_choice(&pieces[i], (uint32_t)choices[i], choice, sizeof choice);
        length += (size_t)snprintf(url + length, sizeof url - length, "%.*s%s", (int)(pieces[i].begin - from), from,
                                   choice);
        if (named < sizeof name)
            named += (size_t)snprintf(name + named, sizeof name - named, "%s%s", i ? "-" : "", choice);
        from = pieces[i].end;
    }
    if (length < sizeof url)
        length += (size_t)snprintf(url + length, sizeof url - length, "%s", from);
    if (length >= sizeof url)
        return weir_fail(error, -EINVAL, "an address longer than %d characters: \"%s…\"", URL_LIST_LENGTH_MOST - 1,
                         http_url_show(pattern, choice_shown, sizeof choice_shown));
    return append(list, url, count ? name : url, error);
}

int url_list_add(struct url_list *list, const char *pattern, struct weir_error *error)
{
    struct piece pieces[URL_LIST_PIECES_MOST];
    int count = find_pieces(pattern, pieces), code = check_scheme(pattern, error);
    uint64_t all = 1;
    char shown[128];
    http_url_show(pattern, shown, sizeof shown);
    if (count < 0)
        return weir_fail(error, -E2BIG, "more than %d pieces in braces: \"%s\"", URL_LIST_PIECES_MOST, shown);
    for (int i = 0; i < count && all <= URL_LIST_MOST; i++)
        all *= pieces[i].count;
    if (code >= 0 && all + list->count > URL_LIST_MOST)
        return weir_fail(error, -E2BIG, "\"%s\" stands for more than %d addresses", shown, URL_LIST_MOST);
    for (uint64_t i = 0; i < all && code >= 0; i++)
        code = add_choice(list, pattern, pieces, count, i, error);
    return code;
}

/* "name address" or "address". */
static int add_line(struct url_list *list, char *line, struct weir_error *error)
{
    char *save = NULL, *first = strtok_r(line, " \t\r\n", &save), *second = strtok_r(NULL, " \t\r\n", &save);
    if (!first || *first == '#')
        return 0;
    if (!second || *second == '#')
        return url_list_add(list, first, error);
    int code = check_scheme(second, error);
    return code < 0 ? code : append(list, second, first, error);
}

int url_list_read(struct url_list *list, const char *path, struct weir_error *error)
{
    FILE *file = fopen(path, "re");
    char line[URL_LIST_LENGTH_MOST + 256];
    unsigned number = 0;
    int code = 0;
    if (!file)
        return weir_fail(error, -errno, "the list of addresses %s cannot be read: %s", path, strerror(errno));
    while (code >= 0 && fgets(line, sizeof line, file)) {
        struct weir_error words = {0};
        number++;
        code = strlen(line) == sizeof line - 1
                   ? weir_fail(&words, -EINVAL, "the line is longer than %d characters", (int)sizeof line - 2)
                   : add_line(list, line, &words);
        if (code < 0)
            weir_fail(error, code, "%s:%u: %s", path, number, words.text);
    }
    if (code >= 0 && ferror(file))
        code = weir_fail(error, -EIO, "the list of addresses %s cannot be read to its end", path);
    fclose(file);
    return code;
}

void url_list_free(struct url_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        memory_free(list->entries[i].url);
        memory_free(list->entries[i].name);
    }
    memory_free(list->entries);
    *list = (struct url_list){0};
}
