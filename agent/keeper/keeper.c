// fleetvisor-keeper: the parent of every supervised child. It starts, signals, reaps and holds their
// pipes, so that the agent may crash or be replaced under running programs. docs/keeper.md is its contract.
// Invariants: one thread; nothing is decided here; a signal goes only to a child not yet reaped;
// an exit record stays until it is acknowledged; a connected agent is the only reader of output.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// ---- Limits and the words of the protocol (docs/keeper.md has the same tables) ----

enum {
  PROTOCOL_MIN = 1,
  PROTOCOL_MAX = 1,
  HEADER_BYTES = 12,
  FIELD_HEADER_BYTES = 8,
  FRAME_BYTES_MAX = 2560 * 1024,   // payload of one frame
  ENV_BYTES_MAX = 1024 * 1024,     // all ENV fields of one spawn
  ARG_BYTES_MAX = 1024 * 1024,     // all ARG fields of one spawn
  STRINGS_MAX = 16384,             // ARG or ENV fields of one spawn
  TAG_BYTES_MAX = 1024,
  NAME_BYTES_MAX = 128,
  GROUPS_MAX = 65536,
  RLIMITS_MAX = 32,
  CHILDREN_MAX = 16384,            // live children and unacknowledged records together
  HELD_MAX = 512,                  // held sockets
  CONNECTIONS_MAX = 5,             // the agent and those that have not said hello yet
  OUTPUT_BYTES_MAX = 32 * 1024 * 1024, // unread answers; an agent that reads none is dropped
  DATAGRAM_BYTES_MAX = 64 * 1024,
  FD_RESERVE = 32,                 // descriptors that children never take, so that an agent can always connect
  SPAWN_WINDOW = 4096,             // spawn numbers this far below the highest may still be new
  TREE_PASSES_MAX = 8,
  IDLE_MS = 60000,
  IDLE_RECORDS_FACTOR = 10,        // how much longer it stays for exit records nobody acknowledged
  OOM_SCORE_ADJ = -900,
  EXIT_USAGE = 2,
  EXIT_SYSTEM = 1,
  EXIT_LOCKED = 11,
  EXIT_NOT_EXECUTED = 127,
};
// What an agent's number type holds exactly.
#define SPAWN_MAX ((UINT64_C(1) << 53) - 1)
static const uint64_t SPILL_BYTES_MAX = 64ull * 1024 * 1024;

enum message {
  MSG_HELLO = 1, MSG_SPAWN = 2, MSG_SIGNAL = 3, MSG_LIST = 4, MSG_ACK_EXIT = 5,
  MSG_RELEASE_OUTPUT = 6, MSG_RELEASE_SPILL = 7, MSG_LISTEN = 8, MSG_CLOSE_SOCKET = 9,
  MSG_DGRAM_OPEN = 10, MSG_DGRAM_SEND = 11, MSG_SHUTDOWN = 12,
  MSG_OK = 64, MSG_ERROR = 65, MSG_WELCOME = 66, MSG_CHILD = 67, MSG_SOCKET = 68,
  MSG_SPAWNED = 128, MSG_SPAWN_FAILED = 129, MSG_EXITED = 130, MSG_ORPHAN = 131,
  MSG_DGRAM = 132, MSG_DISPLACED = 133,
};

enum field {
  F_VERSION_MIN = 1, F_VERSION_MAX = 2, F_SPAWN = 3, F_TAG = 4, F_PATH = 5, F_ARG = 6, F_ENV = 7,
  F_CWD = 8, F_UID = 9, F_GID = 10, F_GROUPS = 11, F_UMASK = 12, F_RLIMIT = 13, F_SESSION = 14,
  F_NICE = 15, F_OOM_SCORE_ADJ = 16, F_STDIN = 17, F_STDOUT = 18, F_STDERR = 19, F_SIGNAL = 20,
  F_TARGET = 21, F_NAME = 22, F_ADDRESS = 23, F_PORT = 24, F_BACKLOG = 25, F_MODE = 26,
  F_DATA = 27, F_RECEIVE = 28, F_FAMILY = 29,
  F_REQUEST_END = 30,
  F_VERSION = 64, F_PID = 65, F_NOW_US = 66, F_FEATURES = 67, F_LAST_SPAWN = 68, F_ORPHANS = 69,
  F_KEEPER_STARTED_US = 70, F_STATE = 71, F_START_TICKS = 72, F_STARTED_US = 73, F_STDIN_FD = 74,
  F_STDOUT_FD = 75, F_STDERR_FD = 76, F_WAIT_STATUS = 77, F_EXITED_US = 78, F_USER_US = 79,
  F_SYSTEM_US = 80, F_MAXRSS_KIB = 81, F_ACKNOWLEDGED = 82, F_STAGE = 83, F_ERRNO = 84,
  F_SPILL_STDOUT = 85, F_SPILL_STDERR = 86, F_SPILL_STDOUT_BYTES = 87, F_SPILL_STDERR_BYTES = 88,
  F_SPILL_STDOUT_DROPPED = 89, F_SPILL_STDERR_DROPPED = 90, F_COUNT = 91, F_CODE = 92, F_TEXT = 93,
  F_SENDER_PID = 94, F_SENDER_UID = 95,
};

enum field_type { T_NONE = 0, T_NUMBER, T_TEXT, T_BYTES };
static const uint8_t FIELD_TYPES[F_REQUEST_END] = {
  [F_VERSION_MIN] = T_NUMBER, [F_VERSION_MAX] = T_NUMBER, [F_SPAWN] = T_NUMBER, [F_TAG] = T_BYTES,
  [F_PATH] = T_TEXT, [F_ARG] = T_TEXT, [F_ENV] = T_TEXT, [F_CWD] = T_TEXT, [F_UID] = T_NUMBER,
  [F_GID] = T_NUMBER, [F_GROUPS] = T_BYTES, [F_UMASK] = T_NUMBER, [F_RLIMIT] = T_BYTES,
  [F_SESSION] = T_NUMBER, [F_NICE] = T_NUMBER, [F_OOM_SCORE_ADJ] = T_NUMBER, [F_STDIN] = T_TEXT,
  [F_STDOUT] = T_TEXT, [F_STDERR] = T_TEXT, [F_SIGNAL] = T_NUMBER, [F_TARGET] = T_NUMBER,
  [F_NAME] = T_TEXT, [F_ADDRESS] = T_TEXT, [F_PORT] = T_NUMBER, [F_BACKLOG] = T_NUMBER,
  [F_MODE] = T_NUMBER, [F_DATA] = T_BYTES, [F_RECEIVE] = T_NUMBER, [F_FAMILY] = T_NUMBER,
};

#define BIT(f) (1ull << (f))
static const uint64_t REPEATABLE = BIT(F_ARG) | BIT(F_ENV) | BIT(F_RLIMIT);

enum code {
  E_MALFORMED = 1, E_UNKNOWN_MESSAGE = 2, E_UNKNOWN_FIELD = 3, E_VERSION = 4, E_NOT_GREETED = 5,
  E_DUPLICATE = 6, E_NO_SUCH = 7, E_CHILDREN_LIVE = 8, E_SYSTEM = 9, E_LIMIT = 10,
};

enum stage {
  STAGE_LIMIT = 1, STAGE_PIPE, STAGE_FORK, STAGE_GROUP, STAGE_DESCRIPTORS, STAGE_RLIMIT,
  STAGE_PRIORITY, STAGE_USER, STAGE_CHDIR, STAGE_EXEC,
};

enum { FEATURE_SPILL = 1, FEATURE_SOCKETS = 2, FEATURE_DGRAMS = 4 };
enum { TARGET_PROCESS = 0, TARGET_GROUP = 1, TARGET_TREE = 2 };
enum child_state { STARTING = 1, RUNNING = 2, EXITED = 3 };

// ---- What the keeper knows ----

struct buffer { uint8_t *data; size_t len, cap; bool failed; };

enum source_kind { SRC_LISTENER, SRC_SIGNALS, SRC_CONNECTION, SRC_START, SRC_OUTPUT, SRC_DGRAM };
// What epoll points at: `owner` is the connection, child or held socket behind the descriptor.
struct source { enum source_kind kind; int fd; bool watched; uint32_t events; void *owner; };

struct output {
  struct source source;         // read end; fd -1 when there is none or it was released
  uint64_t spilled, dropped;    // bytes in the spill file; bytes beyond its limit
};

struct child {
  struct child *next;
  uint64_t spawn;
  pid_t pid;
  uint64_t start_ticks, started_us, exited_us;
  enum child_state state;
  bool adopted;                 // started for an earlier connection: told by list, not by notices
  bool acknowledged;
  int status;
  uint64_t user_us, system_us, maxrss_kib;
  int fail_stage, fail_errno;   // set when the program was never executed
  int stdin_fd;                 // write end, -1 when there is none
  struct source start;          // error pipe, closes at exec; fd -1 once settled
  struct output out[2];         // stdout, stderr
  size_t tag_len;
  uint8_t tag[];
};

struct held {                   // a socket kept for children (listen) or for the agent (dgram)
  struct held *next;
  struct source source;
  bool datagram;
  char name[NAME_BYTES_MAX + 1];
};

struct connection {
  struct source source;
  bool greeted, listed, closing;
  uint64_t serial;
  struct buffer in, out;
};

struct request {
  uint32_t id;
  uint64_t present;
  uint64_t number[F_REQUEST_END];
  const char *text[F_REQUEST_END];
  const uint8_t *bytes[F_REQUEST_END];
  size_t length[F_REQUEST_END];
  const uint8_t *payload;
  size_t payload_len;
};

