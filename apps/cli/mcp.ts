import { Cordon } from '@cordon/client';
import { type Backend, ClientBackend, createServer, serveStdio } from '@cordon/mcp';
import { DirectBackend } from './mcp-direct.js';
import { UsageError } from './options.js';

/** Serves the Model Context Protocol on stdin and stdout until the client closes it. */
export async function serveMcp(options: readonly string[]): Promise<number> {
  if (options.length > 0) throw new UsageError('mcp takes no options: CORDON_URL and CORDON_API_KEY say where to');
  const url = process.env.CORDON_URL ?? '';
  const direct = url === '' ? new DirectBackend() : null;
  const backend: Backend = direct ?? remote(url);
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

function remote(url: string): Backend {
  const apiKey = process.env.CORDON_API_KEY;
  if (!apiKey) throw new UsageError('CORDON_URL needs CORDON_API_KEY');
  return new ClientBackend(new Cordon({ url, apiKey }));
}
