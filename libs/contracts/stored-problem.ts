import { ApiProperty, ApiPropertyOptional, PartialType } from '@nestjs/swagger';
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
import { FileDto, LimitsDto } from './create-execution.dto.js';
import type { ExecutionLimits } from './limits.js';
import {
  CheckerDto,
  InteractorDto,
  type JudgeChecker,
  type JudgeProgram,
  SUBMISSION_LIMITS,
  TestDto,
} from './submission.js';

/** Sizes of stored problems. */
export const PROBLEM_LIMITS = {
  titleLength: 200,
  /** Of a tenant. */
  problems: 10_000,
  /** Of a problem. */
  versions: 100,
  tests: SUBMISSION_LIMITS.tests,
  /** One input or answer. */
  fileBytes: SUBMISSION_LIMITS.testBytes,
  /** All tests of one version. */
  versionBytes: 128 << 20,
  /** An uploaded archive. */
  zipBytes: 64 << 20,
  zipEntries: 2000,
  manifestBytes: 256 << 10,
  /** Unpacked over packed; looked at from `zipRatioFrom` bytes on, for test data of one repeated line packs well. */
  zipRatio: 250,
  zipRatioFrom: 16 << 20,
} as const;

/** What groups the tests of an archive: nothing, or the folder they lie in. */
export const GROUPINGS = ['none', 'folder'] as const;
export type Grouping = (typeof GROUPINGS)[number];

export class ProblemDefaultsDto {
  @ApiPropertyOptional({ type: 'integer', minimum: 0, maximum: SUBMISSION_LIMITS.points, default: 1 })
  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(SUBMISSION_LIMITS.points)
  points?: number;

  @ApiPropertyOptional({ enum: GROUPINGS, default: 'none', description: 'Groups of the tests of an archive' })
  @IsOptional()
  @IsIn(GROUPINGS)
  groupBy?: Grouping;
}

/** What changes of it changes by versions: each keeps the settings and the tests that it was made with. */
export class CreateStoredProblemDto {
  @ApiProperty({ minLength: 1, maxLength: PROBLEM_LIMITS.titleLength, example: 'A + B' })
  @IsString()
  @MinLength(1)
  @MaxLength(PROBLEM_LIMITS.titleLength)
  title!: string;

  @ApiPropertyOptional({ type: LimitsDto, description: 'Of each test' })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => LimitsDto)
  limits?: LimitsDto;

  @ApiPropertyOptional({ type: LimitsDto, description: 'Of the compiler' })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => LimitsDto)
  compileLimits?: LimitsDto;

  @ApiPropertyOptional({ type: CheckerDto, description: 'tokens when absent' })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => CheckerDto)
  checker?: CheckerDto;

  @ApiPropertyOptional({ type: InteractorDto, description: 'It judges instead of a checker' })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => InteractorDto)
  interactor?: InteractorDto;

  @ApiPropertyOptional({ type: ProblemDefaultsDto, description: 'Of tests that do not say' })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => ProblemDefaultsDto)
  defaults?: ProblemDefaultsDto;
}

export class NamedTestDto extends TestDto {
  @ApiPropertyOptional({ minLength: 1, maxLength: 255, description: 'Its place, counted from 1, when absent' })
  @IsOptional()
  @IsString()
  @MinLength(1)
  @MaxLength(255)
  name?: string;
}

/** Tests for a new version of a problem, as JSON. An archive is sent as application/zip. */
export class CreateProblemVersionDto {
  @ApiProperty({ type: [NamedTestDto], minItems: 1, maxItems: PROBLEM_LIMITS.tests })
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(PROBLEM_LIMITS.tests)
  @ValidateNested({ each: true })
  @Type(() => NamedTestDto)
  tests!: NamedTestDto[];

  @ApiPropertyOptional({ default: false, description: 'Behind the tests of the latest version, instead of alone' })
  @IsOptional()
  @IsBoolean()
  append?: boolean;
}

/** What a test counts, by its name; what is not said stays. */
export class LabelledTestDto {
  @ApiProperty({ minLength: 1, maxLength: 255, description: 'Of a test that is there' })
  @IsString()
  @MinLength(1)
  @MaxLength(255)
  name!: string;

  @ApiPropertyOptional({ type: 'integer', minimum: 0, maximum: SUBMISSION_LIMITS.points })
  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(SUBMISSION_LIMITS.points)
  points?: number;

