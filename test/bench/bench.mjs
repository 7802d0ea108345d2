// `npm run bench`: native, Cordon and runsc side by side in one run. Ratios with their spread and the target beside them; JSON too.
// Options: --runs N (5), --only NAME,NAME, --json FILE, --quick (one run of each, for a smoke), --platforms NAME,NAME (auto): the
// first is "ours" in the ratios, the others are shown beside it.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '..', '..');
const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    only: { type: 'string' },
    json: { type: 'string' },
    quick: { type: 'boolean', default: false },
    platforms: { type: 'string', default: 'auto' },
  },
});
const runs = options.quick ? 1 : Number(options.runs);
const work = mkdtempSync(join(tmpdir(), 'cordon-bench-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));

const { createPool } = await import(join(ROOT, 'libs/pool/dist/index.js'));
const { hostImage } = await import(join(ROOT, 'libs/images/dist/index.js'));

const calls = compile('calls', join(ROOT, 'test', 'guest', 'programs'));
const micro = compile('micro');
const tracer = compile('tracer');
const handoff = compile('handoff');
const runsc = spawnSync('runsc', ['--version']).status === 0 && process.getuid() === 0;

function compile(name, directory = join(HERE, 'programs')) {
  const binary = join(work, name);
  execFileSync('gcc', ['-O2', '-static', '-o', binary, join(directory, `${name}.c`)]);
  return binary;
}

/** Temporary files of a sandbox are in memory: natively, that is a tmpfs. */
const memoryDirectory = existsSync('/dev/shm') ? mkdtempSync('/dev/shm/cordon-bench-') : work;
process.on('exit', () => rmSync(memoryDirectory, { recursive: true, force: true }));

/** Runs the micro-benchmark natively, pinned to one core as the sandbox is. */
function nativeMicro(name) {
  return parse(execFileSync('taskset', ['-c', '0', micro, name], { cwd: memoryDirectory, encoding: 'utf8' }));
}

function runscMicro(name) {
  const result = spawnSync(
    'runsc',
    ['--network=none', '--platform=ptrace', '--overlay', 'do', '--cwd', work, micro, name],
    {
      encoding: 'utf8',
      timeout: 120_000,
    },
  );
  return result.status === 0 && result.stdout ? parse(result.stdout) : Number.NaN;
}

const parse = (text) => JSON.parse(text).value;

function spec(argv, files = []) {
  return {
    id: 'bench',
    image: hostImage(),
    argv,
    env: ['PATH=/usr/local/bin:/usr/bin:/bin', 'HOME=/work', 'LANG=C.UTF-8'],
    cwd: '/work',
    uid: 1000,
    gid: 1000,
    hostname: 'cordon',
    limits: {
      wallTimeMs: 300_000,
      cpuTimeMs: 300_000,
      memoryBytes: 1024 ** 3,
      processes: 256,
      outputBytes: 1 << 20,
      fileBytes: 1024 ** 3,
      openFiles: 1024,
      auditBytes: 1 << 20,
    },
    auditLevel: 'off',
    network: 'none',
    cpus: 1,
    files,
    stdin: 'empty',
    terminal: false,
  };
}

async function runIn(pool, argv, files, more) {
  return (await reportOf(pool, argv, files, more)).out;
}

async function reportOf(pool, argv, files, more = {}) {
  let out = '';
  const report = await pool.run(
    { ...spec(argv, files), ...more },
    {
      stdout: (bytes) => {
        out += Buffer.from(bytes);
      },
      // Without who takes them they are not decoded.
      audit: () => {},
    },
  ).ended;
  if (report.reason !== 'exited' || report.exitCode !== 0) {
    throw new Error(`${argv.join(' ')}: ${JSON.stringify(report)}`);
  }
  return { out, report };
}

const microContent = readFileSync(micro);
const oursMicro = async (pool, name) =>
  parse(await runIn(pool, ['./micro', name], [{ path: 'micro', mode: 0o755, content: microContent }]));

/** Milliseconds of a command as a whole. */
function timed(command, args) {
  const start = process.hrtime.bigint();
  const result = spawnSync(command, args, { stdio: 'ignore' });
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')}: status ${result.status}`);
  return Number(process.hrtime.bigint() - start) / 1e6;
}

const MICRO = [
  ['getppid', 'getppid, ns'],
  ['open', 'open+read+close, ns'],
  ['stat', 'stat, ns'],
  ['touch', 'touch of a fresh page, ns'],
  ['fork', 'fork+wait, ns'],
  ['fork64', 'fork+wait with 64 MiB touched, ns'],
  ['exec', 'vfork+exec /bin/true, ns'],
  ['pingpong', 'pipe ping-pong, ns'],
  ['write', 'write a tmp file, 64 KiB blocks, bytes/s'],
  ['read', 'read a tmp file, 64 KiB blocks, bytes/s'],
  ['cpu', 'CPU-bound C, ns'],
];

/** The targets, as ratios: of ours to native at most, of runsc to ours at least, of ours to the bare hand-off at most. */
const TARGETS = {
  getppid: { runsc: 40, spin: 2, futex: 1.5 },
  open: { native: 8 },
  stat: { native: 6 },
  touch: { native: 1.5 },
  fork: { native: 8 },
  fork64: { native: 1.5 },
  exec: { native: 8 },
  pingpong: { native: 4 },
  write: { throughput: 0.5 },
  read: { throughput: 0.5 },
  cpu: { native: 1.03 },
  'cpu-python': { native: 1.03 },
  gcc: { native: 1.6 },
  'git-status': { native: 3 },
  'python-imports': { native: 2 },
  'post-true': { runsc: 10, native: 10 },
  'post-python': { runsc: 5, native: 2 },
  'sandbox-exec': { execution: 0.5 },
  'rate-8': { rate: 150 },
  'judge-20': { one: 20 },
  'audit-getppid': { off: 1.1 },
  'audit-stat': { off: 1.1 },
  'audit-open': { off: 1.1 },
  'memory-python': { most: 10 },
  'judge-20-parallel': { one: 20 },
};

const rows = [];
const wanted = options.only ? new Set(options.only.split(',')) : null;
const want = (name) => !wanted || wanted.has(name);

/** One row: each contender measured in turn, run by run, so that drift of the machine hits all alike. */
async function measure(name, label, contenders) {
  if (!want(name)) return;
  const samples = Object.fromEntries(Object.keys(contenders).map((key) => [key, []]));
  for (let index = 0; index < runs; index++) {
    for (const [key, run] of Object.entries(contenders)) if (run) samples[key].push(await run());
  }
  const row = {
    name,
    label,
    ...Object.fromEntries(Object.entries(samples).map(([key, list]) => [key, summary(list)])),
  };
  rows.push(row);
  print(row);
}

function summary(list) {
  const sorted = list.filter(Number.isFinite).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  return { min: sorted[0], median: sorted[Math.floor(sorted.length / 2)], max: sorted.at(-1), runs: sorted.length };
}

const short = (value) =>
  value === undefined || value === null
    ? '-'
    : value >= 1e6
      ? value.toExponential(2)
      : value >= 100
        ? value.toFixed(0)
        : value.toFixed(2);

/** The row's measured ratios, each with its target and whether it was met. */
function ratiosOf(row) {
  const ours = row.ours?.median;
  if (!ours) return [];
  const target = TARGETS[row.name] ?? {};
  const found = [];
  const add = (label, value, limit, atMost) =>
    found.push({ label, value, limit, met: limit === undefined ? null : atMost ? value <= limit : value >= limit });
  if (row.native && target.throughput) add('ours/native', ours / row.native.median, target.throughput, false);
  else if (row.native) add('ours/native', ours / row.native.median, target.native, true);
  if (row.runsc) add('runsc/ours', row.runsc.median / ours, target.runsc, false);
  if (row.spin) add('ours/bare spin', ours / row.spin.median, target.spin, true);
  if (row.futex) add('ours/bare futex', ours / row.futex.median, target.futex, true);
  if (row.tracer) add('ours/C tracer', ours / row.tracer.median, undefined, true);
  if (row.one) add('ours/one POST of the binary', ours / row.one.median, target.one, true);
  if (row.execution) add('ours/cold execution', ours / row.execution.median, target.execution, true);
  if (row.off) add('full/off', ours / row.off.median, target.off, true);
  if (row.security) add('security/off', row.security.median / row.off.median, undefined, true);
  if (row.decoded) add('with decoding/off', row.decoded.median / row.off.median, undefined, true);
  if (target.most) add('MB', ours, target.most, true);
  if (target.rate) add('a second', ours, target.rate, false);
  return found;
}

function print(row) {
  const spread = row.ours ? `${short(row.ours.min)}..${short(row.ours.max)}` : '-';
  const ratios = ratiosOf(row)
    .map(({ label, value, limit, met }) =>
      met === null
        ? `${label} ${short(value)}`
        : `${label} ${short(value)} (target ${limit}: ${met ? 'met' : 'MISSED'})`,
    )
    .join('  ');
  const others = Object.keys(row)
    .filter((key) => key.startsWith('on '))
    .map((key) => `${key} ${short(row[key]?.median)}`)
    .join('  ');
  console.log(
    `${row.label.padEnd(44)} native ${short(row.native?.median).padStart(9)}  ours ${short(row.ours?.median).padStart(9)} (${spread})  runsc ${short(row.runsc?.median).padStart(9)}  ${ratios}  ${others}`.trimEnd(),
  );
}

const names = options.platforms.split(',');
const pools = [];
for (const platform of names) {
  pools.push(await createPool({ image: hostImage(), platform, spares: 2, renewAfter: 10_000 }));
}
const [pool, ...otherPools] = pools;
/** The same on the other platforms asked for. */
const onOthers = (run) =>
  Object.fromEntries(otherPools.map((other) => [`on ${other.stats().platform}`, () => run(other)]));
console.log(
  `platform ${pools.map((one) => one.stats().platform).join(', ')}, ${runs} runs each, runsc ${runsc ? 'present' : 'absent'}`,
);
const bare = (...args) => parse(execFileSync(handoff, args, { encoding: 'utf8' }));
try {
  for (const [name, label] of MICRO) {
    await measure(name, label, {
      native: () => nativeMicro(name),
      ours: () => oursMicro(pool, name),
      ...onOthers((other) => oursMicro(other, name)),
      runsc: runsc ? () => runscMicro(name) : undefined,
      ...(name === 'getppid'
        ? {
            tracer: () => parse(execFileSync(tracer, { encoding: 'utf8' })),
            spin: () => bare('patched', 'spin'),
            futex: () => bare('patched', 'futex'),
            'sigsys spin': () => bare('sigsys', 'spin'),
            'sigsys futex': () => bare('sigsys', 'futex'),
          }
        : {}),
    });
  }
  await measureAudit();
  await measureHeap();
  await measureMemory();
  await measurePrograms();
  const programs = [
    ['true', ['/bin/true']],
    ['python', ['/usr/bin/python3', '-c', '1']],
  ];
  for (const [name, argv] of programs) {
    const [command, ...args] = argv;
    await measure(`pool-${name}`, `${argv.join(' ')}: warm pool, ms`, {
      native: () => timed(command, args),
      ours: async () => {
        const start = performance.now();
        await runIn(pool, argv);
        return performance.now() - start;
      },
      runsc: runsc ? () => timed('runsc', ['--network=none', '--platform=ptrace', 'do', ...argv]) : undefined,
    });
    await measure(`cli-${name}`, `${argv.join(' ')}: cold by the CLI, ms`, {
      native: () => timed(command, args),
      ours: () => timed(join(ROOT, 'scripts', 'cordon'), ['run', '--', ...argv]),
      runsc: runsc ? () => timed('runsc', ['--network=none', '--platform=ptrace', 'do', ...argv]) : undefined,
    });
  }
} finally {
  await Promise.all(pools.map((one) => one.close()));
}
const SERVER_ROWS = ['post-true', 'post-python', 'rate-1', 'rate-2', 'rate-8', 'judge-20', 'judge-20-parallel'];
if (SERVER_ROWS.some(want)) await benchServer();
if (options.json) {
  mkdirSync(dirname(options.json), { recursive: true });
  writeFileSync(options.json, JSON.stringify({ date: new Date().toISOString(), runs, rows }, null, 2));
}

/**
 * What the audit log costs calls: what the Sentry does for it, records thrown away; and with all of it, where another process reads and decodes
 * them on the guest's core.
 */
async function measureAudit() {
  const files = [{ path: 'micro', mode: 0o755, content: microContent }];
  const limits = { ...spec([]).limits, auditBytes: 1 << 30 };
  for (const [name, label] of [
    ['getppid', 'getppid'],
    ['stat', 'stat'],
    ['open', 'open+read+close'],
  ]) {
    const at = (auditLevel, dropAudit) => async () =>
      // The best of many rounds: in some of them the Sentry compiles its code, in some its placement is tried.
      parse(await runIn(pool, ['./micro', name, '30'], files, { auditLevel, limits, dropAudit }));
    await measure(`audit-${name}`, `${label}, audit full, ns`, {
      off: at('off', true),
      security: at('security', true),
      ours: at('full', true),
      decoded: at('full', false),
    });
  }
}

/** Bytes of the Sentry's heap that a call allocates in steady state. */
async function measureHeap() {
  const files = [{ path: 'calls', mode: 0o755, content: readFileSync(calls) }];
  for (const name of ['getppid', 'read', 'write', 'fstat', 'stat', 'futex']) {
    const bytes = (auditLevel) => async () => {
      const limits = { ...spec([]).limits, auditBytes: 1 << 30 };
      const more = { auditLevel, limits, watchHeap: true };
      const { report } = await reportOf(pool, ['./calls', name, '400000'], files, more);
      return report.heap.reduce((most, use) => (use.windows > most.windows ? use : most)).bytes;
    };
    await measure(`heap-${name}`, `${name}, heap bytes a call`, { ours: bytes('off'), 'on audit full': bytes('full') });
  }
}

/** Private memory of the Sentry beside a Python that has said hello, MB: what is not the guest's own (the memory file). */
async function measureMemory() {
  if (!want('memory-python')) return;
  const own = await createPool({ image: hostImage(), platform: names[0], spares: 0, renewAfter: 10_000 });
  try {
    await measure('memory-python', 'private memory of the Sentry beside python3, MB', {
      ours: async () => {
        let spoke = () => {};
        const hello = new Promise((resolve) => {
          spoke = resolve;
        });
        const argv = ['/usr/bin/python3', '-c', 'print("hello", flush=True); import time; time.sleep(1000)'];
        const handle = own.run(spec(argv), { stdout: spoke });
        await Promise.race([hello, handle.ended]);
        const megabytes = privateMegabytes(sentryOf(own));
        handle.cancel();
        await handle.ended;
        return megabytes;
      },
    });
  } finally {
    await own.close();
  }
}

/** The one child of the pool's zygote: launcher, zygote, Sentry. */
function sentryOf(one) {
  const childrenOf = (pid) =>
    readdirSync('/proc').filter((name) => {
      if (!/^\d+$/.test(name) || !existsSync(`/proc/${name}/stat`)) return false;
      return readFileSync(`/proc/${name}/stat`, 'latin1').split(') ').at(-1).split(' ')[1] === String(pid);
    });
  const [zygote] = childrenOf(one.zygotePids()[0]);
  return childrenOf(zygote)[0];
}

/** Pages that only this process has, the memory file's not counted: those are the guest's. */
function privateMegabytes(pid) {
  let kilobytes = 0;
  let guest = false;
  for (const line of readFileSync(`/proc/${pid}/smaps`, 'latin1').split('\n')) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) guest = line.includes('/memfd:');
    const found = /^Private_(?:Clean|Dirty): +(\d+) kB/.exec(line);
    if (found && !guest) kilobytes += Number(found[1]);
  }
  return kilobytes / 1024;
}

