import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsBoolean,
  IsIn,
  IsInt,
  IsObject,
  IsOptional,
  IsString,
  Max,
  MaxLength,
  Min,
  MinLength,
  ValidateNested,
} from 'class-validator';
import { AuditDto, Platform, type PlatformName } from './create-execution.dto.js';
import { REQUEST_LIMITS } from './limits.js';

/** Bounds of a sandbox over its whole life: default and maximum of each. */
export const SANDBOX_LIMITS = {
  cpuTimeMs: {
    minimum: 1,
    default: 3_600_000,
    maximum: 86_400_000,
    description: 'Processor time of all its programs, in milliseconds',
  },
  memoryBytes: {
    minimum: 16 << 20,
    default: 512 << 20,
    maximum: 2 ** 31,
    description: 'Committed memory, files in memory included',
  },
  processes: { minimum: 1, default: 128, maximum: 1024, description: 'Tasks (threads included) alive at once' },
  fileBytes: { minimum: 1, default: 256 << 20, maximum: 2 ** 31, description: 'Largest single file' },
} as const;
export type SandboxLimitName = keyof typeof SANDBOX_LIMITS;
export type SandboxLimits = Record<SandboxLimitName, number>;

export const SANDBOX_TIMES = {
  ttlSeconds: { minimum: 1, default: 3600, maximum: 86_400 },
  idleSeconds: { minimum: 1, default: 900, maximum: 86_400 },
} as const;
/** Bytes of each output stream that a waiting exec answers with; what is over is cut. */
export const EXEC_OUTPUT_BYTES = 1 << 20;
/** Of a terminal, in characters. */
export const TERMINAL_SIZE = { minimum: 1, maximum: 1000, rows: 24, columns: 80 } as const;
/** Output of a process that is kept for those who attach later. */
export const PROCESS_LOG_BYTES = 1 << 20;
/** Largest file that one request writes. */
export const FILE_UPLOAD_BYTES = 256 << 20;
/** System calls of a sandbox that are kept, as JSON: the last ones. */
export const SANDBOX_AUDIT_BYTES = 16 << 20;
/** What stands for calls that are not kept any more: an entry of this name, with their number as its only argument. */
export const AUDIT_GAP = 'audit_gap';
/** The last entry where the Sentry's own budget for a sandbox's life is used up. */
export const AUDIT_TRUNCATED = 'audit_truncated';
/** Of a directory that comes as an archive: entries, bytes of their names, bytes of their content. */
export const ARCHIVE_LIMITS = { entries: 10_000, nameBytes: 1024, bytes: FILE_UPLOAD_BYTES } as const;
export const SANDBOX_ENDS = ['deleted', 'expired', 'idle', 'cpu_exceeded', 'worker_lost', 'error'] as const;
export type SandboxEnd = (typeof SANDBOX_ENDS)[number];

function Bound(bound: { minimum: number; maximum: number; default?: number }, description?: string): PropertyDecorator {
  return (target, key) => {
    ApiPropertyOptional({ type: 'integer', ...bound, ...(description ? { description } : {}) })(target, key);
    IsOptional()(target, key);
    IsInt()(target, key);
    Min(bound.minimum)(target, key);
    Max(bound.maximum)(target, key);
  };
}

const limit = (name: SandboxLimitName): PropertyDecorator => {
  const { description, ...bound } = SANDBOX_LIMITS[name];
  return Bound(bound, description);
};

const GUEST_USERS = ['user', 'root'] as const;
export type GuestUserName = (typeof GUEST_USERS)[number];

function User(): PropertyDecorator {
  return (target, key) => {
    const description = 'Whose permissions hold; root: of the sandbox only';
    ApiPropertyOptional({ enum: GUEST_USERS, default: 'user', description })(target, key);
    IsOptional()(target, key);
    IsIn(GUEST_USERS)(target, key);
  };
}

