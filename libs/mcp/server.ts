import { McpServer } from '@modelcontextprotocol/server';
import type { Backend } from './backend.js';
import { registerProgramTools } from './program-tools.js';
import { registerSandboxTools } from './sandbox-tools.js';

const INSTRUCTIONS = `Cordon runs code nobody trusts. Every run and every sandbox has a Linux kernel of its own: no network beyond its own loopback, no access to the machine it is on.
- run_code and run_command: one program in a fresh sandbox that is gone afterwards. Use them for anything that keeps no files.
- create_sandbox, then exec_in_sandbox, write_file, read_file, list_files: several steps over one file system. Relative paths are below /work. Delete it when done.
- get_audit: the system calls that a run or sandbox made: what it read, wrote, connected to.
A program that fails is an ordinary result with its exit code; an error says that Cordon refused, and what to do.`;

/** A server of the Model Context Protocol whose tools do what `backend` can. */
export function createServer(backend: Backend): McpServer {
  const server = new McpServer(
    { name: 'cordon', title: 'Cordon sandboxes', version: '0.1.0' },
    { capabilities: { tools: {} }, instructions: INSTRUCTIONS },
  );
  registerProgramTools(server, backend);
  registerSandboxTools(server, backend);
  return server;
}
