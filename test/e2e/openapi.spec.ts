import { WEBHOOK_DEFAULTS } from '@cordon/app-api/settings';
import type { CreatedKeyDto, ExecutionDto, StoredProblemDto, SubmissionDto } from '@cordon/contracts';
import { Ajv, type ValidateFunction } from 'ajv';
import formats from 'ajv-formats';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { KEY, useDeployment } from './harness.js';

// Drives the real server from its own document: whatever is sent, no answer is a 5xx, and every answer is one that the document
// promises: its status, its content type, its schema. The seed is in the failure's message; FC_SEED repeats it.
const RUNS = Number(process.env.FC_RUNS ?? 40);
const SEED = process.env.FC_SEED ? Number(process.env.FC_SEED) : undefined;
const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly properties?: Record<string, Schema>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
}
interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly schema: Schema;
}
interface Operation {
  readonly operationId: string;
  readonly security?: readonly unknown[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: Schema }> };
  readonly responses: Record<string, { readonly content?: Record<string, { readonly schema: Schema }> }>;
}
interface Document {
  readonly paths: Record<string, Partial<Record<(typeof METHODS)[number], Operation>>>;
  readonly components: { readonly schemas: Record<string, Schema> };
}
interface Sent {
  readonly path: Record<string, string>;
  readonly query: readonly (readonly [string, string])[];
  readonly headers: Record<string, string>;
  readonly body: unknown;
}

const cordon = useDeployment({ workers: 1, webhooks: { ...WEBHOOK_DEFAULTS, allow: ['127.0.0.1/32'] } });
let document: Document;
const known: string[] = [];
const SUBMISSION = { runtime: 'sh', source: 'echo 1', tests: [{ expected: '2' }] };
const PROBLEM = { title: 'driven' };
const ajv = new Ajv({ strict: false, allErrors: true });
formats.default(ajv);
const validators = new Map<Schema, ValidateFunction>();

beforeAll(async () => {
  document = (await cordon.get('/docs-json')).body as Document;
  // An answer holds what its schema names, and nothing else.
  for (const schema of Object.values(document.components.schemas) as {
    additionalProperties?: boolean;
    properties?: object;
  }[]) {
    if (schema.properties) schema.additionalProperties ??= false;
  }
  ajv.addSchema({ ...document, $id: 'api' });
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

const resolve = (schema: Schema): Schema =>
  schema.$ref ? resolve(document.components.schemas[schema.$ref.split('/').at(-1) ?? '']) : schema;

const WORDS = [
  '/bin/true',
  '/bin/echo',
  'python',
  'x',
  '/work',
  '',
  '\0',
  '..',
  'é',
  '__proto__',
  '-1',
  '1e9',
  'null',
  '0-0',
];
const text = (): fc.Arbitrary<string> =>
  fc.oneof(fc.constantFrom(...WORDS), fc.string({ maxLength: 20, unit: 'binary' }));

/** Values that a schema allows, as far as it says. */
function valid(schema: Schema): fc.Arbitrary<unknown> {
  const { type, enum: choices, properties, additionalProperties, items, minimum, maximum, required } = resolve(schema);
  if (choices) return fc.constantFrom(...choices);
  if (type === 'integer')
    return fc.integer({ min: minimum ?? -5, max: Math.min(maximum ?? 1000, (minimum ?? 0) + 5000) });
  if (type === 'number') return fc.double({ min: minimum ?? -5, max: maximum ?? 1000, noNaN: true });
  if (type === 'boolean') return fc.boolean();
  if (type === 'array') return fc.array(valid(items ?? {}), { maxLength: 3 });
  if (type === 'string') return text();
  if (properties) {
    const fields = Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, valid(inner)]));
    return fc.record(fields, { requiredKeys: [...(required ?? [])] });
  }
  return typeof additionalProperties === 'object'
    ? fc.dictionary(text(), valid(additionalProperties), { maxKeys: 3 })
    : fc.jsonValue();
}

/** Bodies that are accepted: what the rules between fields ask for, which a schema cannot say. */
const ACCEPTED: Readonly<Record<string, object>> = {
  createExecution: { command: ['/bin/true'] },
  createSubmission: SUBMISSION,
  createBatchSubmission: { submissions: [SUBMISSION, {}] },
  createProblem: PROBLEM,
  createVersionProblem: { tests: [{ expected: '1' }] },
  changeProblem: { title: 'Driven' },
  createKey: { name: 'driven', scopes: ['run'] },
};

/** Requests that succeed, if any do: each known id, the accepted body. */
function plain(operation: Operation): [Sent][] {
  const body = operation.requestBody ? ACCEPTED[operation.operationId] : undefined;
  const names = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path').map(({ name }) => name);
  return known.map((id) => [
    {
      path: Object.fromEntries(names.map((name) => [name, name === 'version' ? '1' : id])),
      query: [],
      headers: {},
      body,
    },
  ]);
}

/** A valid body with one field replaced by anything, or anything at all. */
function hostile(schema: Schema, accepted: object): fc.Arbitrary<unknown> {
  const names = Object.keys(resolve(schema).properties ?? {});
  const spoiled = fc
    .tuple(fc.oneof(valid(schema), fc.constant(accepted)), fc.constantFrom(...names, 'surplus'), fc.jsonValue())
    .map(([body, name, value]) => ({ ...(body as object), [name]: value }));
  const some = valid(schema).map((body) => ({ ...(body as object), ...accepted }));
  return fc.oneof(fc.constant(accepted), some, valid(schema), { weight: 3, arbitrary: spoiled }, fc.jsonValue());
}

