/* SPDX-License-Identifier: MIT */
/* Expected values are from Python's zoneinfo, an independent reader of the same database. */
#include "data/test_data.h"

#include <errno.h>

#include "base/memory.h"
#include "data/time_text.h"
#include "data/time_zone.h"

/* Every change of the clocks from 2013 to 2040; the first of them is the start of summer time. */
static const int64_t berlin[] = {
    1364691600, 1382835600, 1396141200, 1414285200, 1427590800, 1445734800, 1459040400, 1477789200,
    1490490000, 1509238800, 1521939600, 1540688400, 1553994000, 1572138000, 1585443600, 1603587600,
    1616893200, 1635642000, 1648342800, 1667091600, 1679792400, 1698541200, 1711846800, 1729990800,
    1743296400, 1761440400, 1774746000, 1792890000, 1806195600, 1824944400, 1837645200, 1856394000,
    1869094800, 1887843600, 1901149200, 1919293200, 1932598800, 1950742800, 1964048400, 1982797200,
    1995498000, 2014246800, 2026947600, 2045696400, 2058397200, 2077146000, 2090451600, 2108595600,
    2121901200, 2140045200, 2153350800, 2172099600, 2184800400, 2203549200, 2216250000, 2234998800,
};
static const int64_t new_york[] = {
    1362898800, 1383458400, 1394348400, 1414908000, 1425798000, 1446357600, 1457852400, 1478412000,
    1489302000, 1509861600, 1520751600, 1541311200, 1552201200, 1572760800, 1583650800, 1604210400,
    1615705200, 1636264800, 1647154800, 1667714400, 1678604400, 1699164000, 1710054000, 1730613600,
    1741503600, 1762063200, 1772953200, 1793512800, 1805007600, 1825567200, 1836457200, 1857016800,
    1867906800, 1888466400, 1899356400, 1919916000, 1930806000, 1951365600, 1962860400, 1983420000,
    1994310000, 2014869600, 2025759600, 2046319200, 2057209200, 2077768800, 2088658800, 2109218400,
    2120108400, 2140668000, 2152162800, 2172722400, 2183612400, 2204172000, 2215062000, 2235621600,
};

static const struct {
    const char *zone, *wall;
    int64_t seconds;
} samples[] = {
    {"Europe/Berlin", "1999-03-13 20:03:04", 921351784},
    {"Europe/Berlin", "2039-02-12 18:03:58", 2181143038},
    {"Europe/Berlin", "2039-04-02 02:27:26", 2185316846},
    {"Europe/Berlin", "1916-04-03 17:27:03", -1696059177},
    {"Europe/Berlin", "2100-02-08 20:40:37", 4105798837},
    {"America/New_York", "1850-10-19 12:03:14", -3761622044},
    {"America/New_York", "1850-09-28 04:18:26", -3763464332},
    {"America/New_York", "1945-09-04 18:19:35", -767583625},
    {"America/New_York", "2261-03-04 18:36:40", 9188552200},
    {"America/New_York", "1962-06-04 17:45:04", -239076896},
    {"Europe/Dublin", "2100-01-20 06:31:43", 4104109903},
    {"Europe/Dublin", "2039-07-25 10:29:37", 2195198977},
    {"Europe/Dublin", "2025-06-10 07:50:11", 1749538211},
    {"Europe/Dublin", "1962-02-19 09:33:31", -248192789},
    {"Europe/Dublin", "1999-12-15 09:38:04", 945250684},
    {"Australia/Lord_Howe", "1916-09-14 05:48:21", -1681963899},
    {"Australia/Lord_Howe", "1945-08-14 01:42:04", -769508276},
    {"Australia/Lord_Howe", "2039-10-26 10:21:44", 2203197704},
    {"Australia/Lord_Howe", "1999-10-16 18:51:29", 940062089},
    {"Australia/Lord_Howe", "1916-02-09 15:44:42", -1700763318},
    {"Asia/Kolkata", "1916-01-24 22:19:41", -1702105819},
    {"Asia/Kolkata", "2100-11-27 14:18:45", 4130988525},
    {"Asia/Kolkata", "2011-11-12 00:29:22", 1321037962},
    {"Asia/Kolkata", "1945-10-04 15:03:13", -765041207},
    {"Asia/Kolkata", "1978-03-24 07:25:25", 259552525},
    {"America/St_Johns", "2025-02-06 14:25:35", 1738864535},
    {"America/St_Johns", "1978-03-27 13:55:35", 259867535},
    {"America/St_Johns", "1978-12-14 11:43:56", 282496436},
    {"America/St_Johns", "2011-04-05 02:11:09", 1301978469},
    {"America/St_Johns", "1962-11-08 00:31:53", -225575887},
    {"Pacific/Apia", "2100-03-09 09:00:09", 4108219209},
    {"Pacific/Apia", "2011-09-12 19:36:20", 1315895780},
    {"Pacific/Apia", "1945-12-28 16:39:41", -757626619},
    {"Pacific/Apia", "2261-12-02 14:57:55", 9212061475},
    {"Pacific/Apia", "2261-09-13 12:25:25", 9205140325},
    {"Asia/Tokyo", "1916-08-21 12:03:12", -1684011408},
    {"Asia/Tokyo", "1916-04-15 05:07:21", -1695095559},
    {"Asia/Tokyo", "2100-01-04 00:36:09", 4102673769},
    {"Asia/Tokyo", "2039-02-12 19:01:04", 2181117664},
    {"Asia/Tokyo", "1962-10-13 04:40:16", -227852384},
    {"Europe/Berlin", "2024-03-31 02:30:00", 1711848600},
    {"Europe/Berlin", "2024-10-27 02:30:00", 1729989000},
    {"America/New_York", "2040-03-11 02:00:00", 2215062000},
    {"America/New_York", "2040-11-04 01:59:59", 2235621599},
    {"Australia/Lord_Howe", "2024-04-07 01:45:00", 1712414700},
    {"Australia/Lord_Howe", "2024-10-06 02:15:00", 1728143100},
    {"Pacific/Apia", "2011-12-30 12:00:00", 1325282400},
};

