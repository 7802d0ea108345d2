import { AuditDecoder, decodeRecords } from '@cordon/sentry/audit/codec';
import { AuditRecorder, type RecordedCall } from '@cordon/sentry/audit/recorder';
import { renderStrace } from '@cordon/sentry/audit/strace';
import type { Task } from '@cordon/sentry/kernel/types';
import { RESUMED_AT, TRAPPED_AT } from '@cordon/sentry/platform/platform';
import { describe, expect, it } from 'vitest';

/** A task whose memory is 64 KiB at address 0x10000. */
const BASE = 0x10000;
function fakeTask(comm = 'cat', tid = 7) {
  const bytes = new Uint8Array(65536);
  const data = new DataView(bytes.buffer);
  const copies = new Map<number, string>();
  const args = new Float64Array(6);
  const inside = (address: number, length: number) => address >= BASE && address + length <= BASE + bytes.length;
  const memory = {
    copyIn(address: number, destination: Uint8Array, offset: number, length: number) {
      if (!(address >= BASE && address < BASE + bytes.length)) return 0;
      const got = Math.min(length, BASE + bytes.length - address);
      destination.set(bytes.subarray(address - BASE, address - BASE + got), offset);
      return got;
    },
    copyInAt(at: Float64Array, index: number, destination: Uint8Array, offset: number, length: number) {
      return this.copyIn(at[index], destination, offset, length);
    },
    words: new Int32Array(bytes.buffer),
    wordsAt: (address: number, length: number) =>
      address % 4 === 0 && inside(address, length) ? (address - BASE) / 4 : -1,
    wordsAgain(address: number, length: number) {
      return this.wordsAt(address, length);
    },
    forgetWords() {},
    readU32: (address: number) => (inside(address, 4) ? data.getUint32(address - BASE, true) : Number.NaN),
    readU64: (address: number) => (inside(address, 8) ? Number(data.getBigInt64(address - BASE, true)) : Number.NaN),
  };
  const task = {
    tid,
    comm,
    group: { pid: 7 },
    context: { times: new Float64Array(2) },
    memory,
    args,
    pathArgument(index: number) {
      const address = args[index];
      if (!inside(address, 1)) return -14;
      let end = address - BASE;
      while (bytes[end] !== 0) end++;
      const text = Buffer.from(bytes.subarray(address - BASE, end)).toString('latin1');
      copies.set(index, text);
      return text;
    },
    argumentCopy: (index: number) => copies.get(index) ?? null,
  } as unknown as Task;
  const put = (address: number, text: string) => bytes.set(Buffer.from(text, 'latin1'), address - BASE);
  return { task, bytes, data, put };
}

const CALLS: RecordedCall[] = [];
CALLS[0] = { name: 'read', signature: 'fd:fd buf:buffer-out count:size' };
CALLS[1] = { name: 'write', signature: 'fd:fd buf:buffer-in count:size' };
CALLS[9] = {
  name: 'mmap',
  signature: 'addr:address length:size prot:mmap-prot flags:mmap-flags fd:fd offset:hex',
  result: 'hex',
};
CALLS[20] = { name: 'writev', signature: 'fd:fd iov:iovec-in iovcnt:int' };
CALLS[42] = { name: 'connect', signature: 'fd:fd addr:sockaddr-in addrlen:int', security: true };
CALLS[59] = { name: 'execve', signature: 'path:path argv:string-array-in envp:address', security: true };
CALLS[82] = { name: 'rename', signature: 'from:path to:path', security: true };
CALLS[231] = { name: 'exit_group', signature: 'status:int', result: 'none' };
CALLS[257] = { name: 'openat', signature: 'dirfd:dirfd path:path flags:open-flags mode:mode', security: true };

