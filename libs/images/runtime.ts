/** A language as a user names it: a row of the catalogue. */
export interface Runtime {
  readonly id: string;
  /** For people. */
  readonly name: string;
  /** Other names accepted in requests, also those of other services. */
  readonly aliases: readonly string[];
  /** The name the source is saved under, in the working directory. */
  readonly fileName: string;
  readonly extension: string;
  /** Programs that must all exist; the first one is asked for the version. */
  readonly programs: readonly string[];
  /** The program that is asked instead of the first one, where that takes a second to say its version. */
  readonly versionProgram?: string;
  /** Arguments that make that program print the version. */
  readonly versionArguments: readonly string[];
  /** First group: the version, in stdout followed by stderr. */
  readonly versionPattern: RegExp;
  /** Compiles `fileName`; absent where there is nothing to compile. */
  readonly compile?: readonly string[];
  /** Runs the program; further arguments are appended. */
  readonly run: readonly string[];
  /** What of this depends on the source; what of it is absent does not. */
  readonly forSource?: (source: string) => Partial<Pick<Runtime, 'fileName' | 'compile' | 'run'>>;
  /** Environment variables the runtime needs. */
  readonly env?: Readonly<Record<string, string>>;
  /** Not offered where its first program is older. */
  readonly leastVersion?: string;
  /** Debian packages that bring its programs. */
  readonly packages: readonly string[];
}

/** A runtime as a source wants it. Unchanged where another file, one of `others`, has that name: then the compiler tells. */
export function namedAfter<R extends Runtime>(runtime: R, source: string, others: ReadonlySet<string>): R {
  const own = runtime.forSource?.(source);
  return own === undefined || others.has(own.fileName ?? runtime.fileName) ? runtime : { ...runtime, ...own };
}

/** PATH, HOME and the like of a guest that asks for nothing else. */
export const DEFAULT_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  HOME: '/work',
  LANG: 'C.UTF-8',
  USER: 'user',
  LOGNAME: 'user',
  SHELL: '/bin/sh',
};

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * The argv of one sandbox that compiles (if need be) and runs. A failed compilation ends it with the compiler's exit
 * status. Arguments reach the program as they are, whatever they contain.
 */
export function runtimeCommand(runtime: Runtime, args: readonly string[] = []): string[] {
  if (runtime.compile === undefined) return [...runtime.run, ...args];
  const compile = runtime.compile.map(quote).join(' ');
  return ['/bin/sh', '-c', `${compile} || exit $?; exec "$@"`, 'sh', ...runtime.run, ...args];
}
