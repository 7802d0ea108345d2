import { type DynamicModule, Module } from '@nestjs/common';
import { WorkerService } from './worker.service.js';
import { WorkerSettings } from './worker.settings.js';

@Module({})
export class WorkerModule {
  static with(settings: WorkerSettings): DynamicModule {
    return { module: WorkerModule, providers: [{ provide: WorkerSettings, useValue: settings }, WorkerService] };
  }
}
