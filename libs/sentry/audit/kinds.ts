/**
 * Argument kinds: for each, what the recorder copies of the argument's memory and how the decoder shows it. A kind of a
 * row's signature is a base name from here, with `-in` (default) or `-out` for those that have memory.
 */
import { AIO_SUBMIT_MAX } from '../abi/aio.js';
import { ENUM_TABLES, FLAG_TABLES, FUTEX_OPERATIONS, SIGNALS, SOCKET_TYPES, ZERO_NAMES } from './constants.js';
import { IOCB_SHOWN_BYTES, renderIocbs } from './iocbs.js';
import type { Direction, Parameter, Shape } from './signature.js';
import { renderSockaddr } from './sockaddr.js';
import { byValue, flags, hex, quote, signed32, unsigned, unsigned32 } from './text.js';

/** What a renderer sees, and all that it may depend on: what is seen again is shown as before (`Renderings`). */
export interface Rendering {
  readonly value: number;
  /** Bytes the recorder copied, or null: pointer NULL or wild, call failed before it wrote, or nothing recorded. */
  readonly bytes: Uint8Array | null;
  /** There was more than was copied. */
  readonly cut: boolean;
}

export interface Kind {
  readonly shape?: Shape;
  readonly render: (rendering: Rendering) => string;
}

const AT_FDCWD = -100;
/** Of struct stat only st_mode and what follows, up to st_size, is shown. */
const STAT_MODE_OFFSET = 24;

export const renderSignal = (value: number): string => {
  const signal = signed32(value);
  if (signal >= 32 && signal <= 64) return signal === 32 ? 'SIGRT_0' : `SIGRT_${signal - 32}`;
  return byValue(SIGNALS, signal) ?? String(signal);
};

const address = (value: number): string => (value === 0 ? 'NULL' : hex(value));
const octal = (value: number): string => {
  const mode = unsigned32(value);
  return mode === 0 ? '0' : `0${mode.toString(8).padStart(3, '0')}`;
};

/** Kinds that are only a number. */
const SCALARS: Readonly<Record<string, (value: number) => string>> = {
  int: (value) => String(signed32(value)),
  uint: (value) => String(unsigned32(value)),
  long: (value) => String(Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n),
  offset: (value) => String(Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n),
  size: (value) => (Number.isSafeInteger(value) && value > 0 ? String(value) : String(unsigned(value))),
  hex,
  address,
  fd: (value) => String(signed32(value)),
  pid: (value) => String(signed32(value)),
  uid: (value) => String(signed32(value)),
  gid: (value) => String(signed32(value)),
  dirfd: (value) => (signed32(value) === AT_FDCWD ? 'AT_FDCWD' : String(signed32(value))),
  mode: octal,
  signal: renderSignal,
  device: (value) => `makedev(${hex((unsigned32(value) >>> 8) & 0xfff)}, ${hex(value & 0xff)})`,
  'open-flags': (value) => {
    const access = ['O_RDONLY', 'O_WRONLY', 'O_RDWR', 'O_ACCMODE'][value & 3];
    const rest = unsigned32(value) & ~3;
    return rest ? `${access}|${flags(FLAG_TABLES['open-flags'], rest)}` : access;
  },
  'socket-type': (value) => {
    const type = unsigned32(value);
    const name = byValue(SOCKET_TYPES, type & 0xf) ?? String(type & 0xf);
    const rest = type & ~0xf;
    return rest ? `${name}|${flags(FLAG_TABLES['accept-flags'], rest)}` : name;
  },
  'futex-op': (value) => {
    const operation = unsigned32(value);
    const base = operation & 0x7f;
    const name = byValue(FUTEX_OPERATIONS, base) ?? String(base);
    return `${name}${operation & 0x80 ? '_PRIVATE' : ''}${operation & 0x100 ? '|FUTEX_CLOCK_REALTIME' : ''}`;
  },
  'clone-flags': (value) => {
    const bits = unsigned(value);
    const signal = Number(bits & 0xffn);
    const names = flags(FLAG_TABLES['clone-flags'], value - signal, '');
    const exit = signal ? renderSignal(signal) : '';
    return [names, exit].filter((part) => part !== '').join('|') || '0';
  },
};

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const i64 = (data: DataView, offset: number): string => String(data.getBigInt64(offset, true));
const u64 = (data: DataView, offset: number): string => String(data.getBigUint64(offset, true));

