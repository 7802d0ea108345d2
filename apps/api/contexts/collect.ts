import { CONTEXT_OUTPUT_BYTES, type ContextEvent, type ContextRunDto } from '@cordon/contracts';

/** Events of a run as one answer. Its client takes all of it, so that the run is not held back by what is cut. */
export async function collectRun(events: AsyncIterable<ContextEvent>): Promise<ContextRunDto> {
  const run: ContextRunDto = {
    outcome: 'died',
    executionCount: 0,
    exitCode: null,
    stdout: '',
    stdoutTruncated: false,
    stderr: '',
    stderrTruncated: false,
    results: [],
    resultsTruncated: false,
    error: null,
  };
  const parts = { stdout: [] as string[], stderr: [] as string[] };
  const sizes = { stdout: 0, stderr: 0, results: 0 };
  for await (const event of events) {
    switch (event.type) {
      case 'stdout':
      case 'stderr': {
        const room = CONTEXT_OUTPUT_BYTES - sizes[event.type];
        const kept = event.text.slice(0, room).toWellFormed();
        sizes[event.type] += kept.length;
        if (kept !== '') parts[event.type].push(kept);
        if (kept.length < event.text.length) run[`${event.type}Truncated`] = true;
        break;
      }
      case 'result': {
        const size = Object.values(event.data).reduce((sum, text) => sum + text.length, 0);
        // The first is always there: its own size is bounded where it is made.
        if (sizes.results > 0 && sizes.results + size > CONTEXT_OUTPUT_BYTES) {
          run.resultsTruncated = true;
          break;
        }
        sizes.results += size;
        run.results.push({ main: event.main, data: { ...event.data } });
        break;
      }
      case 'error': {
        const { name, value, traceback } = event;
        run.error = { name, value, traceback };
        break;
      }
      case 'end':
        run.outcome = event.outcome;
        run.executionCount = event.executionCount;
        run.exitCode = event.exitCode;
    }
  }
  run.stdout = parts.stdout.join('');
  run.stderr = parts.stderr.join('');
  return run;
}
