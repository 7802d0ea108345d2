import { PIPE_BUF } from '../fs/pipe/pipe.js';
import type { StdioSink } from '../fs/stdio/stdio.js';
import type { WaitQueue } from '../vfs/wait-queue.js';
import { FrameType } from './boot-message.js';
import type { FrameChannel } from './channel.js';

type OutputFrame = typeof FrameType.Stdout | typeof FrameType.Stderr;

/**
 * Where the guest's stdout and stderr go: frames to the supervisor, bounded together by the output limit. When the
 * supervisor does not keep up there is no room, writers wait, and the guest slows down to its reader.
 */
export class Output {
  private remaining = 0;
  private exceeded = false;
  /** Called once, when the guest writes the first byte over the limit. */
  onExceeded: () => void = () => {};
  /** Called when bytes were queued: they should leave soon. */
  onDirty: () => void = () => {};
  readonly stdout: StdioSink;
  readonly stderr: StdioSink;

  constructor(private readonly channel: FrameChannel) {
    this.stdout = new OutputSink(this, FrameType.Stdout, channel);
    this.stderr = new OutputSink(this, FrameType.Stderr, channel);
  }

  /** Bytes the guest may write in all. */
  limit(bytes: number): void {
    this.remaining = bytes;
    this.exceeded = false;
  }

  get writable(): boolean {
    return this.exceeded || this.channel.room() >= PIPE_BUF;
  }

  /** Takes up to `length` bytes; 0 = no room now. Bytes over the limit are dropped: the run is about to end. */
  accept(type: OutputFrame, bytes: Uint8Array, offset: number, length: number): number {
    if (this.exceeded) return length;
    const wanted = Math.min(length, this.remaining);
    if (length <= PIPE_BUF && wanted > this.channel.room() && !this.channel.closed) return 0;
    const taken = wanted === 0 ? 0 : this.channel.append(type, bytes, offset, wanted);
    this.remaining -= taken;
    if (taken > 0) this.onDirty();
    if (this.remaining > 0 || taken === length) return taken;
    this.exceeded = true;
    this.onExceeded();
    return length;
  }
}

class OutputSink implements StdioSink {
  readonly onWritable: WaitQueue;

  constructor(
    private readonly output: Output,
    private readonly type: OutputFrame,
    channel: FrameChannel,
  ) {
    this.onWritable = channel.writable;
  }

  get writable(): boolean {
    return this.output.writable;
  }

  write(bytes: Uint8Array, offset: number, length: number): number {
    return this.output.accept(this.type, bytes, offset, length);
  }
}
