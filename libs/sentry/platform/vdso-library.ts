import { readFileSync } from 'node:fs';
import { vdsoPath } from './native/index.js';

/** The guests' vdso as built (native/vdso.c). Read in the zygote, while the host's files can be reached. */
export const VDSO_LIBRARY: Uint8Array = readFileSync(vdsoPath());
