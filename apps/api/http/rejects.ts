import { Counter } from 'prom-client';

/** Requests refused, by problem type. In the registry of whoever shows metrics. */
export const rejects = new Counter({
  name: 'cordon_rejects_total',
  help: 'Requests that were refused, by problem type',
  labelNames: ['type'],
  registers: [],
});
