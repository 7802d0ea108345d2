import { type LabelledTestDto, ManifestDto, PROBLEM_LIMITS, type ProblemError } from '@cordon/contracts';
import { parseBody } from '../http/json-body.js';
import { ProblemException } from '../http/problem.js';
import { escapePointer, validateDto } from '../http/validate-dto.js';
import type { TestArchive } from './test-archive.js';

export const MANIFEST = 'manifest.json';

/** A test, as far as what it counts goes. */
interface Labelled {
  readonly name: string;
  readonly points: number;
  readonly group: string | null;
}

/** The tests with what `labels` say of them. `place`: the pointer of that list. Names that are none, or come twice, are errors. */
export function labelled<Test extends Labelled>(
  tests: readonly Test[],
  labels: readonly LabelledTestDto[],
  place: string,
  errors: ProblemError[],
): Test[] {
  const known = new Set(tests.map(({ name }) => name));
  const said = new Map<string, LabelledTestDto>();
  for (const [index, label] of labels.entries()) {
    const fault = !known.has(label.name) ? 'no such test' : said.has(label.name) ? 'is in the list twice' : null;
    if (fault !== null) errors.push({ pointer: `${place}/${index}/name`, detail: `"${label.name}": ${fault}` });
    said.set(label.name, label);
  }
  return tests.map((test) => {
    const { points = test.points, group = test.group } = said.get(test.name) ?? {};
    return { ...test, points, group: group === '' ? null : group };
  });
}

/** The manifest of an archive; it lies at the top, or in the one folder that all lies in. Null: there is none. */
export function manifestPath(paths: readonly string[]): string | null {
  const own = paths.filter((path) => !path.startsWith('__MACOSX/'));
  const found = own.filter((path) => path === MANIFEST || path.endsWith(`/${MANIFEST}`));
  // The folder of each lies in that of the shortest, or it is not the one that all lies in.
  const path = found.reduce<string | null>((best, one) => (best && best.length <= one.length ? best : one), null);
  const folder = path?.slice(0, -MANIFEST.length) ?? '';
  return path !== null && own.every((other) => other.startsWith(folder)) ? path : null;
}

/** What it says of the tests. Throws ProblemException (422) that names every wrong field in it. */
export async function readManifest(archive: TestArchive, path: string): Promise<readonly LabelledTestDto[]> {
  const place = `/${escapePointer(path)}`;
  const refused = (detail: string): ProblemException =>
    new ProblemException('invalid-request', `"${path}" ${detail}`, [{ pointer: place, detail: `"${path}" ${detail}` }]);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of archive.content(path)) {
    bytes += chunk.length;
    if (bytes > PROBLEM_LIMITS.manifestBytes) throw refused(`holds over ${PROBLEM_LIMITS.manifestBytes} bytes`);
    chunks.push(chunk);
  }
  let value: unknown;
  try {
    value = parseBody(Buffer.concat(chunks));
  } catch (error) {
    if (!(error instanceof ProblemException)) throw error;
    throw refused(`is no JSON: ${error.problem.detail}`);
  }
  try {
    return validateDto(ManifestDto, value).tests;
  } catch (error) {
    if (!(error instanceof ProblemException)) throw error;
    const errors = (error.problem.errors ?? []).map(({ pointer, detail }) => ({ pointer: place + pointer, detail }));
    throw new ProblemException('invalid-request', `"${path}" is not a manifest`, errors);
  }
}