static struct {
  int epoll_fd, lock_fd;
  struct source listener, signals;
  struct child *children;
  size_t child_count, live_count;
  struct held *held;
  size_t held_count;
  struct connection *connections[CONNECTIONS_MAX];
  struct connection *agent;
  uint64_t serial;
  uint64_t last_spawn;
  uint8_t seen[SPAWN_WINDOW / 8];
  uint64_t orphans;             // orphans that ended while nobody was connected
  uint64_t started_us, idle_since_us, idle_ms;
  bool ending;                  // asked to end: does so when nothing is left to keep
  bool init;
  pid_t init_pid;               // the agent, in --init mode; 0 once it ended
  int init_status;
  const char *socket_path, *lock_path, *spill_dir;
  mode_t umask;                 // as inherited
  struct rlimit nofile;         // as inherited; children get it back
  rlim_t fd_limit;              // what the keeper itself may open
  char oom_inherited[16];       // as inherited, empty when it was not lowered
} keeper;

// ---- Fault injection: compiled in for tests only, driven by KEEPER_FAULT=point:nth:errno ----

#ifdef KEEPER_FAULTS
static bool fault(const char *point) {
  static unsigned calls;
  const char *plan = getenv("KEEPER_FAULT");
  size_t n = strlen(point);
  if (!plan || strncmp(plan, point, n) != 0 || plan[n] != ':') return false;
  char *rest;
  unsigned long nth = strtoul(plan + n + 1, &rest, 10);
  if (++calls != nth) return false;
  errno = *rest == ':' ? atoi(rest + 1) : EIO;
  return true;
}
#else
static bool fault(const char *point) { (void)point; return false; }
#endif

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

// The kernel gives the lowest free number, so a high one means that the reserve has been reached.
static bool from_reserve(int fd) {
  if (fd < 0 || (rlim_t)fd + FD_RESERVE < keeper.fd_limit) return false;
  errno = EMFILE;
  return true;
}

// ---- Buffers and frames ----

static bool reserve(struct buffer *b, size_t more) {
  if (b->failed) return false;
  if (b->cap - b->len >= more) return true;
  size_t cap = b->cap ? b->cap : 1024;
  while (cap - b->len < more) cap *= 2;
  uint8_t *data = fault("malloc") ? NULL : realloc(b->data, cap);
  if (!data) {
    b->failed = true;
    return false;
  }
  b->data = data;
  b->cap = cap;
  return true;
}

static void append(struct buffer *b, const void *data, size_t len) {
  if (len == 0 || !reserve(b, len)) return;
  memcpy(b->data + b->len, data, len);
  b->len += len;
}

static void consume(struct buffer *b, size_t len) {
  if (len < b->len) memmove(b->data, b->data + len, b->len - len);
  b->len -= len;
  if (b->len == 0 && b->cap > 16384) { // a burst's memory goes back
    free(b->data);
    b->data = NULL;
    b->cap = 0;
  }
}

static void little(uint8_t *to, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t from_little(const uint8_t *from, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; i++) value |= (uint64_t)from[i] << (8 * i);
  return value;
}

static size_t frame_begin(struct buffer *b, enum message type, uint32_t id) {
  uint8_t header[HEADER_BYTES] = {0};
  little(header + 4, type, 2);
  little(header + 8, id, 4);
  size_t at = b->len;
  append(b, header, sizeof header);
  return at;
}

static void put_bytes(struct buffer *b, enum field field, const void *data, size_t len) {
  uint8_t header[FIELD_HEADER_BYTES] = {0};
  little(header, field, 2);
  little(header + 4, len, 4);
  append(b, header, sizeof header);
  append(b, data, len);
}

static void put_number(struct buffer *b, enum field field, uint64_t value) {
  uint8_t bytes[8];
  little(bytes, value, 8);
  put_bytes(b, field, bytes, sizeof bytes);
}

static void put_text(struct buffer *b, enum field field, const char *text) {
  put_bytes(b, field, text, strlen(text) + 1);
}

static void frame_end(struct buffer *b, size_t at) {
  if (!b->failed) little(b->data + at, b->len - at - HEADER_BYTES, 4);
}

static void reply_ok(struct connection *c, uint32_t id) {
  frame_end(&c->out, frame_begin(&c->out, MSG_OK, id));
}

static void reply_error(struct connection *c, uint32_t id, enum code code, int error, const char *text) {
  size_t at = frame_begin(&c->out, MSG_ERROR, id);
  put_number(&c->out, F_CODE, code);
  if (error) put_number(&c->out, F_ERRNO, (uint64_t)error);
  put_text(&c->out, F_TEXT, text);
  frame_end(&c->out, at);
}

// ---- epoll ----

static bool watch(struct source *s, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = s};
  int op = s->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (s->watched && s->events == events) return true;
  if (fault("epoll") || epoll_ctl(keeper.epoll_fd, op, s->fd, &event) < 0) return false;
  s->watched = true;
  s->events = events;
  return true;
}

static void unwatch(struct source *s) {
  if (s->watched) epoll_ctl(keeper.epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
  s->watched = false;
}

static void close_source(struct source *s) {
  unwatch(s);
  close_fd(&s->fd);
}

// ---- Spill: what children write while no agent is connected ----

static int spill_path(const struct child *c, int stream, char *path, size_t size) {
  int n = snprintf(path, size, "%s/spawn-%" PRIu64 ".%s", keeper.spill_dir, c->spawn,
                   stream == 0 ? "stdout" : "stderr");
  return n > 0 && (size_t)n < size ? 0 : -1;
}

static int spill_open(struct child *c, int stream) {
  char path[PATH_MAX];
  struct output *o = &c->out[stream];
  if (spill_path(c, stream, path, sizeof path) < 0) return -1;
  // A file that this keeper did not count is left over from another one: it starts anew.
  int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (o->spilled ? 0 : O_TRUNC);
  return open(path, flags, 0600);
}

// One readable event: at most one buffer, so that a flooding child does not starve the others.
static void spill_some(struct child *c, int stream) {
  static uint8_t chunk[65536];
  struct output *o = &c->out[stream];
  ssize_t n = read(o->source.fd, chunk, sizeof chunk);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) { // all writers are gone: nothing more to move, the end stays for the agent's open
    unwatch(&o->source);
    return;
  }
  size_t room = o->spilled < SPILL_BYTES_MAX ? (size_t)(SPILL_BYTES_MAX - o->spilled) : 0;
  size_t want = (size_t)n < room ? (size_t)n : room, done = 0;
  int fd = want > 0 ? spill_open(c, stream) : -1;
  while (fd >= 0 && done < want) {
    ssize_t written = fault("spill") ? -1 : write(fd, chunk + done, want - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break; // a full disk loses output and says how much; the child is not blocked
    done += (size_t)written;
  }
  close_fd(&fd); // not kept: descriptors are for children, and this is rare
  o->spilled += done;
  o->dropped += (uint64_t)n - done;
}

static void spill_start(void) {
  if (!keeper.spill_dir) return;
  for (struct child *c = keeper.children; c; c = c->next)
    for (int i = 0; i < 2; i++)
      if (c->out[i].source.fd >= 0) watch(&c->out[i].source, EPOLLIN);
}

static void spill_stop(void) {
  for (struct child *c = keeper.children; c; c = c->next)
    for (int i = 0; i < 2; i++) unwatch(&c->out[i].source);
}

static void spill_drop(struct child *c) {
  char path[PATH_MAX];
  for (int i = 0; i < 2; i++) {
    struct output *o = &c->out[i];
    if (o->spilled > 0 && spill_path(c, i, path, sizeof path) == 0) unlink(path);
    o->spilled = o->dropped = 0;
  }
}

// ---- Children: records and notices ----

static struct child *child_by_spawn(uint64_t spawn) {
  for (struct child *c = keeper.children; c; c = c->next)
    if (c->spawn == spawn) return c;
  return NULL;
}

// Only the living: a dead child's pid may already belong to another.
static struct child *child_by_pid(pid_t pid) {
  for (struct child *c = keeper.children; c; c = c->next)
    if (c->pid == pid && c->state != EXITED) return c;
  return NULL;
}

static void release_output(struct child *c) {
  for (int i = 0; i < 2; i++) close_source(&c->out[i].source);
}

static void child_free(struct child *c) {
  struct child **at = &keeper.children;
  while (*at != c) at = &(*at)->next;
  *at = c->next;
  keeper.child_count--;
  close_source(&c->start);
  close_fd(&c->stdin_fd);
  release_output(c);
  spill_drop(c);
  free(c);
}

// A record goes when its exit is known to the agent and its output was read to the end.
static void forget_if_done(struct child *c) {
  if (c->state == EXITED && c->acknowledged && c->out[0].source.fd < 0 && c->out[1].source.fd < 0 &&
      c->out[0].spilled == 0 && c->out[1].spilled == 0)
    child_free(c);
}

static void put_exit(struct buffer *b, const struct child *c) {
  put_number(b, F_WAIT_STATUS, (uint64_t)(uint32_t)c->status);
  put_number(b, F_EXITED_US, c->exited_us);
  put_number(b, F_USER_US, c->user_us);
  put_number(b, F_SYSTEM_US, c->system_us);
  put_number(b, F_MAXRSS_KIB, c->maxrss_kib);
  put_number(b, F_ACKNOWLEDGED, c->acknowledged ? 1 : 0);
  if (c->fail_stage) {
    put_number(b, F_STAGE, (uint64_t)c->fail_stage);
    put_number(b, F_ERRNO, (uint64_t)c->fail_errno);
  }
}

static void put_child(struct buffer *b, const struct child *c) {
  put_number(b, F_SPAWN, c->spawn);
  put_number(b, F_PID, (uint64_t)c->pid);
  put_bytes(b, F_TAG, c->tag, c->tag_len);
  put_number(b, F_STATE, c->state);
  put_number(b, F_START_TICKS, c->start_ticks);
  put_number(b, F_STARTED_US, c->started_us);
  if (c->stdin_fd >= 0) put_number(b, F_STDIN_FD, (uint64_t)c->stdin_fd);
  for (int i = 0; i < 2; i++) {
    const struct output *o = &c->out[i];
    char path[PATH_MAX];
    if (o->source.fd >= 0) put_number(b, i == 0 ? F_STDOUT_FD : F_STDERR_FD, (uint64_t)o->source.fd);
    if (o->spilled == 0 && o->dropped == 0) continue;
    if (o->spilled > 0 && spill_path(c, i, path, sizeof path) == 0)
      put_text(b, i == 0 ? F_SPILL_STDOUT : F_SPILL_STDERR, path);
    put_number(b, i == 0 ? F_SPILL_STDOUT_BYTES : F_SPILL_STDERR_BYTES, o->spilled);
    put_number(b, i == 0 ? F_SPILL_STDOUT_DROPPED : F_SPILL_STDERR_DROPPED, o->dropped);
  }
  if (c->state == EXITED) put_exit(b, c);
}

// Adopted children are news only after the agent has listed them; before that, the list will tell.
static bool agent_wants(const struct child *c) {
  return keeper.agent && (keeper.agent->listed || !c->adopted);
}

static void tell_spawn_failed(uint64_t spawn, int stage, int error) {
  struct buffer *b = &keeper.agent->out;
  size_t at = frame_begin(b, MSG_SPAWN_FAILED, 0);
  put_number(b, F_SPAWN, spawn);
  put_number(b, F_STAGE, (uint64_t)stage);
  put_number(b, F_ERRNO, (uint64_t)error);
  frame_end(b, at);
}

// The error pipe closed (exec happened) or brought the failing step; the exit of the latter follows.
static void settle_start(struct child *c) {
  int report[2];
  ssize_t n;
  if (c->start.fd < 0) return;
  do n = read(c->start.fd, report, sizeof report); while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN && c->state == STARTING) return;
  close_source(&c->start);
  if (n == (ssize_t)sizeof report) {
    c->fail_stage = report[0];
    c->fail_errno = report[1];
    return;
  }
  c->state = RUNNING;
  if (!keeper.agent || c->adopted) return;
  size_t at = frame_begin(&keeper.agent->out, MSG_SPAWNED, 0);
  put_child(&keeper.agent->out, c);
  frame_end(&keeper.agent->out, at);
}

