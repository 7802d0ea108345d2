// Measures the pool: node libs/pool/bench/pool.mjs [--stand-in [--platform]] [--rounds N]
// Fork to ready, wake of a ready spare to its first JavaScript, memory of an idle Sentry. Ratios travel, times don't.
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { hostImage } from '@cordon/images';
import { encodeFrame } from '@cordon/pool/frame-reader';
import { Pool } from '@cordon/pool/pool';
import { SentryProcess } from '@cordon/pool/sentry-process';

const { values } = parseArgs({
  options: {
    'stand-in': { type: 'boolean' },
    platform: { type: 'boolean' },
    rounds: { type: 'string', default: '200' },
    rehearsals: { type: 'string', default: '3' },
  },
});
const rounds = Number(values.rounds);
const standIn = new URL(values.platform ? '../test/stand-in-platform.mjs' : '../test/stand-in.mjs', import.meta.url)
  .href;
const pool = new Pool(
  {
    image: hostImage(),
    platform: 'auto',
    spares: 1,
    renewAfter: 1e6,
    rehearsals: values['stand-in'] ? 0 : Number(values.rehearsals),
    log: (line) => console.error(line),
  },
  values['stand-in'] ? { sentryModule: standIn } : {},
);
const before = performance.now();
await pool.start();
console.log(`zygote and first spare      ${(performance.now() - before).toFixed(0)} ms`);

function show(what, samples, unit) {
  samples.sort((one, other) => one - other);
  const at = (share) => samples[Math.min(samples.length - 1, Math.floor(samples.length * share))].toFixed(3);
  console.log(`${what.padEnd(28)}median ${at(0.5)}  p90 ${at(0.9)}  p99 ${at(0.99)} ${unit}`);
}

/** Host pids below a launcher that are no launcher and no zygote. */
function sentryPids(launcher) {
  const children = (pid) =>
    readdirSync(`/proc/${pid}/task`).flatMap((tid) =>
      readFileSync(`/proc/${pid}/task/${tid}/children`, 'latin1').split(' ').filter(Boolean).map(Number),
    );
  return children(launcher).flatMap(children);
}

function memory(pid) {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)[1]) / 1024;
  return { private: field('Private_Dirty') + field('Private_Clean'), proportional: field('Pss') };
}

const [launcher] = pool.zygotePids();
const zygote = pool.newestZygote();

const fresh = [];
for (let round = 0; round < rounds; round++) {
  const start = performance.now();
  await new Promise((resolve) => {
    const sentry = new SentryProcess(zygote, pool.cores[0], () => {
      if (sentry.ended) resolve();
      else if (sentry.ready) {
        fresh.push(performance.now() - start);
        sentry.kill();
      }
    });
  });
}
show('fork to Ready frame', fresh, 'ms');

if (values['stand-in']) {
  // Only the stand-in tells when its first JavaScript ran.
  const fork = [];
  const wake = [];
  for (let round = 0; round < rounds; round++) {
    let over;
    const ended = new Promise((resolve) => {
      over = resolve;
    });
    const start = process.hrtime.bigint();
    const sentry = await new Promise((resolve) => {
      const one = new SentryProcess(zygote, pool.cores[0], () => (one.ended ? over() : one.ready && resolve(one)));
    });
    await new Promise((resolve) => setTimeout(resolve, 5));
    const [forked, woken] = await new Promise((resolve) => {
      const message = Buffer.from('{"argv":["clock"]}');
      const length = Buffer.alloc(4);
      length.writeUInt32LE(message.length);
      const frame = encodeFrame(1, Buffer.concat([length, message]));
      let sent = 0n;
      sentry.attach(
        (type, payload) => {
          if (type === 66) resolve([...payload.toString().split(' ').map(BigInt), sent]);
        },
        () => {},
      );
      sent = process.hrtime.bigint();
      sentry.send(frame);
    }).then(([forked, woken, sent]) => [forked, woken - sent]);
    await ended;
    fork.push(Number(forked - start) / 1e6);
    wake.push(Number(woken) / 1e6);
  }
  show('fork to first JavaScript', fork, 'ms');
  show('spare: wake to JavaScript', wake, 'ms');
}

const idle = [];
const many = await Promise.all(
  Array.from(
    { length: 20 },
    (_, index) =>
      new Promise((resolve) => {
        const sentry = new SentryProcess(
          zygote,
          pool.cores[index % pool.cores.length],
          () => sentry.ready && resolve(sentry),
        );
      }),
  ),
);
await new Promise((resolve) => setTimeout(resolve, 300));
for (const pid of sentryPids(launcher)) idle.push(memory(pid));
show(
  'private memory, idle',
  idle.map((one) => one.private),
  'MB',
);
show(
  'proportional (20 siblings)',
  idle.map((one) => one.proportional),
  'MB',
);
for (const sentry of many) sentry.kill();
await pool.close();
