/** The stand-in with a real platform: what it needs of the host must be there under full confinement. */
import { openImageSource } from '@cordon/sentry/platform/confine.unsafe';
import { host } from '@cordon/sentry/platform/host';
import { HostMemoryFile } from '@cordon/sentry/platform/memory-file';
import { MEMORY_SOURCE, Reg, Trap } from '@cordon/sentry/platform/platform';
import { PtracePlatform } from '@cordon/sentry/platform/ptrace/ptrace-platform';
import { zygoteNative } from '@cordon/sentry/platform/zygote.unsafe';
import { end, Frame, programs, Sentry as StandIn, send } from './stand-in.mjs';

const CODE = 0x400000;
const DATA = 0x500000;
const STAT_FIELDS = 18;

const memory = new HostMemoryFile();
const platform = new PtracePlatform(memory);
const roots = new Map();

/** A context that is about to run `code`. */
function guest(code) {
  memory.bytes.set(code, 0);
  const space = platform.createAddressSpace();
  space.map(CODE, 4096, MEMORY_SOURCE, 0, 5, false);
  space.map(DATA, 4096, MEMORY_SOURCE, 4096, 3, false);
  const context = platform.createContext();
  context.registers64[Reg.RIP] = BigInt(CODE);
  context.registers64[Reg.RSP] = BigInt(DATA + 4096);
  return { context, space };
}

Object.assign(programs, {
  /** A loop of getppid; every call traps. */
  traps: ({ argv }) => {
    const { context, space } = guest([0xb8, 110, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7]);
    const count = Number(argv[1]);
    const start = host.now();
    for (let done = 0; done < count; done++) {
      platform.resume(context, space);
      const trapped = platform.next(Number.POSITIVE_INFINITY);
      if (trapped !== context || context.trap !== Trap.Syscall) throw new Error(`trap ${context.trap}`);
      context.registersLow[2 * Reg.RAX] = done;
    }
    const each = (host.now() - start) / count;
    send(Frame.Stdout, JSON.stringify({ each, cpu: platform.cpuTime() }));
    platform.shutdown();
    end();
  },
  /** What one host call costs here, in ns. */
  calls: () => {
    const start = host.now();
    for (let done = 0; done < 100_000; done++) zygoteNative.getPid();
    send(Frame.Stdout, String((host.now() - start) / 100_000));
    end();
  },
  /** Reads, lists and maps the image, and tries to leave it. */
  image: ({ argv }) => {
    const usr = roots.get('/usr');
    const out = {};
    const file = host.openBeneath(usr, argv[1], 0);
    const bytes = new Uint8Array(4);
    host.pread(file, bytes, 0, 4, 0);
    out.magic = Buffer.from(bytes).toString('latin1');
    const directory = host.openBeneath(usr, 'bin', 0o200000);
    out.listed = host.getdents(directory, new Uint8Array(4096), 0, 4096) > 0;
    out.mode = host.statAt(usr, 'bin', new Float64Array(STAT_FIELDS));
    out.up = host.openBeneath(usr, '..', 0o200000);
    out.create = host.openBeneath(usr, 'created-by-a-test', 0o101);
    out.write = host.openBeneath(usr, argv[1], 1);
    const { context, space } = guest([0xa0, 0, 0, 0x60, 0, 0, 0, 0, 0, 0x0f, 0x05]); // mov al, [0x600000]; syscall
    space.map(0x600000, 4096, { kind: 'file', fd: file }, 0, 1, false);
    platform.resume(context, space);
    platform.next(Number.POSITIVE_INFINITY);
    out.mapped = [context.trap, context.registersLow[2 * Reg.ORIG_RAX] & 0xff];
    platform.shutdown();
    send(Frame.Stdout, JSON.stringify(out));
    end();
  },
  /** Leaves a spinning stub behind when the Sentry dies. */
  'crash-with-stub': () => {
    const { context, space } = guest([0xeb, 0xfe]);
    platform.resume(context, space);
    platform.next(host.now() + 1e6);
    throw new Error('the stub spins on');
  },
  'hang-with-stub': () => {
    const { context, space } = guest([0xeb, 0xfe]);
    platform.resume(context, space);
    for (;;) platform.next(Number.POSITIVE_INFINITY);
  },
});

export class Sentry extends StandIn {
  warm(image) {
    super.warm();
    for (const { path, source } of image.mounts) roots.set(path, openImageSource(source));
  }

  prepare(channel, cpu) {
    super.prepare(channel);
    if (cpu >= 0) host.pin(cpu);
    memory.attach();
    platform.start();
  }
}
