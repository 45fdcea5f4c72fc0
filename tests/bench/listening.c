// listening: how long a daemon takes from exec until it listens for IKE.
//
//   listening FILE ADDRESS [-r WORDS COMMAND] -- DAEMON ARGUMENT...
//
// becomes DAEMON; a process beside it looks in /proc/net/udp until port 500 of ADDRESS (IPv4) or
// of all addresses is bound, and writes the milliseconds since the exec to FILE, or - when that
// takes 10 s. With -r, what the daemon prints to standard output passes through that process,
// which runs COMMAND (words between spaces) as soon as WORDS were in it: whoever has to tell the
// daemon to listen does it then.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int bound(const char *line) { // whether /proc/net/udp has such a line
  static char text[1 << 16];
  int f = open("/proc/net/udp", O_RDONLY), n = 0, r;
  if (f < 0) return 0;
  while (n < (int)sizeof text - 1 && (r = read(f, text + n, sizeof text - 1 - n)) > 0) n += r;
  close(f);
  text[n] = 0;
  return strstr(text, line) || strstr(text, " 00000000:01F4 ");
}

static void run(char *command) {
  char *words[64], *word, *rest = command;
  int n = 0, status;
  pid_t pid;
  while (n < 63 && (word = strsep(&rest, " "))) if (*word) words[n++] = word;
  words[n] = NULL;
  if (n) status = posix_spawn(&pid, words[0], NULL, NULL, words, environ), (void)status;
}

static void watch(const char *file, const char *line, double from, int out, const char *words, char *command) {
  char seen[4096];
  size_t n = 0;
  double until = from + 10000, found = 0;
  unsetenv("LD_PRELOAD");
  while (out >= 0 || (!found && now() < until)) {
    struct pollfd p = { .fd = out, .events = POLLIN };
    struct timespec pause = { .tv_nsec = 200000 };
    if (ppoll(&p, 1, found ? NULL : &pause, NULL) > 0) { // -1 is no descriptor
      ssize_t r = read(out, seen + n, sizeof seen - 1 - n);
      if (r <= 0) { close(out); out = -1; continue; }
      if (write(1, seen + n, r) != r) exit(1);
      seen[n += r] = 0;
      if (command && strstr(seen, words)) { run(command); command = NULL; }
      if (n > sizeof seen / 2) n = 0;
    }
    if (found || !bound(line)) continue;
    found = now();
    FILE *f = fopen(file, "w");
    if (!f || fprintf(f, "%.3f\n", found - from) < 0 || fclose(f)) exit(1);
  }
  if (!found) { FILE *f = fopen(file, "w"); if (f) { fputs("-\n", f); fclose(f); } }
}

int main(int argc, char **argv) {
  const char *words = "";
  char *command = NULL, line[32];
  int i = 3, out[2] = { -1, -1 };
  struct in_addr address;
  if (argc > 6 && !strcmp(argv[3], "-r")) { words = argv[4]; command = argv[5]; i = 6; }
  if (argc < i + 2 || strcmp(argv[i], "--") || !inet_aton(argv[2], &address)) {
    fprintf(stderr, "listening FILE ADDRESS [-r WORDS COMMAND] -- DAEMON ARGUMENT...\n");
    return 2;
  }
  snprintf(line, sizeof line, " %08X:01F4 ", address.s_addr);
  if (command && pipe(out)) return 1;
  double from;
  int begun[2];
  if (pipe(begun)) return 1;
  if (fork() == 0) {
    if (fork()) _exit(0);                        // the daemon is not to be told of its end
    close(begun[1]);
    if (command) close(out[1]);
    if (read(begun[0], &from, sizeof from) == sizeof from) watch(argv[1], line, from, out[0], words, command);
    _exit(0);
  }
  wait(NULL);
  if (command) { dup2(out[1], 1); close(out[0]); close(out[1]); }
  close(begun[0]);
  fcntl(begun[1], F_SETFD, FD_CLOEXEC);
  from = now();
  if (write(begun[1], &from, sizeof from) != sizeof from) return 1;
  execvp(argv[i + 1], argv + i + 1);
  perror(argv[i + 1]);
  return 127;
}
