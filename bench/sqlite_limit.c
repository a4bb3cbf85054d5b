/* SPDX-License-Identifier: MIT */
/*
 * What SQLite itself can do: a bare loop around one prepared INSERT, with the pragmas and the table of the sqlite sink
 * and values that are ready in memory. The sink is measured against this.
 *
 *     sqlite_limit FILE [RECORDS [RECORDS_PER_COMMIT [RECORDS_PER_INSERT]]]
 *
 * Prints one JSON object. The file is replaced.
 */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SENSORS = 1000, COLUMNS = 4, PER_INSERT_MAX = 64 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void check(sqlite3 *db, int result)
{
    if (result != SQLITE_OK && result != SQLITE_DONE && result != SQLITE_ROW) {
        fprintf(stderr, "sqlite_limit: %s\n", sqlite3_errmsg(db));
        exit(1);
    }
}

static sqlite3_stmt *prepare(sqlite3 *db, long per_insert)
{
    char text[64 + PER_INSERT_MAX * 16] = "INSERT INTO readings VALUES (?, ?, ?, ?)";
    sqlite3_stmt *insert;
    for (long i = 1; i < per_insert; i++)
        strcat(text, ", (?, ?, ?, ?)");
    check(db, sqlite3_prepare_v2(db, text, -1, &insert, NULL));
    return insert;
}

static sqlite3 *create(const char *path)
{
    sqlite3 *db;
    char name[4096];
    for (const char *const *end = (const char *const[]){"", "-wal", "-shm", NULL}; *end; end++) {
        snprintf(name, sizeof(name), "%s%s", path, *end);
        unlink(name);
    }
    check(NULL, sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
    check(db, sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL", NULL, NULL, NULL));
    check(db,
          sqlite3_exec(db, "CREATE TABLE readings (ts TEXT, sensor TEXT, value REAL, seq INTEGER)", NULL, NULL, NULL));
    return db;
}

int main(int argc, char **argv)
{
    static char times[4096][32], sensors[SENSORS][8];
    long records = argc > 2 ? atol(argv[2]) : 1000000, per_commit = argc > 3 ? atol(argv[3]) : 50000;
    long per_insert = argc > 4 ? atol(argv[4]) : 1;
    if (argc < 2 || records < 1 || per_commit < 1 || per_insert < 1 || per_insert > PER_INSERT_MAX ||
        per_commit < per_insert) {
        fprintf(stderr, "usage: sqlite_limit FILE [RECORDS [RECORDS_PER_COMMIT [RECORDS_PER_INSERT]]]\n");
        return 2;
    }
    for (int i = 0; i < 4096; i++)
        snprintf(times[i], sizeof(times[i]), "2024-11-21T%02d:%02d:%02d.123Z", i / 3600, i / 60 % 60, i % 60);
    for (int i = 0; i < SENSORS; i++)
        snprintf(sensors[i], sizeof(sensors[i]), "s%d", i);
    sqlite3 *db = create(argv[1]);
    sqlite3_stmt *insert = prepare(db, per_insert);

    double start = seconds();
    long done = 0;
    while (done + per_insert <= records) {
        check(db, sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
        long until = done + per_commit < records ? done + per_commit : records;
        for (; done + per_insert <= until; done += per_insert) {
            for (long row = 0; row < per_insert; row++) {
                int at = (int)row * COLUMNS;
                long number = done + row;
                sqlite3_bind_text(insert, at + 1, times[number % 4096], 24, SQLITE_STATIC);
                sqlite3_bind_text(insert, at + 2, sensors[number % SENSORS], (int)strlen(sensors[number % SENSORS]),
                                  SQLITE_STATIC);
                sqlite3_bind_double(insert, at + 3, 20 + (double)(number % 977) * 0.01);
                sqlite3_bind_int64(insert, at + 4, number);
            }
            check(db, sqlite3_step(insert));
            sqlite3_reset(insert);
        }
        check(db, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
    }
    double took = seconds() - start;
    sqlite3_finalize(insert);
    sqlite3_close(db);
    printf("{\"records\": %ld, \"seconds\": %.3f, \"records_per_second\": %.0f}\n", done, took, (double)done / took);
    return 0;
}
