// System V IPC as a program sees it. Usage: sysv-ipc SECTION. Prints results only: no identifiers, no pids.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/time.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define R(call) show(#call, (long)(call))
static void show(const char *what, long result) {
  if (result == -1) printf("%s = -1 %s\n", what, strerrorname_np(errno));
  else printf("%s = %ld\n", what, result);
}
#define OK(call) printf("%s: %s\n", #call, (long)(call) == -1 ? strerrorname_np(errno) : "ok")

static void *wild = (char *)0x10;
static char *const kernel_half = (char *)0xffff800000000000ul;

union semun { int val; struct semid_ds *buf; unsigned short *array; struct seminfo *info; };

static key_t fresh_key(void) { return 0x43000000 | (getpid() & 0xffff) << 4; }

static void nap(int ms) {
  struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
  nanosleep(&t, NULL);
}

static void wait_for(pid_t pid) {
  int status;
  waitpid(pid, &status, 0);
  if (WIFEXITED(status)) printf("child exited %d\n", WEXITSTATUS(status));
  else printf("child killed by %d\n", WTERMSIG(status));
}

static long nattch(int id) {
  struct shmid_ds ds;
  return shmctl(id, IPC_STAT, &ds) < 0 ? -errno : (long)ds.shm_nattch;
}

static void shm_basics(void) {
  key_t key = fresh_key();
  R(shmget(key, 4096, 0600));
  int id = shmget(key, 10000, IPC_CREAT | IPC_EXCL | 0640);
  OK(id);
  R(shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600));
  printf("same id %d %d %d\n", shmget(key, 0, 0) == id, shmget(key, 10000, IPC_CREAT) == id, shmget(key, 9000, 0600) == id);
  R(shmget(key, 10001, 0600));
  R(shmget(IPC_PRIVATE, 0, 0600));
  R(shmget(IPC_PRIVATE, -1, 0600));
  R(shmget(key, -1, 0600));
  struct shmid_ds ds;
  memset(&ds, 0xff, sizeof ds);
  R(shmctl(id, IPC_STAT, &ds));
  printf("size %zu mode %o nattch %lu atime %d dtime %d ctime %d cpid %d lpid %d key %d uid %d cuid %d\n", ds.shm_segsz, ds.shm_perm.mode,
         ds.shm_nattch, ds.shm_atime != 0, ds.shm_dtime != 0, labs(ds.shm_ctime - time(NULL)) < 3, ds.shm_cpid == getpid(),
         ds.shm_lpid, ds.shm_perm.__key == key, ds.shm_perm.uid == geteuid(), ds.shm_perm.cuid == geteuid());
  char *a = shmat(id, NULL, 0);
  char *b = shmat(id, NULL, SHM_RDONLY);
  printf("two addresses %d nattch %ld\n", a != b, nattch(id));
  strcpy(a + 5000, "shared");
  printf("%s %d\n", b + 5000, a[12287]);
  shmctl(id, IPC_STAT, &ds);
  printf("lpid %d atime %d\n", ds.shm_lpid == getpid(), labs(ds.shm_atime - time(NULL)) < 3);
  pid_t pid = fork();
  if (pid == 0) {
    printf("child nattch %ld\n", nattch(id));
    strcpy(a, "from child");
    R(mprotect(b, 4096, PROT_READ | PROT_WRITE));
    R(shmdt(b));
    printf("child nattch %ld\n", nattch(id));
    fflush(stdout);
    *b = 1;
    _exit(0);
  }
  wait_for(pid);
  printf("%s nattch %ld\n", a, nattch(id));
  R(shmctl(id, IPC_RMID, NULL));
  R(shmget(key, 0, 0));
  R(shmctl(id, IPC_STAT, &ds));
  printf("mode %o key %d nattch %lu\n", ds.shm_perm.mode, ds.shm_perm.__key, ds.shm_nattch);
  char *c = shmat(id, NULL, 0);
  printf("attach after removal %s\n", c == (void *)-1 ? strerrorname_np(errno) : c);
  R(shmdt(c));
  R(shmdt(c));
  R(shmdt(a + 1));
  R(shmdt(a));
  printf("%s nattch %ld\n", b, nattch(id));
  R(shmdt(b));
  R(shmctl(id, IPC_STAT, &ds));
  R(shmctl(id, IPC_RMID, NULL));
  R((long)shmat(id, NULL, 0));
}

