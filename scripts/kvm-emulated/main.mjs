// `npm run test:kvm-emulated`: the KVM platform on a machine with SVM, which QEMU emulates: Debian's kernel with kvm_amd, an initramfs with
// Node, the built project and test programs; with nested paging, with shadow paging, and on two cores in the exit-less mode. Needs no KVM here.
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { build, fail, installDependencies, NODE, ROOT } from '../lib/project.mjs';
import { ensurePrograms } from '../lib/system-packages.mjs';

const CACHE = join(ROOT, 'node_modules', '.cache', 'kvm-emulated');
const META_PACKAGE = 'linux-image-cloud-amd64';
const PATIENCE_MS = 240_000;
/** Of test/guest/programs: those that do not go by fast timers, which this machine is too slow for. */
const PROGRAMS = [
  'hello',
  'exceptions',
  'fork-wait',
  'threads',
  'signal-frames',
  'futexes',
  'exec-from-threads',
  'user-dispatch',
  'chatter',
];
const APPLETS = ['sh', 'cat', 'echo', 'head', 'md5sum', 'mkdir', 'rm', 'seq', 'sort', 'tr', 'wc'];
const FLAGS = ['-O1', '-mavx2', '-pthread', '-w'];

function output(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26, ...options });
  if (result.status !== 0) fail(`${command} ${args.join(' ')}: ${result.stderr || result.error?.message}`);
  return result.stdout;
}

/** Debian's kernel image, unpacked; fetched once. */
function kernel() {
  const unpacked = join(CACHE, 'kernel');
  if (!existsSync(join(unpacked, 'boot'))) {
    const name = /Depends: (linux-image-\S+)/.exec(output('apt-cache', ['depends', META_PACKAGE]))?.[1];
    if (!name) fail(`no package ${META_PACKAGE}: apt-get update`);
    mkdirSync(CACHE, { recursive: true });
    output('apt-get', ['download', name], { cwd: CACHE });
    const archive = readdirSync(CACHE).find((file) => file.startsWith(`${name}_`));
    output('dpkg-deb', ['-x', join(CACHE, archive), unpacked]);
    rmSync(join(CACHE, archive));
  }
  const image = readdirSync(join(unpacked, 'boot')).find((file) => file.startsWith('vmlinuz-'));
  const modules = join(unpacked, 'lib', 'modules', image.slice('vmlinuz-'.length), 'kernel');
  return {
    image: join(unpacked, 'boot', image),
    modules: ['virt/lib/irqbypass.ko', 'arch/x86/kvm/kvm.ko', 'arch/x86/kvm/kvm-amd.ko'].map((path) =>
      join(modules, path),
    ),
  };
}

