import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsBoolean,
  IsIn,
  IsInt,
  IsNumber,
  IsObject,
  IsOptional,
  IsString,
  Max,
  MaxLength,
  Min,
  MinLength,
  ValidateNested,
} from 'class-validator';
import { AuditDto, FileDto, LimitsDto } from './create-execution.dto.js';
import { type ExecutionState, PRIORITIES, type Priority, STATES } from './execution.js';
import type { ExecutionLimits } from './limits.js';
import { REQUEST_LIMITS } from './limits.js';
import { Problem } from './problem.js';

/**
 * AC accepted, WA wrong answer, PE presentation (right but for white space), TLE time, MLE memory, OLE output, RE runtime error, CE did not
 * compile, IE the judge's own failure, SK not run.
 */
export const VERDICTS = ['AC', 'WA', 'PE', 'TLE', 'MLE', 'OLE', 'RE', 'CE', 'IE', 'SK'] as const;
export type Verdict = (typeof VERDICTS)[number];

export const CHECKERS = ['tokens', 'exact', 'lines', 'float', 'unordered-lines', 'custom'] as const;
export type CheckerKind = (typeof CHECKERS)[number];

export const SUBMISSION_LIMITS = {
  tests: 500,
  testBytes: 8 << 20,
  parallel: 4,
  points: 1_000_000,
  /** Of one batch. */
  batch: 100,
  /** Of one rejudging of a problem. */
  rejudge: 200,
} as const;

export class CheckerDto {
  @ApiProperty({
    enum: CHECKERS,
    description:
      'tokens: words, whatever is between them; exact: every byte; lines: white space at line ends does not count; float: tokens, numbers within a tolerance; unordered-lines: the same lines in any order; custom: a program of yours, called as testlib’s are (input, output and answer file; exit status 0 accepted, 1 wrong, 2 presentation, else a failure of the checker; what it prints is the message). It may use what limits are by default, or the submission’s where they are higher',
  })
  @IsIn(CHECKERS)
  kind!: CheckerKind;

  @ApiPropertyOptional({ minimum: 0, default: 1e-6, description: 'float: largest absolute difference' })
  @IsOptional()
  @IsNumber()
  @Min(0)
  absolute?: number;

  @ApiPropertyOptional({ minimum: 0, default: 1e-6, description: 'float: largest difference relative to the answer' })
  @IsOptional()
  @IsNumber()
  @Min(0)
  relative?: number;

  @ApiPropertyOptional({ description: 'custom: its runtime' })
  @IsOptional()
  @IsString()
  @MinLength(1)
  @MaxLength(64)
  runtime?: string;

  @ApiPropertyOptional({ description: 'custom: its source' })
  @IsOptional()
  @IsString()
  @MaxLength(REQUEST_LIMITS.sourceBytes)
  source?: string;

  @ApiPropertyOptional({ type: [FileDto], description: 'custom: beside its source, testlib.h for example' })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(REQUEST_LIMITS.files)
  @ValidateNested({ each: true })
  @Type(() => FileDto)
  files?: FileDto[];
}

export class InteractorDto {
  @ApiProperty({ description: 'Its runtime', example: 'cpp' })
  @IsString()
  @MinLength(1)
  @MaxLength(64)
  runtime!: string;

  @ApiProperty({
    description:
      'Its source. Called as testlib’s are: input file, output file (its own notes), answer file; it talks to the program by stdin and stdout. Exit status 0 accepted, 1 wrong, 2 presentation, else a failure of the interactor; what it prints on stderr is the message',
  })
  @IsString()
  @MaxLength(REQUEST_LIMITS.sourceBytes)
  source!: string;

  @ApiPropertyOptional({ type: [FileDto], description: 'Beside its source, testlib.h for example' })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(REQUEST_LIMITS.files)
  @ValidateNested({ each: true })
  @Type(() => FileDto)
  files?: FileDto[];
}

export class TestDto {
  @ApiPropertyOptional({ description: 'Standard input', example: '1 2\n' })
  @IsOptional()
  @IsString()
  @MaxLength(SUBMISSION_LIMITS.testBytes)
  input?: string;

  @ApiPropertyOptional({
    description: 'The right answer; only an interactor or a checker of yours can do without',
    example: '3\n',
  })
  @IsOptional()
  @IsString()
  @MaxLength(SUBMISSION_LIMITS.testBytes)
  expected?: string;

  @ApiPropertyOptional({ type: 'integer', minimum: 0, maximum: SUBMISSION_LIMITS.points, default: 1 })
  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(SUBMISSION_LIMITS.points)
  points?: number;

  @ApiPropertyOptional({ description: 'Tests of one group count together: all of its points, or none' })
  @IsOptional()
  @IsString()
  @MinLength(1)
  @MaxLength(64)
  group?: string;
}