static void shm_places(void) {
  int id = shmget(IPC_PRIVATE, 5 * 4096, 0600);
  char *room = mmap(NULL, 32 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  R((long)shmat(id, room, 0));
  R((long)shmat(id, room + 1, 0));
  R((long)shmat(id, NULL, SHM_REMAP));
  R((long)shmat(id, (void *)1, SHM_REMAP | SHM_RND));
  R((long)shmat(id, kernel_half, 0));
  R((long)shmat(-1, NULL, 0));
  R((long)shmat(0x7ffffff, NULL, 0));
  munmap(room + 8 * 4096, 8 * 4096);
  printf("fixed %d\n", shmat(id, room + 8 * 4096 + 77, SHM_RND) == room + 8 * 4096);
  printf("over it %ld\n", (long)shmat(id, room + 9 * 4096, 0));
  printf("remap %d nattch %ld\n", shmat(id, room + 9 * 4096, SHM_REMAP) == room + 9 * 4096, nattch(id));
  R(munmap(room + 10 * 4096, 4096));
  printf("after hole nattch %ld\n", nattch(id));
  R(shmdt(room + 9 * 4096));
  printf("after detach nattch %ld\n", nattch(id));
  unsigned char vec[32];
  for (int i = 6; i < 16; i++) printf("%d", mincore(room + i * 4096, 4096, vec) == 0);
  printf("\n");
  R(shmdt(room));
  R(shmdt(room + 8 * 4096));
  printf("nattch %ld\n", nattch(id));
  char *p = shmat(id, NULL, 0);
  strcpy(p + 4096, "page 1");
  char *q = mremap(p, 5 * 4096, 8 * 4096, MREMAP_MAYMOVE);
  printf("mremap %s nattch %ld\n", q == MAP_FAILED ? strerrorname_np(errno) : q + 4096, nattch(id));
  if (q != MAP_FAILED) {
    pid_t pid = fork();
    if (pid == 0) { q[6 * 4096] = 1; _exit(0); }
    wait_for(pid);
    R(shmdt(q));
  }
  printf("nattch %ld\n", nattch(id));
  p = shmat(id, NULL, SHM_RDONLY);
  R(mprotect(p, 4096, PROT_READ | PROT_WRITE));
  p = shmat(id, NULL, SHM_EXEC);
  R(mprotect(p, 4096, PROT_READ | PROT_EXEC));
  char line[512];
  FILE *maps = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, maps)) {
    char *name = strstr(line, "/SYSV");
    if (name) printf("%.5s %s", strchr(line, ' ') + 1, name);
  }
  R(shmctl(id, IPC_RMID, NULL));
}

static void shm_control(void) {
  int id = shmget(IPC_PRIVATE, 4096, 0);
  struct shmid_ds ds;
  R(shmctl(id, IPC_STAT, wild));
  R(shmctl(id, IPC_SET, wild));
  R(shmctl(id, 99, &ds));
  R(shmctl(id, -1, &ds));
  R(shmctl(-1, IPC_STAT, &ds));
  memset(&ds, 0, sizeof ds);
  ds.shm_perm.mode = 07777;
  ds.shm_perm.uid = geteuid();
  ds.shm_perm.gid = getegid();
  R(shmctl(id, IPC_SET, &ds));
  R(shmctl(id, IPC_STAT, &ds));
  printf("mode %o\n", ds.shm_perm.mode);
  R(shmctl(id, SHM_LOCK, NULL));
  R(shmctl(id, IPC_STAT, &ds));
  printf("mode %o\n", ds.shm_perm.mode);
  R(shmctl(id, SHM_UNLOCK, NULL));
  struct shminfo info;
  printf("IPC_INFO %d\n", shmctl(id, IPC_INFO, (struct shmid_ds *)&info) >= 0);
  printf("%lu %lu %lu %lu %lu\n", info.shmmax, info.shmmin, info.shmmni, info.shmseg, info.shmall);
  struct shm_info usage;
  int told = shmctl(id, SHM_INFO, (struct shmid_ds *)&usage) >= 0;
  printf("SHM_INFO %d used %d\n", told, usage.used_ids >= 1);
  printf("SHM_STAT %d\n", shmctl(id & 32767, SHM_STAT, &ds) == id);
  printf("SHM_STAT_ANY %d\n", shmctl(id & 32767, SHM_STAT_ANY, &ds) == id);
  R(shmctl(32000, SHM_STAT, &ds));
  char line[512], found[16];
  snprintf(found, sizeof found, "%d", id);
  FILE *file = fopen("/proc/sysvipc/shm", "r");
  printf("%s", fgets(line, sizeof line, file));
  while (fgets(line, sizeof line, file)) {
    int key, rowid, mode;
    unsigned long size;
    if (sscanf(line, "%d %d %o %lu", &key, &rowid, &mode, &size) == 4 && rowid == id)
      printf("row %d %o %lu, %zu bytes\n", key, mode, size, strlen(line));
  }
  fclose(file);
  R(shmctl(id, IPC_RMID, NULL));
}

