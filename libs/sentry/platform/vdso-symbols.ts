/** What a vdso(7) exports: read from its dynamic section. */

const EHDR_PHOFF = 32;
const EHDR_PHNUM = 56;
const PHDR_SIZE = 56;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
const DT_HASH = 4;
const DT_GNU_HASH = 0x6ffffef5;
const SYMBOL_SIZE = 24;

/** Offsets in an image: of what its virtual addresses say, since it is one segment. */
interface DynamicSection {
  readonly strings: number;
  readonly symbols: number;
  readonly count: number;
}

/** Reads what the dynamic section says of the symbols; null if it is no shared object as kernels make them. */
function dynamicSection(view: DataView): DynamicSection | null {
  const headers = Number(view.getBigUint64(EHDR_PHOFF, true));
  const count = view.getUint16(EHDR_PHNUM, true);
  let base = 0n;
  let dynamic = -1;
  for (let index = 0; index < count; index++) {
    const at = headers + index * PHDR_SIZE;
    const type = view.getUint32(at, true);
    if (type === PT_LOAD) base = view.getBigUint64(at + 16, true) - view.getBigUint64(at + 8, true);
    if (type === PT_DYNAMIC) dynamic = Number(view.getBigUint64(at + 8, true));
  }
  if (dynamic < 0) return null;
  const entries = new Map<number, number>();
  for (let at = dynamic; at + 16 <= view.byteLength; at += 16) {
    const tag = Number(view.getBigUint64(at, true));
    if (tag === 0) break;
    entries.set(tag, Number(view.getBigUint64(at + 8, true) - base));
  }
  const strings = entries.get(DT_STRTAB);
  const symbols = entries.get(DT_SYMTAB);
  if (strings === undefined || symbols === undefined) return null;
  return { strings, symbols, count: symbolCount(view, entries, symbols, strings) };
}

function symbolCount(view: DataView, entries: Map<number, number>, symbols: number, strings: number): number {
  const hash = entries.get(DT_HASH);
  if (hash !== undefined) return view.getUint32(hash + 4, true);
  // With a GNU hash only, the string table follows the symbols in every linker's output.
  return entries.has(DT_GNU_HASH) && strings > symbols ? Math.floor((strings - symbols) / SYMBOL_SIZE) : 0;
}

/** Offsets of the named functions in a vdso image; 0 for what it lacks. */
export function vdsoFunctions(image: ArrayBuffer, names: readonly string[]): number[] {
  const view = new DataView(image);
  const offsets = names.map(() => 0);
  const dynamic = dynamicSection(view);
  if (dynamic === null) return offsets;
  const bytes = Buffer.from(image);
  for (let index = 0; index < dynamic.count; index++) {
    const at = dynamic.symbols + index * SYMBOL_SIZE;
    const name = dynamic.strings + view.getUint32(at, true);
    const text = bytes.toString('latin1', name, bytes.indexOf(0, name));
    const wanted = names.indexOf(text);
    if (wanted >= 0) offsets[wanted] = Number(view.getBigUint64(at + 8, true) & 0xffffffn);
  }
  return offsets;
}