static uint64_t timeval_us(struct timeval t) {
  return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_usec;
}

static void child_exited(struct child *c, int status, const struct rusage *usage) {
  settle_start(c); // the order an agent sees: spawned, then exited
  close_source(&c->start);
  c->state = EXITED;
  c->status = status;
  c->exited_us = now_us();
  c->user_us = timeval_us(usage->ru_utime);
  c->system_us = timeval_us(usage->ru_stime);
  c->maxrss_kib = (uint64_t)usage->ru_maxrss;
  keeper.live_count--;
  close_fd(&c->stdin_fd);
  if (!agent_wants(c)) return;
  if (c->fail_stage && !c->adopted) {
    tell_spawn_failed(c->spawn, c->fail_stage, c->fail_errno);
    child_free(c);
    return;
  }
  struct buffer *b = &keeper.agent->out;
  size_t at = frame_begin(b, MSG_EXITED, 0);
  put_number(b, F_SPAWN, c->spawn);
  put_number(b, F_PID, (uint64_t)c->pid);
  put_exit(b, c);
  frame_end(b, at);
}

static void orphan_ended(pid_t pid, int status) {
  if (!keeper.agent) {
    keeper.orphans++;
    return;
  }
  struct buffer *b = &keeper.agent->out;
  size_t at = frame_begin(b, MSG_ORPHAN, 0);
  put_number(b, F_PID, (uint64_t)pid);
  put_number(b, F_WAIT_STATUS, (uint64_t)(uint32_t)status);
  frame_end(b, at);
}

static void reap(void) {
  for (;;) {
    int status;
    struct rusage usage;
    pid_t pid = wait4(-1, &status, WNOHANG, &usage);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) return;
    struct child *c = child_by_pid(pid);
    if (c) {
      child_exited(c, status, &usage);
    } else if (pid == keeper.init_pid) {
      keeper.init_pid = 0;
      keeper.init_status = status;
      keeper.ending = true;
    } else {
      orphan_ended(pid, status);
    }
  }
}

// ---- /proc ----

struct process { pid_t pid, parent, group; uint64_t start_ticks; char state; bool marked; };

static bool read_process(pid_t pid, struct process *p) {
  char path[48], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return false;
  text[n] = 0;
  char *end = strrchr(text, ')'); // the command name may hold spaces and parentheses
  int parent, group;
  unsigned long long ticks;
  if (!end || sscanf(end + 1, " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                     &p->state, &parent, &group, &ticks) != 4)
    return false;
  p->pid = pid;
  p->parent = parent;
  p->group = group;
  p->start_ticks = ticks;
  p->marked = false;
  return true;
}

static int by_pid(const void *a, const void *b) {
  pid_t x = ((const struct process *)a)->pid, y = ((const struct process *)b)->pid;
  return (x > y) - (x < y);
}

// All processes of the machine that this /proc shows, sorted by pid; NULL without memory or /proc.
static struct process *read_processes(size_t *count) {
  DIR *proc = opendir("/proc");
  struct process *list = NULL;
  size_t cap = 0;
  *count = 0;
  if (!proc) return NULL;
  for (struct dirent *entry; (entry = readdir(proc));) {
    char *end;
    long pid = strtol(entry->d_name, &end, 10);
    if (pid <= 0 || *end) continue;
    if (*count == cap) {
      cap = cap ? cap * 2 : 256;
      struct process *more = realloc(list, cap * sizeof *list);
      if (!more) break;
      list = more;
    }
    if (read_process((pid_t)pid, &list[*count])) ++*count;
  }
  closedir(proc);
  if (list) qsort(list, *count, sizeof *list, by_pid);
  return list;
}

// Marks the descendants of `root` and the members of its group; the root itself stays unmarked.
static void mark_tree(struct process *list, size_t count, pid_t root) {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < count; i++) {
      struct process *p = &list[i], key = {.pid = p->parent};
      if (p->marked || p->pid == root) continue;
      struct process *parent = bsearch(&key, list, count, sizeof *list, by_pid);
      if (p->parent != root && p->group != root && !(parent && parent->marked)) continue;
      p->marked = changed = true;
    }
  }
}

// A pidfd and a second look at the start time keep a reused pid from being hit.
static bool signal_process(const struct process *p, int signal) {
  int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
  if (fd < 0) return errno == ENOSYS ? kill(p->pid, signal) == 0 : false;
  struct process again;
  bool same = read_process(p->pid, &again) && again.start_ticks == p->start_ticks;
  bool sent = same && syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) == 0;
  close(fd);
  return sent;
}

// Descendants first, the child last: once it ends, its descendants are no longer found by ancestry.
// Rescans until nothing new appears, because a tree may fork while it is being walked.
static int signal_tree(const struct child *c, int signal, uint64_t *reached) {
  struct process *done = NULL;
  size_t done_count = 0;
  for (int pass = 0, fresh = 1; fresh && pass < TREE_PASSES_MAX; pass++) {
    size_t count;
    struct process *list = read_processes(&count);
    fresh = 0;
    if (!list) break;
    mark_tree(list, count, c->pid);
    for (size_t i = 0; i < count; i++) {
      bool known = false;
      for (size_t k = 0; k < done_count && !known; k++)
        known = done[k].pid == list[i].pid && done[k].start_ticks == list[i].start_ticks;
      if (!list[i].marked || list[i].state == 'Z' || known) continue;
      struct process *more = realloc(done, (done_count + 1) * sizeof *done);
      if (!more) break;
      done = more;
      done[done_count++] = list[i];
      fresh = 1;
      if (signal_process(&list[i], signal)) ++*reached;
    }
    free(list);
  }
  free(done);
  if (kill(c->pid, signal) < 0) return errno;
  ++*reached;
  return 0;
}

// ---- Requests: reading fields ----

// The next field of a payload: 1 found, 0 at the end, -1 malformed.
static int next_field(const uint8_t *payload, size_t len, size_t *at, unsigned *tag, const uint8_t **data,
                      size_t *size) {
  if (*at == len) return 0;
  if (len - *at < FIELD_HEADER_BYTES) return -1;
  const uint8_t *h = payload + *at;
  *tag = (unsigned)from_little(h, 2);
  *size = (size_t)from_little(h + 4, 4);
  if (from_little(h + 2, 2) != 0 || *size > len - *at - FIELD_HEADER_BYTES) return -1;
  *data = h + FIELD_HEADER_BYTES;
  *at += FIELD_HEADER_BYTES + *size;
  return 1;
}