static void as_other_user(void) {
  if (geteuid() == 0 && setresuid(12345, 12345, 12345)) _exit(9);
  setregid(12345, 12345);
}

// Who is not root natively is not the user of the guest either: the section makes itself an ordinary user first.
static void permissions(void) {
  int shm = shmget(IPC_PRIVATE, 4096, 0600), sem = semget(IPC_PRIVATE, 1, 0400), msg = msgget(IPC_PRIVATE, 0200);
  int open = shmget(IPC_PRIVATE, 4096, 0644);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    as_other_user();
    struct shmid_ds ds;
    struct semid_ds sd;
    struct msqid_ds md;
    union semun arg = {.buf = &sd};
    char text[64] = {1};
    struct sembuf op = {0, 1, 0};
    R((long)shmat(shm, NULL, 0));
    R((long)shmat(shm, NULL, SHM_RDONLY));
    R((long)shmat(open, NULL, 0));
    OK((long)shmat(open, NULL, SHM_RDONLY));
    R((long)shmat(open, NULL, SHM_RDONLY | SHM_EXEC));
    R(shmctl(shm, IPC_STAT, &ds));
    R(shmctl(open, IPC_STAT, &ds));
    R(shmctl(open, IPC_SET, &ds));
    R(shmctl(open, IPC_RMID, &ds));
    R(shmctl(open, SHM_LOCK, NULL));
    R(semop(sem, &op, 1));
    R(semctl(sem, 0, GETVAL));
    R(semctl(sem, 0, SETVAL, 1));
    R(semctl(sem, 0, IPC_STAT, arg));
    R(semctl(sem, 0, IPC_RMID));
    R(msgsnd(msg, text, 1, IPC_NOWAIT));
    R(msgrcv(msg, text, 1, 0, IPC_NOWAIT));
    R(msgctl(msg, IPC_STAT, &md));
    R(msgctl(msg, IPC_RMID, NULL));
    fflush(stdout);
    _exit(0);
  }
  wait_for(pid);
  shmctl(shm, IPC_RMID, NULL);
  shmctl(open, IPC_RMID, NULL);
  semctl(sem, 0, IPC_RMID);
  msgctl(msg, IPC_RMID, NULL);
}