/** `size` bytes from `offset` on are copied. */
function struct(size: number, render: (data: DataView, rendering: Rendering) => string, offset = 0): Kind {
  return {
    shape: { form: 'struct', size, offset },
    render: (rendering) =>
      rendering.bytes && rendering.bytes.length >= size
        ? render(view(rendering.bytes), rendering)
        : address(rendering.value),
  };
}

function array(size: number, most: number, render: (data: DataView, offset: number) => string): Kind {
  return {
    shape: { form: 'array', size, most },
    render: ({ bytes, cut, value }) => {
      if (!bytes) return address(value);
      const data = view(bytes);
      const parts: string[] = [];
      for (let offset = 0; offset + size <= bytes.length; offset += size) parts.push(render(data, offset));
      return `[${parts.join(', ')}${cut ? ', ...' : ''}]`;
    },
  };
}

const timespec = (data: DataView, offset: number): string =>
  `{tv_sec=${i64(data, offset)}, tv_nsec=${i64(data, offset + 8)}}`;
const timeval = (data: DataView, offset: number): string =>
  `{tv_sec=${i64(data, offset)}, tv_usec=${i64(data, offset + 8)}}`;
const interval = (part: typeof timespec) => (data: DataView) =>
  `{it_interval=${part(data, 0)}, it_value=${part(data, 16)}}`;

function signalSet(low: number, high: number): string {
  const members: string[] = [];
  for (let signal = 1; signal <= 64; signal++) {
    const word = signal <= 32 ? low : high;
    if (word & (1 << ((signal - 1) & 31))) members.push(renderSignal(signal).replace(/^SIG/, ''));
  }
  // strace: a nearly full set is shown by what it lacks.
  if (members.length <= 32) return `[${members.join(' ')}]`;
  const absent: string[] = [];
  for (let signal = 1; signal <= 64; signal++) {
    const word = signal <= 32 ? low : high;
    if (!(word & (1 << ((signal - 1) & 31)))) absent.push(renderSignal(signal).replace(/^SIG/, ''));
  }
  return `~[${absent.join(' ')}]`;
}

const RLIM_INFINITY = 0xffffffffffffffffn;
const limit = (data: DataView, offset: number): string => {
  const value = data.getBigUint64(offset, true);
  if (value === RLIM_INFINITY) return 'RLIM64_INFINITY';
  return value !== 0n && value % 1024n === 0n ? `${value / 1024n}*1024` : String(value);
};

const FILE_TYPES: Readonly<Record<number, string>> = {
  1: 'S_IFIFO',
  2: 'S_IFCHR',
  4: 'S_IFDIR',
  6: 'S_IFBLK',
  8: 'S_IFREG',
  10: 'S_IFLNK',
  12: 'S_IFSOCK',
};
const fileMode = (mode: number): string =>
  `${FILE_TYPES[(mode >>> 12) & 15] ?? `0${(mode & 0o170000).toString(8)}`}|${octal(mode & 0o7777)}`;

function waitStatus(status: number): string {
  if (status === 0xffff) return '[{WIFCONTINUED(s)}]';
  if ((status & 0xff) === 0x7f) return `[{WIFSTOPPED(s) && WSTOPSIG(s) == ${renderSignal((status >>> 8) & 0xff)}}]`;
  if ((status & 0x7f) === 0) return `[{WIFEXITED(s) && WEXITSTATUS(s) == ${(status >>> 8) & 0xff}}]`;
  return `[{WIFSIGNALED(s) && WTERMSIG(s) == ${renderSignal(status & 0x7f)}${status & 0x80 ? ' && WCOREDUMP(s)' : ''}}]`;
}

const buffer: Kind = {
  shape: { form: 'array', size: 1, most: 32 },
  render: ({ bytes, cut, value }) => (bytes ? quote(bytes, cut) : address(value)),
};
const path: Kind = {
  shape: { form: 'path' },
  render: ({ bytes, cut, value }) => (bytes ? quote(bytes, cut) : address(value)),
};