static const char *parse_request(struct request *r, uint64_t allowed, enum code *code) {
  size_t at = 0, size;
  unsigned tag;
  const uint8_t *data;
  int more;
  *code = E_MALFORMED;
  while ((more = next_field(r->payload, r->payload_len, &at, &tag, &data, &size)) > 0) {
    if (tag == 0 || tag >= F_REQUEST_END || !(allowed & BIT(tag))) {
      *code = E_UNKNOWN_FIELD;
      return "a field that this message does not take";
    }
    if ((r->present & BIT(tag)) && !(REPEATABLE & BIT(tag))) return "a field came twice";
    r->present |= BIT(tag);
    r->length[tag] = size;
    r->bytes[tag] = data;
    if (FIELD_TYPES[tag] == T_NUMBER) {
      if (size != 8) return "a number field is not 8 bytes long";
      r->number[tag] = from_little(data, 8);
    } else if (FIELD_TYPES[tag] == T_TEXT) {
      if (size == 0 || memchr(data, 0, size) != data + size - 1) return "a text field does not end in its one zero byte";
      r->text[tag] = (const char *)data;
    }
  }
  return more < 0 ? "a field reaches beyond its message" : NULL;
}

static bool has(const struct request *r, enum field f) { return (r->present & BIT(f)) != 0; }

// ---- Spawn ----

struct plan {                    // everything the forked child needs, prepared before the fork
  const struct request *r;
  char **argv, **env;
  gid_t *groups;
  size_t group_count;
  struct { int resource; struct rlimit limit; } rlimits[RLIMITS_MAX];
  size_t rlimit_count;
  int fd[3];
};

static bool spawn_seen(uint64_t spawn) {
  if (spawn > keeper.last_spawn) return false;
  if (keeper.last_spawn - spawn >= SPAWN_WINDOW) return true;
  return (keeper.seen[spawn % SPAWN_WINDOW / 8] >> (spawn % 8)) & 1;
}

static void remember_spawn(uint64_t spawn) {
  if (spawn > keeper.last_spawn) {
    if (spawn - keeper.last_spawn >= SPAWN_WINDOW) memset(keeper.seen, 0, sizeof keeper.seen);
    else
      for (uint64_t n = keeper.last_spawn + 1; n < spawn; n++)
        keeper.seen[n % SPAWN_WINDOW / 8] &= (uint8_t)~(1u << (n % 8));
    keeper.last_spawn = spawn;
  }
  keeper.seen[spawn % SPAWN_WINDOW / 8] |= (uint8_t)(1u << (spawn % 8));
}

// Fills argv, env and rlimits from the repeated fields. The strings stay in the frame.
static const char *read_repeated(const struct request *r, struct plan *plan) {
  size_t at = 0, size, args = 0, envs = 0, arg_bytes = 0, env_bytes = 0;
  unsigned tag;
  const uint8_t *data;
  while (next_field(r->payload, r->payload_len, &at, &tag, &data, &size) > 0) {
    if (tag == F_ARG) {
      if (args == STRINGS_MAX || (arg_bytes += size) > ARG_BYTES_MAX) return "too many or too long arguments";
      plan->argv[args++] = (char *)data;
    } else if (tag == F_ENV) {
      if (envs == STRINGS_MAX || (env_bytes += size) > ENV_BYTES_MAX) return "too large an environment";
      plan->env[envs++] = (char *)data;
    } else if (tag == F_RLIMIT) {
      if (size != 24 || plan->rlimit_count == RLIMITS_MAX) return "a limit is malformed, or there are too many";
      plan->rlimits[plan->rlimit_count].resource = (int)from_little(data, 8);
      plan->rlimits[plan->rlimit_count].limit.rlim_cur = (rlim_t)from_little(data + 8, 8);
      plan->rlimits[plan->rlimit_count++].limit.rlim_max = (rlim_t)from_little(data + 16, 8);
    }
  }
  plan->argv[args] = NULL;
  plan->env[envs] = NULL;
  return args == 0 ? "no argument zero" : NULL;
}

static void free_plan(struct plan *plan) {
  free(plan->argv);
  free(plan->env);
  free(plan->groups);
}

static const char *make_plan(const struct request *r, struct plan *plan) {
  // Counting first keeps the arrays as small as the request.
  size_t at = 0, size, strings = 2;
  unsigned tag;
  const uint8_t *data;
  while (next_field(r->payload, r->payload_len, &at, &tag, &data, &size) > 0) strings += tag == F_ARG || tag == F_ENV;
  plan->argv = calloc(strings, sizeof *plan->argv);
  plan->env = calloc(strings, sizeof *plan->env);
  if (!plan->argv || !plan->env) return "no memory";
  const char *wrong = read_repeated(r, plan);
  if (wrong) return wrong;
  if (r->length[F_GROUPS] % 4 || r->length[F_GROUPS] / 4 > GROUPS_MAX) return "the list of groups is malformed";
  if (has(r, F_UID) != has(r, F_GID) || has(r, F_UID) != has(r, F_GROUPS)) return "uid, gid and groups go together";
  // 2^32 - 1 means "leave it" to the kernel, which would keep root.
  if (r->number[F_UID] >= UINT32_MAX || r->number[F_GID] >= UINT32_MAX) return "no such uid or gid";
  plan->group_count = r->length[F_GROUPS] / 4;
  plan->groups = calloc(plan->group_count + 1, sizeof *plan->groups);
  if (!plan->groups) return "no memory";
  for (size_t i = 0; i < plan->group_count; i++) plan->groups[i] = (gid_t)from_little(r->bytes[F_GROUPS] + 4 * i, 4);
  return NULL;
}

static void child_fail(int error_fd, int stage) {
  int report[2] = {stage, errno};
  ssize_t written = write(error_fd, report, sizeof report);
  _exit(written == (ssize_t)sizeof report ? EXIT_NOT_EXECUTED : EXIT_NOT_EXECUTED - 1);
}

static int write_oom_score(const char *text) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t n = write(fd, text, strlen(text));
  close(fd);
  return n < 0 ? -1 : 0;
}

static int set_priorities(const struct request *r) {
  char text[24];
  if (has(r, F_NICE) && setpriority(PRIO_PROCESS, 0, (int)(int64_t)r->number[F_NICE]) < 0) return -1;
  if (has(r, F_OOM_SCORE_ADJ)) {
    snprintf(text, sizeof text, "%" PRId64, (int64_t)r->number[F_OOM_SCORE_ADJ]);
    return write_oom_score(text);
  }
  return keeper.oom_inherited[0] ? write_oom_score(keeper.oom_inherited) : 0;
}

static int reset_signals(void) {
  struct sigaction standard = {.sa_handler = SIG_DFL};
  for (int s = 1; s <= SIGRTMAX; s++)
    if (s != SIGKILL && s != SIGSTOP) sigaction(s, &standard, NULL); // EINVAL for glibc's own two
  sigset_t none;
  sigemptyset(&none);
  return sigprocmask(SIG_SETMASK, &none, NULL);
}

// Runs in the forked child: never returns. Each step that fails is named to the keeper.
static void run_child(const struct plan *plan, int error_fd) {
  const struct request *r = plan->r;
  bool session = has(r, F_SESSION) && r->number[F_SESSION];
  if ((session ? setsid() : setpgid(0, 0)) < 0) child_fail(error_fd, STAGE_GROUP);
  for (int i = 0; i < 3; i++)
    if (dup2(plan->fd[i], i) < 0) child_fail(error_fd, STAGE_DESCRIPTORS);
#ifdef SYS_close_range
  // Everything here is opened close-on-exec; this covers what is not. Kernels before 5.11 lack it.
  syscall(SYS_close_range, 3u, ~0u, 4u);
#endif
  if (set_priorities(r) < 0) child_fail(error_fd, STAGE_PRIORITY);
  if (setrlimit(RLIMIT_NOFILE, &keeper.nofile) < 0) child_fail(error_fd, STAGE_RLIMIT);
  for (size_t i = 0; i < plan->rlimit_count; i++)
    if (setrlimit((__rlimit_resource_t)plan->rlimits[i].resource, &plan->rlimits[i].limit) < 0)
      child_fail(error_fd, STAGE_RLIMIT);
  if (has(r, F_UID)) {
    gid_t gid = (gid_t)r->number[F_GID];
    uid_t uid = (uid_t)r->number[F_UID];
    // Without privilege only a change to what one already is can succeed, and groups cannot be set.
    if (geteuid() == 0 && setgroups(plan->group_count, plan->groups) < 0) child_fail(error_fd, STAGE_USER);
    if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) child_fail(error_fd, STAGE_USER);
  }
  if (r->text[F_CWD] && chdir(r->text[F_CWD]) < 0) child_fail(error_fd, STAGE_CHDIR);
  if (has(r, F_UMASK)) umask((mode_t)r->number[F_UMASK] & 0777);
  if (reset_signals() < 0) child_fail(error_fd, STAGE_GROUP);
  if (!fault("exec")) execve(r->text[F_PATH], plan->argv, plan->env);
  child_fail(error_fd, STAGE_EXEC);
}

static struct held *held_by_name(const char *name) {
  for (struct held *h = keeper.held; h; h = h->next)
    if (strcmp(h->name, name) == 0) return h;
  return NULL;
}

// One pipe: the child's end blocks as programs expect, the kept end does not. Owned by the child's
// user, so that it may open /dev/stdout. `child_reads` tells which end is whose.
static int make_pipe(const struct request *r, bool child_reads, int *kept, int *childs) {
  int ends[2];
  if (fault("pipe") || pipe2(ends, O_CLOEXEC) < 0) return -1;
  *kept = ends[child_reads ? 1 : 0];
  *childs = ends[child_reads ? 0 : 1];
  int flags = fcntl(*kept, F_GETFL);
  if (flags < 0 || fcntl(*kept, F_SETFL, flags | O_NONBLOCK) < 0) return -1;
  return has(r, F_UID) ? fchown(*kept, (uid_t)r->number[F_UID], (gid_t)-1) : 0;
}