static void sem_basics(void) {
  key_t key = fresh_key();
  R(semget(key, 1, 0600));
  R(semget(key, 0, IPC_CREAT | 0600));
  R(semget(key, -1, IPC_CREAT | 0600));
  R(semget(key, 32001, IPC_CREAT | 0600));
  int id = semget(key, 3, IPC_CREAT | IPC_EXCL | 0600);
  OK(id);
  R(semget(key, 3, IPC_CREAT | IPC_EXCL | 0600));
  R(semget(key, 4, 0600));
  printf("same %d\n", semget(key, 0, 0) == id);
  struct sembuf up = {0, 5, 0}, two[3] = {{0, -3, 0}, {1, 1, 0}, {2, -1, IPC_NOWAIT}};
  R(semop(id, &up, 1));
  R(semop(id, two, 3));
  R(semctl(id, 0, GETVAL));
  R(semctl(id, 1, GETVAL));
  two[2].sem_op = 1;
  R(semop(id, two, 3));
  unsigned short all[3];
  union semun arg = {.array = all};
  R(semctl(id, 0, GETALL, arg));
  printf("%d %d %d\n", all[0], all[1], all[2]);
  printf("GETPID %d %d\n", semctl(id, 0, GETPID) == getpid(), semctl(id, 2, GETPID) == getpid());
  struct sembuf bad = {3, 1, 0}, high = {0, 32767, 0}, zero = {0, 0, IPC_NOWAIT};
  R(semop(id, &bad, 1));
  R(semop(id, &high, 1));
  R(semop(id, &zero, 1));
  R(semop(id, NULL, 1));
  R(semop(id, (struct sembuf *)wild, 1));
  R(semop(id, &up, 0));
  R(semop(id, &up, 501));
  R(semop(-1, &up, 1));
  R(semop(id + 1, &up, 1));
  R(semctl(id, 3, GETVAL));
  R(semctl(id, -1, GETVAL));
  R(semctl(id, 0, SETVAL, 32768));
  R(semctl(id, 0, SETVAL, -1));
  R(semctl(id, 7, SETVAL, 1));
  R(semctl(id, 0, SETVAL, 32767));
  R(semctl(id, 0, 77));
  R(semctl(-1, 0, GETVAL));
  all[1] = 40000;
  R(semctl(id, 0, SETALL, arg));
  all[1] = 7;
  R(semctl(id, 0, SETALL, arg));
  arg.array = (unsigned short *)wild;
  R(semctl(id, 0, SETALL, arg));
  R(semctl(id, 0, GETALL, arg));
  arg.buf = (struct semid_ds *)wild;
  R(semctl(id, 0, IPC_STAT, arg));
  struct semid_ds ds;
  arg.buf = &ds;
  R(semctl(id, 0, IPC_STAT, arg));
  printf("nsems %lu mode %o otime %d ctime %d\n", ds.sem_nsems, ds.sem_perm.mode, ds.sem_otime != 0, ds.sem_ctime != 0);
  struct seminfo info;
  arg.info = &info;
  printf("%d\n", semctl(0, 0, IPC_INFO, arg) >= 0);
  printf("mni %d msl %d opm %d vmx %d aem %d\n", info.semmni, info.semmsl, info.semopm, info.semvmx, info.semaem);
  struct timespec tenth = {0, 20000000}, wrong = {0, -1};
  two[0] = (struct sembuf){1, -30, 0};
  R(semtimedop(id, two, 1, &tenth));
  R(semtimedop(id, two, 1, &wrong));
  R(semtimedop(id, two, 1, (struct timespec *)wild));
  R(semctl(id, 0, IPC_RMID));
  R(semop(id, &up, 1));
  R(semctl(id, 0, GETVAL));
}

static volatile int alarms;
static void on_alarm(int signal) { (void)signal; alarms++; }

