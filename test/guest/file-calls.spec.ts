import { describe, expect, it } from 'vitest';
import { compile, runBoth, runGuest, useGuests, visible } from './harness.js';

useGuests();

/** Natively tests run as whoever runs them: so do these in the guest. */
const uid = process.getuid?.() ?? 0;

// Not compared: natively the temporary directory may be on a file system without these. This is what ext4 answers.
const HANDLES = `one: 0 
again: 0 
hard link: 1
two: 0 
other file: 0
link: 0 
symbolic link: 0
link: 0 
followed: 1
same mount: 1
one: -1 EOVERFLOW, needs more
one: -1 EINVAL
one: -1 EINVAL
missing: -1 ENOENT
: -1 ENOENT
statx: 1
fdinfo: 1
mountinfo: 1
`;

const EXTENTS = `0 , flags 1, 0 extents:
0 , flags 1, 3 extents: [0, +8192) [1048576, +4096) [4194304, +4096) last
0 , flags 1, 3 extents:
0 , flags 1, 2 extents: [0, +8192) [1048576, +4096)
0 , flags 1, 1 extents: [1048576, +4096) last
0 , flags 1, 0 extents:
-1 EINVAL, flags 1, 0 extents:
-1 EBADR, flags 80000000, 0 extents:
position 77
not here: -1 ENOTTY
`;

/** Both runs work on a tmpfs of theirs, so that what a file system supports is the same. */
describe('file calls with good and bad input', () => {
  it.each(['sparse', 'copying', 'splicing', 'vectors', 'names', 'resolving', 'descriptors', 'fifos', 'asynchronous'])(
    '%s: as natively',
    async (name) => {
      const files = { calls: compile('file-calls.c', ['-O1', '-pthread', '-w']) };
      const { native, guest } = await runBoth({ argv: ['./calls', name], files, uid });
      expect(native.exitCode).toBe(0);
      expect(native.stdout).not.toBe('');
      expect(visible(guest)).toEqual(visible(native));
    },
  );
});

describe('rules of files', () => {
  it.each(['users', 'stamps', 'attributes', 'locks', 'sizes', 'watching'])('%s: as natively', async (name) => {
    const files = { rules: compile('file-rules.c', ['-O1', '-pthread', '-w']) };
    const { native, guest } = await runBoth({ argv: ['./rules', name], files, uid });
    expect(native.exitCode).toBe(0);
    expect(native.stdout).not.toBe('');
    expect(visible(guest)).toEqual(visible(native));
  });
});

describe('names', () => {
  it('lead where the tree says, however it has changed since they were last walked', async () => {
    const files = { names: compile('names-change.c', ['-O1', '-w']) };
    const { native, guest } = await runBoth({ argv: ['./names'], files, uid });
    expect(native.exitCode).toBe(0);
    expect(native.stdout.split('\n').length).toBeGreaterThan(1000);
    expect(visible(guest)).toEqual(visible(native));
  });
});

const CLOSED_DIRECTORY = `
import os, sys
def child():
    if os.fork() == 0:
        os.setresuid(1000, 1000, 1000)
        for name in ('/dev/mqueue/.', 'open/.', 'open/file'):
            try:
                os.stat(name)
                print(name, 'found')
            except OSError as error:
                print(name, error.strerror)
        sys.stdout.flush()
        os._exit(0)
    os.wait()
os.mkdir('open', 0o755)
open('open/file', 'w').close()
child()
for name in ('/dev/mqueue', 'open'): os.chmod(name, 0o700)
child()
for name in ('/dev/mqueue', 'open'): os.chmod(name, 0o711)
child()
`;

describe('a directory that was open to all and is closed', () => {
  it('stops those who walked through it before', async () => {
    const guest = await runGuest({ argv: ['python3', '-c', CLOSED_DIRECTORY], uid: 0 });
    expect(guest.stderr).toBe('');
    const names = ['/dev/mqueue/.', 'open/.', 'open/file'];
    const all = (outcome: string): string => names.map((name) => `${name} ${outcome}\n`).join('');
    expect(guest.stdout).toBe(all('found') + all('Permission denied') + all('found'));
  });
});

describe('leases', () => {
  it.each(['rules', 'breaks', 'waiting', 'interrupted'])('%s: as natively', async (name) => {
    const files = { leases: compile('leases.c', ['-O1', '-w']) };
    const { native, guest } = await runBoth({ argv: ['./leases', name], files, uid });
    expect(native.exitCode).toBe(0);
    expect(visible(guest)).toEqual(visible(native));
  });

  it('are taken from holders that let their time pass', async () => {
    const files = { leases: compile('leases.c', ['-O1', '-w']) };
    const guest = await runGuest({ argv: ['./leases', 'taken'], files, uid: 0 });
    expect(guest.stdout.split('\n')).toEqual([
      'time 45',
      'pwrite(setting, "1", 1, 0) = 1',
      'fcntl(fd, F_SETLEASE, F_WRLCK) = 0',
      'open("file", O_RDONLY): ok',
      'lease: read',
      'open("file", O_WRONLY): ok',
      'lease: none',
      '',
    ]);
  });
});

