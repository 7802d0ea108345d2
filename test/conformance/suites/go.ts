import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Case, type Outcome, PATH, type Suite, type Verdict } from '../case.ts';

const GOROOT = '/usr/share/go-1.19';
const GO = '/usr/lib/go-1.19/bin/go';
/** Packages that are a thin layer over system calls. */
const PACKAGES = [
  'os',
  'os/exec',
  'os/signal',
  'os/user',
  'syscall',
  'internal/poll',
  'net',
  'net/http',
  'net/http/httptest',
  'net/http/httputil',
  'net/smtp',
  'net/rpc',
  'net/textproto',
  'time',
  'context',
  'io',
  'io/fs',
  'io/ioutil',
  'path/filepath',
  'sync',
  'runtime/pprof',
  'runtime/debug',
  'log/syslog',
  'internal/syscall/unix',
  'mime/multipart',
  'archive/tar',
  'archive/zip',
  'crypto/rand',
  'crypto/tls',
];

/**
 * The tests of Go's standard library over the operating system. What the other suites don't cover: a runtime that makes
 * system calls without libc, preempts its threads with signals, and drives every descriptor through epoll.
 */
export const go: Suite = {
  name: 'go',
  cases: () => PACKAGES.map(caseOf).filter((testCase) => testCase !== null),
};

function caseOf(name: string): Case | null {
  const binary = compile(name);
  if (!binary) return null;
  return {
    name,
    argv: [
      'env',
      '-C',
      join(GOROOT, 'src', name),
      '$SCRATCH/go.test',
      '-test.short',
      '-test.v',
      '-test.timeout',
      '240s',
    ],
    env: { PATH: `/usr/lib/go-1.19/bin:${PATH}`, GOROOT, GOCACHE: '$SCRATCH/cache', GOFLAGS: '-mod=mod' },
    files: { 'go.test': binary },
    timeoutMs: 240_000,
    verdicts: (outcome) => verdictsOf(name, outcome),
    excerpt,
  };
}

/** The package's test binary, compiled once; null for a package without tests. */
function compile(name: string): Buffer | null {
  const directory = join(tmpdir(), `cordon-conformance-go-${process.getuid?.() ?? 0}`);
  const binary = join(directory, `${name.replaceAll('/', '-')}.test`);
  if (!existsSync(binary)) {
    mkdirSync(directory, { recursive: true });
    // The tests of package time look for time zones in GOROOT, which Debian leaves out.
    execFileSync(GO, ['test', '-c', '-tags', 'timetzdata', '-o', binary, name], {
      env: { ...process.env, GOCACHE: join(directory, 'cache'), GOPATH: join(directory, 'path') },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  }
  return existsSync(binary) ? readFileSync(binary) : null;
}

function verdictsOf(name: string, { output }: Outcome): ReadonlyMap<string, Verdict> {
  const verdicts = new Map<string, Verdict>();
  for (const [, verdict, test] of output.matchAll(/^--- (PASS|FAIL|SKIP): (\S+)/gm)) {
    verdicts.set(`${name}.${test}`, verdict.toLowerCase() as Verdict);
  }
  return verdicts;
}

/** What the failed tests printed: `go test -v` tells it before the verdict. A panic is at the end. */
function excerpt(output: string): string {
  const failed = output.split(/^(?==== (?:RUN|CONT))/m).filter((part) => /^ *--- FAIL/m.test(part));
  return failed.length > 0 ? failed.join('') : output;
}
