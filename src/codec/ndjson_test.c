/* SPDX-License-Identifier: MIT */
#include "codec/test_codec.h"

#include <errno.h>
#include <math.h>

#include "base/memory.h"
#include "codec/json_walk.h"
#include "codec/number.h"
#include "codec/ndjson_simdjson.h"

static struct codec_read_options options_ab(void)
{
    static const struct weir_pair fields[] = {
        TEST_FIELD("t", "time"), TEST_FIELD("s", "symbol"), TEST_FIELD("v", "f64"),
        TEST_FIELD("i", "i64"),  TEST_FIELD("b", "bool"),   TEST_FIELD("x", "text"),
    };
    struct codec_read_options options = test_options();
    options.fields = (struct weir_list){fields, 6};
    return options;
}

/* Decodes with fields t s v i b x; rows and refusals must be these. */
static struct outcome expect(const char *data, size_t size, const char *rows, const char *refusals)
{
    struct codec_read_options options = options_ab();
    struct outcome outcome = decode_text(CODEC_NDJSON, &options, data, size, NULL);
    assert_int_equal(outcome.error, 0);
    assert_string_equal(outcome.rows.data, rows);
    assert_string_equal(outcome.refusals.data, refusals);
    return outcome;
}

static void expect_text(const char *data, const char *rows, const char *refusals)
{
    struct outcome outcome = expect(data, strlen(data), rows, refusals);
    outcome_free(&outcome);
}

#define NULLS "\"t\":null,\"s\":null,"
#define AFTER ",\"i\":null,\"b\":null,\"x\":null}\n"
#define ROW(position, value) #position " {" NULLS "\"v\":" value AFTER

static void test_values(void **state)
{
    (void)state;
    expect_text(
        "{\"t\":1732147200.123,\"s\":\"s654\",\"v\":25.276,\"i\":-12,\"b\":true,\"x\":\"a\\n\\u00e9\\ud83d\\ude00\"}\n"
        "{ \"x\" : \"\" , \"b\" : false , \"i\" : 9007199254740993 , \"v\" : -1e-7, \"s\":\"\", "
        "\"t\":\"2024-11-21T01:00:00+01:00\" } \r\n",
        "0 {\"t\":\"2024-11-21T00:00:00.123Z\",\"s\":\"s654\",\"v\":25.276,\"i\":-12,\"b\":true,\"x\":\"a\\né😀\"}\n"
        "1 {\"t\":\"2024-11-21T00:00:00Z\",\"s\":\"\",\"v\":-1e-07,\"i\":9007199254740993,\"b\":false,\"x\":\"\"}\n",
        "");
    expect_text("{\"v\":\"inf\"}\n{\"v\":\"-inf\"}\n{\"v\":0.1}\n{\"v\":-0.0}\n{\"v\":123456789012345678901234567890}",
                ROW(0, "\"inf\"") ROW(1, "\"-inf\"") ROW(2, "0.1") ROW(3, "-0") ROW(4, "1.2345678901234568e+29"), "");
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *reason;
    } bad[] = {
        {"{\"v\":1", "not JSON"},
        {"{\"v\":1}{\"v\":2}", "more than one value on the line"},
        {"{\"v\":1} {\"v\":2}", "more than one value on the line"},
        {"{\"v\":1},", "more than one value on the line"},
        {"{\"v\":\"open}", "unclosed string"},
        {"{\"v:1}", "unclosed string"},
        {"{\"x\":\"a\\", "unclosed string"},
        {"{\"x\":\"a\tb\"}", "control character in a string"},
        {"{\"x\":\"\xff\"}", "invalid UTF-8"},
        {"{\"x\":\"a\\q\"}", "not JSON"},
        {"{\"x\":\"a\\u12g4\"}", "not JSON"},
        {"[1,2]", "not an object"},
        {"12", "not an object"},
        {"hello", "not an object"},
        {"\"v\"", "not an object"},
        {"\x01\x02\x03", "not an object"},
        {"{\"v\":01}", "not JSON"},
        {"{\"v\":1.}", "not JSON"},
        {"{\"v\":.5}", "not JSON"},
        {"{\"v\":+1}", "not JSON"},
        {"{\"v\":-}", "not JSON"},
        {"{\"v\":1e}", "not JSON"},
        {"{\"v\":1x}", "not JSON"},
        {"{\"v\":NaN}", "not JSON"},
        {"{\"v\":nul}", "not JSON"},
        {"{\"v\" 1}", "not JSON"},
        {"{\"v\":}", "not JSON"},
        {"{\"v\":1,}", "not JSON"},
        {"{,}", "not JSON"},
        {"{\"v\":1 2}", "not JSON"},
        {"{\"v\":\"a\"b}", "not JSON"},
        {"{v:1}", "not JSON"},
        {"{1:1}", "not JSON"},
        {"{\"o\":[1,}", "not JSON"},
        {"{\"o\":[1 2]}", "not JSON"},
        {"{\"o\":{\"a\" 2}}", "not JSON"},
        {"{\"o\":{\"a\":2]}", "not JSON"},
        {"{\"o\":[", "not JSON"},
        {"{", "not JSON"},
        {"}", "not an object"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char data[256], refusal[128];
        int length = snprintf(data, sizeof data, "{\"v\":1}\n%s\n{\"v\":3}\n%s", bad[i].line, bad[i].line);
        snprintf(refusal, sizeof refusal, "2 %s\n4 %s\n", bad[i].reason, bad[i].reason);
        struct outcome outcome = expect(data, (size_t)length, ROW(0, "1") ROW(2, "3"), refusal);
        assert_int_equal(outcome.records, 4);
        outcome_free(&outcome);
    }
    static const char zero[] = "{\"v\":1}\n{\"v\":2\0}\n\0\n{\"v\":4}\n";
    struct outcome outcome = expect(zero, sizeof zero - 1, ROW(0, "1") ROW(3, "4"), "2 not JSON\n3 not an object\n");
    outcome_free(&outcome);
}

