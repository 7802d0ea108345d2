import { EXEC_OUTPUT_BYTES, type ExecResultDto, type ProcessEvent } from '@cordon/contracts';
import { ProblemException } from '../http/problem.js';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** One output stream of a process, up to what an answer holds. */
class Collected {
  private readonly chunks: Buffer[] = [];
  private bytes = 0;
  truncated = false;

  push(data: string, encoding: 'utf8' | 'base64'): void {
    const all = Buffer.from(data, encoding);
    const kept = all.subarray(0, EXEC_OUTPUT_BYTES - this.bytes);
    this.truncated ||= kept.length < all.length;
    this.bytes += kept.length;
    if (kept.length > 0) this.chunks.push(kept);
  }

  whole(): { data: string; encoding: 'utf8' | 'base64' } {
    const bytes = Buffer.concat(this.chunks);
    try {
      return { data: utf8.decode(bytes, { stream: this.truncated }), encoding: 'utf8' };
    } catch {
      return { data: bytes.toString('base64'), encoding: 'base64' };
    }
  }
}

/** Events of a process to its end, as one answer. Throws ProblemException (410) when the sandbox ended first. */
export async function collect(events: AsyncIterable<ProcessEvent>): Promise<ExecResultDto> {
  const streams = { stdout: new Collected(), stderr: new Collected() };
  let started = { process: 0, pid: 0 };
  for await (const event of events) {
    if (event.type === 'started') started = { process: event.process, pid: event.pid };
    else if (event.type === 'stdout' || event.type === 'stderr') streams[event.type].push(event.data, event.encoding);
    else if (event.type === 'exit') {
      const { exitCode, signal, timedOut, cpuMs, wallMs } = event;
      const stdout = streams.stdout.whole();
      const stderr = streams.stderr.whole();
      return {
        ...started,
        exitCode,
        signal,
        timedOut,
        stdout: stdout.data,
        stdoutEncoding: stdout.encoding,
        stdoutTruncated: streams.stdout.truncated,
        stderr: stderr.data,
        stderrEncoding: stderr.encoding,
        stderrTruncated: streams.stderr.truncated,
        cpuMs,
        wallMs,
      };
    } else if (event.type === 'lost') break;
  }
  throw new ProblemException('sandbox-ended', 'before the process did');
}
