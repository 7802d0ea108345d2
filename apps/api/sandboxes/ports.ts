import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { requireScope } from '../http/auth.guard.js';
import type { WebSocketRoutes } from '../http/upgrades.js';
import { type Forward, forwardRequest, forwardUpgrade, ownHeaders, type PortPlace, portPlace } from './port-proxy.js';
import { SandboxesService } from './sandboxes.service.js';

/**
 * `/v1/sandboxes/:id/ports/:port/…`: whatever HTTP is spoken there, spoken with the server that listens on that port of the
 * sandbox. Before bodies are parsed, since they are the guest's: a hook, not a controller.
 */
export function servePorts(
  app: NestFastifyApplication,
  routes: WebSocketRoutes,
): (request: FastifyRequest, reply: FastifyReply) => boolean {
  const sandboxes = app.get(SandboxesService);
  const forward = (tenant: string, { id, port, path, prefix }: PortPlace, drop: ReadonlySet<string>): Forward => ({
    dial: () => sandboxes.dial(tenant, id, port),
    port,
    path,
    prefix,
    drop,
  });
  routes.addRaw(
    (url) => portPlace(url),
    ['sandbox'],
    (place, { principal }, request, socket, head) =>
      forwardUpgrade(request, socket, head, forward(principal.tenant, place, ownHeaders(request))),
  );
  return (request, reply) => {
    const place = portPlace(request.url);
    if (place === null) return false;
    requireScope(request.principal, ['sandbox']);
    reply.hijack();
    void forwardRequest(request.raw, reply.raw, forward(request.tenant, place, ownHeaders(request.raw)));
    return true;
  };
}
