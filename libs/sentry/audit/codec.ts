import { ERRNO_NAMES } from '../abi/errno.js';
import {
  align8,
  CALL_HEADER_BYTES,
  CAPTURE_CUT,
  CAPTURE_HEADER_BYTES,
  DECISIONS,
  RECORD_BYTES_MAX,
  RESULT_KINDS,
  RecordKind,
  type ResultKind,
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
  readonly name: string;
  readonly result: ResultKind;
  readonly parameters: readonly Parameter[];
}

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
  private readonly comms = new Map<number, string>();
  private readonly definitions = new Map<number, Definition>();
  private nextSequence = 0;

  decode(bytes: Uint8Array): AuditRecord[] {
    const records: AuditRecord[] = [];
    const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let offset = 0;
    while (offset < bytes.length && this.malformed === null) {
      if (offset + 8 > bytes.length) {
        this.fail(records, 'a record header is cut off');
        break;
      }
      const length = data.getUint32(offset, true);
      if (length < 8 || length > RECORD_BYTES_MAX || offset + length > bytes.length) {
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
    const kind = data.getUint32(4, true);
    const length = data.byteLength;
    if (kind === RecordKind.Call && length >= CALL_HEADER_BYTES) this.call(data, records);
    else if (kind === RecordKind.Comm && length >= 12)
      this.comms.set(data.getUint32(8, true) & 0xffff, text(data, 12, 64));
    else if (kind === RecordKind.Definition && length >= 16) this.define(data);
    else if (kind === RecordKind.Truncated && length >= 32) {
      this.truncated = true;
      records.push(marker(TRUNCATED_NAME, data.getFloat64(16, true), data.getFloat64(24, true), 'byte budget used up'));
    } else this.fail(records, `a record of kind ${kind} has a length of ${length} bytes`);
  }

  private fail(records: AuditRecord[], reason: string): void {
    this.malformed = reason;
    records.push(marker(MALFORMED_NAME, this.nextSequence, 0, reason));
  }

  private define(data: DataView): void {
    const whole = text(data, 16, DEFINITION_TEXT_MAX);
    const end = whole.indexOf('\0');
    this.definitions.set(data.getUint32(8, true), {
      name: printable(end < 0 ? whole : whole.slice(0, end)),
      result: RESULT_KINDS[data.getUint32(12, true)] ?? 'int',
      parameters: parseSignature(printable(end < 0 ? '' : whole.slice(end + 1))).slice(0, 6),
    });
    // A number is 32 bits wide; a hostile writer must not fill the memory with definitions.
    if (this.definitions.size > 4096) this.definitions.clear();
  }

  private call(data: DataView, records: AuditRecord[]): void {
    const number = data.getUint32(8, true);
    const count = data.getUint8(15);
    const argumentsEnd = CALL_HEADER_BYTES + count * 8;
    if (count > 6 || argumentsEnd > data.byteLength) {
      this.fail(records, `a call record claims ${count} arguments`);
      return;
    }
    const definition = this.definitions.get(number) ?? {
      name: unknownName(number),
      result: 'int',
      parameters: UNKNOWN,
    };
    const args: number[] = [];
    for (let index = 0; index < count; index++) args.push(data.getFloat64(CALL_HEADER_BYTES + index * 8, true));
    const result = data.getFloat64(48, true);
    const sequence = data.getFloat64(24, true);
    this.nextSequence = sequence + 1;
    records.push({
      sequence,
      start: data.getFloat64(32, true),
      duration: data.getFloat64(40, true),
      pid: data.getUint32(16, true),
      tid: data.getUint32(20, true),
      comm: this.comms.get(data.getUint16(12, true)) ?? '?',
      number,
      name: definition.name,
      arguments: renderArguments(definition.parameters, args, result, captures(data, argumentsEnd)),
      result: definition.result === 'none' && result === 0 ? null : result,
      error: errorName(result),
      decision: DECISIONS[data.getUint8(14)] ?? 'allow',
    });
  }
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
    if (index > 5 || offset + length > data.byteLength) break;
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