/** Whole programs, timed from inside so that the sandbox's own start is not part of it. */
async function measurePrograms() {
  const lines = Array.from(
    { length: 1000 },
    (_, index) => `int f${index}(int x) {\n  return x * ${index} + (x >> 3);\n}`,
  );
  const script = (body) =>
    `import subprocess, sys, time, os\nstart = time.monotonic()\n${body}\nprint('{"value": %f}' % ((time.monotonic() - start) * 1e9))\n`;
  const call = (...argv) => `subprocess.run(${JSON.stringify(argv)}, check=True, stdout=subprocess.DEVNULL)`;
  const git = [
    'os.environ.update(HOME=os.getcwd(), GIT_CONFIG_NOSYSTEM="1")',
    'os.makedirs("r"); os.chdir("r")',
    // Of long ago: what changed in the second of its index git reads again, or not, as the second has it.
    'for d in range(40):\n  os.mkdir(f"d{d}")\n  for i in range(50):\n    open(f"d{d}/f{i}", "w").write(f"{d} {i}")\n    os.utime(f"d{d}/f{i}", (1e9, 1e9))',
    ...[
      ['init', '-q'],
      ['config', 'user.email', 'a@b.c'],
      ['config', 'user.name', 'a'],
      ['add', '.'],
      ['commit', '-qm', 'x'],
    ].map((args) => call('git', ...args)),
    'start = time.monotonic()',
    call('git', 'status', '--short'),
  ].join('\n');
  const programs = [
    ['cpu-python', 'CPU-bound Python, ns', script('x = 0\nfor i in range(3000000): x += i * i % 7'), []],
    ['gcc', 'gcc of 3,000 lines of C, ns', script(call('gcc', '-O1', '-c', 'big.c')), [['big.c', lines.join('\n')]]],
    ['git-status', 'git status of 2,000 files, ns', script(git), []],
    [
      'python-imports',
      'python3 -c "import json, asyncio, http.server", ns',
      script(call('python3', '-c', 'import json, asyncio, http.server')),
      [],
    ],
  ];
  for (const [name, label, source, more] of programs) {
    const files = [['bench.py', source], ...more];
    await measure(name, label, {
      native: () => {
        const directory = mkdtempSync(join(work, 'native-'));
        for (const [path, content] of files) writeFileSync(join(directory, path), content);
        return parse(execFileSync('taskset', ['-c', '0', 'python3', 'bench.py'], { cwd: directory, encoding: 'utf8' }));
      },
      ours: () => inSandbox(pool, files),
      ...onOthers((other) => inSandbox(other, files)),
    });
  }
}