export class SandboxLimitsDto {
  @limit('cpuTimeMs') cpuTimeMs?: number;
  @limit('memoryBytes') memoryBytes?: number;
  @limit('processes') processes?: number;
  @limit('fileBytes') fileBytes?: number;
}

export class CreateSandboxDto {
  @ApiPropertyOptional({ type: SandboxLimitsDto })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => SandboxLimitsDto)
  limits?: SandboxLimitsDto;

  @Bound(SANDBOX_TIMES.ttlSeconds, 'Ends so long after its creation; can be extended')
  ttlSeconds?: number;

  @Bound(SANDBOX_TIMES.idleSeconds, 'Ends when nothing is asked of it and no exec waits for so long')
  idleSeconds?: number;

  @ApiPropertyOptional({ type: 'object', additionalProperties: { type: 'string' } })
  @IsOptional()
  @IsObject()
  env?: Record<string, string>;

  @ApiPropertyOptional({ enum: ['none', 'loopback'], default: 'loopback' })
  @IsOptional()
  @IsIn(['none', 'loopback'])
  network?: 'none' | 'loopback';

  @Platform() platform?: PlatformName;

  @ApiPropertyOptional({ type: AuditDto })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => AuditDto)
  audit?: AuditDto;

  @ApiPropertyOptional({ type: 'object', additionalProperties: { type: 'string' }, description: 'At most 16' })
  @IsOptional()
  @IsObject()
  labels?: Record<string, string>;
}

export class ExtendSandboxDto {
  @ApiProperty({ type: 'integer', ...SANDBOX_TIMES.ttlSeconds, description: 'Ends so long from now' })
  @IsInt()
  @Min(SANDBOX_TIMES.ttlSeconds.minimum)
  @Max(SANDBOX_TIMES.ttlSeconds.maximum)
  ttlSeconds!: number;
}

export class SandboxLimitsView {
  @ApiProperty({ type: 'integer' }) cpuTimeMs!: number;
  @ApiProperty({ type: 'integer' }) memoryBytes!: number;
  @ApiProperty({ type: 'integer' }) processes!: number;
  @ApiProperty({ type: 'integer' }) fileBytes!: number;
}

/** What a sandbox used in its whole life. */
export class SandboxTotalsDto {
  @ApiProperty() wallMs!: number;
  @ApiProperty() cpuMs!: number;
  @ApiProperty({ type: 'integer' }) memoryPeakBytes!: number;
  @ApiProperty({ type: 'integer' }) syscalls!: number;
}

/** A sandbox as the API shows it. */
export class SandboxDto {
  @ApiProperty({ example: 'sbx_0123456789abcdefghijklmn' }) id!: string;
  @ApiProperty({ enum: ['running', 'ended'] }) state!: 'running' | 'ended';
  @ApiProperty({ enum: SANDBOX_ENDS, nullable: true, type: String, description: 'Why it ended' })
  endReason!: SandboxEnd | null;
  @ApiProperty({
    type: SandboxTotalsDto,
    nullable: true,
    description:
      'What it had used when it ended; null while it runs (GET …/usage) and when its worker was lost with it',
  })
  usage!: SandboxTotalsDto | null;
  @ApiProperty({ type: SandboxLimitsView }) limits!: SandboxLimits;
  @ApiProperty({ format: 'date-time' }) createdAt!: string;
  @ApiProperty({ format: 'date-time' }) expiresAt!: string;
  @ApiProperty({ type: 'integer' }) idleSeconds!: number;
  @ApiProperty({ enum: ['none', 'loopback'] }) network!: 'none' | 'loopback';
  @ApiProperty({ enum: ['off', 'security', 'full'] }) auditLevel!: 'off' | 'security' | 'full';
  @ApiProperty({ example: 'systrap', description: 'How its programs are run and trapped' }) platform!: string;
  @ApiProperty({ type: 'object', additionalProperties: { type: 'string' } }) labels!: Record<string, string>;
}

