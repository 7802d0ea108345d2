// The data directory of the embedded deployment: Redis data and the API key.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { ROOT } from './project.mjs';

export function dataDirectory() {
  const given = process.env.CORDON_DATA_DIR || '.cordon';
  const directory = isAbsolute(given) ? given : join(ROOT, given);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}

/** CORDON_API_KEY, or one made once and kept. */
export function apiKey(directory) {
  if (process.env.CORDON_API_KEY) return process.env.CORDON_API_KEY;
  const file = join(directory, 'api-key');
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  const key = `cordon_${randomBytes(24).toString('base64url')}`;
  writeFileSync(file, `${key}\n`, { mode: 0o600 });
  return key;
}
