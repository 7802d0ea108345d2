import type { RuntimeDto } from '@cordon/contracts';

/** One of Judge0's languages, by its id there: what it means here. `%v` in a name is the version that really runs. */
interface Row {
  readonly id: number;
  /** A runtime's id, or another name it has. */
  readonly runtime: string;
  readonly name: string;
}

/** Judge0 1.13.1. Several ids of one language differ by version there; here all mean the version that there is. */
const ROWS: readonly Row[] = [
  { id: 45, runtime: 'nasm', name: 'Assembly (NASM %v)' },
  { id: 46, runtime: 'bash', name: 'Bash (%v)' },
  { id: 47, runtime: 'basic', name: 'Basic (FBC %v)' },
  { id: 48, runtime: 'c', name: 'C (GCC %v)' },
  { id: 49, runtime: 'c', name: 'C (GCC %v)' },
  { id: 50, runtime: 'c', name: 'C (GCC %v)' },
  { id: 51, runtime: 'csharp', name: 'C# (Mono %v)' },
  { id: 52, runtime: 'cpp', name: 'C++ (GCC %v)' },
  { id: 53, runtime: 'cpp', name: 'C++ (GCC %v)' },
  { id: 54, runtime: 'cpp', name: 'C++ (GCC %v)' },
  { id: 55, runtime: 'lisp', name: 'Common Lisp (SBCL %v)' },
  { id: 56, runtime: 'd', name: 'D (%v)' },
  { id: 57, runtime: 'elixir', name: 'Elixir (%v)' },
  { id: 58, runtime: 'erlang', name: 'Erlang (OTP %v)' },
  { id: 59, runtime: 'fortran', name: 'Fortran (GFortran %v)' },
  { id: 60, runtime: 'go', name: 'Go (%v)' },
  { id: 61, runtime: 'haskell', name: 'Haskell (GHC %v)' },
  { id: 62, runtime: 'java', name: 'Java (OpenJDK %v)' },
  { id: 63, runtime: 'node', name: 'JavaScript (Node.js %v)' },
  { id: 64, runtime: 'lua', name: 'Lua (%v)' },
  { id: 65, runtime: 'ocaml', name: 'OCaml (%v)' },
  { id: 66, runtime: 'octave', name: 'Octave (%v)' },
  { id: 67, runtime: 'pascal', name: 'Pascal (FPC %v)' },
  { id: 68, runtime: 'php', name: 'PHP (%v)' },
  { id: 69, runtime: 'prolog', name: 'Prolog (%v)' },
  { id: 71, runtime: 'python', name: 'Python (%v)' },
  { id: 72, runtime: 'ruby', name: 'Ruby (%v)' },
  { id: 73, runtime: 'rust', name: 'Rust (%v)' },
  { id: 74, runtime: 'typescript', name: 'TypeScript (%v)' },
  { id: 75, runtime: 'clang', name: 'C (Clang %v)' },
  { id: 76, runtime: 'clang-cpp', name: 'C++ (Clang %v)' },
  { id: 77, runtime: 'cobol', name: 'COBOL (GnuCOBOL %v)' },
  { id: 78, runtime: 'kotlin', name: 'Kotlin (%v)' },
  { id: 79, runtime: 'objective-c', name: 'Objective-C (%v)' },
  { id: 80, runtime: 'r', name: 'R (%v)' },
  { id: 81, runtime: 'scala', name: 'Scala (%v)' },
  { id: 82, runtime: 'sqlite', name: 'SQL (SQLite %v)' },
  { id: 83, runtime: 'swift', name: 'Swift (%v)' },
  { id: 84, runtime: 'vb', name: 'Visual Basic.Net (%v)' },
  { id: 85, runtime: 'perl', name: 'Perl (%v)' },
  { id: 86, runtime: 'clojure', name: 'Clojure (%v)' },
  { id: 87, runtime: 'fsharp', name: 'F# (%v)' },
  { id: 88, runtime: 'groovy', name: 'Groovy (%v)' },
];

export const MULTI_FILE = 89;

/** What is no program of a language: the source as it is, bytes and all. */
interface AsIs {
  readonly fileName: string;
  /** Arguments are appended. */
  readonly run: readonly string[];
  readonly shown: string;
}

const AS_IS: readonly { readonly id: number; readonly name: string; readonly asIs: AsIs }[] = [
  {
    id: 43,
    name: 'Plain Text',
    asIs: { fileName: 'text.txt', run: ['/bin/cat', 'text.txt'], shown: '/bin/cat text.txt' },
  },
  {
    id: 44,
    name: 'Executable',
    // By bash, as there: it runs a script without a first line of its own, too. In its place: a signal is the program's.
    asIs: {
      fileName: 'a.out',
      run: ['/bin/bash', '-c', 'exec ./a.out "$@"', 'bash'],
      shown: '/bin/chmod +x a.out && ./a.out',
    },
  },
];

export interface Language {
  readonly id: number;
  readonly name: string;
  /** Null: the program says itself how it is made and run, or `asIs` does. */
  readonly runtime: RuntimeDto | null;
  readonly asIs?: AsIs;
}

function languageOf({ id, runtime, name }: Row, runtimes: readonly RuntimeDto[]): Language | null {
  const found =
    runtimes.find((one) => one.id === runtime) ?? runtimes.find(({ aliases }) => aliases.includes(runtime)) ?? null;
  return found && { id, name: name.replace('%v', found.version), runtime: found };
}

/** Those whose program a worker has, by id. */
export function languagesOf(runtimes: readonly RuntimeDto[]): Language[] {
  const found = ROWS.map((row) => languageOf(row, runtimes)).filter((language) => language !== null);
  // Scripts are bash's.
  if (!runtimes.some(({ id }) => id === 'bash')) return found;
  const asIs = AS_IS.map((row) => ({ ...row, runtime: null }));
  return [...asIs, ...found, { id: MULTI_FILE, name: 'Multi-file program', runtime: null }];
}
