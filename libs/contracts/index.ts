export * from './create-execution.dto.js';
export * from './events.js';
export * from './execution.js';
export * from './key.js';
export * from './limits.js';
export * from './problem.js';
export * from './webhook.js';
