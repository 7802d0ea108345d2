/**
 * Closing the Sentry in. What can be done once is done in the zygote (`confineZygote`), the rest in each child before
 * (`confineChild`) and after (`sealChild`) it has set up its platform. Each layer is tried; `ConfinementLayer` says
 * what was found. A layer that is off is never silently ignored: `cordon doctor` prints it with its consequence.
 */
import { statSync } from 'node:fs';
import { host } from './host.js';
import { native as addon } from './native/index.js';
import type { HostFd } from './platform.js';
import { compileFilter } from './seccomp-program.js';
import { sentryRules } from './sentry-filter.js';

interface ConfineNative {
  openTree(path: string): number;
  openPath(path: string, flags: number): number;
  emptyRoot(): number;
  changeIdentity(uid: number, gid: number): number;
  dropCapabilities(): number;
  noNewPrivileges(): number;
  limitResource(resource: number, value: number): number;
  landlockVersion(): number;
  landlockRestrict(roots: Int32Array): number;
  installFilter(program: Uint8Array): number;
  filterSupported(): number;
  effectiveUid(): number;
}

const native = addon as unknown as ConfineNative;

export interface Layer {
  readonly name: string;
  readonly on: boolean;
  readonly consequence: string;
  readonly detail: string;
}

/** Every layer: what it does when it is on, and what is lost when it is off. */
const LAYERS = {
  'user-namespace-or-uid': {
    on: 'host identity nobody else has (or a user namespace without capabilities)',
    off: 'a compromised Sentry has the rights of the user who runs the worker',
  },
  'mount-namespace': { on: 'mounts of its own', off: 'the host root stays reachable by path' },
  'empty-root': { on: 'empty, read-only root directory', off: 'the host root stays reachable by path' },
  'image-trees': {
    on: 'image directories are detached read-only mounts: `..` leads nowhere',
    off: 'leaving an image directory is prevented by openat2 flags and Landlock only',
  },
  'pid-namespace': {
    on: 'sees and signals only its own stubs; they die with it',
    off: 'stubs die by ptrace and PDEATHSIG only; host processes of the same user can be signalled',
  },
  'net-namespace': { on: 'no network interface', off: 'only seccomp keeps it from the network' },
  'ipc-namespace': { on: 'no System V IPC of the host', off: 'only seccomp keeps it from host IPC' },
  'no-new-privs': { on: 'setuid files give nothing', off: 'setuid files would work' },
  capabilities: { on: 'none', off: 'the Sentry keeps capabilities' },
  limits: {
    on: 'no core files, bounded descriptors, processes, locked memory',
    off: 'only the Sentry itself bounds what it takes',
  },
  landlock: {
    on: 'files: image only, read only; no TCP; no signals outside',
    off: 'file access is confined by root directory and seccomp only',
  },
  seccomp: { on: 'listed system calls with checked arguments only', off: 'the whole host kernel is reachable' },
} as const;
export type LayerName = keyof typeof LAYERS;

function layer(name: LayerName, on: boolean, detail = ''): Layer {
  return { name, on, consequence: LAYERS[name][on ? 'on' : 'off'], detail };
}

const O_RDONLY = 0;
const O_NONBLOCK = 0o4000;
const O_DIRECTORY = 0o200000;
const O_PATH = 0o10000000;

let trees = 0;
let plainDirectories = 0;
const roots: HostFd[] = [];

/**
 * Opens a directory or file of the image. In the zygote, while the host's root is still there. Directories come as
 * detached read-only mounts where permitted. Throws when the path cannot be opened.
 */
export function openImageSource(path: string): HostFd {
  const directory = statSync(path).isDirectory();
  let fd = directory ? native.openTree(path) : native.openPath(path, O_RDONLY | O_NONBLOCK);
  if (directory && fd < 0) {
    fd = native.openPath(path, O_PATH | O_DIRECTORY);
    plainDirectories++;
  } else if (directory) {
    trees++;
  }
  if (fd < 0) throw new Error(`${path}: errno ${-fd}`);
  roots.push(fd);
  return fd;
}

/** Closes what `openImageSource` has opened: a rehearsal's image is not the children's. */
export function closeImageSources(): void {
  for (const fd of roots.splice(0)) host.close(fd);
  trees = 0;
  plainDirectories = 0;
}

export interface ZygoteConfinement {
  readonly uidBase: number;
  readonly uidRange: number;
  /** Layers to leave out. */
  readonly without: readonly string[];
  /** Descriptors that are /dev/null in a child and that V8 may still write to. */
  readonly nullDescriptors: readonly number[];
  /** Where their guest code runs. */
  readonly platform: string;
  readonly kvmExitless: boolean;
}

/** What children do; set by `confineZygote`, inherited by fork. */
let plan: { uidBase: number; uidRange: number; limits: boolean; filter: Uint8Array | null } | null = null;

/**
 * Precondition: the image is open, everything is loaded, other threads are at rest. After this the process has no
 * path to any file. Returns the layers known so far; those of the children come from `childLayers`.
 */
