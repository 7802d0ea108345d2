/** Characters of one output that a model is given. */
export const TEXT_MOST = 20_000;

/** The beginning and the end of a text, and how much is missing between; `more`: how to get it. */
export function bounded(text: string, more: string, most = TEXT_MOST): { text: string; cut: boolean } {
  if (text.length <= most) return { text, cut: false };
  const half = Math.floor(most / 2);
  const left = text.length - 2 * half;
  return {
    text: `${text.slice(0, half)}\n[… ${left} characters left out. ${more}]\n${text.slice(-half)}`.toWellFormed(),
    cut: true,
  };
}
