import { Cordon } from '@cordon/client';
import { type Backend, ClientBackend, createServer, IDLE_SECONDS, serveStdio } from '@cordon/mcp';
import { DirectBackend } from './mcp-direct.js';
import { parseTime, UsageError } from './options.js';

/** As the server bounds it. */
const IDLE_MOST_SECONDS = 86_400;

/** Seconds after which an idle sandbox ends. */
function idleOf(options: readonly string[]): number {
  const [name, value, ...rest] = options;
  if (name === undefined) return IDLE_SECONDS;
  if (name !== '--idle' || value === undefined || rest.length > 0)
    throw new UsageError('mcp takes --idle TIME alone: CORDON_URL and CORDON_API_KEY say where to');
  const seconds = Math.ceil(parseTime(value, name) / 1000);
  if (seconds > IDLE_MOST_SECONDS) throw new UsageError(`--idle: at most ${IDLE_MOST_SECONDS / 3600}h`);
  return seconds;
}

/** Serves the Model Context Protocol on stdin and stdout until the client closes it. */
export async function serveMcp(options: readonly string[]): Promise<number> {
  const idleSeconds = idleOf(options);
  const url = process.env.CORDON_URL ?? '';
  const direct = url === '' ? new DirectBackend(idleSeconds) : null;
  const backend: Backend = direct ?? remote(url, idleSeconds);
  // Stdout is the protocol's.
  const handle = serveStdio(() => createServer(backend), {
    onerror: (error) => process.stderr.write(`cordon: ${error.message}\n`),
  });
  await new Promise<void>((resolve) => {
    process.stdin.once('end', resolve);
    process.stdin.once('close', resolve);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, resolve);
  });
  await handle.close();
  await direct?.close();
  return 0;
}

function remote(url: string, idleSeconds: number): Backend {
  const apiKey = process.env.CORDON_API_KEY;
  if (!apiKey) throw new UsageError('CORDON_URL needs CORDON_API_KEY');
  return new ClientBackend(new Cordon({ url, apiKey }), idleSeconds);
}
