import type { IncomingMessage, ServerResponse } from 'node:http';
import { unavailable } from './opensandbox.errors.js';
import { sendJson } from './wire.js';

/** OpenSandbox's egress sidecar: it tells the one policy that there is, nothing leaves a sandbox. */
export function egress(path: string, request: IncomingMessage, response: ServerResponse): void {
  if (request.method !== 'GET' || path.split('?')[0] !== '/policy')
    throw unavailable('changing what a sandbox reaches');
  sendJson(response, {
    status: 'ok',
    mode: 'deny_all',
    enforcementMode: 'kernel',
    reason: 'sandboxes have no network but their own loopback',
    policy: { defaultAction: 'deny', egress: [] },
  });
}