function record(
  run: (recorder: AuditRecorder) => void,
  options: { level?: 'full' | 'security'; auditBytes?: number } = {},
) {
  const batches: Uint8Array[] = [];
  let now = 1000;
  const recorder = new AuditRecorder({
    level: options.level ?? 'full',
    auditBytes: options.auditBytes ?? 1 << 20,
    startedAt: 1000,
    now: () => {
      now += 500;
      return now;
    },
    calls: CALLS,
    names: [],
    flush: (bytes) => batches.push(bytes.slice()),
  });
  run(recorder);
  recorder.flush();
  const decoder = new AuditDecoder();
  const records = batches.flatMap((batch) => decoder.decode(batch));
  return { records, decoder, bytes: Buffer.concat(batches), recorder };
}

function call(recorder: AuditRecorder, task: Task, number: number, args: number[], result: number, during = () => {}) {
  const six = (task as unknown as { args: Float64Array }).args.fill(0);
  six.set(args);
  recorder.enter(task, number, six);
  during();
  recorder.exit(task, number, six, result);
}

const AT_FDCWD = -100;

describe('audit recorder and decoder', () => {
  it('shows calls as strace does', () => {
    const { task, put, data } = fakeTask();
    put(BASE, '/etc/passwd\0');
    put(BASE + 0x100, 'hello\n\x01\x7f"');
    put(BASE + 0x400, '\x02\x00\x00\x50\x7f\x00\x00\x01\0\0\0\0\0\0\0\0');
    data.setBigUint64(0x200, BigInt(BASE + 0x100), true);
    data.setBigUint64(0x208, 5n, true);
    put(BASE + 0x300, 'ls\0');
    put(BASE + 0x310, '-l\0');
    data.setBigUint64(0x320, BigInt(BASE + 0x300), true);
    data.setBigUint64(0x328, BigInt(BASE + 0x310), true);
    const { records } = record((recorder) => {
      call(recorder, task, 257, [AT_FDCWD, BASE, 0o2000000, 0], 3);
      call(recorder, task, 257, [AT_FDCWD, BASE, 0o1101, 0o644], -2);
      call(recorder, task, 0, [3, BASE + 0x500, 4096], 6, () => put(BASE + 0x500, 'root:x'));
      call(recorder, task, 1, [1, BASE + 0x100, 9], 9);
      call(recorder, task, 1, [1, 0xdead0000, 9], -14);
      call(recorder, task, 9, [0, 8192, 3, 0x22, -1, 0], 0x7f32fa62c000);
      call(recorder, task, 20, [1, BASE + 0x200, 1], 5);
      call(recorder, task, 42, [3, BASE + 0x400, 16], -111);
      call(recorder, task, 59, [BASE, BASE + 0x320, 0], 0);
      call(recorder, task, 0x1c1, [1], -38);
      call(recorder, task, 231, [0], 0);
    });
    expect(records.map((entry) => renderStrace(entry).replace(/ +=/, ' ='))).toEqual([
      'openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3',
      'openat(AT_FDCWD, "/etc/passwd", O_WRONLY|O_CREAT|O_TRUNC, 0644) = -1 ENOENT (No such file or directory)',
      'read(3, "root:x", 4096) = 6',
      'write(1, "hello\\n\\1\\177\\"", 9) = 9',
      'write(1, 0xdead0000, 9) = -1 EFAULT (Bad address)',
      'mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f32fa62c000',
      'writev(1, [{iov_base="hello", iov_len=5}], 1) = 5',
      'connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 ECONNREFUSED (Connection refused)',
      'execve("/etc/passwd", ["ls", "-l"], NULL) = 0',
      'syscall_0x1c1(0x1, 0, 0, 0, 0, 0) = -1 ENOSYS (Function not implemented)',
      'exit_group(0) = ?',
    ]);
    expect(records.map((entry) => entry.sequence)).toEqual(records.map((_, index) => index));
    expect(records[0]).toMatchObject({
      pid: 7,
      tid: 7,
      comm: 'cat',
      number: 257,
      result: 3,
      error: null,
      start: 500,
      duration: 500,
    });
    expect(records[10].result).toBeNull();
  });

  it('keeps calls apart that are under way at once', () => {
    const one = fakeTask('one', 1);
    const two = fakeTask('two', 2);
    one.put(BASE, 'first');
    two.put(BASE, 'second');
    const { records } = record((recorder) => {
      call(recorder, one.task, 1, [1, BASE, 5], 5, () => call(recorder, two.task, 1, [1, BASE, 6], 6));
    });
    expect(records.map((entry) => [entry.comm, entry.arguments[1].text])).toEqual([
      ['two', '"second"'],
      ['one', '"first"'],
    ]);
  });

  it('begins calls at their trap and ends them when their guest goes on, where the platform tells', () => {
    const one = fakeTask('one', 1);
    const two = fakeTask('two', 2);
    const times = new Float64Array(2);
    Object.assign(one.task, { context: { times } });
    one.put(BASE, 'first');
    const none = new Float64Array(6);
    const { records } = record((recorder) => {
      const answered = (trapped: number, resumed: number, between = () => {}) => {
        times[TRAPPED_AT] = trapped;
        recorder.enter(one.task, 1, Float64Array.of(1, BASE, 5, 0, 0, 0));
        between();
        recorder.exit(one.task, 1, Float64Array.of(1, BASE, 5, 0, 0, 0), 5, true);
        times[RESUMED_AT] = resumed;
      };
      // It does not go on: its end is read from the clock.
      times[TRAPPED_AT] = 1_100;
      recorder.enter(one.task, 231, none);
      recorder.exit(one.task, 231, none, 0, false);
      answered(1_700, 1_730);
      recorder.settle();
      // Nobody settles: the next call does.
      answered(2_000, 9_000_002_000);
      // Another's call begins and ends while this one waits.
      answered(9_000_003_000, 9_000_003_040, () => call(recorder, two.task, 231, [0], 0));
      recorder.settle();
    });
    expect(records.map(({ comm, start, duration }) => [comm, start, duration])).toEqual([
      ['one', 100, 400],
      ['one', 700, 30],
      ['one', 1_000, 9e9],
      ['two', 1_000, 500],
      ['one', 9_000_002_000, 40],
    ]);
    expect(records[4].arguments[1].text).toBe('"first"');
  });

  it('keeps results of any size', () => {
    const { task } = fakeTask();
    const results = [0, -1, -4095, 2 ** 31, 2 ** 32 + 5, 2 ** 47 - 1, -(2 ** 47), 2 ** 47, 2 ** 62, -(2 ** 62)];
    const { records } = record((recorder) => {
      for (const result of results) call(recorder, task, 231, [0x7fff_ffff_f000], result);
    });
    expect(records.map(({ result }) => result ?? 0)).toEqual(results);
  });

  it('tells tasks and their names apart, however many there are', () => {
    const tasks = Array.from({ length: 1500 }, (_, index) => fakeTask(`t${index}`, index + 1).task);
    const waiting = fakeTask('waits', 5000);
    waiting.put(BASE, 'kept');
    const { records } = record((recorder) => {
      call(recorder, waiting.task, 1, [1, BASE, 4], 4, () => {
        for (const task of tasks) call(recorder, task, 231, [0], 0);
        waiting.task.comm = 'renamed';
      });
      call(recorder, waiting.task, 231, [0], 0);
    });
    expect(records.map(({ tid, comm }) => [tid, comm])).toEqual([
      ...tasks.map(({ tid, comm }) => [tid, comm]),
      [5000, 'waits'],
      [5000, 'renamed'],
    ]);
    expect(records[1500].arguments[1].text).toBe('"kept"');
  });

  it('copies a path once, before the handler runs', () => {
    const { task, put } = fakeTask();
    put(BASE, '/a\0');
    const { records } = record((recorder) => call(recorder, task, 257, [0, BASE, 0], 3, () => put(BASE, '/b\0')));
    expect(records[0].arguments[1].text).toBe('"/a"');
    expect(task.argumentCopy(1)).toBe('/a');
  });

  it('sends a path once, and shows it in each call that names it', () => {
    const { task, put } = fakeTask();
    put(BASE, '/usr/lib/x86_64-linux-gnu/libc.so.6\0');
    const { records, bytes } = record((recorder) => {
      for (let count = 0; count < 50; count++) call(recorder, task, 257, [AT_FDCWD, BASE, 0], 3);
    });
    expect(bytes.toString('latin1').split('libc.so.6')).toHaveLength(2);
    expect(new Set(records.map((entry) => entry.arguments[1].text))).toEqual(
      new Set(['"/usr/lib/x86_64-linux-gnu/libc.so.6"']),
    );
    expect(records).toHaveLength(50);
  });

  it('tells paths apart, however many and long they are, and over a call that waits', () => {
    const { task, put } = fakeTask();
    const waiting = fakeTask('waits', 8);
    waiting.put(BASE, '/waited/for\0');
    const paths = Array.from({ length: 1500 }, (_, index) => `/tmp/${'d'.repeat(index % 130)}/${index}`);
    const { records } = record((recorder) => {
      call(recorder, waiting.task, 257, [AT_FDCWD, BASE, 0], 3, () => {
        for (let index = 0; index < paths.length; index += 2) {
          put(BASE, `${paths[index]}\0`);
          put(BASE + 0x200, `${paths[index + 1]}\0`);
          call(recorder, task, 82, [BASE, BASE + 0x200], 0);
        }
      });
    });
    const shown = records.flatMap((entry) => entry.arguments.map(({ text }) => text));
    expect(shown.slice(0, 1500)).toEqual(paths.map((path) => `"${path}"`));
    expect(records.at(-1)?.arguments[1].text).toBe('"/waited/for"');
  });

  it('shows both paths of a call whose paths want the same id', () => {
    const { task, put } = fakeTask();
    // The end and the length choose the id.
    put(BASE, '/one/directory/file\0');
    put(BASE + 0x100, '/two/directory/file\0');
    const { records } = record((recorder) => {
      for (let count = 0; count < 3; count++) {
        call(recorder, task, 82, [BASE, BASE + 0x100], 0);
        call(recorder, task, 82, [BASE + 0x100, BASE], 0);
      }
    });
    const [there, back] = ['"/one/directory/file"', '"/two/directory/file"'];
    expect(records.map((entry) => entry.arguments.map(({ text }) => text))).toEqual(
      Array.from({ length: 3 }, () => [
        [there, back],
        [back, there],
      ]).flat(),
    );
  });

  it('keeps within the byte budget wherever that ends, and shows all paths before', () => {
    const { task, put } = fakeTask();
    for (let auditBytes = 0; auditBytes < 800; auditBytes += 8) {
      const { records, decoder, bytes } = record(
        (recorder) => {
          for (let count = 0; count < 20; count++) {
            put(BASE, `/tmp/${count % 3}\0`);
            call(recorder, task, 257, [AT_FDCWD, BASE, 0], 3);
          }
        },
        { auditBytes },
      );
      expect(bytes.length).toBeLessThanOrEqual(Math.max(auditBytes, 24));
      expect(decoder.malformed).toBeNull();
      expect(records.at(-1)?.name).toBe('audit_truncated');
      expect(records.slice(0, -1).map((entry) => entry.arguments[1].text)).toEqual(
        records.slice(0, -1).map((_, count) => `"/tmp/${count % 3}"`),
      );
    }
  });

  it('tells the version of the format, and reads no other', () => {
    const { task } = fakeTask();
    const { bytes } = record((recorder) => call(recorder, task, 231, [0], 0));
    expect(bytes.readUInt16LE(2)).toBe(6);
    bytes.writeUInt32LE(99, 4);
    expect(decodeRecords(bytes).map(({ name, arguments: [reason] }) => [name, reason.text])).toEqual([
      ['audit_malformed', '"the format has version 99"'],
    ]);
  });

  it('shows what it has shown before only for the same bytes', () => {
    const { task, put } = fakeTask();
    const { records } = record((recorder) => {
      for (let count = 0; count < 600; count++) {
        put(BASE, `n${count % 150}`.padEnd(8));
        call(recorder, task, 1, [count % 5, BASE + (count % 2) * 0xdead0000, 8], 8);
      }
    });
    expect(records.map((entry) => entry.arguments.map(({ text }) => text))).toEqual(
      Array.from({ length: 600 }, (_, count) => [
        `${count % 5}`,
        count % 2 ? '0xdeae0000' : `"${`n${count % 150}`.padEnd(8)}"`,
        '8',
      ]),
    );
  });

  it('records at level security what is relevant, refused or decided about', () => {
    const { task } = fakeTask();
    const { records } = record(
      (recorder) => {
        call(recorder, task, 0, [3, BASE, 1], 1);
        call(recorder, task, 257, [0, BASE, 0], 3);
        call(recorder, task, 257, [0, BASE, 0o1], 3);
        call(recorder, task, 42, [0, BASE, 16], 0);
        call(recorder, task, 0x200, [0], -38);
        const args = new Float64Array(6);
        recorder.enter(task, 0, args);
        recorder.decided(task, 0, args, 'deny');
        recorder.exit(task, 0, args, -1);
      },
      { level: 'security' },
    );
    expect(records.map((entry) => [entry.name, entry.decision])).toEqual([
      ['openat', 'allow'],
      ['connect', 'allow'],
      ['syscall_0x200', 'allow'],
      ['read', 'deny'],
    ]);
  });

  it('says so when the byte budget is used up, and keeps within it', () => {
    const { task } = fakeTask();
    const { records, decoder, bytes, recorder } = record(
      (running) => {
        for (let count = 0; count < 100; count++) call(running, task, 0, [3, BASE, 1], 1);
      },
      { auditBytes: 1000 },
    );
    expect(bytes.length).toBeLessThanOrEqual(1000);
    expect(recorder.truncated && decoder.truncated).toBe(true);
    expect(records.at(-1)).toMatchObject({ name: 'audit_truncated', sequence: records.length - 1 });
    expect(records.filter((entry) => entry.name === 'audit_truncated')).toHaveLength(1);
  });

  it('passes records on whole when batches fill', () => {
    const { task, put } = fakeTask();
    put(BASE, 'x'.repeat(64));
    const { records } = record(
      (recorder) => {
        for (let count = 0; count < 5000; count++) call(recorder, task, 1, [count, BASE, 64], 64);
      },
      { auditBytes: 1 << 24 },
    );
    expect(records).toHaveLength(5000);
    expect(records[4999].arguments[0].text).toBe('4999');
  });

  it('survives any bytes', () => {
    const { task, put } = fakeTask();
    put(BASE, '/etc/passwd\0');
    const { bytes } = record((recorder) => {
      for (let count = 0; count < 20; count++) {
        call(recorder, task, 257, [AT_FDCWD, BASE, 0, 0], 3);
        call(recorder, task, 20, [1, BASE, 1], 5);
        call(recorder, task, 42, [3, BASE, 16], 0);
      }
    });
    let seed = 12345;
    const random = (limit: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * limit);
    };
    let malformed = 0;
    for (let round = 0; round < 3000; round++) {
      const copy = Uint8Array.from(bytes.subarray(0, random(bytes.length)));
      for (let flips = random(12); flips > 0 && copy.length; flips--) copy[random(copy.length)] = random(256);
      for (const entry of decodeRecords(copy)) {
        const line = renderStrace(entry, { pid: true, timestamps: true, duration: true });
        expect(line).toMatch(/^[\x20-\x7e]*$/);
        if (entry.name === 'audit_malformed') malformed++;
      }
    }
    expect(malformed).toBeGreaterThan(0);
  });
});
