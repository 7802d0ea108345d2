import { zygoteNative as native } from '@cordon/sentry/platform/zygote.unsafe';

/** Uses what would open files or allocate caches on first use: time zones, locale data, decoders, stack traces. */
export function warmRuntime(): void {
  const date = new Date();
  const uses = [
    date.toString(),
    date.toLocaleString(),
    date.getTimezoneOffset(),
    new Intl.DateTimeFormat('en').format(date),
    new Intl.NumberFormat('en').format(1234.5),
    ['b', 'a'].sort((one, other) => one.localeCompare(other)).join(),
    new Error('warm').stack,
    JSON.stringify(JSON.parse('{"a":[1,2.5,"x"]}')),
    new TextDecoder().decode(new TextEncoder().encode('ä')),
    Buffer.from('warm', 'latin1').toString('utf8'),
    process.hrtime()[0],
    performance.now(),
  ];
  if (uses.length === 0) throw new Error('unreachable');
}

const state = new Uint32Array(4);
const stateBytes = new Uint8Array(state.buffer);

/** xoshiro128++: only uniqueness between siblings is asked of it, secrets come from getrandom. */
function next(): number {
  const sum = (state[0] + state[3]) | 0;
  const result = (((sum << 7) | (sum >>> 25)) + state[0]) >>> 0;
  const shifted = state[1] << 9;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= shifted;
  state[3] = (state[3] << 11) | (state[3] >>> 21);
  return result;
}

/** V8's own generator cannot be seeded again, and all children would repeat it: the zygote replaces it. */
export function installSeededRandom(): void {
  Math.random = () => (next() * 2 ** 21 + (next() >>> 11)) / 2 ** 53;
  reseedRandom();
}

/** In each child: a sequence of its own. */
export function reseedRandom(): void {
  if (native.randomBytes(stateBytes) !== stateBytes.length) throw new Error('getrandom failed');
}
