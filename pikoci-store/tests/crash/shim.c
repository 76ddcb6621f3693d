/* Records what a process writes to the files below one directory, so that a
 * test can undo what was not synced: a kill that takes the page cache with it.
 *
 * Loaded with LD_PRELOAD. PIKOCI_SHIM_DIR names the directory,
 * PIKOCI_SHIM_JOURNAL the file to record in, PIKOCI_SHIM_ACK the descriptor
 * whose writes are acknowledgements.
 *
 * A record is, in this machine's byte order:
 *   u8 kind, u64 file, u64 offset, u64 length, u64 size before, u64 old length, old bytes
 * file: the inode, mixed with the time the file was made, as inodes are used again
 * kind: W a write is about to be made (old bytes: what it overwrites)
 *       T the file is about to be cut or grown to `offset` (old bytes: what is cut off)
 *       S a sync is done; it covers the records before journal offset `offset`
 *       A an acknowledgement is about to be written
 * Each record is one append, so a kill leaves whole records. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static int ack = -1;
static char dir[PATH_MAX];
static size_t dir_length;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_ftruncate)(int, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void start(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    const char *where = getenv("PIKOCI_SHIM_DIR");
    const char *path = getenv("PIKOCI_SHIM_JOURNAL");
    const char *fd = getenv("PIKOCI_SHIM_ACK");
    if (!where || !path || !realpath(where, dir)) return;
    dir_length = strlen(dir);
    journal = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd) ack = atoi(fd);
}

/* What names a regular file below the directory, or 0. */
static uint64_t tracked(int fd, struct stat *about) {
    char link[64], path[PATH_MAX];
    struct statx birth;
    if (journal < 0 || fd == journal || fstat(fd, about) != 0 || !S_ISREG(about->st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= (ssize_t)dir_length) return 0;
    path[length] = 0;
    if (strncmp(path, dir, dir_length) != 0 || path[dir_length] != '/') return 0;
    uint64_t made = 0;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &birth) == 0 && birth.stx_mask & STATX_BTIME)
        made = (uint64_t)birth.stx_btime.tv_sec * 1000000000u + birth.stx_btime.tv_nsec;
    return about->st_ino ^ made << 20;
}

/* Callers hold the lock. */
static void record(char kind, uint64_t file, uint64_t offset, uint64_t length, uint64_t size,
                   const char *old, uint64_t old_length) {
    size_t total = 41 + old_length;
    char *bytes = malloc(total);
    if (!bytes) abort();
    bytes[0] = kind;
    memcpy(bytes + 1, &file, 8);
    memcpy(bytes + 9, &offset, 8);
    memcpy(bytes + 17, &length, 8);
    memcpy(bytes + 25, &size, 8);
    memcpy(bytes + 33, &old_length, 8);
    if (old_length) memcpy(bytes + 41, old, old_length);
    if (real_write(journal, bytes, total) != (ssize_t)total) abort();
    free(bytes);
}

static void record_old(char kind, int fd, uint64_t file, const struct stat *about, uint64_t offset,
                       uint64_t length, uint64_t from, uint64_t until) {
    uint64_t size = about->st_size;
    uint64_t end = until < size ? until : size;
    uint64_t old_length = end > from ? end - from : 0;
    char *old = malloc(old_length ? old_length : 1);
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    /* The descriptor itself may not be open for reading. */
    int reader = open(link, O_RDONLY | O_CLOEXEC);
    if (!old || reader < 0) abort();
    if (pread64(reader, old, old_length, from) != (ssize_t)old_length) abort();
    close(reader);
    record(kind, file, offset, length, size, old, old_length);
    free(old);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    struct stat about;
    pthread_mutex_lock(&lock);
    uint64_t file = tracked(fd, &about);
    if (file) record_old('W', fd, file, &about, offset, length, offset, offset + length);
    ssize_t done = real_pwrite(fd, bytes, length, offset);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return pwrite64(fd, bytes, length, offset);
}

/* Callers hold the lock. */
static void before_write(int fd, size_t length) {
    struct stat about;
    uint64_t file;
    if (fd == ack) {
        record('A', 0, 0, 0, 0, NULL, 0);
    } else if ((file = tracked(fd, &about))) {
        int flags = fcntl(fd, F_GETFL);
        off64_t at = flags & O_APPEND ? about.st_size : lseek64(fd, 0, SEEK_CUR);
        record_old('W', fd, file, &about, at, length, at, at + length);
    }
}

ssize_t write(int fd, const void *bytes, size_t length) {
    if (journal < 0 || fd == journal) return real_write(fd, bytes, length);
    pthread_mutex_lock(&lock);
    before_write(fd, length);
    ssize_t done = real_write(fd, bytes, length);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    size_t length = 0;
    for (int at = 0; at < count; at++) length += parts[at].iov_len;
    pthread_mutex_lock(&lock);
    before_write(fd, length);
    ssize_t done = real_writev(fd, parts, count);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate64(int fd, off64_t length) {
    struct stat about;
    pthread_mutex_lock(&lock);
    uint64_t file = tracked(fd, &about);
    if (file) record_old('T', fd, file, &about, length, 0, length, UINT64_MAX);
    int done = real_ftruncate(fd, length);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int synced(int fd, int (*sync)(int)) {
    struct stat about;
    uint64_t file = tracked(fd, &about);
    if (!file) return sync(fd);
    /* What is written while the sync runs may not be part of it. */
    pthread_mutex_lock(&lock);
    off64_t covered = lseek64(journal, 0, SEEK_END);
    pthread_mutex_unlock(&lock);
    int done = sync(fd);
    pthread_mutex_lock(&lock);
    if (done == 0) record('S', file, covered, 0, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int fsync(int fd) { return synced(fd, real_fsync); }
int fdatasync(int fd) { return synced(fd, real_fdatasync); }
