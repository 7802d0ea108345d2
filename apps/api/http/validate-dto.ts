import type { ProblemError } from '@cordon/contracts';
import { type ClassConstructor, plainToInstance } from 'class-transformer';
import { type ValidationError, validateSync } from 'class-validator';
import { ProblemException } from './problem.js';

/** A name as a step of a JSON pointer (RFC 6901). */
export const escapePointer = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1');

/** Of what type something is: to be told before how long or how large it may be. */
const TYPE_RULES = ['whitelistValidation', 'isString', 'isArray', 'isObject', 'isBoolean', 'isInt', 'isNumber', 'isIn'];

/** One thing that is wrong with a field: the one that whoever wrote it has to know first. */
function faultOf({ value, constraints }: ValidationError): string | null {
  const broken = constraints ?? {};
  const rule = TYPE_RULES.find((name) => name in broken) ?? Object.keys(broken)[0];
  if (rule === undefined) return null;
  if (rule === 'whitelistValidation') return 'no such field';
  return value === undefined ? 'is missing' : broken[rule];
}

/** class-validator's tree as a flat list with JSON pointers. */
function flatten(errors: readonly ValidationError[], prefix: string): ProblemError[] {
  return errors.flatMap((error) => {
    const pointer = `${prefix}/${escapePointer(error.property)}`;
    const detail = faultOf(error);
    // What is in a thing that is none, or is too long, is of no interest.
    return detail === null ? flatten(error.children ?? [], pointer) : [{ pointer, detail }];
  });
}

/** class-validator's IsOptional lets null pass; nothing in our bodies may be null. */
function nulls(value: unknown, prefix: string): ProblemError[] {
  if (value === null) return [{ pointer: prefix, detail: 'must not be null' }];
  if (typeof value !== 'object') return [];
  return Object.entries(value as object).flatMap(([name, inner]) => nulls(inner, `${prefix}/${escapePointer(name)}`));
}

/** A body as the DTO it must be. Throws ProblemException (422) that names every wrong, missing and unknown field. */
export function validateDto<T extends object>(type: ClassConstructor<T>, body: unknown): T {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new ProblemException('invalid-request', undefined, [{ pointer: '', detail: 'must be an object' }]);
  }
  const absent = nulls(body, '');
  if (absent.length > 0) throw new ProblemException('invalid-request', undefined, absent.slice(0, 100));
  const dto = plainToInstance(type, body);
  const rules = { whitelist: true, forbidNonWhitelisted: true, forbidUnknownValues: true };
  const errors = flatten(validateSync(dto, rules), '');
  if (errors.length > 0) throw new ProblemException('invalid-request', undefined, errors.slice(0, 100));
  return dto;
}
