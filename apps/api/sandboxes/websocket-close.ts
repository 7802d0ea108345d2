import { Transform, type TransformCallback } from 'node:stream';

/** RFC 6455, 5.2. */
const OPCODE = 0x0f;
const CLOSE_OPCODE = 0x8;
const FINAL = 0x80;
const LENGTH = 0x7f;
const MASK = 0x80;
const MASK_BYTES = 4;
/** "Bad gateway", in IANA's registry of close codes: the server behind is gone, and did not say why. */
const BAD_GATEWAY = 1014;

/**
 * Passes on what a WebSocket server sends. When it ends in the middle of the conversation (the guest died, its worker was lost), the client is
 * told so by a close frame, as if the server had sent one; in the middle of a frame there is nothing that could be said.
 */
export class ClosedForOthers extends Transform {
  /** Of the frame that is under way: its header as far as it came, and how much of its payload is still to come. */
  private header: number[] = [];
  private payload = 0;
  private closing = false;

  constructor(private readonly reason: string) {
    super();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.payload > 0) {
        const skipped = Math.min(this.payload, chunk.length - at);
        this.payload -= skipped;
        at += skipped;
      } else this.headerByte(chunk[at++]);
    }
    done(null, chunk);
  }

  override _flush(done: TransformCallback): void {
    const between = this.header.length === 0 && this.payload === 0;
    if (between && !this.closing) {
      const reason = Buffer.from(this.reason);
      const code = [BAD_GATEWAY >> 8, BAD_GATEWAY & 0xff];
      this.push(Buffer.concat([Buffer.from([FINAL | CLOSE_OPCODE, reason.length + code.length, ...code]), reason]));
    }
    done();
  }

  private headerByte(byte: number): void {
    const { header } = this;
    header.push(byte);
    if (header.length < 2) return;
    const short = header[1] & LENGTH;
    const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
    const size = 2 + lengthBytes + (header[1] & MASK ? MASK_BYTES : 0);
    if (header.length < size) return;
    const length = header.slice(2, 2 + lengthBytes).reduce((sum, digit) => sum * 256 + digit, 0);
    this.payload = lengthBytes === 0 ? short : length;
    this.closing ||= (header[0] & OPCODE) === CLOSE_OPCODE;
    this.header = [];
  }
}