static void test_lines(void **state)
{
    (void)state;
    expect_text("", "", "");
    expect_text("\n\r\n  \t\n", "", "");
    expect_text("\n\n{\"v\":1}\r\n{\"v\":2}\r\n\r\n{\"v\":3}", ROW(2, "1") ROW(3, "2") ROW(5, "3"), "");
    expect_text("{\"v\":\n1}\n{\"v\":2}", ROW(2, "2"), "1 not JSON\n2 not an object\n");
    expect_text("{\"v\":1\n}\n{\"v\":2}", ROW(2, "2"), "1 not JSON\n2 not an object\n");
    expect_text("{\"x\":\"a\n\"}\n{\"v\":2}", ROW(2, "2"), "1 unclosed string\n2 unclosed string\n");
    expect_text("\xef\xbb\xbf{\"v\":1}\n", ROW(0, "1"), "");
}

static void test_counts(void **state)
{
    (void)state;
    const char *data = "{\"v\":\"text\",\"i\":1.5,\"b\":0,\"x\":1,\"s\":[1,{\"a\":\"b\"}],\"t\":\"never\"}\n"
                       "{\"v\":1e999,\"i\":1e300,\"t\":1e30}\n"
                       "{\"v\":1,\"v\":2,\"odd\":{\"x\":[]},\"odd\":1}\n"
                       "{\"\\u0076\":3}\n"
                       "{}\n";
    struct outcome outcome = expect(data, strlen(data),
                                    ROW(0, "null") ROW(1, "null") ROW(2, "2") ROW(3, "3") ROW(4, "null"), "");
    for (const char *name = "vibxst"; *name; name++) {
        assert_int_equal(outcome_count(&outcome, "type mismatch", (char[]){*name, 0}), 1);
    }
    assert_int_equal(outcome_count(&outcome, "number out of range", "v"), 1);
    assert_int_equal(outcome_count(&outcome, "number out of range", "i"), 1);
    assert_int_equal(outcome_count(&outcome, "number out of range", "t"), 1);
    assert_int_equal(outcome_count(&outcome, "duplicate field", "v"), 1);
    assert_int_equal(outcome_count(&outcome, "extra field", "odd"), 2);
    assert_int_equal(outcome_count(&outcome, "missing field", "v"), 1);
    assert_int_equal(outcome_count(&outcome, "missing field", "b"), 4);
    outcome_free(&outcome);
}

static void test_deep(void **state)
{
    (void)state;
    struct weir_buffer data = {0};
    for (int depth = 1000; depth <= 2000; depth += 1000) {
        buffer_string(&data, "{\"v\":1,\"deep\":");
        for (int i = 0; i < depth; i++) {
            buffer_string(&data, "[");
        }
        for (int i = 0; i < depth; i++) {
            buffer_string(&data, "]");
        }
        buffer_string(&data, "}\n");
    }
    buffer_string(&data, "{\"v\":2}\n");
    struct outcome outcome = expect(data.data, data.size, ROW(0, "1") ROW(2, "2"), "2 nested too deep\n");
    assert_int_equal(outcome_count(&outcome, "extra field", "deep"), 2);
    outcome_free(&outcome);
    buffer_free(&data);
}

