import type { Readable } from 'node:stream';
import {
  ChangeStoredProblemDto,
  type CheckerDto,
  CreateProblemVersionDto,
  CreateStoredProblemDto,
  type FileDto,
  type JudgeFiles,
  PROBLEM_LIMITS,
  type ProblemError,
  type ProblemSettings,
  type ProblemTestListDto,
  type ProblemVersionDto,
  type RuntimeDto,
  type StoredProblemDto,
} from '@cordon/contracts';
import { ProblemStore, type StoredProblem, type StoredTest, type Upload, type VersionAdded } from '@cordon/queue';
import { Injectable } from '@nestjs/common';
import { ExecutionsService } from '../executions/executions.service.js';
import { limitsOf } from '../executions/validate.js';
import { ProblemException } from '../http/problem.js';
import { escapePointer, validateDto } from '../http/validate-dto.js';
import { ApiSettings } from '../settings.js';
import { type NamedProblem, over } from '../submissions/validate.js';
import { labelled, manifestPath, readManifest } from './labels.js';
import { pairTests } from './pair-tests.js';
import { checkerOf, interactorOf } from './programs.js';
import { TestArchive } from './test-archive.js';

const ID = /^prb_[0-9a-f]{24}$/;

const invalid = (...errors: ProblemError[]): ProblemException =>
  new ProblemException('invalid-request', errors[0].detail, errors.slice(0, 100));

/** Stored problems: what they fix, and their tests by versions. */
@Injectable()
export class ProblemsService {
  private readonly store: ProblemStore;

  constructor(
    private readonly executions: ExecutionsService,
    private readonly settings: ApiSettings,
  ) {
    this.store = new ProblemStore(executions.redis, settings.problemBytes);
  }

  async create(tenant: string, body: unknown): Promise<StoredProblemDto> {
    const dto = validateDto(CreateStoredProblemDto, body);
    const runtimes = await this.executions.runtimes();
    const errors: ProblemError[] = [];
    const settings: ProblemSettings = {
      title: dto.title,
      limits: limitsOf(dto.limits),
      compileLimits: limitsOf(dto.compileLimits),
      ...judgesOf(dto, runtimes, errors),
      points: dto.defaults?.points ?? 1,
      groupBy: dto.defaults?.groupBy ?? 'none',
    };
    if (errors.length > 0) throw invalid(...errors);
    const problem = await this.store.create(tenant, settings);
    if (!problem)
      throw new ProblemException('quota-exceeded', `a tenant keeps at most ${PROBLEM_LIMITS.problems} problems`);
    return toDto(problem, true);
  }

  /** `version`: with the settings of that one; null: of the latest. */
  async get(tenant: string, id: string, version: number | null): Promise<StoredProblemDto> {
    const problem = await this.find(tenant, id, true);
    if (version === null) return toDto(problem, true);
    const settings = await this.store.settings(id, version, true);
    if (!settings) throw noVersion();
    return toDto({ ...problem, version, settings: { ...settings, title: problem.settings.title } }, true);
  }

  /** Other settings, points or groups: a new version with the tests of the latest; only the title is the same in all of them. */
  async change(tenant: string, id: string, body: unknown): Promise<StoredProblemDto> {
    const dto = validateDto(ChangeStoredProblemDto, body);
    const fields = Object.entries(dto).flatMap(([name, value]) => (value === undefined ? [] : [name]));
    if (fields.length === 0) throw invalid({ pointer: '', detail: 'there is nothing to change' });
    const { settings: before, version: base } = await this.find(tenant, id, true);
    const errors: ProblemError[] = [];
    const settings = await this.changed(before, dto, errors);
    const stored = base === 0 ? [] : ((await this.store.tests(id, base)) ?? []);
    const relabelled = labelled(stored, dto.tests ?? [], '/tests', errors);
    if (errors.length > 0) throw invalid(...errors);
    const titleOnly = fields.every((field) => field === 'title');
    const changed = await this.store.change({
      problem: id,
      tenant,
      title: settings.title,
      settings: titleOnly ? null : settings,
      base,
      tests: titleOnly || base === 0 ? null : relabelled,
    });
    if (changed.what === 'created') return this.get(tenant, id, null);
    throw this.refusal(changed);
  }

