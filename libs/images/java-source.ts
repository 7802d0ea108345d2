/** What javac and java have to be told of a program: they want a public type in a file of its name, and a class to begin with. */
export interface JavaProgram {
  readonly fileName: string;
  /** With its package. */
  readonly mainClass: string;
}

interface Type {
  readonly name: string;
  readonly isPublic: boolean;
  hasMain: boolean;
}

/** Comments, text blocks, strings and characters (in which nothing is looked for); words; signs that matter. JLS 17, chapter 3. */
const TOKEN =
  /\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|"""(?:\\[\s\S]|[^\\"]|"(?!""))*(?:"""|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|[\p{L}_$][\p{L}\p{N}_$]*|[{}();.]/gu;
const DECLARES: ReadonlySet<string> = new Set(['class', 'interface', 'enum', 'record']);
/** Of a file, with its extension: NAME_MAX. */
const NAME_BYTES = 255 - '.java'.length;
const MAIN = 'Main';

/** Reads the types at the top of a file, one token after the other. What does not compile is for javac to tell. */
class Reader {
  readonly types: Type[] = [];
  readonly package: string[] = [];
  private depth = 0;
  private parentheses = 0;
  private statement: 'package' | 'import' | null = null;
  private isPublic = false;
  private declares = false;
  private open: Type | null = null;
  private before = '';
  private returnsNothing = false;

  take(token: string): void {
    if (token === '(') this.openParenthesis();
    else if (token === ')') this.parentheses--;
    else if (token === '{') this.depth++;
    else if (token === '}') this.close();
    else if (this.depth === 0 && this.parentheses === 0) this.takeAtTop(token);
    this.returnsNothing = this.before === 'void' && token !== '(';
    this.before = token;
  }

  private openParenthesis(): void {
    const isMethod = this.depth === 1 && this.parentheses === 0 && this.returnsNothing;
    if (this.open && isMethod && this.before === 'main') this.open.hasMain = true;
    this.parentheses++;
  }

  private close(): void {
    this.depth--;
    if (this.depth === 0) this.reset();
  }

  private reset(): void {
    this.statement = null;
    this.isPublic = false;
    this.declares = false;
    this.open = null;
  }

  private takeAtTop(token: string): void {
    if (token === ';') this.reset();
    else if (this.statement === 'package' && token !== '.') this.package.push(token);
    else if (this.statement !== null || this.open !== null || token === '.') return;
    else if (this.declares) this.begin(token);
    else if (token === 'package' || token === 'import') this.statement = token;
    else if (token === 'public') this.isPublic = true;
    else if (DECLARES.has(token)) this.declares = true;
  }

  private begin(name: string): void {
    this.open = { name, isPublic: this.isPublic, hasMain: false };
    this.types.push(this.open);
  }
}

/** Where the source goes, and what is run: the public type if it has a `main`, else `Main`, else the first one that has. */
export function javaProgram(source: string): JavaProgram {
  const reader = new Reader();
  for (const [token] of source.matchAll(TOKEN)) if (!/^["'/]/.test(token)) reader.take(token);
  const { types } = reader;
  const shown = types.find(({ isPublic, name }) => isPublic && Buffer.byteLength(name) <= NAME_BYTES);
  const first =
    (shown?.hasMain ? shown : null) ??
    types.find(({ name }) => name === MAIN) ??
    types.find(({ hasMain }) => hasMain) ??
    shown;
  const mainClass = [...reader.package, first?.name ?? MAIN].join('.');
  return { fileName: `${shown?.name ?? MAIN}.java`, mainClass };
}
