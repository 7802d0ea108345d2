import { readFileSync, readlinkSync } from 'node:fs';
import { type BootMessage, type EndReport, FRAME_HEADER_BYTES, FrameType } from '@cordon/sentry/boot/boot-message';
import { compileHotCode, HOT_IN_REHEARSAL } from '@cordon/sentry/boot/compilation';
import type { ZygoteConfig } from '@cordon/sentry/boot/zygote-message';
import type { KnownNames } from '@cordon/sentry/fs/overlay/image-directory';
import { closeImageSources } from '@cordon/sentry/platform/confine.unsafe';
import { host } from '@cordon/sentry/platform/host';
import { rehearsalPath } from '@cordon/sentry/platform/native/index';
import { check, zygoteNative as native } from '@cordon/sentry/platform/zygote.unsafe';
import { openDescriptors } from './quiesce.js';
import type { SentryLike } from './sentry-like.js';

/**
 * Touches what most guests touch: the loader, pipes, forks, files, directories, signals, expansion, the pseudo file systems. The loop
 * makes the commonest calls often enough to be compiled; what few programs do often is native/rehearsal.c's. An interpreter that is there
 * reads its modules.
 */
const SCRIPT = `
cd /tmp || exit 1
$OLDPWD/rehearsal
i=0; while [ $i -lt 20 ]; do echo "line $i" >> f; i=$((i+1)); done
cat f | sort | wc -l > n; read n < n; test "$n" = 20 || exit 2
mkdir -p d/e && cp f d/e/g && mv d/e/g d/h && ls -l / d > l && rm -r d f l n
trap 'x=1' USR1; kill -USR1 $$; test "$x" = 1 || exit 3
(exit 7); test $? = 7 || exit 4
cat /proc/self/status /proc/meminfo > /dev/null
sleep 0.01 & wait
i=0; while [ $i -lt 100 ]; do
  test -e /etc/passwd; test -e q; read n < /etc/passwd; echo $i >> q; (:); i=$((i+1))
done
mkfifo there back; exec 3<> back
while read n; do echo $n >&3; done < there &
i=0; while [ $i -lt 400 ]; do echo "ping $i"; read n <&3; i=$((i+1)); done > there
wait; exec 3<&-
i=0; while [ $i -lt 100 ]; do echo some; echo more; i=$((i+1)); done | cat > w
cp /bin/true t
for i in 1 2 3 4; do /bin/true; ./t; test ! -e $OLDPWD/given || $OLDPWD/given; cat q | cat > p; done
if command -v python3 > /dev/null; then
  python3 -c 'import json, os; [os.waitpid(os.fork() or os._exit(0), 0) for i in range(5)]' || exit 5
fi
echo done`;

const LIMITS: BootMessage['limits'] = {
  wallTimeMs: 10_000,
  cpuTimeMs: 10_000,
  memoryBytes: 256 << 20,
  processes: 64,
  outputBytes: 1 << 20,
  fileBytes: 16 << 20,
  openFiles: 256,
  auditBytes: 64 << 20,
};

/** The recorder is warmed, too: a branch that nobody took throws the code away that meets it first. */
const LEVELS = ['security', 'full', 'off'] as const;
/** Where rehearsing takes so long (a busy machine, a platform with slow traps), those to come would keep a pool waiting. */
const LONG_MS = 3_000;
const GIVEN_MOST = 64 * 1024;

interface GivenFile {
  readonly path: string;
  readonly content: Buffer;
}

/** Programs that come with the request, as compiled submissions do: those of them that are there. */
function givenFiles(): GivenFile[] {
  const files: GivenFile[] = [];
  for (const [path, source] of [
    ['rehearsal', rehearsalPath()],
    ['given', '/bin/true'],
  ]) {
    try {
      const content = readFileSync(source);
      // All of the message has to fit the socket: nobody reads it yet.
      if (content.length <= GIVEN_MOST) files.push({ path, content });
    } catch {
      // Not there, or not for us to read: rehearsed is what is.
    }
  }
  return files;
}

