/**
 * The Sentry process. Started by libs/pool as
 * `cordon-launch node --single-threaded --disable-sigusr1 --v8-pool-size=1 --expose-gc …`
 * (main.ts, or bundled.ts and all that it needs in one file) with its control socket as descriptor 3. It loads and warms the kernel once, then forks one Sentry per request.
 * The recipe and its hazards are in README.md.
 */
import { openSync, readSync } from 'node:fs';
import { compileHotCode } from '@cordon/sentry/boot/compilation';
import {
  encodeReport,
  type Report,
  type ZygoteConfig,
  type ZygoteMark,
  type ZygoteReady,
  ZygoteReport,
  ZygoteRequest,
} from '@cordon/sentry/boot/zygote-message';
import { choosePlatform } from '@cordon/sentry/platform/choose';
import { childLayers, confineZygote, type Layer } from '@cordon/sentry/platform/confine.unsafe';
import { host } from '@cordon/sentry/platform/host';
import { check, zygoteNative as native, ZygoteEvent } from '@cordon/sentry/platform/zygote.unsafe';
import { probeChild, runChild } from './child.js';
import { learnCommonPages } from './common-pages.js';
import { HelperThreads, openDescriptors } from './quiesce.js';
import { rehearse } from './rehearsal.js';
import type { SentryClass } from './sentry-like.js';
import { installSeededRandom, warmRuntime } from './warm.js';

const CONTROL = 3;
/** A dying child may say this much. */
const ERROR_FILE_BYTES = 16 * 1024;
const SIGKILL = 9;
const EX_SOFTWARE = 70;

interface Child {
  readonly id: number;
  /** Its standard error: read when it ended. */
  readonly errors: number;
}

function readControl(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const got = readSync(CONTROL, bytes, done, length - done, null);
    if (got === 0) native.exitGroup(0);
    done += got;
  }
  return bytes;
}

function report(type: number, id: number, pid: number, status: number, cpuMs: number, text: string): void {
  const message: Report = { type, id, pid, status, cpuMs, text };
  // The supervisor is gone: so is the reason to live. The kernel takes the children along.
  if (native.writeAll(CONTROL, encodeReport(message)) < 0) native.exitGroup(0);
}

/** What the child left in its error file, up to the first NUL. */
function lastWords(errors: number, room: Buffer): string {
  const length = native.readAt(errors, room, 0);
  native.closeDescriptor(errors);
  if (length <= 0) return '';
  const end = room.indexOf(0);
  return room.toString('utf8', 0, end < 0 ? length : Math.min(end, length));
}

/** Probes before anything else: what is tried here leaves nothing behind. */
function choose(platform: string): ReturnType<typeof choosePlatform> {
  check(native.keepAffinity(), 'sched_getaffinity');
  try {
    // One core for probe and stub, as in a Sentry.
    host.pin(native.currentCpu());
    return choosePlatform(platform);
  } catch (error) {
    console.error(`no platform works here: ${error instanceof Error ? error.message : String(error)}`);
    return native.exitGroup(EX_SOFTWARE);
  } finally {
    native.restoreAffinity();
  }
}

const marks: ZygoteMark[] = [];
const mark = (step: string, at = host.now()): void => void marks.push({ step, at });

/**
 * A zygote's whole life. `load` gives the kernel that is named in its configuration. Precondition: the process was started as said above, and
 * does nothing else.
 */
