import { describe, expect, it } from 'vitest';
import { useGuests } from '../guest/harness.js';
import { TerminalSession } from '../guest/terminal-session.js';
import { install } from './packages.js';

install();
useGuests();

const NUMBERS = Array.from({ length: 300 }, (_, line) => `line ${line + 1}`).join('\n');

describe('programs that draw on a terminal', () => {
  it('vi', async () => {
    const session = new TerminalSession({
      argv: ['sh', '-c', 'vi -u NONE text; cat other; stty size'],
      files: { text: 'first\nsecond\n' },
    });
    await session.see('second');
    await session.dialog('ohello there\x1b', 'hello there');
    session.resize(10, 40);
    await session.see('\x1b[9;1H~');
    await session.dialog('/second\rx', 'econd');
    await session.dialog(':wq! other\r', 'first\r\nhello there\r\necond\r\n10 40\r\n');
    expect((await session.ended()).exitCode).toBe(0);
  });

  it('less', async () => {
    const session = new TerminalSession({ argv: ['less', 'numbers'], files: { numbers: NUMBERS } });
    await session.see('line 23');
    await session.dialog(' ', 'line 46');
    await session.dialog('G', 'line 300');
    await session.dialog('?line 150\r', 'line 151');
    session.resize(8, 80);
    // Its handler jumps out of the read: a key that came with the signal would be lost, natively too.
    await session.see('line 156\r\n:');
    await session.dialog('g', /line 1\r\n[\s\S]*:/);
    session.type('q');
    expect((await session.ended()).exitCode).toBe(0);
  });

  it('top', async () => {
    const session = new TerminalSession({ argv: ['top', '-d', '0.2'] });
    await session.see('load average');
    await session.see(/Tasks:.* 1 .*total/);
    await session.see(/PID .*COMMAND/);
    await session.see(/1 \S+ .* top/);
    // Once more by itself, and sooner when asked.
    await session.see('load average');
    await session.dialog(' ', 'load average');
    session.type('q');
    expect((await session.ended()).exitCode).toBe(0);
  });

  it('script, which makes a terminal of its own', async () => {
    const session = new TerminalSession({ argv: ['script', '-q', '-c', 'tty; stty size; read x; echo "<$x>"', 'log'] });
    await session.see('/dev/pts/1');
    await session.see('24 80');
    await session.dialog('word\r', '<word>');
    expect((await session.ended()).exitCode).toBe(0);
  });

  it('tmux: two windows, detach and attach', async () => {
    const session = new TerminalSession({
      argv: ['bash', '--norc', '--noprofile', '-i'],
      env: { PS1: 'outer> ', SHELL: '/bin/sh' },
    });
    await session.see('outer> ');
    await session.dialog('tmux -f /dev/null new -n one "PS1=inner\\> sh"\r', 'inner>');
    await session.dialog('echo $((66*7))\r', '462');
    await session.dialog('\x02c', ' 1:sh*');
    await session.dialog('\x02d', '[detached');
    await session.see('outer> ');
    await session.dialog('tmux list-windows\r', /0: one.*\r\n1: sh/);
    await session.see('outer> ');
    await session.dialog('tmux attach\r', ' 1:sh*');
    await session.dialog('\x020', ' 0:one*');
    await session.dialog('exit\r', '[0] 1:sh*');
    await session.dialog('exit\r', '[exited]');
    await session.see('outer> ');
    session.type('exit\r');
    expect((await session.ended()).exitCode).toBe(0);
  });

  it('a password prompt: what is typed does not appear', async () => {
    const session = new TerminalSession({
      argv: ['python3', '-c', 'import getpass; print("got", getpass.getpass("Secret: ")[::-1])'],
    });
    await session.see('Secret: ');
    const between = await session.dialog('hidden\r', 'got neddih');
    expect(between).not.toContain('hidden');
    expect((await session.ended()).exitCode).toBe(0);
  });
});
