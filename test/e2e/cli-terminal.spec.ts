import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const CORDON = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'scripts', 'cordon');

/**
 * Plays a user: runs the CLI on a pseudoterminal, does the steps of argv[1] (JSON: a string is typed, {see} waits for text,
 * {size} resizes, {signal} kills) and prints what appeared, how it ended, and whether the terminal was put back.
 */
const PLAYER = `
import fcntl, json, os, pty, select, struct, sys, termios, time
args, steps = json.loads(sys.argv[1]), json.loads(sys.argv[2])
pid, fd = pty.fork()
if pid == 0:
    os.execv(args[0], args)
def resize(size): fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', size[0], size[1], 0, 0))
resize([30, 90])
before = termios.tcgetattr(fd)
screen, seen, missing, raw = b'', 0, None, None
def look(timeout):
    global screen
    if not select.select([fd], [], [], timeout)[0]: return True
    try: more = os.read(fd, 65536)
    except OSError: return False
    screen += more
    return more != b''
for step in steps:
    if isinstance(step, str): os.write(fd, step.encode())
    elif 'size' in step: resize(step['size'])
    elif 'signal' in step: os.kill(pid, step['signal'])
    else:
        text, end = step['see'].encode(), time.time() + 10
        while text not in screen[seen:] and time.time() < end and look(0.1): pass
        if text not in screen[seen:]: missing = step['see']; break
        seen = screen.index(text, seen) + len(text)
        raw = not termios.tcgetattr(fd)[3] & termios.ICANON
done, end = 0, time.time() + 10
while not done and time.time() < end:
    after = termios.tcgetattr(fd)
    done, status = os.waitpid(pid, os.WNOHANG)
    look(0.01)
code = os.waitstatus_to_exitcode(status) if done else None
print(json.dumps({'screen': screen.decode('utf8', 'replace'), 'code': code, 'restored': before == after, 'raw': raw, 'missing': missing}))
`;

interface Played {
  readonly screen: string;
  readonly code: number | null;
  /** The terminal's settings afterwards are those from before. */
  readonly restored: boolean;
  /** It was raw when the last text was seen. */
  readonly raw: boolean;
  readonly missing: string | null;
}

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'cordon-cli-'));
  writeFileSync(join(directory, 'player.py'), PLAYER);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

type Step = string | { see: string } | { size: [number, number] } | { signal: number };

function play(args: readonly string[], steps: readonly Step[]): Promise<Played> {
  const player = [join(directory, 'player.py'), JSON.stringify([CORDON, ...args]), JSON.stringify(steps)];
  return new Promise((resolve, reject) => {
    // What bash writes around a line depends on the terminal's abilities.
    execFile('/usr/bin/python3', player, { env: { ...process.env, TERM: 'xterm' } }, (error, stdout) =>
      error ? reject(error) : resolve(JSON.parse(stdout)),
    );
  });
}

const SHELL = ['run', '--env', 'PS1=ready> ', '--', 'bash', '--norc', '--noprofile', '-i'];

describe('cordon run at a terminal', () => {
  it('gives the program one, passes keys and sizes on, and puts the own one back', async () => {
    const played = await play(SHELL, [
      { see: 'ready> ' },
      'stty size\r',
      { see: '30 90' },
      { see: 'ready> ' },
      { size: [40, 100] },
      // The new size is on its way: bash hears of it by SIGWINCH.
      "trap 'stty size' WINCH; while test $COLUMNS != 100; do sleep 0.01; done; stty size\r",
      { see: '40 100' },
      { see: 'ready> ' },
      "sh -c 'echo up; exec sleep 100'\r",
      { see: '\rup' },
      '\x03',
      { see: 'ready> ' },
      'exit 5\r',
    ]);
    expect(played).toMatchObject({ missing: null, code: 5, raw: true, restored: true });
  });

  it('puts it back when it is killed', async () => {
    const played = await play(SHELL, [{ see: 'ready> ' }, { signal: 15 }]);
    expect(played).toMatchObject({ missing: null, code: 130, raw: true, restored: true });
  });

  it('leaves it alone with --no-terminal', async () => {
    const played = await play(['run', '--no-terminal', '--', 'tty'], [{ see: 'not a tty' }]);
    expect(played).toMatchObject({ code: 1, raw: false, restored: true });
  });
});