static void test_long_lines(void **state)
{
    (void)state;
    struct codec_read_options options = options_ab();
    options.line_max = 1000;
    struct weir_buffer data = {0};
    buffer_string(&data, "{\"v\":1}\n");
    for (int size = 1000; size <= 1001; size++) { /* the first just fits */
        size_t begin = data.size;
        buffer_string(&data, "{\"v\":2,\"pad\":\"");
        while (data.size - begin < (size_t)size - 2) {
            buffer_string(&data, "y");
        }
        buffer_string(&data, "\"}\r\n");
    }
    buffer_string(&data, "{\"v\":3}\n");
    for (int i = 0; i < 1001; i++) {
        buffer_string(&data, "z");
    }
    struct outcome outcome = decode_text(CODEC_NDJSON, &options, data.data, data.size, NULL);
    assert_string_equal(outcome.rows.data, ROW(0, "1") ROW(1, "2") ROW(3, "3"));
    assert_string_equal(outcome.refusals.data, "3 line too long\n5 line too long\n");
    outcome_free(&outcome);

    /* A line longer than a window, and than what a scanner has room for. */
    options.line_max = 1 << 20;
    data.size = 0;
    buffer_string(&data, "{\"v\":1}\n{\"v\":2,\"pad\":\"");
    for (int i = 0; i < 300000; i++) {
        buffer_string(&data, "y");
    }
    buffer_string(&data, "\"}\n{\"v\":3}\n");
    outcome = decode_text(CODEC_NDJSON, &options, data.data, data.size, NULL);
    assert_string_equal(outcome.rows.data, ROW(0, "1") ROW(1, "2") ROW(2, "3"));
    assert_string_equal(outcome.refusals.data, "");
    outcome_free(&outcome);
    buffer_free(&data);
}

static void test_symbols_full(void **state)
{
    (void)state;
    struct weir_buffer data = {0};
    buffer_string(&data, "{\"s\":\"a\",\"v\":1}\n{\"s\":\"");
    for (int i = 0; i < SYMBOL_LENGTH_MAX + 1; i++) {
        buffer_string(&data, "y");
    }
    buffer_string(&data, "\",\"v\":2}\n{\"s\":\"a\",\"v\":3}\n");
    struct codec_read_options options = options_ab();
    struct outcome outcome = decode_text(CODEC_NDJSON, &options, data.data, data.size, NULL);
    assert_int_equal(outcome.good, 2);
    assert_string_equal(outcome.refusals.data, "2 symbol too long\n");
    outcome_free(&outcome);
    buffer_free(&data);

    struct weir_symbols *symbols = symbols_new(NULL, 1);
    struct test_rig rig = {.pool = pool_new(NULL, 0), .symbols = symbols};
    struct decoder_events events = {&outcome, outcome_refused, outcome_counted};
    struct weir_env env = {0};
    size_t skip;
    uint64_t lines;
    memset(&outcome, 0, sizeof outcome);
    assert_int_equal(codec_layout_new(CODEC_NDJSON, &options, &env, "", 0, true, NULL, &rig.layout, &skip, &lines), 0);
    rig.decoder = decoder_new(rig.pool, symbols, &events);
    const char *text = "{\"s\":\"a\"}\n{\"s\":\"b\"}\n{\"s\":\"a\"}\n";
    outcome_block(&outcome, &rig, text, strlen(text), 1);
    buffer_append(&outcome.refusals, "", 1);
    assert_int_equal(outcome.good, 2);
    assert_int_equal(outcome.records, 3);
    assert_string_equal(outcome.refusals.data, "2 symbol table full\n");
    outcome_free(&outcome);
    decoder_free(rig.decoder);
    codec_layout_release(rig.layout);
    symbols_free(symbols);
    pool_close(rig.pool);
}

/* ---- Against a slow, strict reader of our own -------------------------------------------------------------------- */

struct reference {
    const char *p, *end;
    int depth;
};

static bool read_value(struct reference *r);

static void skip_blanks(struct reference *r)
{
    while (r->p < r->end && json_blank(*r->p)) {
        r->p++;
    }
}

static bool take(struct reference *r, char c)
{
    skip_blanks(r);
    if (r->p == r->end || *r->p != c) {
        return false;
    }
    r->p++;
    return true;
}

