// What names lead to while the tree changes under them: a fixed pseudo-random sequence of changes, and after each the answers of
// stat(2), lstat(2), open(2) and access(2) for a handful of names, absolute and relative.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned seed = 12345;
static unsigned any(unsigned count) {
  seed = seed * 1103515245u + 12345u;
  return (seed >> 16) % count;
}

static char top[256];
static const char *const names[] = {"a", "b", "c", "a/a", "a/b", "b/a", "b/c", "c/a", "a/a/a", "a/b/c", "b/a/c", "c/a/b"};
#define NAMES (sizeof names / sizeof *names)

static void absolute(char *to, const char *name) { snprintf(to, 512, "%s/%s", top, name); }

static void show(const char *what, int result) { printf(" %s%s", what, result < 0 ? strerrorname_np(errno) : "+"); }

static void look(const char *name) {
  char path[512];
  struct stat st;
  absolute(path, name);
  for (int round = 0; round < 2; round++) { // the second time by what the first has found
    printf("%s:", round ? path + strlen(top) + 1 : name);
    int result = stat(round ? path : name, &st);
    show("s", result);
    if (result == 0) printf("%o", st.st_mode);
    result = lstat(round ? path : name, &st);
    show("l", result);
    if (result == 0) printf("%o", st.st_mode & S_IFMT);
    int fd = open(round ? path : name, O_RDONLY | O_CLOEXEC);
    show("o", fd);
    if (fd >= 0) close(fd);
    show("a", access(round ? path : name, X_OK));
    snprintf(path, sizeof path, "%s/%s/../a", top, name);
    show("u", stat(path, &st));
    absolute(path, name);
    putchar('\n');
  }
}

static void make_file(const char *name) {
  int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
  show("file ", fd);
  if (fd >= 0) close(fd);
}

static void change(void) {
  static const mode_t modes[] = {0755, 0700, 0600, 0711, 0000, 0111};
  static const char *const targets[] = {"a", "../b", "b/a", "/nowhere", "c", "../a/a"};
  const char *name = names[any(NAMES)], *other = names[any(NAMES)];
  char path[512];
  printf("-- %s %s", name, other);
  switch (any(10)) {
    case 0:
    case 1:
    case 2: show("mkdir ", mkdir(name, 0755)); break;
    case 3: make_file(name); break;
    case 4: show("symlink ", symlink(targets[any(6)], name)); break;
    case 5: show("rename ", rename(name, other)); break;
    case 6: show("exchange ", renameat2(AT_FDCWD, name, AT_FDCWD, other, RENAME_EXCHANGE)); break;
    case 7: show("unlink ", any(2) ? unlink(name) : rmdir(name)); break;
    case 8: show("chmod ", chmod(name, modes[any(6)])); break;
    case 9:
      show("chdir ", chdir(any(2) ? name : top));
      absolute(path, "");
      break;
  }
  putchar('\n');
}

int main(void) {
  // Permissions mean nothing to root.
  if (geteuid() == 0 && (chmod(".", 0777) || setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))) return 2;
  if (mkdir("top", 0755) || chdir("top") || !getcwd(top, sizeof top)) return 3;
  for (int step = 0; step < 400; step++) {
    change();
    look(names[any(NAMES)]);
    look(names[any(NAMES)]);
    if (any(20) == 0 && chdir(top)) return 4;
  }
  return 0;
}
