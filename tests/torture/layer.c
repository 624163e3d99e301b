/* A layer between the program under test and the file system, loaded with LD_PRELOAD.
 *
 * It watches the files of one directory (TORTURE_DIRECTORY). Every write, truncation, sync and change of a name is appended
 * to a log (TORTURE_LOG) in the order in which the kernel did it, with its data, so that the state after a power cut can be
 * built at any point. Calls fail, lie or kill the process where the rules in the control file (TORTURE_CONTROL, mapped, so
 * that rules take effect at once) say so; the record of such a call carries the rule's action: only faults that fired count.
 *
 * tests/torture/layer.rs writes the rules, tests/torture/write_log.rs reads the log; both repeat the layouts below.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { NONE = 0, DATABASE = 1, WAL = 2, SHM = 4, KEY = 8, LOCK = 16, DIRECTORY = 32, OTHER = 64 };
enum op { OPEN = 1, READ = 2, WRITE = 4, SYNC = 8, TRUNCATE = 16, ALLOCATE = 32, MAP = 64, RENAME = 128, UNLINK = 256, LINK = 512 };
enum action {
    PASS = 0,
    FAIL_EIO = 1,
    FAIL_ENOSPC = 2,
    SHORT = 3,       /* half of the bytes; the caller is told so */
    TORN = 4,        /* half of the bytes, then EIO */
    PRETEND = 5,     /* nothing is done, success is reported */
    KILL_BEFORE = 6, /* SIGKILL instead of the call */
    KILL_AFTER = 7,
    FAIL_ENOMEM = 8,
    HIDE_FAILURE = 9, /* a sync that fails, and drops its pages, is reported as done */
    TORN_ENOSPC = 10  /* half of the bytes, then ENOSPC */
};

/* Armed while `generation` is not 0; a new generation counts from the beginning. */
struct rule {
    uint32_t generation, ops, kinds, action;
    uint32_t skip;  /* matching calls that pass first */
    uint32_t times; /* calls that fail then */
    uint32_t unused[2];
};
#define RULES 16
struct control {
    uint32_t armed; /* 0: no rule is looked at */
    uint32_t fired; /* calls that a rule picked */
    uint32_t unused[6];
    struct rule rules[RULES];
};

struct record {
    uint32_t magic;
    uint16_t op;
    uint8_t kind, action;
    int32_t result; /* 0, or a negative errno; what really happened, whatever was reported */
    uint32_t payload_bytes;
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    uint64_t inode, offset, length;
};
#define MAGIC 0x474f4c54u /* TLOG */
/* `offset` of an OPEN record: the file was created by it. */
#define CREATED 1

#define DESCRIPTORS 65536
static struct { uint8_t kind; uint64_t inode; } files[DESCRIPTORS];
static struct { uint32_t generation, matched; } progress[RULES];
static struct control *control;
static const char *directory;
static size_t directory_bytes;
static int log_fd = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
    const char *log_path = getenv("TORTURE_LOG"), *control_path = getenv("TORTURE_CONTROL");
    directory = getenv("TORTURE_DIRECTORY");
    if (!log_path || !control_path || !directory) return;
    directory_bytes = strlen(directory);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, control_path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    void *mapped = (void *)syscall(SYS_mmap, 0, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (mapped == MAP_FAILED) return;
    control = mapped;
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, log_path, flags, 0600);
    /* Out of the way of descriptors that the program counts on. */
    int high = fcntl(log_fd, F_DUPFD_CLOEXEC, 900);
    if (high >= 0) {
        syscall(SYS_close, log_fd);
        log_fd = high;
    }
}

static int ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

static enum kind kind_of(const char *path) {
    if (log_fd < 0 || strncmp(path, directory, directory_bytes) != 0) return NONE;
    path += directory_bytes;
    if (*path == 0 || strcmp(path, "/") == 0) return DIRECTORY;
    if (*path != '/' || strchr(path + 1, '/')) return NONE;
    path++;
    if (strcmp(path, "t.db") == 0) return DATABASE;
    if (strcmp(path, "t.db-wal") == 0) return WAL;
    if (strcmp(path, "t.db-shm") == 0) return SHM;
    if (ends_with(path, ".key")) return KEY;
    if (ends_with(path, ".lock")) return LOCK;
    return OTHER;
}

static enum kind kind_of_fd(int fd) { return fd >= 0 && fd < DESCRIPTORS ? files[fd].kind : NONE; }

static void die(void) {
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;) pause();
}

