import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compile, runGuest, useGuests } from '../guest/harness.js';

useGuests();

/** A file of the host that no sandbox may see. */
let secretDirectory = '';
let secret = '';
beforeAll(() => {
  secretDirectory = mkdtempSync(join(tmpdir(), 'cordon-secret-'));
  secret = join(secretDirectory, 'secret');
  writeFileSync(secret, 'the-secret', { mode: 0o644 });
});
afterAll(() => rmSync(secretDirectory, { recursive: true, force: true }));

const shell = (script: string, uid = 1000) => runGuest({ argv: ['/bin/sh', '-c', script], uid });

describe('no path leads to a host file outside the image', () => {
  it.each([
    ['by its name', () => `cat ${secret}`],
    ['through /proc/self/root', () => `cat /proc/self/root${secret}`],
    ['through /proc/1/root', () => `cat /proc/1/root${secret}`],
    ['through .. of the image', () => `cat /usr/../../../../..${secret}; cat /usr/lib/../../..${secret}`],
    ['through a symbolic link', () => `ln -s ${secret} l; cat l; ln -s / r; cat r${secret}`],
    ['through a link in /tmp and cwd', () => `cd /usr; cat ../..${secret}`],
    ['through /proc/self/fd of a directory', () => `exec 9</usr; cat /proc/self/fd/9/..${secret}`],
    ['through /proc/self/cwd', () => `cd /usr/lib; cat /proc/self/cwd/../..${secret}`],
  ])('%s', async (_way, script) => {
    for (const uid of [1000, 0]) {
      const guest = await shell(script(), uid);
      expect(guest.stdout).not.toContain('the-secret');
      expect(guest.stderr).toMatch(/No such file|Not a directory|Permission denied|Too many/);
    }
  });

  it('the host’s password file and keys are not there', async () => {
    const guest = await shell(
      'cat /etc/shadow /etc/ssh/*key* /root/.ssh/* /proc/1/environ; echo; wc -l < /etc/passwd',
      0,
    );
    expect(guest.stdout).not.toMatch(/root:[^:]*\$|PRIVATE KEY|npm_|CORDON/);
  });

  it('the image cannot be written: changes stay in the sandbox', async () => {
    const first = await shell(
      'echo changed > /usr/bin/true && cat /usr/bin/true; rm /usr/bin/false; ls /usr/bin/false',
      0,
    );
    expect(first.stdout).toBe('changed\n');
    expect(first.stderr).toContain("cannot access '/usr/bin/false'");
    const second = await shell('/usr/bin/true && echo whole; ls /usr/bin/false', 0);
    expect(second.stdout).toBe('whole\n/usr/bin/false\n');
  });
});

describe('no call reaches the host', () => {
  it('int 0x80, x32 numbers, sysenter, vsyscalls and unknown numbers', async () => {
    const guest = await runGuest({
      argv: ['./entry'],
      files: { entry: compile('entry-points.c', ['-O1', '-static']) },
      auditLevel: 'full',
    });
    expect(guest.stdout).toMatch(/^int80: (signal|-38)$/m);
    expect(guest.stdout).toContain('x32: -1 ENOSYS\nunknown: -1 ENOSYS\n');
    expect(guest.stdout).toMatch(/^vsyscall: (signal|time)$/m);
    expect(guest.stdout).toContain('sysenter: signal\n');
    expect(guest.audit.some(({ number, error }) => number === 1999 && error === 'ENOSYS')).toBe(true);
  });

  it.each([
    ['io_uring_setup', 425, 'ENOSYS'],
    ['userfaultfd', 323, 'ENOSYS'],
    ['bpf', 321, 'EPERM'],
    ['init_module', 175, 'EPERM'],
    ['kexec_load', 246, 'EPERM'],
    ['reboot', 169, 'EPERM'],
    ['mount', 165, 'EPERM'],
    ['iopl', 172, 'EPERM'],
    ['clock_settime', 227, 'EPERM'],
  ])('%s is refused, for root too', async (_name, number, error) => {
    const source = `import ctypes,errno\nl=ctypes.CDLL(None,use_errno=True)\nr=l.syscall(${number},0,0,0,0,0)\nprint(r, errno.errorcode.get(ctypes.get_errno()))`;
    const guest = await runGuest({ argv: ['/usr/bin/python3', '-c', source], uid: 0 });
    expect(guest.stdout).toBe(`-1 ${error}\n`);
  });

  it('keys are the sandbox’s own', async () => {
    const name = `cordon-escape-${process.pid}`;
    const source = `import ctypes\nprint(ctypes.CDLL(None).syscall(248, b'user', b'${name}', b'x', 1, -4) > 0)\nprint(open('/proc/sys/kernel/keys/maxkeys').read())`;
    const guest = await runGuest({ argv: ['/usr/bin/python3', '-c', source], uid: 0 });
    expect(guest.stdout).toBe('True\n200\n\n');
    // Root of the host sees all keys here, others their own; a kernel may be built without.
    if (existsSync('/proc/keys')) expect(readFileSync('/proc/keys', 'latin1')).not.toContain(name);
  });

  it('signals reach only the sandbox’s own processes', async () => {
    const guest = await shell(`kill -0 ${process.pid}; echo $?; kill -9 -1; echo still here`, 0);
    expect(guest.stdout).toContain('1\n');
    expect(() => process.kill(process.pid, 0)).not.toThrow();
  });

  it('clone flags that ask for namespaces are refused', async () => {
    const guest = await shell('unshare -Ur true; echo $?; unshare -n true; echo $?', 0);
    expect(guest.stdout).toBe('1\n1\n');
  });

  it('setuid binaries of the image give nothing', async () => {
    const guest = await shell('su -c id root </dev/null; id -u');
    expect(guest.stdout).toBe('1000\n');
  });

  it('memory of other processes is not reachable through /proc/pid/mem', async () => {
    const guest = await shell(
      'dd if=/proc/1/mem bs=1 skip=0 count=1 2>&1 | tail -1; echo x | dd of=/proc/self/mem bs=1 seek=4096 conv=notrunc 2>&1 | head -1',
    );
    expect(guest.report.reason).toBe('exited');
    expect(guest.stdout).toMatch(/error|denied/i);
  });
});

describe('after each attack', () => {
  it('the next run is as good as new', async () => {
    const guest = await shell('echo fine');
    expect(guest.stdout).toBe('fine\n');
  });
});
