/* Counts the commits of a process, which are the syncs of its database's log, and kills it before one of them returns.

   It is loaded into `hark` with LD_PRELOAD. $KILL_AT is the number of the commit; 0 means none. Of several processes, only the
   first to reach it is killed; it creates $KILLED_FILE. Each commit of any process appends a character to $COUNT_FILE. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_log(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path);
    return length > 4 && !strncmp(path + length - 4, "-wal", 4);
}

static void count(int file) {
    static atomic_long commits;
    if (!is_log(file)) return;
    const char *at = getenv("KILL_AT"), *counted = getenv("COUNT_FILE"), *killed = getenv("KILLED_FILE");
    if (!at || !counted || !killed) return;
    int counter = open(counted, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (counter < 0 || write(counter, ".", 1) != 1) abort();
    close(counter);
    if (atomic_fetch_add(&commits, 1) + 1 == atol(at) && open(killed, O_CREAT | O_EXCL, 0600) >= 0) kill(getpid(), SIGKILL);
}

int fdatasync(int file) {
    int result = ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file);
    count(file);
    return result;
}

int fsync(int file) {
    int result = ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
    count(file);
    return result;
}
