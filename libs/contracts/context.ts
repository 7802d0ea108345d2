import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsInt, IsObject, IsOptional, IsString, Max, MaxLength, Min, MinLength } from 'class-validator';
import { REQUEST_LIMITS } from './limits.js';

export const CONTEXT_LANGUAGES = ['python', 'javascript', 'bash'] as const;
export type ContextLanguage = (typeof CONTEXT_LANGUAGES)[number];
/** Contexts of one sandbox at once. */
export const CONTEXTS_MOST = 16;
/** Runs of one context that may wait for their turn. */
export const CONTEXT_QUEUE_MOST = 32;
/** Characters of all representations of one result; the largest are left out before. */
export const CONTEXT_RESULT_BYTES = 8 << 20;
/** Characters of each output stream, and of all results, that a waiting run answers with. */
export const CONTEXT_OUTPUT_BYTES = 1 << 20;
export const CONTEXT_OUTCOMES = ['ok', 'error', 'timed_out', 'interrupted', 'died'] as const;
export type ContextOutcome = (typeof CONTEXT_OUTCOMES)[number];

/** What comes of a run, in order; `end` is the last. */
export type ContextEvent =
  | { readonly type: 'stdout' | 'stderr'; readonly text: string }
  /** `main`: the value of the last expression. `data`: by MIME type, binary ones as base64. */
  | { readonly type: 'result'; readonly main: boolean; readonly data: Readonly<Record<string, string>> }
  | { readonly type: 'error'; readonly name: string; readonly value: string; readonly traceback: string }
  | {
      readonly type: 'end';
      readonly executionCount: number;
      readonly outcome: ContextOutcome;
      /** Of the last command of a shell, or with which the interpreter exited; null otherwise. */
      readonly exitCode: number | null;
    };

export interface CreateContext {
  readonly language: ContextLanguage;
  readonly cwd?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** As root of the sandbox. */
  readonly root?: boolean | undefined;
}

export interface RunInContext {
  readonly code: string;
  /** Interrupted after so long, killed when that does not end it. */
  readonly timeoutMs?: number | undefined;
  /** For this run only. */
  readonly env?: Readonly<Record<string, string>> | undefined;
}

export class CreateContextDto implements CreateContext {
  @ApiProperty({ enum: CONTEXT_LANGUAGES })
  @IsIn(CONTEXT_LANGUAGES)
  language!: ContextLanguage;

  @ApiPropertyOptional({ default: '/work', description: 'Absolute, or relative to /work', maxLength: 4095 })
  @IsOptional()
  @IsString()
  @MinLength(1)
  @MaxLength(4095)
  cwd?: string;

  @ApiPropertyOptional({ type: 'object', additionalProperties: { type: 'string' } })
  @IsOptional()
  @IsObject()
  env?: Record<string, string>;
}

export class RunInContextDto implements RunInContext {
  @ApiProperty({ maxLength: REQUEST_LIMITS.sourceBytes })
  @IsString()
  @MaxLength(REQUEST_LIMITS.sourceBytes)
  code!: string;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: 86_400_000,
    description: 'Interrupted after so long; code that does not stop within 2 seconds then is killed with its context',
  })
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(86_400_000)
  timeoutMs?: number;

  @ApiPropertyOptional({
    type: 'object',
    additionalProperties: { type: 'string' },
    description: 'Environment for this run only',
  })
  @IsOptional()
  @IsObject()
  env?: Record<string, string>;
}

/** A code context as the API shows it. */
export class ContextDto {
  @ApiProperty({ example: 'ctx_0123456789abcdef' }) id!: string;
  @ApiProperty({ enum: CONTEXT_LANGUAGES }) language!: ContextLanguage;
  @ApiProperty() cwd!: string;
  @ApiProperty({ enum: ['idle', 'busy', 'dead'], description: 'dead: its interpreter has ended; restart it' })
  state!: 'idle' | 'busy' | 'dead';
  @ApiProperty({ type: 'integer', description: 'Runs since it was started' }) executionCount!: number;
  @ApiProperty({ type: 'integer', description: 'Runs that wait for the one under way' }) waiting!: number;
  @ApiProperty({ format: 'date-time' }) createdAt!: string;
}

export class ContextListDto {
  @ApiProperty({ type: [ContextDto] }) items!: ContextDto[];
}

export class ContextResultDto {
  @ApiProperty({ description: 'The value of the last expression; otherwise shown in the middle' }) main!: boolean;
  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'string' },
    description: 'Representations by MIME type; binary ones as base64',
    example: { 'text/plain': '42' },
  })
  data!: Record<string, string>;
}

export class ContextErrorDto {
  @ApiProperty({ example: 'ValueError' }) name!: string;
  @ApiProperty() value!: string;
  @ApiProperty({ description: 'As the language prints it' }) traceback!: string;
}

/** A run, whole. */
export class ContextRunDto {
  @ApiProperty({ enum: CONTEXT_OUTCOMES }) outcome!: ContextOutcome;
  @ApiProperty({ type: 'integer' }) executionCount!: number;
  @ApiProperty({
    type: 'integer',
    nullable: true,
    description:
      'Of the last command, in bash: one that is not 0 is an `ExitStatus` error. Where the interpreter exited, its status; otherwise null',
  })
  exitCode!: number | null;
  @ApiProperty() stdout!: string;
  @ApiProperty() stdoutTruncated!: boolean;
  @ApiProperty() stderr!: string;
  @ApiProperty() stderrTruncated!: boolean;
  @ApiProperty({ type: [ContextResultDto] }) results!: ContextResultDto[];
  @ApiProperty({ description: 'Results are missing: they were too large together' }) resultsTruncated!: boolean;
  @ApiProperty({ type: ContextErrorDto, nullable: true }) error!: ContextErrorDto | null;
}