export async function runZygote(load: (module: string) => SentryClass | Promise<SentryClass>): Promise<never> {
  // Where the clock of `performance` begins: Node's first line of its own.
  const birth = host.now() - performance.now() * 1e6;
  const { bootstrapComplete } = performance.nodeTiming;
  mark('launcher, exec of Node', birth);
  mark('Node itself', birth + bootstrapComplete * 1e6);
  mark('modules and addon');
  if (native.shimLoaded() !== 1) throw new Error('zygote-shim.so is not preloaded: this process cannot be forked');
  const requested = JSON.parse(readControl(readControl(4).readUInt32LE(0)).toString()) as ZygoteConfig;
  mark('configuration');
  const choice = choose(requested.platform);
  mark('probe of the platform');
  const config: ZygoteConfig = { ...requested, platform: choice.name };
  const Sentry = await load(config.sentryModule);
  mark('modules of the kernel');

  // Before anything is compiled: a change to Math throws away all code that uses Math.floor, Math.min …
  installSeededRandom();
  warmRuntime();
  mark('warming the runtime');
  const known = rehearse(() => new Sentry(), config);
  if (typeof known === 'string') {
    // Stubs and descriptors of a half-run guest may be left: no process to fork from.
    console.error(`rehearsal: ${known}`);
    native.exitGroup(EX_SOFTWARE);
  }
  mark(`rehearsals: ${config.rehearsals}`);
  const nullFd = openSync('/dev/null', 'r+');
  const inherited = openDescriptors();
  const sentry = new Sentry();
  sentry.warm(config.image, config.platform, known, config.kvmExitless);
  native.becomeSubreaper();
  mark('image opened');

  const stale = Int32Array.from(inherited.filter((fd) => fd > CONTROL && fd !== nullFd));
  // What is opened from here on is the zygote's own and closed in children.
  const keep = Int32Array.from(openDescriptors());
  const children = new Map<number, Child>();
  const event = new Int32Array(8);
  const words = Buffer.alloc(ERROR_FILE_BYTES);
  const ownPidNamespace = namespaceOfChildren();

  settleHeap();
  compileHotCode(null);
  const helpers = new HelperThreads();
  helpers.waitUntilQuiet();
  mark('heap settled, threads quiet');
  const childEvents = check(native.quiesced(), 'quiesced');
  const pages =
    config.rehearsals > 0
      ? learnCommonPages(sentry, { nullFd, stale, keep, control: CONTROL, childEvents })
      : new BigUint64Array(0);
  mark('common pages learned');
  const layers = confineZygote({
    uidBase: config.uidBase,
    uidRange: config.uidRange,
    without: config.without,
    platform: config.platform,
    kvmExitless: config.kvmExitless,
    nullDescriptors: [...stale, nullFd].sort((one, other) => one - other),
  });
  mark('closing in');
  layers.push(...probe(childEvents, event));
  mark('a child on trial');
  const ready: ZygoteReady = { platform: config.platform, probes: choice.probes, layers, marks };
  report(ZygoteReport.Ready, 0, 0, 0, 0, JSON.stringify(ready));

  for (;;) {
    const kind = native.zygoteWait(CONTROL, childEvents, event);
    if (kind === ZygoteEvent.Request) {
      const [operation, id, argument, descriptor] = event;
      if (operation === ZygoteRequest.Fork) {
        const errors = native.errorFile(ERROR_FILE_BYTES);
        helpers.waitUntilQuiet();
        const pid = errors < 0 ? errors : native.forkChild(ownPidNamespace);
        if (pid === 0) runChild(sentry, { nullFd, stale, keep, channel: descriptor, errors, cpu: argument, id, pages });
        native.closeDescriptor(descriptor);
        if (pid < 0) {
          if (errors >= 0) native.closeDescriptor(errors);
          report(ZygoteReport.ForkFailed, id, 0, 0, 0, `fork: errno ${-pid}`);
          continue;
        }
        children.set(pid, { id, errors });
        report(ZygoteReport.Forked, id, pid, 0, 0, '');
        continue;
      }
      for (const [pid, child] of children) {
        if (child.id !== id) continue;
        if (operation === ZygoteRequest.Kill) native.killProcess(pid, SIGKILL);
        else if (operation === ZygoteRequest.LimitCpu) native.limitCpu(pid, argument);
      }
    } else if (kind === ZygoteEvent.ChildEnded) {
      const [pid, status, cpuMs] = event;
      const child = children.get(pid);
      // Anything else is a stub whose Sentry died before it: reaped, nothing to say.
      if (child === undefined) continue;
      children.delete(pid);
      words.fill(0);
      report(ZygoteReport.Exited, child.id, pid, status, cpuMs, lastWords(child.errors, words));
    } else {
      for (const pid of children.keys()) native.killProcess(pid, SIGKILL);
      native.exitGroup(kind === ZygoteEvent.HangUp ? 0 : 71);
    }
  }
}

/** A descriptor that lets each child have a pid namespace of its own, or -1 where that is not permitted. */
function namespaceOfChildren(): number {
  if (!(process.env.CORDON_NAMESPACES ?? '').split(',').includes('pid')) return -1;
  return openSync('/proc/self/ns/pid', 'r');
}

/** Closes one child in and asks what worked: what a host permits is found out by doing it. */
function probe(childEvents: number, event: Int32Array): Layer[] {
  const pid = check(native.forkChild(-1), 'fork');
  if (pid === 0) probeChild();
  for (;;) {
    const kind = native.zygoteWait(CONTROL, childEvents, event);
    if (kind === ZygoteEvent.ChildEnded && event[0] === pid) break;
    if (kind !== ZygoteEvent.ChildEnded) native.exitGroup(0);
  }
  const status = event[1];
  if ((status & 0x7f) !== 0) throw new Error(`a closed-in child died of signal ${status & 0x7f}`);
  return childLayers(status >> 8);
}

/**
 * Moves what is alive out of the young generation: children begin with an empty one. A full collection would clear the maps of
 * objects that died with the rehearsed kernels, and with them the compiled code and the feedback that children are to inherit
 * (stat, first 125 calls in a child: 26 us each with it, 6 without).
 */
function settleHeap(): void {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error('run with --expose-gc');
  for (let round = 0; round < 2; round++) gc({ type: 'minor' });
}
