import type { JudgeFiles, ProblemSettings } from '@cordon/contracts';
import type { Redis } from 'ioredis';
import { keys } from '../names.js';

/** Programs may be long, and most of who reads a problem does without them: they are a field of their own. */
interface Sources {
  readonly checker: { readonly source: string | null; readonly files: JudgeFiles };
  readonly interactor: { readonly source: string; readonly files: JudgeFiles } | null;
}

/** Of sources without any program. */
export const PLAIN_SOURCES_BYTES = JSON.stringify({
  checker: { source: null, files: [] },
  interactor: null,
} satisfies Sources).length;

/** As JSON: the settings without their sources, and those. */
export function encodeSettings(whole: ProblemSettings): { settings: string; sources: string } {
  const { checker, interactor } = whole;
  const sources: Sources = {
    checker: { source: checker.source, files: checker.files },
    interactor: interactor && { source: interactor.source, files: interactor.files },
  };
  const settings: ProblemSettings = {
    ...whole,
    checker: { ...checker, source: null, files: [] },
    interactor: interactor && { ...interactor, source: '', files: [] },
  };
  return { settings: JSON.stringify(settings), sources: JSON.stringify(sources) };
}

/** `sources` null: without them. */
export function decodeSettings(text: string, sources: string | null): ProblemSettings {
  const settings = JSON.parse(text) as ProblemSettings;
  if (sources === null) return settings;
  const { checker, interactor } = JSON.parse(sources) as Sources;
  return {
    ...settings,
    checker: { ...settings.checker, ...checker },
    interactor: settings.interactor && interactor && { ...settings.interactor, ...interactor },
  };
}

/** What a version of a problem is judged by; null when there is no such version. Without `whole` it has no sources of programs. */
export async function settingsOf(
  redis: Redis,
  id: string,
  version: number,
  whole: boolean,
): Promise<ProblemSettings | null> {
  const revision = await redis.hget(keys.problemRevisions(id), String(version));
  if (revision === null) return settingsOfAll(redis, id, version, whole);
  const [settings, sources] = await Promise.all([
    redis.hget(keys.problemSettings(id), revision),
    whole ? redis.hget(keys.problemSources(id), revision) : null,
  ]);
  return settings === null ? null : decodeSettings(settings, sources);
}

/** Of a version that a server made which kept no settings with it: those of the problem hold for all its versions. */
async function settingsOfAll(
  redis: Redis,
  id: string,
  version: number,
  whole: boolean,
): Promise<ProblemSettings | null> {
  const [there, [settings, sources]] = await Promise.all([
    redis.hexists(keys.problemVersions(id), String(version)),
    redis.hmget(keys.problem(id), 'settings', 'sources'),
  ]);
  return there === 0 || settings === null ? null : decodeSettings(settings, whole ? sources : null);
}
