// The OpenAPI document: lints it and writes the client's types from it. `--check` writes nothing and fails when they are out of date.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import openapiTypescript, { astToString } from 'openapi-typescript';
import { apiDocument } from '../apps/api/dist/document.js';
import { fail, ROOT } from './lib/project.mjs';

const HEADER = '// Generated from the OpenAPI document by `npm run openapi`. Do not edit.\n';
const TYPES = join(ROOT, 'libs', 'client', 'schema.ts');

const document = JSON.stringify(await apiDocument());
const config = await createConfig({
  extends: ['recommended-strict'],
  rules: {
    // /readyz and its like answer without a key and cannot be asked wrongly.
    'operation-4xx-response': 'off',
    'operation-operationId-unique': 'error',
    'operation-operationId': 'error',
    'no-server-example.com': 'off',
    'no-unused-components': 'error',
  },
});
// A WebSocket answers 101 and nothing better.
const isWebSocket = ({ ruleId, location }) =>
  ruleId === 'operation-2xx-response' && /~1(attach|terminal)\//.test(location[0]?.pointer ?? '');
const found = await lintFromString({ source: document, absoluteRef: 'openapi.json', config });
const problems = found.filter((problem) => !isWebSocket(problem));
for (const { ruleId, message, location } of problems) {
  console.error(`openapi: ${location[0]?.pointer ?? ''}: ${message} (${ruleId})`);
}
if (problems.length > 0) fail(`the OpenAPI document has ${problems.length} problems`);

if (!process.argv.includes('--lint')) {
  const types = HEADER + astToString(await openapiTypescript(JSON.parse(document), { defaultNonNullable: false }));
  if (!process.argv.includes('--check')) writeFileSync(TYPES, types);
  else if (readFileSync(TYPES, 'utf8') !== types) fail('libs/client/schema.ts is out of date: npm run openapi');
}
process.exit(0);
