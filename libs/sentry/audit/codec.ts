import { ERRNO_NAMES } from '../abi/errno.js';
import {
  align8,
  CALL_HEADER_BYTES,
  CAPTURE_CUT,
  CAPTURE_HEADER_BYTES,
  DECISIONS,
  DEFINITION_HEADER_BYTES,
  RECORD_BYTES_MAX,
  RESULT_CAPTURE,
  RESULT_KINDS,
  RecordKind,
  type ResultKind,
  TASK_HEADER_BYTES,
  TRUNCATED_BYTES,
  UNKNOWN_SIGNATURE,
} from './format.js';
import { captureTime, kindOf } from './kinds.js';
import type { AuditArgument, AuditRecord } from './record.js';
import { type Parameter, parseSignature } from './signature.js';
import { printable } from './text.js';

/** Name of the record that says that recording stopped: the byte budget was used up. */
export const TRUNCATED_NAME = 'audit_truncated';
/** Name of the record that says that the stream could not be read further. */
export const MALFORMED_NAME = 'audit_malformed';

interface Definition {
  readonly number: number;
  readonly name: string;
  readonly result: ResultKind;
  readonly parameters: readonly Parameter[];
}

interface TaskName {
  readonly pid: number;
  readonly tid: number;
  readonly comm: string;
}

const NOBODY: TaskName = { pid: 0, tid: 0, comm: '?' };
const TWO_32 = 0x1_0000_0000;
/** Longest name and signature that a definition may bring. */
const DEFINITION_TEXT_MAX = 1024;
/** O_CREAT, and what O_TMPFILE has beyond O_DIRECTORY. */
const CREATING_OPEN_FLAGS = 0o100 | 0o20000000;
const UNKNOWN = parseSignature(UNKNOWN_SIGNATURE);

/** Linux's name of the error of a result, or null. The error range of a result is [-4095, -1]. */
export function errorName(result: number): string | null {
  if (!(result < 0 && result >= -4095)) return null;
  return ERRNO_NAMES[-result] ?? `E${-result}`;
}

/**
 * Reads the audit stream of one run. Batches come in order and hold whole records. The bytes come from a process that a
 * guest may have taken over: nothing here throws or takes more memory than a small multiple of the input. A stream that
 * makes no sense ends in one record named `audit_malformed`, and the rest is ignored.
 */
export class AuditDecoder {
  /** The recorder's byte budget was used up. */
  truncated = false;
  /** Why the stream could not be read further, or null. */
  malformed: string | null = null;
  private readonly tasks = new Map<number, TaskName>();
  private readonly definitions = new Map<number, Definition>();
  private nextSequence = 0;

  decode(bytes: Uint8Array): AuditRecord[] {
    const records: AuditRecord[] = [];
    const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let offset = 0;
    while (offset < bytes.length && this.malformed === null) {
      if (offset + 4 > bytes.length) {
        this.fail(records, 'a record header is cut off');
        break;
      }
      const length = data.getUint16(offset, true);
      if (length < 4 || length > RECORD_BYTES_MAX || offset + length > bytes.length) {
        this.fail(records, `a record has a length of ${length} bytes`);
        break;
      }
      const record = new DataView(bytes.buffer, bytes.byteOffset + offset, length);
      this.record(record, records);
      offset += align8(length);
    }
    return records;
  }

  private record(data: DataView, records: AuditRecord[]): void {
    const kind = data.getUint16(2, true);
    const length = data.byteLength;
    if (kind === RecordKind.Call && length >= CALL_HEADER_BYTES) this.call(data, records);
    else if (kind === RecordKind.Task && length >= TASK_HEADER_BYTES) this.name(data);
    else if (kind === RecordKind.Definition && length >= DEFINITION_HEADER_BYTES) this.define(data);
    else if (kind === RecordKind.Truncated && length >= TRUNCATED_BYTES) {
      this.truncated = true;
      records.push(marker(TRUNCATED_NAME, data.getFloat64(8, true), data.getFloat64(16, true), 'byte budget used up'));
    } else this.fail(records, `a record of kind ${kind} has a length of ${length} bytes`);
  }

  private fail(records: AuditRecord[], reason: string): void {
    this.malformed = reason;
    records.push(marker(MALFORMED_NAME, this.nextSequence, 0, reason));
  }

  private name(data: DataView): void {
    const comm = text(data, TASK_HEADER_BYTES, 64);
    this.tasks.set(data.getUint16(4, true), { pid: data.getUint32(8, true), tid: data.getUint32(12, true), comm });
  }

  private define(data: DataView): void {
    const whole = text(data, DEFINITION_HEADER_BYTES, DEFINITION_TEXT_MAX);
    const end = whole.indexOf('\0');
    this.definitions.set(data.getUint16(4, true), {
      number: data.getUint32(8, true),
      name: printable(end < 0 ? whole : whole.slice(0, end)),
      result: RESULT_KINDS[data.getUint32(12, true)] ?? 'int',
      parameters: parseSignature(printable(end < 0 ? '' : whole.slice(end + 1))).slice(0, 6),
    });
    // A hostile writer must not fill the memory with definitions.
    if (this.definitions.size > 4096) this.definitions.clear();
  }

