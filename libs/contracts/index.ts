export * from './create-execution.dto.js';
export * from './events.js';
export * from './execution.js';
export * from './key.js';
export * from './limits.js';
export * from './problem.js';
<<<<<<< HEAD
export * from './sandbox.js';
export * from './sandbox-link.js';
=======
export * from './submission.js';
>>>>>>> 857d62a (Submissions: compiled once, run on every test in a sandbox of its own, judged)
export * from './webhook.js';
