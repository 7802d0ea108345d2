import type { ExecutionJob } from '@cordon/contracts';
import { namedAfter, type Runtime } from '@cordon/images';

type Program = Pick<ExecutionJob, 'source' | 'files'>;

/** A program under the name that its source wants, where its runtime knows of such a thing: both as they are then. */
export function named<P extends Program, R extends Runtime>(program: P, runtime: R): { program: P; runtime: R } {
  const { source, files } = program;
  const isMain = ({ path }: { path: string }): boolean => path === runtime.fileName;
  const given = files.find(isMain);
  const text = source ?? (given ? Buffer.from(given.base64, 'base64').toString('utf8') : null);
  if (text === null) return { program, runtime };
  const others = new Set(files.filter((file) => !isMain(file)).map(({ path }) => path));
  const own = namedAfter(runtime, text, others);
  const renamed = files.map((file) => (isMain(file) ? { ...file, path: own.fileName } : file));
  return { program: { ...program, files: renamed }, runtime: own };
}
