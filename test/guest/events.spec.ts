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

const SOCKETS = `
import os, socket
def tcp(family, address):
    made = socket.socket(family)
    made.bind(address)
    made.listen(5)
    return made
listener = tcp(socket.AF_INET, ('127.0.0.1', 8080))
client = socket.socket()
client.bind(('127.0.0.1', 9090))
client.connect(('127.0.0.1', 8080))
waiting = socket.socket()
waiting.bind(('127.0.0.1', 9091))
waiting.connect(('127.0.0.1', 8080))
server, _ = listener.accept()
server.send(b'abc')
waiting.shutdown(socket.SHUT_WR)
six = tcp(socket.AF_INET6, ('::1', 8081))
mapped = socket.socket(socket.AF_INET6)
mapped.bind(('::ffff:127.0.0.1', 9092))
mapped.connect(('::ffff:127.0.0.1', 8080))
unbound = socket.socket()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('0.0.0.0', 5353))
named = socket.socket(socket.AF_UNIX)
named.bind('/tmp/name')
named.listen()
hidden = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
hidden.bind('\\0hidden')
one, other = socket.socketpair()
inode = lambda made: os.fstat(made.fileno()).st_ino
sockets = {inode(made): name for name, made in list(globals().items()) if isinstance(made, socket.socket)}
for table, columns, column in (('tcp', (1, 2, 3, 4, 7), 9), ('tcp6', (1, 2, 3, 4, 7), 9), ('udp', (1, 2, 3, 4, 7), 9), ('unix', (3, 4, 5), 6)):
    for line in open(f'/proc/net/{table}').readlines()[1:]:
        fields = line.split()
        print(table, sockets[int(fields[column])], *(fields[at] for at in columns), *fields[7:] if table == 'unix' else [])
`;

describe('/proc/net', () => {
  it('lists the sockets that are open, by the inodes that their descriptors have', async () => {
    const guest = await runGuest({ argv: ['python3', '-c', SOCKETS] });
    expect(guest.stderr).toBe('');
    expect(guest.stdout.trim().split('\n').sort()).toEqual(
      [
        'tcp listener 0100007F:1F90 00000000:0000 0A 00000000:00000002 1000',
        'tcp client 0100007F:2382 0100007F:1F90 01 00000000:00000003 1000',
        'tcp waiting 0100007F:2383 0100007F:1F90 05 00000000:00000000 1000',
        'tcp server 0100007F:1F90 0100007F:2382 01 00000000:00000000 1000',
        'tcp6 six 00000000000000000000000001000000:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000 1000',
        'tcp6 mapped 0000000000000000FFFF00000100007F:2384 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 1000',
        'udp udp 00000000:14E9 00000000:0000 07 00000000:00000000 1000',
        'unix named 00010000 0001 01 /tmp/name',
        'unix hidden 00000000 0002 01 @hidden',
        'unix one 00000000 0001 03',
        'unix other 00000000 0001 03',
      ].sort(),
    );
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
