// Writes the system call compatibility table into README.md, from the rows of libs/sentry/syscalls. `--check` only compares.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SYS } from '../libs/sentry/dist/abi/syscall-numbers.js';
import { ROWS } from '../libs/sentry/dist/syscalls/table.js';
import { fail, ROOT } from './lib/project.mjs';

const START = '<!-- compat-table:start -->';
const END = '<!-- compat-table:end -->';

const code = (name) => `\`${name}\``;
const byNumber = (one, other) => SYS[one.name] - SYS[other.name];
const of = (support) => ROWS.filter((row) => row.support === support).sort(byNumber);

function table() {
  const full = of('full');
  const partial = of('partial');
  const refused = of('refused');
  const total = Object.keys(SYS).length;
  const absent = Object.keys(SYS).filter((name) => !ROWS.some((row) => row.name === name));
  const rows = (list) => list.map(({ name, note }) => `| ${SYS[name]} | ${code(name)} | ${note ?? ''} |`).join('\n');
  return `Generated from \`libs/sentry/syscalls\` by \`npm run compat-table\`. Of Linux's ${total} calls: ${full.length} full, ${partial.length} partial,
${refused.length} refused on purpose, ${absent.length} unknown (ENOSYS, and recorded).

**Full:** ${full.map(({ name }) => code(name)).join(' ')}

<details><summary>Partial: ${partial.length} calls and what is missing</summary>

| nr | call | caveat |
|---|---|---|
${rows(partial)}

</details>

<details><summary>Refused: ${refused.length} calls and why</summary>

| nr | call | answer |
|---|---|---|
${rows(refused)}

</details>

**Unknown:** ${absent.map(code).join(' ')}`;
}

const file = join(ROOT, 'README.md');
const text = readFileSync(file, 'utf8');
const start = text.indexOf(START);
const end = text.indexOf(END);
if (start < 0 || end < start) fail('README.md has no compat-table markers');
const fresh = `${text.slice(0, start + START.length)}\n${table()}\n${text.slice(end)}`;
if (!process.argv.includes('--check')) writeFileSync(file, fresh);
else if (fresh !== text) fail('the table in README.md is out of date: npm run compat-table');
