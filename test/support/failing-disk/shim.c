/*
 * A disk that fails or is slow when a test says so, for one program: preloaded, it stands before
 * fsync and fdatasync of the database's files.
 *
 * The file named in YARD_TEST_DISK holds one line: "fail" (EIO), "slow N" (N milliseconds first), or anything else.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int is_database(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strstr(path, "yard.sqlite") != NULL && strstr(path, "-reserve") == NULL;
}

static int fails(int fd) {
  const char *named = getenv("YARD_TEST_DISK");
  if (named == NULL || !is_database(fd)) return 0;
  char said[64] = {0};
  int file = open(named, O_RDONLY);
  if (file < 0) return 0;
  if (read(file, said, sizeof said - 1) < 0) said[0] = 0;
  close(file);
  if (strncmp(said, "fail", 4) == 0) {
    errno = EIO;
    return 1;
  }
  if (strncmp(said, "slow ", 5) == 0) {
    long ms = atol(said + 5);
    struct timespec pause = {ms / 1000, (ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
  }
  return 0;
}

int fsync(int fd) {
  static int (*real)(int);
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  return fails(fd) ? -1 : real(fd);
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  return fails(fd) ? -1 : real(fd);
}
