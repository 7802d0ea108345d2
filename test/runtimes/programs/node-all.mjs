// worker_threads, child_process with pipes and IPC, http, fs.watch, large streams, crypto threads.
import { execSync, fork, spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { pipeline } from 'node:stream/promises';
import { Worker } from 'node:worker_threads';
import zlib from 'node:zlib';

const worker = new Worker(
  "const {parentPort}=require('worker_threads'); parentPort.on('message',m=>{parentPort.postMessage(m*2); if(m===3) process.exit()})",
  { eval: true },
);
const answers = [];
await new Promise((resolve) => {
  worker.on('message', (message) => answers.push(message) === 3 && resolve());
  for (const number of [1, 2, 3]) worker.postMessage(number);
});
console.log(answers);
const shared = new Int32Array(new SharedArrayBuffer(4));
const adders = Array.from(
  { length: 4 },
  () =>
    new Worker("const {workerData}=require('worker_threads'); for(let i=0;i<1e5;i++) Atomics.add(workerData,0,1)", {
      eval: true,
      workerData: shared,
    }),
);
await Promise.all(adders.map((adder) => new Promise((resolve) => adder.on('exit', resolve))));
console.log(shared[0]);

fs.writeFileSync('child.cjs', "process.on('message',m=>{process.send({got:m}); process.disconnect()})");
const child = fork('./child.cjs');
child.send({ deep: [1, { a: 'ä' }] });
console.log(JSON.stringify(await new Promise((resolve) => child.on('message', resolve))));
const upper = spawn('sh', ['-c', 'cat | tr a-z A-Z; exit 4']);
upper.stdin.end('pipes');
let text = '';
for await (const chunk of upper.stdout) text += chunk;
console.log(text, await new Promise((resolve) => upper.on('close', resolve)));

const server = http.createServer((request, response) => {
  let length = 0;
  request.on('data', (chunk) => {
    length += chunk.length;
  });
  request.on('end', () => response.end(`got ${length}`));
});
await new Promise((resolve) => server.listen(0, resolve));
const url = `http://localhost:${server.address().port}/`;
console.log(await (await fetch(url, { method: 'POST', body: Buffer.alloc(5e6) })).text());
console.log(
  (await Promise.all(Array.from({ length: 50 }, async () => (await fetch(url)).text()))).every(
    (one) => one === 'got 0',
  ),
);
server.close();
server.closeAllConnections();
const unix = net.createServer((socket) => socket.pipe(socket)).listen('echo.sock');
const socket = net.connect('echo.sock');
socket.write('echo');
console.log(await new Promise((resolve) => socket.once('data', (data) => resolve(data.toString()))));
socket.destroy();
unix.close();

const watched = new Promise((resolve) => {
  const watcher = fs.watch('.', (event, name) => {
    if (name !== 'watched') return;
    watcher.close();
    resolve(event);
  });
});
fs.writeFileSync('watched', '1');
console.log('watch', await watched);
fs.writeFileSync('big', Buffer.alloc(100e6, 7));
const hash = crypto.createHash('md5');
await pipeline(fs.createReadStream('big'), hash);
console.log(hash.digest('hex'));
await pipeline(
  fs.createReadStream('big'),
  zlib.createGzip({ level: 1 }),
  zlib.createGunzip(),
  fs.createWriteStream('copy'),
);
console.log(fs.statSync('copy').size);
const keys = await Promise.all(
  [1, 2, 3, 4, 5, 6].map(
    (salt) =>
      new Promise((resolve) =>
        crypto.pbkdf2('x', `${salt}`, 20000, 32, 'sha256', (_error, key) => resolve(key.toString('hex').slice(0, 8))),
      ),
  ),
);
console.log(keys.join());
console.log(execSync('wc -c < big').toString().trim());
process.on('SIGTERM', () => {
  console.log('terminated');
  process.exit(5 - 5);
});
setInterval(() => {}, 1000);
process.kill(process.pid, 'SIGTERM');
