import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { PlatformName } from './create-execution.dto.js';
import type { ExecutionLimits } from './limits.js';
import type { CompilationDto, JudgeJob, JudgeOutcome } from './submission.js';
import { TimelineDto, type TimelineStart } from './timeline.js';

export const STATES = [
  'queued',
  'running',
  'succeeded',
  'failed',
  'timed_out',
  'cpu_exceeded',
  'memory_exceeded',
  'output_exceeded',
  'canceled',
  'error',
] as const;
export type ExecutionState = (typeof STATES)[number];

/** Interactive work runs before batch work. */
export const PRIORITIES = ['interactive', 'batch'] as const;
export type Priority = (typeof PRIORITIES)[number];

export const isTerminal = (state: ExecutionState): boolean => state !== 'queued' && state !== 'running';

export class UsageDto {
  @ApiProperty() wallMs!: number;
  @ApiProperty() cpuMs!: number;
  @ApiProperty() memoryPeakBytes!: number;
  @ApiProperty() syscalls!: number;
}

export class AuditSummaryDto {
  @ApiProperty({ enum: ['off', 'security', 'full'] }) level!: 'off' | 'security' | 'full';
  @ApiProperty() records!: number;
  @ApiProperty({ description: 'The byte budget ended the recording' }) truncated!: boolean;
}

/** An execution as the API shows it. Output is text, or base64 where it is not valid UTF-8. */
export class ExecutionDto {
  @ApiProperty() id!: string;
  @ApiProperty({ enum: STATES }) state!: ExecutionState;
  @ApiProperty({ type: 'integer', nullable: true }) exitCode!: number | null;
  @ApiProperty({ type: String, nullable: true, example: 'SIGKILL' }) signal!: string | null;
  @ApiProperty() stdout!: string;
  @ApiProperty({ enum: ['utf8', 'base64'] }) stdoutEncoding!: 'utf8' | 'base64';
  @ApiProperty() stderr!: string;
  @ApiProperty({ enum: ['utf8', 'base64'] }) stderrEncoding!: 'utf8' | 'base64';
  @ApiProperty() stdoutTruncated!: boolean;
  @ApiProperty() stderrTruncated!: boolean;
  @ApiProperty({ type: String, nullable: true, description: 'Why it could not run, in one line' }) detail!:
    | string
    | null;
  @ApiProperty({ type: UsageDto, nullable: true }) usage!: UsageDto | null;
  @ApiProperty({ type: AuditSummaryDto }) audit!: AuditSummaryDto;
  @ApiProperty({ type: String, nullable: true }) runtime!: string | null;
  @ApiProperty({ type: 'object', additionalProperties: { type: 'string' } }) labels!: Record<string, string>;
  @ApiProperty({ enum: PRIORITIES }) priority!: Priority;
  @ApiProperty({ format: 'date-time' }) createdAt!: string;
  @ApiProperty({ type: String, nullable: true }) startedAt!: string | null;
  @ApiProperty({ type: String, nullable: true }) finishedAt!: string | null;
  @ApiProperty({ type: String, nullable: true }) platform!: string | null;
  @ApiPropertyOptional({ type: TimelineDto, description: 'Of an execution that has ended and asked for it' })
  timeline?: TimelineDto;
}

export class ExecutionListDto {
  @ApiProperty({ type: [ExecutionDto] }) items!: ExecutionDto[];
  @ApiProperty({ type: String, nullable: true, description: 'Pass as ?cursor= for the next page' }) nextCursor!:
    | string
    | null;
}

export class RuntimeDto {
  @ApiProperty() id!: string;
  @ApiProperty() name!: string;
  @ApiProperty() version!: string;
  @ApiProperty({ type: [String] }) aliases!: string[];
  @ApiProperty({ description: 'Where the source goes; one of Java is named after its public class, if it has one' })
  fileName!: string;
  @ApiProperty({ description: 'True when the source is compiled first' }) compiled!: boolean;
}

export class WorkerDto {
  @ApiProperty() id!: string;
  @ApiProperty() host!: string;
  @ApiProperty({ type: 'integer', description: 'Executions at once' }) concurrency!: number;
  @ApiProperty({ example: 'systrap', description: 'Its own choice' }) platform!: string;
  @ApiProperty({ type: [String], example: ['systrap', 'ptrace'], description: 'Those that a request may name' })
  platforms!: string[];
  @ApiProperty({ format: 'date-time' }) startedAt!: string;
}

/** Where a program is not run as its runtime says; what other services' requests ask for. */
export interface ProgramVariant {
  /** Behind the runtime's compile command. */
  readonly compileArgs?: readonly string[];
  /** Of a job with a command: what makes it, in a sandbox of its own. */
  readonly compileCommand?: readonly string[];
  /** RLIMIT_STACK, KiB. */
  readonly stackKib?: number;
  /** Descriptor 2 is descriptor 1. */
  readonly mergeStderr?: boolean;
  /** So many runs, as long as they exit with 0 and write `expected` (null: anything); usage is their mean. */
  readonly repeat?: { readonly runs: number; readonly expected: string | null };
}

/** What a job carries from the API to a worker: validated, defaults filled in. */
export interface ExecutionJob {
  readonly id: string;
  readonly runtime: string | null;
  readonly source: string | null;
  readonly command: readonly string[] | null;
  readonly args: readonly string[];
  readonly files: readonly { readonly path: string; readonly base64: string }[];
  /** base64 */
  readonly stdin: string;
  /** stdin stays open behind it. */
  readonly interactive?: boolean;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly limits: ExecutionLimits;
  readonly auditLevel: 'off' | 'security' | 'full';
  readonly network: 'none' | 'loopback';
  /** Absent: as the worker chooses. */
  readonly platform?: Exclude<PlatformName, 'auto'>;
  /** Present: its timeline is wanted. */
  readonly timeline?: TimelineStart;
  readonly variant?: ProgramVariant;
  /** Present: compiled in a sandbox of its own within these limits, and run in another. */
  readonly compileLimits?: ExecutionLimits;
  /** Present: a submission, to be judged. */
  readonly judge?: JudgeJob;
}

/** What the worker knows at the end. */
export type ExecutionResult = Pick<
  ExecutionDto,
  | 'exitCode'
  | 'signal'
  | 'stdout'
  | 'stdoutEncoding'
  | 'stderr'
  | 'stderrEncoding'
  | 'stdoutTruncated'
  | 'stderrTruncated'
  | 'detail'
  | 'usage'
  | 'platform'
  | 'timeline'
> & {
  readonly auditRecords: number;
  readonly auditTruncated: boolean;
  readonly judged?: JudgeOutcome;
  /** Of a job with `compileLimits`. */
  readonly compilation?: CompilationDto;
};