  private call(data: DataView, records: AuditRecord[]): void {
    const id = data.getUint16(4, true);
    const task = this.tasks.get(data.getUint16(6, true)) ?? NOBODY;
    const count = data.getUint8(13);
    const argumentsEnd = CALL_HEADER_BYTES + count * 8;
    if (count > 6 || argumentsEnd > data.byteLength) {
      this.fail(records, `a call record claims ${count} arguments`);
      return;
    }
    const args: number[] = [];
    for (let index = 0; index < count; index++) args.push(data.getFloat64(CALL_HEADER_BYTES + index * 8, true));
    const definition = this.definitions.get(id) ?? {
      number: id,
      name: unknownName(id),
      result: 'int',
      parameters: UNKNOWN,
    };
    const found = captures(data, argumentsEnd);
    const result = readResult(data, found[RESULT_CAPTURE]);
    const sequence = data.getUint32(8, true);
    this.nextSequence = sequence + 1;
    records.push({
      sequence,
      start: data.getUint16(14, true) * TWO_32 + data.getUint32(16, true),
      duration: data.getUint16(30, true) * TWO_32 + data.getUint32(20, true),
      pid: task.pid,
      tid: task.tid,
      comm: task.comm,
      number: definition.number,
      name: definition.name,
      arguments: renderArguments(definition.parameters, args, result, found),
      result: definition.result === 'none' && result === 0 ? null : result,
      error: errorName(result),
      decision: DECISIONS[data.getUint8(12)] ?? 'allow',
    });
  }
}

function readResult(data: DataView, exact: Capture | undefined): number {
  if (exact?.bytes.length === 8) return new DataView(exact.bytes.buffer, exact.bytes.byteOffset).getFloat64(0, true);
  return data.getInt16(28, true) * TWO_32 + data.getUint32(24, true);
}

/** Records of a stream that is wholly in `bytes`. For a stream that comes in batches, use `AuditDecoder`. */
export function decodeRecords(bytes: Uint8Array): AuditRecord[] {
  return new AuditDecoder().decode(bytes);
}

/** A call that Linux has no name for. */
export function unknownName(number: number): string {
  return `syscall_0x${number.toString(16)}`;
}

interface Capture {
  readonly bytes: Uint8Array;
  readonly cut: boolean;
}

function captures(data: DataView, start: number): (Capture | undefined)[] {
  const found: (Capture | undefined)[] = [];
  let offset = start;
  while (offset + CAPTURE_HEADER_BYTES <= data.byteLength) {
    const index = data.getUint8(offset);
    const cut = (data.getUint8(offset + 1) & CAPTURE_CUT) !== 0;
    const length = data.getUint16(offset + 2, true);
    offset += CAPTURE_HEADER_BYTES;
    if (index > RESULT_CAPTURE || offset + length > data.byteLength) break;
    found[index] = { bytes: new Uint8Array(data.buffer, data.byteOffset + offset, length), cut };
    offset += length;
  }
  return found;
}

/** open(2) reads its mode only when it may create: nobody sets the register otherwise. */
function hasIdleMode(parameters: readonly Parameter[], args: readonly number[]): boolean {
  const last = parameters.length - 1;
  if (last < 1 || parameters[last].base !== 'mode' || parameters[last - 1].base !== 'open-flags') return false;
  return args.length === parameters.length && (args[last - 1] & CREATING_OPEN_FLAGS) === 0;
}

function renderArguments(
  parameters: readonly Parameter[],
  args: readonly number[],
  result: number,
  found: readonly (Capture | undefined)[],
): AuditArgument[] {
  const shown = Math.min(parameters.length, args.length) - (hasIdleMode(parameters, args) ? 1 : 0);
  const rendered: AuditArgument[] = [];
  for (let index = 0; index < shown; index++) {
    const parameter = parameters[index];
    const capture = captureTime(parameter) === 'value' ? undefined : found[index];
    rendered.push({
      name: parameter.name,
      kind: parameter.kind,
      text: kindOf(parameter.base).render({
        value: args[index],
        args,
        result,
        bytes: capture?.bytes ?? null,
        cut: capture?.cut ?? false,
        parameter,
      }),
    });
  }
  return rendered;
}

function marker(name: string, sequence: number, start: number, reason: string): AuditRecord {
  return {
    sequence,
    start,
    duration: 0,
    pid: 0,
    tid: 0,
    comm: '',
    number: -1,
    name,
    arguments: [{ name: 'reason', kind: 'string', text: `"${printable(reason)}"` }],
    result: null,
    error: null,
    decision: 'allow',
  };
}

function text(data: DataView, start: number, most: number): string {
  const end = Math.min(data.byteLength, start + most);
  let string = '';
  for (let offset = start; offset < end; offset++) string += String.fromCharCode(data.getUint8(offset));
  return string;
}