export class SandboxListDto {
  @ApiProperty({ type: [SandboxDto] }) items!: SandboxDto[];
}

export class TerminalDto {
  @ApiProperty({ type: 'integer', minimum: TERMINAL_SIZE.minimum, maximum: TERMINAL_SIZE.maximum, example: 24 })
  @IsInt()
  @Min(TERMINAL_SIZE.minimum)
  @Max(TERMINAL_SIZE.maximum)
  rows!: number;

  @ApiProperty({ type: 'integer', minimum: TERMINAL_SIZE.minimum, maximum: TERMINAL_SIZE.maximum, example: 80 })
  @IsInt()
  @Min(TERMINAL_SIZE.minimum)
  @Max(TERMINAL_SIZE.maximum)
  columns!: number;
}

export class ExecDto {
  @ApiProperty({ type: [String], minItems: 1, maxItems: REQUEST_LIMITS.arguments, example: ['/bin/echo', 'hello'] })
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(REQUEST_LIMITS.arguments)
  @IsString({ each: true })
  @MaxLength(REQUEST_LIMITS.argumentBytes, { each: true })
  command!: string[];

  @ApiPropertyOptional({ type: 'object', additionalProperties: { type: 'string' } })
  @IsOptional()
  @IsObject()
  env?: Record<string, string>;

  @ApiPropertyOptional({ default: '/work', description: 'Absolute, or relative to /work', maxLength: 4095 })
  @IsOptional()
  @IsString()
  @MinLength(1)
  @MaxLength(4095)
  cwd?: string;

  @User() user?: GuestUserName;

  @ApiPropertyOptional({ description: 'Standard input, whole; then its end', maxLength: REQUEST_LIMITS.stdinBytes })
  @IsOptional()
  @IsString()
  @MaxLength(REQUEST_LIMITS.stdinBytes)
  stdin?: string;

  @ApiPropertyOptional({ description: 'Standard input stays open for POST …/stdin', default: false })
  @IsOptional()
  @IsBoolean()
  openStdin?: boolean;

  @ApiPropertyOptional({
    type: TerminalDto,
    description: 'On a terminal of this size; all of its output is stdout, and its input stays open',
  })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => TerminalDto)
  terminal?: TerminalDto;

  @Bound({ minimum: 1, maximum: 86_400_000 }, 'SIGKILL after so long')
  timeoutMs?: number;

  @ApiPropertyOptional({
    default: false,
    description: 'Answer 202 at once; otherwise the answer has the result, and a client that leaves ends the process',
  })
  @IsOptional()
  @IsBoolean()
  background?: boolean;
}

export class ExecStartedDto {
  @ApiProperty({ type: 'integer', description: 'Names the process in …/processes/{process}' }) process!: number;
  @ApiProperty({ type: 'integer', description: 'Its id inside the sandbox' }) pid!: number;
}

export class ExecResultDto extends ExecStartedDto {
  @ApiProperty({ type: 'integer', nullable: true }) exitCode!: number | null;
  @ApiProperty({ type: String, nullable: true, example: 'SIGKILL' }) signal!: string | null;
  @ApiProperty() timedOut!: boolean;
  @ApiProperty() stdout!: string;
  @ApiProperty({ enum: ['utf8', 'base64'] }) stdoutEncoding!: 'utf8' | 'base64';
  @ApiProperty() stdoutTruncated!: boolean;
  @ApiProperty() stderr!: string;
  @ApiProperty({ enum: ['utf8', 'base64'] }) stderrEncoding!: 'utf8' | 'base64';
  @ApiProperty() stderrTruncated!: boolean;
  @ApiProperty() cpuMs!: number;
  @ApiProperty() wallMs!: number;
}

