// File calls with good and bad input. Works in a directory on tmpfs, native and guest alike. Usage: file-calls SECTION.
#include "results.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>

#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static char dir[64];
static int dfd, file, pipes[2], sock[2], dirfile, pathfd, rdonly, wronly, event;
static char buffer[1 << 16];

static void setup(void) {
  sprintf(dir, "/dev/shm/cordon-%d", getpid());
  mkdir(dir, 0755);
  if (chdir(dir)) _exit(9);
  dfd = dirfile = open(".", O_RDONLY | O_DIRECTORY);
  file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0644);
  write(file, "0123456789", 10);
  rdonly = open("file", O_RDONLY);
  wronly = open("file", O_WRONLY);
  pathfd = open("file", O_PATH);
  pipe(pipes);
  socketpair(AF_UNIX, SOCK_STREAM, 0, sock);
  event = eventfd(0, EFD_NONBLOCK);
  fcntl(pipes[0], F_SETFL, O_NONBLOCK);
  fcntl(pipes[1], F_SETFL, O_NONBLOCK);
  fcntl(sock[0], F_SETFL, O_NONBLOCK);
  fcntl(sock[1], F_SETFL, O_NONBLOCK);
  umask(022);
}

static void cleanup(void) {
  chdir("/");
  char command[128];
  sprintf(command, "rm -rf %s", dir);
  system(command);
}

