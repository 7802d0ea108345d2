import { ERRNO_NAMES } from '../abi/errno.js';
import {
  align8,
  CALL_HEADER_BYTES,
  CAPTURE_CUT,
  CAPTURE_HEADER_BYTES,
  CAPTURE_PATH_ID,
  DECISIONS,
  DEFINITION_HEADER_BYTES,
  FORMAT_BYTES,
  FORMAT_VERSION,
  KEPT_PATH_BYTES,
  PATH_HEADER_BYTES,
  PATH_IDS,
  RECORD_BYTES_MAX,
  RESULT_CAPTURE,
  RESULT_KINDS,
  RecordKind,
  type ResultKind,
  TASK_HEADER_BYTES,
  TRUNCATED_BYTES,
  UNKNOWN_SIGNATURE,
} from './format.js';
import type { AuditArgument, AuditRecord } from './record.js';
import { Renderings, Shower } from './shower.js';
import { parseSignature } from './signature.js';
import { printable, quote } from './text.js';

/** Name of the record that says that recording stopped: the byte budget was used up. */
export const TRUNCATED_NAME = 'audit_truncated';
/** Name of the record that says that the stream could not be read further. */
export const MALFORMED_NAME = 'audit_malformed';

interface Definition {
  readonly number: number;
  readonly name: string;
  readonly result: ResultKind;
  readonly showers: readonly Shower[];
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
const showersOf = (signature: string): readonly Shower[] =>
  parseSignature(signature)
    .slice(0, 6)
    .map((parameter) => new Shower(parameter));
const UNKNOWN = showersOf(UNKNOWN_SIGNATURE);

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
  /** As shown. */
  private readonly paths: (string | undefined)[] = new Array(PATH_IDS).fill(undefined);
  private readonly renderings = new Renderings();
  /** Of the call that is being read. */
  private readonly captures = new Captures();
  private nextSequence = 0;

  decode(bytes: Uint8Array): AuditRecord[] {
    const records: AuditRecord[] = [];
    const stream: Stream = { bytes, data: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
    let offset = 0;
    while (offset < bytes.length && this.malformed === null) {
      if (offset + 4 > bytes.length) {
        this.fail(records, 'a record header is cut off');
        break;
      }
      const length = stream.data.getUint16(offset, true);
      if (length < 4 || length > RECORD_BYTES_MAX || offset + length > bytes.length) {
        this.fail(records, `a record has a length of ${length} bytes`);
        break;
      }
      if (stream.data.getUint16(offset + 2, true) === RecordKind.Call && length >= CALL_HEADER_BYTES) {
        this.call(stream, offset, offset + length, records);
      } else {
        this.other(new DataView(bytes.buffer, bytes.byteOffset + offset, length), records);
      }
      offset += align8(length);
    }
    return records;
  }

  private other(data: DataView, records: AuditRecord[]): void {
    const kind = data.getUint16(2, true);
    const length = data.byteLength;
    if (kind === RecordKind.Path && length >= PATH_HEADER_BYTES) this.path(data);
    else if (kind === RecordKind.Task && length >= TASK_HEADER_BYTES) this.name(data);
    else if (kind === RecordKind.Definition && length >= DEFINITION_HEADER_BYTES) this.define(data);
    else if (kind === RecordKind.Format && length >= FORMAT_BYTES) this.format(data, records);
    else if (kind === RecordKind.Truncated && length >= TRUNCATED_BYTES) {
      this.truncated = true;
      records.push(marker(TRUNCATED_NAME, data.getFloat64(8, true), data.getFloat64(16, true), 'byte budget used up'));
    } else this.fail(records, `a record of kind ${kind} has a length of ${length} bytes`);
  }

  private format(data: DataView, records: AuditRecord[]): void {
    const version = data.getUint32(4, true);
    if (version !== FORMAT_VERSION) this.fail(records, `the format has version ${version}`);
  }

  private path(data: DataView): void {
    const length = Math.min(data.byteLength - PATH_HEADER_BYTES, KEPT_PATH_BYTES);
    const bytes = new Uint8Array(data.buffer, data.byteOffset + PATH_HEADER_BYTES, length);
    this.paths[data.getUint32(4, true) % PATH_IDS] = quote(bytes);
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
      showers: showersOf(printable(end < 0 ? '' : whole.slice(end + 1))),
    });
    // A hostile writer must not fill the memory with definitions.
    if (this.definitions.size > 4096) this.definitions.clear();
  }

  private call({ bytes, data }: Stream, at: number, end: number, records: AuditRecord[]): void {
    const count = bytes[at + 13];
    const argumentsEnd = at + CALL_HEADER_BYTES + count * 8;
    if (count > 6 || argumentsEnd > end) {
      this.fail(records, `a call record claims ${count} arguments`);
      return;
    }
    const id = data.getUint16(at + 4, true);
    const task = this.tasks.get(data.getUint16(at + 6, true)) ?? NOBODY;
    const definition = this.definitions.get(id) ?? unknownCall(id);
    const { captures } = this;
    captures.find(bytes, argumentsEnd, end);
    const exact = captures.starts[RESULT_CAPTURE];
    const result =
      exact >= 0 && captures.lengths[RESULT_CAPTURE] === 8
        ? data.getFloat64(exact, true)
        : data.getInt16(at + 28, true) * TWO_32 + data.getUint32(at + 24, true);
    const sequence = data.getUint32(at + 8, true);
    this.nextSequence = sequence + 1;
    records.push({
      sequence,
      start: data.getUint16(at + 14, true) * TWO_32 + data.getUint32(at + 16, true),
      duration: data.getUint16(at + 30, true) * TWO_32 + data.getUint32(at + 20, true),
      pid: task.pid,
      tid: task.tid,
      comm: task.comm,
      number: definition.number,
      name: definition.name,
      arguments: this.show(definition.showers, { bytes, data }, at + CALL_HEADER_BYTES, count),
      result: definition.result === 'none' && result === 0 ? null : result,
      error: errorName(result),
      decision: DECISIONS[bytes[at + 12]] ?? 'allow',
    });
  }

  /** Precondition: `captures` is the call's. */
  private show(showers: readonly Shower[], { bytes, data }: Stream, at: number, count: number): AuditArgument[] {
    const { renderings } = this;
    const { starts, lengths, flags } = this.captures;
    const shown = Math.min(showers.length, count) - (hasIdleMode(showers, data, at, count) ? 1 : 0);
    const rendered: AuditArgument[] = [];
    for (let index = 0; index < shown; index++) {
      const shower = showers[index];
      const value = data.getFloat64(at + index * 8, true);
      let text: string;
      if (!shower.hasMemory || starts[index] < 0) text = renderings.value(shower, value);
      else if ((flags[index] & CAPTURE_PATH_ID) === 0) {
        const cut = (flags[index] & CAPTURE_CUT) !== 0;
        text = renderings.memory(shower, value, bytes, starts[index], lengths[index], cut);
      } else {
        const path = shower.isPath ? this.paths[lengths[index] % PATH_IDS] : undefined;
        text = path ?? renderings.value(shower, value);
      }
      rendered.push({ name: shower.name, kind: shower.kind, text });
    }
    return rendered;
  }
}

