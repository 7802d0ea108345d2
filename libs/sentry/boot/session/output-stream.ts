import { PIPE_BUF } from '../../fs/pipe/pipe.js';
import type { StdioSink } from '../../fs/stdio/stdio.js';
import { POLLOUT, WaitQueue } from '../../vfs/wait-queue.js';
import { FrameType } from '../boot-message.js';
import type { FrameChannel } from '../channel.js';
import { STREAM_WINDOW } from './session-message.js';

const HEADER = 5;
/** Bytes of one output frame at most. */
const PIECE = 32 * 1024;
const frame = new Uint8Array(HEADER + PIECE);
const view = new DataView(frame.buffer);

/**
 * The output of one process of a session. Its reader gives credit: a stream that nobody takes holds back its own writers,
 * and no other stream.
 */
export class OutputStream {
  readonly stdout: StdioSink;
  readonly stderr: StdioSink;
  readonly onWritable = new WaitQueue();
  private window = STREAM_WINDOW;
  private holders = 0;

  constructor(
    private readonly id: number,
    private readonly channel: FrameChannel,
    private readonly dirty: () => void,
    private readonly released: () => void,
  ) {
    this.stdout = this.sink(1);
    this.stderr = this.sink(2);
  }

  get open(): boolean {
    return this.holders > 0;
  }

  /** So many bytes were taken. */
  credit(bytes: number): void {
    this.window = Math.min(STREAM_WINDOW, this.window + bytes);
    this.wake();
  }

  /** There may be room: in the window, or in the channel. */
  wake(): void {
    if (!this.onWritable.empty) this.onWritable.wake(POLLOUT);
  }

  private sink(descriptor: 1 | 2): StdioSink {
    const stream = this;
    return {
      onWritable: this.onWritable,
      get writable() {
        return stream.room() >= PIPE_BUF;
      },
      write: (bytes, offset, length) => this.write(descriptor, bytes, offset, length),
      opened: () => {
        this.holders++;
      },
      closed: () => {
        this.holders--;
        if (this.holders === 0) this.released();
      },
    };
  }

  /** Bytes that one write takes now. */
  room(): number {
    return Math.min(this.window, PIECE, this.channel.room() - HEADER);
  }

  /** Nothing more comes, of a stream that is no program's: an empty piece. */
  end(): void {
    view.setUint32(0, this.id, true);
    frame[4] = 1;
    this.channel.send(FrameType.Output, frame, 0, HEADER);
    this.dirty();
  }

  private write(descriptor: number, bytes: Uint8Array, offset: number, length: number): number {
    const taken = Math.min(length, this.room());
    if (taken <= 0 || (taken < length && length <= PIPE_BUF)) return this.channel.closed ? length : 0;
    view.setUint32(0, this.id, true);
    frame[4] = descriptor;
    frame.set(bytes.subarray(offset, offset + taken), HEADER);
    this.channel.send(FrameType.Output, frame, 0, HEADER + taken);
    this.window -= taken;
    this.dirty();
    return taken;
  }
}
