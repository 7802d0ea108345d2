import { createApp } from './app.js';
import { ApiSettings } from './settings.js';

const settings = ApiSettings.fromEnvironment(process.env);
const app = await createApp(settings);
await app.listen(settings.port, settings.host);

let stopping = false;
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  await app.close();
  process.exit(0);
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
// Started by the all-in-one supervisor: its end is ours.
if (process.send) process.on('disconnect', stop);
process.send?.('ready');
