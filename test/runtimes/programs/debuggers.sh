# strace and gdb: other programs stopped, read, stepped through and left again.
set -e
mkdir d && cd d
cat > p.c <<'C'
#include <pthread.h>
#include <stdio.h>
int add(int a, int b) { return a + b; }
static void *thread(void *sum) { *(int *)sum = add(*(int *)sum, 40); return 0; }
int main(void) {
  int sum = 0;
  for (int i = 0; i < 3; i++) sum = add(sum, i);
  pthread_t id;
  pthread_create(&id, 0, thread, &sum);
  pthread_join(id, 0);
  printf("sum %d\n", sum);
  fflush(stdout);
  return sum;
}
C
gcc -g -O0 -pthread p.c -o p
set +e
strace -f -qq -e trace=execve,exit_group,write -o t /bin/sh -c 'echo one; (exit 3); /bin/true; exit 5'; echo "strace $?"
sed 's/^[0-9]* *//; s/0x[0-9a-f]*.*//' t | grep -v '^---' | sort
strace -f -c -o c ./p; echo "count $?"; grep -c . c | awk '{print ($1 > 10)}'
# There are no debug registers inside: watching is stepping.
gdb -q -nx -batch -ex 'set can-use-hw-watchpoints 0' -ex 'break add' -ex run -ex 'print a + b' -ex bt -ex 'stepi' -ex c -ex 'print a' -ex finish -ex 'delete' -ex 'watch sum' -ex c -ex c -ex 'delete' \
  -ex 'break thread' -ex c -ex 'info threads' -ex 'set var *(int *)sum = 100' -ex c ./p > g 2>&1; echo "gdb $?"
grep -E '^\$|^#[01]|^Run till|^Value|^Watch|^Old|^New value|^sum|exited with' g | sed 's/0x[0-9a-f]*/ADDRESS/g; s/process [0-9]*/process N/'
sleep 100 & p=$!
gdb -q -nx -batch -p $p -ex 'print $_siginfo.si_signo' -ex detach > a 2>&1; grep -c detached a
kill $p; wait $p; echo "left alone, ended by $(($? - 128))"
