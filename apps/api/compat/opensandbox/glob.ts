/** Whether a name fits a pattern of `*`, `?` and `[a-z]` or `[!a-z]`. In at most the product of both lengths steps, whatever the pattern is. */
export function fitsGlob(name: string, pattern: string): boolean {
  const items = itemsOf(pattern);
  const characters = [...name];
  let item = 0;
  /** Where the last star was, and how far it reaches so far. */
  let star = -1;
  let reach = 0;
  for (let at = 0; at < characters.length; ) {
    const wanted = items[item];
    if (wanted === '*') {
      star = item++;
      reach = at;
    } else if (wanted?.(characters[at])) {
      item++;
      at++;
    } else if (star >= 0) {
      item = star + 1;
      at = ++reach;
    } else return false;
  }
  while (items[item] === '*') item++;
  return item === items.length;
}

type Item = '*' | ((character: string) => boolean);

function itemsOf(pattern: string): Item[] {
  return (pattern.match(/\*+|\[!?\]?[^\]]*\]|./gsu) ?? []).map((part): Item => {
    if (part.startsWith('*')) return '*';
    if (part === '?') return () => true;
    if (part.length < 3 || !part.startsWith('[')) return (character) => character === part;
    const inverted = part[1] === '!';
    const ranges = (part.slice(inverted ? 2 : 1, -1).match(/.-.|./gsu) ?? []).map((range) => [...range]);
    return (character) => {
      const inside = ranges.some(([first, , last = first]) => character >= first && character <= last);
      return inside !== inverted;
    };
  });
}
