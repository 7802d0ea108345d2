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
import { PRIORITIES, type Priority } from './execution.js';
import { LIMITS, REQUEST_LIMITS } from './limits.js';
import { WebhookDto } from './webhook.js';

function Limit(name: keyof typeof LIMITS): PropertyDecorator {
  const { minimum, maximum, description, default: value } = LIMITS[name];
  return (target, key) => {
    ApiPropertyOptional({ type: 'integer', minimum, maximum, default: value, description })(target, key);
    IsOptional()(target, key);
    IsInt()(target, key);
    Min(minimum)(target, key);
    Max(maximum)(target, key);
  };
}

/** How guest code is run and trapped; `auto`: as the worker chooses. */
export const PLATFORMS = ['auto', 'systrap', 'kvm', 'ptrace'] as const;
export type PlatformName = (typeof PLATFORMS)[number];

export function Platform(): PropertyDecorator {
  const description =
    'How guest code is run and trapped: as the worker chooses, or one that its operator allows and that works there (`platforms` of GET /v1/workers)';
  return (target, key) => {
    ApiPropertyOptional({ enum: PLATFORMS, default: 'auto', description })(target, key);
    IsOptional()(target, key);
    IsIn(PLATFORMS)(target, key);
  };
}

export class LimitsDto {
  @Limit('wallTimeMs') wallTimeMs?: number;
  @Limit('cpuTimeMs') cpuTimeMs?: number;
  @Limit('memoryBytes') memoryBytes?: number;
  @Limit('processes') processes?: number;
  @Limit('outputBytes') outputBytes?: number;
  @Limit('fileBytes') fileBytes?: number;
}

export class FileDto {
  @ApiProperty({ description: 'Relative to the work directory', example: 'data/input.txt' })
  @IsString()
  @MinLength(1)
  @MaxLength(1024)
  path!: string;

  @ApiProperty()
  @IsString()
  content!: string;

  @ApiPropertyOptional({ enum: ['utf8', 'base64'], default: 'utf8' })
  @IsOptional()
  @IsIn(['utf8', 'base64'])
  encoding?: 'utf8' | 'base64';
}

export class AuditDto {
  @ApiProperty({ enum: ['off', 'security', 'full'], default: 'security' })
  @IsIn(['off', 'security', 'full'])
  level!: 'off' | 'security' | 'full';
}

/** One program to run to its end in a sandbox of its own: a runtime and its source, or a command. */
export class CreateExecutionDto {
  @ApiPropertyOptional({ description: 'A runtime of GET /v1/runtimes, by id or alias', example: 'python' })
  @IsOptional()
  @IsString()
  @MinLength(1)
  @MaxLength(64)
  runtime?: string;

  @ApiPropertyOptional({ description: 'Program text for the runtime', example: 'print(input())' })
  @IsOptional()
  @IsString()
  @MaxLength(REQUEST_LIMITS.sourceBytes)
  source?: string;

  @ApiPropertyOptional({ type: [String], example: ['/bin/sh', '-c', 'echo hello'] })
  @IsOptional()
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(REQUEST_LIMITS.arguments)
  @IsString({ each: true })
  @MaxLength(REQUEST_LIMITS.argumentBytes, { each: true })
  command?: string[];

  @ApiPropertyOptional({ type: [String], description: 'Arguments for a runtime’s program' })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(REQUEST_LIMITS.arguments)
  @IsString({ each: true })
  @MaxLength(REQUEST_LIMITS.argumentBytes, { each: true })
  args?: string[];

  @ApiPropertyOptional({ type: [FileDto] })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(REQUEST_LIMITS.files)
  @ValidateNested({ each: true })
  @Type(() => FileDto)
  files?: FileDto[];

  @ApiPropertyOptional({ example: 'hi\n' })
  @IsOptional()
  @IsString()
  @MaxLength(REQUEST_LIMITS.stdinBytes)
  stdin?: string;

  @ApiPropertyOptional({ enum: ['utf8', 'base64'], default: 'utf8' })
  @IsOptional()
  @IsIn(['utf8', 'base64'])
  stdinEncoding?: 'utf8' | 'base64';

  @ApiPropertyOptional({
    default: false,
    description: 'stdin stays open behind "stdin": WebSocket …/attach feeds and ends it',
  })
  @IsOptional()
  @IsBoolean()
  interactive?: boolean;

  @ApiPropertyOptional({ type: 'object', additionalProperties: { type: 'string' } })
  @IsOptional()
  @IsObject()
  env?: Record<string, string>;

  @ApiPropertyOptional({ description: 'Absolute, or relative to the work directory', default: '/work' })
  @IsOptional()
  @IsString()
  @MinLength(1)
  @MaxLength(1024)
  cwd?: string;

  @ApiPropertyOptional({ type: LimitsDto })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => LimitsDto)
  limits?: LimitsDto;

  @ApiPropertyOptional({ type: AuditDto })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => AuditDto)
  audit?: AuditDto;

  @ApiPropertyOptional({ enum: ['none', 'loopback'], default: 'loopback' })
  @IsOptional()
  @IsIn(['none', 'loopback'])
  network?: 'none' | 'loopback';

  @Platform() platform?: PlatformName;

  @ApiPropertyOptional({
    default: false,
    description:
      'The result tells when what happened to the execution, from acceptance to answer. Of executions only: a submission, whose tests are many runs, has no such field',
  })
  @IsOptional()
  @IsBoolean()
  timeline?: boolean;

  @ApiPropertyOptional({
    enum: PRIORITIES,
    default: 'interactive',
    description: 'Batch work runs when no interactive work waits, and now and then in between',
  })
  @IsOptional()
  @IsIn(PRIORITIES)
  priority?: Priority;

  @ApiPropertyOptional({
    type: WebhookDto,
    description:
      'Told once of the end: a signed POST of { id, type, at, data }, repeated until it is answered with 2xx',
  })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => WebhookDto)
  webhook?: WebhookDto;

  @ApiPropertyOptional({
    type: 'object',
    additionalProperties: { type: 'string' },
    description: 'At most 16, kept with the execution',
  })
  @IsOptional()
  @IsObject()
  labels?: Record<string, string>;
}
