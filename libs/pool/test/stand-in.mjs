/**
 * A stand-in for the kernel, for tests of everything around it: `argv[0]` of the boot message names what the child does.
 * It speaks frames with blocking reads and writes; nothing else of Node works in a forked child.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, openSync, readSync, writeSync } from 'node:fs';

let channel = 3;
export const Frame = { Boot: 1, Stdin: 2, Kill: 3, Started: 65, Stdout: 66, Stderr: 67, End: 69, Log: 70 };

function read(length) {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const got = readSync(channel, bytes, done, length - done, null);
    if (got === 0) throw new Error('the channel ended');
    done += got;
  }
  return bytes;
}

function readFrame() {
  const header = read(5);
  return { type: header[4], payload: read(header.readUInt32LE(0)) };
}

export function send(type, payload = Buffer.alloc(0)) {
  const bytes = Buffer.from(payload);
  const header = Buffer.alloc(5);
  header.writeUInt32LE(bytes.length);
  header[4] = type;
  const frame = Buffer.concat([header, bytes]);
  for (let done = 0; done < frame.length; ) done += writeSync(channel, frame, done);
}

const usage = { wallMs: 1, cpuMs: 1, memoryPeakBytes: 0, syscalls: 0 };

export function end(more = {}) {
  send(
    Frame.End,
    JSON.stringify({
      reason: 'exited',
      exitCode: 0,
      signal: null,
      detail: null,
      usage,
      auditTruncated: false,
      platform: 'stand-in',
      ...more,
    }),
  );
}

/** Allocation, garbage collection and tier-up for a while; returns a checksum everybody can compute. */
export function work(milliseconds) {
  const until = Date.now() + milliseconds;
  let sum = 0;
  let rounds = 0;
  do {
    const lists = [];
    for (let i = 0; i < 2_000; i++) lists.push({ i, text: `x${i}`, array: new Array(50).fill(i) });
    sum = lists.reduce((total, { i, text, array }) => (total + i * text.length + array[49]) % 1_000_003, 7);
    const hot = (x) => Math.imul(x, 31) ^ (x >>> 3);
    for (let i = 0; i < 20_000; i++) sum = hot(sum + i) >>> 0;
    if (++rounds % 50 === 0) globalThis.gc();
  } while (Date.now() < until);
  return sum;
}

/** CLOCK_MONOTONIC, in ns: the first JavaScript after the fork, and after the boot message. */
const times = { forked: 0n, woken: 0n };

export const programs = {
  clock: () => {
    send(Frame.Stdout, `${times.forked} ${times.woken}`);
    end();
  },
  hello: () => {
    send(Frame.Stdout, 'hello\n');
    end();
  },
  echo: () => {
    for (;;) {
      const { type, payload } = readFrame();
      if (type !== Frame.Stdin) continue;
      if (payload.length === 0) break;
      send(Frame.Stdout, payload);
    }
    end();
  },
  work: ({ argv }) => {
    send(Frame.Stdout, String(work(Number(argv[1]))));
    end();
  },
  random: () => {
    send(Frame.Stdout, JSON.stringify([Math.random(), Math.random(), process.pid]));
    end();
  },
  flood: ({ argv }) => {
    const block = Buffer.alloc(65_536, 'y');
    for (let sent = 0; sent < Number(argv[1]); sent += block.length) send(Frame.Stdout, block);
    end();
  },
  throw: () => {
    throw new Error('nobody catches this');
  },
  exit: () => 3,
  'out-of-heap': () => {
    const kept = [];
    for (;;) kept.push(new Array(100_000).fill({}));
  },
  'stack-overflow': () => {
    const deeper = () => 1 + deeper();
    try {
      deeper();
    } catch (error) {
      send(Frame.Stdout, error.constructor.name);
    }
    end();
  },
  hang: () => {
    for (;;);
  },
  'until-killed': () => {
    for (;;) {
      const { type, payload } = readFrame();
      if (type === Frame.Kill) return end(JSON.parse(payload.toString()));
    }
  },
  lingers: () => {
    end();
    for (;;);
  },
  garbage: () => {
    writeSync(channel, Buffer.from('ffffffff42', 'hex'));
    for (;;);
  },
  'false-report': () => {
    send(Frame.End, '{"reason":"I am root","usage":7}');
  },
  log: () => {
    send(Frame.Log, 'a line for the operator');
    throw new Error('after the line');
  },
  attack: ({ argv }) => {
    try {
      attacks[argv[1]]();
      send(Frame.Stdout, 'done');
    } catch (error) {
      send(Frame.Stdout, error.code ?? error.message);
    }
    end();
  },
  boot: (message) => {
    send(Frame.Stdout, JSON.stringify(message));
    end();
  },
};

/** What a Sentry must not be able to do; each throws an Error with a code, or is killed. */
const attacks = {
  open: () => openSync('/etc/passwd'),
  chmod: () => chmodSync('/', 0o777),
  fork: () => spawnSync('/bin/true'),
  exec: () => process.execve('/bin/true', ['true'], {}),
  socket: () => process.binding('tcp_wrap') && new (process.binding('tcp_wrap').TCP)(0).bind('127.0.0.1', 0),
  kill: () => process.kill(4, 15),
  setuid: () => process.setuid(process.getuid() === 0 ? 1 : 0),
};

export class Sentry {
  warm() {
    work(50);
  }

  prepare(fd) {
    channel = fd;
    times.forked = process.hrtime.bigint();
  }

  run() {
    const header = read(5);
    times.woken = process.hrtime.bigint();
    const boot = read(header.readUInt32LE(0));
    const jsonLength = boot.readUInt32LE(0);
    const message = JSON.parse(boot.toString('utf8', 4, 4 + jsonLength));
    message.contents = boot.toString('latin1', 4 + jsonLength);
    send(Frame.Started);
    return programs[message.argv[0]](message) ?? 0;
  }
}
