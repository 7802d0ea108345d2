// One JavaScript context of a sandbox: runs pieces of code in one global scope, and tells the worker what comes of each.
//
// The code runs in this thread, by the inspector's Runtime.evaluate in REPL mode, as in the console of a browser: const, let and class
// may be declared again, await stands anywhere, the value is that of the last statement. Requests come on descriptor 3 as lines of
// JSON; a second thread reads them, so that it can stop code that never lets go. Frames leave on descriptor 4 (see ../frames.ts),
// which is the pipe of 1: what the code prints keeps its place between them.
const { writeSync } = require('node:fs');
const inspector = require('node:inspector');
const { createRequire } = require('node:module');
const { inspect } = require('node:util');
const { Worker } = require('node:worker_threads');

const FRAMES = 4;
const PIPE_BUF = 4096;
/** Of the shared array: the run under way (0: none), and the interrupts that were taken. */
const RUN = 0;
const TAKEN = 1;

function main() {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const session = new inspector.Session();
  session.connect();
  const post = (method, params) =>
    new Promise((resolve, reject) => {
      session.post(method, params, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
  const wire = { head: '', resultBytes: 0 };
  const reader = new Worker(`(${readRequests})()`, { eval: true, workerData: { shared } });
  /** Ends the wait for a run that was interrupted. */
  let interrupt = () => {};
  let count = 0;
  /**
   * Runs that came. No promise may tie one to the next: code that is terminated takes with it what waits in the queue of microtasks.
   */
  const queue = [];
  let busy = true;

  function send(type, fields) {
    const body = JSON.stringify({ type, ...fields }).replace(
      /[\u007f-\uffff]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
    const room = PIPE_BUF - wire.head.length - 5;
    for (let at = 0; at < body.length; at += room) {
      const piece = body.slice(at, at + room);
      const more = at + room < body.length ? '+' : '.';
      writeWhole(wire.head + piece.length.toString(16).padStart(4, '0') + more + piece);
    }
  }

  function sendResult(data, main) {
    const limit = wire.resultBytes;
    const size = () => Object.values(data).reduce((sum, text) => sum + text.length, 0);
    for (const mime of Object.keys(data).sort((a, b) => data[b].length - data[a].length)) {
      if (size() <= limit) break;
      const { length } = data[mime];
      if (mime === 'text/plain') data[mime] = `${data[mime].slice(0, limit / 4)}\n[cut: ${length} characters]`;
      else {
        delete data[mime];
        data['text/plain'] = `${data['text/plain'] ?? ''}\n[${mime} left out: ${length} characters]`;
      }
    }
    send('result', { main, data });
  }

  function sendError(error, details) {
    const { name, value, traceback } = described(error, details);
    const limit = wire.resultBytes / 4;
    send('error', { name: name.slice(0, 1000), value: value.slice(0, limit), traceback: traceback.slice(-limit) });
  }

  /** The value behind what the inspector says of it. */
  let taken;
  async function actual({ objectId, unserializableValue, value }) {
    const argument = objectId ? { objectId } : unserializableValue ? { unserializableValue } : { value };
    await post('Runtime.callFunctionOn', {
      functionDeclaration: 'function (value) { this(value); }',
      objectId: takeId,
      arguments: [argument],
    });
    const found = taken;
    taken = undefined;
    return found;
  }
  let takeId;

  async function evaluate(code, name) {
    const { result, exceptionDetails } = await post('Runtime.evaluate', {
      expression: `${withImports(code)}\n//# sourceURL=${name}`,
      replMode: true,
      awaitPromise: true,
      objectGroup: 'cell',
    });
    if (exceptionDetails) {
      const { exception } = exceptionDetails;
      const { lineNumber, columnNumber } = exceptionDetails;
      const source = code.split('\n')[lineNumber];
      const place = { name, line: lineNumber + 1, column: columnNumber, source };
      return { failed: true, error: exception ? await actual(exception) : exceptionDetails.text, place };
    }
    // A value that is wanted: undefined says nothing, as at a prompt with it switched off.
    if (result.type !== 'undefined') sendResult(representations(await actual(result)), true);
    return { failed: false };
  }

  async function run({ id, code, env }) {
    count++;
    const before = { ...process.env };
    Object.assign(process.env, env);
    const interrupted = new Promise((resolve) => {
      interrupt = () => resolve({ interrupted: true });
    });
    Atomics.store(shared, RUN, id);
    send('begun', {});
    let outcome = 'ok';
    try {
      const end = await Promise.race([evaluate(code, `cell-${count}`), interrupted]);
      if (end.interrupted) throw new Terminated();
      if (end.failed) {
        outcome = 'error';
        sendError(end.error, end.place);
      }
    } catch (error) {
      if (error instanceof Terminated || /terminated/.test(error.message)) {
        outcome = 'interrupted';
        send('error', { name: 'Interrupted', value: 'the run was interrupted', traceback: '' });
      } else {
        outcome = 'error';
        sendError(error);
      }
    }
    Atomics.store(shared, RUN, 0);
    await post('Runtime.releaseObjectGroup', { objectGroup: 'cell' });
    for (const name of Object.keys(env ?? {})) {
      if (name in before) process.env[name] = before[name];
      else delete process.env[name];
    }
    send('end', { executionCount: count, outcome });
  }

  reader.on('message', (request) => {
    if (request.op === 'interrupt') {
      Atomics.add(shared, TAKEN, 1);
      Atomics.notify(shared, TAKEN);
      if (request.run === Atomics.load(shared, RUN)) interrupt();
    } else if (request.op === 'run') {
      queue.push(request);
      next();
    } else if (request.op === 'hello') {
      wire.head = `\x1b]${request.token};`;
      wire.resultBytes = request.resultBytes;
      begin().then(free, fail);
    } else if (request.op === 'end') {
      process.exit(0);
    }
  });

  function next() {
    if (busy || queue.length === 0) return;
    busy = true;
    run(queue.shift()).then(free, fail);
  }

  function free() {
    busy = false;
    setImmediate(next);
  }

  /** This program's own fault: better an end than a silence. */
  function fail(error) {
    writeWhole(`${inspect(error)}\n`, 2);
    process.exit(70);
  }

  async function begin() {
    const taker = Symbol('take');
    globalThis[taker] = (value) => {
      taken = value;
    };
    const key = `__take_${process.pid}`;
    globalThis[key] = globalThis[taker];
    const { result } = await post('Runtime.evaluate', { expression: `globalThis.${key}` });
    takeId = result.objectId;
    delete globalThis[key];
    delete globalThis[taker];
    const hidden = (name, value) =>
      Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
    hidden('require', createRequire(`${process.cwd()}/`));
    hidden('__import', (specifier, options) => import(specifier, options));
    hidden('display', (...values) => {
      for (const value of values) sendResult(representations(value), false);
    });
    for (const name of ['module', 'exports', '__filename', '__dirname']) delete globalThis[name];
    send('ready', {});
  }

  process.execArgv = [];
  process.argv.length = 1;
  // An interrupt comes as a request, too; the signal is for the programs that the code has started.
  process.on('SIGINT', () => {});
  // Else Node says on stderr that it waits for it.
  process.on('exit', () => session.disconnect());
  process.on('uncaughtException', (error) => {
    writeWhole(`Uncaught ${described(error).traceback}\n`, 2);
  });
}

class Terminated extends Error {}

/** Descriptor 4 may be non-blocking: it is the pipe that libuv writes to as well. */
function writeWhole(text, descriptor = FRAMES) {
  const bytes = Buffer.from(text, 'utf8');
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}

/** An error as the language prints it, without the frames of this program. */
function described(error, place) {
  let name = 'Error';
  let value = '';
  let traceback = '';
  try {
    if (error instanceof Error || (typeof error === 'object' && error !== null && typeof error.stack === 'string')) {
      name = String(error.name || error.constructor?.name || name);
      value = String(error.message);
      traceback = withoutFrames(inspect(error));
      if (error instanceof SyntaxError && place?.source !== undefined && !traceback.includes(`${place.name}:`))
        traceback = `${place.name}:${place.line}\n${place.source}\n${' '.repeat(place.column)}^\n\n${traceback}`;
    } else {
      value = typeof error === 'string' ? error : inspect(error);
      name = typeof error === 'object' && error !== null ? (error.constructor?.name ?? name) : 'Thrown';
      traceback = `Uncaught ${inspect(error)}`;
    }
  } catch {
    traceback = `${name}: its text failed`;
  }
  return { name, value, traceback };
}

/** From the inspector's frame on, the stack is this program's. */
function withoutFrames(text) {
  let ours = false;
  return text
    .split('\n')
    .filter((line) => {
      const frame = /^\s+at /.test(line);
      ours = frame && (ours || /^\s+at .*\(node:inspector:/.test(line));
      return !ours;
    })
    .join('\n');
}

const METHODS = {
  _toHtml: 'text/html',
  _toSvg: 'image/svg+xml',
  _toMarkdown: 'text/markdown',
  _toPng: 'image/png',
  _toJpeg: 'image/jpeg',
};
const DISPLAY = Symbol.for('Jupyter.display');

function asText(value) {
  if (typeof value === 'string') return value;
  if (ArrayBuffer.isView(value))
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
  return JSON.stringify(value) ?? String(value);
}

/** What a value looks like, by MIME type: what Deno's kernel and ijavascript ask an object for. */
function representations(value) {
  const data = { 'text/plain': inspect(value, { maxStringLength: null }) };
  if (typeof value !== 'object' || value === null) return data;
  const prototype = Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype || Array.isArray(value)) {
    try {
      const json = JSON.stringify(value);
      if (json !== undefined) data['application/json'] = json;
    } catch {
      // circular, or a bigint: there is none
    }
  }
  for (const [method, mime] of Object.entries(METHODS)) {
    if (typeof value[method] === 'function') data[mime] = asText(value[method]());
  }
  for (const method of ['_toMime', DISPLAY]) {
    if (typeof value[method] !== 'function') continue;
    for (const [mime, found] of Object.entries(value[method]() ?? {})) data[mime] = asText(found);
  }
  return data;
}

/**
 * Code whose imports work where it runs: the inspector's scripts have no loader of their own. Found by Node's own parser; what it
 * cannot parse is left as it is, and V8 says what is wrong with it.
 */
function withImports(code) {
  if (!/\bimport\b/.test(code)) return code;
  let tree;
  let walk;
  try {
    const { parse } = require('internal/deps/acorn/acorn/dist/acorn');
    ({ full: walk } = require('internal/deps/acorn/acorn-walk/dist/walk'));
    tree = parse(code, {
      ecmaVersion: 'latest',
      sourceType: 'script',
      allowAwaitOutsideFunction: true,
      allowImportExportEverywhere: true,
    });
  } catch {
    return code;
  }
  const edits = [];
  walk(tree, (node) => {
    if (node.type === 'ImportExpression') edits.push({ start: node.start, end: node.start + 6, text: '__import' });
    else if (node.type === 'ImportDeclaration')
      edits.push({ start: node.start, end: node.end, text: declaration(node) });
  });
  let result = code;
  for (const { start, end, text } of edits.sort((a, b) => b.start - a.start)) {
    // Lines keep their numbers.
    const lines = result.slice(start, end).split('\n').length - 1;
    result = result.slice(0, start) + text + '\n'.repeat(lines) + result.slice(end);
  }
  return result;
}

function declaration({ specifiers, source }) {
  const load = `await __import(${source.raw})`;
  const names = [];
  let whole = null;
  for (const { type, local, imported } of specifiers) {
    if (type === 'ImportNamespaceSpecifier') whole = local.name;
    else
      names.push(`${type === 'ImportDefaultSpecifier' ? 'default' : (imported.raw ?? imported.name)}: ${local.name}`);
  }
  const parts = [];
  if (whole !== null) parts.push(`const ${whole} = ${load};`);
  if (names.length > 0) parts.push(`const { ${names.join(', ')} } = ${load};`);
  return parts.length > 0 ? parts.join(' ') : `${load}; undefined;`;
}

/** The second thread: requests, and interrupts for code that never lets go. */
function readRequests() {
  const { Session } = require('node:inspector');
  const { Socket } = require('node:net');
  const { parentPort, workerData } = require('node:worker_threads');
  const { shared } = workerData;
  /** Code that awaits something takes an interrupt by itself within this time. */
  const TAKE_MS = 200;
  /** Only for as long as it is needed: Node says on stderr that it waits for one that is connected when it exits. */
  const terminate = () => {
    const session = new Session();
    session.connectToMainThread();
    session.post('Runtime.terminateExecution', () => session.disconnect());
  };
  let rest = '';
  const socket = new Socket({ fd: 3, readable: true, writable: false });
  socket.setEncoding('utf8');
  socket.on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      const request = JSON.parse(line);
      if (request.op !== 'interrupt') {
        parentPort.postMessage(request);
        continue;
      }
      const run = Atomics.load(shared, 0);
      const before = Atomics.load(shared, 1);
      parentPort.postMessage({ op: 'interrupt', run });
      Atomics.wait(shared, 1, before, TAKE_MS);
      if (Atomics.load(shared, 1) === before) terminate();
    }
  });
  socket.on('close', () => parentPort.postMessage({ op: 'end' }));
}

main();
