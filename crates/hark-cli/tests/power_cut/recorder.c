/* Writes down what processes do to the files below $RECORD_FOLDER, and what they print, in the order in which it happens.

   It is loaded into `hark` before the C library (LD_PRELOAD). Each entry is appended to $RECORD_FILE by one `write`, so that
   those of several processes do not mix: a letter, the path's length (2 bytes), the data's length (4), the thread (4), an offset
   (8), the path, the data; numbers in this machine's order.

     C  a file or folder was made           R  a file or folder was removed
     W  data was written at the offset      T  a file was cut to the offset
     B  a file or folder begins to be synced, all that is before   E  and is
     P  data was printed, unless $RECORD_PRINTS says 0                                                                      */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((typeof(&name))real(#name))

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static int record_file(void) {
    static int file = -1;
    if (file < 0) {
        const char *path = getenv("RECORD_FILE");
        file = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CLOEXEC, 0) : -1;
    }
    return file;
}

static int is_recorded(const char *path) {
    const char *folder = getenv("RECORD_FOLDER");
    return folder && !strncmp(path, folder, strlen(folder));
}

static void record(char what, const char *path, uint64_t offset, const void *data, size_t length) {
    char head[19];
    uint16_t path_length = (uint16_t)strlen(path);
    uint32_t data_length = (uint32_t)length;
    head[0] = what;
    memcpy(head + 1, &path_length, 2);
    memcpy(head + 3, &data_length, 4);
    uint32_t thread = (uint32_t)syscall(SYS_gettid);
    memcpy(head + 7, &thread, 4);
    memcpy(head + 11, &offset, 8);
    struct iovec parts[3] = {{head, sizeof head}, {(void *)path, path_length}, {(void *)data, length}};
    int file = record_file();
    if (file >= 0 && syscall(SYS_writev, file, parts, 3) != (long)(sizeof head + path_length + length)) abort();
}

/* Files are made and removed in turn, among all threads and processes: who finds a file must find its entry, too. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void begin_turn(void) {
    pthread_mutex_lock(&turn);
    flock(record_file(), LOCK_EX);
}

static void end_turn(void) {
    flock(record_file(), LOCK_UN);
    pthread_mutex_unlock(&turn);
}

/* The path of an open file, if it is to be recorded. A file that was removed has another. */
static int path_of(int file, char path[4096]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, 4095);
    if (length < 0) return 0;
    path[length] = 0;
    return is_recorded(path);
}

static void written(int file, const void *data, ssize_t length, off_t offset) {
    char path[4096];
    if (length > 0 && path_of(file, path)) record('W', path, (uint64_t)offset, data, (size_t)length);
}

ssize_t write(int file, const void *data, size_t length) {
    off_t offset = lseek(file, 0, SEEK_CUR);
    ssize_t done = REAL(write)(file, data, length);
    if (file == 1) {
        const char *prints = getenv("RECORD_PRINTS");
        if (done > 0 && !(prints && *prints == '0')) record('P', "", 0, data, (size_t)done);
    }
    else if (offset >= 0) written(file, data, done, offset);
    return done;
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset) {
    ssize_t done = REAL(pwrite)(file, data, length, offset);
    written(file, data, done, offset);
    return done;
}

ssize_t pwrite64(int file, const void *data, size_t length, off64_t offset) {
    ssize_t done = REAL(pwrite64)(file, data, length, offset);
    written(file, data, done, offset);
    return done;
}

static int cut(int file, off_t length, int done) {
    char path[4096];
    if (!done && path_of(file, path)) record('T', path, (uint64_t)length, "", 0);
    return done;
}

int ftruncate(int file, off_t length) { return cut(file, length, REAL(ftruncate)(file, length)); }
int ftruncate64(int file, off64_t length) { return cut(file, length, REAL(ftruncate64)(file, length)); }

static int synced(int file, int (*sync)(int)) {
    char path[4096];
    int is_wanted = path_of(file, path);
    if (is_wanted) record('B', path, 0, "", 0);
    int done = sync(file);
    if (is_wanted && !done) record('E', path, 0, "", 0);
    return done;
}

int fsync(int file) { return synced(file, REAL(fsync)); }
int fdatasync(int file) { return synced(file, REAL(fdatasync)); }

static int removed(const char *path, int (*remove)(const char *)) {
    if (!is_recorded(path)) return remove(path);
    begin_turn();
    int done = remove(path);
    if (!done) record('R', path, 0, "", 0);
    end_turn();
    return done;
}

int unlink(const char *path) { return removed(path, REAL(unlink)); }
int rmdir(const char *path) { return removed(path, REAL(rmdir)); }

int mkdir(const char *path, mode_t mode) {
    if (!is_recorded(path)) return REAL(mkdir)(path, mode);
    begin_turn();
    int done = REAL(mkdir)(path, mode);
    if (!done) record('C', path, 0, "", 0);
    end_turn();
    return done;
}

static int opened(const char *path, int flags, mode_t mode) {
    if (!(flags & O_CREAT) || !is_recorded(path)) return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    begin_turn();
    int is_there = !access(path, F_OK);
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (file >= 0 && !is_there) record('C', path, 0, "", 0);
    end_turn();
    return file;
}

#define OPEN(name)                                                                                                          \
    int name(const char *path, int flags, ...) {                                                                            \
        va_list rest;                                                                                                       \
        va_start(rest, flags);                                                                                              \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                             \
        va_end(rest);                                                                                                       \
        return opened(path, flags, mode);                                                                                    \
    }
OPEN(open)
OPEN(open64)
