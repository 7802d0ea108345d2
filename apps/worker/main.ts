import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { WorkerModule } from './worker.module.js';
import { WorkerSettings } from './worker.settings.js';

const app = await NestFactory.createApplicationContext(WorkerModule.with(WorkerSettings.fromEnvironment(process.env)), {
  logger: ['error', 'warn'],
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