const short = (name: string, value: string): string => (name === 'wait' && Number(value) > 0.2 ? '0.2' : value);

function requests(operation: Operation): fc.Arbitrary<Sent> {
  const of = (place: Parameter['in']): readonly Parameter[] =>
    (operation.parameters ?? []).filter((parameter) => parameter.in === place);
  const header = fc.string({ maxLength: 30, unit: 'grapheme-ascii' }).map((value) => value.trim());
  const query = of('query').map(({ name, schema }) =>
    fc
      .array(fc.oneof(valid(schema).map(String), text()), { maxLength: 2 })
      .map((values) => values.map((value) => [name, short(name, value)] as const)),
  );
  // Bodies that are no JSON are left out here: the answer to that is documented too.
  const schema = operation.requestBody?.content['application/json']?.schema;
  const path = of('path').map(
    ({ name }) =>
      [
        name,
        fc.oneof(
          fc.constantFrom(...known),
          // Dots are steps of the path, whoever sends them: that would be another endpoint.
          text().filter((id) => !['', '.', '..'].includes(id)),
        ),
      ] as const,
  );
  return fc.record({
    path: fc.record(Object.fromEntries(path)) as fc.Arbitrary<Record<string, string>>,
    query: fc.tuple(...query).map((lists) => lists.flat()),
    headers: fc.record(Object.fromEntries(of('header').map(({ name }) => [name, header])), {
      requiredKeys: [],
    }) as fc.Arbitrary<Record<string, string>>,
    body: schema ? hostile(schema, ACCEPTED[operation.operationId] ?? {}) : fc.constant(undefined),
  });
}

async function send(method: string, path: string, sent: Sent): Promise<Response> {
  const place = path.replace(/\{(\w+)\}/g, (_all, name: string) => encodeURIComponent(sent.path[name]));
  const query = new URLSearchParams(sent.query.map(([name, value]): [string, string] => [name, value.toWellFormed()]));
  return fetch(`http://127.0.0.1:${cordon.port}${place}?${query}`, {
    method: method.toUpperCase(),
    headers: {
      authorization: `Bearer ${KEY}`,
      ...(sent.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...sent.headers,
    },
    ...(sent.body === undefined ? {} : { body: JSON.stringify(sent.body) }),
  });
}

async function check(operation: Operation, response: Response): Promise<void> {
  const body = await response.text();
  const about = `${operation.operationId}: ${response.status} ${body.slice(0, 500)}`;
  expect(response.status, about).toBeLessThan(500);
  const promised = operation.responses[response.status];
  expect(promised, `undocumented ${about}`).toBeDefined();
  const type = (response.headers.get('content-type') ?? '').split(';')[0];
  if (!promised.content && body === '') return;
  const content = promised.content?.[type];
  expect(content, `undocumented content type ${type} ${about}`).toBeDefined();
  if (!content || !/^application\/(problem\+)?json$/.test(type)) return;
  const validate = validators.get(content.schema) ?? ajv.compile(rebased(content.schema));
  validators.set(content.schema, validate);
  validate(JSON.parse(body));
  expect(validate.errors ?? [], about).toEqual([]);
}

const rebased = (schema: Schema): object => JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"api#/'));

describe('the API is what its document says', () => {
  it('whatever is sent: no 5xx, every answer documented', async () => {
    const operations = Object.entries(document.paths).flatMap(([path, item]) =>
      METHODS.flatMap((method) => (item[method] ? [{ path, method, operation: item[method] }] : [])),
    );
    expect(operations.length).toBeGreaterThan(10);
    const succeeded = new Set<string>();
    for (const { path, method, operation } of operations) {
      const property = fc.asyncProperty(requests(operation), async (sent) => {
        const response = await send(method, path, sent);
        if (response.ok) succeeded.add(operation.operationId);
        await check(operation, response);
      });
      await fc.assert(property, {
        numRuns: RUNS,
        examples: plain(operation),
        ...(SEED === undefined ? {} : { seed: SEED }),
        endOnFailure: true,
      });
    }
    // A driver that is only ever refused has tested little.
    // Inside a sandbox one call needs what another made: sandboxes.spec.ts sees to those.
    const never = operations
      .filter(({ path, operation }) => !path.startsWith('/v1/sandboxes/') && !(101 in operation.responses))
      .map(({ operation }) => operation.operationId)
      .filter((name) => !succeeded.has(name));
    expect(never).toEqual([]);
    expect((await cordon.get('/readyz')).status).toBe(200);
  }, 120_000);

  it('every endpoint behind a key refuses without one, as documented', async () => {
    for (const [path, item] of Object.entries(document.paths)) {
      for (const method of METHODS) {
        const operation = item[method];
        if (!operation?.security?.length) continue;
        const place = path.replace(/\{\w+\}/g, 'x');
        const response = await fetch(`http://127.0.0.1:${cordon.port}${place}`, { method: method.toUpperCase() });
        expect(response.status, `${method} ${path}`).toBe(401);
        await check(operation, response);
      }
    }
  });
});
