/**
 * The runtime catalogue: languages as a user names them, one row each. Whether a row is offered depends on the
 * programs found in the image (see discover.ts).
 */
export interface Runtime {
  readonly id: string;
  /** For people. */
  readonly name: string;
  /** Other names accepted in requests, also those of other services. */
  readonly aliases: readonly string[];
  /** The name the source is saved under, in the working directory. */
  readonly fileName: string;
  readonly extension: string;
  /** Programs that must all exist; the first one is asked for its version. */
  readonly programs: readonly string[];
  /** Arguments that make the first program print its version. */
  readonly versionArguments: readonly string[];
  /** First group: the version, in stdout followed by stderr. */
  readonly versionPattern: RegExp;
  /** Compiles `fileName`; absent where there is nothing to compile. */
  readonly compile?: readonly string[];
  /** Runs the program; further arguments are appended. */
  readonly run: readonly string[];
  /** Environment variables the runtime needs. */
  readonly env?: Readonly<Record<string, string>>;
}

const NUMBERS = /(\d+\.\d+(?:\.\d+)?)/;
const DASHED = ['--version'] as const;

export const RUNTIMES: readonly Runtime[] = [
  {
    id: 'python',
    name: 'Python',
    aliases: ['python3', 'py', 'py3'],
    fileName: 'main.py',
    extension: 'py',
    programs: ['python3'],
    versionArguments: DASHED,
    versionPattern: /Python (\S+)/,
    run: ['python3', 'main.py'],
  },
  {
    id: 'node',
    name: 'JavaScript (Node.js)',
    aliases: ['javascript', 'js', 'nodejs'],
    fileName: 'main.js',
    extension: 'js',
    programs: ['node'],
    versionArguments: DASHED,
    versionPattern: /v(\S+)/,
    run: ['node', 'main.js'],
  },
  {
    id: 'bash',
    name: 'Bash',
    aliases: [],
    fileName: 'main.sh',
    extension: 'sh',
    programs: ['bash'],
    versionArguments: DASHED,
    versionPattern: /version (\d+\.\d+\.\d+)/,
    run: ['bash', 'main.sh'],
  },
  {
    id: 'sh',
    name: 'POSIX shell',
    aliases: ['shell', 'dash'],
    fileName: 'main.sh',
    extension: 'sh',
    programs: ['sh'],
    versionArguments: ['-c', 'readlink -f /proc/$$/exe'],
    versionPattern: /([a-z]+)$/m,
    run: ['sh', 'main.sh'],
  },
  {
    id: 'perl',
    name: 'Perl',
    aliases: ['pl', 'perl5'],
    fileName: 'main.pl',
    extension: 'pl',
    programs: ['perl'],
    versionArguments: ['-e', 'print $^V'],
    versionPattern: /v(\S+)/,
    run: ['perl', 'main.pl'],
  },
  {
    id: 'c',
    name: 'C (GCC)',
    aliases: ['gcc', 'c17'],
    fileName: 'main.c',
    extension: 'c',
    programs: ['gcc'],
    versionArguments: ['-dumpfullversion'],
    versionPattern: NUMBERS,
    compile: ['gcc', '-O2', '-std=gnu17', '-o', 'main', 'main.c', '-lm'],
    run: ['./main'],
  },
  {
    id: 'cpp',
    name: 'C++ (GCC)',
    aliases: ['c++', 'g++', 'cc', 'cxx'],
    fileName: 'main.cpp',
    extension: 'cpp',
    programs: ['g++'],
    versionArguments: ['-dumpfullversion'],
    versionPattern: NUMBERS,
    compile: ['g++', '-O2', '-std=gnu++20', '-o', 'main', 'main.cpp'],
    run: ['./main'],
  },
  {
    id: 'clang',
    name: 'C (Clang)',
    aliases: ['c-clang'],
    fileName: 'main.c',
    extension: 'c',
    programs: ['clang'],
    versionArguments: DASHED,
    versionPattern: /version (\d+\.\d+\.\d+)/,
    compile: ['clang', '-O2', '-o', 'main', 'main.c', '-lm'],
    run: ['./main'],
  },
  {
    id: 'assembly',
    name: 'Assembly (GAS, x86-64)',
    aliases: ['asm', 'gas'],
    fileName: 'main.s',
    extension: 's',
    programs: ['as', 'ld'],
    versionArguments: DASHED,
    versionPattern: NUMBERS,
    compile: ['sh', '-c', 'as -o main.o main.s && ld -o main main.o'],
    run: ['./main'],
  },
  {
    id: 'java',
    name: 'Java',
    aliases: ['jdk', 'openjdk'],
    fileName: 'Main.java',
    extension: 'java',
    programs: ['java', 'javac'],
    versionArguments: DASHED,
    versionPattern: NUMBERS,
    compile: ['javac', '-d', '.', 'Main.java'],
    run: ['java', '-Xshare:auto', '-XX:+UseSerialGC', '-cp', '.', 'Main'],
  },
  {
    id: 'go',
    name: 'Go',
    aliases: ['golang'],
    fileName: 'main.go',
    extension: 'go',
    programs: ['go'],
    versionArguments: ['version'],
    versionPattern: /go(\d+\.\d+(?:\.\d+)?)/,
    compile: ['go', 'build', '-o', 'main', 'main.go'],
    run: ['./main'],
    env: { GOCACHE: '/tmp/go-cache', GOPATH: '/tmp/go', GO111MODULE: 'off', CGO_ENABLED: '0' },
  },
  {
    id: 'rust',
    name: 'Rust',
    aliases: ['rs', 'rustc'],
    fileName: 'main.rs',
    extension: 'rs',
    programs: ['rustc'],
    versionArguments: DASHED,
    versionPattern: NUMBERS,
    compile: ['rustc', '-O', '-o', 'main', 'main.rs'],
    run: ['./main'],
  },
  {
    id: 'ruby',
    name: 'Ruby',
    aliases: ['rb'],
    fileName: 'main.rb',
    extension: 'rb',
    programs: ['ruby'],
    versionArguments: DASHED,
    versionPattern: NUMBERS,
    run: ['ruby', 'main.rb'],
  },
  {
    id: 'php',
    name: 'PHP',
    aliases: ['php-cli'],
    fileName: 'main.php',
    extension: 'php',
    programs: ['php'],
    versionArguments: DASHED,
    versionPattern: NUMBERS,
    run: ['php', 'main.php'],
  },
  {
    id: 'lua',
    name: 'Lua',
    aliases: ['lua5.4'],
    fileName: 'main.lua',
    extension: 'lua',
    programs: ['lua'],
    versionArguments: ['-v'],
    versionPattern: NUMBERS,
    run: ['lua', 'main.lua'],
  },
  {
    id: 'tcl',
    name: 'Tcl',
    aliases: ['tclsh'],
    fileName: 'main.tcl',
    extension: 'tcl',
    programs: ['tclsh'],
    versionArguments: ['/dev/stdin'],
    versionPattern: NUMBERS,
    run: ['tclsh', 'main.tcl'],
  },
  {
    id: 'awk',
    name: 'AWK',
    aliases: ['mawk', 'gawk'],
    fileName: 'main.awk',
    extension: 'awk',
    programs: ['awk'],
    versionArguments: ['-W', 'version'],
    versionPattern: NUMBERS,
    run: ['awk', '-f', 'main.awk'],
  },
  {
    id: 'sed',
    name: 'sed',
    aliases: [],
    fileName: 'main.sed',
    extension: 'sed',
    programs: ['sed'],
    versionArguments: DASHED,
    versionPattern: NUMBERS,
    run: ['sed', '-E', '-f', 'main.sed'],
  },
  {
    id: 'sqlite',
    name: 'SQLite',
    aliases: ['sql', 'sqlite3'],
    fileName: 'main.sql',
    extension: 'sql',
    programs: ['sqlite3'],
    versionArguments: DASHED,
    versionPattern: NUMBERS,
    run: ['sqlite3', '-init', 'main.sql', ':memory:', ''],
  },
  {
    id: 'r',
    name: 'R',
    aliases: ['rscript'],
    fileName: 'main.R',
    extension: 'R',
    programs: ['Rscript'],
    versionArguments: DASHED,
    versionPattern: NUMBERS,
    run: ['Rscript', 'main.R'],
  },
  {
    id: 'haskell',
    name: 'Haskell (GHC)',
    aliases: ['hs', 'ghc'],
    fileName: 'main.hs',
    extension: 'hs',
    programs: ['ghc'],
    versionArguments: ['--numeric-version'],
    versionPattern: NUMBERS,
    compile: ['ghc', '-O', '-o', 'main', 'main.hs'],
    run: ['./main'],
  },
  {
    id: 'ocaml',
    name: 'OCaml',
    aliases: ['ml'],
    fileName: 'main.ml',
    extension: 'ml',
    programs: ['ocaml'],
    versionArguments: ['-version'],
    versionPattern: NUMBERS,
    run: ['ocaml', 'main.ml'],
  },
  {
    id: 'fortran',
    name: 'Fortran (GFortran)',
    aliases: ['f90', 'gfortran'],
    fileName: 'main.f90',
    extension: 'f90',
    programs: ['gfortran'],
    versionArguments: ['-dumpfullversion'],
    versionPattern: NUMBERS,
    compile: ['gfortran', '-O2', '-o', 'main', 'main.f90'],
    run: ['./main'],
  },
  {
    id: 'pascal',
    name: 'Free Pascal',
    aliases: ['fpc', 'pas'],
    fileName: 'main.pas',
    extension: 'pas',
    programs: ['fpc'],
    versionArguments: ['-iV'],
    versionPattern: NUMBERS,
    compile: ['fpc', '-O2', '-v0', '-omain', 'main.pas'],
    run: ['./main'],
  },
  {
    id: 'nasm',
    name: 'Assembly (NASM)',
    aliases: [],
    fileName: 'main.asm',
    extension: 'asm',
    programs: ['nasm', 'ld'],
    versionArguments: ['-v'],
    versionPattern: NUMBERS,
    compile: ['sh', '-c', 'nasm -f elf64 -o main.o main.asm && ld -o main main.o'],
    run: ['./main'],
  },
  {
    id: 'zig',
    name: 'Zig',
    aliases: [],
    fileName: 'main.zig',
    extension: 'zig',
    programs: ['zig'],
    versionArguments: ['version'],
    versionPattern: NUMBERS,
    compile: ['zig', 'build-exe', '-O', 'ReleaseSafe', 'main.zig'],
    run: ['./main'],
  },
  {
    id: 'erlang',
    name: 'Erlang (escript)',
    aliases: ['erl', 'escript'],
    fileName: 'main.erl',
    extension: 'erl',
    programs: ['escript', 'erl'],
    versionArguments: [],
    versionPattern: NUMBERS,
    run: ['escript', 'main.erl'],
  },
  {
    id: 'guile',
    name: 'Scheme (Guile)',
    aliases: ['scheme', 'scm'],
    fileName: 'main.scm',
    extension: 'scm',
    programs: ['guile'],
    versionArguments: DASHED,
    versionPattern: NUMBERS,
    run: ['guile', '--no-auto-compile', 'main.scm'],
  },
];

/** PATH, HOME and the like of a guest that asks for nothing else. */
export const DEFAULT_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  HOME: '/work',
  LANG: 'C.UTF-8',
  USER: 'user',
  LOGNAME: 'user',
  SHELL: '/bin/sh',
};

/** A runtime by id or alias, whatever the case; undefined when there is none. */
export function findRuntime(name: string, runtimes: readonly Runtime[] = RUNTIMES): Runtime | undefined {
  const wanted = name.toLowerCase();
  return runtimes.find(({ id }) => id === wanted) ?? runtimes.find(({ aliases }) => aliases.includes(wanted));
}

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
