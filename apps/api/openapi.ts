import { PROBLEMS, Problem, type ProblemType } from '@cordon/contracts';
import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';

type PathItem = OpenAPIObject['paths'][string];
type Operation = NonNullable<PathItem['get']>;

const METHODS = ['get', 'put', 'post', 'delete', 'patch'] as const;
/** What every endpoint behind a key may answer, beside what its own decorators say. */
const ALWAYS: readonly ProblemType[] = [
  'unauthorized',
  'forbidden',
  'invalid-request',
  'rate-limited',
  'internal',
  'unavailable',
];

const TAGS: Readonly<Record<string, string>> = {
  executions: 'One program, run to its end in a sandbox of its own',
  keys: 'API keys: scopes, tenants, limits (scope admin)',
  problems: 'Problems to judge submissions by: limits, checker or interactor, tests by versions',
  submissions: 'A program judged: compiled once, run on every test in a sandbox of its own',
  runtimes: 'What the workers offer, and what a key used',
  sandboxes: 'Sandboxes that live on: many commands, one file system',
  service: 'For operators and probes; no key needed',
  webhooks: 'What was delivered to webhooks, and what was not',
};

/** The OpenAPI document of the whole API, from the decorators of its controllers. */
export function buildDocument(app: INestApplication): OpenAPIObject {
  const description = new DocumentBuilder()
    .setTitle('Cordon')
    .setDescription(
      'Runs code nobody trusts: each program on a Linux kernel of its own. Errors are RFC 9457 problem documents with a stable `type`.',
    )
    .setVersion('1')
    .setOpenAPIVersion('3.1.0')
    .setLicense('Apache-2.0', 'https://www.apache.org/licenses/LICENSE-2.0')
    .addServer('/')
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'An API key' })
    .build();
  const document = SwaggerModule.createDocument(app, description, {
    operationIdFactory: (controller, method) => `${method}${controller.replace(/(ies|s)?Controller$/, '')}`,
    extraModels: [Problem],
  });
  for (const item of Object.values(document.paths)) {
    for (const method of METHODS) {
      const operation = item[method];
      if (operation) describeArchives(operation);
      if (operation?.security?.some((way) => 'bearer' in way)) completeResponses(operation);
      else if (operation) operation.security ??= [];
    }
  }
  const used = new Set(
    Object.values(document.paths).flatMap((item) => METHODS.flatMap((name) => item[name]?.tags ?? [])),
  );
  document.tags = [...used].sort().map((name) => ({ name, description: TAGS[name] ?? name }));
  return document;
}

/** The decorators know one schema for all media types of a body. */
function describeArchives({ requestBody }: Operation): void {
  const archive = requestBody && 'content' in requestBody ? requestBody.content['application/zip'] : undefined;
  if (archive) archive.schema = { type: 'string', format: 'binary' };
}

function completeResponses(operation: Operation): void {
  for (const type of ALWAYS) {
    const { status, title } = PROBLEMS[type];
    if (status in operation.responses) continue;
    operation.responses[status] = {
      description: `\`${type}\`: ${title}`,
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      ...(status === 429 || status === 503 ? { headers: RETRY_AFTER } : {}),
    };
  }
}

const RETRY_AFTER = { 'Retry-After': { description: 'Seconds to wait', schema: { type: 'integer' as const } } };
