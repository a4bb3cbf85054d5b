/* SPDX-License-Identifier: MIT */
#include "codec/test_codec.h"

#include "codec/ndjson_simdjson.h"

static const struct weir_pair typed_fields[] = {TEST_FIELD("t", "time"), TEST_FIELD("s", "symbol"),
                                                TEST_FIELD("v", "f64"), TEST_FIELD("b", "bool"),
                                                TEST_FIELD("x", "text")};
static const struct weir_pair text_fields[] = {TEST_FIELD("a", "text"), TEST_FIELD("b", "text"),
                                               TEST_FIELD("c", "text")};

static struct outcome decode(const struct weir_pair *fields, size_t count, const char *data, size_t line_max,
                             struct random *random)
{
    struct codec_read_options options = test_options();
    options.fields = (struct weir_list){fields, count};
    options.line_max = (int64_t)line_max;
    return decode_text(CODEC_CSV, &options, data, strlen(data), random);
}

static void expect(const char *data, const char *rows, const char *refusals)
{
    struct outcome outcome = decode(text_fields, 3, data, 200, NULL);
    assert_string_equal(outcome.rows.data, rows);
    assert_string_equal(outcome.refusals.data, refusals);
    outcome_free(&outcome);
}

static void test_values(void **state)
{
    (void)state;
    const char *data = "t,s,v,b,x\r\n"
                       "1732147200.123,s654,25.276,true,plain\r\n"
                       "2024-11-21 00:00:00,s1,-1e3,FALSE,\"a \"\"quoted\"\", text\"\r\n"
                       ",,,,\r\n"
                       "\"2024-11-21T00:00:00Z\",\"s1\",\" 7 \",\"1\",\"\"\r\n"
                       "0,NA,NA,na,NA\r\n"
                       "never,s,x,maybe,0\r\n"
                       "1,s,1e999,0,0";
    struct outcome outcome = decode(typed_fields, 5, data, 1 << 20, NULL);
    assert_string_equal(
        outcome.rows.data,
        "1 {\"t\":\"2024-11-21T00:00:00.123Z\",\"s\":\"s654\",\"v\":25.276,\"b\":true,\"x\":\"plain\"}\n"
        "2 {\"t\":\"2024-11-21T00:00:00Z\",\"s\":\"s1\",\"v\":-1000,\"b\":false,\"x\":\"a \\\"quoted\\\", text\"}\n"
        "3 {\"t\":null,\"s\":null,\"v\":null,\"b\":null,\"x\":null}\n"
        "4 {\"t\":\"2024-11-21T00:00:00Z\",\"s\":\"s1\",\"v\":7,\"b\":true,\"x\":\"\"}\n"
        "5 {\"t\":\"1970-01-01T00:00:00Z\",\"s\":\"NA\",\"v\":null,\"b\":null,\"x\":\"NA\"}\n"
        "6 {\"t\":null,\"s\":\"s\",\"v\":null,\"b\":null,\"x\":\"0\"}\n"
        "7 {\"t\":\"1970-01-01T00:00:01Z\",\"s\":\"s\",\"v\":null,\"b\":false,\"x\":\"0\"}\n");
    assert_string_equal(outcome.refusals.data, "");
    assert_int_equal(outcome_count(&outcome, "type mismatch", "t"), 1);
    assert_int_equal(outcome_count(&outcome, "type mismatch", "v"), 1);
    assert_int_equal(outcome_count(&outcome, "type mismatch", "b"), 1);
    assert_int_equal(outcome_count(&outcome, "number out of range", "v"), 1);
    outcome_free(&outcome);
}

#define ABC(position, a, b, c) #position " {\"a\":" a ",\"b\":" b ",\"c\":" c "}\n"

static void test_records(void **state)
{
    (void)state;
    expect("", "", "");
    expect("a,b,c\n", "", "");
    expect("\xef\xbb\xbf"
           "a,b,c\n1,2,3\n",
           ABC(1, "\"1\"", "\"2\"", "\"3\""), "");
    expect("\n\na,b,c\n\r\n1,2,3\n\n4,5,6", ABC(4, "\"1\"", "\"2\"", "\"3\"") ABC(6, "\"4\"", "\"5\"", "\"6\""), "");
    expect("c,x,a\n1,2,3\n", ABC(1, "\"3\"", "null", "\"1\""), "");
    expect("a,b,c\n\"1\n2\",\"x,y\",3\n4,5,6\n",
           ABC(1, "\"1\\n2\"", "\"x,y\"", "\"3\"") ABC(3, "\"4\"", "\"5\"", "\"6\""), "");
    expect("a,b,c\n1,5\" pipe,3\n", ABC(1, "\"1\"", "\"5\\\" pipe\"", "\"3\""), "");
    expect("a,b,c\n1\n1,2,3,4,5\n", ABC(1, "\"1\"", "null", "null") ABC(2, "\"1\"", "\"2\"", "\"3\""), "");
}

