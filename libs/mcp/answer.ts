import type { CallToolResult } from '@modelcontextprotocol/server';
import type { Output } from './backend.js';
import { ToolFailure } from './backend.js';
import { bounded } from './text.js';

/** An answer for programs and, as text, for models. */
export function answer(structured: Record<string, unknown>, text: string): CallToolResult {
  return { content: [{ type: 'text', text }], structuredContent: structured };
}

/** The answer of `work`; what it cannot is an error of the tool, that the model reads. */
export async function answered(work: () => Promise<CallToolResult>): Promise<CallToolResult> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ToolFailure)) throw error;
    return { content: [{ type: 'text', text: error.message }], isError: true };
  }
}

const MORE = 'Print less, or write it to a file in a sandbox and read that in parts';

/** Both outputs within bounds. */
export function outputs(done: Output): { stdout: string; stderr: string; truncated: boolean } {
  const stdout = bounded(done.stdout, MORE);
  const stderr = bounded(done.stderr, MORE);
  return { stdout: stdout.text, stderr: stderr.text, truncated: done.truncated || stdout.cut || stderr.cut };
}

/** How it ended in one line, then what it printed. */
export function outputText(headline: string, { stdout, stderr, truncated }: ReturnType<typeof outputs>): string {
  const parts = [headline];
  if (stdout !== '') parts.push(`stdout:\n${stdout}`);
  if (stderr !== '') parts.push(`stderr:\n${stderr}`);
  if (stdout === '' && stderr === '') parts.push('It printed nothing.');
  if (truncated) parts.push('[The output was cut.]');
  return parts.join('\n');
}
