import { describe, expect, it } from 'vitest';
import { runBoth, useGuests, visible } from './harness.js';

useGuests();

/** Shell scripts whose output must not differ from the native run. */
const SCRIPTS: Readonly<Record<string, string>> = {
  pipelines: 'printf "b\\na\\nc\\n" | sort | tr a-z A-Z | paste -sd, -; seq 1 1000 | wc -l; yes | head -3',
  'here-documents': 'cat <<EOF\nvalue: $((6*7))\nEOF\ncat <<-"EOF"\n\traw $HOME\nEOF',
  subshells: 'x=1; (x=2; echo in $x); echo out $x; echo $(echo nested $(echo deeper)); { echo group; } | cat',
  traps: 'trap "echo exiting" EXIT; trap "echo usr1" USR1; kill -USR1 $$; (trap "echo sub" EXIT; exit 3); echo $?',
  background: 'sleep 0.05 & p=$!; wait $p; echo "waited $?"; (exit 7) & wait $!; echo $?',
  'process substitution': 'diff <(echo a) <(echo b); echo $?; read x < <(echo read); echo $x',
  'exit status': 'false; echo $?; true && echo yes || echo no; ! true; echo $?; exit 42',
  redirections:
    'echo one > f; echo two >> f; cat < f; cat f f 2>&1 | wc -l; exec 3> g; echo three >&3; exec 3>&-; cat g; ls nope 2> err; wc -l < err',
  'signals to children': 'sleep 100 & kill -TERM $!; wait $!; echo $?; bash -c "kill -KILL \\$\\$"; echo $?',
  loops:
    'for i in 1 2 3; do echo -n "$i "; done; echo; i=0; while [ $i -lt 3 ]; do i=$((i+1)); done; echo $i; select_() { :; }; case abc in a*) echo match;; esac',
  'globs and files':
    'mkdir -p d/e; touch d/a d/b d/e/c; echo d/*; for f in d/**; do [ -d $f ] && echo dir $f; done; rm -r d; ls',
  'command not found': 'no-such-command-here; echo $?',
  'arrays and strings':
    'a=(x y z); echo ${#a[@]} ${a[1]} ${a[@]:1}; s=hello; echo ${s^^} ${s:1:3} ${s/l/L}; printf "%05d %x %s\\n" 42 255 end',
  coprocess: 'coproc cat; echo hi >&${COPROC[1]}; read -u ${COPROC[0]} l; echo got $l; exec {COPROC[1]}>&-; wait',
};

describe('bash', () => {
  it.each(Object.entries(SCRIPTS))('%s', async (_name, script) => {
    const { native, guest } = await runBoth({ argv: ['/bin/bash', '-c', script] });
    expect(visible(guest)).toEqual(visible(native));
  });
});

const COREUTILS: Readonly<Record<string, string>> = {
  'cp, mv, ln, rm':
    'echo x > a; cp a b; mv b c; ln c d; ln -s c e; stat -c "%n %h %s %F" c d e; rm c; cat d; cat e; echo $?',
  'ls -l':
    "umask 022; touch f; chmod 640 f; mkdir dir; ln -s f l; ls -l --time-style=+ | awk '{print $1, $2, $5, $6, $7, $8}'",
  sort: 'seq 1 20000 | shuf --random-source=/usr/bin/perl | sort -n | sha256sum; seq 1 100 | sort -R --random-source=/usr/bin/perl | head -1',
  find: 'mkdir -p t/u/v; touch t/1 t/u/2 t/u/v/3; find t | sort; find t -name "[23]" -type f | sort; find t -empty -delete; find t | wc -l',
  tar: 'mkdir s; seq 1 5000 > s/n; ln -s n s/l; mkdir s/sub; echo q > s/sub/q; tar czf s.tgz s; mkdir o; tar xzf s.tgz -C o; diff -r s o/s && echo same; tar tvf s.tgz | wc -l',
  'sha256sum of a large file':
    'head -c 5000000 /dev/zero | sha256sum; head -c 3000000 /usr/bin/perl | sha256sum; sha256sum /usr/bin/perl',
  'sed and awk':
    'seq 1 10 | sed -n "/3/,/5/p;\\$!d"; seq 1 100 | awk "{s+=\\$1} END {print s}"; echo a:b:c | awk -F: "{print \\$2}"; printf "x\\n" > f; sed -i s/x/y/ f; cat f',
  'grep -r':
    'mkdir g; echo needle > g/a; echo hay > g/b; grep -rn needle g; grep -c . g/b; grep -rl include /usr/include/stdio.h /usr/include/stdlib.h',
  'dd, split, cut, tee':
    'seq 1 1000 > n; dd if=n bs=100 count=3 2>/dev/null | cksum; split -l 300 n p.; wc -l p.* | tail -1; cut -c1-2 n | tail -1; echo t | tee t1 t2; cat t1 t2',
  'date, env, id, uname': 'date -u -d @86400 +%F; env -i A=1 env; uname -s -m; test -w . && echo writable',
  xargs: 'seq 1 10 | xargs -n 3 echo; printf "a\\0b\\0" | xargs -0 -I{} echo "<{}>"',
  'timeout and sleep': 'timeout 0.1 sleep 5; echo $?; sleep 0.01; echo done',
  'mktemp, truncate, stat':
    'f=$(mktemp ./XXXX); truncate -s 1M $f; stat -c %s $f; du -k --apparent-size $f | cut -f1; test -s $f && echo big',
};

describe('coreutils', () => {
  it.each(Object.entries(COREUTILS))('%s', async (_name, script) => {
    const { native, guest } = await runBoth({ argv: ['/bin/sh', '-c', script] });
    expect(visible(guest)).toEqual(visible(native));
  });
});

describe('busybox', () => {
  it.each([
    'busybox ls / >/dev/null && busybox echo ok',
    'seq 1 50 | busybox sort -rn | busybox head -3',
    'busybox sh -c "for i in 1 2 3; do echo \\$i; done | busybox wc -l"',
    'echo hello > f; busybox gzip f; busybox zcat f.gz; busybox md5sum f.gz | wc -c',
    'busybox awk "BEGIN { print 6*7 }"; busybox find /usr/include/linux/if.h; busybox vi --help 2>&1 | head -1',
  ])('%s', async (script) => {
    const { native, guest } = await runBoth({ argv: ['/bin/busybox', 'sh', '-c', script] });
    expect(visible(guest)).toEqual(visible(native));
  });
});