static void append(enum op op, enum kind kind, enum action action, int result, uint64_t inode,
                   uint64_t offset, uint64_t length, const void *payload, size_t payload_bytes) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct record record = { MAGIC, op, kind, action, result, (uint32_t)payload_bytes,
        (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, inode, offset, length };
    struct iovec parts[2] = { { &record, sizeof record }, { (void *)payload, payload_bytes } };
    syscall(SYS_writev, log_fd, parts, payload_bytes ? 2 : 1);
}

/* What the rules want of this call. Called with the mutex held. */
static enum action decide(enum op op, enum kind kind) {
    if (!__atomic_load_n(&control->armed, __ATOMIC_ACQUIRE)) return PASS;
    enum action chosen = PASS;
    for (int i = 0; i < RULES; i++) {
        const struct rule *rule = &control->rules[i];
        uint32_t generation = __atomic_load_n(&rule->generation, __ATOMIC_ACQUIRE);
        if (!generation || !(rule->ops & op) || !(rule->kinds & kind)) continue;
        if (progress[i].generation != generation) {
            progress[i].generation = generation;
            progress[i].matched = 0;
        }
        uint32_t matched = progress[i].matched;
        if (matched < UINT32_MAX) progress[i].matched++;
        if (matched >= rule->skip && matched - rule->skip < rule->times && chosen == PASS)
            chosen = (enum action)rule->action;
    }
    if (chosen != PASS) __atomic_fetch_add(&control->fired, 1, __ATOMIC_RELEASE);
    return chosen;
}

static int error_of(enum action action) {
    switch (action) {
    case FAIL_EIO: case TORN: case HIDE_FAILURE: return EIO;
    case FAIL_ENOSPC: case TORN_ENOSPC: return ENOSPC;
    case FAIL_ENOMEM: return ENOMEM;
    default: return 0;
    }
}

/* The path of a name, as the kernel will see it, when it is absolute or relative to the working directory. */
static const char *absolute(int at, const char *path, char *buffer, size_t bytes) {
    if (path[0] == '/') return path;
    if (at != AT_FDCWD || !getcwd(buffer, bytes)) return path;
    size_t used = strlen(buffer);
    snprintf(buffer + used, bytes - used, "/%s", path);
    return buffer;
}

static int open_any(int at, const char *name, int flags, mode_t mode) {
    char buffer[4096];
    const char *path = absolute(at, name, buffer, sizeof buffer);
    enum kind kind = kind_of(path);
    if (kind == NONE) {
        int fd = (int)syscall(SYS_openat, at, name, flags, mode);
        if (fd >= 0 && fd < DESCRIPTORS) files[fd].kind = NONE;
        return fd;
    }
    pthread_mutex_lock(&mutex);
    enum action action = decide(OPEN, kind);
    if (action == KILL_BEFORE) die();
    int fd = -1, error = error_of(action);
    if (!error) {
        struct stat before, after;
        int created = (flags & O_CREAT) && syscall(SYS_newfstatat, AT_FDCWD, path, &before, 0) != 0;
        fd = (int)syscall(SYS_openat, at, name, flags, mode);
        error = fd < 0 ? errno : 0;
        if (fd >= 0 && fd < DESCRIPTORS && fstat(fd, &after) == 0) {
            files[fd].kind = (uint8_t)kind;
            files[fd].inode = after.st_ino;
            append(OPEN, kind, action, 0, after.st_ino, created ? CREATED : 0, (uint64_t)after.st_size, path, strlen(path));
            if (flags & O_TRUNC) append(TRUNCATE, kind, PASS, 0, after.st_ino, 0, 0, NULL, 0);
        }
    } else {
        append(OPEN, kind, action, -error, 0, 0, 0, path, strlen(path));
    }
    if (action == KILL_AFTER) die();
    pthread_mutex_unlock(&mutex);
    errno = error;
    return fd;
}

#define MODE_OF(flags, last)                               \
    mode_t mode = 0;                                       \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                 \
        va_list list;                                      \
        va_start(list, last);                              \
        mode = va_arg(list, mode_t);                       \
        va_end(list);                                      \
    }
