/* Loaded before the C library: counts what changes the disk, and ends the process as a kill does before operation number
   NEXTSCALE_KILL_AT. What was counted goes to the file NEXTSCALE_KILL_COUNT when the process ends by itself. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long done;

static void count(void) {
    static long at = -1;
    if (at < 0) {
        const char *text = getenv("NEXTSCALE_KILL_AT");
        at = text ? atol(text) : 0;
    }
    if (atomic_fetch_add(&done, 1) + 1 == at) {
        kill(getpid(), SIGKILL);
        pause();
    }
}

/* Pipes and terminals are not the disk. */
static int on_disk(int fd) {
    struct stat found;
    return fstat(fd, &found) == 0 && S_ISREG(found.st_mode);
}

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("NEXTSCALE_KILL_COUNT");
    if (path) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (fd >= 0) {
            dprintf(fd, "%ld", atomic_load(&done));
            close(fd);
        }
    }
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t length) {
    if (on_disk(fd)) count();
    return NEXT(write)(fd, bytes, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    count();
    return NEXT(pwrite64)(fd, bytes, length, at);
}

int ftruncate64(int fd, off64_t length) {
    count();
    return NEXT(ftruncate64)(fd, length);
}

int fsync(int fd) {
    count();
    return NEXT(fsync)(fd);
}

int fdatasync(int fd) {
    count();
    return NEXT(fdatasync)(fd);
}

int rename(const char *from, const char *to) {
    count();
    return NEXT(rename)(from, to);
}

int unlink(const char *path) {
    count();
    return NEXT(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
    count();
    return NEXT(mkdir)(path, mode);
}

int rmdir(const char *path) {
    count();
    return NEXT(rmdir)(path);
}
