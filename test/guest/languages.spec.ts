import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runBoth, runGuest, useGuests, visible } from './harness.js';

useGuests();

const PYTHON: Readonly<Record<string, string>> = {
  files:
    'import os\nopen("a","w").write("x\\n"*3)\nprint(open("a").read(), os.path.getsize("a"), sorted(os.listdir(".")))\nos.rename("a","b"); os.remove("b"); print(os.listdir("."))',
  subprocess:
    'import subprocess\nprint(subprocess.run(["echo","hi"],capture_output=True,text=True))\nprint(subprocess.check_output("echo err >&2; cat", input=b"in", shell=True, stderr=subprocess.STDOUT))\ntry: subprocess.run(["sleep","5"],timeout=0.1)\nexcept subprocess.TimeoutExpired as e: print("timeout")',
  threading:
    'import threading, queue\nq=queue.Queue(); r=[]\nl=threading.Lock()\ndef w():\n  while True:\n    i=q.get()\n    if i is None: return\n    with l: r.append(i*i)\nts=[threading.Thread(target=w) for _ in range(8)]\n[t.start() for t in ts]\nfor i in range(1000): q.put(i)\nfor _ in ts: q.put(None)\n[t.join() for t in ts]\nprint(sum(r), len(r))',
  'json over 10 MB':
    'import json\nd=[{"i":i,"s":"x"*80,"f":i/3} for i in range(90000)]\ns=json.dumps(d); print(len(s)>10_000_000, len(s)); open("j","w").write(s)\nprint(json.load(open("j"))==d)',
  exceptions:
    'import sys, traceback\ndef f(): raise ValueError("bad \\u00e9")\ntry: f()\nexcept ValueError as e: traceback.print_exc(file=sys.stdout)\nprint("to stderr", file=sys.stderr)\nsys.exit(3)',
  'uncaught exception': 'print("before")\n1/0',
  input: 'import sys\nfor line in sys.stdin: print(line.strip()[::-1])',
  'asyncio and sockets':
    'import asyncio\nasync def h(r,w):\n  d=await r.readline(); w.write(d.upper()); await w.drain(); w.close()\nasync def m():\n  s=await asyncio.start_server(h,"127.0.0.1",0)\n  p=s.sockets[0].getsockname()[1]\n  r,w=await asyncio.open_connection("127.0.0.1",p)\n  w.write(b"hello\\n"); print(await r.readline()); w.close(); s.close()\n  x=await asyncio.create_subprocess_exec("echo","sub",stdout=-1); print((await x.communicate())[0])\nasyncio.run(m())',
  'signals and fork':
    'import os, signal, time\nsignal.signal(signal.SIGALRM, lambda *a: print("alarm", flush=True))\nsignal.setitimer(signal.ITIMER_REAL, 0.05); time.sleep(0.2)\np=os.fork()\nif p==0: os._exit(9)\nprint(os.waitstatus_to_exitcode(os.waitpid(p,0)[1]))',
  multiprocessing:
    'import multiprocessing as m\ndef f(x): return x*x\nif __name__=="__main__":\n  with m.Pool(3) as p: print(p.map(f, range(10)))',
  'mmap, sqlite3, hashlib, zlib':
    'import mmap, sqlite3, hashlib, zlib\nf=open("m","wb+"); f.truncate(8192); mm=mmap.mmap(f.fileno(),8192); mm[0:5]=b"hello"; mm.flush(); print(open("m","rb").read(5))\nc=sqlite3.connect("d"); c.execute("create table t(a)"); c.executemany("insert into t values(?)",[(i,) for i in range(100)]); c.commit(); print(c.execute("select sum(a) from t").fetchone())\nprint(hashlib.sha256(zlib.compress(b"x"*10**6)).hexdigest())',
};

describe('python3', () => {
  it.each(Object.entries(PYTHON))('%s', async (_name, source) => {
    const { native, guest } = await runBoth({
      argv: ['/usr/bin/python3', 'main.py'],
      files: { 'main.py': source },
      stdin: 'abc\ndef\n',
    });
    // Tracebacks name the directory; the file is called the same.
    expect(visible(guest)).toEqual(visible(native));
  });
});

