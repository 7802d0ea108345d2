import { Ajv, type ValidateFunction } from 'ajv';
import formats from 'ajv-formats';
import fc from 'fast-check';
import { expect } from 'vitest';
import { type Deployment, KEY } from './harness.js';

// Drives the real server from its own document: whatever is sent, no answer is a 5xx, and every answer is one that the document
// promises: its status, its content type, its schema. The seed is in the failure's message; FC_SEED repeats it.
export const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;
export type Method = (typeof METHODS)[number];
const SEED = process.env.FC_SEED ? Number(process.env.FC_SEED) : undefined;
const BINARY = ['application/octet-stream', 'application/x-tar'];
/** Answers of sandboxes that have no end of their own, or may be as large as all that is in them. */
const STREAMS = /^(text\/event-stream|application\/(x-ndjson|x-tar|zip|octet-stream))/;

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
export interface Operation {
  readonly operationId: string;
  readonly security?: readonly unknown[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: Schema }> };
  readonly responses: Record<string, { readonly content?: Record<string, { readonly schema: Schema }> }>;
}
interface Document {
  readonly paths: Record<string, Partial<Record<Method, Operation>>>;
  readonly components: { readonly schemas: Record<string, Schema> };
}
export interface Sent {
  readonly path: Record<string, string>;
  readonly query: readonly (readonly [string, string])[];
  readonly headers: Record<string, string>;
  readonly body: unknown;
}
export interface Endpoint {
  readonly path: string;
  readonly method: Method;
  readonly operation: Operation;
}

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
const short = (name: string, value: string): string => (name === 'wait' && Number(value) > 0.2 ? '0.2' : value);
const rebased = (schema: Schema): object => JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"api#/'));

export interface Wishes {
  /** Bodies that are accepted, by operation: what the rules between fields ask for, which a schema cannot say. */
  readonly bodies: Readonly<Record<string, object>>;
  /** Queries that are. */
  readonly queries?: Readonly<Record<string, readonly (readonly [string, string])[]>>;
  /** Values of a path's parameter that mean something; the first ones are tried in any case, with the accepted body. */
  known(parameter: string): readonly string[];
  /** Comes before every request; may change what is sent. */
  ready?(sent: Sent): Promise<Sent>;
}

export class OpenApiDriver {
  document!: Document;
  readonly succeeded = new Set<string>();
  private readonly ajv = new Ajv({ strict: false, allErrors: true });
  private readonly validators = new Map<Schema, ValidateFunction>();

  constructor(
    private readonly deployment: Deployment,
    private readonly wishes: Wishes,
  ) {
    formats.default(this.ajv);
  }

  async load(): Promise<void> {
    this.document = (await this.deployment.get('/docs-json')).body as Document;
    // An answer holds what its schema names, and nothing else.
    for (const schema of Object.values(this.document.components.schemas) as {
      additionalProperties?: boolean;
      properties?: object;
    }[]) {
      if (schema.properties) schema.additionalProperties ??= false;
    }
    this.ajv.addSchema({ ...this.document, $id: 'api' });
  }

  endpoints(wanted: (path: string) => boolean): Endpoint[] {
    return Object.entries(this.document.paths)
      .filter(([path]) => wanted(path))
      .flatMap(([path, item]) =>
        METHODS.flatMap((method) => {
          const operation = item[method];
          return operation ? [{ path, method, operation }] : [];
        }),
      );
  }

  /** So many requests to one endpoint. Throws what is wrong with an answer. */
  async drive({ path, method, operation }: Endpoint, runs: number): Promise<void> {
    const property = fc.asyncProperty(this.requests(operation), async (wanted) => {
      const sent = (await this.wishes.ready?.(wanted)) ?? wanted;
      const response = await this.send(method, path, sent, operation);
      if (response.ok) this.succeeded.add(operation.operationId);
      await this.check(operation, response);
    });
    await fc.assert(property, {
      numRuns: runs,
      examples: this.plain(operation),
      ...(SEED === undefined ? {} : { seed: SEED }),
      endOnFailure: true,
    });
  }

  private resolve(schema: Schema): Schema {
    return schema.$ref ? this.resolve(this.document.components.schemas[schema.$ref.split('/').at(-1) ?? '']) : schema;
  }

