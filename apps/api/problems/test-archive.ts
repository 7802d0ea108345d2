import { randomUUID } from 'node:crypto';
import { close, open, write } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { PROBLEM_LIMITS, type ProblemError } from '@cordon/contracts';
import { type Entry, fromFd, type ZipFile } from 'yauzl';
import { ProblemException } from '../http/problem.js';
import { escapePointer } from '../http/validate-dto.js';

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const MADE_ON_UNIX = 3;
const STORED = 0;
const DEFLATED = 8;

const refused = (detail: string, errors?: ProblemError[]): ProblemException =>
  new ProblemException('invalid-request', detail, errors ?? [{ pointer: '', detail }]);
const ofEntry = (name: string, detail: string): ProblemError => ({
  pointer: `/${escapePointer(name)}`,
  detail: `"${name}" ${detail}`,
});

/**
 * A zip archive that somebody uploaded: on disk without a name, so that it is gone with its process. Nothing of it is written anywhere under
 * a name of its own; only entries that `paths` names are read, and never more bytes than they said.
 */
export class TestArchive {
  private constructor(
    private readonly zip: ZipFile,
    private readonly entries: ReadonlyMap<string, Entry>,
  ) {}

  /** Takes it as it comes. Throws ProblemException for what is no archive, too big, or holds something else than plain files. */
  static async receive(body: Readable): Promise<TestArchive> {
    const path = join(tmpdir(), `cordon-upload-${randomUUID()}`);
    // A plain descriptor: the library takes it over once it has understood the archive, and closes it.
    const fd = await promisify(open)(path, 'wx+', 0o600);
    let zip: ZipFile;
    let bytes = 0;
    try {
      await unlink(path);
      for await (const chunk of body as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > PROBLEM_LIMITS.zipBytes)
          throw new ProblemException('payload-too-large', `an archive holds at most ${PROBLEM_LIMITS.zipBytes} bytes`);
        for (let at = 0; at < chunk.length; ) at += await written(fd, chunk, at);
      }
      zip = await opened(fd);
    } catch (error) {
      await promisify(close)(fd);
      if (error instanceof ProblemException) throw error;
      // Nobody is left to be told, or the bytes are no zip.
      throw refused(body.readableEnded ? `not a zip archive: ${(error as Error).message}` : 'the upload broke off');
    }
    try {
      return new TestArchive(zip, await entriesOf(zip, bytes));
    } catch (error) {
      zip.close();
      throw error instanceof ProblemException
        ? error
        : refused(`the archive is not accepted: ${(error as Error).message}`);
    }
  }

  get paths(): string[] {
    return [...this.entries.keys()];
  }

  /** Permission bits, where the archive was made on Unix; else null. */
  modeOf(path: string): number | null {
    const entry = this.entries.get(path);
    if (!entry || entry.versionMadeBy >>> 8 !== MADE_ON_UNIX) return null;
    return (entry.externalFileAttributes >>> 16) & 0o777 || null;
  }

  /** Throws ProblemException when its content is not what the archive says. */
  async *content(path: string): AsyncGenerator<Buffer> {
    const entry = this.entries.get(path);
    if (!entry) throw new RangeError(`no entry ${path}`);
    try {
      const stream = await new Promise<Readable>((resolve, reject) => {
        this.zip.openReadStream(entry, (error, found) => (error ? reject(error) : resolve(found)));
      });
      let sum = 0;
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        sum = crc32(chunk, sum);
        yield chunk;
      }
      // The library looks at sizes only.
      if (sum !== entry.crc32 >>> 0) throw new Error('its checksum is another one');
    } catch (error) {
      const { detail, pointer } = ofEntry(path, `cannot be unpacked: ${(error as Error).message}`);
      throw refused(detail, [{ pointer, detail }]);
    }
  }

  close(): void {
    this.zip.close();
  }
}

/** Throws ProblemException: that our disk is full is no fault of the archive. */
async function written(fd: number, chunk: Buffer, at: number): Promise<number> {
  try {
    return (await promisify(write)(fd, chunk, at)).bytesWritten;
  } catch (error) {
    throw new ProblemException('unavailable', `the archive cannot be kept: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function opened(fd: number): Promise<ZipFile> {
  // Names are checked by the library: no "..", nothing absolute, no backslashes.
  const options = { lazyEntries: true, autoClose: false, validateEntrySizes: true, strictFileNames: true } as const;
  return new Promise((resolve, reject) => {
    fromFd(fd, options, (error, zip) => (error ? reject(error) : resolve(zip)));
  });
}

/** The files that an archive of so many bytes lists. */
async function entriesOf(zip: ZipFile, packed: number): Promise<Map<string, Entry>> {
  const { zipEntries, versionBytes, zipRatio, zipRatioFrom } = PROBLEM_LIMITS;
  if (zip.entryCount > zipEntries) throw refused(`more than ${zipEntries} entries`);
  const entries = new Map<string, Entry>();
  const errors: ProblemError[] = [];
  let total = 0;
  await new Promise<void>((resolve, reject) => {
    zip.on('error', reject);
    zip.on('end', resolve);
    zip.on('entry', (entry: Entry) => {
      const { fileName } = entry;
      const fault = entries.has(fileName) ? 'is in it twice' : faultOf(entry);
      if (fault !== null) errors.push(ofEntry(fileName, fault));
      else if (!fileName.endsWith('/')) entries.set(fileName, entry);
      total += entry.uncompressedSize;
      if (errors.length > 100) resolve();
      else zip.readEntry();
    });
    zip.readEntry();
  });
  if (total > versionBytes) errors.push({ pointer: '', detail: `over ${versionBytes} bytes unpacked` });
  if (total > zipRatioFrom && total / packed > zipRatio)
    errors.push({ pointer: '', detail: `unpacks to more than ${zipRatio} times its size` });
  if (errors.length > 0) throw refused('the archive is not accepted', errors);
  return entries;
}

/** Why an entry is not accepted; null when it is. */
function faultOf(entry: Entry): string | null {
  const { fileName, uncompressedSize, externalFileAttributes, versionMadeBy, compressionMethod } = entry;
  if (Buffer.byteLength(fileName) > 1024) return 'has too long a name';
  if (/[\u0000-\u001f\u007f]/.test(fileName)) return 'has a name with control characters';
  if (fileName.endsWith('/')) return null;
  const type = versionMadeBy >>> 8 === MADE_ON_UNIX ? (externalFileAttributes >>> 16) & S_IFMT : 0;
  if (type !== 0 && type !== S_IFREG) return 'is a link or another thing that is no plain file';
  if (entry.isEncrypted()) return 'is encrypted';
  if (compressionMethod !== STORED && compressionMethod !== DEFLATED) return 'is packed in a way other than deflate';
  if (uncompressedSize > PROBLEM_LIMITS.fileBytes) return `holds over ${PROBLEM_LIMITS.fileBytes} bytes`;
  return null;
}