  private async changed(
    before: ProblemSettings,
    dto: ChangeStoredProblemDto,
    errors: ProblemError[],
  ): Promise<ProblemSettings> {
    const { title, limits, compileLimits, checker, interactor, defaults } = dto;
    const judges = checker || interactor ? judgesOf(dto, await this.executions.runtimes(), errors) : {};
    return {
      ...before,
      ...judges,
      title: title ?? before.title,
      limits: limitsOf(over(before.limits, limits)),
      compileLimits: limitsOf(over(before.compileLimits, compileLimits)),
      points: defaults?.points ?? before.points,
      groupBy: defaults?.groupBy ?? before.groupBy,
    };
  }

  /** Submissions of it that are not judged yet end as `error`. */
  async deleteVersion(tenant: string, id: string, version: number): Promise<void> {
    await this.find(tenant, id);
    if (!(await this.store.deleteVersion(id, tenant, version))) throw noVersion();
  }

  async list(
    tenant: string,
    offset: number,
    limit: number,
  ): Promise<{ items: StoredProblemDto[]; next: number | null }> {
    const { items, next } = await this.store.list(tenant, offset, limit);
    return { items: items.map((problem) => toDto(problem, false)), next };
  }

  async delete(tenant: string, id: string): Promise<void> {
    if (!ID.test(id) || !(await this.store.delete(id, tenant))) throw notFound();
  }

  async versions(tenant: string, id: string): Promise<ProblemVersionDto[]> {
    await this.find(tenant, id);
    return this.store.versions(id);
  }

  /** Of the latest version when none is named. */
  async tests(tenant: string, id: string, version: number | null): Promise<ProblemTestListDto> {
    const problem = await this.find(tenant, id);
    const wanted = version ?? problem.version;
    const tests = wanted === 0 ? [] : await this.store.tests(id, wanted);
    if (!tests) throw noVersion();
    return {
      version: wanted,
      items: tests.map(({ name, input, expected, points, group }, index) => ({
        index,
        name,
        inputBytes: input.bytes,
        expectedBytes: expected.bytes,
        points,
        group,
      })),
    };
  }

  /** What a submission may name; null when there is no such problem or version. */
  async named(tenant: string, id: string, version: number | undefined): Promise<NamedProblem | null> {
    const problem = ID.test(id) ? await this.store.get(id, tenant, false) : null;
    if (!problem) return null;
    if (version === undefined) return { id, version: problem.version, settings: problem.settings };
    const settings = await this.store.settings(id, version, false);
    return settings && { id, version, settings };
  }

  /** Tests as JSON. */
  async addTests(tenant: string, id: string, body: unknown): Promise<ProblemVersionDto> {
    const problem = await this.find(tenant, id);
    const dto = validateDto(CreateProblemVersionDto, body);
    const before = dto.append && problem.version > 0 ? ((await this.store.tests(id, problem.version)) ?? []) : [];
    const { settings } = problem;
    const errors: ProblemError[] = [];
    const names = new Set(before.map(({ name }) => name));
    for (const [index, { name, expected }] of dto.tests.entries()) {
      const own = nameOf(name, before.length + index);
      if (names.has(own)) errors.push({ pointer: `/tests/${index}/name`, detail: `there is a test "${own}" already` });
      names.add(own);
      if (expected === undefined && answersNeeded(settings))
        errors.push({ pointer: `/tests/${index}/expected`, detail: 'the problem’s checker needs it' });
    }
    if (names.size > PROBLEM_LIMITS.tests)
      errors.push({ pointer: '/tests', detail: `more than ${PROBLEM_LIMITS.tests} tests together` });
    if (errors.length > 0) throw invalid(...errors);
    return this.uploading(async (upload) => {
      const tests = [...before];
      for (const { name, input = '', expected = '', points = settings.points, group = null } of dto.tests) {
        tests.push({
          name: nameOf(name, tests.length),
          input: await upload.file([Buffer.from(input)]),
          expected: await upload.file([Buffer.from(expected)]),
          points,
          group,
        });
      }
      return this.commit(tenant, id, upload, tests, dto.append ? problem.version : null);
    });
  }

