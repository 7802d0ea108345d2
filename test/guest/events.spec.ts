import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compile, runBoth, runGuest, useGuests, visible } from './harness.js';

useGuests();

const script = (name: string): Buffer => readFileSync(new URL(`programs/${name}`, import.meta.url));

const NO_NETWORK = `
import errno, socket
def attempt(call):
    try:
        call()
        print("worked")
    except OSError as error:
        print(errno.errorcode[error.errno])
attempt(lambda: socket.socket().connect(("127.0.0.1", 80)))
attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 80)))
attempt(lambda: socket.socket().bind(("127.0.0.1", 0)))
one, other = socket.socketpair()
one.send(b"hello")
print(other.recv(10).decode())
`;

describe('pipes, polling and sockets', () => {
  it.each([
    'pipes',
    'polling',
    'splice',
    'signalfd-fork',
    'urgent-data',
    'datagram-control',
    'unix-sockets',
    'inet-loopback',
    'inotify',
  ])('%s: answers as natively', async (name) => {
    const { native, guest } = await runBoth({ argv: ['./program'], files: { program: compile(`${name}.c`) } });
    expect(native.exitCode).toBe(0);
    expect(visible(guest)).toEqual(visible(native));
  });

  it.each(['asyncio-streams.py', 'peer-names.py', 'socketserver-threads.py'])(
    '%s: answers as natively',
    async (name) => {
      const { native, guest } = await runBoth({
        argv: ['python3', 'program.py'],
        files: { 'program.py': script(name) },
      });
      expect(native.exitCode).toBe(0);
      expect(visible(guest)).toEqual(visible(native));
    },
  );
});

describe('SO_REUSEPORT', () => {
  it('shares a port within one user, and sends what comes from one place to one socket: as natively', async () => {
    const { native, guest } = await runBoth({
      argv: ['python3', 'program.py'],
      files: { 'program.py': script('reuse-port.py') },
      uid: process.getuid?.() ?? 0,
    });
    expect(native.exitCode).toBe(0);
    expect(visible(guest)).toEqual(visible(native));
  });
});

const RESOLVE = `
import os, socket
print(sorted({entry[4][0] for entry in socket.getaddrinfo('localhost', 80)}), socket.gethostbyname('localhost'))
os.access('/before', 0)
socket.getaddrinfo('localhost', 80)
os.access('/after', 0)
`;

describe('localhost', () => {
  it.each(['loopback', 'none'] as const)(
    'is resolved in network mode %s without asking or waiting for anybody',
    async (network) => {
      const guest = await runGuest({ argv: ['python3', '-c', RESOLVE], network, auditLevel: 'full' });
      expect(guest.stdout).toBe("['127.0.0.1', '::1'] 127.0.0.1\n");
      const place = (path: string): number =>
        guest.audit.findIndex(({ arguments: args }) => JSON.stringify(args).includes(path));
      const calls = guest.audit.slice(place('/before') + 1, place('/after'));
      expect(calls.map(({ name }) => name)).toContain('openat');
      expect(calls.length).toBeLessThan(60);
      const waiting = [
        'poll',
        'ppoll',
        'select',
        'pselect6',
        'epoll_wait',
        'nanosleep',
        'clock_nanosleep',
        'sendmmsg',
        'recvfrom',
      ];
      expect(calls.filter(({ name }) => waiting.includes(name))).toEqual([]);
      // Port 53 is a name server's.
      expect(JSON.stringify(calls)).not.toContain('htons(53)');
    },
  );
});

const UNKNOWN = `
import os, socket
try:
    socket.getaddrinfo('no-such-name.example', 80)
except socket.gaierror as error:
    print(error.errno == socket.EAI_AGAIN)
`;

describe('names that only a name server would know', () => {
  it.each(['loopback', 'none'] as const)('are given up at once in network mode %s', async (network) => {
    const guest = await runGuest({ argv: ['python3', '-c', UNKNOWN], network, auditLevel: 'full' });
    expect(guest.stdout).toBe('True\n');
    const waits = guest.audit.filter(({ name }) => name === 'poll' || name === 'ppoll');
    // A poll that found nothing in its time answers 0.
    expect(waits.filter(({ result }) => result === 0)).toEqual([]);
    expect(waits.length).toBeLessThan(20);
  });
});

describe('network mode none', () => {
  it('has no loopback, but unix sockets', async () => {
    const guest = await runGuest({
      argv: ['python3', '-c', NO_NETWORK],
      network: 'none',
    });
    expect(guest.stderr).toBe('');
    expect(guest.stdout).toBe('ENETUNREACH\nENETUNREACH\nEADDRNOTAVAIL\nhello\n');
  });
});

describe('kernel memory', () => {
  it('is bounded, however much a guest leaves in pipes and in flight, and comes back', async () => {
    const guest = await runGuest({
      argv: ['python3', 'program.py'],
      files: { 'program.py': script('bounded-buffers.py') },
    });
    expect(guest.stderr).toBe('');
    expect(guest.stdout).toBe('64 MiB\n1000 1000\nETOOMANYREFS\n');
  });
});

describe('terminals', () => {
  it('terminal-locks: answers as natively', async () => {
    const files = { program: compile('terminal-locks.c') };
    const { native, guest } = await runBoth({ argv: ['./program'], files, uid: process.getuid?.() ?? 0 });
    expect(native.exitCode).toBe(0);
    expect(visible(guest)).toEqual(visible(native));
  });
});
