import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Cordon } from '@cordon/client';
import {
  ClientBackend,
  createMcpHandler,
  createServer,
  localhostAllowedOrigins,
  type McpHttpHandler,
  validateOriginHeader,
} from '@cordon/mcp';
import { All, Controller, Req, Res, UseGuards } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AuthGuard, bearerOf, Scopes } from '../http/auth.guard.js';
import { goneSignal, writeTo } from '../http/gone.js';
import { ProblemException } from '../http/problem.js';

/** Whether a request is for this place: it needs a key before its body is read. */
export const isMcp = (url: string): boolean => /^\/mcp(?:\/?$|\?)/.test(url);

/** Where this process listens, for itself. */
function ownUrl(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  const host = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
  return `http://${family === 'IPv6' ? `[${host}]` : host}:${port}`;
}

/**
 * The Model Context Protocol over streamable HTTP, without sessions: each request stands for itself, so that any API process answers
 * it. Tools ask this API by a request of their own, with the key that came: scopes, limits and tenants hold as for anybody, and an exec
 * ends with the connection of who asked for it.
 */
@ApiExcludeController()
@UseGuards(AuthGuard)
@Scopes('run', 'sandbox')
@Controller('mcp')
export class McpController {
  private readonly handler: McpHttpHandler;
  /** Pages in browsers may ask from these hosts; programs, which send no Origin, from anywhere. */
  private readonly origins = [
    ...localhostAllowedOrigins(),
    ...(process.env.CORDON_MCP_ORIGINS ?? '').split(',').filter((host) => host !== ''),
  ];

  constructor(adapter: HttpAdapterHost) {
    this.handler = createMcpHandler(({ authInfo }) => {
      const url = ownUrl(adapter.httpAdapter.getHttpServer() as Server);
      const cordon = new Cordon({ url, apiKey: authInfo?.token ?? '', retries: 0 });
      return createServer(new ClientBackend(cordon));
    });
  }

  @All()
  async serve(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    // A page elsewhere whose name is made to resolve to here must not be taken for a local program (DNS rebinding).
    const origin = validateOriginHeader(request.headers.origin, this.origins);
    if (!origin.ok) throw new ProblemException('forbidden', 'this Origin may not ask here: see CORDON_MCP_ORIGINS');
    const { principal, method, body } = request;
    const gone = goneSignal(reply);
    const headers = new Headers();
    for (const [name, value] of Object.entries(request.headers))
      if (typeof value === 'string') headers.set(name, value);
    const response = await this.handler.fetch(
      new Request('http://api.invalid/mcp', {
        method,
        headers,
        signal: gone,
        ...(method === 'POST' ? { body: JSON.stringify(body ?? null) } : {}),
      }),
      {
        authInfo: { token: bearerOf(request) ?? '', clientId: principal.tenant, scopes: [...principal.scopes] },
        ...(method === 'POST' ? { parsedBody: body } : {}),
      },
    );
    reply.hijack();
    reply.raw.writeHead(response.status, Object.fromEntries(response.headers));
    try {
      for await (const chunk of response.body ?? []) await writeTo(reply, chunk, gone);
    } finally {
      reply.raw.end();
    }
  }
}