static bool read_string(struct reference *r)
{
    if (!take(r, '"')) {
        return false;
    }
    while (r->p < r->end && *r->p != '"') {
        unsigned char c = (unsigned char)*r->p++;
        if (c < 0x20) {
            return false;
        }
        if (c != '\\') {
            continue;
        }
        if (r->p == r->end) {
            return false;
        }
        c = (unsigned char)*r->p++;
        if (c == 'u') {
            for (int i = 0; i < 4; i++, r->p++) {
                if (r->p >= r->end || *r->p == '\0' || !strchr("0123456789abcdefABCDEF", *r->p)) {
                    return false;
                }
            }
        } else if (c == '\0' || !strchr("\"\\/bfnrt", c)) {
            return false;
        }
    }
    return take(r, '"');
}

static bool read_word(struct reference *r, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(r->end - r->p) < length || memcmp(r->p, word, length) != 0) {
        return false;
    }
    r->p += length;
    return true;
}

static bool read_digits(struct reference *r)
{
    const char *begin = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9') {
        r->p++;
    }
    return r->p > begin;
}

static bool read_number(struct reference *r)
{
    r->p += r->p < r->end && *r->p == '-';
    bool zero = r->p < r->end && *r->p == '0';
    const char *begin = r->p;
    if (!read_digits(r) || (zero && r->p - begin > 1)) {
        return false;
    }
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (!read_digits(r)) {
            return false;
        }
    }
    if (r->p < r->end && (*r->p | 32) == 'e') {
        r->p++;
        r->p += r->p < r->end && (*r->p == '-' || *r->p == '+');
        return read_digits(r);
    }
    return true;
}

static bool read_list(struct reference *r, char close, bool keys)
{
    r->p++;
    if (take(r, close)) {
        return true;
    }
    do {
        if ((keys && (!read_string(r) || !take(r, ':'))) || !read_value(r)) {
            return false;
        }
    } while (take(r, ','));
    return take(r, close);
}

static bool read_value(struct reference *r)
{
    skip_blanks(r);
    if (r->p == r->end) {
        return false;
    }
    switch (*r->p) {
    case '{':
        return read_list(r, '}', true);
    case '[':
        return read_list(r, ']', false);
    case '"':
        return read_string(r);
    case 't':
        return read_word(r, "true");
    case 'f':
        return read_word(r, "false");
    case 'n':
        return read_word(r, "null");
    default:
        return read_number(r);
    }
}

static bool is_object(const char *line, size_t length)
{
    struct reference r = {line, line + length, 0};
    skip_blanks(&r);
    if (!utf8_valid(line, length) || r.p == r.end || *r.p != '{' || !read_value(&r)) {
        return false;
    }
    skip_blanks(&r);
    return r.p == r.end;
}

static bool is_blank_line(const char *line, size_t length)
{
    struct reference r = {line, line + length, 0};
    skip_blanks(&r);
    return r.p == r.end;
}

static void mutate(struct random *random, char *line, size_t *length)
{
    static const char bytes[] = "\"\"\"\\\\{}[]:,,0123456789.eE-+ \t\r\ntfnu\x01\xc3\xa9\xffx";
    for (uint64_t times = random_below(random, 4); times > 0; times--) {
        size_t at = random_below(random, *length + 1);
        char c = bytes[random_below(random, sizeof bytes - 1)];
        switch (random_below(random, 3)) {
        case 0:
            memmove(line + at + 1, line + at, *length - at);
            line[at] = c;
            ++*length;
            break;
        case 1:
            if (at < *length) {
                memmove(line + at, line + at + 1, *length - at - 1);
                --*length;
            }
            break;
        default:
            if (at < *length) {
                line[at] = c;
            }
            break;
        }
    }
}

/* Rows and refusals by the reference: positions only, as the values are compared by other tests. */
static void reference_lines(const char *data, size_t size, struct weir_buffer *good, struct weir_buffer *bad)
{
    const char *end = data + size;
    uint64_t position = 0;
    for (const char *line = data; line < end; position++) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((newline ? newline : end) - line);
        if (!is_blank_line(line, length)) {
            buffer_format(is_object(line, length) ? good : bad, "%llu\n", (unsigned long long)position);
        }
        line += length + 1;
    }
    buffer_append(good, "", 1);
    buffer_append(bad, "", 1);
}

static void first_words(const char *text, int add, struct weir_buffer *out)
{
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        buffer_format(out, "%llu\n", strtoull(line, NULL, 10) + (unsigned long long)add);
    }
    buffer_append(out, "", 1);
}