static void sem_waiting(void) {
  int id = semget(IPC_PRIVATE, 2, 0600);
  pid_t one = fork();
  if (one == 0) {
    struct sembuf both[2] = {{0, -1, 0}, {1, -1, 0}};
    _exit(semop(id, both, 2) == 0 ? 0 : errno);
  }
  pid_t two = fork();
  if (two == 0) {
    struct sembuf zero[2] = {{0, 0, 0}, {1, 1, 0}};
    nap(30);
    _exit(semop(id, zero, 2) == 0 ? 0 : errno);
  }
  while (semctl(id, 0, GETNCNT) != 1) nap(1);
  printf("ncnt %d %d zcnt %d\n", semctl(id, 0, GETNCNT), semctl(id, 1, GETNCNT), semctl(id, 0, GETZCNT));
  struct sembuf up = {0, 1, 0};
  R(semop(id, &up, 1));
  printf("val %d ncnt %d %d\n", semctl(id, 0, GETVAL), semctl(id, 0, GETNCNT), semctl(id, 1, GETNCNT));
  while (semctl(id, 0, GETZCNT) != 1) nap(1);
  struct sembuf down = {0, -1, 0};
  // The waiter for zero is served by this one and its own change serves the first.
  R(semctl(id, 0, SETVAL, 0));
  printf("vals %d %d\n", semctl(id, 0, GETVAL), semctl(id, 1, GETVAL));
  wait_for(two);
  R(semctl(id, 0, SETVAL, 1));
  wait_for(one);
  printf("vals %d %d\n", semctl(id, 0, GETVAL), semctl(id, 1, GETVAL));
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  struct timeval soon[2] = {{0, 0}, {0, 20000}};
  setitimer(ITIMER_REAL, (struct itimerval *)soon, NULL);
  R(semop(id, &down, 1));
  printf("alarms %d ncnt %d\n", alarms, semctl(id, 0, GETNCNT));
  pid_t three = fork();
  if (three == 0) _exit(semop(id, &down, 1) == 0 ? 0 : errno);
  while (semctl(id, 0, GETNCNT) != 1) nap(1);
  pid_t four = fork();
  if (four == 0) { semop(id, &down, 1); _exit(0); }
  while (semctl(id, 0, GETNCNT) != 2) nap(1);
  kill(four, SIGKILL);
  wait_for(four);
  printf("ncnt %d\n", semctl(id, 0, GETNCNT));
  R(semctl(id, 0, IPC_RMID));
  wait_for(three);
  printf("EIDRM is %d\n", EIDRM);
}

static void *undo_thread(void *argument) {
  struct sembuf take = {0, -1, SEM_UNDO};
  semop(*(int *)argument, &take, 1);
  return NULL;
}

static void sem_undo(void) {
  int id = semget(IPC_PRIVATE, 2, 0600);
  semctl(id, 0, SETVAL, 5);
  pid_t pid = fork();
  if (pid == 0) {
    struct sembuf take[2] = {{0, -2, SEM_UNDO}, {1, 3, SEM_UNDO}};
    R(semop(id, take, 2));
    printf("in child %d %d\n", semctl(id, 0, GETVAL), semctl(id, 1, GETVAL));
    fflush(stdout);
    _exit(0);
  }
  wait_for(pid);
  printf("after %d %d\n", semctl(id, 0, GETVAL), semctl(id, 1, GETVAL));
  pid = fork();
  if (pid == 0) {
    struct sembuf take[2] = {{0, -2, SEM_UNDO}, {1, 3, SEM_UNDO}};
    semop(id, take, 2);
    semctl(id, 0, SETVAL, 9);
    kill(getpid(), SIGKILL);
  }
  wait_for(pid);
  printf("SETVAL forgets %d %d\n", semctl(id, 0, GETVAL), semctl(id, 1, GETVAL));
  pid = fork();
  if (pid == 0) {
    pthread_t thread;
    pthread_create(&thread, NULL, undo_thread, &id);
    pthread_join(thread, NULL);
    printf("thread's end undoes nothing %d\n", semctl(id, 0, GETVAL));
    fflush(stdout);
    execl("/bin/sh", "sh", "-c", "exit 3", NULL);
    _exit(1);
  }
  wait_for(pid);
  printf("process's does %d\n", semctl(id, 0, GETVAL));
  pid = fork();
  if (pid == 0) {
    struct sembuf give = {1, 10, SEM_UNDO}, taken = {1, -10, 0};
    semop(id, &give, 1);
    semop(id, &taken, 1);
    _exit(0);
  }
  wait_for(pid);
  printf("never below zero %d\n", semctl(id, 1, GETVAL));
  struct sembuf much = {1, 32767, SEM_UNDO}, less = {1, -32767, 0};
  R(semop(id, &much, 1));
  R(semop(id, &less, 1));
  R(semop(id, &much, 1));
  pid = fork();
  if (pid == 0) {
    struct sembuf down = {0, -100, 0};
    _exit(semop(id, &down, 1) ? errno : 0);
  }
  while (semctl(id, 0, GETNCNT) != 1) nap(1);
  pid_t other = fork();
  if (other == 0) {
    struct sembuf up = {0, 90, 0}, undone = {0, -90, SEM_UNDO};
    semop(id, &up, 1);
    semop(id, &undone, 1);
    _exit(0);
  }
  wait_for(other);
  nap(20);
  printf("%d ncnt %d\n", semctl(id, 0, GETVAL), semctl(id, 0, GETNCNT));
  struct sembuf one = {0, 1, 0};
  R(semop(id, &one, 1));
  wait_for(pid);
  printf("%d\n", semctl(id, 0, GETVAL));
  semctl(id, 0, IPC_RMID);
}

