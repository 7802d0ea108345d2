import type { SentryClass } from './sentry-like.js';
import { runZygote } from './zygote.js';

await runZygote(async (module) => ((await import(module)) as { Sentry: SentryClass }).Sentry);
