/* SPDX-License-Identifier: MIT */
#include "parts/path_list.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

bool path_is_stdin(const char *name)
{
    return strcmp(name, "-") == 0;
}

int path_list_add_name(struct path_list *list, const char *name)
{
    char **names = memory_resize(list->names, (list->count + 1) * sizeof(*names));
    if (!names)
        return -ENOMEM;
    list->names = names;
    names[list->count] = memory_string(name);
    if (!names[list->count])
        return -ENOMEM;
    list->count++;
    return 0;
}

int path_list_add(struct path_list *list, const char *name)
{
    struct stat status;
    if (path_is_stdin(name) || stat(name, &status) == 0 || !strpbrk(name, "*?[{"))
        return path_list_add_name(list, name);

    glob_t found = {0};
    int result = glob(name, GLOB_BRACE, NULL, &found);
    int error = result == GLOB_NOSPACE ? -ENOMEM : 0;
    for (size_t i = 0; result == 0 && error == 0 && i < found.gl_pathc; i++)
        error = path_list_add_name(list, found.gl_pathv[i]);
    globfree(&found);
    return error;
}

int path_explain(struct weir_error *error, struct weir_mark mark, const char *name, int code)
{
    const char *words;
    switch (-code) {
    case ENOENT:
        words = "there is no such file; check `path` (it is taken from the directory weir is run in)";
        break;
    case EISDIR:
        words = "this is a directory; name the files in it, for example with /*.csv behind it";
        break;
    case EACCES:
    case EPERM:
        words = "no permission to read it; see ls -l, or run weir as a user who may";
        break;
    case EBUSY:
        words = "a file sink, of this or another weir, is writing it; write to another `path`";
        break;
    default:
        return weir_fail_at(error, code, mark, "%s: %s; check the file and its disk", name, strerror(-code));
    }
    return weir_fail_at(error, code, mark, "%s: %s", name, words);
}

int path_check(const char *name)
{
    struct stat status;
    if (path_is_stdin(name))
        return 0;
    if (stat(name, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    if (faccessat(AT_FDCWD, name, R_OK, AT_EACCESS) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return 0;

    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    /* File sinks lock what they write: a pipeline must not truncate its own input. */
    bool writing = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return writing ? -EBUSY : 0;
}

void path_list_free(struct path_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        memory_free(list->names[i]);
    memory_free(list->names);
    *list = (struct path_list){0};
}
