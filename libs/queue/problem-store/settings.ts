import type { JudgeFiles, ProblemSettings } from '@cordon/contracts';

/** Programs may be long, and most of who reads a problem does without them: they are a field of their own. */
interface Sources {
  readonly checker: { readonly source: string | null; readonly files: JudgeFiles };
  readonly interactor: { readonly source: string; readonly files: JudgeFiles } | null;
}

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
