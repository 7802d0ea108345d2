import type { CheckerKind, DifferenceDto } from '@cordon/contracts';

type BuiltIn = Exclude<CheckerKind, 'custom'>;

export interface Comparison {
  readonly verdict: 'AC' | 'WA' | 'PE';
  readonly difference: DifferenceDto | null;
}

const ACCEPTED: Comparison = { verdict: 'AC', difference: null };
const SHOWN = 100;
const cut = (text: string): string => (text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);
const wrong = (line: number, expected: string, actual: string): Comparison => ({
  verdict: 'WA',
  difference: { line, expected: cut(expected), actual: cut(actual) },
});

const trimEnd = (text: string): string => text.replace(/[ \t\r]+$/, '');

/** Lines without white space at their ends, and without empty lines at the end. */
function linesOf(text: string): string[] {
  const lines = text.split('\n').map(trimEnd);
  while (lines.length > 0 && lines.at(-1) === '') lines.pop();
  return lines;
}

/** Words with the lines they stand in, from 1. */
function* tokensOf(text: string): Generator<{ word: string; line: number }> {
  let line = 1;
  for (const match of text.matchAll(/\n|[^\s]+/g)) {
    if (match[0] === '\n') line++;
    else yield { word: match[0], line };
  }
}

function compareTokens(
  expected: string,
  actual: string,
  equal: (expected: string, actual: string) => boolean,
): Comparison {
  const left = tokensOf(expected);
  const right = tokensOf(actual);
  let line = 1;
  for (;;) {
    const one = left.next();
    const other = right.next();
    if (one.done && other.done) return ACCEPTED;
    if (!one.done) line = one.value.line;
    if (one.done) return wrong(line, '(end)', other.value?.word ?? '');
    if (other.done) return wrong(line, one.value.word, '(end)');
    if (!equal(one.value.word, other.value.word)) return wrong(line, one.value.word, other.value.word);
  }
}

function compareLines(expected: readonly string[], actual: readonly string[]): Comparison {
  const count = Math.max(expected.length, actual.length);
  for (let index = 0; index < count; index++) {
    if (expected[index] !== actual[index])
      return wrong(index + 1, expected[index] ?? '(end)', actual[index] ?? '(end)');
  }
  return ACCEPTED;
}

/** Both finite numbers within either tolerance; otherwise the same text, so that nan and inf are themselves. */
function closeEnough(expected: string, actual: string, absolute: number, relative: number): boolean {
  const right = Number(expected);
  const given = Number(actual);
  if (!Number.isFinite(right) || !Number.isFinite(given) || /^0x/i.test(actual)) return expected === actual;
  const difference = Math.abs(right - given);
  return difference <= absolute || difference <= relative * Math.abs(right);
}

const sameWord = (one: string, other: string): boolean => one === other;

/** The same words in the same order, but not as the checker wants them: presentation. */
function orPresentation(comparison: Comparison, expected: string, actual: string): Comparison {
  if (comparison.verdict === 'AC' || compareTokens(expected, actual, sameWord).verdict !== 'AC') return comparison;
  return { ...comparison, verdict: 'PE' };
}

/** Compares an output with the answer. */
export function compare(
  { kind, absolute, relative }: { kind: BuiltIn; absolute: number; relative: number },
  expected: string,
  actual: string,
): Comparison {
  switch (kind) {
    case 'tokens':
      return compareTokens(expected, actual, sameWord);
    case 'float':
      return compareTokens(expected, actual, (one, other) => closeEnough(one, other, absolute, relative));
    case 'exact':
      if (expected === actual) return ACCEPTED;
      return orPresentation(firstExact(expected.split('\n'), actual.split('\n')), expected, actual);
    case 'lines':
      return orPresentation(compareLines(linesOf(expected), linesOf(actual)), expected, actual);
    case 'unordered-lines':
      return compareLines(linesOf(expected).sort(), linesOf(actual).sort());
  }
}

function firstExact(expected: readonly string[], actual: readonly string[]): Comparison {
  const found = compareLines(expected, actual);
  return found.verdict === 'AC' ? wrong(1, expected[0], actual[0]) : found;
}
