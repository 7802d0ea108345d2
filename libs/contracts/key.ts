import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  ArrayUnique,
  IsArray,
  IsIn,
  IsInt,
  IsISO8601,
  IsObject,
  IsOptional,
  IsString,
  Matches,
  Max,
  MaxLength,
  Min,
  MinLength,
  ValidateNested,
} from 'class-validator';

/** What a key may do. `admin` includes the others. */
export const SCOPES = ['run', 'judge', 'sandbox', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** Bounds of one key; null: none. */
export const KEY_LIMITS = {
  requestsPerMinute: { maximum: 1_000_000, description: 'Requests a minute; over it: 429' },
  concurrency: { maximum: 100_000, description: 'Executions that run at once; more of them wait in the queue' },
  queued: { maximum: 1_000_000, description: 'Executions that wait at once; over it: 429' },
  executionsPerDay: { maximum: 1_000_000_000, description: 'Executions accepted a day (UTC); over it: 429' },
  cpuSecondsPerDay: {
    maximum: 1_000_000_000,
    description: 'Processor seconds a day (UTC), counted as executions end; once used up: 429',
  },
  sandboxes: {
    maximum: 100_000,
    description: 'Sandboxes that live at once, from the request for one to its end; over it: 429',
  },
} as const;
export type KeyLimitName = keyof typeof KEY_LIMITS;
export const KEY_LIMIT_NAMES = Object.keys(KEY_LIMITS) as KeyLimitName[];
export type KeyLimits = Record<KeyLimitName, number | null>;

function KeyLimit(name: KeyLimitName): PropertyDecorator {
  const { maximum, description } = KEY_LIMITS[name];
  return (target, key) => {
    ApiPropertyOptional({ type: 'integer', minimum: 1, maximum, description })(target, key);
    IsOptional()(target, key);
    IsInt()(target, key);
    Min(1)(target, key);
    Max(maximum)(target, key);
  };
}

function ShownKeyLimit(name: KeyLimitName): PropertyDecorator {
  return ApiProperty({ type: 'integer', nullable: true, description: KEY_LIMITS[name].description });
}

export class CreateKeyLimitsDto {
  @KeyLimit('requestsPerMinute') requestsPerMinute?: number;
  @KeyLimit('concurrency') concurrency?: number;
  @KeyLimit('queued') queued?: number;
  @KeyLimit('executionsPerDay') executionsPerDay?: number;
  @KeyLimit('cpuSecondsPerDay') cpuSecondsPerDay?: number;
  @KeyLimit('sandboxes') sandboxes?: number;
}

export class KeyLimitsDto {
  @ShownKeyLimit('requestsPerMinute') requestsPerMinute!: number | null;
  @ShownKeyLimit('concurrency') concurrency!: number | null;
  @ShownKeyLimit('queued') queued!: number | null;
  @ShownKeyLimit('executionsPerDay') executionsPerDay!: number | null;
  @ShownKeyLimit('cpuSecondsPerDay') cpuSecondsPerDay!: number | null;
  @ShownKeyLimit('sandboxes') sandboxes!: number | null;
}

export class CreateKeyDto {
  @ApiProperty({ minLength: 1, maxLength: 100, description: 'For people', example: 'ci' })
  @IsString()
  @MinLength(1)
  @MaxLength(100)
  name!: string;

  @ApiProperty({ enum: SCOPES, isArray: true, minItems: 1, uniqueItems: true, example: ['run'] })
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(SCOPES.length)
  @ArrayUnique()
  @IsIn(SCOPES, { each: true })
  scopes!: Scope[];

  @ApiPropertyOptional({
    pattern: '^[a-z0-9][a-z0-9_-]{0,62}$',
    description: 'Keys of one tenant see the same executions. Left out: a tenant of its own.',
  })
  @IsOptional()
  @IsString()
  @Matches(/^[a-z0-9][a-z0-9_-]{0,62}$/)
  tenant?: string;

  @ApiPropertyOptional({ type: CreateKeyLimitsDto })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => CreateKeyLimitsDto)
  limits?: CreateKeyLimitsDto;

  @ApiPropertyOptional({ type: String, format: 'date-time', description: 'Refused from then on' })
  @IsOptional()
  @IsISO8601({ strict: true, strictSeparator: true })
  @MaxLength(40)
  expiresAt?: string;
}

/** A key as the API shows it: never its text. */
export class KeyDto {
  @ApiProperty({ example: 'key_0123456789abcdefghijklmn' }) id!: string;
  @ApiProperty() name!: string;
  @ApiProperty({ enum: SCOPES, isArray: true }) scopes!: Scope[];
  @ApiProperty() tenant!: string;
  @ApiProperty({ type: KeyLimitsDto }) limits!: KeyLimitsDto;
  @ApiProperty({ format: 'date-time' }) createdAt!: string;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) expiresAt!: string | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true }) revokedAt!: string | null;
}

export class CreatedKeyDto extends KeyDto {
  @ApiProperty({ description: 'The bearer key. Shown this once: only its digest is kept.' }) key!: string;
}

export class KeyListDto {
  @ApiProperty({ type: [KeyDto] }) items!: KeyDto[];
  @ApiProperty({ type: String, nullable: true, description: 'Pass as ?cursor= for the next page' }) nextCursor!:
    | string
    | null;
}

/** What a key used since midnight UTC, beside what it may. */
export class UsageTodayDto {
  @ApiProperty() keyId!: string;
  @ApiProperty({ enum: SCOPES, isArray: true }) scopes!: Scope[];
  @ApiProperty({ description: 'UTC', example: '2026-01-31' }) day!: string;
  @ApiProperty({ type: 'integer' }) executions!: number;
  @ApiProperty() cpuSeconds!: number;
  @ApiProperty({ type: 'integer', description: 'Waiting now' }) queued!: number;
  @ApiProperty({ type: 'integer', description: 'Running now' }) running!: number;
  @ApiProperty({ type: 'integer', description: 'Sandboxes that live now' }) sandboxes!: number;
  @ApiProperty({ type: KeyLimitsDto }) limits!: KeyLimitsDto;
}
