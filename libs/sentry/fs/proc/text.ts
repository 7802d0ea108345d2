export const joinLines = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');

/** Low 32 or more bits in lower-case hexadecimal, padded. */
export const hexadecimal = (value: number, digits = 0): string => value.toString(16).padStart(digits, '0');

/** A 64-bit mask given as halves, as /proc shows sets of signals and capabilities. */
export const mask64 = (low: number, high: number): string => hexadecimal(high >>> 0, 8) + hexadecimal(low >>> 0, 8);

/** Blanks, tabs, line ends and backslashes as in /proc/mounts and maps (mangle_path). */
export const mangle = (path: string): string =>
  path.replace(/[ \t\n\\]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`);
