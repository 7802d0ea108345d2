/**
 * What a driver (drivers/) tells the worker lies in the same stream as what its code prints, in pieces of one write each:
 * ESC ] token ; length (4 hexadecimal digits) + or . payload. `+`: the frame goes on in the next piece. The payloads together are
 * JSON in ASCII. The token is random and known to the driver alone (or used once: shell-wire.ts), so that nothing printed is taken for a
 * frame. What comes is guest-controlled all the same.
 */
const ESCAPE = 0x1b;
const LENGTH_DIGITS = 4;
const MORE = 0x2b;
const LAST = 0x2e;

export interface FrameHandlers {
  /** What the code printed. */
  output(bytes: Buffer): void | Promise<void>;
  frame(payload: string): void | Promise<void>;
}

/** Takes frames out of a stream. */
export class FrameSplitter {
  private held = Buffer.alloc(0);
  private readonly pieces: string[] = [];
  private size = 0;

  /** `token`: of the next frame, null when there is none to come; asked again after each. */
  constructor(
    private readonly token: () => string | null,
    private readonly largest: number,
    private readonly handlers: FrameHandlers,
  ) {}

  /** Throws RangeError for what no driver of ours sends. */
  async push(bytes: Buffer): Promise<void> {
    let rest = this.held.length === 0 ? bytes : Buffer.concat([this.held, bytes]);
    for (;;) {
      const head = this.head();
      const at = head === null ? -1 : rest.indexOf(head);
      const printed = at < 0 ? rest.length - beginning(rest, head) : at;
      if (printed > 0) await this.handlers.output(rest.subarray(0, printed));
      rest = rest.subarray(printed);
      if (head === null || at < 0) break;
      const start = head.length + LENGTH_DIGITS + 1;
      if (rest.length < start) break;
      const digits = rest.toString('latin1', head.length, start - 1);
      const kind = rest[start - 1];
      if (!/^[0-9a-f]{4}$/.test(digits) || (kind !== MORE && kind !== LAST))
        throw new RangeError('a frame without length');
      const end = start + Number.parseInt(digits, 16);
      if (rest.length < end) break;
      await this.piece(rest.toString('latin1', start, end), kind === LAST);
      rest = rest.subarray(end);
    }
    this.held = Buffer.from(rest);
  }

  /** What is held back at the end is output after all. */
  async end(): Promise<void> {
    const { held } = this;
    this.held = Buffer.alloc(0);
    const head = this.head();
    if (held.length > 0 && (head === null || !held.includes(head))) await this.handlers.output(held);
  }

  private async piece(text: string, last: boolean): Promise<void> {
    this.size += text.length;
    if (this.size > this.largest) throw new RangeError('a frame over the limit');
    this.pieces.push(text);
    if (!last) return;
    this.size = 0;
    await this.handlers.frame(this.pieces.splice(0).join(''));
  }

  private head(): Buffer | null {
    const token = this.token();
    return token === null ? null : Buffer.from(`\x1b]${token};`);
  }
}

/** Bytes at the end that may be the beginning of a head. */
function beginning(bytes: Buffer, head: Buffer | null): number {
  if (head === null) return 0;
  const from = Math.max(0, bytes.length - head.length + 1);
  for (let at = bytes.indexOf(ESCAPE, from); at >= 0; at = bytes.indexOf(ESCAPE, at + 1)) {
    if (head.subarray(0, bytes.length - at).equals(bytes.subarray(at))) return bytes.length - at;
  }
  return 0;
}
