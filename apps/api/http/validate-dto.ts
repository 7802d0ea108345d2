import type { ProblemError } from '@cordon/contracts';
import { type ClassConstructor, plainToInstance } from 'class-transformer';
import { getMetadataStorage, type ValidationError, ValidationTypes, validateSync } from 'class-validator';
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

/** Names that every object has: class-validator takes them for known fields, class-transformer leaves them out. */
function inherited(value: unknown, prefix: string): ProblemError[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    const pointer = `${prefix}/${escapePointer(name)}`;
    return name in Object.prototype ? [{ pointer, detail: 'no such field' }] : inherited(inner, pointer);
  });
}

/** The objects in a body whose names are the client's (`env`, `labels`); all others are DTOs in it. Here any name is right. */
function recordsOf(type: ClassConstructor<object>, body: object): [string, unknown][] {
  const nested = getMetadataStorage()
    .getTargetValidationMetadatas(type, '', false, false)
    .flatMap((rule) => (rule.type === ValidationTypes.NESTED_VALIDATION ? [rule.propertyName] : []));
  const isRecord = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);
  return Object.entries(body).filter(([name, value]) => isRecord(value) && !nested.includes(name));
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
  const records = recordsOf(type, body);
  const others = Object.fromEntries(
    Object.entries(body).filter(([name]) => !records.some(([taken]) => taken === name)),
  );
  const strange = [...inherited(others, ''), ...inherited(Object.fromEntries(records.map(([name]) => [name, 0])), '')];
  if (strange.length > 0) throw new ProblemException('invalid-request', undefined, strange.slice(0, 100));
  const dto = Object.assign(plainToInstance(type, others), Object.fromEntries(records));
  const rules = { whitelist: true, forbidNonWhitelisted: true, forbidUnknownValues: true };
  const errors = flatten(validateSync(dto, rules), '');
  if (errors.length > 0) throw new ProblemException('invalid-request', undefined, errors.slice(0, 100));
  return dto;
}
