/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "measure/microbench.h"

#define FORMAT "weir bench"

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

static void put_name(struct weir_buffer *out, const char *name)
{
    buffer_format(out, "%s\"%s\": ", out->size && out->data[out->size - 1] == '{' ? "" : ", ", name);
}

static void put_text(struct weir_buffer *out, const char *name, const char *text)
{
    put_name(out, name);
    buffer_json_string(out, text, strlen(text));
}

static void put_number(struct weir_buffer *out, const char *name, double number)
{
    put_name(out, name);
    if (isfinite(number))
        buffer_format(out, "%.12g", number);
    else
        buffer_string(out, "null");
}

static void put_known(struct weir_buffer *out, const char *name, double number, bool known)
{
    put_number(out, name, known ? number : NAN);
}

static void put_spread(struct weir_buffer *out, const char *name, const struct microbench_spread *spread)
{
    put_name(out, name);
    buffer_string(out, "{");
    put_number(out, "median", spread->median);
    put_number(out, "mad", spread->mad);
    put_number(out, "low", spread->low);
    put_number(out, "high", spread->high);
    put_number(out, "confidence", spread->confidence);
    put_number(out, "least", spread->least);
    put_number(out, "most", spread->most);
    put_number(out, "mean", spread->mean);
    put_number(out, "deviation", spread->deviation);
    put_number(out, "samples", spread->count);
    put_number(out, "outliers", spread->outliers);
    buffer_string(out, "}");
}

static void put_machine(const struct microbench_machine *machine, struct weir_buffer *out)
{
    buffer_string(out, ", \"machine\": {");
    put_text(out, "processor", machine->processor);
    put_number(out, "processors", machine->processors);
    put_known(out, "pinned_to", machine->pinned, machine->pinned >= 0);
    put_known(out, "hertz_measured_before", machine->measured_before * 1e6, machine->measured_before > 0);
    put_known(out, "hertz_measured_after", machine->measured_after * 1e6, machine->measured_after > 0);
    put_known(out, "hertz_by_system", machine->megahertz * 1e6, machine->megahertz > 0);
    put_name(out, "governor");
    if (machine->governor[0])
        buffer_json_string(out, machine->governor, strlen(machine->governor));
    else
        buffer_string(out, "null");
    put_known(out, "load", machine->load, machine->load >= 0);
    buffer_string(out, "}");
}

static void put_result(const struct microbench_result *result, const struct microbench_against *against,
                       struct weir_buffer *out)
{
    static const char *const words[] = {"none", "faster", "slower", "new"};
    put_text(out, "name", result->name);
    put_text(out, "item", result->item);
    put_number(out, "items_per_call", result->items);
    put_number(out, "calls_per_sample", (double)result->calls);
    put_text(out, "clock", result->wall ? "real" : "processor");
    put_spread(out, "ns_per_item", &result->time);
    put_known(out, "items_per_second", 1e9 / result->time.median, result->time.median > 0);
    put_number(out, "drift", result->drift);
    if (result->gain.count) {
        put_text(out, "slow", result->slow);
        put_spread(out, "times_as_fast", &result->gain);
    }
    if (against) {
        const struct microbench_result *before = microbench_find(against->before->results, against->before->count,
                                                                 result->name);
        put_known(out, "ns_per_item_before", before ? before->time.median : 0, before != NULL);
        put_known(out, "ratio", before ? result->time.median / before->time.median : 0, before != NULL);
        put_text(out, "change", words[microbench_compare(before, result, against->tolerance)]);
    }
}

