import type { ExecutionJob } from '@cordon/contracts';
import { type Job, Queue, WaitingError, Worker } from 'bullmq';
import { connect } from './connection.js';
import { PREFIX, QUEUE_EXECUTIONS } from './names.js';

/** Attempts after a worker was lost: the job runs once more, then the execution ends as `error`. */
export const MAX_ATTEMPTS = 2;
const LOCK_MS = 15_000;

/** The API's side. */
export class JobQueue {
  private readonly queue: Queue<ExecutionJob>;

  constructor(url: string) {
    this.queue = new Queue(QUEUE_EXECUTIONS, { connection: connect(url, { maxRetriesPerRequest: 1 }), prefix: PREFIX });
    this.queue.on('error', () => undefined);
  }

  async add(job: ExecutionJob): Promise<void> {
    await this.queue.add('execute', job, { jobId: job.id, removeOnComplete: true, removeOnFail: true });
  }

  /** Takes a waiting job out; false when it is running or gone. */
  async remove(id: string): Promise<boolean> {
    const job = await this.queue.getJob(id);
    if (!job) return false;
    return job.remove().then(
      () => true,
      () => false,
    );
  }

  counts(): Promise<Record<string, number>> {
    return this.queue.getJobCounts('waiting', 'active', 'delayed');
  }

  async close(): Promise<void> {
    await this.queue.close();
  }
}

/**
 * The worker's side: calls `run` for each job, `concurrency` at once; a job handed back waits for another worker. A lost worker's
 * jobs come again after the lock ran out; one that failed for good is told to `lost`.
 */
export function consume(
  url: string,
  concurrency: number,
  run: (job: ExecutionJob) => Promise<'done' | 'hand-back'>,
  lost: (id: string, reason: string) => Promise<void>,
): Worker<ExecutionJob> {
  const process = async (job: Job<ExecutionJob>, token?: string): Promise<void> => {
    if ((await run(job.data)) === 'done') return;
    await job.moveToWait(token);
    throw new WaitingError();
  };
  const worker = new Worker<ExecutionJob>(QUEUE_EXECUTIONS, process, {
    connection: connect(url),
    prefix: PREFIX,
    concurrency,
    lockDuration: LOCK_MS,
    stalledInterval: LOCK_MS / 3,
    maxStalledCount: MAX_ATTEMPTS - 1,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
  });
  worker.on('error', () => undefined);
  worker.on('failed', (job, error) => {
    if (job?.id) void lost(job.id, /stalled/.test(error.message) ? 'its workers were lost' : error.message);
  });
  return worker;
}