async function inSandbox(one, files) {
  return parse(
    await runIn(
      one,
      ['/usr/bin/python3', 'bench.py'],
      files.map(([path, content]) => ({ path, mode: 0o644, content: Buffer.from(content) })),
    ),
  );
}

/** The whole stack: a started server, POST ?wait. */
async function benchServer() {
  const port = 18080;
  const key = 'bench-key-0123456789abcdef0123456789';
  const server = spawn(process.execPath, [join(ROOT, 'scripts', 'start.mjs')], {
    cwd: ROOT,
    env: { ...process.env, PORT: String(port), CORDON_DATA_DIR: join(work, 'data'), CORDON_API_KEY: key },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const post = (body, path = '/v1/executions?wait=30') =>
    new Promise((resolve, reject) => {
      const request = httpRequest(
        {
          agent,
          port,
          method: 'POST',
          path,
          headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        },
        (response) => {
          let text = '';
          response.on('data', (chunk) => {
            text += chunk;
          });
          response.on('end', () => resolve({ status: response.statusCode, body: text }));
        },
      );
      request.on('error', reject);
      request.end(JSON.stringify(body));
    });
  const once = async (body) => {
    const { status, body: text } = await post(body);
    if (status !== 200 || JSON.parse(text).state !== 'succeeded') throw new Error(`POST answered ${status}: ${text}`);
  };
  try {
    await ready(port);
    for (const [name, command] of [
      ['true', ['/bin/true']],
      ['python', ['/usr/bin/python3', '-c', '1']],
    ]) {
      for (let index = 0; index < 10; index++) await once({ command });
      await measure(`post-${name}`, `POST ?wait ${command.join(' ')}, ms`, {
        native: () => timed(command[0], command.slice(1)),
        ours: () => medianOf(20, () => once({ command })),
        runsc: runsc ? () => timed('runsc', ['--network=none', '--platform=ptrace', 'do', ...command]) : undefined,
      });
    }
    const { body } = await post({ audit: { level: 'off' } }, '/v1/sandboxes');
    const exec = `/v1/sandboxes/${JSON.parse(body).id}/exec`;
    await measure('sandbox-exec', 'exec of /bin/true in a sandbox that exists, ms', {
      ours: () => medianOf(20, () => post({ command: ['/bin/true'] }, exec)),
      execution: () => medianOf(20, () => once({ command: ['/bin/true'], audit: { level: 'off' } })),
    });
    for (const concurrency of [1, 2, 8]) {
      await measure(`rate-${concurrency}`, `POST ?wait /bin/true a second, ${concurrency} at once`, {
        ours: () => rate(concurrency, 3000, () => once({ command: ['/bin/true'] })),
      });
    }
    await measureJudge(post, once);
  } finally {
    agent.destroy();
    server.kill('SIGINT');
    await new Promise((resolve) => server.on('exit', resolve));
  }
}

/** A submission with 20 small tests, compiled before, beside one execution of its binary. */
async function measureJudge(post, once) {
  const source = readFileSync(join(HERE, 'programs', 'sum.cpp'), 'utf8');
  const binary = join(work, 'sum');
  execFileSync('g++', ['-O2', '-std=gnu++20', '-o', binary, join(HERE, 'programs', 'sum.cpp')]);
  const files = [{ path: 'sum', content: readFileSync(binary).toString('base64'), encoding: 'base64' }];
  const one = { command: ['./sum'], files, stdin: '1 2 3\n', audit: { level: 'off' }, network: 'none' };
  const tests = Array.from({ length: 20 }, (_, index) => ({ input: `${index} 2 3\n`, expected: `${index + 5}\n` }));
  const judge = async (parallel) => {
    const body = { runtime: 'cpp', source, tests, parallel };
    const { status, body: text } = await post(body, '/v1/submissions?wait=30');
    if (status !== 200 || JSON.parse(text).verdict !== 'AC') throw new Error(`POST answered ${status}: ${text}`);
  };
  for (const [name, parallel] of [
    ['judge-20', 1],
    ['judge-20-parallel', 2],
  ]) {
    await judge(parallel);
    await measure(name, `submission with 20 C++ tests, ${parallel} at once, ms`, {
      one: () => medianOf(20, () => once(one)),
      ours: () => medianOf(5, () => judge(parallel)),
    });
  }
}

async function medianOf(count, run) {
  const list = [];
  for (let index = 0; index < count; index++) {
    const start = performance.now();
    await run();
    list.push(performance.now() - start);
  }
  return list.sort((a, b) => a - b)[count >> 1];
}

async function rate(concurrency, milliseconds, run) {
  const start = performance.now();
  let done = 0;
  const worker = async () => {
    while (performance.now() - start < milliseconds) {
      await run();
      done++;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return done / ((performance.now() - start) / 1000);
}

/** Waits for /readyz, as a client would; bounded. */
async function ready(port) {
  const deadline = performance.now() + 60_000;
  while (performance.now() < deadline) {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    if (response?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the server did not become ready within a minute');
}
