// Keys and key rings by raw calls. Prints no serial numbers, which are random: same as natively.
#include "results.h"
#include <linux/keyctl.h>
#include <stdint.h>
#include <sys/syscall.h>

#define KEY_POS_VIEW 0x01000000
#define KEY_POS_SETATTR 0x20000000
#define KEY_POS_ALL 0x3f000000
#define KEY_USR_VIEW 0x00010000
#define KEY_USR_READ 0x00020000

typedef int serial;
static char buffer[4096];

static serial add(const char *type, const char *name, const void *payload, size_t length, serial ring) {
  return syscall(SYS_add_key, type, name, payload, length, ring);
}
static serial request(const char *type, const char *name, const char *callout, serial ring) { return syscall(SYS_request_key, type, name, callout, ring); }
static long control(long op, long a, long b, long c, long d) { return syscall(SYS_keyctl, op, a, b, c, d); }
#define KEY(call) (errno = 0, show_key(#call, call))
static serial show_key(const char *what, serial key) {
  printf("%s: %s\n", what, key > 0 ? "a key" : key == -1 ? strerrorname_np(errno) : "none");
  return key;
}
static void show_description(serial key) {
  memset(buffer, 0, sizeof buffer);
  long length = control(KEYCTL_DESCRIBE, key, (long)buffer, sizeof buffer, 0);
  if (length < 0) printf("description: %s\n", strerrorname_np(errno));
  else printf("description: %s, %ld\n", buffer, length);
}
static void show_payload(serial key) {
  memset(buffer, 0, sizeof buffer);
  long length = control(KEYCTL_READ, key, (long)buffer, sizeof buffer, 0);
  if (length < 0) printf("payload: %s\n", strerrorname_np(errno));
  else printf("payload: %s, %ld\n", buffer, length);
}
// Not in any ring any more: Linux collects such keys some time later.
static void show_gone(serial key) {
  long result = control(KEYCTL_READ, key, 0, 0, 0);
  printf("gone: %d\n", result == -1 && (errno == ENOKEY || errno == EACCES || errno == EKEYREVOKED));
}
static void show_count(serial ring) {
  long length = control(KEYCTL_READ, ring, (long)buffer, sizeof buffer, 0);
  printf("keys in it: %ld\n", length < 0 ? length : length / 4);
}

static int fresh(void) {
  if (control(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) > 0) return 1;
  printf("no keys: %s\n", strerrorname_np(errno));
  return 0;
}

static void basics(void) {
  if (!fresh()) return;
  serial key = KEY(add("user", "name", "payload", 7, KEY_SPEC_SESSION_KEYRING));
  show_description(key);
  show_payload(key);
  printf("again the same: %d\n", add("user", "name", "other", 5, KEY_SPEC_SESSION_KEYRING) == key);
  show_payload(key);
  R(control(KEYCTL_UPDATE, key, (long)"third", 5, 0));
  show_payload(key);
  R(control(KEYCTL_READ, key, (long)buffer, 2, 0));
  R(control(KEYCTL_READ, key, 0, 0, 0));
  R(control(KEYCTL_READ, key, (long)wild, 100, 0));
  R(control(KEYCTL_DESCRIBE, key, (long)buffer, 3, 0) > 20);
  printf("found: %d\n", request("user", "name", NULL, 0) == key);
  KEY(request("user", "absent", NULL, 0));
  KEY(request("logon", "name", NULL, 0));
  KEY(request("nonsense", "name", NULL, 0));
  serial logon = KEY(add("logon", "service:name", "secret", 6, KEY_SPEC_PROCESS_KEYRING));
  show_description(logon);
  show_payload(logon);
  KEY(add("logon", "without", "secret", 6, KEY_SPEC_PROCESS_KEYRING));
  KEY(add("user", "", "x", 1, KEY_SPEC_PROCESS_KEYRING));
  KEY(add("user", "empty", "", 0, KEY_SPEC_PROCESS_KEYRING));
  KEY(add("user", "long", buffer, 32768, KEY_SPEC_PROCESS_KEYRING));
  KEY(add("user", "huge", buffer, 1 << 21, KEY_SPEC_PROCESS_KEYRING));
  KEY(add("user", "wild", wild, 5, KEY_SPEC_PROCESS_KEYRING));
  KEY(add(".internal", "name", "x", 1, KEY_SPEC_PROCESS_KEYRING));
  KEY(add("nonsense", "name", "x", 1, KEY_SPEC_PROCESS_KEYRING));
  KEY(add("", "name", "x", 1, KEY_SPEC_PROCESS_KEYRING));
  KEY(add("keyring", "ring", "x", 1, KEY_SPEC_PROCESS_KEYRING));
  KEY(add("keyring", ".ring", NULL, 0, KEY_SPEC_PROCESS_KEYRING));
  KEY(add("user", "name", "x", 1, key));
  KEY(add("user", "name", "x", 1, 12345));
  KEY(add("user", "name", "x", 1, 0));
  KEY(add("user", "name", "x", 1, KEY_SPEC_GROUP_KEYRING));
  KEY(add("user", "name", "x", 1, -77));
  KEY(add(wild, "name", "x", 1, KEY_SPEC_PROCESS_KEYRING));
  KEY(add("user", wild, "x", 1, KEY_SPEC_PROCESS_KEYRING));
}