static struct time_zone *open_zone(const char *name)
{
    struct time_zone *zone = NULL;
    int error = time_zone_open(name, &zone);
    if (error == -ENOENT) {
        print_message("no zone %s in this machine's database (package tzdata)\n", name);
        skip();
    }
    assert_int_equal(error, 0);
    return zone;
}

static void check_changes(const char *name, const int64_t *changes, size_t count, int32_t winter)
{
    struct time_zone *zone = open_zone(name);
    for (size_t i = 0; i < count; i++) {
        int32_t before = winter + (i % 2) * 3600, after = winter + (i + 1) % 2 * 3600;
        int64_t at = changes[i];
        assert_int_equal(time_zone_offset(zone, at - 1), before);
        assert_int_equal(time_zone_offset(zone, at), after);
        assert_int_equal(time_zone_to_utc(zone, at - 3601 + after), at - 3601 + after - before);
        assert_int_equal(time_zone_to_utc(zone, at - 1 + before), at - 1);
        assert_int_equal(time_zone_to_utc(zone, at + 7200 + after), at + 7200);
        if (after > before) { /* an hour is skipped: its times move forward */
            assert_int_equal(time_zone_to_utc(zone, at + before), at);
            assert_int_equal(time_zone_to_utc(zone, at + before + 1800), at + 1800);
            assert_int_equal(time_zone_to_utc(zone, at + after), at);
        } else { /* an hour is repeated: the first is taken */
            assert_int_equal(time_zone_to_utc(zone, at + after), at - 3600);
            assert_int_equal(time_zone_to_utc(zone, at + after + 3599), at - 1);
            assert_int_equal(time_zone_to_utc(zone, at + before), at + 3600);
        }
    }
    time_zone_close(zone);
}

static void summer_time_comes_and_goes(void **state)
{
    (void)state;
    check_changes("Europe/Berlin", berlin, sizeof berlin / sizeof berlin[0], 3600);
    check_changes("America/New_York", new_york, sizeof new_york / sizeof new_york[0], -5 * 3600);
}

static void samples_of_many_zones(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        struct time_zone *zone = open_zone(samples[i].zone);
        int64_t ns = 0;
        assert_int_equal(time_parse(samples[i].wall, strlen(samples[i].wall), TIME_PLAIN, zone, &ns), 0);
        if (ns != samples[i].seconds * 1000000000) {
            print_message("%s %s: %lld s off\n", samples[i].zone, samples[i].wall,
                          (long long)(ns / 1000000000 - samples[i].seconds));
        }
        assert_int_equal(ns, samples[i].seconds * 1000000000);
        time_zone_close(zone);
    }
}

