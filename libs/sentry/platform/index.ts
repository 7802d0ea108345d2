export * from './choose.js';
export { host } from './host.js';
export { HostMemoryFile } from './memory-file.js';
export * from './platform.js';
export { PtracePlatform } from './ptrace/ptrace-platform.js';