/** `strings`: u8 flags (1 = cut), u8 length, bytes … */
const strings: Kind = {
  shape: { form: 'strings' },
  render: ({ bytes, cut, value }) => {
    if (!bytes) return address(value);
    const parts: string[] = [];
    for (let offset = 0; offset + 2 <= bytes.length; offset += 2 + bytes[offset + 1]) {
      parts.push(quote(bytes.subarray(offset + 2, offset + 2 + bytes[offset + 1]), (bytes[offset] & 1) !== 0));
    }
    return `[${parts.join(', ')}${cut ? ', ...' : ''}]`;
  },
};

/** `iovec`: u32 length (saturated), u8 flags (1 = unreadable), u8 prefix length, prefix … */
const iovec: Kind = {
  shape: { form: 'iovec' },
  render: ({ bytes, cut, value }) => {
    if (!bytes) return address(value);
    const data = view(bytes);
    const parts: string[] = [];
    for (let offset = 0; offset + 6 <= bytes.length; offset += 6 + bytes[offset + 5]) {
      const length = data.getUint32(offset, true);
      const prefix = bytes.subarray(offset + 6, offset + 6 + bytes[offset + 5]);
      const base = bytes[offset + 4] & 1 ? '?' : quote(prefix, prefix.length < length);
      parts.push(`{iov_base=${base}, iov_len=${length}}`);
    }
    return `[${parts.join(', ')}${cut ? ', ...' : ''}]`;
  },
};

const u32 = (render: (value: number) => string): Kind => struct(4, (data) => `[${render(data.getInt32(0, true))}]`);

/** Kinds with memory behind the argument. */
const MEMORY: Readonly<Record<string, Kind>> = {
  path,
  string: path,
  buffer,
  'string-array': strings,
  iovec,
  timespec: struct(16, (data) => timespec(data, 0)),
  timeval: struct(16, (data) => timeval(data, 0)),
  'timespec-pair': struct(32, (data) => `[${timespec(data, 0)}, ${timespec(data, 16)}]`),
  'timeval-pair': struct(32, (data) => `[${timeval(data, 0)}, ${timeval(data, 16)}]`),
  itimerspec: struct(32, interval(timespec)),
  itimerval: struct(32, interval(timeval)),
  'signal-set': struct(8, (data) => signalSet(data.getUint32(0, true), data.getUint32(4, true))),
  'int-pair': struct(8, (data) => `[${data.getInt32(0, true)}, ${data.getInt32(4, true)}]`),
  'int-pointer': u32(String),
  'u64-pointer': struct(8, (data) => `[${u64(data, 0)}]`),
  siginfo: struct(
    24,
    (data) =>
      `{si_signo=${renderSignal(data.getInt32(0, true))}, si_code=${data.getInt32(8, true)}, si_pid=${data.getInt32(16, true)}, si_uid=${data.getUint32(20, true)}}`,
  ),
  'wait-status': struct(4, (data) => waitStatus(data.getInt32(0, true))),
  sigaction: struct(32, (data) => {
    const handler = data.getBigUint64(0, true);
    const name = handler === 0n ? 'SIG_DFL' : handler === 1n ? 'SIG_IGN' : `0x${handler.toString(16)}`;
    const mask = signalSet(data.getUint32(24, true), data.getUint32(28, true));
    return `{sa_handler=${name}, sa_mask=${mask}, sa_flags=${flags(FLAG_TABLES['sigaction-flags'], data.getUint32(8, true))}}`;
  }),
  'stack-t': struct(
    24,
    (data) =>
      `{ss_sp=0x${data.getBigUint64(0, true).toString(16)}, ss_flags=${data.getInt32(8, true)}, ss_size=${u64(data, 16)}}`,
  ),
  rlimit: struct(16, (data) => `{rlim_cur=${limit(data, 0)}, rlim_max=${limit(data, 8)}}`),
  stat: struct(
    32,
    (data) => {
      const mode = data.getUint32(0, true);
      const device = ((mode >>> 12) & 15) === 2 || ((mode >>> 12) & 15) === 6;
      const rdev = Number(data.getBigUint64(16, true));
      const last = device ? `st_rdev=${SCALARS.device(rdev)}` : `st_size=${i64(data, 24)}`;
      return `{st_mode=${fileMode(mode)}, ${last}, ...}`;
    },
    STAT_MODE_OFFSET,
  ),
  statx: struct(
    48,
    (data) =>
      `{stx_mask=${flags(FLAG_TABLES['statx-mask'], data.getUint32(0, true))}, stx_mode=${fileMode(data.getUint16(28, true))}, stx_size=${u64(data, 40)}, ...}`,
  ),
  pollfd: array(8, 16, (data, offset) => {
    const events = flags(FLAG_TABLES['poll-events'], data.getUint16(offset + 4, true));
    const returned = data.getUint16(offset + 6, true);
    const seen = returned ? `, revents=${flags(FLAG_TABLES['poll-events'], returned)}` : '';
    return `{fd=${data.getInt32(offset, true)}, events=${events}${seen}}`;
  }),
  'iocb-array': {
    shape: { form: 'pointers', size: IOCB_SHOWN_BYTES, most: AIO_SUBMIT_MAX },
    render: ({ bytes, cut, value }) => (bytes ? renderIocbs(bytes, cut) : address(value)),
  },
  'epoll-event': struct(12, (data) => epollEvent(data, 0)),
  'epoll-event-array': array(12, 16, (data, offset) => epollEvent(data, offset)),
  sockaddr: {
    shape: { form: 'array', size: 1, most: 128 },
    render: ({ bytes, value }) => (bytes ? renderSockaddr(bytes) : address(value)),
  },
  'clone-args': struct(64, (data) => {
    const bits = Number(data.getBigUint64(0, true));
    const signal = Number(data.getBigUint64(32, true));
    return `{flags=${flags(FLAG_TABLES['clone-flags'], bits)}, exit_signal=${signal ? renderSignal(signal) : 0}, stack=0x${data.getBigUint64(40, true).toString(16)}, stack_size=0x${data.getBigUint64(48, true).toString(16)}}`;
  }),
};

