import 'reflect-metadata';
import type { IncomingMessage } from 'node:http';
import { REQUEST_LIMITS } from '@cordon/contracts';
import { type DynamicModule, Module, UnsupportedMediaTypeException } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { SwaggerModule } from '@nestjs/swagger';
import type { FastifyBodyParser, FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { pino } from 'pino';
import { E2bDataPlane } from './compat/e2b/data-plane.js';
import { authenticateE2b, isE2b } from './compat/e2b/e2b.auth.js';
import { E2bController } from './compat/e2b/e2b.controller.js';
import { E2bFilter } from './compat/e2b/e2b.filter.js';
import { E2bService } from './compat/e2b/e2b.service.js';
import { CodeInterpreter } from './compat/e2b/interpreter.js';
import { authenticateJudge0, isJudge0, withoutSlash } from './compat/judge0/judge0.auth.js';
import { Judge0Controller } from './compat/judge0/judge0.controller.js';
import { Judge0Filter } from './compat/judge0/judge0.filter.js';
import { Judge0Service } from './compat/judge0/judge0.service.js';
import { OpenSandboxDataPlane } from './compat/opensandbox/data-plane.js';
import { authenticateOpenSandbox, isOpenSandbox } from './compat/opensandbox/opensandbox.auth.js';
import { OpenSandboxController } from './compat/opensandbox/opensandbox.controller.js';
import { OpenSandboxFilter } from './compat/opensandbox/opensandbox.filter.js';
import { OpenSandboxService } from './compat/opensandbox/opensandbox.service.js';
import { serveConnect } from './compat/piston/connect.js';
import { authenticatePiston, isPiston, withoutKey } from './compat/piston/piston.auth.js';
import { PistonController } from './compat/piston/piston.controller.js';
import { PistonFilter } from './compat/piston/piston.filter.js';
import { ContextsController } from './contexts/contexts.controller.js';
import { ContextsService } from './contexts/contexts.service.js';
import { serveAttach } from './executions/attach.js';
import { ExecutionsController } from './executions/executions.controller.js';
import { ExecutionsService } from './executions/executions.service.js';
import { HealthController } from './health/health.controller.js';
import { authenticate, bearerOf } from './http/auth.guard.js';
import { BodyRules } from './http/body-rules.js';
import { ClientErrors, requireHost } from './http/client-errors.js';
import { parseBody } from './http/json-body.js';
import { ProblemFilter, toProblem } from './http/problem.js';
import { QueryParameters } from './http/query-parameters.js';
import { WebSocketRoutes } from './http/upgrades.js';
import { KeysController } from './keys/keys.controller.js';
import { KeysService } from './keys/keys.service.js';
import { isMcp, McpController } from './mcp/mcp.controller.js';
import { buildDocument } from './openapi.js';
import { ProblemsController } from './problems/problems.controller.js';
import { ProblemsService } from './problems/problems.service.js';
import { RuntimesController } from './runtimes/runtimes.controller.js';
import { servePorts } from './sandboxes/ports.js';
import { SandboxArchiveController } from './sandboxes/sandbox-archive.controller.js';
import { SandboxAuditController } from './sandboxes/sandbox-audit.controller.js';
import { SandboxAuditService } from './sandboxes/sandbox-audit.service.js';
import { SandboxFilesController } from './sandboxes/sandbox-files.controller.js';
import { SandboxesController } from './sandboxes/sandboxes.controller.js';
import { SandboxesService } from './sandboxes/sandboxes.service.js';
import { serveTerminals } from './sandboxes/terminals.js';
import { ApiSettings } from './settings.js';
import { SubmissionsController } from './submissions/submissions.controller.js';
import { SubmissionsService } from './submissions/submissions.service.js';
import { WebhooksController } from './webhooks/webhooks.controller.js';
import { WebhooksService } from './webhooks/webhooks.service.js';

@Module({})
export class ApiModule {
  static with(settings: ApiSettings): DynamicModule {
    return {
      module: ApiModule,
      controllers: [
        ExecutionsController,
        SubmissionsController,
        ProblemsController,
        SandboxesController,
        SandboxFilesController,
        SandboxArchiveController,
        SandboxAuditController,
        ContextsController,
        RuntimesController,
        KeysController,
        WebhooksController,
        PistonController,
        Judge0Controller,
        McpController,
        E2bController,
        OpenSandboxController,
        HealthController,
      ],
      providers: [
        { provide: ApiSettings, useValue: settings },
        KeysService,
        WebhooksService,
        ExecutionsService,
        ProblemsService,
        SubmissionsService,
        SandboxesService,
        SandboxAuditService,
        ContextsService,
        Judge0Service,
        E2bService,
        OpenSandboxService,
      ],
    };
  }
}

const ARCHIVE_PLACE = /^\/v1\/problems\/[^/?]+\/versions(?:\?|$)/;
const DIRECTORY_PLACE = /^\/v1\/sandboxes\/[^/?]+\/files\/archive(?:\?|$)/;
const FILE_PLACE = /^\/v1\/sandboxes\/[^/?]+\/files(?:\?|$)/;

/** The whole HTTP application, not yet listening. */
export async function createApp(settings: ApiSettings): Promise<NestFastifyApplication> {
  const log = pino({ name: 'api', level: process.env.LOG_LEVEL ?? 'info' });
  let sockets: WebSocketRoutes;
  const clientErrors = new ClientErrors();
  const adapter = new FastifyAdapter({
    bodyLimit: REQUEST_LIMITS.bodyBytes,
    requestTimeout: 60_000,
    forceCloseConnections: true,
    rewriteUrl: (request: IncomingMessage) => withoutSlash(withoutKey(request)),
    // A request without Host is refused by us (requireHost): Node's own answer says nothing.
    http: { shouldUpgradeCallback: (request) => sockets.takes(request), requireHostHeader: false },
    clientErrorHandler: (error, socket) => clientErrors.refuse(error, socket),
    // What reaches no route, such as %ZZ in a path.
    frameworkErrors: (error: FastifyError, _request: FastifyRequest, reply: FastifyReply) => {
      const body = toProblem(error);
      reply.status(body.status).type('application/problem+json').send(body);
    },
  });
  let parameters: QueryParameters;
  let bodies: BodyRules;
  const fastify = adapter.getInstance();
  clientErrors.watch(fastify.server);
  fastify.removeAllContentTypeParsers();
  const parseJson: FastifyBodyParser<Buffer> = (request, body, done) => {
    if (body.length === 0 && (isJudge0(request.url) || bodies.mayBeEmpty(request))) return done(null, undefined);
    try {
      done(null, parseBody(body));
    } catch (error) {
      done(error as Error);
    }
  };
  fastify.addContentTypeParser('application/json', { parseAs: 'buffer' }, parseJson);
  // Some clients of Piston say that their JSON is text.
  fastify.addContentTypeParser('text/plain', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    if (isPiston(request.url)) parseJson(request, body, done);
    else done(new UnsupportedMediaTypeException('the body must be JSON'));
  });
  // Files of sandboxes, taken as they come; everywhere else bodies are JSON.
  fastify.addContentTypeParser('application/octet-stream', (request, payload, done) => {
    if (request.method === 'PUT' && FILE_PLACE.test(request.url)) done(null, payload);
    else done(new UnsupportedMediaTypeException('the body must be JSON'));
  });
  fastify.addContentTypeParser('application/x-tar', (request, payload, done) => {
    if (request.method === 'PUT' && DIRECTORY_PLACE.test(request.url)) done(null, payload);
    else done(new UnsupportedMediaTypeException('the body must be JSON'));
  });
  fastify.addContentTypeParser('application/zip', (request, payload, done) => {
    const { method, url } = request;
    const taken = (method === 'POST' && ARCHIVE_PLACE.test(url)) || (method === 'PUT' && DIRECTORY_PLACE.test(url));
    if (taken) done(null, payload);
    else done(new UnsupportedMediaTypeException('the body must be JSON'));
  });
  let keys: KeysService;
  let toPort: ReturnType<typeof servePorts>;
  let e2b: E2bDataPlane;
  let openSandbox: OpenSandboxDataPlane;
  // Before the body is read: who has no key costs nothing. The guard on the controllers checks the scope.
  fastify.addHook('onRequest', async (request, reply) => {
    requireHost(request);
    if (e2b.handle(request, reply) || openSandbox.handle(request, reply)) return;
    if (request.url.startsWith('/v1/') || isMcp(request.url))
      await authenticate(request, reply, keys, bearerOf(request));
    if (isOpenSandbox(request.url)) return authenticateOpenSandbox(request, reply, keys);
    if (isE2b(request.url)) return authenticateE2b(request, reply, keys);
    if (isJudge0(request.url)) return authenticateJudge0(request, reply, keys);
    if (isPiston(request.url)) return authenticatePiston(request, reply, keys);
    // What is for a server in a sandbox is the server's.
    if (!toPort(request, reply)) parameters.check(request);
  });
  fastify.addHook('preHandler', async (request) => bodies.check(request));
  const app = await NestFactory.create<NestFastifyApplication>(ApiModule.with(settings), adapter, {
    logger: ['error', 'warn'],
    bodyParser: false,
  });
  keys = app.get(KeysService);
  app.useGlobalFilters(
    new ProblemFilter(log, [
      [isE2b, new E2bFilter()],
      [isOpenSandbox, new OpenSandboxFilter()],
      [isJudge0, new Judge0Filter()],
      [isPiston, new PistonFilter()],
    ]),
  );
  const document = buildDocument(app);
  SwaggerModule.setup('docs', app, document, { jsonDocumentUrl: 'docs-json' });
  parameters = new QueryParameters(document);
  bodies = new BodyRules(document);
  sockets = new WebSocketRoutes(app, parameters);
  serveAttach(app, sockets);
  serveConnect(app, sockets);
  serveTerminals(app, sockets);
  toPort = servePorts(app, sockets);
  e2b = new E2bDataPlane(app, sockets, new CodeInterpreter(app.get(ContextsService), app.get(E2bService).store));
  openSandbox = new OpenSandboxDataPlane(app, sockets);
  return app;
}
