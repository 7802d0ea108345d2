set -e
cat > a.cc <<'C'
#include <future>
#include <iostream>
#include <stdexcept>
#include <thread>
#include <vector>
int main() {
  std::vector<std::future<int>> v;
  for (int i = 0; i < 40; i++)
    v.push_back(std::async(std::launch::async, [i] { if (i % 3 == 0) throw std::runtime_error("e"); return i; }));
  int sum = 0, errors = 0;
  for (auto &f : v) try { sum += f.get(); } catch (std::exception &) { errors++; }
  std::cout << sum << " " << errors << "\n";
}
C
g++ -O2 -pthread a.cc -o a && ./a
g++ -fuse-ld=gold -pthread a.cc -o ag && ./ag
g++ -O2 -flto -static -pthread a.cc -o al && ./al
[ ! -x /usr/bin/clang++ ] || { clang++ -O1 -pthread a.cc -o ac && ./ac; } > clang.out; true
for s in address undefined thread; do g++ -g -O1 -fsanitize=$s -pthread a.cc -o as && ./as; done
# LeakSanitizer stops its own process by ptrace(2).
printf '#include <stdlib.h>\nint main(void) { volatile char *p = malloc(77); p = 0; return 0; }\n' > l.c
gcc -g -fsanitize=address l.c -o l; ./l 2>&1 | grep -o '77 byte(s) leaked'
printf '#include <stdlib.h>\nint main(int c, char **v) { int *p = malloc(4 * c); free(p); return p[0]; }\n' > b.c
gcc -g -w -fsanitize=address b.c -o b; ./b 2>&1 | grep -o 'AddressSanitizer: heap-use-after-free' | head -1
mkdir m && cd m
for i in $(seq 1 30); do echo "int f$i(void){return $i;}" > f$i.c; done
printf 'all: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tar rcs l.a $^\n\tar t l.a | sort | tail -1\n' > Makefile
make -s -j4
