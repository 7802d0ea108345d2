import { parseArgs } from 'node:util';
import type { PlatformChoice } from '@cordon/pool/types';
import { PLATFORM_NAMES } from '@cordon/sentry/platform/choose';
import type { ProfileForm } from './profile.js';
import type { TerminalChoice } from './terminal.js';

export interface RunOptions {
  readonly memoryBytes: number;
  readonly wallTimeMs: number;
  readonly cpuTimeMs: number;
  readonly processes: number;
  readonly network: 'none' | 'loopback';
  readonly platform: PlatformChoice;
  readonly env: readonly string[];
  readonly cwd: string;
  readonly json: boolean;
  /** Where the time went, to stderr behind the run; null: not measured. */
  readonly profile: ProfileForm | null;
  readonly terminal: TerminalChoice;
  readonly uid: number;
  readonly files: readonly { readonly path: string; readonly source: string }[];
  /** Trace only: where the trace goes, which calls, whether with times. */
  readonly output: string | null;
  readonly filter: readonly string[] | null;
  readonly command: readonly string[];
}

/** A wrong command line: printed with a pointer to --help, exit status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const BYTE_UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** "512m" -> bytes. */
export function parseBytes(text: string, option: string): number {
  const match = /^(\d+(?:\.\d+)?)([kmg]?)i?b?$/i.exec(text);
  if (!match) throw new UsageError(`${option}: "${text}" is no size; write for example 256m`);
  return Math.floor(Number(match[1]) * BYTE_UNITS[match[2].toLowerCase()]);
}

const TIME_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, '': 1000, m: 60_000, h: 3_600_000 };

/** "1.5s", "200ms", "2m", plain seconds -> milliseconds. */
export function parseTime(text: string, option: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|)$/.exec(text);
  if (!match) throw new UsageError(`${option}: "${text}" is no time; write for example 10s`);
  return Math.max(1, Math.floor(Number(match[1]) * TIME_UNITS[match[2]]));
}

function parseCount(text: string, option: string): number {
  if (!/^\d+$/.test(text) || Number(text) < 1) throw new UsageError(`${option}: "${text}" is no positive number`);
  return Number(text);
}

function oneOf<T extends string>(text: string, choices: readonly T[], option: string): T {
  const choice = choices.find((candidate) => candidate === text);
  if (!choice) throw new UsageError(`${option}: "${text}" is none of ${choices.join(', ')}`);
  return choice;
}

/** Options end at the first word that is none (or at `--`): the rest is the program with its arguments. */
export function parseRunOptions(args: readonly string[]): RunOptions {
  const split = programStart(args);
  let values: ReturnType<typeof parse>['values'];
  try {
    values = parse(args.slice(0, split)).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const command = args.slice(args[split] === '--' ? split + 1 : split);
  if (command.length === 0) throw new UsageError('no program given');
  for (const pair of values.env ?? []) {
    if (!/^[^=]+=/.test(pair)) throw new UsageError(`--env: "${pair}" is not NAME=VALUE`);
  }
  return {
    memoryBytes: parseBytes(values.memory, '--memory'),
    wallTimeMs: parseTime(values.time, '--time'),
    cpuTimeMs: parseTime(values.cpu ?? values.time, '--cpu'),
    processes: parseCount(values.processes, '--processes'),
    network: oneOf(values.net, ['none', 'loopback'], '--net'),
    platform: oneOf(values.platform, ['auto', ...PLATFORM_NAMES], '--platform'),
    env: values.env ?? [],
    cwd: values.cwd,
    json: values.json,
    profile: values.profile === undefined ? null : oneOf<ProfileForm>(values.profile, ['table', 'json'], '--profile'),
    terminal: values.terminal ? 'yes' : values['no-terminal'] ? 'no' : 'auto',
    uid: Number(values.uid),
    files: (values.file ?? []).map(parseFile),
    output: values.output ?? null,
    filter: values.filter ? values.filter.split(',') : null,
    command,
  };
}

function parseFile(text: string): { path: string; source: string } {
  const [source, path] = text.split(':');
  return { source, path: path ?? source.split('/').at(-1) ?? source };
}

const OPTIONS = {
  memory: { type: 'string', default: '1g' },
  time: { type: 'string', default: '1h' },
  cpu: { type: 'string' },
  processes: { type: 'string', default: '1024' },
  net: { type: 'string', default: 'loopback' },
  platform: { type: 'string', default: 'auto' },
  env: { type: 'string', multiple: true },
  cwd: { type: 'string', default: '/work' },
  uid: { type: 'string', default: '1000' },
  file: { type: 'string', multiple: true },
  json: { type: 'boolean', default: false },
  profile: { type: 'string' },
  terminal: { type: 'boolean', short: 't', default: false },
  'no-terminal': { type: 'boolean', default: false },
  output: { type: 'string', short: 'o' },
  filter: { type: 'string', short: 'e' },
} as const;

function parse(args: readonly string[]) {
  // A value is optional there, and only behind "=".
  const given = args.map((argument) => (argument === '--profile' ? '--profile=table' : argument));
  return parseArgs({ args: given, options: OPTIONS, strict: true });
}

/** Index of the first argument that belongs to the program. */
function programStart(args: readonly string[]): number {
  for (let index = 0; index < args.length; index++) {
    const argument = args[index];
    if (argument === '--' || !argument.startsWith('-')) return index;
    const name = argument.startsWith('--')
      ? argument.slice(2)
      : Object.entries(OPTIONS).find(([, option]) => 'short' in option && option.short === argument[1])?.[0];
    const option = name && name in OPTIONS ? OPTIONS[name as keyof typeof OPTIONS] : undefined;
    if (option?.type === 'string' && option !== OPTIONS.profile && !argument.includes('=')) index++;
  }
  return args.length;
}
