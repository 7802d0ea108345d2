// Judge0 has no npm client: its documented requests, and what its Python SDK asks before it does anything.
import assert from 'node:assert/strict';

class Judge0 {
  constructor({ url, key }) {
    this.base = `${url}/compat/judge0`;
    this.headers = { 'X-Auth-Token': key, 'X-Auth-User': key, 'Content-Type': 'application/json' };
  }

  async ask(method, path, body) {
    const response = await fetch(this.base + path, {
      method,
      headers: this.headers,
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text };
  }

  async until(token) {
    for (;;) {
      const { body } = await this.ask('GET', `/submissions/${token}?base64_encoded=true&fields=*`);
      if (body.status.id > 2) return body;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

const b64 = (text) => Buffer.from(text).toString('base64');
const HELLO = {
  language_id: 71,
  source_code: 'print("hello, " + input())',
  stdin: 'world',
  expected_output: 'hello, world',
};

export const clients = [
  {
    name: 'Judge0 requests',
    version: '1.13.1',
    open: (context) => new Judge0(context),
    calls: [
      [
        'SDK start-up: languages, config_info, about',
        async (judge0) => {
          const languages = await judge0.ask('GET', '/languages');
          assert.ok(languages.body.some(({ id }) => id === 71));
          assert.equal((await judge0.ask('GET', '/config_info')).body.max_submission_batch_size, 20);
          assert.equal((await judge0.ask('GET', '/about')).body.version, '1.13.1');
          return `${languages.body.length} languages`;
        },
      ],
      [
        'POST /submissions?wait=true',
        async (judge0) => {
          const { status, body } = await judge0.ask('POST', '/submissions?wait=true', HELLO);
          assert.equal(status, 201);
          assert.deepEqual([body.status.id, body.stdout], [3, 'hello, world\n']);
        },
      ],
      [
        'POST /submissions, GET until done (base64)',
        async (judge0) => {
          const created = await judge0.ask('POST', '/submissions?base64_encoded=true&wait=false', {
            ...HELLO,
            source_code: b64(HELLO.source_code),
            stdin: b64('you'),
            expected_output: null,
          });
          const done = await judge0.until(created.body.token);
          assert.equal(Buffer.from(done.stdout, 'base64').toString(), 'hello, you\n');
        },
      ],
      [
        'POST and GET /submissions/batch',
        async (judge0) => {
          const submissions = [HELLO, { ...HELLO, stdin: 'moon' }, { language_id: 50, source_code: 'int main(' }];
          const { body } = await judge0.ask('POST', '/submissions/batch', { submissions });
          for (const { token } of body) await judge0.until(token);
          const tokens = body.map(({ token }) => token).join(',');
          const told = await judge0.ask('GET', `/submissions/batch?tokens=${tokens}&fields=status_id`);
          assert.deepEqual(told.body.submissions, [{ status_id: 3 }, { status_id: 4 }, { status_id: 6 }]);
        },
      ],
      [
        'GET /submissions, DELETE /submissions/:token',
        async (judge0) => {
          const { body } = await judge0.ask('GET', '/submissions?per_page=1&fields=token');
          assert.ok(body.meta.total_count >= 5);
          const [{ token }] = body.submissions;
          assert.equal((await judge0.ask('DELETE', `/submissions/${token}`)).status, 200);
          assert.equal((await judge0.ask('GET', `/submissions/${token}`)).status, 404);
        },
      ],
      [
        'errors: 422 by field, 400, 404',
        async (judge0) => {
          const refused = await judge0.ask('POST', '/submissions', { language_id: 71 });
          assert.deepEqual([refused.status, refused.body], [422, { source_code: ["can't be blank"] }]);
          assert.equal((await judge0.ask('GET', '/submissions/x?fields=y')).status, 400);
          assert.equal((await judge0.ask('GET', '/submissions/x')).status, 404);
        },
      ],
    ],
  },
];
