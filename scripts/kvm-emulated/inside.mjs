// Process 1's only child in the emulated machine (main.mjs): runs programs natively and on the KVM platform, and compares. The last line
// it prints is the verdict.
import { spawnSync } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync } from 'node:fs';
import { hostImage } from '@cordon/images';
import { createPool } from '@cordon/pool';

const PROGRAMS = '/programs';
const USER = 1000;
const SCRIPTS = {
  'shell with pipes, subshells, signals': `
    seq 1000 | sort -rn | head -3; (exit 3); echo $?; trap 'echo caught' USR1; kill -USR1 $$
    for i in 1 2 3 4 5; do (echo $i; exit $i) & done | sort; wait; echo done; echo a b c | tr ' ' '\\n' | wc -l`,
  files: 'mkdir d; i=0; while [ $i -lt 30 ]; do echo $i > d/$i; i=$((i+1)); done; cat d/* | sort -n | md5sum; rm -r d',
};
const LIMITS = {
  wallTimeMs: 60_000,
  cpuTimeMs: 60_000,
  memoryBytes: 512 * 1024 ** 2,
  processes: 256,
  outputBytes: 16 * 1024 ** 2,
  fileBytes: 64 * 1024 ** 2,
  openFiles: 1024,
  auditBytes: 1024 ** 2,
};

const ENV = { PATH: '/usr/bin', HOME: '/work', LC_ALL: 'C.UTF-8' };

async function runGuest(pool, argv, files) {
  let text = '';
  const handlers = {
    stdout: (bytes) => (text += Buffer.from(bytes).toString()),
    stderr: (bytes) => (text += Buffer.from(bytes).toString()),
  };
  const handle = pool.run(
    {
      id: 'test',
      image: hostImage(),
      argv,
      env: Object.entries(ENV).map(([name, value]) => `${name}=${value}`),
      cwd: '/work',
      uid: USER,
      gid: USER,
      hostname: 'cordon',
      limits: LIMITS,
      auditLevel: 'off',
      network: 'loopback',
      cpus: 1,
      files,
      stdin: 'empty',
      terminal: false,
    },
    handlers,
  );
  handle.endStdin();
  const report = await handle.ended;
  return {
    text,
    code: report.exitCode,
    signal: report.signal,
    reason: report.reason,
    detail: report.detail,
    ms: report.usage.wallMs,
  };
}

function runNative(argv, cwd) {
  const { stdout, stderr, status, signal } = spawnSync(argv[0], argv.slice(1), { cwd, env: ENV, uid: USER, gid: USER });
  return { text: `${stdout}${stderr}`, code: status, signal };
}

let passed = 0;
let failed = 0;

function expectSame(name, found, expected) {
  if (found === expected) passed++;
  else failed++;
  console.log(
    found === expected ? `ok   ${name}` : `FAIL ${name}: ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`,
  );
}

async function compare(pool, name, argv, files) {
  const native = runNative(argv, PROGRAMS);
  const guest = await runGuest(pool, argv, files);
  const same = native.text === guest.text && native.code === guest.code && native.signal === guest.signal;
  if (same) passed++;
  else failed++;
  console.log(`${same ? 'ok  ' : 'FAIL'} ${name} (${Math.round(guest.ms)} ms)`);
  if (!same) console.log(JSON.stringify({ native, guest }, null, 1));
}

const kvmExitless = readFileSync('/proc/cmdline', 'latin1').includes('cordon.exitless=1');
const image = hostImage();
const pool = await createPool({ image, platform: 'kvm', spares: 1, renewAfter: 1000, rehearsals: 0, kvmExitless });
const [{ detail, callTime }] = pool.probes();
console.log(`${(callTime / 1000).toFixed(1)} us a call; ${detail || 'nothing odd'}`);
// The proper way into ring 0, time without a trap, and only what shadow paging brings with it.
const nested = readFileSync('/sys/module/kvm_amd/parameters/npt', 'latin1').startsWith('Y');
// The time stamp counters of two emulated cores differ, and the host does not use them.
const clocks = kvmExitless ? 'guests make system calls to read clocks' : '';
expectSame('the probe', detail, nested ? clocks : 'does not notice removed mappings by itself');
chmodSync(PROGRAMS, 0o777);
for (const name of readdirSync(PROGRAMS)) {
  const files = [{ path: name, mode: 0o755, content: readFileSync(`${PROGRAMS}/${name}`) }];
  await compare(pool, name, [`./${name}`], files);
}
for (const [name, script] of Object.entries(SCRIPTS)) await compare(pool, name, ['/bin/sh', '-c', script], []);
await pool.close();
console.log(`kvm-emulated: ${passed} passed, ${failed} failed`);
