// SPDX-License-Identifier: MIT
#include "codec/ndjson_simdjson.h"
#include <cerrno>
#include <charconv>
#include <cmath>
#include <memory>
#include <new>
#include <simdjson.h>

using simdjson::error_code;
using simdjson::internal::dom_parser_implementation;

namespace
{
constexpr size_t usual_capacity = 64 << 10;
constexpr size_t keep_capacity = 1 << 20; // after a longer line the memory for its marks (4 bytes for each) goes back
} // namespace

struct json_scanner {
    std::unique_ptr<dom_parser_implementation> parser;
};

static error_code reserve(json_scanner *scanner, size_t capacity)
{
    return simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, 1, scanner->parser);
}

extern "C" json_scanner *json_scanner_new(void)
{
    auto *scanner = new (std::nothrow) json_scanner;
    if (scanner != nullptr && reserve(scanner, usual_capacity) != simdjson::SUCCESS) {
        delete scanner;
        return nullptr;
    }
    return scanner;
}

extern "C" void json_scanner_free(json_scanner *scanner)
{
    delete scanner;
}

static bool make_room(json_scanner *scanner, size_t size)
{
    size_t capacity = scanner->parser ? scanner->parser->capacity() : 0;
    if (size < capacity && (capacity <= keep_capacity || size > keep_capacity / 2)) {
        return true;
    }
    size_t wanted = size < usual_capacity ? usual_capacity : size + size / 2 + 64;
    return reserve(scanner, wanted) == simdjson::SUCCESS;
}

extern "C" enum json_scan json_scan(json_scanner *scanner, const char *data, size_t size, const uint32_t **ret_marks,
                                    uint32_t *ret_count)
{
    if (!make_room(scanner, size)) {
        scanner->parser.reset();
        return JSON_SCAN_MEMORY;
    }
    dom_parser_implementation *parser = scanner->parser.get();
    error_code error = parser->stage1(reinterpret_cast<const uint8_t *>(data), size, simdjson::stage1_mode::regular);
    *ret_marks = parser->structural_indexes.get();
    *ret_count = parser->n_structural_indexes;
    switch (error) {
    case simdjson::SUCCESS:
        return JSON_SCAN_GOOD;
    case simdjson::EMPTY:
        *ret_count = 0;
        return JSON_SCAN_GOOD;
    case simdjson::UNCLOSED_STRING:
        return JSON_SCAN_UNCLOSED;
    case simdjson::UNESCAPED_CHARS:
        return JSON_SCAN_CONTROL;
    case simdjson::UTF8_ERROR:
        return JSON_SCAN_UTF8;
    default:
        return JSON_SCAN_OTHER;
    }
}

extern "C" bool utf8_valid(const char *data, size_t size)
{
    return simdjson::validate_utf8(data, size);
}

// from_chars says only "out of range": tell too large from too small by the place of the first digit that is not 0.
static bool is_tiny(const char *text, const char *end)
{
    long exponent = 0, place = 0;
    bool point = false, digits = false;
    for (const char *p = text; p < end; p++) {
        if (*p == '.') {
            point = true;
        } else if (*p == 'e' || *p == 'E') {
            const char *digit = p + 1 + (p + 1 < end && p[1] == '+');
            if (std::from_chars(digit, end, exponent).ec != std::errc()) {
                return *digit == '-';
            }
            break;
        } else if (*p >= '0' && *p <= '9') {
            digits = digits || *p != '0';
            place += point ? (digits ? 0 : -1) : (digits ? 1 : 0);
        }
    }
    return place + exponent < 0;
}

extern "C" int number_from_text(const char *text, size_t length, double *ret)
{
    const char *end = text + length;
    double value = 0;
    auto result = std::from_chars(text, end, value);
    if (result.ptr != end || result.ec == std::errc::invalid_argument) {
        return -EINVAL;
    }
    if (result.ec != std::errc() || (std::isinf(value) && text[length - 1] <= '9')) {
        if (!is_tiny(text, end)) {
            return -ERANGE;
        }
        value = *text == '-' ? -0.0 : 0.0;
    }
    *ret = value;
    return 0;
}

extern "C" size_t number_to_text(double value, char *out)
{
    return static_cast<size_t>(std::to_chars(out, out + 32, value).ptr - out);
}
