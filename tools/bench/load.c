/*
 * The programs that the benchmarks supervise: they start in a fraction of a millisecond, do one thing, and stamp
 * it with CLOCK_MONOTONIC, the clock of Node's process.hrtime, so nothing has to poll precisely.
 * A stamp is a line "PID NANOSECONDS WORD\n" appended to STAMPS in one write.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: load idle\n"
    "       load stamp STAMPS           stamps \"started\", then idles\n"
    "       load slow MS                ends MS milliseconds after SIGTERM\n"
    "       load flood STAMPS BYTES     stamps \"begun\", writes BYTES in blocks of 64 KiB, stamps \"done\", idles\n"
    "       load lines PER_SECOND       that many lines of 120 bytes, evenly\n";

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void stamp(const char *path, const char *word) {
    struct timespec now;
    char line[96];
    clock_gettime(CLOCK_MONOTONIC, &now);
    int length = snprintf(line, sizeof line, "%d %lld%09ld %s\n", (int)getpid(), (long long)now.tv_sec,
                          now.tv_nsec, word);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) fail(path);
    if (write(fd, line, (size_t)length) != length) fail(path);
    close(fd);
}

static void idle(void) {
    for (;;) pause();
}

static void nap(long ns) {
    struct timespec left = {ns / 1000000000, ns % 1000000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

static void put(const char *data, size_t length) {
    while (length > 0) {
        ssize_t done = write(1, data, length);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) fail("stdout");
        data += done;
        length -= (size_t)done;
    }
}

static void slow(long ms) {
    sigset_t terms;
    int got;
    sigemptyset(&terms);
    sigaddset(&terms, SIGTERM);
    sigprocmask(SIG_BLOCK, &terms, NULL);
    sigwait(&terms, &got);
    nap(ms * 1000000);
    exit(0);
}

static void flood(const char *stamps, long long bytes) {
    static char block[65536];
    for (size_t i = 0; i < sizeof block; i++) block[i] = i % 128 == 127 ? '\n' : 'x';
    stamp(stamps, "begun");
    while (bytes > 0) {
        size_t length = bytes < (long long)sizeof block ? (size_t)bytes : sizeof block;
        put(block, length);
        bytes -= (long long)length;
    }
    stamp(stamps, "done");
    idle();
}

static void lines(long per_second) {
    char line[120];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    const long period = 1000000000 / per_second;
    /* A hundred programs that started together must not write together. */
    nap((getpid() % 101) * (period / 101));
    for (;;) {
        put(line, sizeof line);
        nap(period);
    }
}

int main(int argc, char **argv) {
    const char *act = argc > 1 ? argv[1] : "";
    if (argc == 2 && strcmp(act, "idle") == 0) idle();
    if (argc == 3 && strcmp(act, "stamp") == 0) {
        stamp(argv[2], "started");
        idle();
    }
    if (argc == 3 && strcmp(act, "slow") == 0) slow(atol(argv[2]));
    if (argc == 4 && strcmp(act, "flood") == 0) flood(argv[2], atoll(argv[3]));
    if (argc == 3 && strcmp(act, "lines") == 0 && atol(argv[2]) > 0) lines(atol(argv[2]));
    fputs(USAGE, stderr);
    return 2;
}
