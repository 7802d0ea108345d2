// Key rings in long chains, with more ways through them than anybody could go, and of very many users.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHAIN 9000
#define LAYERS 6
#define WIDTH 20

typedef int serial;
static long control(long op, long a, long b, long c) { return syscall(SYS_keyctl, op, a, b, c, 0); }
static serial ring(serial in, int number) {
  char name[32];
  snprintf(name, sizeof name, "ring %d", number);
  serial made = syscall(SYS_add_key, "keyring", name, NULL, 0, in);
  // Whoever does not possess it, because it lies too deep, may use it, too.
  control(KEYCTL_SETPERM, made, 0x3f3f0000, 0);
  return made;
}
static const char *outcome(long result) { return result >= 0 ? "ok" : strerrorname_np(errno); }

// Each ring in the one before; then the first goes, and all others with it.
static void chain(void) {
  serial first = ring(KEY_SPEC_PROCESS_KEYRING, 0);
  int length = 1;
  for (serial last = first, next; length < CHAIN && (next = ring(KEY_SPEC_PROCESS_KEYRING, length)) > 0; last = next, length++) {
    if (control(KEYCTL_LINK, next, last, 0) < 0 || control(KEYCTL_UNLINK, next, KEY_SPEC_PROCESS_KEYRING, 0) < 0) break;
  }
  printf("chain: %d\n", length);
  printf("unlink: %s\n", outcome(control(KEYCTL_UNLINK, first, KEY_SPEC_PROCESS_KEYRING, 0)));
  printf("gone: %s\n", outcome(control(KEYCTL_READ, first, 0, 0)));
}

// All rings of a layer are in all of the layer above.
static void lattice(void) {
  static serial rings[LAYERS][WIDTH];
  serial top = ring(KEY_SPEC_PROCESS_KEYRING, 0), other = ring(KEY_SPEC_PROCESS_KEYRING, 1);
  for (int layer = LAYERS - 1; layer >= 0; layer--)
    for (int at = 0; at < WIDTH; at++) {
      rings[layer][at] = ring(KEY_SPEC_PROCESS_KEYRING, 100 + layer * WIDTH + at);
      for (int below = 0; layer + 1 < LAYERS && below < WIDTH; below++) control(KEYCTL_LINK, rings[layer + 1][below], rings[layer][at], 0);
    }
  for (int at = 0; at < WIDTH; at++) control(KEYCTL_LINK, rings[0][at], top, 0);
  printf("search: %s\n", outcome(control(KEYCTL_SEARCH, top, (long)"user", (long)"absent")));
  printf("link: %s\n", outcome(control(KEYCTL_LINK, top, other, 0)));
  printf("link in itself: %s\n", outcome(control(KEYCTL_LINK, top, rings[LAYERS - 1][WIDTH - 1], 0)));
  printf("clear: %s\n", outcome(control(KEYCTL_CLEAR, KEY_SPEC_PROCESS_KEYRING, 0, 0)));
}

// Key rings of a user are made when somebody asks for them.
static void users(void) {
  int uid = 1;
  for (; uid < 50000; uid++) {
    if (syscall(SYS_setresuid, uid, 0, 0) < 0) break;
    if (control(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0, 0) < 0) break;
  }
  printf("users: %s %s\n", uid < 50000 ? "not all" : "all", strerrorname_np(errno));
}

int main(int argc, char **argv) {
  if (!strcmp(argv[argc - 1], "chain")) chain();
  if (!strcmp(argv[argc - 1], "lattice")) lattice();
  if (!strcmp(argv[argc - 1], "users")) users();
}