// Opens what descriptors 0, 1 and 2 of the child will be. `temporary` are the keeper's to close.
static int open_streams(const struct request *r, struct child *c, struct plan *plan, int temporary[3], int *stage) {
  static const enum field FIELDS[3] = {F_STDIN, F_STDOUT, F_STDERR};
  for (int i = 0; i < 3; i++) {
    const char *kind = r->text[FIELDS[i]] ? r->text[FIELDS[i]] : "null";
    *stage = STAGE_DESCRIPTORS;
    if (strcmp(kind, "pipe") == 0) {
      *stage = STAGE_PIPE;
      if (make_pipe(r, i == 0, i == 0 ? &c->stdin_fd : &c->out[i - 1].source.fd, &temporary[i]) < 0) return -1;
      plan->fd[i] = temporary[i];
    } else if (strcmp(kind, "null") == 0) {
      plan->fd[i] = temporary[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
      if (temporary[i] < 0) return -1;
    } else if (i == 2 && strcmp(kind, "stdout") == 0) {
      plan->fd[2] = plan->fd[1];
    } else {
      struct held *h = strncmp(kind, "socket:", 7) == 0 ? held_by_name(kind + 7) : NULL;
      errno = h ? 0 : ENOENT;
      if (!h) return -1;
      plan->fd[i] = h->source.fd;
    }
  }
  return 0;
}

static struct child *child_new(const struct request *r) {
  struct child *c = fault("malloc") ? NULL : calloc(1, sizeof *c + r->length[F_TAG]);
  if (!c) return NULL;
  c->spawn = r->number[F_SPAWN];
  c->state = STARTING;
  c->stdin_fd = -1;
  c->start = (struct source){.kind = SRC_START, .fd = -1, .owner = c};
  for (int i = 0; i < 2; i++) c->out[i].source = (struct source){.kind = SRC_OUTPUT, .fd = -1, .owner = c};
  c->tag_len = r->length[F_TAG];
  if (c->tag_len) memcpy(c->tag, r->bytes[F_TAG], c->tag_len);
  c->next = keeper.children;
  keeper.children = c;
  keeper.child_count++;
  return c;
}

// Returns 0, or the stage that failed with errno set; the caller frees the record then.
static int start_child(const struct request *r, struct child *c, struct plan *plan) {
  int temporary[3] = {-1, -1, -1}, error_pipe[2] = {-1, -1}, stage = 0, error = 0;
  if (open_streams(r, c, plan, temporary, &stage) == 0) {
    stage = STAGE_PIPE;
    if (!fault("start-pipe") && pipe2(error_pipe, O_CLOEXEC | O_NONBLOCK) == 0) {
      c->start.fd = error_pipe[0];
      if (!from_reserve(error_pipe[1]) && watch(&c->start, EPOLLIN)) {
        stage = STAGE_FORK;
        c->started_us = now_us();
        pid_t pid = fault("fork") ? -1 : fork();
        if (pid == 0) run_child(plan, error_pipe[1]);
        c->pid = pid;
        if (pid > 0) stage = 0;
      }
    }
  }
  error = errno;
  for (int i = 0; i < 3; i++) close_fd(&temporary[i]);
  close_fd(&error_pipe[1]);
  if (stage == 0) {
    struct process p;
    // The child does the same; whoever is first, a group signal finds the group.
    if (!(has(r, F_SESSION) && r->number[F_SESSION])) setpgid(c->pid, c->pid);
    if (read_process(c->pid, &p)) c->start_ticks = p.start_ticks;
    keeper.live_count++;
  }
  errno = error;
  return stage;
}

static void on_spawn(struct connection *conn, const struct request *r) {
  struct plan plan = {.r = r};
  const char *wrong = NULL;
  if (!has(r, F_SPAWN) || !has(r, F_PATH) || r->number[F_SPAWN] == 0) wrong = "spawn needs a number and a path";
  // Told to every later agent in its welcome, which must be able to hold it.
  else if (r->number[F_SPAWN] > SPAWN_MAX) wrong = "the spawn number is above 2^53 - 1";
  else if (r->length[F_TAG] > TAG_BYTES_MAX) wrong = "the tag is too long";
  if (!wrong && spawn_seen(r->number[F_SPAWN])) {
    reply_error(conn, r->id, E_DUPLICATE, EEXIST, "this spawn number was used before");
    return;
  }
  if (!wrong) wrong = make_plan(r, &plan);
  if (wrong) {
    reply_error(conn, r->id, E_MALFORMED, EINVAL, wrong);
    free_plan(&plan);
    return;
  }
  remember_spawn(r->number[F_SPAWN]);
  reply_ok(conn, r->id);
  errno = EAGAIN;
  struct child *c = keeper.child_count < CHILDREN_MAX ? child_new(r) : NULL;
  int stage = c ? start_child(r, c, &plan) : STAGE_LIMIT;
  if (stage != 0) {
    int error = errno;
    if (c) child_free(c);
    tell_spawn_failed(r->number[F_SPAWN], stage, error);
  }
  free_plan(&plan);
}

// ---- The other requests ----

static void on_signal(struct connection *conn, const struct request *r) {
  struct child *c = child_by_spawn(r->number[F_SPAWN]);
  int signal = (int)r->number[F_SIGNAL], error = 0;
  uint64_t reached = 0, target = r->number[F_TARGET];
  if (r->number[F_SIGNAL] > (uint64_t)SIGRTMAX || target > TARGET_TREE) {
    reply_error(conn, r->id, E_MALFORMED, EINVAL, "no such signal or target");
    return;
  }
  if (!c || c->state == EXITED) {
    reply_error(conn, r->id, E_NO_SUCH, ESRCH, "no such child, or it has ended");
    return;
  }
  if (target == TARGET_TREE) {
    error = signal_tree(c, signal, &reached);
  } else {
    // A group may not exist yet while a session is being made; then the child is all there is.
    bool sent = target == TARGET_GROUP && kill(-c->pid, signal) == 0;
    if (!sent && target == TARGET_GROUP && errno != ESRCH) error = errno;
    else if (!sent && kill(c->pid, signal) < 0) error = errno;
    reached = error ? 0 : 1;
  }
  if (error) {
    reply_error(conn, r->id, error == ESRCH ? E_NO_SUCH : E_SYSTEM, error, "the signal was not delivered");
    return;
  }
  size_t at = frame_begin(&conn->out, MSG_OK, r->id);
  put_number(&conn->out, F_COUNT, reached);
  frame_end(&conn->out, at);
}

static void on_list(struct connection *conn, const struct request *r) {
  for (struct child *c = keeper.children; c; c = c->next) {
    size_t at = frame_begin(&conn->out, MSG_CHILD, r->id);
    put_child(&conn->out, c);
    frame_end(&conn->out, at);
  }
  for (struct held *h = keeper.held; h; h = h->next) {
    size_t at = frame_begin(&conn->out, MSG_SOCKET, r->id);
    put_text(&conn->out, F_NAME, h->name);
    frame_end(&conn->out, at);
  }
  conn->listed = true;
  reply_ok(conn, r->id);
}

// Acknowledging or releasing what is already forgotten is no error: a repeat after a crash is normal.
static void on_ack_exit(struct connection *conn, const struct request *r) {
  struct child *c = child_by_spawn(r->number[F_SPAWN]);
  if (c && c->state != EXITED) {
    reply_error(conn, r->id, E_CHILDREN_LIVE, 0, "this child has not ended");
    return;
  }
  reply_ok(conn, r->id);
  if (!c) return;
  c->acknowledged = true;
  forget_if_done(c);
}

static void on_release_output(struct connection *conn, const struct request *r) {
  struct child *c = child_by_spawn(r->number[F_SPAWN]);
  if (c && c->state != EXITED) {
    reply_error(conn, r->id, E_CHILDREN_LIVE, 0, "this child has not ended");
    return;
  }
  reply_ok(conn, r->id);
  if (!c) return;
  release_output(c);
  forget_if_done(c);
}

static void on_release_spill(struct connection *conn, const struct request *r) {
  struct child *c = child_by_spawn(r->number[F_SPAWN]);
  reply_ok(conn, r->id);
  if (!c) return;
  spill_drop(c);
  forget_if_done(c);
}

static void on_shutdown(struct connection *conn, const struct request *r) {
  if (keeper.live_count > 0) {
    reply_error(conn, r->id, E_CHILDREN_LIVE, 0, "children are alive");
    return;
  }
  reply_ok(conn, r->id);
  keeper.ending = true;
  conn->closing = true;
}

// ---- Held sockets: shared listeners for children, unix datagrams for the agent ----

union address { struct sockaddr any; struct sockaddr_un unix_; struct sockaddr_in v4; struct sockaddr_in6 v6; };

// A leading @ means the abstract namespace. Returns the length, 0 when the text does not fit.
static socklen_t unix_address(const char *path, union address *a) {
  size_t len = strlen(path);
  memset(a, 0, sizeof *a);
  a->unix_.sun_family = AF_UNIX;
  if (len == 0 || len >= sizeof a->unix_.sun_path) return 0;
  memcpy(a->unix_.sun_path, path, len);
  if (path[0] == '@') a->unix_.sun_path[0] = 0;
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '@' ? 0 : 1));
}

