/* SPDX-License-Identifier: MIT */
/* Types and names of columns through a pipeline that does not run: what weir check looks at. */
#ifndef APP_COLUMNS_H
#define APP_COLUMNS_H
#include "flow/plan.h"

/* Binds every stage to what comes out of those it reads, as far as the types are known: from fields that are declared,
 * or the beginning of a file. schemas[i] becomes what node i passes on, or NULL: not known yet (plan->count entries,
 * released by columns_free). Opens no source and no sink. Negative: a mistake, with words. */
int columns_check(const struct plan *plan, struct weir_schema **schemas, struct weir_error *error);
void columns_free(const struct plan *plan, struct weir_schema **schemas);

#endif
