export * from './platform/platform.js';