static socklen_t inet_address(const struct request *r, union address *a) {
  memset(a, 0, sizeof *a);
  uint16_t port = htons((uint16_t)r->number[F_PORT]);
  if (inet_pton(AF_INET, r->text[F_ADDRESS], &a->v4.sin_addr) == 1) {
    a->v4.sin_family = AF_INET;
    a->v4.sin_port = port;
    return sizeof a->v4;
  }
  if (inet_pton(AF_INET6, r->text[F_ADDRESS], &a->v6.sin6_addr) == 1) {
    a->v6.sin6_family = AF_INET6;
    a->v6.sin6_port = port;
    return sizeof a->v6;
  }
  return 0;
}

// Binds a unix path: whatever was there goes first, then owner, then mode (spec process 19).
static const char *bind_path(int fd, const struct request *r, const union address *a, socklen_t len) {
  const char *path = r->text[F_ADDRESS];
  bool named = path[0] != '@';
  if (named && unlink(path) < 0 && errno != ENOENT) return "unlink";
  // Never wider than wanted, not even between bind and chmod.
  mode_t before = umask(has(r, F_MODE) ? 0777 & ~(mode_t)r->number[F_MODE] : keeper.umask);
  int bound = bind(fd, &a->any, len);
  umask(before);
  if (bound < 0) return "bind";
  if (named && has(r, F_UID) && chown(path, (uid_t)r->number[F_UID], (gid_t)r->number[F_GID]) < 0) return "chown";
  if (named && has(r, F_MODE) && chmod(path, (mode_t)r->number[F_MODE] & 0777) < 0) return "chmod";
  return NULL;
}

static struct held *held_new(struct connection *conn, const struct request *r, bool datagram) {
  if (!has(r, F_NAME) || !has(r, F_ADDRESS) || r->length[F_NAME] < 2 || r->length[F_NAME] > NAME_BYTES_MAX + 1) {
    reply_error(conn, r->id, E_MALFORMED, EINVAL, "a socket needs a name and an address");
  } else if (held_by_name(r->text[F_NAME])) {
    reply_error(conn, r->id, E_DUPLICATE, EEXIST, "a socket of this name is held already");
  } else {
    struct held *h = keeper.held_count < HELD_MAX ? calloc(1, sizeof *h) : NULL;
    if (!h) {
      reply_error(conn, r->id, E_LIMIT, EMFILE, "too many sockets are held");
      return NULL;
    }
    h->source = (struct source){.kind = SRC_DGRAM, .fd = -1, .owner = h};
    h->datagram = datagram;
    memcpy(h->name, r->text[F_NAME], r->length[F_NAME]);
    return h;
  }
  return NULL;
}

// Answers the request: keeps the socket, or reports which step failed and why.
static void held_done(struct connection *conn, const struct request *r, struct held *h, const char *failed) {
  if (!failed && from_reserve(h->source.fd)) failed = "socket";
  if (failed) {
    reply_error(conn, r->id, E_SYSTEM, errno, failed);
    close_source(&h->source);
    free(h);
    return;
  }
  h->next = keeper.held;
  keeper.held = h;
  keeper.held_count++;
  reply_ok(conn, r->id);
}

static void on_listen(struct connection *conn, const struct request *r) {
  union address a;
  int on = 1;
  const char *failed = NULL;
  bool local = r->number[F_FAMILY] == 0; // 0 unix, 1 inet
  if (!has(r, F_ADDRESS) || r->number[F_PORT] > 65535 || r->number[F_FAMILY] > 1 || has(r, F_UID) != has(r, F_GID)) {
    reply_error(conn, r->id, E_MALFORMED, EINVAL, "the address is malformed");
    return;
  }
  socklen_t len = local ? unix_address(r->text[F_ADDRESS], &a) : inet_address(r, &a);
  struct held *h = held_new(conn, r, false);
  if (!h) return;
  int backlog = has(r, F_BACKLOG) && r->number[F_BACKLOG] <= INT_MAX ? (int)r->number[F_BACKLOG] : SOMAXCONN;
  errno = ENAMETOOLONG;
  if (len == 0) failed = "address";
  else if ((h->source.fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0) failed = "socket";
  else if (local) failed = bind_path(h->source.fd, r, &a, len);
  else if (setsockopt(h->source.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) failed = "reuse";
  else if (bind(h->source.fd, &a.any, len) < 0) failed = "bind";
  if (!failed && listen(h->source.fd, backlog) < 0) failed = "listen";
  held_done(conn, r, h, failed);
}

static void on_dgram_open(struct connection *conn, const struct request *r) {
  union address a;
  int on = 1;
  const char *failed = NULL;
  if (!has(r, F_ADDRESS) || has(r, F_UID) != has(r, F_GID)) {
    reply_error(conn, r->id, E_MALFORMED, EINVAL, "the address is malformed");
    return;
  }
  socklen_t len = unix_address(r->text[F_ADDRESS], &a);
  struct held *h = held_new(conn, r, true);
  if (!h) return;
  errno = ENAMETOOLONG;
  if (len == 0) failed = "address";
  else if ((h->source.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0) failed = "socket";
  else if (!r->number[F_RECEIVE]) {
    if (connect(h->source.fd, &a.any, len) < 0) failed = "connect";
  } else if (setsockopt(h->source.fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0) failed = "credentials";
  else failed = bind_path(h->source.fd, r, &a, len);
  if (!failed && r->number[F_RECEIVE] && !watch(&h->source, EPOLLIN)) failed = "epoll";
  held_done(conn, r, h, failed);
}

static void on_dgram_send(struct connection *conn, const struct request *r) {
  struct held *h = has(r, F_NAME) ? held_by_name(r->text[F_NAME]) : NULL;
  if (!h || !h->datagram) reply_error(conn, r->id, E_NO_SUCH, ENOENT, "no datagram socket of this name");
  else if (r->length[F_DATA] > DATAGRAM_BYTES_MAX) reply_error(conn, r->id, E_LIMIT, EMSGSIZE, "the datagram is too long");
  else if (send(h->source.fd, r->bytes[F_DATA], r->length[F_DATA], MSG_NOSIGNAL) < 0)
    reply_error(conn, r->id, E_SYSTEM, errno, "send");
  else reply_ok(conn, r->id);
}

static void on_close_socket(struct connection *conn, const struct request *r) {
  struct held *h = has(r, F_NAME) ? held_by_name(r->text[F_NAME]) : NULL;
  if (!h) {
    reply_error(conn, r->id, E_NO_SUCH, ENOENT, "no socket of this name");
    return;
  }
  struct held **at = &keeper.held;
  while (*at != h) at = &(*at)->next;
  *at = h->next;
  keeper.held_count--;
  close_source(&h->source);
  free(h);
  reply_ok(conn, r->id);
}

// Without an agent datagrams wait in the socket's own buffer.
static void watch_datagrams(bool on) {
  for (struct held *h = keeper.held; h; h = h->next) {
    if (!h->datagram) continue;
    if (on) watch(&h->source, EPOLLIN); // a sending socket is never readable
    else unwatch(&h->source);
  }
}

static void datagram_arrived(struct held *h) {
  static uint8_t data[DATAGRAM_BYTES_MAX];
  union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(struct ucred))]; } control;
  struct iovec part = {.iov_base = data, .iov_len = sizeof data};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t n = recvmsg(h->source.fd, &message, MSG_CMSG_CLOEXEC);
  if (n < 0 || !keeper.agent) return;
  struct buffer *b = &keeper.agent->out;
  size_t at = frame_begin(b, MSG_DGRAM, 0);
  put_text(b, F_NAME, h->name);
  put_bytes(b, F_DATA, data, (size_t)n);
  struct cmsghdr *c = CMSG_FIRSTHDR(&message);
  if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
    struct ucred sender;
    memcpy(&sender, CMSG_DATA(c), sizeof sender);
    put_number(b, F_SENDER_PID, (uint64_t)sender.pid);
    put_number(b, F_SENDER_UID, sender.uid);
  }
  frame_end(b, at);
}

// ---- Connections ----

static void connection_close(struct connection *c) {
  for (int i = 0; i < CONNECTIONS_MAX; i++)
    if (keeper.connections[i] == c) keeper.connections[i] = NULL;
  if (keeper.agent == c) {
    keeper.agent = NULL;
    watch_datagrams(false);
    spill_start();
    keeper.idle_since_us = now_us();
  }
  close_source(&c->source);
  free(c->in.data);
  free(c->out.data);
  free(c);
}

// Sends what the socket takes; false when the connection is finished and was closed.
static bool connection_flush(struct connection *c) {
  while (c->out.len > 0 && !c->out.failed) {
    ssize_t n = send(c->source.fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n <= 0) {
      connection_close(c);
      return false;
    }
    consume(&c->out, (size_t)n);
  }
  bool unread = c->out.len > OUTPUT_BYTES_MAX;
  if (c->out.failed || unread || (c->closing && c->out.len == 0)) {
    connection_close(c);
    return false;
  }
  return watch(&c->source, (c->closing ? 0 : EPOLLIN) | (c->out.len ? EPOLLOUT : 0)) || (connection_close(c), false);
}

