// Runs the real clients against CORDON_URL, call by call, and prints what became of each. A client is a file of `clients/` that
// exports `clients`: [{ name, version, open(context) -> state, calls: [[label, async (state) => note?]] , close?(state) }].
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const CALL_MS = 60_000;
const { values } = parseArgs({ options: { only: { type: 'string' } } });
const wanted = values.only?.split(',');
const context = { url: process.env.CORDON_URL, key: process.env.CORDON_KEY };
if (!context.url || !context.key)
  throw new Error('CORDON_URL and CORDON_KEY say which server: npm run compat sets them');

const limited = (work) =>
  Promise.race([
    work,
    new Promise((_resolve, reject) => {
      setTimeout(() => reject(new Error(`no end after ${CALL_MS} ms`)), CALL_MS).unref();
    }),
  ]);

const rows = [];
const print = (client, label, ok, note) => {
  rows.push(ok);
  const told = note ? `  ${String(note).replace(/\s+/g, ' ').slice(0, 160)}` : '';
  console.log(
    `${ok ? 'ok    ' : 'FAILED'}  ${client.name.padEnd(26)} ${client.version.padEnd(9)} ${label.padEnd(44)}${told}`,
  );
};

async function drive(client) {
  let state;
  try {
    state = await limited(Promise.resolve(client.open(context)));
  } catch (error) {
    print(client, 'open', false, error.stack ?? error);
    return;
  }
  for (const [label, call] of client.calls) {
    try {
      print(client, label, true, await limited(call(state)));
    } catch (error) {
      print(client, label, false, error.stack ?? JSON.stringify(error));
    }
  }
  await limited(Promise.resolve(client.close?.(state))).catch(() => undefined);
}

const directory = join(import.meta.dirname, 'clients');
for (const file of readdirSync(directory).sort()) {
  if (!file.endsWith('.mjs')) continue;
  const { clients } = await import(join(directory, file));
  for (const client of clients) if (!wanted || wanted.some((name) => client.name.startsWith(name))) await drive(client);
}
const failed = rows.filter((ok) => !ok).length;
console.log(`${rows.length - failed} passed, ${failed} failed, 0 skipped`);
// Clients keep connections and timers.
process.exit(failed === 0 && rows.length > 0 ? 0 : 1);
