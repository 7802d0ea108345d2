import { Readable } from 'node:stream';
import { type ExecutionJob, REQUEST_LIMITS } from '@cordon/contracts';
import { ProblemException } from '../../http/problem.js';
import { TestArchive } from '../../problems/test-archive.js';

/** The files of a zip archive, at most `most` bytes of them. Throws ProblemException for what is none, or holds more or worse. */
export async function unpackFiles(zip: Buffer, most: number): Promise<ExecutionJob['files']> {
  const archive = await TestArchive.receive(Readable.from([zip]));
  try {
    const { paths } = archive;
    if (paths.length > REQUEST_LIMITS.files)
      throw new ProblemException('invalid-request', `more than ${REQUEST_LIMITS.files} files`);
    const found: { path: string; base64: string }[] = [];
    let left = most;
    for (const path of paths) {
      const chunks: Buffer[] = [];
      for await (const chunk of archive.content(path)) {
        left -= chunk.length;
        if (left < 0) throw new ProblemException('invalid-request', `over ${most} bytes unpacked`);
        chunks.push(chunk);
      }
      found.push({ path, base64: Buffer.concat(chunks).toString('base64') });
    }
    return found;
  } finally {
    archive.close();
  }
}