/** A program to judge: compiled once, then run on each test in a sandbox of its own. */
export class CreateSubmissionDto {
  @ApiProperty({ description: 'A runtime of GET /v1/runtimes, by id or alias', example: 'cpp' })
  @IsString()
  @MinLength(1)
  @MaxLength(64)
  runtime!: string;

  @ApiPropertyOptional({ description: 'Program text' })
  @IsOptional()
  @IsString()
  @MaxLength(REQUEST_LIMITS.sourceBytes)
  source?: string;

  @ApiPropertyOptional({ type: [FileDto] })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(REQUEST_LIMITS.files)
  @ValidateNested({ each: true })
  @Type(() => FileDto)
  files?: FileDto[];

  @ApiPropertyOptional({ description: 'A stored problem, instead of tests', example: 'prb_0123456789abcdefghijklmn' })
  @IsOptional()
  @IsString()
  @MinLength(1)
  @MaxLength(64)
  problem?: string;

  @ApiPropertyOptional({ type: 'integer', minimum: 1, description: 'Of the problem; the latest when absent' })
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(1_000_000)
  version?: number;

  @ApiPropertyOptional({
    type: [TestDto],
    minItems: 1,
    maxItems: SUBMISSION_LIMITS.tests,
    description: 'Instead of a problem',
  })
  @IsOptional()
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(SUBMISSION_LIMITS.tests)
  @ValidateNested({ each: true })
  @Type(() => TestDto)
  tests?: TestDto[];

  @ApiPropertyOptional({ type: CheckerDto, description: 'tokens when absent; with a problem: that of the problem' })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => CheckerDto)
  checker?: CheckerDto;

  @ApiPropertyOptional({
    type: InteractorDto,
    description: 'A program that talks with the submitted one, and judges it',
  })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => InteractorDto)
  interactor?: InteractorDto;

  @ApiPropertyOptional({
    type: LimitsDto,
    description: 'Of each test; what is absent is the problem’s, or the default',
  })
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

  @ApiPropertyOptional({ default: false, description: 'Tests after the first that fails are not run' })
  @IsOptional()
  @IsBoolean()
  stopAtFirstFailure?: boolean;

  @ApiPropertyOptional({ type: 'integer', minimum: 1, maximum: SUBMISSION_LIMITS.parallel, default: 1 })
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(SUBMISSION_LIMITS.parallel)
  parallel?: number;

  @ApiPropertyOptional({
    type: AuditDto,
    description: 'System calls of every test, the interactor’s too: GET …/audit. off when absent',
  })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => AuditDto)
  audit?: AuditDto;

  @ApiPropertyOptional({ enum: PRIORITIES, default: 'interactive' })
  @IsOptional()
  @IsIn(PRIORITIES)
  priority?: Priority;

  @ApiPropertyOptional({ type: 'object', additionalProperties: { type: 'string' } })
  @IsOptional()
  @IsObject()
  labels?: Record<string, string>;
}

/** Where an output first departs from the answer; texts are cut to 100 characters. */
export class DifferenceDto {
  @ApiProperty({ type: 'integer', description: 'Line of the answer, from 1' }) line!: number;
  @ApiProperty() expected!: string;
  @ApiProperty() actual!: string;
}

export class TestResultDto {
  @ApiProperty({ type: 'integer', description: 'Place among the tests, from 0' }) index!: number;
  @ApiProperty({ enum: VERDICTS }) verdict!: Verdict;
  @ApiProperty() cpuMs!: number;
  @ApiProperty() wallMs!: number;
  @ApiProperty() memoryPeakBytes!: number;
  @ApiProperty({ type: 'integer', nullable: true }) exitCode!: number | null;
  @ApiProperty({ type: String, nullable: true }) signal!: string | null;
  @ApiProperty({ type: DifferenceDto, nullable: true }) difference!: DifferenceDto | null;
  @ApiProperty({ type: String, nullable: true, description: 'What the checker or the judge says' }) message!:
    | string
    | null;
}

export class CompilationDto {
  @ApiProperty() ok!: boolean;
  @ApiProperty({ description: 'The result of an earlier, equal compilation was used' }) cached!: boolean;
  @ApiProperty({ description: 'What the compiler said, cut to 64 KiB' }) output!: string;
  @ApiProperty({ type: 'integer', nullable: true }) exitCode!: number | null;
  @ApiProperty() cpuMs!: number;
  @ApiProperty() wallMs!: number;
}