function epollEvent(data: DataView, offset: number): string {
  return `{events=${flags(FLAG_TABLES['epoll-events'], data.getUint32(offset, true))}, data=0x${data.getBigUint64(offset + 4, true).toString(16)}}`;
}

/** Second names that rows use. */
const ALIASES: Readonly<Record<string, string>> = {
  sigset: 'signal-set',
  argv: 'string-array',
  strings: 'string-array',
  'stat-brief': 'stat',
  protection: 'mmap-prot',
  'fd-pair': 'int-pair',
  pointer: 'address',
  poll: 'pollfd',
  clockid: 'clock',
  flags: 'hex',
  ulong: 'size',
};

function buildKinds(): Map<string, Kind> {
  const kinds = new Map<string, Kind>(Object.entries(MEMORY));
  for (const [name, render] of Object.entries(SCALARS)) kinds.set(name, { render: ({ value }) => render(value) });
  for (const [name, names] of Object.entries(FLAG_TABLES)) {
    if (kinds.has(name)) continue;
    kinds.set(name, { render: ({ value }) => flags(names, value, ZERO_NAMES[name]) });
  }
  for (const [name, names] of Object.entries(ENUM_TABLES)) {
    kinds.set(name, { render: ({ value }) => byValue(names, signed32(value)) ?? hex(unsigned32(value)) });
  }
  for (const [name, target] of Object.entries(ALIASES)) {
    const kind = kinds.get(target);
    if (kind) kinds.set(name, kind);
  }
  return kinds;
}

const KINDS = buildKinds();

/** The kind of a parameter, or undefined when a signature names one that does not exist. */
export function findKind(base: string): Kind | undefined {
  return KINDS.get(base);
}

const FALLBACK: Kind = { render: ({ value }) => hex(value) };

/** As `findKind`; what does not exist is shown as a hexadecimal number. */
export function kindOf(base: string): Kind {
  return KINDS.get(base) ?? FALLBACK;
}

/** When the memory of a parameter is copied. */
export function captureTime(parameter: Parameter): Direction {
  return kindOf(parameter.base).shape ? parameter.direction : 'value';
}
