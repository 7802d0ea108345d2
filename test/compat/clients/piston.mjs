import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const versionOf = (name) => require(`${name}/package.json`).version;
// Neither can send a header.
const serverOf = ({ url, key }) => `${url}/compat/piston/key/${key}`;

const SOURCE = 'import sys; print(sys.argv[1:], input())';

export const clients = [
  {
    name: 'piston-api-client',
    version: versionOf('piston-api-client'),
    open: (context) => {
      const { PistonClient } = require('piston-api-client');
      return new PistonClient({ server: serverOf(context) });
    },
    calls: [
      [
        'runtimes',
        async (piston) => {
          const { success, data } = await piston.runtimes();
          assert.equal(success, true);
          assert.ok(data.some(({ language, version }) => language === 'python' && /^3\./.test(version)));
          return `${data.length} runtimes`;
        },
      ],
      [
        'execute python',
        async (piston) => {
          const { success, data } = await piston.execute({
            language: 'py',
            version: '*',
            files: [{ content: SOURCE }],
            args: ['Hello', 'World'],
            stdin: 'in',
          });
          assert.equal(success, true);
          assert.equal(data.run.stdout, "['Hello', 'World'] in\n");
          assert.equal(data.run.code, 0);
        },
      ],
      [
        'execute C: compiled',
        async (piston) => {
          const content = '#include <stdio.h>\nint main(void) { puts("made"); return 3; }';
          const { data } = await piston.execute({ language: 'c', version: '*', files: [{ content }] });
          assert.equal(data.compile.code, 0);
          assert.deepEqual([data.run.stdout, data.run.code], ['made\n', 3]);
        },
      ],
      [
        'execute an unknown language',
        async (piston) => {
          const { data } = await piston.execute({ language: 'klingon', version: '*', files: [{ content: '' }] });
          assert.equal(data.message, 'klingon-* runtime is unknown');
        },
      ],
    ],
  },
  {
    name: 'piston-client',
    version: versionOf('piston-client'),
    open: async (context) => (await import('piston-client')).piston({ server: serverOf(context) }),
    calls: [
      [
        'runtimes',
        async (piston) => {
          assert.ok((await piston.runtimes()).some(({ language }) => language === 'python'));
        },
      ],
      [
        'execute(language, code)',
        async (piston) => {
          const { run } = await piston.execute('python', 'print("hi")');
          assert.equal(run.stdout, 'hi\n');
        },
      ],
      [
        'execute with options',
        async (piston) => {
          const { run } = await piston.execute({
            language: 'python',
            files: [{ name: 'main.py', content: SOURCE }],
            stdin: 'in',
            args: ['1'],
            runTimeout: 2000,
          });
          assert.equal(run.stdout, "['1'] in\n");
        },
      ],
    ],
  },
];
