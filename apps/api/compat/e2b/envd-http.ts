import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough, pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { LINK_CHUNK_BYTES, type SandboxFileDto } from '@cordon/contracts';
import busboy from 'busboy';
import { drained } from '../../http/gone.js';
import { upload } from '../../sandboxes/upload.js';
import type { WorkerLink } from '../../sandboxes/worker-link.js';
import { E2bError, toE2bError } from './e2b.errors.js';
import { EnvdFiles } from './envd-files.js';
import { type GuestUser, guestPath } from './guest-user.js';

/** Files of one request. */
const FILES_MOST = 1000;

interface Written {
  readonly path: string;
  readonly name: string;
  readonly type: 'file';
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** GET /files: the content of one. */
export async function download(
  link: WorkerLink,
  id: string,
  user: GuestUser,
  given: string | null,
  response: ServerResponse,
): Promise<void> {
  const path = guestPath(given ?? '', user);
  const read = async (offset: number) =>
    link.ask<{ size: number }>(id, { op: 'read', path, offset, length: LINK_CHUNK_BYTES, root: user.root });
  let entry: SandboxFileDto;
  try {
    entry = await new EnvdFiles(link, id, user).stat(path);
  } catch (error) {
    throw toE2bError(error).code === 'not_found' ? new E2bError('not_found', `path '${path}' does not exist`) : error;
  }
  if (entry.type === 'directory') throw new E2bError('invalid_argument', `path '${path}' is a directory`);
  let { reply, bytes } = await read(0);
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-length': reply.size,
    'content-disposition': `inline; filename*=UTF-8''${encodeURIComponent(nameOf(path))}`,
  });
  // What was promised is given: a file that changes meanwhile is cut, or the connection is.
  for (let left = reply.size, offset = 0; left > 0 && bytes.length > 0 && !response.destroyed; ) {
    const piece = bytes.subarray(0, left);
    left -= piece.length;
    offset += piece.length;
    if (!response.write(piece)) await drained(response);
    if (left > 0) ({ reply, bytes } = await read(offset));
    if (left > 0 && bytes.length === 0) response.destroy();
  }
  response.end();
}

/** POST /files: one as the body, or many as parts of a form. */
export async function receive(
  link: WorkerLink,
  id: string,
  user: GuestUser,
  given: string | null,
  request: IncomingMessage,
): Promise<Written[]> {
  const put = async (path: string, body: Readable): Promise<Written> => {
    await upload(link, id, path, body, { root: user.root });
    return { path, name: nameOf(path), type: 'file' };
  };
  if (!/^multipart\/form-data\b/i.test(request.headers['content-type'] ?? '')) {
    if (given === null) throw new E2bError('invalid_argument', 'path is missing');
    return [await put(guestPath(given, user), plain(request))];
  }
  const written: Written[] = [];
  for await (const { name, body } of parts(request)) {
    const path = guestPath(given ?? name, user);
    if (written.some((other) => other.path === path)) throw new E2bError('invalid_argument', `${path} is given twice`);
    written.push(await put(path, body));
  }
  if (written.length === 0) throw new E2bError('invalid_argument', 'no part "file"');
  return written;
}

/** The body, unpacked where it is packed. The bound on a file's size is on what comes out. */
function plain(request: IncomingMessage): Readable {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity') return request;
  if (encoding !== 'gzip') throw new E2bError('invalid_argument', `content-encoding ${encoding} is not taken`);
  return request.pipe(createGunzip());
}

/** The files of a form, one after the other. */
async function* parts(request: IncomingMessage): AsyncGenerator<{ name: string; body: Readable }> {
  const queue = new PassThrough({ objectMode: true, highWaterMark: 1 });
  let count = 0;
  const form = busboy({ headers: request.headers, preservePath: true, limits: { files: FILES_MOST, fields: 16 } });
  form.on('file', (field, body, { filename }) => {
    count++;
    // Whoever reads it hears of what befalls it; a part that nobody reads has nobody to tell.
    body.on('error', () => undefined);
    if (field !== 'file' || !filename) body.resume();
    else queue.write({ name: filename, body });
  });
  form.on('filesLimit', () => queue.destroy(new E2bError('invalid_argument', `more than ${FILES_MOST} files`)));
  // A form that breaks off breaks off the file that is being read, too.
  pipeline(request, form, (error) => {
    if (error)
      queue.destroy(new E2bError('invalid_argument', `not a form, or it broke off: ${error.message} (part ${count})`));
    else queue.end();
  });
  yield* queue as AsyncIterable<{ name: string; body: Readable }>;
}