void microbench_json(const struct microbench_set *set, const struct microbench_against *against,
                     struct weir_buffer *out)
{
    uint32_t regressions = 0;
    buffer_string(out, "{");
    put_text(out, "format", FORMAT);
    put_number(out, "version", MICROBENCH_VERSION);
    put_text(out, "weir", set->weir);
    put_machine(&set->machine, out);
    buffer_string(out, ", \"benchmarks\": [");
    for (uint32_t i = 0; i < set->count; i++) {
        buffer_string(out, i ? "}, {" : "{");
        put_result(&set->results[i], against, out);
        regressions += against && microbench_compare(microbench_find(against->before->results, against->before->count,
                                                                     set->results[i].name),
                                                     &set->results[i], against->tolerance) == MICROBENCH_SLOWER;
    }
    buffer_string(out, set->count ? "}]" : "]");
    if (against) {
        put_text(out, "against", against->name);
        put_number(out, "tolerance", against->tolerance);
        put_number(out, "regressions", regressions);
    }
    buffer_string(out, "}\n");
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

static uint32_t whole(const struct json_node *node, const char *name)
{
    uint64_t count = json_member_count(node, name);
    return count <= UINT32_MAX ? (uint32_t)count : 0;
}

static double positive(const struct json_node *node, const char *name)
{
    double value = json_member_number(node, name, 0);
    return value > 0 && isfinite(value) ? value : 0;
}

/* What a comparison needs. */
static int read_result(const struct json_node *node, struct microbench_result *ret)
{
    const char *name = json_member_text(node, "name", NULL);
    const struct json_node *time = json_member(node, "ns_per_item");
    if (!name || !time)
        return -EINVAL;
    snprintf(ret->name, sizeof ret->name, "%s", name);
    snprintf(ret->item, sizeof ret->item, "%s", json_member_text(node, "item", ""));
    ret->items = whole(node, "items_per_call");
    ret->time = (struct microbench_spread){
        .count = whole(time, "samples"),
        .median = positive(time, "median"),
        .mad = positive(time, "mad"),
        .low = positive(time, "low"),
        .high = positive(time, "high"),
        .confidence = positive(time, "confidence"),
    };
    bool good = ret->time.median > 0 && ret->time.low <= ret->time.median && ret->time.median <= ret->time.high;
    return good ? 0 : -EINVAL;
}

static void read_machine(const struct json_node *node, struct microbench_machine *ret)
{
    *ret = (struct microbench_machine){.pinned = -1, .load = -1};
    snprintf(ret->processor, sizeof ret->processor, "%s", json_member_text(node, "processor", ""));
    ret->processors = whole(node, "processors");
    ret->measured_before = positive(node, "hertz_measured_before") / 1e6;
    ret->measured_after = positive(node, "hertz_measured_after") / 1e6;
}

static int read_results(const struct json_node *list, struct microbench_set *ret, struct weir_error *error)
{
    uint32_t count = 0;
    if (!list || list->kind != JSON_ARRAY)
        return weir_fail(error, -EINVAL, "it has no benchmarks");
    for (const struct json_node *at = list->first; at; at = at->next)
        count++;
    if (count > MICROBENCH_RESULTS_MAX)
        return weir_fail(error, -E2BIG, "it has %u benchmarks, more than %d", count, MICROBENCH_RESULTS_MAX);
    ret->results = memory_zeroed(count + 1, sizeof *ret->results);
    if (!ret->results)
        return weir_fail(error, -ENOMEM, "out of memory");
    for (const struct json_node *at = list->first; at; at = at->next) {
        if (read_result(at, &ret->results[ret->count]) < 0)
            return weir_fail(error, -EINVAL, "benchmark %u is not whole", ret->count + 1);
        ret->count++;
    }
    return 0;
}

int microbench_read(const char *text, size_t size, struct microbench_set *ret, struct weir_error *error)
{
    struct microbench_set set = {0};
    struct json_tree *tree = NULL;
    int code = json_tree_parse(text, size, &tree, error);
    if (code < 0)
        return code;
    const struct json_node *root = json_tree_root(tree);
    double version = json_member_number(root, "version", 0);
    if (strcmp(json_member_text(root, "format", ""), FORMAT) != 0)
        code = weir_fail(error, -EINVAL, "these are no measurements; weir bench --save makes some");
    else if (version != MICROBENCH_VERSION)
        code = weir_fail(error, -EINVAL,
                         "these are measurements of version %g, and this program reads version %d; make them again "
                         "with weir bench --save",
                         version, MICROBENCH_VERSION);
    else
        code = read_results(json_member(root, "benchmarks"), &set, error);
    if (!code) {
        read_machine(json_member(root, "machine"), &set.machine);
        snprintf(set.weir, sizeof set.weir, "%s", json_member_text(root, "weir", ""));
    }
    json_tree_free(tree);
    if (code < 0) {
        microbench_set_free(&set);
        return code;
    }
    *ret = set;
    return 0;
}

void microbench_set_free(struct microbench_set *set)
{
    memory_free(set->results);
    *set = (struct microbench_set){0};
}
