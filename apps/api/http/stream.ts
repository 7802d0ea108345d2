import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';

/** Begins an answer that goes on: the client knows at once that it is there, and nothing on the way keeps it back. */
export function beginStream(reply: FastifyReply, contentType = 'text/event-stream'): ServerResponse {
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-cache', 'x-accel-buffering': 'no' });
  raw.flushHeaders();
  return raw;
}
