import type { ProblemSettings } from '@cordon/contracts';

/** Programs may be long, and most of who reads a problem does without them: they are a field of their own. */
interface Sources {
  readonly checker: string | null;
  readonly interactor: string | null;
}

/** As JSON: the settings without their sources, and those. */
export function encodeSettings(settings: ProblemSettings): { settings: string; sources: string } {
  const { checker, interactor } = settings;
  const sources: Sources = { checker: checker.source, interactor: interactor?.source ?? null };
  return {
    settings: JSON.stringify({
      ...settings,
      checker: { ...checker, source: null },
      interactor: interactor && { ...interactor, source: '' },
    }),
    sources: JSON.stringify(sources),
  };
}

/** `sources` null: without them. */
export function decodeSettings(text: string, sources: string | null): ProblemSettings {
  const settings = JSON.parse(text) as ProblemSettings;
  if (sources === null) return settings;
  const { checker, interactor } = JSON.parse(sources) as Sources;
  return {
    ...settings,
    checker: { ...settings.checker, source: checker },
    interactor: settings.interactor && { ...settings.interactor, source: interactor ?? '' },
  };
}