static void sparse(void) {
  int f = open("sparse", O_RDWR | O_CREAT, 0644);
  struct stat st;
  R(ftruncate(f, 1 << 20));
  fstat(f, &st);
  printf("size %ld blocks %ld\n", (long)st.st_size, (long)st.st_blocks);
  R(lseek(f, 0, SEEK_DATA));
  R(lseek(f, 0, SEEK_HOLE));
  R(pwrite(f, "x", 1, 300000));
  R(pwrite(f, "y", 1, 700000));
  fstat(f, &st);
  printf("blocks %ld\n", (long)st.st_blocks);
  R(lseek(f, 0, SEEK_DATA));
  R(lseek(f, 300000, SEEK_DATA));
  R(lseek(f, 300000, SEEK_HOLE));
  R(lseek(f, 310000, SEEK_DATA));
  R(lseek(f, 1 << 20, SEEK_DATA));
  R(lseek(f, 1 << 20, SEEK_HOLE));
  R(lseek(f, -1, SEEK_DATA));
  R(lseek(f, 5, 9));
  R(lseek(f, -1, SEEK_SET));
  R(lseek(f, -2000000, SEEK_END));
  R(fallocate(f, 0, 0, 8192));
  fstat(f, &st);
  printf("blocks %ld\n", (long)st.st_blocks);
  R(fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 298000, 10000));
  R(pread(f, buffer, 1, 300000));
  printf("%d\n", buffer[0]);
  R(fallocate(f, FALLOC_FL_PUNCH_HOLE, 0, 4096));
  R(fallocate(f, FALLOC_FL_KEEP_SIZE, 2 << 20, 4096));
  fstat(f, &st);
  printf("size %ld blocks %ld\n", (long)st.st_size, (long)st.st_blocks);
  R(fallocate(f, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
  R(fallocate(f, FALLOC_FL_INSERT_RANGE, 0, 4096));
  R(fallocate(f, FALLOC_FL_UNSHARE_RANGE, 0, 4096));
  R(fallocate(f, 0x1000, 0, 4096));
  R(fallocate(f, 0, -1, 4096));
  R(fallocate(f, 0, 0, 0));
  R(fallocate(f, 0, 0, -5));
  R(fallocate(f, 0, LONG_MAX, 1));
  R(fallocate(f, 0, LONG_MAX - 10, 100));
  R(fallocate(rdonly, 0, 0, 1));
  R(fallocate(pipes[1], 0, 0, 1));
  R(fallocate(sock[0], 0, 0, 1));
  R(fallocate(dirfile, 0, 0, 1));
  R(fallocate(event, 0, 0, 1));
  R(fallocate(pathfd, 0, 0, 1));
  R(fallocate(-1, 0, 0, 1));
  R(ftruncate(f, -1));
  R(ftruncate(rdonly, 1));
  R(ftruncate(pipes[1], 1));
  R(ftruncate(dirfile, 1));
  R(ftruncate(pathfd, 1));
  R(truncate("file", 3));
  R(truncate(".", 3));
  R(truncate("none", 3));
  R(truncate("file", -3));
  R(truncate(wild, 3));
  R(truncate("file/x", 3));
  R(posix_fadvise(f, 0, 0, 99));
  R(posix_fadvise(pipes[0], 0, 0, 0));
  R(posix_fadvise(-1, 0, 0, 0));
  R(syscall(SYS_readahead, f, 0, 4096));
  R(syscall(SYS_readahead, wronly, 0, 4096));
  R(syscall(SYS_readahead, pipes[0], 0, 4096));
  R(syscall(SYS_sync_file_range, f, 0, 100, 7));
  R(syscall(SYS_sync_file_range, f, -1, 100, 7));
  R(syscall(SYS_sync_file_range, f, 0, 100, 8));
  R(syscall(SYS_sync_file_range, pipes[0], 0, 100, 7));
  R(fsync(f)); R(fsync(pipes[0])); R(fsync(sock[0])); R(fsync(dirfile)); R(fsync(pathfd)); R(fdatasync(event)); R(syncfs(f)); R(syncfs(-1)); R(syncfs(pathfd));
}

static void copying(void) {
  int out = open("out", O_RDWR | O_CREAT, 0644), app = open("app", O_RDWR | O_CREAT | O_APPEND, 0644);
  off_t in_off = 2, out_off = 100;
  R(copy_file_range(file, &in_off, out, &out_off, 100, 0));
  printf("%ld %ld\n", (long)in_off, (long)out_off);
  lseek(file, 0, SEEK_SET);
  R(copy_file_range(file, NULL, out, NULL, 5, 0));
  R(copy_file_range(file, NULL, out, NULL, 100, 0));
  R(copy_file_range(file, NULL, out, NULL, 100, 0));
  R(copy_file_range(file, NULL, out, NULL, 100, 1));
  R(copy_file_range(wronly, NULL, out, NULL, 100, 0));
  R(copy_file_range(file, NULL, rdonly, NULL, 100, 0));
  R(copy_file_range(file, NULL, app, NULL, 100, 0));
  R(copy_file_range(pipes[0], NULL, out, NULL, 100, 0));
  R(copy_file_range(file, NULL, pipes[1], NULL, 100, 0));
  R(copy_file_range(dirfile, NULL, out, NULL, 100, 0));
  R(copy_file_range(file, NULL, -1, NULL, 100, 0));
  R(copy_file_range(file, wild, out, NULL, 100, 0));
  in_off = -1;
  R(copy_file_range(file, &in_off, out, NULL, 100, 0));
  in_off = 0; out_off = 3;
  R(copy_file_range(file, &in_off, file, &out_off, 10, 0));
  in_off = 0; out_off = 20;
  R(copy_file_range(file, &in_off, file, &out_off, 10, 0));
  in_off = 1000;
  R(copy_file_range(file, &in_off, out, NULL, 10, 0));
  in_off = 0;
  R(copy_file_range(file, &in_off, out, NULL, 0, 0));
  in_off = 0;
  R(sendfile(out, file, &in_off, 4));
  printf("%ld\n", (long)in_off);
  lseek(file, 3, SEEK_SET);
  R(sendfile(pipes[1], file, NULL, 4));
  R(read(pipes[0], buffer, 100));
  R(sendfile(sock[0], file, NULL, 4));
  R(sendfile(app, file, NULL, 4));
  R(sendfile(out, pipes[0], NULL, 4));
  R(sendfile(out, sock[0], NULL, 4));
  R(sendfile(out, wronly, NULL, 4));
  R(sendfile(rdonly, file, NULL, 4));
  R(sendfile(out, dirfile, NULL, 4));
  R(sendfile(out, file, wild, 4));
  in_off = -4;
  R(sendfile(out, file, &in_off, 4));
  R(sendfile(out, -1, NULL, 4));
  R(sendfile(out, pathfd, NULL, 4));
  in_off = 0;
  while (sendfile(pipes[1], file, &in_off, 10) > 0) in_off = 0;
  while (read(pipes[0], buffer, sizeof buffer) > 0) {}
}

static void splicing(void) {
  int out = open("out", O_RDWR | O_CREAT, 0644), two[2], app = open("app", O_RDWR | O_CREAT | O_APPEND, 0644);
  pipe(two);
  loff_t off = 1;
  lseek(file, 0, SEEK_SET);
  R(splice(file, NULL, pipes[1], NULL, 5, 0));
  R(splice(file, &off, pipes[1], NULL, 3, SPLICE_F_MOVE | SPLICE_F_MORE));
  printf("%ld\n", (long)off);
  R(tee(pipes[0], two[1], 100, 0));
  R(splice(pipes[0], NULL, out, NULL, 100, 0));
  R(pread(out, buffer, 100, 0));
  printf("%.8s\n", buffer);
  R(splice(two[0], NULL, pipes[1], NULL, 100, 0));
  R(splice(pipes[0], NULL, sock[0], NULL, 100, 0));
  R(read(sock[1], buffer, 100));
  R(write(sock[1], "from socket", 11));
  R(splice(sock[0], NULL, pipes[1], NULL, 100, 0));
  R(read(pipes[0], buffer, 100));
  R(splice(pipes[0], NULL, out, NULL, 100, SPLICE_F_NONBLOCK));
  R(splice(two[0], NULL, out, NULL, 100, SPLICE_F_NONBLOCK));
  R(splice(file, NULL, out, NULL, 5, 0));
  R(splice(pipes[0], &off, out, NULL, 5, 0));
  R(splice(file, NULL, pipes[1], &off, 5, 0));
  R(splice(file, NULL, pipes[1], NULL, 5, 0x100));
  R(splice(-1, NULL, pipes[1], NULL, 5, 0));
  R(splice(file, NULL, -1, NULL, 5, 0));
  R(splice(wronly, NULL, pipes[1], NULL, 5, 0));
  R(splice(pipes[0], NULL, rdonly, NULL, 5, 0));
  R(splice(pipes[0], NULL, pipes[1], NULL, 5, 0));
  R(splice(file, wild, pipes[1], NULL, 5, 0));
  R(splice(dirfile, NULL, pipes[1], NULL, 5, 0));
  R(splice(file, NULL, pipes[1], NULL, 0, 0));
  R(splice(file, NULL, pipes[1], NULL, -1, 0));
  write(pipes[1], "abc", 3);
  R(splice(pipes[0], NULL, app, NULL, 3, 0));
  R(tee(pipes[0], pipes[1], 3, 0));
  R(tee(file, pipes[1], 3, 0));
  R(tee(pipes[0], two[1], 3, SPLICE_F_NONBLOCK));
  R(tee(pipes[0], two[1], 0, 0));
  R(tee(pipes[0], two[1], 3, 0x100));
  struct iovec iov[2] = {{"hello ", 6}, {"world", 5}};
  while (read(pipes[0], buffer, sizeof buffer) > 0) {}
  R(vmsplice(pipes[1], iov, 2, 0));
  struct iovec back[2] = {{buffer, 3}, {buffer + 10, 100}};
  R(vmsplice(pipes[0], back, 2, 0));
  printf("%.3s %.8s\n", buffer, buffer + 10);
  R(vmsplice(file, iov, 2, 0));
  R(vmsplice(-1, iov, 2, 0));
  R(vmsplice(pipes[1], wild, 2, 0));
  R(vmsplice(pipes[1], iov, 2000, 0));
  R(vmsplice(pipes[1], iov, 2, 0x100));
  close(two[0]);
  signal(SIGPIPE, SIG_IGN);
  R(tee(pipes[0], two[1], 3, SPLICE_F_NONBLOCK));
  write(pipes[1], "abc", 3);
  R(splice(pipes[0], NULL, two[1], NULL, 3, 0));
}

static void vectors(void) {
  struct iovec iov[2] = {{buffer, 4}, {buffer + 100, 4}}, bad[2] = {{buffer, 4}, {wild, 4}}, neg[1] = {{buffer, -1}}, many[1] = {{buffer, LONG_MAX}};
  lseek(file, 0, SEEK_SET);
  R(readv(file, iov, 2));
  R(readv(file, iov, 0));
  R(readv(file, iov, -1));
  R(readv(file, iov, 1025));
  R(readv(file, wild, 1));
  lseek(file, 0, SEEK_SET);
  R(readv(file, bad, 2));
  R(readv(file, neg, 1));
  R(readv(wronly, iov, 2));
  R(readv(pathfd, iov, 2));
  R(readv(dirfile, iov, 2));
  R(writev(rdonly, iov, 2));
  R(writev(dirfile, iov, 2));
  R(preadv(file, iov, 2, -1));
  R(preadv(pipes[0], iov, 2, 0));
  R(preadv(pipes[0], iov, 2, -1));
  R(pwritev(pipes[1], iov, 2, 0));
  R(pread(sock[0], buffer, 1, 0));
  R(pread(event, buffer, 8, 0));
  R(pread(file, buffer, 1, -1));
  R(pread(file, buffer, -1, 0));
  R(pread(file, wild, 5, 0));
  R(read(file, kernel_half, 5));
  R(read(file, noncanonical, 5));
  R(read(file, NULL, 0));
  R(write(file, wild, 5));
  R(write(file, wild, 0));
  R(write(pipes[1], wild, 5));
  R(write(sock[1], wild, 5));
  R(write(event, wild, 8));
  R(write(event, buffer, 7));
  R(read(event, buffer, 7));
  R(preadv2(file, iov, 2, 0, 0));
  R(preadv2(file, iov, 2, 0, RWF_HIPRI));
  R(preadv2(file, iov, 2, 0, RWF_NOWAIT));
  R(preadv2(file, iov, 2, 0, 0x10000));
  R(preadv2(file, iov, 2, 0, RWF_APPEND));
  R(preadv2(file, iov, 2, -2, 0));
  lseek(file, 2, SEEK_SET);
  R(preadv2(file, iov, 1, -1, 0));
  R(lseek(file, 0, SEEK_CUR));
  R(pwritev2(file, iov, 1, 0, RWF_DSYNC));
  R(pwritev2(file, iov, 1, 0, RWF_SYNC));
  R(pwritev2(file, iov, 1, 0, RWF_APPEND));
  R(lseek(file, 0, SEEK_END));
  R(pwritev2(file, iov, 1, 0, RWF_NOWAIT));
  R(pwritev2(file, iov, 1, -1, RWF_APPEND));
  R(lseek(file, 0, SEEK_CUR));
  R(pwritev2(pipes[1], iov, 1, -1, RWF_NOWAIT));
  fcntl(pipes[0], F_SETFL, 0);
  R(preadv2(pipes[0], iov, 1, -1, RWF_NOWAIT));
  R(preadv2(pipes[0], iov, 1, -1, RWF_NOWAIT));
  R(preadv2(pipes[0], iov, 1, 0, RWF_NOWAIT));
  R(preadv2(sock[1], iov, 1, -1, RWF_NOWAIT));
  R(preadv2(event, iov, 1, -1, RWF_NOWAIT));
}

static void names(void) {
  int f;
  R(renameat2(AT_FDCWD, "file", AT_FDCWD, "file", RENAME_NOREPLACE));
  close(open("a", O_CREAT | O_WRONLY, 0644));
  close(open("b", O_CREAT | O_WRONLY, 0600));
  R(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
  R(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
  R(renameat2(AT_FDCWD, "a", AT_FDCWD, "none", RENAME_EXCHANGE));
  R(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_NOREPLACE));
  R(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", 0x80));
  mkdir("d", 0755); mkdir("d/e", 0755); mkdir("empty", 0755);
  R(renameat2(AT_FDCWD, "a", AT_FDCWD, "d", RENAME_EXCHANGE));
  R(renameat2(AT_FDCWD, "a", AT_FDCWD, "d", RENAME_EXCHANGE));
  R(renameat2(AT_FDCWD, "a", AT_FDCWD, "d/e/x", RENAME_WHITEOUT | RENAME_EXCHANGE));
  R(rename("d", "d/e/f"));
  R(rename("d/e", "d"));
  R(renameat2(AT_FDCWD, "d", AT_FDCWD, "d/e", RENAME_EXCHANGE));
  R(rename("a", "d"));
  R(rename("d", "a"));
  R(rename("empty", "d"));
  R(rename("d", "empty"));
  R(rename("empty", "d"));
  R(rename("none", "x"));
  R(rename(".", "x"));
  R(rename("d/.", "x"));
  R(rename("d/..", "x"));
  R(rename("a", "x/"));
  R(rename("d/", "d2/"));
  R(rename("d2", "d"));
  R(rename("a/", "x"));
  R(rename("", "x"));
  R(rename("a", ""));
  R(rename(wild, "x"));
  R(renameat(-1, "a", AT_FDCWD, "x"));
  R(renameat(file, "a", AT_FDCWD, "x"));
  R(link("a", "linked"));
  struct stat st;
  stat("a", &st);
  printf("links %d\n", (int)st.st_nlink);
  R(rename("a", "linked"));
  R(link("a", "linked"));
  R(link("d", "x"));
  R(link("none", "x"));
  R(symlink("a", "s"));
  R(linkat(AT_FDCWD, "s", AT_FDCWD, "hard-s", 0));
  R(linkat(AT_FDCWD, "s", AT_FDCWD, "hard-a", AT_SYMLINK_FOLLOW));
  R(linkat(AT_FDCWD, "s", AT_FDCWD, "y", 0x10));
  R(linkat(file, "", AT_FDCWD, "by-fd", AT_EMPTY_PATH));
  lstat("hard-s", &st);
  printf("mode %o links %d\n", st.st_mode, (int)st.st_nlink);
  R(unlink("d"));
  R(unlink("none"));
  R(unlink("a/"));
  R(unlink("."));
  R(rmdir("a"));
  R(rmdir("d"));
  R(rmdir("."));
  R(rmdir("d/."));
  R(rmdir("d/.."));
  R(unlinkat(AT_FDCWD, "d", 0));
  R(unlinkat(AT_FDCWD, "d", 5));
  R(mkdir("a", 0755));
  R(mkdir("d/", 0755));
  R(mkdir("new/", 0755));
  R(mkdir("none/x", 0755));
  R(mkdir("a/x", 0755));
  R(mkdir("", 0755));
  R(mkdir("..", 0755));
  R(mkdir("/", 0755));
  R(mknod("n", S_IFREG | 0600, 0));
  R(mknod("f", S_IFIFO | 0600, 0));
  R(mknod("k", S_IFSOCK | 0600, 0));
  R(mknod("z", 0600, 0));
  R(mknod("dd", S_IFDIR | 0600, 0));
  R(mknod("l", S_IFLNK | 0600, 0));
  R(mknod("bad", 0170000, 0));
  R(open("k", O_RDONLY));
  R(open("f", O_WRONLY | O_NONBLOCK));
  OK(open("f", O_RDONLY | O_NONBLOCK));
  R(symlink("", "empty-link"));
  R(symlink("x", ""));
  R(symlink("x", "s"));
  R(symlink("loop", "loop"));
  R(open("loop", O_RDONLY));
  R(open("loop/x", O_RDONLY));
  R(open("loop", O_RDONLY | O_NOFOLLOW));
  OK(open("loop", O_PATH | O_NOFOLLOW));
  R(open("s", O_CREAT | O_EXCL | O_RDWR, 0600));
  R(open("d", O_RDWR));
  R(open("d", O_CREAT | O_RDONLY, 0600));
  R(open("d/", O_CREAT | O_RDONLY, 0600));
  R(open("newfile/", O_CREAT | O_RDONLY, 0600));
  R(open("a", O_DIRECTORY));
  R(open("a", O_DIRECTORY | O_CREAT, 0600));
  R(open("newdir", O_DIRECTORY | O_CREAT, 0600));
  R(open("d", O_TRUNC));
  R(open("a/", O_RDONLY));
  R(open("a/.", O_RDONLY));
  R(open("a/..", O_RDONLY));
  R(open("", O_RDONLY));
  R(open(wild, O_RDONLY));
  OK(open("a", 3));
  OK(open("a", O_RDONLY | 0x40000000));
  memset(buffer, 'n', 5000); buffer[5000] = 0;
  R(open(buffer, O_RDONLY));
  buffer[256] = 0;
  R(open(buffer, O_RDONLY));
  R(mkdir(buffer, 0700));
  buffer[255] = 0;
  R(mkdir(buffer, 0700));
  memset(buffer, '/', 4096); buffer[4095] = 0;
  OK(open(buffer, O_RDONLY));
  buffer[4095] = '/'; buffer[4096] = 0;
  R(open(buffer, O_RDONLY));
  f = open(".", O_TMPFILE | O_RDWR, 0640);
  fstat(f, &st);
  printf("tmpfile %d mode %o links %d\n", f >= 0, st.st_mode, (int)st.st_nlink);
  char path[64];
  sprintf(path, "/proc/self/fd/%d", f);
  R(linkat(AT_FDCWD, path, AT_FDCWD, "published", AT_SYMLINK_FOLLOW));
  fstat(f, &st);
  printf("links %d\n", (int)st.st_nlink);
  int g = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0640);
  sprintf(path, "/proc/self/fd/%d", g);
  R(linkat(AT_FDCWD, path, AT_FDCWD, "published2", AT_SYMLINK_FOLLOW));
  R(open(".", O_TMPFILE | O_RDONLY, 0640));
  R(open("a", O_TMPFILE | O_RDWR, 0640));
  R(open("none", O_TMPFILE | O_RDWR, 0640));
  R(readlink("s", buffer, 0));
  R(readlink("s", buffer, -1));
  R(readlink("s", buffer, 1));
  R(readlink("a", buffer, 10));
  R(readlink("s", wild, 10));
  R(readlinkat(file, "", buffer, 10));
  R(readlinkat(open("s", O_PATH | O_NOFOLLOW), "", buffer, 10));
  R(chdir("a")); R(chdir("none")); R(fchdir(file)); R(fchdir(-1)); R(fchdir(pathfd)); R(chdir(wild));
  R((long)getcwd(buffer, 1)); R(syscall(SYS_getcwd, wild, 4096)); R(syscall(SYS_getcwd, buffer, 0));
  mkdir("gone", 0755); chdir("gone"); rmdir("../gone");
  R(syscall(SYS_getcwd, buffer, 4096));
  R(open("x", O_CREAT | O_RDWR, 0600));
  R(open(".", O_RDONLY) >= 0);
  R(mkdir("x", 0700));
  R(chdir(".."));
}

static void resolving(void) {
  mkdir("box", 0755); mkdir("box/in", 0755);
  close(open("box/in/file", O_CREAT | O_WRONLY, 0644));
  symlink("../in/file", "box/in/up"); symlink("/etc/passwd", "box/abs"); symlink("../../../../etc", "box/out"); symlink("in/file", "box/link");
  symlink("/in/file", "box/rooted");
  int box = open("box", O_RDONLY | O_DIRECTORY);
  struct { const char *path; uint64_t resolve; } cases[] = {
      {"in/file", 0}, {"in/file", RESOLVE_BENEATH}, {"in/../in/file", RESOLVE_BENEATH}, {"../box/in/file", RESOLVE_BENEATH}, {"../box/in/file", 0},
      {"/etc/passwd", RESOLVE_BENEATH}, {"abs", RESOLVE_BENEATH}, {"out", RESOLVE_BENEATH}, {"link", RESOLVE_BENEATH}, {"in/up", RESOLVE_BENEATH},
      {"link", RESOLVE_NO_SYMLINKS}, {"in/file", RESOLVE_NO_SYMLINKS}, {"in/up", RESOLVE_NO_SYMLINKS},
      {"abs", RESOLVE_IN_ROOT}, {"rooted", RESOLVE_IN_ROOT}, {"/in/file", RESOLVE_IN_ROOT}, {"../../in/file", RESOLVE_IN_ROOT}, {"out", RESOLVE_IN_ROOT}, {"/", RESOLVE_IN_ROOT},
      {"in/file", RESOLVE_NO_XDEV}, {"/proc/self/status", RESOLVE_NO_XDEV}, {"/proc/self/exe", RESOLVE_NO_MAGICLINKS}, {"/proc/self/exe", 0},
      {"in/file", RESOLVE_IN_ROOT | RESOLVE_BENEATH}, {"in/file", 0x100}, {"none", RESOLVE_BENEATH}, {"", 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct open_how how = {.flags = O_RDONLY, .resolve = cases[i].resolve};
    int f = syscall(SYS_openat2, box, cases[i].path, &how, sizeof how);
    printf("openat2 %s %lx: %s\n", cases[i].path, (long)cases[i].resolve, f < 0 ? strerrorname_np(errno) : "ok");
    if (f >= 0) close(f);
  }
  struct open_how how = {.flags = O_RDONLY | 0x4000000000};
  R(syscall(SYS_openat2, box, "in/file", &how, sizeof how));
  how = (struct open_how){.flags = O_RDONLY, .mode = 0600};
  R(syscall(SYS_openat2, box, "in/file", &how, sizeof how));
  how = (struct open_how){.flags = O_RDWR | O_CREAT, .mode = 0100600};
  R(syscall(SYS_openat2, box, "in/new", &how, sizeof how));
  how = (struct open_how){.flags = O_RDWR | O_CREAT, .mode = 0666, .resolve = RESOLVE_BENEATH};
  OK(syscall(SYS_openat2, box, "in/new", &how, sizeof how));
  struct stat st;
  stat("box/in/new", &st);
  printf("mode %o\n", st.st_mode);
  R(syscall(SYS_openat2, box, "../escaped", &how, sizeof how));
  how = (struct open_how){.flags = O_PATH | O_RDWR};
  R(syscall(SYS_openat2, box, "in/file", &how, sizeof how));
  how = (struct open_how){.flags = O_RDONLY};
  R(syscall(SYS_openat2, box, "in/file", &how, 16));
  R(syscall(SYS_openat2, box, "in/file", &how, 5000));
  R(syscall(SYS_openat2, box, "in/file", wild, 24));
  R(syscall(SYS_openat2, box, wild, &how, 24));
  R(syscall(SYS_openat2, -1, "in/file", &how, 24));
  struct { struct open_how how; uint64_t more; } big = {{.flags = O_RDONLY}, 0};
  OK(syscall(SYS_openat2, box, "in/file", &big, sizeof big));
  big.more = 1;
  R(syscall(SYS_openat2, box, "in/file", &big, sizeof big));
  R(faccessat(box, "in/file", R_OK | W_OK, 0));
  R(syscall(SYS_faccessat2, box, "in/file", R_OK, AT_EACCESS));
  R(syscall(SYS_faccessat2, box, "in/file", R_OK, 0x8000));
  R(syscall(SYS_faccessat2, box, "in/file", 8, 0));
  R(syscall(SYS_faccessat2, box, "", R_OK, AT_EMPTY_PATH));
  R(syscall(SYS_faccessat2, box, "out", R_OK, AT_SYMLINK_NOFOLLOW));
  R(syscall(SYS_faccessat2, box, "in/file", X_OK, 0));
  R(syscall(SYS_faccessat2, -1, "in/file", R_OK, 0));
  struct statx sx;
  R(statx(box, "in/file", 0, STATX_BASIC_STATS | STATX_BTIME, &sx));
  printf("mask %x mode %o size %ld\n", sx.stx_mask & 0xfff, sx.stx_mode, (long)sx.stx_size);
  R(statx(box, "", AT_EMPTY_PATH, 0, &sx));
  R(statx(box, "", 0, 0, &sx));
  R(statx(box, "in/file", 0x6000, 0, &sx));
  R(statx(box, "in/file", 0x800000, 0, &sx));
  R(statx(box, "in/file", 0, 0x80000000, &sx));
  R(statx(box, "in/file", 0, 0, wild));
  R(statx(box, wild, 0, 0, &sx));
  R(fstatat(box, "", &st, AT_EMPTY_PATH));
  R(fstatat(box, "", &st, 0));
  R(fstatat(box, "in/file", &st, 0x10));
  R(fstatat(box, NULL, &st, AT_EMPTY_PATH));
  R(syscall(SYS_newfstatat, box, "in/file", wild, 0));
  R(syscall(SYS_fstat, -1, &st));
  R(syscall(SYS_fstat, file, wild));
  R(syscall(SYS_fchmodat2, box, "in/file", 0600, 0));
  R(syscall(SYS_fchmodat2, box, "link", 0600, AT_SYMLINK_NOFOLLOW));
  R(syscall(SYS_fchmodat2, box, "link", 0600, 0x8000));
  R(fchownat(box, "", -1, -1, AT_EMPTY_PATH));
  R(fchownat(box, "link", -1, -1, AT_SYMLINK_NOFOLLOW));
  R(fchownat(box, "link", -1, -1, 0x8000));
}

static void descriptors(void) {
  R(dup(-1)); R(dup2(file, -1)); R(dup2(file, 1 << 20)); R(dup2(-1, 5)); R(dup2(file, file)); R(dup2(200, 200)); R(dup3(file, file, 0)); R(dup3(file, 100, 5)); R(dup3(file, 100, O_CLOEXEC));
  R(fcntl(100, F_GETFD)); R(fcntl(file, F_DUPFD, 150)); R(fcntl(file, F_DUPFD, -1)); R(fcntl(file, F_DUPFD, 1 << 20)); R(fcntl(file, 9999)); R(fcntl(-1, F_GETFD));
  R(fcntl(file, F_GETFL) & 0x7fff); R(fcntl(pathfd, F_GETFL)); R(fcntl(pathfd, F_SETFL, 0)); R(fcntl(pathfd, F_GETFD));
  R(fcntl(file, F_SETFD, 0xff)); R(fcntl(file, F_GETFD));
  R(fcntl(pipes[0], F_GETPIPE_SZ)); R(fcntl(pipes[0], F_SETPIPE_SZ, 5000)); R(fcntl(pipes[0], F_SETPIPE_SZ, 0)); R(fcntl(pipes[0], F_SETPIPE_SZ, -1)); R(fcntl(file, F_GETPIPE_SZ));
  R(fcntl(file, F_GET_SEALS)); R(fcntl(file, F_ADD_SEALS, 1)); R(fcntl(pipes[0], F_GET_SEALS));
  R(fcntl(file, F_GETOWN)); R(fcntl(sock[0], F_SETOWN, getpid())); R(fcntl(sock[0], F_GETOWN) == getpid()); R(fcntl(sock[0], F_SETOWN, 999999)); R(fcntl(sock[0], F_SETSIG, 99)); R(fcntl(sock[0], F_SETSIG, SIGRTMIN)); R(fcntl(sock[0], F_GETSIG));
  for (int i = 300; i < 310; i++) dup2(file, i);
  R(close_range(302, 304, 0)); R(fcntl(302, F_GETFD)); R(fcntl(305, F_GETFD));
  R(close_range(305, 306, CLOSE_RANGE_CLOEXEC)); R(fcntl(305, F_GETFD));
  R(close_range(306, 305, 0)); R(close_range(0, 1, 0x80)); R(close_range(309, ~0u, 0)); R(fcntl(309, F_GETFD)); R(fcntl(308, F_GETFD));
  fflush(stdout);
  pid_t pid = syscall(SYS_clone, 0x400 /* CLONE_FILES */ | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) {
    R(close_range(300, 400, CLOSE_RANGE_UNSHARE));
    R(fcntl(308, F_GETFD));
    R(close_range(0, 400, CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC));
    R(fcntl(file, F_GETFD));
    fflush(stdout);
    _exit(0);
  }
  wait_for(pid);
  R(fcntl(308, F_GETFD));
  R(close(-1)); R(close(999));
  struct rlimit limit = {20, 20};
  R(setrlimit(RLIMIT_NOFILE, &limit));
  for (int i = 3; i < 400; i++) if (i != file) close(i);
  int count = 0;
  while (dup(file) >= 0) count++;
  printf("%d %s\n", count, strerrorname_np(errno));
  R(open("file", O_RDONLY)); R(pipe(pipes)); R(socketpair(AF_UNIX, SOCK_STREAM, 0, sock)); R(fcntl(file, F_DUPFD, 0)); R(fcntl(file, F_DUPFD, 20)); R(dup2(file, 20)); R(eventfd(0, 0)); R(memfd_create("x", 0));
  // One descriptor left: a pair must not leak it.
  close(10);
  R(pipe(pipes)); OK(dup(file));
  for (int i = 3; i < 20; i++) close(i);
}

static void fifos(void) {
  R(mkfifo("fifo", 0600));
  R(open("fifo", O_WRONLY | O_NONBLOCK));
  int r = open("fifo", O_RDONLY | O_NONBLOCK), w = open("fifo", O_WRONLY | O_NONBLOCK);
  R(read(r, buffer, 1));
  R(write(w, "abc", 3));
  R(lseek(r, 0, SEEK_SET)); R(ftruncate(w, 0)); R(pread(r, buffer, 1, 0));
  close(w);
  R(read(r, buffer, 10)); R(read(r, buffer, 10));
  int n;
  R(ioctl(r, FIONREAD, &n)); printf("%d\n", n);
  R(ioctl(r, FIONREAD, wild)); R(ioctl(file, FIONREAD, &n)); R(ioctl(dirfile, FIONREAD, &n)); R(ioctl(sock[0], FIONREAD, &n)); R(ioctl(event, FIONREAD, &n)); R(ioctl(pathfd, FIONREAD, &n)); R(ioctl(file, 0x12345678, &n)); R(ioctl(-1, FIONREAD, &n)); R(ioctl(file, TIOCGWINSZ, &n)); R(ioctl(file, FIONBIO, &n)); R(ioctl(file, FIONBIO, wild)); R(ioctl(file, FIOCLEX)); R(fcntl(file, F_GETFD)); R(ioctl(pathfd, FIOCLEX));
}

static volatile int signals, last_fd, last_code, last_band;
static void on_io(int signal, siginfo_t *info, void *context) {
  (void)context;
  signals++;
  last_code = info->si_code;
  last_fd = signal == SIGIO ? -1 : info->si_fd;
  last_band = signal == SIGIO ? 0 : info->si_band;
}

static void asynchronous(void) {
  struct sigaction action = {.sa_sigaction = on_io, .sa_flags = SA_SIGINFO};
  sigaction(SIGIO, &action, NULL);
  sigaction(SIGRTMIN, &action, NULL);
  R(fcntl(sock[0], F_SETOWN, getpid()));
  R(fcntl(sock[0], F_SETFL, O_NONBLOCK | O_ASYNC));
  R(write(sock[1], "x", 1));
  printf("signals %d code %d\n", signals, last_code);
  R(fcntl(sock[0], F_SETSIG, SIGRTMIN));
  R(write(sock[1], "x", 1));
  printf("signals %d code %d fd %d band %x\n", signals, last_code, last_fd == sock[0], last_band);
  R(fcntl(sock[0], F_SETFL, O_NONBLOCK));
  R(write(sock[1], "x", 1));
  printf("signals %d\n", signals);
  R(fcntl(sock[0], F_SETOWN, -getpgrp()) == 0);
  printf("%d\n", fcntl(sock[0], F_GETOWN) == -getpgrp());
  struct f_owner_ex ex = {F_OWNER_TID, syscall(SYS_gettid)};
  R(fcntl(sock[0], F_SETOWN_EX, &ex));
  memset(&ex, 0, sizeof ex);
  R(fcntl(sock[0], F_GETOWN_EX, &ex));
  printf("%d %d\n", ex.type, ex.pid == getpid());
  ex.type = 9;
  R(fcntl(sock[0], F_SETOWN_EX, &ex));
  R(fcntl(sock[0], F_SETOWN_EX, wild));
  int on = 1;
  R(ioctl(pipes[0], FIOASYNC, &on));
  R(fcntl(pipes[0], F_SETOWN, getpid()));
  R(write(pipes[1], "x", 1));
  printf("signals %d\n", signals);
}

int main(int argc, char **argv) {
  setup();
  static const struct section sections[] = {{"sparse", sparse}, {"copying", copying}, {"splicing", splicing}, {"vectors", vectors},
      {"names", names}, {"resolving", resolving}, {"descriptors", descriptors}, {"fifos", fifos}, {"asynchronous", asynchronous}};
  int result = run_section(argc, argv, sections, sizeof sections / sizeof *sections);
  cleanup();
  return result;
}
