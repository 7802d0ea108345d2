import { createApp } from './app.js';
import { ApiSettings } from './settings.js';

const settings = ApiSettings.fromEnvironment(process.env);
const app = await createApp(settings);
await app.listen(settings.port, settings.host).catch((error: Error) => {
  console.error(`cordon: cannot listen on ${settings.host}:${settings.port}: ${error.message}`);
  process.exit(1);
});

/** How long an orphan may take to end in order. */
const ORPHAN_MS = 3_000;
let stopping = false;
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  await app.close();
  process.exit(0);
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
// Started by the all-in-one supervisor: its end is ours, and soon: Redis is going too.
if (process.send) {
  process.on('disconnect', () => {
    setTimeout(() => process.exit(1), ORPHAN_MS);
    void stop();
  });
}
process.send?.('ready');
