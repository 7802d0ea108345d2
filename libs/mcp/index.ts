export {
  createMcpHandler,
  localhostAllowedOrigins,
  type McpHttpHandler,
  validateOriginHeader,
} from '@modelcontextprotocol/server';
export { serveStdio } from '@modelcontextprotocol/server/stdio';
export * from './backend.js';
export * from './client-backend.js';
export * from './server.js';
