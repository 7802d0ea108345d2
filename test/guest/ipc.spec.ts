import { describe, expect, it } from 'vitest';
import { compile, runBoth, runGuest, useGuests, visible } from './harness.js';

useGuests();

/** Natively tests run as root: so do these in the guest. */
const uid = process.getuid?.() ?? 0;

// What Linux 6.18 prints: natively nothing is mounted there.
const DIRECTORY = [
  'mq_send(mq, "hello", 5, 3) = 0',
  'mq_send(mq, "there", 5, 3) = 0',
  'mq_notify(mq, &event) = 0',
  '60: QSIZE:10         NOTIFY:0     SIGNO:10    NOTIFY_PID:1     ',
  'mode 100640 size 80',
  'mq_receive(same, text, sizeof text, NULL) = 5',
  'chmod("/dev/mqueue/made", 0600) = 0',
  'mode 600',
  'open("/dev/mqueue/by-name", O_RDWR | O_CREAT | O_EXCL, 0666) != -1 = 1',
  'open("/dev/mqueue/by-name", O_RDWR | O_CREAT | O_EXCL, 0666) = -1 EEXIST',
  'mq_getattr(other, &attributes) = 0',
  '10 of 8192 bytes',
  'write(other, "x", 1) = -1 EINVAL',
  'entry made type 8',
  'entry by-name type 8',
  'link("/dev/mqueue/made", "/dev/mqueue/link") = -1 EPERM',
  'rename("/dev/mqueue/made", "/dev/mqueue/moved") = -1 EPERM',
  'mkdir("/dev/mqueue/directory", 0700) = -1 EPERM',
  'open("/dev/mqueue/absent", O_RDONLY) = -1 ENOENT',
  'unlink("/dev/mqueue/made") = 0',
  'mq_open("/made", O_RDWR) = -1 ENOENT',
  'mq_receive(mq, text, sizeof text, NULL) = 5',
  'mq_unlink("/by-name") = 0',
  'access("/dev/mqueue/by-name", F_OK) = -1 ENOENT',
  '',
];

describe('System V IPC', () => {
  it.each([
    'shm-basics',
    'shm-places',
    'shm-control',
    'permissions',
    'sem-basics',
    'sem-waiting',
    'sem-undo',
    'msg-basics',
    'msg-waiting',
  ])('%s: as natively', async (name) => {
    const { native, guest } = await runBoth({ argv: ['./ipc', name], files: { ipc: compile('sysv-ipc.c') }, uid });
    expect(native.exitCode).toBe(0);
    expect(native.stdout).not.toBe('');
    expect(visible(guest)).toEqual(visible(native));
  });
});

describe('POSIX message queues', () => {
  it.each(['basics', 'attributes', 'refusals', 'waiting', 'notify', 'notify-thread', 'permissions'])(
    '%s: as natively',
    async (name) => {
      const { native, guest } = await runBoth({ argv: ['./mq', name], files: { mq: compile('posix-mq.c') }, uid });
      expect(native.exitCode).toBe(0);
      expect(native.stdout).not.toBe('');
      expect(visible(guest)).toEqual(visible(native));
    },
  );
});