  @ApiPropertyOptional({ maxLength: 64, description: 'Tests of one group count together; empty: none' })
  @IsOptional()
  @IsString()
  @MaxLength(64)
  group?: string;
}

function LabelledTests(needed: boolean): PropertyDecorator {
  return (target, key) => {
    ApiProperty({ type: [LabelledTestDto], minItems: 1, maxItems: PROBLEM_LIMITS.tests, required: needed })(
      target,
      key,
    );
    if (!needed) IsOptional()(target, key);
    IsArray()(target, key);
    ArrayMinSize(1)(target, key);
    ArrayMaxSize(PROBLEM_LIMITS.tests)(target, key);
    ValidateNested({ each: true })(target, key);
    Type(() => LabelledTestDto)(target, key);
  };
}

/** `manifest.json` in an archive of tests: what they count. Tests that it does not name count as the problem's defaults say. */
export class ManifestDto {
  @LabelledTests(true) tests!: LabelledTestDto[];
}

/** What is given changes, of limits each by itself; the rest stays. */
export class ChangeStoredProblemDto extends PartialType(CreateStoredProblemDto) {
  @LabelledTests(false) tests?: LabelledTestDto[];
}

export class ShownDefaultsDto {
  @ApiProperty({ type: 'integer' }) points!: number;
  @ApiProperty({ enum: GROUPINGS }) groupBy!: Grouping;
}

export class ShownInteractorDto {
  @ApiProperty() runtime!: string;
  @ApiPropertyOptional({ description: 'Not in a list' }) source?: string;
  @ApiPropertyOptional({ type: [FileDto], description: 'Not in a list; base64' }) files?: FileDto[];
}

export class StoredProblemDto {
  @ApiProperty({ example: 'prb_0123456789abcdefghijklmn' }) id!: string;
  @ApiProperty() title!: string;
  @ApiProperty({ type: LimitsDto }) limits!: LimitsDto;
  @ApiProperty({ type: LimitsDto }) compileLimits!: LimitsDto;
  @ApiProperty({ type: CheckerDto, description: 'Without its source and files in a list' }) checker!: CheckerDto;
  @ApiProperty({ type: ShownInteractorDto, nullable: true }) interactor!: ShownInteractorDto | null;
  @ApiProperty({ type: ShownDefaultsDto }) defaults!: ShownDefaultsDto;
  @ApiProperty({ type: 'integer', description: 'The latest; 0: it has no tests yet' }) version!: number;
  @ApiProperty({ format: 'date-time' }) createdAt!: string;
  @ApiProperty({ format: 'date-time' }) updatedAt!: string;
}

export class StoredProblemListDto {
  @ApiProperty({ type: [StoredProblemDto] }) items!: StoredProblemDto[];
  @ApiProperty({ type: String, nullable: true, description: 'Pass as ?cursor= for the next page' }) nextCursor!:
    | string
    | null;
}

export class ProblemVersionDto {
  @ApiProperty({ type: 'integer' }) version!: number;
  @ApiProperty({ type: 'integer', description: 'How many' }) tests!: number;
  @ApiProperty({ type: 'integer', description: 'Of all inputs and answers' }) bytes!: number;
  @ApiProperty({ format: 'date-time' }) createdAt!: string;
}

export class ProblemVersionListDto {
  @ApiProperty({ type: [ProblemVersionDto], description: 'Newest first' }) items!: ProblemVersionDto[];
}

export class ProblemTestDto {
  @ApiProperty({ type: 'integer', description: 'Place among the tests, from 0' }) index!: number;
  @ApiProperty() name!: string;
  @ApiProperty({ type: 'integer' }) inputBytes!: number;
  @ApiProperty({ type: 'integer' }) expectedBytes!: number;
  @ApiProperty({ type: 'integer' }) points!: number;
  @ApiProperty({ type: String, nullable: true }) group!: string | null;
}

export class ProblemTestListDto {
  @ApiProperty({ type: 'integer' }) version!: number;
  @ApiProperty({ type: [ProblemTestDto] }) items!: ProblemTestDto[];
}

/** What a problem fixes, validated and with its defaults filled in. */
export interface ProblemSettings {
  readonly title: string;
  readonly limits: ExecutionLimits;
  readonly compileLimits: ExecutionLimits;
  readonly checker: JudgeChecker;
  readonly interactor: JudgeProgram | null;
  readonly points: number;
  readonly groupBy: Grouping;
}