  /** Tests as an archive. */
  async addArchive(tenant: string, id: string, body: Readable): Promise<ProblemVersionDto> {
    const { settings } = await this.find(tenant, id);
    const archive = await TestArchive.receive(body);
    try {
      const errors: ProblemError[] = [];
      const manifest = manifestPath(archive.paths);
      const paths = archive.paths.filter((path) => path !== manifest);
      const pairs = pairTests(paths, answersNeeded(settings), errors);
      const counted = pairs.map(({ name, folder }) => ({
        name,
        points: settings.points,
        group: settings.groupBy === 'folder' ? folder : null,
      }));
      const labels = manifest === null ? [] : await readManifest(archive, manifest);
      const all = labelled(counted, labels, `/${escapePointer(manifest ?? '')}/tests`, errors);
      if (errors.length > 0) throw invalid(...errors);
      return await this.uploading(async (upload) => {
        const tests: StoredTest[] = [];
        for (const [index, { input, expected }] of pairs.entries()) {
          tests.push({
            ...all[index],
            input: await upload.file(archive.content(input)),
            expected: await upload.file(expected === null ? [] : archive.content(expected)),
          });
        }
        return this.commit(tenant, id, upload, tests, null);
      });
    } finally {
      archive.close();
    }
  }

  private async uploading<T>(use: (upload: Upload) => Promise<T>): Promise<T> {
    const upload = this.store.upload();
    try {
      return await use(upload);
    } finally {
      // Should this fail, what is left ends by itself.
      await upload.discard().catch(() => undefined);
    }
  }

  private async commit(
    tenant: string,
    problem: string,
    upload: Upload,
    tests: readonly StoredTest[],
    base: number | null,
  ): Promise<ProblemVersionDto> {
    const bytes = tests.reduce((sum, { input, expected }) => sum + input.bytes + expected.bytes, 0);
    if (bytes > PROBLEM_LIMITS.versionBytes)
      throw invalid({ pointer: '', detail: `over ${PROBLEM_LIMITS.versionBytes} bytes together` });
    const added = await this.store.addVersion({ problem, tenant, upload, tests, base });
    if (added.what === 'created') return added.version;
    throw this.refusal(added);
  }

  private refusal(added: Exclude<VersionAdded, { what: 'created' }>): ProblemException {
    switch (added.what) {
      case 'gone':
        return notFound();
      case 'changed':
        return new ProblemException('conflict', 'its latest version is another one meanwhile: try again');
      case 'lost':
        return new ProblemException('conflict', 'the upload took too long, or what it builds on was deleted');
      case 'versions':
        return new ProblemException('quota-exceeded', `a problem keeps at most ${PROBLEM_LIMITS.versions} versions`);
      case 'quota':
        return new ProblemException(
          'quota-exceeded',
          `test data of this tenant takes ${added.used} of ${this.settings.problemBytes} bytes: delete problems that are not needed`,
        );
    }
  }

  private async find(tenant: string, id: string, whole = false): Promise<StoredProblem> {
    const problem = ID.test(id) ? await this.store.get(id, tenant, whole) : null;
    if (!problem) throw notFound();
    return problem;
  }
}

const noVersion = (): ProblemException => new ProblemException('not-found', 'no such version');
const notFound = (): ProblemException => new ProblemException('not-found', 'no such problem');
const nameOf = (given: string | undefined, before: number): string => given ?? String(before + 1);
/** Who judges; that the two are not given together is checked here. */
function judgesOf(
  { checker, interactor }: Pick<CreateStoredProblemDto, 'checker' | 'interactor'>,
  runtimes: readonly RuntimeDto[],
  errors: ProblemError[],
): Pick<ProblemSettings, 'checker' | 'interactor'> {
  return {
    checker: checkerOf(checker, runtimes, errors),
    interactor: interactorOf(interactor, checker, runtimes, errors),
  };
}

const answersNeeded = ({ interactor, checker }: ProblemSettings): boolean =>
  interactor === null && checker.kind !== 'custom';

const shownFiles = (files: JudgeFiles): FileDto[] =>
  files.map(({ path, base64 }) => ({ path, content: base64, encoding: 'base64' }));

function toDto({ id, settings, version, createdAt, updatedAt }: StoredProblem, whole: boolean): StoredProblemDto {
  const { title, limits, compileLimits, checker, interactor, points, groupBy } = settings;
  const { kind, absolute, relative, runtime, source, files } = checker;
  const shown: CheckerDto = { kind };
  if (kind === 'float') Object.assign(shown, { absolute, relative });
  if (kind === 'custom') Object.assign(shown, { runtime }, whole ? { source, files: shownFiles(files) } : {});
  return {
    id,
    title,
    limits,
    compileLimits,
    checker: shown,
    interactor: interactor && {
      runtime: interactor.runtime,
      ...(whole ? { source: interactor.source, files: shownFiles(interactor.files) } : {}),
    },
    defaults: { points, groupBy },
    version,
    createdAt,
    updatedAt,
  };
}
