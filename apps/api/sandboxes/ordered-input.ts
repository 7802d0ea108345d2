import type { WebSocket } from 'ws';

/** Input on its way to the process before the client is let wait. */
const INPUT_MOST = 256 << 10;
/** What a message takes beside its bytes. */
const MESSAGE_WEIGHT = 256;

/** What a client of a WebSocket wants done, one after the other. */
export class OrderedInput {
  private last: Promise<void> = Promise.resolve();
  private waiting = 0;

  constructor(
    private readonly client: WebSocket,
    private readonly failed: (error: Error) => void,
  ) {}

  /** Nothing waits without bound for a guest that does not read: `bytes` of a message count, and so does the message. */
  add(action: () => Promise<unknown>, bytes = 0): undefined {
    const weight = bytes + MESSAGE_WEIGHT;
    this.waiting += weight;
    if (this.waiting > INPUT_MOST) this.client.pause();
    const done = (): void => {
      this.waiting -= weight;
      if (this.client.isPaused && this.waiting <= INPUT_MOST) this.client.resume();
    };
    this.last = this.last.then(action).catch(this.failed).then(done);
  }
}