int open(const char *path, int flags, ...) { MODE_OF(flags, flags) return open_any(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE_OF(flags, flags) return open_any(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE_OF(flags, flags) return open_any(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE_OF(flags, flags) return open_any(at, path, flags, mode); }

int close(int fd) {
    if (fd == log_fd) return 0;
    if (fd >= 0 && fd < DESCRIPTORS) files[fd].kind = NONE;
    return (int)syscall(SYS_close, fd);
}

static ssize_t read_any(int fd, void *bytes, size_t count, off_t offset, int positioned) {
    enum kind kind = kind_of_fd(fd);
    enum action action = PASS;
    if (kind != NONE && control->armed) {
        pthread_mutex_lock(&mutex);
        action = decide(READ, kind);
        if (action == KILL_BEFORE || action == KILL_AFTER) die();
        if (action != PASS)
            append(READ, kind, action, -error_of(action), files[fd].inode, positioned ? (uint64_t)offset : 0, count, NULL, 0);
        pthread_mutex_unlock(&mutex);
    }
    int error = error_of(action);
    if (error) {
        errno = error;
        return -1;
    }
    if (action == SHORT && count > 1) count /= 2;
    if (positioned) return syscall(SYS_pread64, fd, bytes, count, offset);
    return syscall(SYS_read, fd, bytes, count);
}
ssize_t read(int fd, void *bytes, size_t count) { return read_any(fd, bytes, count, 0, 0); }
ssize_t pread(int fd, void *bytes, size_t count, off_t offset) { return read_any(fd, bytes, count, offset, 1); }
ssize_t pread64(int fd, void *bytes, size_t count, off_t offset) { return read_any(fd, bytes, count, offset, 1); }

static ssize_t write_any(int fd, const void *bytes, size_t count, off_t offset, int positioned) {
    enum kind kind = kind_of_fd(fd);
    if (kind == NONE) {
        if (positioned) return syscall(SYS_pwrite64, fd, bytes, count, offset);
        return syscall(SYS_write, fd, bytes, count);
    }
    pthread_mutex_lock(&mutex);
    enum action action = decide(WRITE, kind);
    if (action == KILL_BEFORE) die();
    int error = error_of(action);
    size_t wanted = count;
    ssize_t written = -1;
    if (action == SHORT || action == TORN || action == TORN_ENOSPC) wanted = count / 2;
    if (!positioned) offset = fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    if (action == PRETEND) {
        written = (ssize_t)count;
        wanted = 0;
    } else if ((!error || action == TORN || action == TORN_ENOSPC) && wanted > 0) {
        written = positioned ? syscall(SYS_pwrite64, fd, bytes, wanted, offset) : syscall(SYS_write, fd, bytes, wanted);
        if (written < 0) error = errno;
    }
    size_t kept = action == PRETEND || written < 0 ? 0 : (size_t)written;
    append(WRITE, kind, action, -error, files[fd].inode, (uint64_t)offset, kept, bytes, kept);
    if (action == KILL_AFTER) die();
    pthread_mutex_unlock(&mutex);
    if (error) {
        errno = error;
        return -1;
    }
    return written;
}
ssize_t write(int fd, const void *bytes, size_t count) { return write_any(fd, bytes, count, 0, 0); }
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return write_any(fd, bytes, count, offset, 1); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) { return write_any(fd, bytes, count, offset, 1); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (kind_of_fd(fd) == NONE) return syscall(SYS_writev, fd, parts, count);
    /* Short writes are allowed: one part at a time. */
    for (int i = 0; i < count; i++)
        if (parts[i].iov_len) return write(fd, parts[i].iov_base, parts[i].iov_len);
    return 0;
}

/* Copies inside the kernel would pass unseen; their callers fall back to reading and writing. */
ssize_t copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t count, unsigned flags) {
    if (kind_of_fd(out) == NONE) return syscall(SYS_copy_file_range, in, in_offset, out, out_offset, count, flags);
    errno = ENOSYS;
    return -1;
}
ssize_t sendfile64(int out, int in, off64_t *offset, size_t count) {
    if (kind_of_fd(out) == NONE) return syscall(SYS_sendfile, out, in, offset, count);
    errno = ENOSYS;
    return -1;
}

static int call_on_fd(enum op op, int fd, long number, uint64_t offset, uint64_t length, int mode) {
    enum kind kind = kind_of_fd(fd);
    pthread_mutex_lock(&mutex);
    enum action action = kind == NONE ? PASS : decide(op, kind);
    if (action == KILL_BEFORE) die();
    int error = error_of(action), result = 0;
    if (!error && action != PRETEND) {
        if (op == SYNC) result = (int)syscall(number, fd);
        if (op == TRUNCATE) result = (int)syscall(number, fd, length);
        if (op == ALLOCATE) result = (int)syscall(number, fd, mode, offset, length);
        if (result < 0) error = errno;
    }
    /* A sync that was only pretended is no sync: it leaves no record but the fault's. */
    if (kind != NONE) append(op, kind, action, action == PRETEND ? -ECANCELED : -error, files[fd].inode, offset, length, NULL, 0);
    if (action == KILL_AFTER) die();
    pthread_mutex_unlock(&mutex);
    if (action == HIDE_FAILURE || !error) return 0;
    errno = error;
    return -1;
}
int fsync(int fd) { return call_on_fd(SYNC, fd, SYS_fsync, 0, 0, 0); }
int fdatasync(int fd) { return call_on_fd(SYNC, fd, SYS_fdatasync, 0, 0, 0); }
int ftruncate(int fd, off_t length) { return call_on_fd(TRUNCATE, fd, SYS_ftruncate, 0, (uint64_t)length, 0); }
int ftruncate64(int fd, off64_t length) { return call_on_fd(TRUNCATE, fd, SYS_ftruncate, 0, (uint64_t)length, 0); }
int fallocate(int fd, int mode, off_t offset, off_t length) { return call_on_fd(ALLOCATE, fd, SYS_fallocate, (uint64_t)offset, (uint64_t)length, mode); }
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return call_on_fd(ALLOCATE, fd, SYS_fallocate, (uint64_t)offset, (uint64_t)length, mode); }
int posix_fallocate(int fd, off_t offset, off_t length) { return fallocate(fd, 0, offset, length) ? errno : 0; }
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return fallocate(fd, 0, offset, length) ? errno : 0; }

