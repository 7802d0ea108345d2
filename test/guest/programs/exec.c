// Runs what it is given and says what became of it; "fuzz SEED COUNT" runs broken copies of a small program.
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void put(const char *path, const void *bytes, size_t length, mode_t mode) {
  unlink(path);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
  if (fd < 0 || write(fd, bytes, length) != (ssize_t)length) perror(path);
  close(fd);
  chmod(path, mode);
}

static void run(const char *title, char *path, char **argv) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    execve(path, argv, environ);
    printf("%s: errno %d\n", title, errno);
    fflush(stdout);
    _exit(0);
  }
  int status;
  waitpid(pid, &status, 0);
  if (status) printf("%s: status %x\n", title, status);
}

static void show(int argc, char **argv) {
  for (int i = 0; i < argc; i++) printf("[%s]", argv[i]);
  printf("\n");
}

static void errors(char *self) {
  char *plain[] = {"x", "show", "a b", "", 0};
  run("self", self, plain);
  char *none[] = {0};
  run("no arguments", "/bin/true", none);
  run("absent", "./absent", plain);
  run("directory", "/tmp", plain);
  run("below a file", "./exec/x", plain);
  put("plain", "echo hi\n", 8, 0755);
  run("no format", "./plain", plain);
  put("empty", "", 0, 0755);
  run("empty", "./empty", plain);
  put("unexecutable", "#!/bin/sh\n", 10, 0644);
  run("unexecutable", "./unexecutable", plain);
  put("script", "#!./exec show one argument\n", 27, 0755);
  run("script", "./script", plain);
  put("lost", "#!/no/such\n", 11, 0755);
  run("lost interpreter", "./lost", plain);
  for (int depth = 0; depth < 7; depth++) {
    char name[16], line[32];
    snprintf(name, sizeof name, "nest%d", depth);
    int length = depth == 0 ? snprintf(line, sizeof line, "#!./exec show\n") : snprintf(line, sizeof line, "#!./nest%d\n", depth - 1);
    put(name, line, length, 0755);
    run(name, name, plain);
  }
  static char big[131073];
  memset(big, 'a', sizeof big - 1);
  char *long_one[] = {"x", big, 0};
  run("one long argument", "/bin/true", long_one);
  big[131071] = 0;
  run("the longest argument", "/bin/true", long_one);
  static char *many[200];
  for (int i = 0; i < 199; i++) many[i] = big;
  run("too many", "/bin/true", many);
  put("bytes", "\177ELF\2\1\1", 7, 0755);
  run("only a magic", "./bytes", plain);
  printf("aux: page %lu, clock %lu, secure %lu, uid %d, execfn %d, random %d, phent %lu, platform %s\n", getauxval(AT_PAGESZ),
         getauxval(AT_CLKTCK), getauxval(AT_SECURE), getauxval(AT_UID) == getuid(), getauxval(AT_EXECFN) != 0,
         getauxval(AT_RANDOM) != 0, getauxval(AT_PHENT), (char *)getauxval(AT_PLATFORM));
}

static void fuzz(const char *program, unsigned seed, int count) {
  static unsigned char image[1 << 20];
  int fd = open(program, O_RDONLY);
  ssize_t length = read(fd, image, sizeof image);
  close(fd);
  int refused = 0, ended = 0;
  for (int round = 0; round < count; round++) {
    static unsigned char copy[1 << 20];
    memcpy(copy, image, length);
    Elf64_Ehdr *header = (void *)copy;
    unsigned headers = sizeof *header + header->e_phnum * sizeof(Elf64_Phdr);
    for (int change = 1 + rand_r(&seed) % 4; change > 0; change--) {
      unsigned at = 16 + rand_r(&seed) % (headers - 16);
      static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff};
      unsigned char value = rand_r(&seed) % 2 ? values[rand_r(&seed) % 5] : (unsigned char)rand_r(&seed);
      // Sometimes a whole word.
      int width = rand_r(&seed) % 4 == 0 ? 8 : 1;
      for (int i = 0; i < width && at + i < headers; i++) copy[at + i] = value;
    }
    char name[32];
    snprintf(name, sizeof name, "fuzz%d", round);
    put(name, copy, length, 0755);
    pid_t pid = fork();
    if (pid == 0) {
      alarm(2);
      int null = open("/dev/null", O_RDWR);
      dup2(null, 0), dup2(null, 1), dup2(null, 2);
      char *argv[] = {name, 0};
      execve(name, argv, environ);
      _exit(99);
    }
    int status;
    if (waitpid(pid, &status, 0) != pid) printf("round %d: lost\n", round);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 99) refused++;
    else ended++;
    unlink(name);
  }
  fprintf(stderr, "%d refused, %d ran to some end\n", refused, ended);
  printf("%d programs\n", refused + ended);
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "show")) show(argc, argv);
  else if (argc > 1 && !strncmp(argv[1], "show ", 5)) show(argc, argv);
  else if (argc > 4 && !strcmp(argv[1], "fuzz")) fuzz(argv[2], atoi(argv[3]), atoi(argv[4]));
  else errors(argv[0]);
  return 0;
}