static void names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int error;
        int32_t offset;
    } cases[] = {
        {"UTC", 0, 0},
        {"Z", 0, 0},
        {"+01:00", 0, 3600},
        {"-0330", 0, -12600},
        {"+5", 0, 18000},
        {"-11", 0, -39600},
        {"+1:00", -ENOENT, 0},
        {"+24:00", -ENOENT, 0},
        {"+01:60", -ENOENT, 0},
        {"+", -ENOENT, 0},
        {"+010", -ENOENT, 0},
        {"", -ENOENT, 0},
        {".", -ENOENT, 0},
        {"Europe", -ENOENT, 0}, /* a directory */
        {"Europe/Berlinn", -ENOENT, 0},
        {"../../../etc/passwd", -ENOENT, 0},
        {"/etc/localtime", -ENOENT, 0},
        {"Europe/../Europe/Berlin", -ENOENT, 0},
        {"tzdata.zi", -ENOENT, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct time_zone *zone = NULL;
        assert_int_equal(time_zone_open(cases[i].name, &zone), cases[i].error);
        if (!cases[i].error) {
            assert_int_equal(time_zone_offset(zone, 0), cases[i].offset);
            assert_int_equal(time_zone_to_utc(zone, 1000000), 1000000 - cases[i].offset);
        } else {
            assert_null(zone);
        }
        time_zone_close(zone);
    }
    struct time_zone *local = NULL;
    assert_int_equal(time_zone_open("local", &local), 0);
    time_zone_close(local);
    assert_int_equal(time_zone_to_utc(NULL, 5), 5);
}

static void rules(void **state)
{
    (void)state;
    static const char *const good[] = {"CET-1CEST,M3.5.0,M10.5.0/3", "<+03>-3",
                                       "EST5EDT,M3.2.0,M11.1.0",     "UTC0",
                                       "IST-1GMT0,M10.5.0,M3.5.0/1", "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
                                       "XXX3EDT4,0/0,J365/23",       "AAA+5:30:15BBB,J60/167,59/-167:59:59"};
    static const char *const bad[] = {"",
                                      "CET",
                                      "CE-1",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "CET-1CEST,M13.5.0,M10.5.0",
                                      "CET-1CEST,M3.6.0,M10.5.0",
                                      "CET-1CEST,M3.5.7,M10.5.0",
                                      "CET-168",
                                      "<+03-3",
                                      "CET-1CEST,J0,J1",
                                      "CET-1CEST,366,J1",
                                      "CET-1CEST,M3.5.0,M10.5.0 ",
                                      "CET-99999999999"};
    struct time_rule rule;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(time_rule_parse(good[i], strlen(good[i]), &rule));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(time_rule_parse(bad[i], strlen(bad[i]), &rule));
    }
    assert_true(time_rule_parse(good[0], strlen(good[0]), &rule));
    for (uint32_t year = 2013; year <= 2040; year++) {
        struct time_change changes[2];
        time_rule_changes(&rule, year, changes);
        assert_int_equal(changes[0].when, berlin[(year - 2013) * 2]);
        assert_int_equal(changes[1].when, berlin[(year - 2013) * 2 + 1]);
    }
}

/* Damaged zone files: any answer but a read or write out of bounds. */
static void damaged_files(void **state)
{
    (void)state;
    unsigned char file[4096];
    FILE *in = fopen("/usr/share/zoneinfo/Europe/Berlin", "rb");
    if (!in) {
        skip();
    }
    size_t size = fread(file, 1, sizeof file, in);
    fclose(in);
    for (size_t length = 0; length < size; length++) { /* an exact copy, so that a sanitizer sees its end */
        unsigned char *copy = malloc(length + 1);
        memcpy(copy, file, length);
        struct time_zone *zone = NULL;
        if (time_zone_parse(copy, length, &zone) == 0) {
            time_zone_close(zone);
        }
        free(copy);
    }
    struct random random = random_start();
    for (int round = 0; round < 5000; round++) {
        unsigned char *copy = malloc(size);
        memcpy(copy, file, size);
        for (int i = 0; i < 3; i++) {
            copy[random_below(&random, round % 2 ? size : 120)] = (unsigned char)random_next(&random);
        }
        struct time_zone *zone = NULL;
        if (time_zone_parse(copy, size, &zone) == 0) {
            time_zone_to_utc(zone, (int64_t)(random_next(&random) >> 30));
            time_zone_close(zone);
        }
        free(copy);
    }
    memory_fail_nth(1, false);
    struct time_zone *zone = NULL;
    assert_int_equal(time_zone_parse(file, size, &zone), -ENOMEM);
    memory_fail_nth(1, false);
    assert_int_equal(time_zone_open("Europe/Berlin", &zone), -ENOMEM);
    memory_fail_nth(1, false);
    assert_int_equal(time_zone_open("+01:00", &zone), -ENOMEM);
    memory_fail_nth(0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summer_time_comes_and_goes),
        cmocka_unit_test(samples_of_many_zones),
        cmocka_unit_test(names),
        cmocka_unit_test(rules),
        cmocka_unit_test(damaged_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
