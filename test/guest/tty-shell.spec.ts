import { describe, expect, it } from 'vitest';
import { useGuests } from './harness.js';
import { TerminalSession } from './terminal-session.js';

useGuests();

const PROMPT = 'ready> ';
/** Control characters as they are typed. */
const CTRL = { c: '\x03', d: '\x04', z: '\x1a', backslash: '\x1c' };

/** bash as a person has it, without the start-up files. */
async function shell(): Promise<TerminalSession> {
  const session = new TerminalSession({ argv: ['bash', '--norc', '--noprofile', '-i'], env: { PS1: PROMPT } });
  await session.see(PROMPT);
  return session;
}

describe('interactive bash', () => {
  it('runs in a terminal of the size that was asked for', async () => {
    const session = await shell();
    await session.dialog('tty; stty size; test -t 0 -a -t 1 -a -t 2 && echo all three\r', '/dev/pts/0\r\n24 80\r\n');
    await session.see('all three');
    session.resize(40, 100);
    await session.dialog('stty size; echo $COLUMNS\r', '40 100\r\n100\r\n');
    session.type('exit 3\r');
    expect(await session.ended()).toMatchObject({ reason: 'exited', exitCode: 3 });
  });

  it('interrupts, stops and continues the foreground job', async () => {
    const session = await shell();
    // The word appears once the job has its own program: bash loses a ^C in between, natively too.
    await session.dialog("sh -c 'echo up; exec sleep 100'\r", '\rup\r\n');
    await session.dialog(CTRL.c, PROMPT);
    await session.dialog('echo status $?\r', '\rstatus 130');
    await session.see(PROMPT);
    // A job without children: a ^Z between vfork and exec of one leaves its parent waiting, natively too.
    const job = 'perl -e \'$| = 1; $SIG{INT} = sub { print "got it\\n" }; print "up\\n"; sleep 1 while 1\'';
    await session.dialog(`${job}\r`, '\rup\r\n');
    await session.dialog(CTRL.c, 'got it\r\n');
    await session.dialog(CTRL.z, /Stopped +perl -e/);
    await session.see(PROMPT);
    await session.dialog('jobs\r', /\[1\]\+ +Stopped/);
    await session.see(PROMPT);
    await session.dialog('bg\r', '[1]+');
    await session.see(PROMPT);
    await session.dialog('jobs\r', /\[1\]\+ +Running/);
    await session.see(PROMPT);
    await session.dialog('fg\r', "while 1'\r\n");
    await session.dialog(CTRL.backslash, PROMPT);
    session.type('exit\r');
    expect((await session.ended()).reason).toBe('exited');
  });

  it('edits lines and ends input at ^D', async () => {
    const session = await shell();
    // ^A moves to the start, ^E to the end; the erase character takes one back.
    await session.dialog('foo bars\x7f\x01echo \x05!\r', 'foo bar!\r\n');
    await session.see(PROMPT);
    await session.dialog('cat\r', '\r\n');
    await session.dialog('typo\x7f\x7f\x7fest\r', 'typo\b \b\b \b\b \best\r\ntest\r\n');
    await session.dialog(CTRL.d, PROMPT);
    session.type(CTRL.d);
    expect(await session.ended()).toMatchObject({ reason: 'exited', exitCode: 0 });
  });

  it('sends signals from outside to the foreground group', async () => {
    const session = await shell();
    await session.dialog('sh -c "echo up; exec sleep 100"\r', '\rup\r\n');
    session.signal(15);
    await session.see('Terminated');
    session.type('exit\r');
    expect((await session.ended()).reason).toBe('exited');
  });
});