  /** Values that a schema allows, as far as it says. */
  private valid(schema: Schema): fc.Arbitrary<unknown> {
    const {
      type,
      enum: choices,
      properties,
      additionalProperties,
      items,
      minimum,
      maximum,
      required,
    } = this.resolve(schema);
    if (choices) return fc.constantFrom(...choices);
    if (type === 'integer')
      return fc.integer({ min: minimum ?? -5, max: Math.min(maximum ?? 1000, (minimum ?? 0) + 5000) });
    if (type === 'number') return fc.double({ min: minimum ?? -5, max: maximum ?? 1000, noNaN: true });
    if (type === 'boolean') return fc.boolean();
    if (type === 'array') return fc.array(this.valid(items ?? {}), { maxLength: 3 });
    if (type === 'string') return text();
    if (properties) {
      const fields = Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, this.valid(inner)]));
      return fc.record(fields, { requiredKeys: [...(required ?? [])] });
    }
    return typeof additionalProperties === 'object'
      ? fc.dictionary(text(), this.valid(additionalProperties), { maxKeys: 3 })
      : fc.jsonValue();
  }

  /** Requests that succeed, if any do: each known value, the accepted body and query. */
  private plain(operation: Operation): [Sent][] {
    const { bodies, queries, known } = this.wishes;
    const body = operation.requestBody ? bodies[operation.operationId] : undefined;
    const query = queries?.[operation.operationId] ?? [];
    const names = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path').map(({ name }) => name);
    const most = Math.max(1, ...names.map((name) => known(name).length));
    return Array.from({ length: most }, (_, index) => {
      const path = names.map((name) => [name, known(name)[index % known(name).length]]);
      return [{ path: Object.fromEntries(path), query, headers: {}, body }];
    });
  }

  /** A valid body with one field replaced by anything, or anything at all. */
  private hostile(schema: Schema, accepted: object): fc.Arbitrary<unknown> {
    const names = Object.keys(this.resolve(schema).properties ?? {});
    const spoiled = fc
      .tuple(fc.oneof(this.valid(schema), fc.constant(accepted)), fc.constantFrom(...names, 'surplus'), fc.jsonValue())
      .map(([body, name, value]) => ({ ...(body as object), [name]: value }));
    const some = this.valid(schema).map((body) => ({ ...(body as object), ...accepted }));
    return fc.oneof(fc.constant(accepted), some, this.valid(schema), { weight: 3, arbitrary: spoiled }, fc.jsonValue());
  }

  private bodies(operation: Operation): fc.Arbitrary<unknown> {
    const content = operation.requestBody?.content ?? {};
    const accepted = this.wishes.bodies[operation.operationId] ?? {};
    const schema = content['application/json']?.schema;
    if (schema) return this.hostile(schema, accepted);
    if (!BINARY.some((type) => type in content)) return fc.constant(undefined);
    const bytes = fc.uint8Array({ maxLength: 2000 }).map((all) => Buffer.from(all));
    return Buffer.isBuffer(accepted) ? fc.oneof(fc.constant(accepted), bytes) : bytes;
  }

  private requests(operation: Operation): fc.Arbitrary<Sent> {
    const of = (place: Parameter['in']): readonly Parameter[] =>
      (operation.parameters ?? []).filter((parameter) => parameter.in === place);
    const header = fc.string({ maxLength: 30, unit: 'grapheme-ascii' }).map((value) => value.trim());
    const query = of('query').map(({ name, schema }) =>
      fc
        .array(fc.oneof(this.valid(schema).map(String), text()), { maxLength: 2 })
        .map((values) => values.map((value) => [name, short(name, value)] as const)),
    );
    const path = of('path').map(
      ({ name }) =>
        [
          name,
          fc.oneof(
            fc.constantFrom(...this.wishes.known(name)),
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
      body: this.bodies(operation),
    });
  }

  private send(method: string, path: string, sent: Sent, operation: Operation): Promise<Response> {
    const place = path.replace(/\{(\w+)\}/g, (_all, name: string) => encodeURIComponent(sent.path[name]));
    const query = new URLSearchParams(
      sent.query.map(([name, value]): [string, string] => [name, value.toWellFormed()]),
    );
    const binary = Buffer.isBuffer(sent.body)
      ? BINARY.find((type) => type in (operation.requestBody?.content ?? {}))
      : undefined;
    const body = binary ? new Uint8Array(sent.body as Buffer) : JSON.stringify(sent.body);
    return fetch(`http://127.0.0.1:${this.deployment.port}${place}?${query}`, {
      method: method.toUpperCase(),
      headers: {
        authorization: `Bearer ${KEY}`,
        ...(sent.body === undefined ? {} : { 'content-type': binary ?? 'application/json' }),
        ...sent.headers,
      },
      ...(sent.body === undefined ? {} : { body }),
    });
  }

  async check(operation: Operation, response: Response): Promise<void> {
    const type = (response.headers.get('content-type') ?? '').split(';')[0];
    const endless = response.ok && STREAMS.test(type) && operation.operationId.match(/Sandbox|Context/) !== null;
    if (endless) await response.body?.cancel();
    const body = endless ? '' : await response.text();
    const about = `${operation.operationId}: ${response.status} ${body.slice(0, 500)}`;
    const promised = operation.responses[response.status];
    // Of a server inside, which is not there.
    if (!body.includes(':port-unreachable')) expect(response.status, about).toBeLessThan(500);
    expect(promised, `undocumented ${about}`).toBeDefined();
    if (!promised.content && body === '') return;
    const content = promised.content?.[type] ?? promised.content?.['*/*'];
    expect(content, `undocumented content type ${type} ${about}`).toBeDefined();
    if (!content?.schema || !/^application\/(problem\+)?json$/.test(type)) return;
    const validate = this.validators.get(content.schema) ?? this.ajv.compile(rebased(content.schema));
    this.validators.set(content.schema, validate);
    validate(JSON.parse(body));
    expect(validate.errors ?? [], about).toEqual([]);
  }
}
