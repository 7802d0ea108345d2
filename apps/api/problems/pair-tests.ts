import { PROBLEM_LIMITS, type ProblemError } from '@cordon/contracts';
import { escapePointer } from '../http/validate-dto.js';

export interface TestPair {
  /** What its files have in common. */
  readonly name: string;
  /** Folder, without "input" or "output"; null at the top. */
  readonly folder: string | null;
  readonly input: string;
  /** Null: there is no answer. */
  readonly expected: string | null;
}

type Side = 'input' | 'expected';

// Maps: a folder may be called `constructor`.
const BY_ENDING = new Map<string, Side>(
  Object.entries({ in: 'input', out: 'expected', ans: 'expected', a: 'expected' }),
);
const BY_FOLDER = new Map<string, Side>(
  Object.entries({
    in: 'input',
    input: 'input',
    inputs: 'input',
    out: 'expected',
    output: 'expected',
    outputs: 'expected',
    answer: 'expected',
    answers: 'expected',
  }),
);
/** What archivers of desktops put in. */
const LITTER = /(^|\/)(__MACOSX\/|\.DS_Store$|Thumbs\.db$|desktop\.ini$)/;

interface Place {
  readonly side: Side | null;
  readonly folder: string;
  readonly name: string;
}

/** NAME.in beside NAME.out, .ans or .a; input/NAME beside output/NAME, whatever their endings. */
function placeOf(path: string): Place {
  const folders = path.split('/');
  const file = folders.pop() ?? '';
  const at = folders.findLastIndex((folder) => BY_FOLDER.has(folder.toLowerCase()));
  if (at >= 0) {
    const side = BY_FOLDER.get(folders[at].toLowerCase()) ?? null;
    folders.splice(at, 1);
    return { side, folder: folders.join('/'), name: file.replace(/\.[^.]*$/, '') };
  }
  const dot = file.lastIndexOf('.');
  const side = dot > 0 ? (BY_ENDING.get(file.slice(dot + 1).toLowerCase()) ?? null) : null;
  return { side, folder: folders.join('/'), name: side === null ? file : file.slice(0, dot) };
}

/** 2 before 10. */
const natural = new Intl.Collator('en', { numeric: true, sensitivity: 'variant' });

/** The folder that everything lies in says nothing. */
function commonFolder(folders: readonly string[]): string {
  const [first = '', ...rest] = folders;
  let common = first;
  while (common !== '' && !rest.every((folder) => folder === common || folder.startsWith(`${common}/`)))
    common = common.includes('/') ? common.slice(0, common.lastIndexOf('/')) : '';
  return common;
}

/** The tests that files make, in natural order of their names. Every file that belongs to none is an error. */
export function pairTests(paths: readonly string[], answersNeeded: boolean, errors: ProblemError[]): TestPair[] {
  const complain = (path: string, detail: string): void =>
    void errors.push({ pointer: `/${escapePointer(path)}`, detail: `"${path}" ${detail}` });
  const found = new Map<string, { place: Place; input?: string; expected?: string }>();
  for (const path of paths.filter((one) => !LITTER.test(one))) {
    const place = placeOf(path);
    if (place.side === null) {
      complain(path, 'is neither an input (.in, input/) nor an answer (.out, .ans, .a, output/)');
      continue;
    }
    const key = place.folder === '' ? place.name : `${place.folder}/${place.name}`;
    const test = found.get(key) ?? { place };
    if (test[place.side] !== undefined) complain(path, `is given twice: "${test[place.side]}"`);
    test[place.side] = path;
    found.set(key, test);
  }
  const common = commonFolder([...found.values()].map(({ place }) => place.folder));
  const pairs: TestPair[] = [];
  for (const { place, input, expected = null } of found.values()) {
    if (input === undefined) {
      complain(expected ?? '', 'is an answer without an input beside it');
      continue;
    }
    if (expected === null && answersNeeded) complain(input, 'has no answer beside it');
    const folder = place.folder.slice(common.length).replace(/^\//, '');
    const name = folder === '' ? place.name : `${folder}/${place.name}`;
    pairs.push({ name, folder: folder === '' ? null : folder, input, expected });
  }
  if (pairs.length > PROBLEM_LIMITS.tests)
    errors.push({ pointer: '', detail: `more than ${PROBLEM_LIMITS.tests} tests` });
  if (pairs.length === 0 && errors.length === 0) errors.push({ pointer: '', detail: 'there are no tests in it' });
  return pairs.sort((one, other) => natural.compare(one.name, other.name));
}
