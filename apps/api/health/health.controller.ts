import { Controller, Get, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiServiceUnavailableResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { AggregatorRegistry, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { ExecutionsService } from '../executions/executions.service.js';
import { rejects } from '../http/rejects.js';

const REDIS_TIMEOUT_MS = 2_000;

class HealthDto {
  @ApiProperty({ enum: ['ok'] }) status!: string;
}

class ReadinessDto {
  @ApiProperty({ enum: ['ready', 'not ready'] }) status!: string;
  @ApiProperty({ description: 'The store answers' }) redis!: boolean;
  @ApiProperty({ type: 'integer', description: 'Live workers' }) workers!: number;
}

@ApiTags('service')
@Controller()
export class HealthController {
  private readonly metrics = new Registry();

  constructor(private readonly executions: ExecutionsService) {
    collectDefaultMetrics({ register: this.metrics });
    this.metrics.registerMetric(rejects);
    const jobs: Gauge = new Gauge({
      name: 'cordon_executions',
      help: 'Executions that wait and that run, of all keys',
      labelNames: ['state'],
      registers: [this.metrics],
      collect: () => this.count(jobs),
    });
    const workers: Gauge = new Gauge({
      name: 'cordon_workers',
      help: 'Live workers',
      registers: [this.metrics],
      collect: async () => workers.set((await this.executions.registry.workers()).length),
    });
  }

  private async count(gauge: Gauge): Promise<void> {
    for (const [state, value] of Object.entries(await this.executions.counts())) gauge.set({ state }, value);
  }

  @Get('healthz')
  @ApiOperation({ summary: 'The process lives' })
  @ApiOkResponse({ type: HealthDto })
  health(): HealthDto {
    return { status: 'ok' };
  }

  /** Ready: Redis answers and a worker is there. */
  @Get('readyz')
  @ApiOperation({ summary: 'Executions can be accepted and run' })
  @ApiOkResponse({ type: ReadinessDto })
  @ApiServiceUnavailableResponse({ type: ReadinessDto, description: 'Not now' })
  async ready(@Res() reply: FastifyReply): Promise<void> {
    const [redis, workers] = await Promise.all([this.pings(), this.countWorkers()]);
    const ready = redis && workers > 0;
    reply.status(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready', redis, workers });
  }

  @Get('metrics')
  @ApiOperation({ summary: 'Metrics of the API and of all live workers, for Prometheus' })
  @ApiOkResponse({ description: 'Text exposition', content: { 'text/plain': { schema: { type: 'string' } } } })
  async prometheus(@Res() reply: FastifyReply): Promise<void> {
    const snapshots = await this.executions.registry.metrics();
    const workers = AggregatorRegistry.aggregate(snapshots.map((text) => JSON.parse(text)));
    reply.type(this.metrics.contentType).send(`${await this.metrics.metrics()}\n${await workers.metrics()}`);
  }

  private async pings(): Promise<boolean> {
    return within(
      this.executions.redis.ping().then(() => true),
      false,
    );
  }

  private async countWorkers(): Promise<number> {
    return within(
      this.executions.registry.workers().then((workers) => workers.length),
      0,
    );
  }
}

/** What a promise gives, or `otherwise` when it fails or takes too long. */
async function within<T>(promise: Promise<T>, otherwise: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), REDIS_TIMEOUT_MS);
  });
  try {
    return await Promise.race([promise.catch(() => otherwise), late]);
  } finally {
    clearTimeout(timer);
  }
}
