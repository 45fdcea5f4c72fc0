// timed: how long a command takes, without a shell's fork.
//
//   timed FILE WORDS COMMAND ARGUMENT...
//
// appends the milliseconds from before the command is started until it has been waited for to
// FILE, and has it write what it says to WORDS. Exits as the command does.
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
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

int main(int argc, char **argv) {
  posix_spawn_file_actions_t files;
  pid_t pid;
  int status, error;
  FILE *to;
  if (argc < 4 || !(to = fopen(argv[1], "ae"))) {
    fprintf(stderr, "timed FILE WORDS COMMAND ARGUMENT...\n");
    return 2;
  }
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 1, argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0644);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  double from = now();
  error = posix_spawnp(&pid, argv[3], &files, NULL, argv + 3, environ);
  if (error || waitpid(pid, &status, 0) < 0) {
    fprintf(stderr, "timed: %s: %s\n", argv[3], strerror(error));
    return 2;
  }
  double to_ms = now() - from;
  if (fprintf(to, "%.3f\n", to_ms) < 0 || fclose(to)) return 2;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
