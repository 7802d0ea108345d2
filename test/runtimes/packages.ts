// What test/runtimes runs: Debian packages, installed when that is possible. `npx node test/runtimes/packages.ts` says what is missing.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** Package by the program that shows it is there. */
export const PACKAGES: Readonly<Record<string, string>> = {
  '/usr/bin/python3': 'python3',
  '/usr/lib/python3/dist-packages/numpy': 'python3-numpy',
  '/usr/bin/java': 'default-jdk-headless',
  '/usr/bin/javac': 'default-jdk-headless',
  '/usr/bin/go': 'golang-go',
  '/usr/bin/rustc': 'rustc',
  '/usr/bin/gcc': 'gcc',
  '/usr/bin/g++': 'g++',
  '/usr/bin/clang': 'clang',
  '/usr/bin/make': 'make',
  '/usr/bin/strace': 'strace',
  '/usr/bin/gdb': 'gdb',
  '/usr/bin/ld.gold': 'binutils',
  '/usr/bin/git': 'git',
  '/usr/bin/sqlite3': 'sqlite3',
  '/usr/bin/redis-server': 'redis-server',
  '/usr/bin/redis-benchmark': 'redis-tools',
  '/usr/lib/postgresql': 'postgresql',
  '/usr/bin/ruby': 'ruby',
  '/usr/bin/php': 'php-cli',
  '/usr/bin/lua5.4': 'lua5.4',
  '/usr/bin/perl': 'perl',
  '/usr/bin/sbcl': 'sbcl',
  '/usr/bin/vi': 'vim-tiny',
  '/usr/bin/less': 'less',
  '/usr/bin/top': 'procps',
  '/usr/bin/script': 'bsdutils',
  '/usr/bin/tmux': 'tmux',
};

/** Installs what is missing where that is possible (as root, with apt-get). Returns what is still missing. */
export function install(): [path: string, name: string][] {
  const missing = (): [string, string][] => Object.entries(PACKAGES).filter(([path]) => !existsSync(path));
  const wanted = [...new Set(missing().map(([, name]) => name))];
  if (wanted.length > 0 && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    const options = { stdio: 'ignore' as const, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
    const get = (...names: string[]): number | null =>
      spawnSync('apt-get', ['install', '-y', '--no-install-recommends', ...names], options).status;
    // One that cannot be had must not keep the others away.
    if (get(...wanted) !== 0) for (const name of wanted) get(name);
  }
  return missing();
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const missing = install();
  for (const [path, name] of missing) console.log(`missing: ${path} (${name})`);
  if (missing.length === 0) console.log('all there');
}
