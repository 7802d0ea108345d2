import { ProblemException } from './problem.js';

/** A number from a query parameter. Throws ProblemException (422) outside `minimum`..`maximum`, or when it is given twice. */
export function number(
  text: string | undefined,
  name: string,
  minimum: number,
  maximum: number,
  fallback: number,
): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (typeof text !== 'string' || !/^\d+(\.\d+)?$/.test(text) || value < minimum || value > maximum) {
    throw new ProblemException('invalid-request', undefined, [
      { pointer: `?${name}`, detail: `must be a number from ${minimum} to ${maximum}` },
    ]);
  }
  return value;
}

/** As `number`, without a fraction. */
export function wholeNumber(
  text: string | undefined,
  name: string,
  minimum: number,
  maximum: number,
  fallback: number,
): number {
  const value = number(text, name, minimum, maximum, fallback);
  if (!Number.isInteger(value)) {
    throw new ProblemException('invalid-request', undefined, [
      { pointer: `?${name}`, detail: 'must be a whole number' },
    ]);
  }
  return value;
}

/** A cursor that is a place in a list. Throws ProblemException (422) for what is none. */
export function offsetOf(cursor: string | undefined): number {
  if (cursor === undefined) return 0;
  if (!/^\d{1,9}$/.test(cursor)) {
    throw new ProblemException('invalid-request', undefined, [{ pointer: '?cursor', detail: 'none of ours' }]);
  }
  return Number(cursor);
}

/** ?label=name=value, any number of times. */
export function labelsOf(label: string | string[] | undefined): [string, string][] {
  return (label === undefined ? [] : [label].flat()).map((text) => {
    const equals = text.indexOf('=');
    if (equals > 0) return [text.slice(0, equals), text.slice(equals + 1)];
    throw new ProblemException('invalid-request', undefined, [{ pointer: '?label', detail: 'must be name=value' }]);
  });
}

/** A cursor that is a record's place in time. Throws ProblemException (422) for what is none. */
export function placeOf(cursor: string): string {
  const place = Buffer.from(cursor, 'base64url').toString();
  if (!/^\d+:(exe|sub)_[a-z0-9]{24}$/.test(place)) {
    throw new ProblemException('invalid-request', undefined, [{ pointer: '?cursor', detail: 'none of ours' }]);
  }
  return place;
}