/** A batch. */
interface Stream {
  readonly bytes: Uint8Array;
  readonly data: DataView;
}

/** Where the captures of one call are, by argument; -1: none. */
class Captures {
  readonly starts = new Int32Array(RESULT_CAPTURE + 1);
  readonly lengths = new Int32Array(RESULT_CAPTURE + 1);
  readonly flags = new Uint8Array(RESULT_CAPTURE + 1);

  find(bytes: Uint8Array, from: number, end: number): void {
    const { starts, lengths, flags } = this;
    for (let index = 0; index <= RESULT_CAPTURE; index++) starts[index] = -1;
    for (let offset = from; offset + CAPTURE_HEADER_BYTES <= end; ) {
      const index = bytes[offset];
      const length = bytes[offset + 2] | (bytes[offset + 3] << 8);
      const carried = (bytes[offset + 1] & CAPTURE_PATH_ID) === 0 ? length : 0;
      if (index > RESULT_CAPTURE || offset + CAPTURE_HEADER_BYTES + carried > end) return;
      starts[index] = offset + CAPTURE_HEADER_BYTES;
      lengths[index] = length;
      flags[index] = bytes[offset + 1];
      offset += CAPTURE_HEADER_BYTES + carried;
    }
  }
}

function unknownCall(id: number): Definition {
  return { number: id, name: unknownName(id), result: 'int', showers: UNKNOWN };
}

/** Records of a stream that is wholly in `bytes`. For a stream that comes in batches, use `AuditDecoder`. */
export function decodeRecords(bytes: Uint8Array): AuditRecord[] {
  return new AuditDecoder().decode(bytes);
}

/** A call that Linux has no name for. */
export function unknownName(number: number): string {
  return `syscall_0x${number.toString(16)}`;
}

/** open(2) reads its mode only when it may create: nobody sets the register otherwise. */
function hasIdleMode(showers: readonly Shower[], data: DataView, at: number, count: number): boolean {
  const last = showers.length - 1;
  if (last < 1 || showers[last].base !== 'mode' || showers[last - 1].base !== 'open-flags') return false;
  return count === showers.length && (data.getFloat64(at + (last - 1) * 8, true) & CREATING_OPEN_FLAGS) === 0;
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