/** Copies a program and the libraries it is linked with. */
function install(root, program, to) {
  mkdirSync(dirname(join(root, to)), { recursive: true });
  copyFileSync(program, join(root, to));
  chmodSync(join(root, to), 0o755);
  const { stdout } = spawnSync('ldd', [program], { encoding: 'utf8' });
  for (const [, library] of stdout.matchAll(/(\/\S+) \(0x/g)) {
    const place = join(root, 'usr', library.replace(/^\/usr/, ''));
    mkdirSync(dirname(place), { recursive: true });
    copyFileSync(library, place);
  }
}

const INIT = `#!/bin/sh
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmp /tmp
insmod /modules/irqbypass.ko; insmod /modules/kvm.ko
npt=1; grep -q cordon.npt=0 /proc/cmdline && npt=0
insmod /modules/kvm-amd.ko npt=$npt || echo 'kvm-emulated: no kvm_amd'
echo "npt $(cat /sys/module/kvm_amd/parameters/npt)"
cd /cordon && /usr/bin/node /cordon/inside.mjs || echo 'kvm-emulated: the run failed'
poweroff -f
`;

/** The initramfs: what the machine's whole file system is. Returns its file. */
function initramfs(modules) {
  const root = join(CACHE, 'root');
  rmSync(root, { recursive: true, force: true });
  for (const name of ['dev', 'proc', 'sys', 'tmp', 'etc', 'usr/bin', 'usr/lib', 'usr/lib64', 'modules', 'programs']) {
    mkdirSync(join(root, name), { recursive: true });
  }
  for (const name of ['bin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(root, name));
  symlinkSync('usr/bin', join(root, 'sbin'));
  install(root, output('sh', ['-c', 'command -v busybox']).trim(), 'usr/bin/busybox');
  for (const name of [...APPLETS, 'mount', 'insmod', 'grep', 'poweroff'])
    symlinkSync('busybox', join(root, 'usr/bin', name));
  install(root, NODE, 'usr/bin/node');
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\nguest:x:1000:1000::/:/bin/sh\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nguest:x:1000:\n');
  for (const module of modules) copyFileSync(module, join(root, 'modules', module.split('/').at(-1)));
  for (const name of PROGRAMS) {
    const program = join(root, 'programs', name);
    output('gcc', ['-o', program, join(ROOT, 'test/guest/programs', `${name}.c`), ...FLAGS]);
    install(root, program, `programs/${name}`);
  }
  for (const part of ['libs/sentry', 'libs/pool', 'libs/images', 'libs/contracts', 'apps/sentry']) {
    const { name } = JSON.parse(readFileSync(join(ROOT, part, 'package.json'), 'utf8'));
    for (const piece of ['package.json', 'dist', 'build']) {
      if (existsSync(join(ROOT, part, piece)))
        cpSync(join(ROOT, part, piece), join(root, 'cordon', part, piece), { recursive: true });
    }
    mkdirSync(join(root, 'cordon/node_modules/@cordon'), { recursive: true });
    symlinkSync(`../../${part}`, join(root, 'cordon/node_modules', name));
  }
  mkdirSync(join(root, 'cordon/node_modules/node/bin'), { recursive: true });
  symlinkSync('/usr/bin/node', join(root, 'cordon/node_modules/node/bin/node'));
  copyFileSync(join(ROOT, 'node_modules/node/package.json'), join(root, 'cordon/node_modules/node/package.json'));
  copyFileSync(join(import.meta.dirname, 'inside.mjs'), join(root, 'cordon/inside.mjs'));
  writeFileSync(join(root, 'init'), INIT, { mode: 0o755 });
  const file = join(CACHE, 'initramfs.cpio');
  output('sh', ['-c', `find . | busybox cpio -o -H newc > '${file}'`], { cwd: root });
  return file;
}

/**
 * Boots the machine; resolves to whether all its tests passed. Two cores take turns in one thread of QEMU: with a thread each, its
 * SVM stops answering the other core's interrupts.
 */
function boot(image, initrd, { npt, exitless }) {
  return new Promise((resolve) => {
    const arguments_ = [
      ...[
        '-accel',
        exitless ? 'tcg,thread=single' : 'tcg',
        '-cpu',
        'EPYC-v1,+svm',
        '-m',
        '2048',
        '-smp',
        exitless ? '2' : '1',
        '-nographic',
        '-no-reboot',
        '-nodefaults',
      ],
      ...['-serial', 'stdio', '-kernel', image, '-initrd', initrd],
      ...['-append', `console=ttyS0 quiet panic=-1 mitigations=off cordon.npt=${npt} cordon.exitless=${exitless}`],
    ];
    const machine = spawn('qemu-system-x86_64', arguments_, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    machine.stdout.on('data', (bytes) => {
      text += bytes;
      process.stdout.write(bytes);
    });
    const late = setTimeout(() => machine.kill('SIGKILL'), PATIENCE_MS);
    machine.on('close', () => {
      clearTimeout(late);
      resolve(/^kvm-emulated: [1-9]\d* passed, 0 failed/m.test(text));
    });
  });
}

installDependencies();
ensurePrograms(['qemu-system-x86_64', 'busybox', 'gcc', 'dpkg-deb']);
build();
const { image, modules } = kernel();
const initrd = initramfs(modules);
let good = true;
const KINDS = [
  { name: 'nested', npt: 1, exitless: 0 },
  { name: 'shadow', npt: 0, exitless: 0 },
  { name: 'exit-less', npt: 1, exitless: 1 },
];
// One of them by `-- shadow`.
const wanted = KINDS.filter(({ name }) => process.argv.length < 3 || process.argv.includes(name));
for (const kind of wanted) {
  console.log(`\n== SVM with ${kind.npt ? 'nested' : 'shadow'} paging${kind.exitless ? ', exit-less' : ''}`);
  const started = Date.now();
  const passed = await boot(image, initrd, kind);
  console.log(`${passed ? 'passed' : 'FAILED'} in ${Math.round((Date.now() - started) / 1000)} s`);
  good &&= passed;
}
process.exit(good ? 0 : 1);
