import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { WorkerModule } from './worker.module.js';
import { WorkerSettings } from './worker.settings.js';

const app = await NestFactory.createApplicationContext(WorkerModule.with(WorkerSettings.fromEnvironment(process.env)), {
  logger: ['error', 'warn'],
});

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
