import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ContextLanguage } from '@cordon/contracts';
import { ShellWire } from './shell-wire.js';
import { JsonWire, type Wire } from './wire.js';

/** The sources as they lie in the project: this file is apps/worker/dist/contexts/drivers.js. */
const FOLDER = new URL('../../contexts/drivers/', import.meta.url);
const source = (name: string): string => readFileSync(fileURLToPath(new URL(name, FOLDER)), 'utf8');

const python = source('python.py');
const javascript = source('node.cjs');
const bash = source('bash.sh');

export interface Driver {
  readonly argv: readonly string[];
  /** Its own, beside what the context was given. */
  readonly env?: Readonly<Record<string, string>>;
  /** It loses an interrupt that finds it between fork and exec of a program, so that those who insist say it again. */
  readonly interruptLost?: boolean;
  wire(): Wire;
}

/** The programs are arguments, not files: nothing in the sandbox can change them, and nothing is left behind. */
export const DRIVERS: Readonly<Record<ContextLanguage, Driver>> = {
  python: {
    // -u: what is printed leaves at once.
    argv: ['python3', '-u', '-c', 'import sys; exec(compile(sys.argv.pop(), "<cordon>", "exec"))', python],
    wire: () => new JsonWire(false),
  },
  javascript: {
    // Node has no dup(2). Its parser is for imports, and a terminated timer must not end it.
    argv: [
      '/bin/sh',
      '-c',
      'exec "$@" 3<&0 4>&1 </dev/null',
      'sh',
      'node',
      '--expose-internals',
      '--no-force-async-hooks-checks',
      '--no-warnings',
      '-e',
      javascript,
    ],
    // The signal alone does not reach the code.
    wire: () => new JsonWire(true),
  },
  bash: {
    argv: ['bash', '--noprofile', '--norc', '--noediting', '-i', '-s', bash],
    env: { PS1: '', PS2: '' },
    interruptLost: true,
    wire: () => new ShellWire(),
  },
};
