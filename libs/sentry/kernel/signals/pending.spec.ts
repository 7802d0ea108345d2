import { SI_TIMER, SIGALRM, SIGCHLD, SIGHUP, SIGSEGV, SIGTERM } from '@cordon/sentry/abi/signal';
import { lowestSignal, nextSignal, PendingSignals, signalInfo } from '@cordon/sentry/kernel/signals/pending';
import { describe, expect, it } from 'vitest';

const bit = (signal: number): number => 1 << (signal - 1);

describe('PendingSignals', () => {
  it('keeps a standard signal once and queues real-time ones in order', () => {
    const pending = new PendingSignals();
    expect(pending.add(signalInfo(SIGTERM, 0, 1))).toBe(true);
    expect(pending.add(signalInfo(SIGTERM, 0, 2))).toBe(false);
    for (const value of [1, 2, 3]) pending.add({ ...signalInfo(40, -1), value });
    expect(pending.take(SIGTERM).pid).toBe(1);
    expect(pending.has(SIGTERM)).toBe(false);
    expect([pending.take(40).value, pending.take(40).value]).toEqual([1, 2]);
    expect(pending.has(40)).toBe(true);
    pending.take(40);
    expect(pending.has(40)).toBe(false);
    expect(pending.length).toBe(0);
  });

  it('a signal without room in the queue is still pending, without its siginfo', () => {
    const pending = new PendingSignals();
    pending.mark(64);
    expect(pending.has(64)).toBe(true);
    expect(pending.take(64)).toMatchObject({ signal: 64, code: 0, pid: 0 });
    expect(pending.has(64)).toBe(false);
  });

  it('flush drops a set and leaves the others', () => {
    const pending = new PendingSignals();
    pending.add(signalInfo(SIGHUP, 0));
    pending.add(signalInfo(SIGCHLD, 0));
    pending.add(signalInfo(50, 0));
    pending.flush(bit(SIGHUP), -1);
    expect([pending.has(SIGHUP), pending.has(SIGCHLD), pending.has(50)]).toEqual([false, true, false]);
    expect(pending.length).toBe(1);
  });

  it('removes the signals of one timer only', () => {
    const pending = new PendingSignals();
    pending.add({ ...signalInfo(SIGALRM, SI_TIMER), timerId: 1 });
    pending.add({ ...signalInfo(35, SI_TIMER), timerId: 1 });
    pending.add({ ...signalInfo(35, SI_TIMER), timerId: 2 });
    pending.removeTimer(SI_TIMER, 1);
    expect(pending.has(SIGALRM)).toBe(false);
    expect(pending.take(35).timerId).toBe(2);
  });
});

describe('choice of the next signal', () => {
  it('takes faults before others, then the lowest number', () => {
    expect(nextSignal(bit(SIGHUP) | bit(SIGSEGV), 0)).toBe(SIGSEGV);
    expect(nextSignal(bit(SIGTERM) | bit(SIGHUP), -1)).toBe(SIGHUP);
    expect(lowestSignal(0, 0)).toBe(0);
    expect(lowestSignal(0, 1)).toBe(33);
    expect(lowestSignal(0, 1 << 31)).toBe(64);
    expect(lowestSignal(1 << 31, 0)).toBe(32);
  });
});
