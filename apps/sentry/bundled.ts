/** What is bundled into one CommonJS file: without a module that is loaded by name, Node's loader of ES modules never starts. */
import { Sentry } from '@cordon/sentry/boot/sentry';
import { runZygote } from './zygote.js';

void runZygote(() => Sentry);
