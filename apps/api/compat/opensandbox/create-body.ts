import { SANDBOX_LIMITS, SANDBOX_TIMES } from '@cordon/contracts';
import { invalid, OpenSandboxError, unavailable } from './opensandbox.errors.js';

/** What a body of POST /sandboxes asks for, as far as it can be had. */
export interface Wanted {
  readonly image: { readonly uri: string };
  readonly entrypoint: readonly string[];
  readonly memoryBytes: number;
  readonly ttlSeconds: number;
  readonly env: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly extensions: Readonly<Record<string, string>>;
  readonly platform: { readonly os: string; readonly arch: string } | null;
}

type Fields = Readonly<Record<string, unknown>>;

/** They all mean the image that there is (README): names whose version the client leaves to us, and the code interpreter's. */
const IMAGES =
  /^(?:host|(?:docker\.io\/)?(?:library\/)?(?:ubuntu|debian|python)(?::latest)?|(?:[a-z0-9.-]+\/)*opensandbox\/code-interpreter(?::[\w.-]+)?)$/;
const TIMEOUT_LEAST = 60;
const ENTRIES_MOST = 64;
const TEXT_MOST = 4096;
const RESERVED = /^opensandbox\.io\//;
const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
};

const given = (value: unknown): boolean => value !== undefined && value !== null;

export function fieldsOf(value: unknown, what = 'the body'): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${what} must be an object`);
  return value as Fields;
}

/** A map of strings; `nulls`: some of them may be null. */
export function stringMap(value: unknown, name: string): Record<string, string> {
  return mapOf(value, name, (text): text is string => typeof text === 'string');
}

function mapOf<T>(value: unknown, name: string, fits: (text: unknown) => text is T): Record<string, T> {
  if (!given(value)) return {};
  const entries = Object.entries(fieldsOf(value, name));
  if (entries.length > ENTRIES_MOST) throw invalid(`${name} has over ${ENTRIES_MOST} entries`);
  for (const [key, text] of entries) {
    if (!fits(text)) throw invalid(`${name}.${key} must be a string`);
    if (key === '' || key.length > TEXT_MOST || String(text).length > TEXT_MOST)
      throw invalid(`${name}.${key} is too long or empty`);
  }
  return Object.fromEntries(entries) as Record<string, T>;
}

function checkMetadata<T>(metadata: Record<string, T>): Record<string, T> {
  const own = Object.keys(metadata).find((name) => RESERVED.test(name));
  if (own === undefined) return metadata;
  throw new OpenSandboxError(400, 'SANDBOX::INVALID_METADATA_LABEL', `metadata.${own}: opensandbox.io/ is reserved`);
}

/** A merge patch of metadata. */
export function metadataPatch(body: unknown): Record<string, string | null> {
  return checkMetadata(
    mapOf(fieldsOf(body), 'metadata', (text): text is string | null => text === null || typeof text === 'string'),
  );
}

/** A quantity as Kubernetes writes it. */
function bytesOf(quantity: unknown): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([kMG]i?|Ki)?$/.exec(String(quantity)) ?? [];
  if (number === undefined) throw invalid('resourceLimits.memory must be a quantity such as 512Mi');
  const bytes = Math.floor(Number(number) * UNITS[unit ?? '']);
  const { minimum, maximum } = SANDBOX_LIMITS.memoryBytes;
  if (bytes < minimum || bytes > maximum) throw invalid(`resourceLimits.memory must be ${minimum} to ${maximum} bytes`);
  return bytes;
}

function memoryOf(limits: unknown): number {
  if (!given(limits)) throw invalid('resourceLimits is required');
  const { cpu, memory, gpu } = stringMap(limits, 'resourceLimits');
  if (gpu !== undefined && gpu !== '0') throw unavailable('resourceLimits.gpu');
  if (cpu !== undefined && !/^(?:\d+(?:\.\d+)?|\d+m)$/.test(cpu))
    throw invalid('resourceLimits.cpu must be a quantity such as 500m');
  return memory === undefined ? SANDBOX_LIMITS.memoryBytes.default : bytesOf(memory);
}

function secondsOf(timeout: unknown): number {
  const { maximum } = SANDBOX_TIMES.ttlSeconds;
  // Nothing lives for ever here: what has no time has the longest, and its expiresAt says so.
  if (!given(timeout)) return maximum;
  if (typeof timeout !== 'number' || !Number.isInteger(timeout) || timeout < TIMEOUT_LEAST || timeout > maximum)
    throw invalid(`timeout must be a whole number of seconds, ${TIMEOUT_LEAST} to ${maximum}`);
  return timeout;
}

function imageOf(image: unknown): { uri: string } {
  const { uri, auth } = fieldsOf(image, 'image');
  if (typeof uri !== 'string' || uri === '') throw invalid('image.uri must be a string');
  if (given(auth)) throw unavailable('image.auth');
  if (!IMAGES.test(uri))
    throw new OpenSandboxError(404, 'SANDBOX::IMAGE_NOT_FOUND', `image.uri: no image '${uri}' here`);
  return { uri };
}

function entrypointOf(entrypoint: unknown): string[] {
  const fits = (word: unknown): boolean => typeof word === 'string' && !word.includes('\0') && word.length <= TEXT_MOST;
  if (
    !Array.isArray(entrypoint) ||
    entrypoint.length === 0 ||
    entrypoint.length > ENTRIES_MOST ||
    !entrypoint.every(fits)
  )
    throw new OpenSandboxError(400, 'DOCKER::INVALID_ENTRYPOINT', 'entrypoint must be a list of strings, not empty');
  return entrypoint as string[];
}

function platformOf(platform: unknown): { os: string; arch: string } | null {
  if (!given(platform)) return null;
  const { os, arch } = fieldsOf(platform, 'platform');
  if (os !== 'linux' || arch !== 'amd64') throw invalid('platform must be linux/amd64');
  return { os, arch };
}

/** Nothing leaves a sandbox: a policy that forbids everything is kept, one that allows something is not. */
function refuseNetwork(policy: unknown): void {
  if (!given(policy)) return;
  const { defaultAction, egress } = fieldsOf(policy, 'networkPolicy');
  const rules = given(egress) ? egress : [];
  if (!Array.isArray(rules)) throw invalid('networkPolicy.egress must be a list');
  if (
    defaultAction === 'allow' ||
    rules.some((rule: unknown) => fieldsOf(rule, 'networkPolicy.egress').action !== 'deny')
  )
    throw unavailable('networkPolicy that allows something');
}

export function wantedOf(body: unknown): Wanted {
  const fields = fieldsOf(body);
  if (given(fields.snapshotId)) throw unavailable('snapshotId');
  if (!given(fields.image)) throw invalid('image is required');
  if (given(fields.credentialProxy) && fieldsOf(fields.credentialProxy, 'credentialProxy').enabled === true)
    throw unavailable('credentialProxy');
  if (given(fields.volumes) && (!Array.isArray(fields.volumes) || fields.volumes.length > 0))
    throw unavailable('volumes');
  const extensions = stringMap(fields.extensions, 'extensions');
  if (extensions.poolRef !== undefined) throw unavailable('extensions.poolRef');
  refuseNetwork(fields.networkPolicy);
  return {
    image: imageOf(fields.image),
    entrypoint: entrypointOf(fields.entrypoint),
    memoryBytes: memoryOf(fields.resourceLimits),
    ttlSeconds: secondsOf(fields.timeout),
    env: stringMap(fields.env, 'env'),
    metadata: checkMetadata(stringMap(fields.metadata, 'metadata')),
    extensions,
    platform: platformOf(fields.platform),
  };
}