export function confineZygote(options: ZygoteConfinement): Layer[] {
  const wanted = (name: LayerName) => !options.without.includes(name);
  const namespaces = new Set((process.env.CORDON_NAMESPACES ?? '').split(','));
  const layers: Layer[] = [];
  const root = native.effectiveUid() === 0 && !namespaces.has('user');
  for (const kind of ['mount', 'pid', 'net', 'ipc'] as const) {
    layers.push(
      layer(`${kind}-namespace`, namespaces.has(kind), namespaces.has(kind) ? '' : 'unshare is not permitted'),
    );
  }
  layers.push(
    layer(
      'image-trees',
      plainDirectories === 0,
      plainDirectories === 0 ? '' : `${plainDirectories} of ${plainDirectories + trees}`,
    ),
  );
  if (!wanted('empty-root') || !namespaces.has('mount')) layers.push(layer('empty-root', false, 'no mount namespace'));
  else layers.push(outcome('empty-root', native.emptyRoot()));
  layers.push(outcome('no-new-privs', native.noNewPrivileges()));
  layers.push(
    wanted('landlock')
      ? outcome('landlock', native.landlockRestrict(Int32Array.from(roots)))
      : layer('landlock', false, 'left out'),
  );
  plan = {
    uidBase: root && wanted('user-namespace-or-uid') ? options.uidBase : -1,
    uidRange: options.uidRange,
    limits: wanted('limits'),
    filter: wanted('seccomp') && native.filterSupported() === 1 ? compileFilter(sentryRules(options)) : null,
  };
  ownIdentity = root ? plan.uidBase >= 0 : namespaces.has('user');
  return layers;
}

let ownIdentity = false;

function outcome(name: LayerName, result: number): Layer {
  return layer(name, result >= 0, result >= 0 ? '' : `errno ${-result}`);
}

// getrlimit(2), x86-64
const RLIMIT_DATA = 2;
const RLIMIT_CORE = 4;
const RLIMIT_NPROC = 6;
const RLIMIT_NOFILE = 7;
const RLIMIT_MEMLOCK = 8;
const RLIMIT_MSGQUEUE = 12;

/** Host limits of each Sentry. The Sentry enforces the guest's own limits; these stand behind it. */
export const SENTRY_LIMITS: readonly { readonly resource: number; readonly value: number; readonly why: string }[] = [
  { resource: RLIMIT_CORE, value: 0, why: 'a core file would hold guest data' },
  { resource: RLIMIT_DATA, value: 2 ** 30, why: "the Sentry's own heap; guest memory is a file of bounded size" },
  { resource: RLIMIT_NOFILE, value: 4096, why: 'image files, stubs, watched descriptors' },
  { resource: RLIMIT_NPROC, value: 8192, why: 'stubs and their threads: the guest limit is below' },
  { resource: RLIMIT_MEMLOCK, value: 0, why: 'nothing is locked' },
  { resource: RLIMIT_MSGQUEUE, value: 0, why: 'no queues' },
];

/** Bits of what failed, for the probe. */
const Failure = { Identity: 1, Limits: 2, Filter: 4, Capabilities: 8 } as const;

/** First steps of a child: identity, capabilities, limits. Returns a set of `Failure` bits; nothing is thrown. */
export function confineChild(child: number): number {
  if (plan === null) throw new Error('confineZygote was not called');
  let failed = 0;
  const uid = plan.uidBase < 0 ? -1 : plan.uidBase + (child % plan.uidRange);
  if (plan.limits) {
    for (const { resource, value } of SENTRY_LIMITS) {
      if (native.limitResource(resource, value) < 0) failed |= Failure.Limits;
    }
  }
  if (native.changeIdentity(uid, uid) < 0) failed |= Failure.Identity;
  if (native.dropCapabilities() < 0) failed |= Failure.Capabilities;
  return failed;
}

/** Last step of a child before its guest: from here on only the listed host calls exist. Returns `Failure` bits. */
export function sealChild(): number {
  if (plan === null) throw new Error('confineZygote was not called');
  if (plan.filter === null) return Failure.Filter;
  return native.installFilter(plan.filter) < 0 ? Failure.Filter : 0;
}

/** What a probe child found, as layers. */
export function childLayers(failed: number): Layer[] {
  const worked = (bit: number) => (failed & bit) === 0;
  const identity = ownIdentity && worked(Failure.Identity);
  const refused = ownIdentity ? 'setresuid is not permitted' : 'no user namespace, and not root';
  const limits = plan?.limits === true && worked(Failure.Limits);
  return [
    layer('user-namespace-or-uid', identity, identity ? '' : refused),
    layer('capabilities', worked(Failure.Capabilities), worked(Failure.Capabilities) ? '' : 'capset failed'),
    layer('limits', limits, limits ? '' : plan?.limits === true ? 'setrlimit failed' : 'left out'),
    layer(
      'seccomp',
      worked(Failure.Filter),
      worked(Failure.Filter) ? '' : plan?.filter === null ? 'left out, or not in this kernel' : 'not permitted',
    ),
  ];
}