struct text { long type; char data[9000]; };

static void put(int id, long type, const char *data) {
  struct text text = {.type = type};
  strcpy(text.data, data);
  if (msgsnd(id, &text, strlen(data) + 1, IPC_NOWAIT)) printf("msgsnd: %s\n", strerrorname_np(errno));
}

static void get(int id, long type, int flags) {
  struct text text;
  memset(&text, 0, sizeof text);
  long n = msgrcv(id, &text, sizeof text.data, type, flags | IPC_NOWAIT);
  if (n < 0) printf("get %ld: %s\n", type, strerrorname_np(errno));
  else printf("get %ld: %ld bytes type %ld %s\n", type, n, text.type, text.data);
}

static void msg_basics(void) {
  key_t key = fresh_key();
  R(msgget(key, 0600));
  int id = msgget(key, IPC_CREAT | IPC_EXCL | 0600);
  OK(id);
  R(msgget(key, IPC_CREAT | IPC_EXCL | 0600));
  printf("same %d\n", msgget(key, 0) == id);
  put(id, 3, "three");
  put(id, 1, "one");
  put(id, 2, "two");
  put(id, 1, "one again");
  put(id, 7, "seven");
  put(id, LONG_MAX >> 12, "huge");
  struct msqid_ds ds;
  R(msgctl(id, IPC_STAT, &ds));
  printf("qnum %lu cbytes %lu qbytes %lu lspid %d lrpid %d stime %d rtime %d mode %o\n", ds.msg_qnum, ds.__msg_cbytes, ds.msg_qbytes,
         ds.msg_lspid == getpid(), ds.msg_lrpid, ds.msg_stime != 0, ds.msg_rtime != 0, ds.msg_perm.mode);
  get(id, 1, MSG_COPY);
  get(id, 40, MSG_COPY);
  get(id, -2, 0);
  get(id, 7, 0);
  get(id, 3, MSG_EXCEPT);
  get(id, -9, 0);
  get(id, 0, 0);
  get(id, 4, 0);
  get(id, 0, 0);
  get(id, 0, 0);
  struct text text = {.type = 5, .data = "text"};
  R(msgsnd(id, wild, 1, 0));
  R(msgsnd(id, &text, 8193, 0));
  R(msgsnd(id, &text, -1, 0));
  R(msgsnd(-1, &text, 1, 0));
  R(msgsnd(id + 1, &text, 1, 0));
  text.type = 0;
  R(msgsnd(id, &text, 1, 0));
  text.type = -1;
  R(msgsnd(id, &text, 1, 0));
  text.type = 5;
  R(msgsnd(id, &text, 0, 0));
  R(msgsnd(id, &text, 100, 0));
  R(msgrcv(id, &text, -1, 0, 0));
  R(msgrcv(id, &text, 10, 5, 0));
  R(msgrcv(id, &text, 10, 5, 0));
  R(msgrcv(id, &text, 10, 5, MSG_NOERROR));
  R(msgrcv(id, &text, 10, 5, IPC_NOWAIT));
  R(msgrcv(id, &text, 10, 5, MSG_COPY));
  R(msgrcv(id, &text, 10, 5, MSG_COPY | IPC_NOWAIT | MSG_EXCEPT));
  R(msgsnd(id, &text, 100, 0));
  R(msgrcv(id, wild, 100, 0, IPC_NOWAIT));
  R(msgrcv(id, &text, 100, 0, IPC_NOWAIT));
  int sent = 0;
  while (msgsnd(id, &text, 8000, IPC_NOWAIT) == 0) sent++;
  printf("sent %d then %s\n", sent, strerrorname_np(errno));
  sent = 0;
  while (msgsnd(id, &text, 0, IPC_NOWAIT) == 0) sent++;
  printf("empty ones %d then %s\n", sent, strerrorname_np(errno));
  R(msgctl(id, IPC_STAT, &ds));
  ds.msg_qbytes = 100;
  R(msgctl(id, IPC_SET, &ds));
  R(msgctl(id, IPC_SET, wild));
  R(msgctl(id, IPC_STAT, wild));
  R(msgctl(id, 55, &ds));
  R(msgctl(-1, IPC_STAT, &ds));
  struct msginfo info;
  printf("%d", msgctl(0, IPC_INFO, (struct msqid_ds *)&info) >= 0);
  printf(" pool %d map %d max %d mnb %d mni %d ssz %d tql %d seg %d\n", info.msgpool, info.msgmap, info.msgmax, info.msgmnb, info.msgmni, info.msgssz, info.msgtql, info.msgseg);
  R(msgctl(id, IPC_RMID, NULL));
  R(msgctl(id, IPC_STAT, &ds));
  R(msgrcv(id, &text, 100, 0, 0));
  char line[512];
  FILE *file = fopen("/proc/sysvipc/msg", "r");
  printf("%s", fgets(line, sizeof line, file));
  file = fopen("/proc/sysvipc/sem", "r");
  printf("%s", fgets(line, sizeof line, file));
}