static void test_field_numbers(void **state)
{
    (void)state;
    struct outcome outcome = decode(text_fields, 3, "a,x,b,c\n1,2\n1,2,3,4,5,6\n\"1\"\n", 200, NULL);
    assert_int_equal(outcome.good, 3);
    assert_int_equal(outcome_count(&outcome, "missing field", "b"), 2);
    assert_int_equal(outcome_count(&outcome, "missing field", "c"), 2);
    assert_int_equal(outcome_count(&outcome, "extra field", "x"), 2);
    assert_int_equal(outcome_count(&outcome, "extra field", "(beyond the last)"), 2);
    outcome_free(&outcome);
}

static void test_bad_lines(void **state)
{
    (void)state;
#define GOOD2 ABC(1, "\"1\"", "\"2\"", "\"3\"") ABC(3, "\"7\"", "\"8\"", "\"9\"")
    expect("a,b,c\n1,2,3\n4,\"5,6\n7,8,9\n", GOOD2, "3 stray quote\n");
    expect("a,b,c\n1,2,3\n4,\"5\"x,6\n7,8,9\n", GOOD2, "3 stray quote\n");
    expect("a,b,c\n1,2,3\n4,\"5,6\n7,8,9\n\"1\",\"2\",3\n", GOOD2 ABC(4, "\"1\"", "\"2\"", "\"3\""), "3 stray quote\n");
    expect("a,b,c\n1,2,3\n4,\xff,6\n7,8,9\n", GOOD2, "3 invalid UTF-8\n");
    static const char long_line[] =
        "a,b,c\n1,2,3\n"
        "1234567890123456789012345678901234567890123456789012345678901234567890,1,1\n7,8,9\n";
    struct outcome outcome = decode(text_fields, 3, long_line, 64, NULL);
    assert_string_equal(outcome.rows.data, GOOD2);
    assert_string_equal(outcome.refusals.data, "3 line too long\n");
    outcome_free(&outcome);
    /* The quote would close, but beyond line_max. */
    static const char long_quote[] = "a,b,c\n1,2,3\n\"4\n7,8,9\n"
                                     "12345678901234567890123456789012345678901234567890123456,1,1\n\",3,3\n";
    outcome = decode(text_fields, 3, long_quote, 64, NULL);
    assert_int_equal(outcome.good, 3);
    assert_string_equal(outcome.refusals.data, "3 stray quote\n6 stray quote\n");
    outcome_free(&outcome);
    struct codec_read_options options = test_options();
    options.fields = (struct weir_list){text_fields, 3};
    static const char zero[] = "a,b,c\n1,2,3\n4,\0,6\n7,8,9\n";
    outcome = decode_text(CODEC_CSV, &options, zero, sizeof zero - 1, NULL);
    assert_string_equal(outcome.rows.data, GOOD2);
    assert_string_equal(outcome.refusals.data, "3 binary data\n");
    outcome_free(&outcome);
}

/* ---- Against a reader that takes one character after the other --------------------------------------------------- */

enum verdict { VERDICT_GOOD, VERDICT_BAD };

/* The fields of the record at p, as JSON strings; NULL and `limit`: see csv_scan.c. Returns the record's end. */
static const char *reference_record(const char *p, const char *end, size_t line_max, char out[64][512], int *ret_count,
                                    enum verdict *verdict)
{
    const char *limit = (size_t)(end - p) > line_max ? p + line_max + 1 : end, *begin = p;
    bool limited = limit < end || (size_t)(end - begin) > line_max;
    *ret_count = 0;
    *verdict = VERDICT_GOOD;
    for (;;) {
        size_t length = 0;
        char *field = out[*ret_count];
        bool quoted = p < limit && *p == '"';
        if (quoted) {
            bool closed = false;
            for (p++; p < limit; p++) {
                if (*p == '"' && p + 1 < limit && p[1] == '"') {
                    p++;
                } else if (*p == '"') {
                    closed = true;
                    p++;
                    break;
                }
                field[length++] = *p;
            }
            bool after = p < limit && *p != ',' && *p != '\n' && !(*p == '\r' && (p + 1 == limit || p[1] == '\n'));
            if (!closed || after || (p == limit && limited)) {
                *verdict = VERDICT_BAD;
                break;
            }
        }
        while (p < limit && *p != ',' && *p != '\n') {
            if (!quoted) {
                field[length++] = *p;
            }
            p++;
        }
        bool last = p == limit || *p == '\n';
        if (last && !quoted && length > 0 && field[length - 1] == '\r') {
            length--;
        }
        field[length] = '\0';
        if (!quoted && length == 0) {
            memcpy(field, "\x01", 2); /* null */
        }
        ++*ret_count;
        if (last && p == limit && limited && p[-1] == '\r' && (p == end || *p == '\n')) {
            return p + (p < end);
        }
        if (last && p == limit && limited) {
            *verdict = VERDICT_BAD;
            break;
        }
        if (last) {
            return p < end ? p + 1 : p;
        }
        p++;
    }
    const char *newline = memchr(begin, '\n', (size_t)(end - begin));
    return newline ? newline + 1 : end;
}

