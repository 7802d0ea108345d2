const trimmed = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .trimEnd();

/** Whether two outputs are the same but for white space at the ends of lines and of the whole: Judge0's rule. */
export function sameLines(expected: string, actual: string): boolean {
  return trimmed(expected) === trimmed(actual);
}
