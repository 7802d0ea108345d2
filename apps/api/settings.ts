import { createHash, timingSafeEqual } from 'node:crypto';
import { KEY_LIMIT_NAMES, type KeyLimits } from '@cordon/contracts';
import { PROBLEM_BYTES_DEFAULT, type Principal, STORE_DEFAULTS, type StoreSettings } from '@cordon/queue';

const digest = (key: string): Buffer => createHash('sha256').update(key).digest();
const NO_LIMITS = Object.fromEntries(KEY_LIMIT_NAMES.map((name) => [name, null])) as KeyLimits;

/** Half of what a worker keeps by default: no key has all of one. */
export const KEY_SANDBOXES_DEFAULT = 32;

export interface WebhookSettings {
  /** Address ranges (CIDR) beside the public internet that webhooks may go to. */
  readonly allow: readonly string[];
  /** Pause after the first failed attempt, ms; the later ones grow from it. */
  readonly retryMs: number;
  /** How long a delivery is kept after its last attempt. */
  readonly retentionSeconds: number;
}

export const WEBHOOK_DEFAULTS: WebhookSettings = { allow: [], retryMs: 5_000, retentionSeconds: 7 * 24 * 3600 };

/** The API's settings, from the environment. Keys are kept as digests only. */
export class ApiSettings {
  private readonly digests: readonly Buffer[];

  constructor(
    readonly redisUrl: string,
    readonly host: string,
    readonly port: number,
    apiKeys: readonly string[],
    readonly store: StoreSettings = STORE_DEFAULTS,
    readonly webhooks: WebhookSettings = WEBHOOK_DEFAULTS,
    /** Bytes of test data that a tenant may keep. */
    readonly problemBytes = PROBLEM_BYTES_DEFAULT,
    /** Sandboxes that live at once of a key for which nothing else was said. */
    readonly keySandboxes = KEY_SANDBOXES_DEFAULT,
  ) {
    this.digests = apiKeys.map(digest);
  }

  /** Who a key of the environment stands for, or null. Each is an administrator and a tenant of its own, without limits. */
  principalOf(key: string): Principal | null {
    const given = digest(key);
    let tenant: string | null = null;
    for (const known of this.digests) if (timingSafeEqual(known, given)) tenant = known.toString('hex').slice(0, 16);
    if (tenant === null) return null;
    return { keyId: `env_${tenant}`, tenant, scopes: ['admin'], limits: NO_LIMITS, expiresAt: null };
  }

  /** CORDON_API_KEY may hold several keys, separated by commas: one tenant each. */
  static fromEnvironment(env: NodeJS.ProcessEnv): ApiSettings {
    if (!env.REDIS_URL) throw new Error('REDIS_URL is not set');
    const keys = (env.CORDON_API_KEY ?? '').split(',').filter((key) => key !== '');
    if (keys.length === 0) throw new Error('CORDON_API_KEY is not set');
    const port = Number(env.PORT ?? 8080);
    if (!Number.isInteger(port) || port < 0 || port > 65535) throw new Error(`PORT: "${env.PORT}" is no port`);
    const store: StoreSettings = {
      queueMost: positive(env, 'CORDON_QUEUE_MOST', STORE_DEFAULTS.queueMost),
      retentionSeconds: positive(env, 'CORDON_KEEP_EXECUTIONS', STORE_DEFAULTS.retentionSeconds),
      idempotencySeconds: positive(env, 'CORDON_KEEP_IDEMPOTENCY', STORE_DEFAULTS.idempotencySeconds),
    };
    const webhooks: WebhookSettings = {
      ...WEBHOOK_DEFAULTS,
      allow: (env.CORDON_WEBHOOK_ALLOW ?? '').split(',').filter((range) => range !== ''),
      retentionSeconds: positive(env, 'CORDON_KEEP_DELIVERIES', WEBHOOK_DEFAULTS.retentionSeconds),
    };
    const problemBytes = positive(env, 'CORDON_PROBLEM_BYTES', PROBLEM_BYTES_DEFAULT);
    const keySandboxes = positive(env, 'CORDON_KEY_SANDBOXES', KEY_SANDBOXES_DEFAULT);
    const { REDIS_URL, HOST = '127.0.0.1' } = env;
    return new ApiSettings(REDIS_URL, HOST, port, keys, store, webhooks, problemBytes, keySandboxes);
  }
}

function positive(env: NodeJS.ProcessEnv, name: string, fallback: number): number {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  if (!/^[1-9]\d{0,12}$/.test(text)) throw new Error(`${name}: "${text}" is no positive number`);
  return Number(text);
}
