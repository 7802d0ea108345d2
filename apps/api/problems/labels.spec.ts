import { expect, it } from 'vitest';
import { manifestPath } from './labels.js';

it.each([
  [['1.in', 'manifest.json', 'a/2.in'], 'manifest.json'],
  [['tests/1.in', 'tests/a/manifest.json', 'tests/manifest.json'], 'tests/manifest.json'],
  [['tests/1.in', 'tests/manifest.json', '__MACOSX/tests/._1.in', '__MACOSX/manifest.json'], 'tests/manifest.json'],
  [['1.in', 'a/manifest.json'], null],
  [['a/manifest.json', 'b/manifest.json'], null],
  [['1.in', '__MACOSX/manifest.json'], null],
  [['a/1.in', 'a/my-manifest.json'], null],
])('the manifest among %j is %s', (paths, manifest) => {
  expect(manifestPath(paths)).toBe(manifest);
});