static void random_lines(struct random *random, struct weir_buffer *data)
{
    static const char *const kinds[] = {
        "{\"t\":1732147200.123,\"s\":\"s654\",\"v\":25.276,\"i\":0}",
        "{\"t\":\"2024-11-21T00:00:00Z\",\"s\":\"a\\\"b\",\"v\":-1.5e10,\"b\":true,\"x\":\"long text \\\\ with "
        "\\u0041\"}",
        "{ \"o\": {\"a\": [1, 2, {\"b\": null}], \"c\": \"d\"}, \"v\": null }",
        "{}",
        "",
        "{\"x\":\"\\\\\",\"s\":\"\"}",
    };
    data->size = 0;
    for (uint64_t lines = 1 + random_below(random, 30); lines > 0; lines--) {
        char line[256];
        size_t length = (size_t)snprintf(line, sizeof line, "%s", kinds[random_below(random, 6)]);
        if (random_below(random, 4) == 0) {
            mutate(random, line, &length);
        }
        buffer_append(data, line, length);
        buffer_append(data, "\r\n", random_below(random, 8) == 0 ? 2 : 0);
        buffer_append(data, "\n", 1);
    }
    data->size -= random_below(random, 2); /* the last newline may be missing */
}

static void test_mutated(void **state)
{
    (void)state;
    struct random random = random_start();
    struct weir_buffer data = {0};
    struct codec_read_options options = options_ab();
    for (int round = 0; round < 3000; round++) {
        random_lines(&random, &data);
        struct weir_buffer good = {0}, bad = {0}, rows = {0}, refusals = {0};
        reference_lines(data.data, data.size, &good, &bad);
        struct outcome whole = decode_text(CODEC_NDJSON, &options, data.data, data.size, NULL);
        struct outcome cut = decode_text(CODEC_NDJSON, &options, data.data, data.size, &random);
        first_words(whole.rows.data, 0, &rows);
        first_words(whole.refusals.data, -1, &refusals);
        if (strcmp(rows.data, good.data) != 0) {
            print_message("%.*s\n", (int)data.size, data.data);
        }
        assert_string_equal(rows.data, good.data);
        assert_string_equal(refusals.data, bad.data);
        assert_string_equal(cut.rows.data, whole.rows.data);
        assert_string_equal(cut.refusals.data, whole.refusals.data);
        outcome_free(&whole);
        outcome_free(&cut);
        buffer_free(&good);
        buffer_free(&bad);
        buffer_free(&rows);
        buffer_free(&refusals);
    }
    buffer_free(&data);
}

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

static void test_short_numbers(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < 1000000; round++) {
        char text[64] = {0};
        size_t length = 1 + random_below(&random, 18);
        for (size_t i = 0; i < length; i++) {
            text[i] = (char)('0' + random_below(&random, 10));
        }
        text[length] = "e,.x 5"[random_below(&random, 6)]; /* what follows must not matter */
        if (length > 2 && random_below(&random, 3)) {
            text[1 + random_below(&random, length - 2)] = '.';
        }
        struct number number = {0};
        double value, wanted;
        char saved = text[length];
        if (!number_short(text, length, &number)) {
            assert_true(length > 16);
            continue;
        }
        text[length] = '\0';
        wanted = strtod(text, NULL);
        text[length] = saved;
        if (number_short_value(&number, &value)) {
            assert_true(value == wanted);
        }
        assert_int_equal(number_from_text(text, length, &value), 0);
        assert_true(value == wanted);
    }
    struct number ignored;
    static const char *const wrong[] = {".5", "5.", "1..2", "1.2.3", "-1", "+1", "1e5", "", "x", "1 "};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[32] = {0};
        memcpy(text, wrong[i], strlen(wrong[i]));
        assert_false(number_short(text, strlen(wrong[i]), &ignored));
    }
}

static void test_number_limits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int error;
        double value;
    } cases[] = {
        {"1e308", 0, 1e308},
        {"1e309", -ERANGE, 0},
        {"-1e309", -ERANGE, 0},
        {"1e-400", 0, 0},
        {"-1e-400", 0, 0},
        {"4.9e-324", 0, 5e-324},
        {"0e999999999999", 0, 0},
        {"0.0", 0, 0},
        {"1e999999999999999999999", -ERANGE, 0},
        {"1e-999999999999999999999", 0, 0},
        {"", -EINVAL, 0},
        {"1x", -EINVAL, 0},
        {"inf", 0, INFINITY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double value = 0;
        assert_int_equal(number_from_text(cases[i].text, strlen(cases[i].text), &value), cases[i].error);
        assert_true(value == cases[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),        cmocka_unit_test(test_bad_lines), cmocka_unit_test(test_lines),
        cmocka_unit_test(test_counts),        cmocka_unit_test(test_deep),      cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_symbols_full),  cmocka_unit_test(test_mutated),   cmocka_unit_test(test_short_numbers),
        cmocka_unit_test(test_number_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