static void on_hello(struct connection *conn, const struct request *r) {
  if (r->number[F_VERSION_MAX] < PROTOCOL_MIN || r->number[F_VERSION_MIN] > PROTOCOL_MAX) {
    size_t at = frame_begin(&conn->out, MSG_ERROR, r->id);
    put_number(&conn->out, F_CODE, E_VERSION);
    put_text(&conn->out, F_TEXT, "no common protocol version");
    put_number(&conn->out, F_VERSION, PROTOCOL_MAX);
    frame_end(&conn->out, at);
    conn->closing = true;
    return;
  }
  if (keeper.agent && keeper.agent != conn) {
    struct connection *old = keeper.agent;
    frame_end(&old->out, frame_begin(&old->out, MSG_DISPLACED, 0));
    old->closing = true;
    keeper.agent = NULL;
    connection_flush(old);
  }
  for (struct child *c = keeper.children; c; c = c->next) c->adopted = true;
  spill_stop();
  conn->greeted = true;
  conn->listed = false;
  keeper.agent = conn;
  watch_datagrams(true);
  uint64_t version = r->number[F_VERSION_MAX] < PROTOCOL_MAX ? r->number[F_VERSION_MAX] : PROTOCOL_MAX;
  struct buffer *b = &conn->out;
  size_t at = frame_begin(b, MSG_WELCOME, r->id);
  put_number(b, F_VERSION, version);
  put_number(b, F_PID, (uint64_t)getpid());
  put_number(b, F_NOW_US, now_us());
  put_number(b, F_KEEPER_STARTED_US, keeper.started_us);
  put_number(b, F_FEATURES, (keeper.spill_dir ? FEATURE_SPILL : 0) | FEATURE_SOCKETS | FEATURE_DGRAMS);
  put_number(b, F_LAST_SPAWN, keeper.last_spawn);
  put_number(b, F_ORPHANS, keeper.orphans);
  put_number(b, F_COUNT, keeper.child_count);
  frame_end(b, at);
  keeper.orphans = 0;
}

static const struct {
  void (*handle)(struct connection *, const struct request *);
  uint64_t fields;
  uint64_t required;
} MESSAGES[MSG_SHUTDOWN + 1] = {
  [MSG_HELLO] = {on_hello, BIT(F_VERSION_MIN) | BIT(F_VERSION_MAX), BIT(F_VERSION_MIN) | BIT(F_VERSION_MAX)},
  [MSG_SPAWN] = {on_spawn,
                 BIT(F_SPAWN) | BIT(F_TAG) | BIT(F_PATH) | BIT(F_ARG) | BIT(F_ENV) | BIT(F_CWD) | BIT(F_UID) |
                   BIT(F_GID) | BIT(F_GROUPS) | BIT(F_UMASK) | BIT(F_RLIMIT) | BIT(F_SESSION) | BIT(F_NICE) |
                   BIT(F_OOM_SCORE_ADJ) | BIT(F_STDIN) | BIT(F_STDOUT) | BIT(F_STDERR),
                 BIT(F_SPAWN) | BIT(F_PATH) | BIT(F_ARG)},
  [MSG_SIGNAL] = {on_signal, BIT(F_SPAWN) | BIT(F_SIGNAL) | BIT(F_TARGET), BIT(F_SPAWN) | BIT(F_SIGNAL)},
  [MSG_LIST] = {on_list, 0, 0},
  [MSG_ACK_EXIT] = {on_ack_exit, BIT(F_SPAWN), BIT(F_SPAWN)},
  [MSG_RELEASE_OUTPUT] = {on_release_output, BIT(F_SPAWN), BIT(F_SPAWN)},
  [MSG_RELEASE_SPILL] = {on_release_spill, BIT(F_SPAWN), BIT(F_SPAWN)},
  [MSG_LISTEN] = {on_listen,
                  BIT(F_NAME) | BIT(F_FAMILY) | BIT(F_ADDRESS) | BIT(F_PORT) | BIT(F_BACKLOG) | BIT(F_MODE) |
                    BIT(F_UID) | BIT(F_GID),
                  BIT(F_NAME) | BIT(F_ADDRESS)},
  [MSG_CLOSE_SOCKET] = {on_close_socket, BIT(F_NAME), BIT(F_NAME)},
  [MSG_DGRAM_OPEN] = {on_dgram_open,
                      BIT(F_NAME) | BIT(F_ADDRESS) | BIT(F_RECEIVE) | BIT(F_MODE) | BIT(F_UID) | BIT(F_GID),
                      BIT(F_NAME) | BIT(F_ADDRESS)},
  [MSG_DGRAM_SEND] = {on_dgram_send, BIT(F_NAME) | BIT(F_DATA), BIT(F_NAME) | BIT(F_DATA)},
  [MSG_SHUTDOWN] = {on_shutdown, 0, 0},
};

static void handle_frame(struct connection *c, unsigned type, struct request *r) {
  enum code code;
  if (type == 0 || type > MSG_SHUTDOWN) {
    reply_error(c, r->id, E_UNKNOWN_MESSAGE, 0, "this keeper does not know that message");
    return;
  }
  if (!c->greeted && type != MSG_HELLO) {
    reply_error(c, r->id, E_NOT_GREETED, 0, "hello comes first");
    c->closing = true;
    return;
  }
  const char *wrong = parse_request(r, MESSAGES[type].fields, &code);
  if (!wrong && (r->present & MESSAGES[type].required) != MESSAGES[type].required) wrong = "a required field is missing";
  if (wrong) reply_error(c, r->id, code, EINVAL, wrong);
  else MESSAGES[type].handle(c, r);
}

// Handles the complete frames that have arrived; the rest of a frame waits for its bytes.
static void connection_frames(struct connection *c) {
  size_t at = 0;
  while (!c->closing && c->in.len - at >= HEADER_BYTES) {
    const uint8_t *h = c->in.data + at;
    size_t len = (size_t)from_little(h, 4);
    if (len > FRAME_BYTES_MAX || from_little(h + 6, 2) != 0) {
      reply_error(c, (uint32_t)from_little(h + 8, 4), E_MALFORMED, EMSGSIZE, "the frame is too long or its header malformed");
      c->closing = true; // where the next frame starts is no longer known
      break;
    }
    if (c->in.len - at < HEADER_BYTES + len) break;
    struct request r = {.id = (uint32_t)from_little(h + 8, 4), .payload = h + HEADER_BYTES, .payload_len = len};
    handle_frame(c, (unsigned)from_little(h + 4, 2), &r);
    at += HEADER_BYTES + len;
    if (c->out.len > OUTPUT_BYTES_MAX) break; // flushing finds it and drops the connection
  }
  consume(&c->in, at);
}

static void connection_event(struct connection *c, uint32_t events) {
  if (c->closing && (events & (EPOLLHUP | EPOLLERR))) {
    connection_close(c);
  } else if (!c->closing && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
    ssize_t n = -1;
    if (reserve(&c->in, 65536)) n = recv(c->source.fd, c->in.data + c->in.len, c->in.cap - c->in.len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
      connection_close(c);
      return;
    }
    c->in.len += (size_t)n;
    connection_frames(c);
  }
}

// Before hello a connection costs a slot only; the oldest silent one makes room.
static void accept_connection(void) {
  struct ucred peer;
  socklen_t len = sizeof peer;
  int fd = fault("accept") ? -1 : accept4(keeper.listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  bool allowed = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == geteuid() || peer.uid == 0);
  struct connection *c = allowed ? calloc(1, sizeof *c) : NULL;
  if (!c) {
    close(fd);
    return;
  }
  int slot = -1;
  for (int i = 0; i < CONNECTIONS_MAX && slot < 0; i++)
    if (!keeper.connections[i]) slot = i;
  if (slot < 0) {
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
      struct connection *old = keeper.connections[i];
      if (old != keeper.agent && (slot < 0 || old->serial < keeper.connections[slot]->serial)) slot = i;
    }
    connection_close(keeper.connections[slot]);
  }
  c->serial = ++keeper.serial;
  c->source = (struct source){.kind = SRC_CONNECTION, .fd = fd, .owner = c};
  keeper.connections[slot] = c;
  if (!watch(&c->source, EPOLLIN)) connection_close(c);
}

// ---- Signals of the keeper's own ----

static void signal_everyone(int signal) {
  for (struct child *c = keeper.children; c; c = c->next)
    if (c->state != EXITED && kill(-c->pid, signal) < 0) kill(c->pid, signal);
}

// As PID 1 a signal is meant for the agent, and for the children once there is none. Otherwise a
// request to end is remembered until nothing is left to keep: ending earlier would lose children.
static void own_signal(int signal) {
  if (signal == SIGCHLD) reap();
  else if (keeper.init && keeper.init_pid) kill(keeper.init_pid, signal);
  else if (keeper.init) signal_everyone(signal);
  else if (signal == SIGTERM || signal == SIGINT || signal == SIGQUIT) keeper.ending = true;
}

static void read_signals(void) {
  struct signalfd_siginfo info;
  while (read(keeper.signals.fd, &info, sizeof info) == (ssize_t)sizeof info) own_signal((int)info.ssi_signo);
}

// ---- The loop ----

static void dispatch(struct source *s, uint32_t events) {
  struct child *c = s->owner;
  switch (s->kind) {
    case SRC_LISTENER: accept_connection(); break;
    case SRC_SIGNALS: read_signals(); break;
    case SRC_CONNECTION: connection_event(s->owner, events); break;
    case SRC_START: settle_start(c); break;
    case SRC_OUTPUT: spill_some(c, s == &c->out[1].source); break;
    case SRC_DGRAM: datagram_arrived(s->owner); break;
  }
}

static void flush_connections(void) {
  for (int i = 0; i < CONNECTIONS_MAX; i++)
    if (keeper.connections[i] && (keeper.connections[i]->out.len > 0 || keeper.connections[i]->out.failed || keeper.connections[i]->closing))
      connection_flush(keeper.connections[i]);
}