describe('keys and key rings', () => {
  it.for(['basics', 'rings', 'states', 'rights'])('%s: as natively', async (name, { skip }) => {
    const { native, guest } = await runBoth({
      argv: ['./keys', name],
      files: { keys: compile('keys.c', ['-O1', '-w']) },
      uid,
    });
    // Containers often forbid these calls.
    skip(/^no keys/m.test(native.stdout), 'no keys here to compare with');
    expect(native.exitCode).toBe(0);
    expect(visible(guest)).toEqual(visible(native));
  });

  it.each([
    ['chain', 'chain: 9000\nunlink: ok\ngone: ENOKEY\n'],
    ['lattice', 'search: ENOKEY\nlink: ok\nlink in itself: EDEADLK\nclear: ok\n'],
    ['users', 'users: not all EDQUOT\n'],
  ])('a %s of them is no work without end', async (name, expected) => {
    const files = { keys: compile('key-storms.c', ['-O1', '-w']) };
    const guest = await runGuest({ argv: ['./keys', name], files, uid: 0 });
    expect(guest.log).toEqual([]);
    expect(guest.stdout).toBe(expected);
  });

  it('are bounded by a quota for each user, which comes back', async () => {
    const program = `
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def add(name, size):
    return libc.syscall(248, b'user', name, bytes(size) or None, size, -3)
made = 0
while add(b'%d' % made, 50) > 0: made += 1
print(made < 200, errno.errorcode[ctypes.get_errno()])
print(libc.syscall(250, 7, -3, 0, 0, 0), add(b'again', 50) > 0)
print(add(b'large', 19000) > 0, add(b'larger', 19000), errno.errorcode[ctypes.get_errno()])
`;
    const guest = await runGuest({ argv: ['python3', '-c', program] });
    expect(guest.stdout).toBe('True EDQUOT\n0 True\nTrue -1 EDQUOT\n');
  });
});

describe('/dev/mqueue', () => {
  it('has the queues as files: listed, read, opened, made, removed', async () => {
    const guest = await runGuest({ argv: ['./mq', 'directory'], files: { mq: compile('posix-mq.c') } });
    expect(guest.stdout.split('\n')).toEqual(DIRECTORY);
  });
});

describe('limits on IPC', () => {
  it('the pages of segments count against the memory limit until they are removed', async () => {
    const guest = await runGuest({
      argv: ['./hog', 'shm'],
      files: { hog: compile('ipc-hog.c') },
      limits: { memoryBytes: 64 * 1024 ** 2 },
    });
    expect(guest.stdout).toBe('16 MiB segments: 20 made and removed\n');
    expect(guest.report).toMatchObject({ reason: 'memory_exceeded' });
  });

  it('messages that nobody reads end in ENOMEM, not in a Sentry that swells', async () => {
    const guest = await runGuest({ argv: ['./hog', 'msg'], files: { hog: compile('ipc-hog.c') } });
    expect(guest.stdout).toMatch(/^queues full: ENOMEM\nroom again after removal: 0\n$/);
    expect(guest.report).toMatchObject({ reason: 'exited', exitCode: 0 });
  });
});

describe('programs that use IPC', () => {
  it('ipcmk, ipcs and ipcrm', async () => {
    const guest = await runGuest({
      argv: [
        '/bin/sh',
        '-c',
        'ipcmk -M 8192 -p 640 && ipcmk -S 4 && ipcmk -Q && ipcs | grep -v "^$" | cut -c 1-10,23- && ipcs -l | grep queues && ipcrm -a && ipcs -m | wc -l',
      ],
    });
    expect(guest.stderr).toBe('');
    expect(guest.stdout).toContain('640        8192       0');
    expect(guest.report.exitCode).toBe(0);
  });

  it('CPython: multiprocessing semaphores, queues and shared_memory in /dev/shm', async () => {
    const program = [
      'import multiprocessing as m, os',
      'from multiprocessing import shared_memory',
      's = shared_memory.SharedMemory(create=True, size=10000)',
      'q = m.get_context("fork").Queue()',
      'lock = m.get_context("fork").Lock()',
      'def work(n):',
      '  with lock:',
      '    s.buf[n] = n',
      '  q.put(n)',
      'ps = [m.get_context("fork").Process(target=work, args=(n,)) for n in range(1, 5)]',
      '[p.start() for p in ps]; got = sorted(q.get() for _ in ps); [p.join() for p in ps]',
      'print(got, bytes(s.buf[:6]), len(os.listdir("/dev/shm")))',
      's.close(); s.unlink()',
      'print(len([n for n in os.listdir("/dev/shm") if n.startswith("psm")]))',
    ].join('\n');
    const guest = await runGuest({ argv: ['/usr/bin/python3', '-c', program] });
    expect(guest.stderr).toBe('');
    expect(guest.stdout).toBe("[1, 2, 3, 4] b'\\x00\\x01\\x02\\x03\\x04\\x00' 1\n0\n");
  });
});
