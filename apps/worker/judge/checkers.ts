import { isUtf8 } from 'node:buffer';
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

/** By hand: a regular expression takes time by the square of the spaces in a line, and the submission prints as many as it likes. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === ' ' || text[end - 1] === '\t' || text[end - 1] === '\r')) end--;
  return text.slice(0, end);
}

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

/** As people write numbers: `Number` reads 0x1f, 0b11 and 0o17, too. No digit can be matched in two ways: words are long. */
const DECIMAL = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

/** Both finite numbers within either tolerance; otherwise the same text, so that nan and inf are themselves. */
function closeEnough(expected: string, actual: string, absolute: number, relative: number): boolean {
  const right = Number(expected);
  const given = Number(actual);
  if (!Number.isFinite(right) || !Number.isFinite(given) || !DECIMAL.test(actual)) return expected === actual;
  const difference = Math.abs(right - given);
  return difference <= absolute || difference <= relative * Math.abs(right);
}

const sameWord = (one: string, other: string): boolean => one === other;

/** The same words in the same order, but not as the checker wants them: presentation. */
function orPresentation(comparison: Comparison, expected: string, actual: string): Comparison {
  if (comparison.verdict === 'AC' || compareTokens(expected, actual, sameWord).verdict !== 'AC') return comparison;
  return { ...comparison, verdict: 'PE' };
}

interface How {
  readonly kind: BuiltIn;
  readonly absolute: number;
  readonly relative: number;
}

/** A byte for a character; none but ASCII's is white space. */
const asLatin1 = (bytes: Buffer): string => bytes.toString('latin1').replaceAll('\xa0', '\ue0a0');
const fromLatin1 = (text: string): string =>
  text.replace(/[\x80-\xff\ue0a0]+/g, (some) =>
    Buffer.from(some.replaceAll('\ue0a0', '\xa0'), 'latin1').toString('utf8'),
  );

/** Compares an output with the answer. As text where both are; else byte by byte, so that no two wrong bytes look the same. */
export function compareBytes(how: How, expected: Buffer, actual: Buffer): Comparison {
  if (isUtf8(expected) && isUtf8(actual)) return compare(how, expected.toString('utf8'), actual.toString('utf8'));
  const { verdict, difference } = compare(how, asLatin1(expected), asLatin1(actual));
  if (difference === null) return { verdict, difference };
  const { line, expected: one, actual: other } = difference;
  return { verdict, difference: { line, expected: fromLatin1(one), actual: fromLatin1(other) } };
}

/** The same of texts. */
export function compare({ kind, absolute, relative }: How, expected: string, actual: string): Comparison {
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