// Milliseconds until the keeper may go for want of work; 0 now, -1 while there is something to keep.
static int idle_timeout_ms(void) {
  if (keeper.agent || keeper.live_count > 0 || keeper.init_pid) {
    keeper.idle_since_us = now_us();
    return -1;
  }
  if (keeper.ending) return 0;
  if (keeper.init) return -1;
  uint64_t limit = keeper.idle_ms * (keeper.child_count > 0 ? IDLE_RECORDS_FACTOR : 1);
  uint64_t spent = (now_us() - keeper.idle_since_us) / 1000;
  uint64_t left = spent >= limit ? 0 : limit - spent;
  return left > 3600000 ? 3600000 : (int)left;
}

static int run(void) {
  for (;;) {
    struct epoll_event event;
    int timeout = idle_timeout_ms();
    if (timeout == 0) return 0;
    // One event a turn: a record freed by one event can then never be the subject of another.
    int n = epoll_wait(keeper.epoll_fd, &event, 1, timeout);
    if (n < 0 && errno != EINTR) return EXIT_SYSTEM;
    if (n > 0) dispatch(event.data.ptr, event.events);
    flush_connections();
  }
}

// ---- Start ----

static int complain(const char *what, const char *on, int code) {
  fprintf(stderr, "fleetvisor-keeper: cannot %s %s: %s\n", what, on, strerror(errno));
  return code;
}

static int take_lock(void) {
  char pid[24];
  keeper.lock_fd = open(keeper.lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (keeper.lock_fd < 0) return complain("open the lock file", keeper.lock_path, EXIT_SYSTEM);
  if (flock(keeper.lock_fd, LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK) return complain("lock", keeper.lock_path, EXIT_SYSTEM);
    fprintf(stderr, "fleetvisor-keeper: another keeper holds %s\n", keeper.lock_path);
    return EXIT_LOCKED;
  }
  int len = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
  if (ftruncate(keeper.lock_fd, 0) < 0 || pwrite(keeper.lock_fd, pid, (size_t)len, 0) != len)
    return complain("write", keeper.lock_path, EXIT_SYSTEM);
  return 0;
}

static int open_listener(void) {
  union address a;
  socklen_t len = unix_address(keeper.socket_path, &a);
  errno = ENAMETOOLONG;
  if (len == 0 || keeper.socket_path[0] == '@') return complain("use the socket path", keeper.socket_path, EXIT_USAGE);
  keeper.listener = (struct source){.kind = SRC_LISTENER, .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (keeper.listener.fd < 0) return complain("make a socket for", keeper.socket_path, EXIT_SYSTEM);
  // The lock is ours, so a socket file that is there belongs to a keeper that died.
  if (unlink(keeper.socket_path) < 0 && errno != ENOENT) return complain("remove", keeper.socket_path, EXIT_SYSTEM);
  mode_t before = umask(0177);
  int bound = bind(keeper.listener.fd, &a.any, len);
  umask(before);
  if (bound < 0 || listen(keeper.listener.fd, 16) < 0) return complain("listen on", keeper.socket_path, EXIT_SYSTEM);
  return watch(&keeper.listener, EPOLLIN) ? 0 : complain("watch", keeper.socket_path, EXIT_SYSTEM);
}

static int open_signals(void) {
  static const int MINE[] = {SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof MINE / sizeof *MINE; i++) {
    signal(MINE[i], SIG_DFL); // an inherited "ignore" would make the kernel reap children unseen
    sigaddset(&set, MINE[i]);
  }
  signal(SIGPIPE, SIG_IGN);
  if (sigprocmask(SIG_SETMASK, &set, NULL) < 0) return complain("block", "signals", EXIT_SYSTEM);
  keeper.signals = (struct source){.kind = SRC_SIGNALS, .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (keeper.signals.fd < 0 || !watch(&keeper.signals, EPOLLIN)) return complain("read", "signals", EXIT_SYSTEM);
  return 0;
}

// Many children need many descriptors, and the keeper should be the last to go when memory is short.
static void raise_own_limits(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &keeper.nofile) == 0) {
    limit = keeper.nofile;
    limit.rlim_cur = limit.rlim_max;
    // Refused: the children are fewer, and each refusal is reported.
    keeper.fd_limit = setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : keeper.nofile.rlim_cur;
  }
  int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, keeper.oom_inherited, sizeof keeper.oom_inherited - 1);
  close_fd(&fd);
  char wanted[16];
  snprintf(wanted, sizeof wanted, "%d", OOM_SCORE_ADJ);
  if (n <= 0 || atoi(keeper.oom_inherited) <= OOM_SCORE_ADJ || write_oom_score(wanted) < 0) keeper.oom_inherited[0] = 0;
}

static int start_init_agent(char **command) {
  if (setenv("FLEETVISOR_KEEPER", keeper.socket_path, 1) < 0) return complain("set", "FLEETVISOR_KEEPER", EXIT_SYSTEM);
  pid_t pid = fork();
  if (pid < 0) return complain("start", command[0], EXIT_SYSTEM);
  if (pid == 0) {
    setpgid(0, 0);
    setrlimit(RLIMIT_NOFILE, &keeper.nofile);
    if (keeper.oom_inherited[0]) write_oom_score(keeper.oom_inherited);
    reset_signals();
    execvp(command[0], command);
    complain("execute", command[0], 0);
    _exit(EXIT_NOT_EXECUTED);
  }
  keeper.init_pid = pid;
  return 0;
}

// Everything up to readiness; 0, or the exit code after a message on stderr.
static int prepare(void) {
  int code;
  keeper.started_us = keeper.idle_since_us = now_us();
  if ((code = take_lock()) != 0) return code;
  if (keeper.spill_dir && mkdir(keeper.spill_dir, 0700) < 0 && errno != EEXIST)
    return complain("make", keeper.spill_dir, EXIT_SYSTEM);
  keeper.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (keeper.epoll_fd < 0) return complain("make", "an epoll descriptor", EXIT_SYSTEM);
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) return complain("become", "subreaper", EXIT_SYSTEM);
  if ((code = open_signals()) != 0) return code;
  if ((code = open_listener()) != 0) return code;
  raise_own_limits();
  return 0;
}

static int to_null(bool with_stderr) {
  int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (fd < 0) return -1;
  for (int i = 0; i <= (with_stderr ? 2 : 1); i++)
    if (dup2(fd, i) < 0) return -1;
  return fd > 2 ? close(fd) : 0;
}

static void finish(void) {
  unlink(keeper.socket_path); // while the lock is still held, so it cannot be a successor's
  while (keeper.children) child_free(keeper.children);
}

// Runs in the background: the caller of the program waits until the socket listens, or sees why not.
static int run_detached(void) {
  int ready[2];
  char byte = 0;
  if (pipe2(ready, O_CLOEXEC) < 0) return complain("make", "a pipe", EXIT_SYSTEM);
  pid_t pid = fork();
  if (pid < 0) return complain("go", "to the background", EXIT_SYSTEM);
  if (pid > 0) {
    int status = 0;
    close(ready[1]);
    if (read(ready[0], &byte, 1) == 1) return 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SYSTEM;
  }
  close(ready[0]);
  setsid();
  int code = prepare();
  if (code != 0) return code;
  if (chdir("/") < 0 || to_null(true) < 0) return complain("detach from", "the terminal", EXIT_SYSTEM);
  if (write(ready[1], &byte, 1) != 1) return EXIT_SYSTEM;
  close(ready[1]);
  code = run();
  finish();
  return code;
}

static int run_foreground(char **command) {
  int code = prepare();
  if (code == 0 && command) code = start_init_agent(command);
  if (code != 0) return code;
  if (!command && to_null(false) < 0) return complain("open", "/dev/null", EXIT_SYSTEM);
  code = run();
  finish();
  if (code != 0 || !command) return code;
  return WIFEXITED(keeper.init_status) ? WEXITSTATUS(keeper.init_status) : 128 + WTERMSIG(keeper.init_status);
}

static int usage(void) {
  fputs("usage: fleetvisor-keeper --socket PATH --lock PATH [--spill DIR] [--idle-ms N]\n"
        "                         [--foreground | --init -- COMMAND [ARG ...]]\n"
        "       fleetvisor-keeper --version\n", stderr);
  return EXIT_USAGE;
}

int main(int argc, char **argv) {
  bool foreground = false;
  int i = 1;
  keeper.idle_ms = IDLE_MS;
  keeper.umask = umask(0);
  umask(keeper.umask);
  for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (strcmp(argv[i], "--version") == 0) {
      printf("fleetvisor-keeper protocol %d\n", PROTOCOL_MAX);
      return 0;
    }
    if (strcmp(argv[i], "--foreground") == 0) foreground = true;
    else if (strcmp(argv[i], "--init") == 0) keeper.init = true;
    else if (!value) return usage();
    else if (strcmp(argv[i], "--socket") == 0) keeper.socket_path = argv[++i];
    else if (strcmp(argv[i], "--lock") == 0) keeper.lock_path = argv[++i];
    else if (strcmp(argv[i], "--spill") == 0) keeper.spill_dir = argv[++i];
    else if (strcmp(argv[i], "--idle-ms") == 0) keeper.idle_ms = strtoull(argv[++i], NULL, 10);
    else return usage();
  }
  char **command = keeper.init && i + 1 < argc ? argv + i + 1 : NULL;
  if (!keeper.socket_path || !keeper.lock_path || keeper.init != (command != NULL)) return usage();
  // Descriptors 0-2 must exist, or a socket of ours would land there and leak into children.
  for (int fd = 0; fd < 3; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0) return EXIT_SYSTEM;
#ifdef SYS_close_range
  syscall(SYS_close_range, 3u, ~0u, 0u);
#endif
  return command || foreground ? run_foreground(command) : run_detached();
}
