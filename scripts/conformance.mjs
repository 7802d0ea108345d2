// `npm run conformance`: sets up what the foreign suites need, builds, runs them. Options go to test/conformance/main.ts.
import { spawnSync } from 'node:child_process';
import { build, installDependencies, NODE, ROOT } from './lib/project.mjs';
import { ensurePackages } from './lib/system-packages.mjs';

installDependencies();
// One file of each package tells whether it is there.
ensurePackages({
  'stress-ng': '/usr/bin/stress-ng',
  'python3.11': '/usr/bin/python3.11',
  'libpython3.11-testsuite': '/usr/lib/python3.11/test/test_os.py',
  'golang-1.19-go': '/usr/lib/go-1.19/bin/go',
  tzdata: '/usr/share/zoneinfo/America/Los_Angeles',
  'golang-1.19-src': '/usr/share/go-1.19/src/os/os_test.go',
});
build();
const result = spawnSync(NODE, ['test/conformance/main.ts', ...process.argv.slice(2)], { cwd: ROOT, stdio: 'inherit' });
process.exit(result.status ?? 1);
