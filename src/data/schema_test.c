/* SPDX-License-Identifier: MIT */
#include "data/test_data.h"

#include <weir/schema.h>

#include "base/memory.h"

static const struct weir_field fields[] = {
    {.name = "time", .type = WEIR_TIME},
    {.name = "sensor", .type = WEIR_SYMBOL},
    {.name = "value", .type = WEIR_F64},
    {.name = "shape", .type = WEIR_ARRAY, .element = WEIR_ELEMENT_F64, .elements = 3},
};

static void names_are_copied_and_found(void **state)
{
    (void)state;
    char name[] = "sensor";
    struct weir_field mine[] = {fields[0], {.name = name, .type = WEIR_SYMBOL}};
    struct weir_schema *schema = weir_schema_new(mine, 2, 0, 1);
    name[0] = 'X';
    assert_int_equal(weir_schema_find(schema, "sensor"), 1);
    assert_int_equal(weir_schema_find(schema, "Xensor"), -1);
    assert_int_equal(weir_schema_find(schema, ""), -1);
    assert_ptr_equal(weir_schema_reference(schema), schema);
    weir_schema_release(schema);
    assert_string_equal(schema->fields[1].name, "sensor");
    weir_schema_release(schema);
    weir_schema_release(NULL);
}

static void extend_appends_and_replaces(void **state)
{
    (void)state;
    struct weir_schema *base = weir_schema_new(fields, 4, 0, 1);
    struct weir_field added[] = {{.name = "z", .type = WEIR_F64}, {.name = "value", .type = WEIR_I64}};
    struct weir_schema *schema = weir_schema_extend(base, added, 2);
    assert_int_equal(schema->count, 5);
    assert_int_equal(schema->time, 0);
    assert_int_equal(schema->key, 1);
    assert_int_equal(schema->fields[2].type, WEIR_I64);
    assert_string_equal(schema->fields[4].name, "z");
    assert_false(weir_schema_equal(base, schema));
    struct weir_field text = {.name = "time", .type = WEIR_TEXT};
    struct weir_schema *timeless = weir_schema_extend(base, &text, 1);
    assert_int_equal(timeless->time, -1);
    struct weir_schema *same = weir_schema_extend(base, NULL, 0);
    assert_true(weir_schema_equal(base, same));
    weir_schema_release(same);
    weir_schema_release(timeless);
    weir_schema_release(schema);
    weir_schema_release(base);
}

static void equality_looks_at_everything(void **state)
{
    (void)state;
    struct weir_schema *schema = weir_schema_new(fields, 4, 0, 1);
    for (int change = 0; change < 6; change++) {
        struct weir_field mine[4];
        memcpy(mine, fields, sizeof mine);
        mine[2].type = change == 0 ? WEIR_I64 : WEIR_F64;
        mine[2].name = change == 1 ? "valve" : "value";
        mine[3].elements = change == 2 ? 4 : 3;
        struct weir_schema *other = weir_schema_new(mine, change == 3 ? 3 : 4, change == 4 ? -1 : 0, 1);
        assert_int_equal(weir_schema_equal(schema, other), change == 5);
        weir_schema_release(other);
    }
    weir_schema_release(schema);
}

static void types_have_names_and_widths(void **state)
{
    (void)state;
    for (int type = 0; type < WEIR_TYPE_COUNT; type++) {
        assert_int_equal(weir_type_parse(weir_type_name((enum weir_type)type)), type);
    }
    assert_int_equal(weir_type_parse("float"), -1);
    assert_string_equal(weir_type_name(WEIR_TYPE_COUNT), "unknown");
    assert_int_equal(weir_field_width(&fields[0]), 8);
    assert_int_equal(weir_field_width(&fields[1]), 4);
    assert_int_equal(weir_field_width(&fields[3]), 24);
}

static void no_memory_is_null(void **state)
{
    (void)state;
    memory_fail_nth(1, false);
    assert_null(weir_schema_new(fields, 4, 0, 1));
    memory_fail_nth(0, false);
    struct weir_schema *base = weir_schema_new(fields, 4, 0, 1);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        memory_fail_nth(nth, false);
        assert_null(weir_schema_extend(base, fields, 1));
        memory_fail_nth(0, false);
    }
    weir_schema_release(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_copied_and_found),
        cmocka_unit_test(extend_appends_and_replaces),
        cmocka_unit_test(equality_looks_at_everything),
        cmocka_unit_test(types_have_names_and_widths),
        cmocka_unit_test(no_memory_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
