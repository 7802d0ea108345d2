import { WEBHOOK_DEFAULTS } from '@cordon/app-api/settings';
import type { CreatedKeyDto, ExecutionDto, StoredProblemDto, SubmissionDto } from '@cordon/contracts';
import { beforeAll, describe, expect, it } from 'vitest';
import { useDeployment } from './harness.js';
import { METHODS, OpenApiDriver } from './openapi-driver.js';

const RUNS = Number(process.env.FC_RUNS ?? 40);
const cordon = useDeployment({ workers: 1, webhooks: { ...WEBHOOK_DEFAULTS, allow: ['127.0.0.1/32'] } });
const known: string[] = [];
const SUBMISSION = { runtime: 'sh', source: 'echo 1', tests: [{ expected: '2' }] };
const PROBLEM = { title: 'driven' };
const driver = new OpenApiDriver(cordon, {
  bodies: {
    createExecution: { command: ['/bin/true'] },
    createSubmission: SUBMISSION,
    createBatchSubmission: { submissions: [SUBMISSION, {}] },
    createProblem: PROBLEM,
    createVersionProblem: { tests: [{ expected: '1' }] },
    changeProblem: { title: 'changed' },
    createKey: { name: 'driven', scopes: ['run'] },
  },
  known: (parameter) => (parameter === 'version' ? ['1'] : known),
});

beforeAll(async () => {
  await driver.load();
  // Nobody listens there: the delivery stays in the log.
  const told = { command: ['/bin/echo', 'x'], webhook: { url: 'http://127.0.0.1:1/' } };
  known.push(((await cordon.post(told, '?wait=10')).body as ExecutionDto).id);
  known.push((await cordon.get('/v1/webhooks/deliveries')).body.items[0].id);
  const submission = await cordon.postTo('/v1/submissions?wait=20', SUBMISSION);
  known.push((submission.body as SubmissionDto).id);
  known.push(((await cordon.postTo('/v1/problems', PROBLEM)).body as StoredProblemDto).id);
  const key = await cordon.postTo('/v1/keys', { name: 'driver', scopes: ['run'] });
  known.push((key.body as CreatedKeyDto).id);
}, 60_000);

describe('the API is what its document says', () => {
  it('whatever is sent: no 5xx, every answer documented', async () => {
    // Those of sandboxes have a file of their own.
    const endpoints = driver.endpoints((path) => !path.startsWith('/v1/sandboxes'));
    expect(endpoints.length).toBeGreaterThan(10);
    for (const endpoint of endpoints) await driver.drive(endpoint, RUNS);
    // A driver that is only ever refused has tested little.
    const never = endpoints
      .filter(({ operation }) => !(101 in operation.responses))
      .map(({ operation }) => operation.operationId)
      .filter((name) => !driver.succeeded.has(name));
    expect(never).toEqual([]);
    expect((await cordon.get('/readyz')).status).toBe(200);
  }, 120_000);

  it('every endpoint behind a key refuses without one, as documented', async () => {
    for (const [path, item] of Object.entries(driver.document.paths)) {
      for (const method of METHODS) {
        const operation = item[method];
        if (!operation?.security?.length) continue;
        const place = path.replace(/\{\w+\}/g, 'x');
        const response = await fetch(`http://127.0.0.1:${cordon.port}${place}`, { method: method.toUpperCase() });
        expect(response.status, `${method} ${path}`).toBe(401);
        await driver.check(operation, response);
      }
    }
  });
});