static void rings(void) {
  if (!fresh()) return;
  KEY(control(KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING, 0, 0, 0));
  serial thread = KEY(control(KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING, 1, 0, 0));
  show_description(thread);
  serial process = KEY(control(KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1, 0, 0));
  show_description(process);
  KEY(control(KEYCTL_GET_KEYRING_ID, KEY_SPEC_GROUP_KEYRING, 1, 0, 0));
  KEY(control(KEYCTL_GET_KEYRING_ID, KEY_SPEC_REQKEY_AUTH_KEY, 1, 0, 0));
  serial session = KEY(control(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0, 0));
  show_description(session);
  serial one = KEY(add("keyring", "one", NULL, 0, session)), two = KEY(add("keyring", "two", NULL, 0, one));
  serial key = KEY(add("user", "deep", "x", 1, two));
  show_count(session);
  printf("found below: %d\n", request("user", "deep", NULL, 0) == key);
  printf("searched: %d\n", control(KEYCTL_SEARCH, session, (long)"user", (long)"deep", 0) == key);
  printf("and linked: %d\n", control(KEYCTL_SEARCH, session, (long)"user", (long)"deep", process) == key);
  show_count(process);
  KEY(control(KEYCTL_SEARCH, key, (long)"user", (long)"deep", 0));
  R(control(KEYCTL_LINK, one, two, 0, 0));
  R(control(KEYCTL_LINK, one, one, 0, 0));
  R(control(KEYCTL_LINK, key, key, 0, 0));
  R(control(KEYCTL_LINK, key, session, 0, 0));
  R(control(KEYCTL_LINK, key, session, 0, 0));
  show_count(session);
  R(control(KEYCTL_UNLINK, key, session, 0, 0));
  R(control(KEYCTL_UNLINK, key, session, 0, 0));
  R(control(KEYCTL_CLEAR, key, 0, 0, 0));
  R(control(KEYCTL_CLEAR, two, 0, 0, 0));
  show_count(two);
  show_payload(key);
  R(control(KEYCTL_CLEAR, process, 0, 0, 0));
  show_gone(key);
  printf("displaced: %d\n", add("keyring", "one", NULL, 0, session) != one);
  show_count(session);
  show_gone(two);
  serial named = KEY(control(KEYCTL_JOIN_SESSION_KEYRING, (long)"cordon-test-session", 0, 0, 0));
  show_description(named);
  KEY(control(KEYCTL_JOIN_SESSION_KEYRING, (long)".internal", 0, 0, 0));
  KEY(add("user", "kept", "x", 1, named));
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    printf("child has the session: %d\n", control(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0, 0) == named);
    KEY(control(KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0, 0, 0));
    KEY(request("user", "kept", NULL, 0));
    fflush(stdout);
    _exit(0);
  }
  wait_for(pid);
}

