/** What a #! line says. */
export interface ScriptLine {
  readonly interpreter: string;
  /** Everything after the interpreter's name, as one argument. */
  readonly argument: string | null;
}

/** Bytes of the file that are looked at (BINPRM_BUF_SIZE). */
export const SCRIPT_LINE_MAX = 256;

const isBlank = (byte: number): boolean => byte === 0x20 || byte === 0x09;

/**
 * Parses the first line as Linux's load_script does. null: no usable #! line (ENOEXEC), also when the interpreter's name may have been
 * cut off at 256 bytes.
 */
export function parseScriptLine(head: Uint8Array): ScriptLine | null {
  if (head.length < 3 || head[0] !== 0x23 || head[1] !== 0x21) return null;
  // As if the rest of the buffer were zeros.
  const limit = Math.min(head.length, SCRIPT_LINE_MAX - 1);
  let end = head.subarray(0, Math.min(head.length, SCRIPT_LINE_MAX)).indexOf(0x0a);
  if (end < 0) {
    let name = 2;
    while (name < limit && isBlank(head[name])) name++;
    if (name === limit) return null;
    let stop = name;
    while (stop < limit && !isBlank(head[stop]) && head[stop] !== 0) stop++;
    if (stop === limit && limit === SCRIPT_LINE_MAX - 1) return null;
    end = limit;
  }
  while (end > 2 && (isBlank(head[end - 1]) || head[end - 1] === 0)) end--;
  let start = 2;
  while (start < end && isBlank(head[start])) start++;
  if (start === end) return null;
  let stop = start;
  while (stop < end && !isBlank(head[stop]) && head[stop] !== 0) stop++;
  if (stop === start) return null;
  let rest = stop;
  while (rest < end && isBlank(head[rest])) rest++;
  const hasArgument = rest < end && head[stop] !== 0;
  const argument = hasArgument ? text(head, rest, end) : null;
  return { interpreter: text(head, start, stop), argument };
}

function text(bytes: Uint8Array, start: number, end: number): string {
  const nul = bytes.subarray(start, end).indexOf(0);
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, nul < 0 ? end - start : nul).toString('latin1');
}