export class SubmissionDto {
  @ApiProperty() id!: string;
  @ApiProperty({ enum: STATES, description: 'succeeded: it was judged, whatever the verdict' }) state!: ExecutionState;
  @ApiProperty({
    enum: VERDICTS,
    nullable: true,
    description: 'That of the first test that was not accepted; AC when all were',
  })
  verdict!: Verdict | null;
  @ApiProperty() score!: number;
  @ApiProperty() maxScore!: number;
  @ApiProperty({ type: CompilationDto, nullable: true }) compilation!: CompilationDto | null;
  @ApiProperty({ type: [TestResultDto] }) tests!: TestResultDto[];
  @ApiProperty({ type: String, nullable: true }) runtime!: string | null;
  @ApiProperty({ type: String, nullable: true, description: 'The stored problem' }) problem!: string | null;
  @ApiProperty({ type: 'integer', nullable: true, description: 'Which of its versions was used' }) version!:
    | number
    | null;
  @ApiProperty({ type: String, nullable: true, description: 'The batch it came with' }) batch!: string | null;
  @ApiProperty({ type: String, nullable: true, description: 'The submission that is judged again by this one' })
  rejudgeOf!: string | null;
  @ApiProperty({ type: String, nullable: true }) detail!: string | null;
  @ApiProperty({ type: 'object', additionalProperties: { type: 'string' } }) labels!: Record<string, string>;
  @ApiProperty({ format: 'date-time' }) createdAt!: string;
  @ApiProperty({ type: String, nullable: true }) startedAt!: string | null;
  @ApiProperty({ type: String, nullable: true }) finishedAt!: string | null;
}

export class SubmissionListDto {
  @ApiProperty({ type: [SubmissionDto] }) items!: SubmissionDto[];
  @ApiProperty({ type: String, nullable: true, description: 'Pass as ?cursor= for the next page' }) nextCursor!:
    | string
    | null;
}

/** Each is looked at on its own: one that is refused does not hold the others back. */
export class CreateBatchDto {
  @ApiProperty({ type: [CreateSubmissionDto], minItems: 1, maxItems: SUBMISSION_LIMITS.batch })
  submissions!: CreateSubmissionDto[];
}

/** One of the two. */
export class BatchItemDto {
  @ApiPropertyOptional({ type: SubmissionDto }) submission?: SubmissionDto;
  @ApiPropertyOptional({ type: Problem, description: 'Why it was not accepted' }) problem?: Problem;
}

export class BatchDto {
  @ApiProperty({ example: 'bat_0123456789abcdefghijklmn', description: 'For GET /v1/submissions?batch=' }) id!: string;
  @ApiProperty({ type: [BatchItemDto], description: 'In the order of the request' }) items!: BatchItemDto[];
}

export class RejudgedDto {
  @ApiProperty({ description: 'The submission that was to be judged again' }) from!: string;
  @ApiPropertyOptional({ type: SubmissionDto }) submission?: SubmissionDto;
  @ApiPropertyOptional({ type: Problem, description: 'Why it is not judged again' }) problem?: Problem;
}

export class RejudgedListDto {
  @ApiProperty({ type: [RejudgedDto] }) items!: RejudgedDto[];
  @ApiProperty({ type: String, nullable: true, description: 'Pass as ?cursor= to go on' }) nextCursor!: string | null;
}

/** Beside a program's source. */
export type JudgeFiles = readonly { readonly path: string; readonly base64: string }[];

/** A program of the problem's, not of the submission's. */
export interface JudgeProgram {
  readonly runtime: string;
  readonly source: string;
  readonly files: JudgeFiles;
}

/** How outputs are compared. */
export interface JudgeChecker {
  readonly kind: CheckerKind;
  readonly absolute: number;
  readonly relative: number;
  readonly runtime: string | null;
  readonly source: string | null;
  readonly files: JudgeFiles;
}

/** Where a submission comes from. Kept with its record. */
export interface JudgeOrigin {
  /** A stored problem and which version of it; null: tests of its own. */
  readonly problem: string | null;
  readonly version: number | null;
  readonly batch: string | null;
  readonly rejudgeOf: string | null;
}

/** What a job of the queue carries beside an execution's own fields when it is to be judged. */
export interface JudgeJob {
  /** Empty when the tests are a stored problem's. */
  readonly tests: readonly {
    readonly input: string;
    readonly expected: string;
    readonly points: number;
    readonly group: string | null;
  }[];
  /** Null: the stored problem's, as its interactor is. */
  readonly checker: JudgeChecker | null;
  /** Present: it judges, and the checker does not. */
  readonly interactor?: JudgeProgram;
  readonly compileLimits: ExecutionLimits;
  readonly stopAtFirstFailure: boolean;
  readonly parallel: number;
  readonly origin?: JudgeOrigin;
  /** Limits of the submission's own, beside the problem's: judged again by another version, they still hold. */
  readonly own?: { readonly limits: LimitsDto; readonly compileLimits: LimitsDto };
}

/** What judging found: kept with the record's result. */
export type JudgeOutcome = Pick<SubmissionDto, 'verdict' | 'score' | 'maxScore' | 'compilation' | 'tests'>;