describe('perl', () => {
  it.each([
    'my %h; $h{$_ % 7}++ for 1..1000; print join(",", map {"$_=$h{$_}"} sort keys %h), "\\n"',
    'open(my $f, ">", "x") or die; print $f "line $_\\n" for 1..5; close $f; open($f, "<", "x"); my @l = <$f>; print scalar(@l), $l[4]; print `echo from shell`',
    'my $pid = fork; if (!$pid) { exit 5 } waitpid $pid, 0; print $? >> 8, "\\n"; local $SIG{ALRM} = sub { print "alarm\\n" }; alarm 1; sleep 2; $_ = "aXbX"; s/X/-/g; print; die "end\\n"',
  ])('%s', async (source) => {
    const { native, guest } = await runBoth({ argv: ['/usr/bin/perl', '-e', source] });
    expect(visible(guest)).toEqual(visible(native));
  });
});

describe('compilers', () => {
  const C =
    '#include <stdio.h>\n#include <math.h>\nint main(void){double s=0;for(int i=1;i<1000;i++)s+=sqrt(i);printf("%.6f\\n",s);return 3;}\n';
  const CPP =
    '#include <iostream>\n#include <map>\n#include <thread>\n#include <stdexcept>\nint main(){std::map<std::string,int> m{{"a",1},{"b",2}};int t=0;std::thread th([&]{for(auto&[k,v]:m)t+=v;});th.join();try{throw std::runtime_error("caught");}catch(std::exception&e){std::cout<<e.what()<<t<<"\\n";}}\n';

  it('gcc compiles a program and runs it', async () => {
    const { native, guest } = await runBoth({
      argv: ['/bin/sh', '-c', 'gcc -O2 -Wall -o main main.c -lm && ./main'],
      files: { 'main.c': C },
    });
    expect(native.exitCode).toBe(3);
    expect(visible(guest)).toEqual(visible(native));
  });

  it('g++ compiles a program with threads and exceptions and runs it', async () => {
    const { native, guest } = await runBoth({
      argv: ['/bin/sh', '-c', 'g++ -std=c++17 -pthread -o main main.cc && ./main'],
      files: { 'main.cc': CPP },
    });
    expect(native.stdout).toBe('caught3\n');
    expect(visible(guest)).toEqual(visible(native));
  }, 60_000);

  it('a compile error is reported as natively', async () => {
    const { native, guest } = await runBoth({
      argv: ['gcc', '-c', 'main.c'],
      files: { 'main.c': 'int main(void) { return x; }\n' },
    });
    expect(native.exitCode).toBe(1);
    expect(visible(guest)).toEqual(visible(native));
  });
});

/** Some machines have Node outside the image's directories: there is nothing to compare then. */
const NODE = ['/usr/bin/node', '/usr/local/bin/node'].find((path) => existsSync(path));

describe.runIf(NODE !== undefined)('node', () => {
  it.each([
    'console.log([1,2,3].map(x => x * 2), process.argv.length)',
    'const fs=require("fs"); fs.writeFileSync("a","x".repeat(1e6)); console.log(fs.statSync("a").size); fs.promises.readFile("a").then(b => console.log(b.length))',
    'const {execFile}=require("child_process"); execFile("echo",["sub"],(e,o)=>{console.log(e,o); setTimeout(()=>console.log("later"),50)})',
    'const http=require("http"); const s=http.createServer((q,r)=>r.end("hi "+q.url)).listen(0,()=>http.get({port:s.address().port,path:"/p"},r=>r.on("data",d=>{console.log(String(d)); s.close()})))',
    'const {Worker}=require("worker_threads"); new Worker("require(\'worker_threads\').parentPort.postMessage(6*7)",{eval:true}).on("message",m=>console.log(m))',
    'process.on("exit",c=>console.log("exit",c)); process.exitCode=4; throw Object.assign(new Error("boom"),{stack:"boom"})',
  ])('%s', async (source) => {
    const { native, guest } = await runBoth({ argv: [NODE ?? 'node', '-e', source] });
    expect(visible(guest)).toEqual(visible(native));
  });
});

describe('unknown and refused calls', () => {
  it('an unknown system call gives ENOSYS and appears in the audit log', async () => {
    const source = 'import ctypes\nl=ctypes.CDLL(None,use_errno=True)\nprint(l.syscall(1999), ctypes.get_errno())';
    const guest = await runGuest({ argv: ['/usr/bin/python3', '-c', source], auditLevel: 'full' });
    expect(guest.stdout).toBe('-1 38\n');
    const record = guest.audit.find(({ number }) => number === 1999);
    expect(record?.error).toBe('ENOSYS');
  });
});