/** What a supervisor would send. `round`: of the rehearsals, each with another audit level. */
export function bootFrame(round: number, argv: readonly string[] = ['/bin/sh', '-c', SCRIPT]): Buffer {
  const given = givenFiles();
  const message: BootMessage = {
    id: 'rehearsal',
    argv,
    env: ['PATH=/usr/local/bin:/usr/bin:/bin', 'HOME=/work', 'LANG=C.UTF-8'],
    cwd: '/work',
    uid: 1000,
    gid: 1000,
    hostname: 'sandbox',
    limits: LIMITS,
    auditLevel: LEVELS[round % LEVELS.length],
    dropAudit: true,
    network: 'loopback',
    cpus: 1,
    pinCpu: -1,
    files: given.map(({ path, content }) => ({ path, mode: 0o755, size: content.length })),
    stdin: 'empty',
    terminal: false,
  };
  const json = Buffer.from(JSON.stringify(message), 'utf8');
  const head = Buffer.alloc(FRAME_HEADER_BYTES + 4);
  const content = Buffer.concat(given.map((file) => file.content));
  head.writeUInt32LE(4 + json.length + content.length, 0);
  head[4] = FrameType.Boot;
  head.writeUInt32LE(json.length, FRAME_HEADER_BYTES);
  return Buffer.concat([head, json, content]);
}

/** What the Sentry said, as far as it fits the socket: its report, or null. */
function reportOf(fd: number): EndReport | null {
  const room = Buffer.alloc(1 << 20);
  let length = 0;
  for (;;) {
    const count = host.poll(fd, 1, 0) > 0 ? host.read(fd, room, length, room.length - length) : 0;
    if (count <= 0) break;
    length += count;
  }
  for (let at = 0; at + FRAME_HEADER_BYTES <= length; ) {
    const size = room.readUInt32LE(at);
    const payload = room.subarray(at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + size);
    if (room[at + 4] === FrameType.End) return JSON.parse(payload.toString('utf8')) as EndReport;
    at += FRAME_HEADER_BYTES + size;
  }
  return null;
}

/** Closes the image's files that a kernel now gone had open; what the platform keeps (memory files, sockets) is its own. */
function closeImageFiles(before: ReadonlySet<number>): void {
  for (const fd of openDescriptors()) {
    if (before.has(fd)) continue;
    const name = readlinkSync(`/proc/self/fd/${fd}`);
    if (name.startsWith('/') && !name.startsWith('/memfd:')) host.close(fd);
  }
}

/**
 * Runs guests in the zygote itself, each in a kernel of its own, so that children inherit compiled code instead of
 * compiling it. Several, since code that has seen one kernel only is thrown away when it meets the next.
 * Returns the names that they looked up in the image, or what went wrong. Precondition: nothing of the kernel that children will
 * inherit exists yet.
 */
export function rehearse(create: () => SentryLike, config: ZygoteConfig): readonly KnownNames[] | string {
  let known: readonly KnownNames[] = [];
  const start = performance.now();
  const pair = new Int32Array(2);
  check(native.keepAffinity(), 'sched_getaffinity');
  const before = new Set(openDescriptors());
  compileHotCode(HOT_IN_REHEARSAL);
  try {
    for (let round = 0; round < config.rehearsals; round++) {
      check(native.socketPair(pair), 'socketpair');
      const [supervisor, channel] = pair;
      const sentry = create();
      try {
        sentry.warm(config.image, config.platform);
        // One core for Sentry and stub, any: across cores every trap takes ten times as long.
        sentry.prepare(channel, native.currentCpu());
        native.writeAll(supervisor, bootFrame(round));
        sentry.run();
        const report = reportOf(supervisor);
        if (report?.reason !== 'exited' || report.exitCode !== 0) return JSON.stringify(report);
        known = sentry.knownNames?.() ?? [];
        if (performance.now() - start > LONG_MS) break;
      } finally {
        host.memoryDetach();
        sentry.retire?.();
        closeImageSources();
        closeImageFiles(before);
        host.close(supervisor);
        host.close(channel);
      }
    }
    return known;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  } finally {
    native.restoreAffinity();
  }
}
