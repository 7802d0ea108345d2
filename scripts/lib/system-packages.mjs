// Programs of the system that Cordon or its tests use, installed with the system's package manager when that is possible.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fail } from './project.mjs';

/** Debian package that brings a program. */
const PACKAGES = {
  'redis-server': 'redis-server',
  busybox: 'busybox-static',
  // Without recommended packages gcc comes without headers.
  gcc: 'gcc libc6-dev',
  'g++': 'g++',
  python3: 'python3',
  perl: 'perl',
  strace: 'strace',
  'qemu-system-x86_64': 'qemu-system-x86',
};

const present = (program) => spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0;

/** True when this user may install packages here without being asked. */
function installer() {
  if (!present('apt-get')) return null;
  if (process.getuid?.() === 0) return [];
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0 ? ['sudo', '-n'] : null;
}

/** Installs what is missing, or says in one line what to install and ends. */
export function ensurePrograms(programs) {
  const missing = programs.filter((program) => !present(program));
  install(missing.flatMap((program) => (PACKAGES[program] ?? program).split(' ')));
}

/** As ensurePrograms, for packages that are told by a file which each of them brings: `{ package: '/its/file' }`. */
export function ensurePackages(files) {
  install(Object.keys(files).filter((name) => !existsSync(files[name])));
}

function install(packages) {
  if (packages.length === 0) return;
  const prefix = installer();
  if (!prefix) fail(`missing here; install: apt-get install --no-install-recommends ${packages.join(' ')}`);
  console.error(`cordon: installing ${packages.join(', ')} …`);
  const apt = (...args) => {
    const [command, ...rest] = [...prefix, 'apt-get', ...args];
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    return spawnSync(command, rest, { stdio: ['ignore', 'ignore', 'inherit'], env }).status === 0;
  };
  // redis-server's package starts a service where it can; the project runs its own instance and leaves that alone.
  if (!apt('install', '-y', '--no-install-recommends', ...packages)) {
    apt('update');
    if (!apt('install', '-y', '--no-install-recommends', ...packages)) {
      fail(`could not install ${packages.join(', ')}; install them by hand`);
    }
  }
}