static void states(void) {
  if (!fresh()) return;
  serial key = add("user", "revoked", "x", 1, KEY_SPEC_SESSION_KEYRING);
  R(control(KEYCTL_REVOKE, key, 0, 0, 0));
  show_payload(key);
  show_description(key);
  KEY(request("user", "revoked", NULL, 0));
  R(control(KEYCTL_REVOKE, key, 0, 0, 0));
  key = add("user", "invalid", "x", 1, KEY_SPEC_SESSION_KEYRING);
  R(control(KEYCTL_INVALIDATE, key, 0, 0, 0));
  show_gone(key);
  // Until it is collected Linux calls it revoked.
  printf("not found: %d\n", request("user", "invalid", NULL, 0) == -1 && (errno == ENOKEY || errno == EKEYREVOKED));
  key = add("user", "short", "x", 1, KEY_SPEC_SESSION_KEYRING);
  R(control(KEYCTL_SET_TIMEOUT, key, 1000, 0, 0));
  show_payload(key);
  R(control(KEYCTL_SET_TIMEOUT, key, 1, 0, 0));
  while (control(KEYCTL_READ, key, 0, 0, 0) >= 0) nap(50);
  show_payload(key);
  KEY(request("user", "short", NULL, 0));
  R(control(KEYCTL_SET_TIMEOUT, 12345, 1, 0, 0));
  R(control(KEYCTL_INSTANTIATE, key, 0, 0, 0));
  R(control(KEYCTL_ASSUME_AUTHORITY, 0, 0, 0, 0));
  R(control(KEYCTL_SET_REQKEY_KEYRING, -1, 0, 0, 0));
  R(control(KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_SESSION_KEYRING, 0, 0, 0));
  R(control(KEYCTL_SET_REQKEY_KEYRING, -1, 0, 0, 0));
  R(control(KEYCTL_SET_REQKEY_KEYRING, 6, 0, 0, 0));
  R(control(KEYCTL_SET_REQKEY_KEYRING, 99, 0, 0, 0));
  R(control(999, 0, 0, 0, 0));
}

static void rights(void) {
  if (!fresh()) return;
  serial key = add("user", "mine", "x", 1, KEY_SPEC_SESSION_KEYRING);
  R(control(KEYCTL_SETPERM, key, 0x80000000, 0, 0));
  R(control(KEYCTL_SETPERM, key, KEY_POS_VIEW | KEY_POS_SETATTR, 0, 0));
  show_description(key);
  R(control(KEYCTL_UPDATE, key, (long)"y", 1, 0));
  R(control(KEYCTL_LINK, key, KEY_SPEC_PROCESS_KEYRING, 0, 0));
  KEY(request("user", "mine", NULL, 0));
  R(control(KEYCTL_SETPERM, key, KEY_POS_ALL, 0, 0));
  show_payload(key);
  R(control(KEYCTL_CHOWN, key, -1, -1, 0));
  R(control(KEYCTL_CHOWN, key, -1, getgid(), 0));
  fflush(stdout);
  // Another process, another session: no possession.
  pid_t pid = fork();
  if (pid == 0) {
    control(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0);
    show_payload(key);
    show_description(key);
    R(control(KEYCTL_REVOKE, key, 0, 0, 0));
    fflush(stdout);
    _exit(0);
  }
  wait_for(pid);
  R(control(KEYCTL_SETPERM, key, KEY_POS_ALL | KEY_USR_VIEW | KEY_USR_READ, 0, 0));
  fflush(stdout);
  pid = fork();
  if (pid == 0) {
    control(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0);
    show_payload(key);
    R(control(KEYCTL_UPDATE, key, (long)"y", 1, 0));
    fflush(stdout);
    _exit(0);
  }
  wait_for(pid);
}

static const struct section sections[] = {{"basics", basics}, {"rings", rings}, {"states", states}, {"rights", rights}};
int main(int argc, char **argv) { return run_section(argc, argv, sections, sizeof sections / sizeof *sections); }
