import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough, pipeline, type Readable } from 'node:stream';
import { FILE_UPLOAD_BYTES, LINK_CHUNK_BYTES } from '@cordon/contracts';
import busboy from 'busboy';
import { upload } from '../../sandboxes/upload.js';
import type { WorkerLink } from '../../sandboxes/worker-link.js';
import { fieldsOf } from './create-body.js';
import { ExecdFiles, permissionOf } from './execd-files.js';
import { guestPath } from './guest-path.js';
import { invalid, OpenSandboxError } from './opensandbox.errors.js';
import { write } from './wire.js';

const FILES_MOST = 1000;
const METADATA_MOST = 64 << 10;
const NEWLINE = 10;

/** GET /files/download: the content of one, a range of its bytes, or some of its lines. */
export async function download(
  link: WorkerLink,
  id: string,
  query: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = guestPath(query.get('path'));
  const { type, size } = await new ExecdFiles(link, id).stat(path);
  if (type === 'directory') throw new OpenSandboxError(400, 'INVALID_FILE', `${path} is a directory`);
  const read = async (offset: number): Promise<Buffer> =>
    (await link.ask(id, { op: 'read', path, offset, length: LINK_CHUNK_BYTES, root: true })).bytes;
  const lines = linesOf(query);
  if (lines) return sendLines(response, read, lines);
  // A link has the size of its target's name; how large the target is comes with its content.
  const whole =
    type === 'symlink'
      ? (await link.ask<{ size: number }>(id, { op: 'read', path, offset: 0, length: 0, root: true })).reply.size
      : size;
  const { first, last, partial } = rangeOf(request.headers.range, whole);
  const name = encodeURIComponent(path.slice(path.lastIndexOf('/') + 1));
  response.writeHead(partial ? 206 : 200, {
    'content-type': 'application/octet-stream',
    'content-length': last - first + 1,
    'content-disposition': `attachment; filename*=UTF-8''${name}`,
    'accept-ranges': 'bytes',
    ...(partial ? { 'content-range': `bytes ${first}-${last}/${whole}` } : {}),
  });
  for (let at = first; at <= last && !response.destroyed; ) {
    const bytes = (await read(at)).subarray(0, last - at + 1);
    // It was cut meanwhile: what was promised cannot be given, and that must show.
    if (bytes.length === 0) return void response.destroy();
    at += bytes.length;
    await write(response, bytes);
  }
  response.end();
}

/** One range; others than `bytes` are ignored, as RFC 9110 has it. */
function rangeOf(header: string | undefined, size: number): { first: number; last: number; partial: boolean } {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (from === undefined || (from === '' && to === '')) return { first: 0, last: size - 1, partial: false };
  const first = from === '' ? Math.max(0, size - Number(to)) : Number(from);
  const last = from === '' || to === '' ? size - 1 : Math.min(Number(to), size - 1);
  if (first > last)
    throw new OpenSandboxError(416, 'INVALID_FILE', `the range is not in the ${size} bytes of the file`);
  return { first, last, partial: true };
}

/** `offset`: lines that are left out; `limit`: lines at most. */
function linesOf(query: URLSearchParams): { from: number; most: number } | null {
  const [offset, limit] = [query.get('offset'), query.get('limit')];
  if (offset === null && limit === null) return null;
  for (const given of [offset, limit])
    if (given !== null && !/^\d{1,15}$/.test(given)) throw invalid('offset and limit must be whole numbers');
  return { from: Number(offset ?? 0), most: limit === null ? Number.POSITIVE_INFINITY : Number(limit) };
}

async function sendLines(
  response: ServerResponse,
  read: (offset: number) => Promise<Buffer>,
  { from, most }: { from: number; most: number },
): Promise<void> {
  let bytes = await read(0);
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
  let line = 0;
  for (let offset = 0; bytes.length > 0 && line < from + most && !response.destroyed; bytes = await read(offset)) {
    offset += bytes.length;
    let start = line >= from ? 0 : bytes.length;
    let end = bytes.length;
    for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) {
      line++;
      if (line === from) start = at + 1;
      if (line < from + most) continue;
      end = at + 1;
      break;
    }
    if (start < end) await write(response, bytes.subarray(start, end));
  }
  response.end();
}

type Part = { readonly name: string; readonly body: Readable };

/** POST /files/upload: pairs of parts, `metadata` (where to) and `file`. */
export async function receive(link: WorkerLink, id: string, request: IncomingMessage): Promise<object> {
  const files = new ExecdFiles(link, id);
  let metadata: unknown = null;
  let count = 0;
  for await (const { name, body } of parts(request)) {
    if (name === 'metadata') {
      metadata = await metadataOf(body);
      continue;
    }
    if (metadata === null)
      throw new OpenSandboxError(400, 'INVALID_FILE_METADATA', 'a part "metadata" must come before each part "file"');
    const path = guestPath(fieldsOf(metadata, 'metadata').path);
    const permission = permissionOf(metadata, path);
    await upload(link, id, path, body, {
      root: true,
      ...(permission.mode === undefined ? {} : { mode: permission.mode }),
    });
    await files.permit(path, permission);
    metadata = null;
    count++;
  }
  if (count === 0) throw new OpenSandboxError(400, 'INVALID_FILE', 'no part "file"');
  return {};
}

async function metadataOf(body: Readable): Promise<unknown> {
  let text = '';
  for await (const chunk of body) {
    text += String(chunk);
    if (text.length > METADATA_MOST) break;
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new OpenSandboxError(400, 'INVALID_FILE_METADATA', 'metadata must be JSON');
  }
}

/** The parts of a form, one after the other. */
async function* parts(request: IncomingMessage): AsyncGenerator<Part> {
  const bad = (message: string): OpenSandboxError => new OpenSandboxError(400, 'INVALID_FILE', message);
  const queue = new PassThrough({ objectMode: true, highWaterMark: 1 });
  let form: busboy.Busboy;
  try {
    // One more byte than a file may have: what is cut must be seen to be too long.
    form = busboy({
      headers: request.headers,
      preservePath: true,
      limits: { files: 2 * FILES_MOST, fields: FILES_MOST, fieldSize: METADATA_MOST, fileSize: FILE_UPLOAD_BYTES + 1 },
    });
  } catch (error) {
    throw bad(`not a form: ${(error as Error).message}`);
  }
  form.on('file', (name, body) => {
    // Whoever reads it hears of what befalls it; a part that nobody reads has nobody to tell.
    body.on('error', () => undefined);
    if (name === 'metadata' || name === 'file') queue.write({ name, body });
    else body.resume();
  });
  form.on('field', (name, value) => {
    if (name === 'metadata') queue.write({ name, body: new PassThrough().end(value) });
  });
  form.on('filesLimit', () => queue.destroy(bad(`more than ${FILES_MOST} files`)));
  pipeline(request, form, (error) => {
    if (error) queue.destroy(bad(`the upload broke off: ${error.message}`));
    else queue.end();
  });
  try {
    yield* queue as AsyncIterable<Part>;
  } finally {
    // Refused in the middle: the rest is read by nobody.
    if (!request.complete) request.unpipe(form);
  }
}