static void msg_waiting(void) {
  int id = msgget(IPC_PRIVATE, 0600);
  pid_t receiver = fork();
  if (receiver == 0) {
    struct text text;
    long n = msgrcv(id, &text, 100, 2, 0);
    printf("received %ld type %ld %s\n", n, text.type, text.data);
    n = msgrcv(id, &text, 4, 3, 0);
    printf("too long: %s\n", n < 0 ? strerrorname_np(errno) : "?");
    fflush(stdout);
    _exit(msgrcv(id, &text, 100, 4, 0) < 0 ? errno : 0);
  }
  nap(20);
  put(id, 1, "not for it");
  put(id, 2, "for it");
  nap(20);
  put(id, 3, "longer than four");
  nap(20);
  struct text text = {.type = 9};
  while (msgsnd(id, &text, 4000, IPC_NOWAIT) == 0) {}
  pid_t sender = fork();
  if (sender == 0) _exit(msgsnd(id, &text, 4000, 0) ? errno : 0);
  nap(20);
  struct msqid_ds ds;
  msgctl(id, IPC_STAT, &ds);
  printf("full: %lu messages\n", ds.msg_qnum);
  R(msgrcv(id, &text, 4000, 9, 0));
  wait_for(sender);
  msgctl(id, IPC_STAT, &ds);
  printf("full again: %lu messages\n", ds.msg_qnum);
  sender = fork();
  if (sender == 0) _exit(msgsnd(id, &text, 4000, 0) ? errno : 0);
  nap(20);
  R(msgctl(id, IPC_RMID, NULL));
  wait_for(sender);
  wait_for(receiver);
  printf("EIDRM is %d\n", EIDRM);
  id = msgget(IPC_PRIVATE, 0600);
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = 0};
  sigaction(SIGALRM, &action, NULL);
  struct timeval soon[2] = {{0, 0}, {0, 20000}};
  setitimer(ITIMER_REAL, (struct itimerval *)soon, NULL);
  R(msgrcv(id, &text, 4000, 9, 0));
  R(msgctl(id, IPC_RMID, NULL));
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  const char *section = argc > 1 ? argv[1] : "";
  struct { const char *name; void (*run)(void); } sections[] = {
      {"shm-basics", shm_basics}, {"shm-places", shm_places}, {"shm-control", shm_control}, {"permissions", permissions},
      {"sem-basics", sem_basics}, {"sem-waiting", sem_waiting}, {"sem-undo", sem_undo},
      {"msg-basics", msg_basics}, {"msg-waiting", msg_waiting}};
  for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
    if (strcmp(section, sections[i].name) == 0) { sections[i].run(); return 0; }
  return 2;
}
