// SPDX-License-Identifier: MIT
// The limit for whatever reads NDJSON with libsimdjson: its own reading of the four fields of each line, in the order
// in which they stand, on one core. The file is in memory before the clock starts, and nothing is kept but sums.
//
//     ndjson_limit FILE
//
// Prints one JSON object: the best of a few sizes of the window in which lines are looked for.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <simdjson.h>

using namespace simdjson;

struct sums {
    uint64_t records;
    double numbers;
};

static bool read_line(ondemand::document_reference line, sums &sums)
{
    ondemand::object object;
    double ts, value;
    int64_t seq;
    std::string_view sensor;
    if (line.get_object().get(object) || object.find_field("ts").get(ts) || object.find_field("sensor").get(sensor) ||
        object.find_field("value").get(value) || object.find_field("seq").get(seq)) {
        return false;
    }
    sums.numbers += ts + value + static_cast<double>(seq) + static_cast<double>(sensor.size());
    sums.records++;
    return true;
}

static bool read_all(const padded_string &data, size_t window, sums &sums)
{
    ondemand::parser parser;
#ifdef SIMDJSON_THREADS_ENABLED
    parser.threaded = false; // one core
#endif
    ondemand::document_stream stream;
    if (parser.iterate_many(data, window).get(stream)) {
        return false;
    }
    for (auto line : stream) {
        ondemand::document_reference document;
        if (std::move(line).get(document) || !read_line(document, sums)) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    padded_string data;
    if (argc != 2 || padded_string::load(argv[1]).get(data)) {
        std::fprintf(stderr, "usage: ndjson_limit FILE\n");
        return 2;
    }
    double best = 0;
    sums read = {};
    for (size_t window : {size_t(64) << 10, size_t(256) << 10, size_t(1) << 20}) {
        read = {};
        auto start = std::chrono::steady_clock::now();
        if (!read_all(data, window, read)) {
            std::fprintf(stderr, "ndjson_limit: record %llu cannot be read\n",
                         static_cast<unsigned long long>(read.records + 1));
            return 1;
        }
        double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        best = best > 0 && best < seconds ? best : seconds;
    }
    std::printf("{\"records\": %llu, \"bytes\": %zu, \"seconds\": %.6f, \"records_per_second\": %.0f, \"sum\": %.3f, "
                "\"implementation\": \"%s\"}\n",
                static_cast<unsigned long long>(read.records), data.size(), best,
                static_cast<double>(read.records) / best, read.numbers, get_active_implementation()->name().c_str());
    return 0;
}
