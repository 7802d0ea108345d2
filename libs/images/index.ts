export * from './catalogue.js';
export * from './discover.js';
export * from './host-image.js';
export * from './runtime.js';