export class SandboxProcessDto {
  @ApiProperty({ type: 'integer' }) pid!: number;
  @ApiProperty({ type: 'integer' }) parent!: number;
  @ApiProperty() name!: string;
  @ApiProperty({ enum: ['running', 'stopped', 'zombie'] }) state!: 'running' | 'stopped' | 'zombie';
  @ApiProperty({ type: 'integer' }) uid!: number;
  @ApiProperty() cpuMs!: number;
  @ApiProperty({ type: 'integer' }) residentBytes!: number;
  @ApiProperty({ type: 'integer', nullable: true, description: 'When an exec started it' }) process!: number | null;
  @ApiProperty({ type: [String], nullable: true, description: 'What that exec started' }) command!: string[] | null;
}

export class SandboxProcessListDto {
  @ApiProperty({ type: [SandboxProcessDto] }) items!: SandboxProcessDto[];
}

export class StdinDto {
  @ApiPropertyOptional({ default: '', maxLength: REQUEST_LIMITS.stdinBytes })
  @IsOptional()
  @IsString()
  @MaxLength(REQUEST_LIMITS.stdinBytes)
  data?: string;

  @ApiPropertyOptional({ enum: ['utf8', 'base64'], default: 'utf8' })
  @IsOptional()
  @IsIn(['utf8', 'base64'])
  encoding?: 'utf8' | 'base64';

  @ApiPropertyOptional({ default: false, description: 'Nothing more comes' })
  @IsOptional()
  @IsBoolean()
  end?: boolean;
}

export class SignalDto {
  @ApiProperty({ type: 'integer', minimum: 1, maximum: 64, description: 'To its process group' })
  @IsInt()
  @Min(1)
  @Max(64)
  signal!: number;
}

export class SandboxFileDto {
  @ApiProperty() name!: string;
  @ApiProperty({ enum: ['file', 'directory', 'symlink', 'fifo', 'socket', 'device'] })
  type!: 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'device';
  @ApiProperty({ type: 'integer' }) size!: number;
  @ApiProperty({ type: 'integer', description: 'Permission bits' }) mode!: number;
  @ApiProperty({ type: 'integer' }) uid!: number;
  @ApiProperty({ type: 'integer' }) gid!: number;
  @ApiProperty({ description: 'Milliseconds since 1970' }) modifiedAt!: number;
  @ApiPropertyOptional({ description: 'Of a symbolic link' }) target?: string;
}

/** What happens in a watched directory. */
export const WATCH_EVENTS = ['create', 'write', 'remove', 'rename', 'chmod', 'overflow'] as const;

/** One line (JSON) of a watch. */
export interface WatchLine {
  readonly type: (typeof WATCH_EVENTS)[number];
  /** Below the watched directory. */
  readonly path: string;
}

export class SandboxFileListDto {
  @ApiProperty({ type: [SandboxFileDto] }) items!: SandboxFileDto[];
}

export class WrittenDto {
  @ApiProperty({ type: 'integer' }) bytes!: number;
}

export class UnpackedDto extends WrittenDto {
  @ApiProperty({ type: 'integer', description: 'Files, directories and links' }) entries!: number;
}

export class PathDto {
  @ApiProperty({ maxLength: 4095, description: 'Absolute, or relative to /work' })
  @IsString()
  @MinLength(1)
  @MaxLength(4095)
  path!: string;

  @User() user?: GuestUserName;
}

export class MoveDto {
  @ApiProperty({ maxLength: 4095 }) @IsString() @MinLength(1) @MaxLength(4095) from!: string;
  @ApiProperty({ maxLength: 4095 }) @IsString() @MinLength(1) @MaxLength(4095) to!: string;
  @User() user?: GuestUserName;
}

export class SandboxUsageDto {
  @ApiProperty() wallMs!: number;
  @ApiProperty() cpuMs!: number;
  @ApiProperty({ type: 'integer' }) memoryBytes!: number;
  @ApiProperty({ type: 'integer' }) memoryPeakBytes!: number;
  @ApiProperty({ type: 'integer', description: 'Tasks alive' }) processes!: number;
  @ApiProperty({ type: 'integer' }) syscalls!: number;
}