static void reference_decode(const char *data, size_t line_max, struct weir_buffer *rows, struct weir_buffer *refusals)
{
    const char *p = strchr(data, '\n') + 1, *end = data + strlen(data);
    unsigned line = 1;
    while (p < end) {
        char fields[64][512];
        int count;
        enum verdict verdict;
        const char *next = reference_record(p, end, line_max, fields, &count, &verdict);
        size_t size = (size_t)(next - p) - (next > p && next[-1] == '\n');
        size -= size > 0 && p[size - 1] == '\r';
        if (size > 0 && (verdict == VERDICT_BAD || size > line_max || !utf8_valid(p, size))) {
            buffer_format(refusals, "%u\n", line + 1);
        } else if (size > 0) {
            buffer_format(rows, "%u {", line);
            for (int i = 0; i < 3; i++) {
                buffer_format(rows, "%s\"%c\":", i ? "," : "", 'a' + i);
                if (i >= count || fields[i][0] == '\x01') {
                    buffer_string(rows, "null");
                } else {
                    buffer_json_string(rows, fields[i], strlen(fields[i]));
                }
            }
            buffer_string(rows, "}\n");
        }
        for (; p < next; p++) {
            line += *p == '\n';
        }
    }
    buffer_append(rows, "", 1);
    buffer_append(refusals, "", 1);
}

static void random_csv(struct random *random, struct weir_buffer *data)
{
    static const char *const pieces[] = {"abc",  "1.5", "\"",       "\"\"",     "\"x,y\"",
                                         ",",    ",",   ",",        "\n",       "\n",
                                         "\r\n", " ",   "\"a\nb\"", "\xc3\xa9", "12345678901234567890",
                                         "\xff", "\r"};
    data->size = 0;
    buffer_string(data, "a,b,c\n");
    uint64_t quotes = random_below(random, 3); /* some texts have no quotes at all */
    for (uint64_t i = random_below(random, 60); i > 0; i--) {
        const char *piece = pieces[random_below(random, sizeof pieces / sizeof *pieces)];
        if ((quotes > 0 || !strchr(piece, '"')) && (*piece != '\xff' || random_below(random, 20) == 0)) {
            buffer_string(data, piece);
        }
    }
    buffer_append(data, "", 1);
    data->size--;
}

static void all_but_reason(const char *text, struct weir_buffer *out)
{
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        buffer_format(out, "%llu\n", strtoull(line, NULL, 10));
    }
    buffer_append(out, "", 1);
}

static void test_random(void **state)
{
    (void)state;
    struct random random = random_start();
    struct weir_buffer data = {0};
    for (int round = 0; round < 10000; round++) {
        random_csv(&random, &data);
        size_t line_max = random_below(&random, 2) ? 64 : 1000;
        struct weir_buffer rows = {0}, lines = {0}, refusals = {0};
        reference_decode(data.data, line_max, &rows, &lines);
        struct outcome whole = decode(text_fields, 3, data.data, line_max, NULL);
        struct outcome cut = decode(text_fields, 3, data.data, line_max, &random);
        all_but_reason(whole.refusals.data, &refusals);
        if (strcmp(whole.rows.data, rows.data) != 0 || strcmp(cut.rows.data, whole.rows.data) != 0) {
            print_message("line_max %zu:\n%s\n", line_max, data.data);
        }
        assert_string_equal(whole.rows.data, rows.data);
        assert_string_equal(refusals.data, lines.data);
        assert_string_equal(cut.rows.data, whole.rows.data);
        assert_string_equal(cut.refusals.data, whole.refusals.data);
        outcome_free(&whole);
        outcome_free(&cut);
        buffer_free(&rows);
        buffer_free(&lines);
        buffer_free(&refusals);
    }
    buffer_free(&data);
}

static void test_delimiter(void **state)
{
    (void)state;
    struct codec_read_options options = test_options();
    options.delimiter = "\\t";
    const char *data = "time\tname\tvalue\n2024-11-21 00:00:00\ta,b\t1.5\n";
    struct outcome outcome = decode_text(CODEC_CSV, &options, data, strlen(data), NULL);
    assert_string_equal(outcome.rows.data, "1 {\"time\":\"2024-11-21T00:00:00Z\",\"name\":\"a,b\",\"value\":1.5}\n");
    outcome_free(&outcome);
    options.delimiter = ";;";
    outcome = decode_text(CODEC_CSV, &options, data, strlen(data), NULL);
    assert_int_not_equal(outcome.error, 0);
    assert_non_null(strstr(outcome.message, "delimiter"));
    outcome_free(&outcome);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),    cmocka_unit_test(test_records), cmocka_unit_test(test_field_numbers),
        cmocka_unit_test(test_bad_lines), cmocka_unit_test(test_random),  cmocka_unit_test(test_delimiter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