static void *map_any(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    enum kind kind = flags & MAP_ANONYMOUS ? NONE : kind_of_fd(fd);
    if (kind != NONE) {
        pthread_mutex_lock(&mutex);
        enum action action = decide(MAP, kind);
        if (action == KILL_BEFORE || action == KILL_AFTER) die();
        int error = error_of(action);
        if (action != PASS) append(MAP, kind, action, -error, files[fd].inode, (uint64_t)offset, length, NULL, 0);
        pthread_mutex_unlock(&mutex);
        if (error) {
            errno = error;
            return MAP_FAILED;
        }
    }
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}
void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) { return map_any(address, length, protection, flags, fd, offset); }
void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) { return map_any(address, length, protection, flags, fd, offset); }

/* RENAME and LINK: from `a` to `b`; UNLINK: `a` alone. The kind is that of the name that changes. */
static int call_on_names(enum op op, int at_a, const char *a, int at_b, const char *b, unsigned flags) {
    char buffer_a[4096], buffer_b[4096], both[8192];
    const char *path_a = absolute(at_a, a, buffer_a, sizeof buffer_a);
    const char *path_b = b ? absolute(at_b, b, buffer_b, sizeof buffer_b) : "";
    enum kind kind = kind_of(b ? path_b : path_a);
    if (kind == NONE && b) kind = kind_of(path_a);
    pthread_mutex_lock(&mutex);
    enum action action = kind == NONE ? PASS : decide(op, kind);
    if (action == KILL_BEFORE) die();
    int error = error_of(action);
    if (!error && action != PRETEND) {
        int result = -1;
        if (op == RENAME) result = (int)syscall(SYS_renameat2, at_a, a, at_b, b, flags);
        if (op == LINK) result = (int)syscall(SYS_linkat, at_a, a, at_b, b, flags);
        if (op == UNLINK) result = (int)syscall(SYS_unlinkat, at_a, a, flags);
        if (result < 0) error = errno;
    }
    if (kind != NONE) {
        int bytes = snprintf(both, sizeof both, "%s%c%s", path_a, b ? '\n' : 0, path_b);
        append(op, kind, action, action == PRETEND ? -ECANCELED : -error, 0, 0, 0, both, bytes > 0 ? strnlen(both, sizeof both) : 0);
    }
    if (action == KILL_AFTER) die();
    pthread_mutex_unlock(&mutex);
    if (!error) return 0;
    errno = error;
    return -1;
}
int rename(const char *a, const char *b) { return call_on_names(RENAME, AT_FDCWD, a, AT_FDCWD, b, 0); }
int renameat(int at_a, const char *a, int at_b, const char *b) { return call_on_names(RENAME, at_a, a, at_b, b, 0); }
int renameat2(int at_a, const char *a, int at_b, const char *b, unsigned flags) { return call_on_names(RENAME, at_a, a, at_b, b, flags); }
int link(const char *a, const char *b) { return call_on_names(LINK, AT_FDCWD, a, AT_FDCWD, b, 0); }
int linkat(int at_a, const char *a, int at_b, const char *b, int flags) { return call_on_names(LINK, at_a, a, at_b, b, (unsigned)flags); }
int unlink(const char *path) { return call_on_names(UNLINK, AT_FDCWD, path, AT_FDCWD, NULL, 0); }
int unlinkat(int at, const char *path, int flags) { return call_on_names(UNLINK, at, path, AT_FDCWD, NULL, (unsigned)flags); }