describe('asynchronous I/O', () => {
  it.each(['contexts', 'requests', 'polls'])('%s: as natively', async (name) => {
    const files = { aio: compile('aio.c', ['-O1', '-pthread', '-w']) };
    const { native, guest } = await runBoth({ argv: ['./aio', name], files, uid });
    expect(native.exitCode).toBe(0);
    expect(visible(guest)).toEqual(visible(native));
  });

  it('polls that end each other, and contexts that cannot be named any more, take neither stack nor memory', async () => {
    const guest = await runGuest({ argv: ['./aio'], files: { aio: compile('aio-storms.c', ['-O1', '-w']) } });
    expect(guest.log).toEqual([]);
    expect(guest.stdout).toBe('events: 20000\ncounted: 20001\nreused: 199 reserved: 21000\n');
  });

  it('is in the audit log, request by request', async () => {
    const files = { aio: compile('aio.c', ['-O1', '-pthread', '-w']) };
    const guest = await runGuest({ argv: ['./aio', 'requests'], files, auditLevel: 'full' });
    const submitted = guest.audit.filter(({ name }) => name === 'io_submit').map(({ arguments: args }) => args[2].text);
    expect(submitted[1]).toMatch(
      /^\[\{aio_lio_opcode=IOCB_CMD_PREAD, aio_fildes=3, .*aio_nbytes=5, aio_offset=7\}, .*IOCB_CMD_FSYNC/,
    );
    expect(submitted[1].match(/aio_fildes=3/g)).toHaveLength(5);
  });
});

const RESTRICTED = `
import ctypes, errno, os, struct
libc = ctypes.CDLL(None, use_errno=True)
def attempt(what, action):
    try:
        action()
        print(what, 'ok')
    except OSError as error:
        print(what, errno.errorcode[error.errno])
def look(who, pid):
    attempt(who + ' mem', lambda: open(f'/proc/{pid}/mem', 'rb').close())
    attempt(who + ' root', lambda: os.readlink(f'/proc/{pid}/root'))
    attempt(who + ' through cwd', lambda: os.stat(f'/proc/{pid}/cwd/.'))
    attempt(who + ' environ', lambda: open(f'/proc/{pid}/environ', 'rb').read())
    attempt(who + ' status', lambda: open(f'/proc/{pid}/status').read())
def child(action):
    pid = os.fork()
    if pid == 0:
        action()
        os.sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)
def restricted():
    # Making symbolic links: nothing that reading is about.
    ruleset = libc.syscall(444, struct.pack('Q', 1 << 12), 8, 0)
    libc.prctl(38, 1, 0, 0, 0)
    print('restricted', libc.syscall(446, ruleset, 0))
    look('parent', os.getppid())
    look('itself', os.getpid())
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(reader, 1)
        os._exit(0)
    look('child', pid)
    os.write(writer, b'x')
    os.waitpid(pid, 0)
os.sys.stdout.flush()
child(lambda: look('parent before', os.getppid()))
child(restricted)
`;

describe('landlock', () => {
  it.each([0, 1000])('shuts off /proc of processes that are not restricted as much, for user %d', async (user) => {
    const guest = await runGuest({ argv: ['python3', '-c', RESTRICTED], uid: user });
    expect(guest.stderr).toBe('');
    const seen = (who: string, outcome: string): string =>
      ['mem', 'root', 'through cwd', 'environ'].map((what) => `${who} ${what} ${outcome}\n`).join('');
    const all = (who: string, outcome: string): string => `${seen(who, outcome)}${who} status ok\n`;
    expect(guest.stdout).toBe(
      `${all('parent before', 'ok')}restricted 0\n${all('parent', 'EACCES')}${all('itself', 'ok')}${all('child', 'ok')}`,
    );
  });

  it.for(['refusals', 'files', 'layers'])('%s: as natively', async (name, { skip }) => {
    const files = { landlock: compile('landlock.c', ['-O1', '-pthread', '-w']) };
    const { native, guest } = await runBoth({ argv: ['./landlock', name], files, uid });
    skip(native.stdout.startsWith('no landlock'), 'this kernel has none to compare with');
    expect(native.exitCode).toBe(0);
    expect(visible(guest)).toEqual(visible(native));
  });

  it('keeps a restricted process from looking into others, root too', async () => {
    const program = `
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
other = os.fork()
if other == 0:
    os.execvp('sleep', ['sleep', 'infinity'])
attr = struct.pack('<Q', 1)
ruleset = libc.syscall(444, attr, 8, 0)
def look():
    local = ctypes.create_string_buffer(8)
    vector = struct.pack('<QQ', ctypes.addressof(local), 8)
    here = struct.pack('<QQ', 0x10, 8)
    libc.syscall(310, other, vector, 1, here, 1, 0)
    return os.strerror(ctypes.get_errno())
print(look())
libc.syscall(446, ruleset, 0)
print(look())
os.kill(other, 9)
`;
    const guest = await runGuest({ argv: ['python3', '-c', program], uid: 0 });
    expect(guest.stdout).toBe('Bad address\nOperation not permitted\n');
  });
});

describe('name_to_handle_at', () => {
  it('names files, and mounts as statx and /proc do', async () => {
    const guest = await runGuest({ argv: ['./handles'], files: { handles: compile('file-handles.c') } });
    expect(guest.stdout).toBe(HANDLES);
  });
});

describe('FS_IOC_FIEMAP', () => {
  it('tells where the data of a sparse file is', async () => {
    const guest = await runGuest({ argv: ['./fiemap'], files: { fiemap: compile('fiemap.c') } });
    expect(guest.stdout).toBe(EXTENTS);
  });
});
