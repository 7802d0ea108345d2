import { REQUEST_LIMITS } from '@cordon/contracts';
import { ProblemException } from './problem.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = new Set([0x5b, 0x7b]);
const CLOSE = new Set([0x5d, 0x7d]);

/** Nesting is counted before parsing, so that ten megabytes of brackets cost nothing. */
function tooDeep(bytes: Buffer, limit: number): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index];
    if (inString) {
      if (byte === BACKSLASH) index++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) {
      inString = true;
    } else if (OPEN.has(byte)) {
      if (++depth > limit) return true;
    } else if (CLOSE.has(byte)) {
      depth--;
    }
  }
  return false;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Depth is bounded already. */
function requireWellFormed(value: unknown): void {
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw new ProblemException('malformed-json', 'a string holds half a surrogate pair');
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, inner] of Object.entries(value)) {
      requireWellFormed(name);
      requireWellFormed(inner);
    }
  }
}

/** A request body as JSON: valid UTF-8, bounded depth, no prototype games. Throws ProblemException. */
export function parseBody(bytes: Buffer): unknown {
  if (bytes.length === 0) throw new ProblemException('malformed-json', 'the body is empty');
  if (tooDeep(bytes, REQUEST_LIMITS.jsonDepth)) {
    throw new ProblemException('malformed-json', `nested deeper than ${REQUEST_LIMITS.jsonDepth}`);
  }
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new ProblemException('malformed-json', 'not valid UTF-8');
  }
  try {
    const body: unknown = JSON.parse(text, (key, value: unknown) => (key === '__proto__' ? undefined : value));
    // Half a surrogate pair has no UTF-8: it would silently become another character. Only an escape can bring one.
    if (/\\u[dD][89a-fA-F]/.test(text)) requireWellFormed(body);
    return body;
  } catch (error) {
    if (error instanceof ProblemException) throw error;
    throw new ProblemException('malformed-json', (error as Error).message);
  }
}
