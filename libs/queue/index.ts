export * from './connection.js';
export * from './embedded-redis.js';
export * from './execution-store.js';
export * from './job-queue.js';
export * from './names.js';
export * from './news.js';
export * from './worker-registry.js';
