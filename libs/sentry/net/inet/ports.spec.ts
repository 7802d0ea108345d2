import { ANY4, ANY6, LOOPBACK4, LOOPBACK6 } from '@cordon/sentry/net/inet/inet-address';
import { type PortHolder, PortTable } from '@cordon/sentry/net/inet/ports';
import { describe, expect, it } from 'vitest';

const EADDRINUSE = -98;
const holder = (localHost: number, extra: Partial<PortHolder> = {}): PortHolder => ({
  localHost,
  v6Only: false,
  reuseAddress: false,
  reusePort: false,
  uid: 0,
  listening: true,
  receives: true,
  ...extra,
});

describe('PortTable', () => {
  it('refuses overlapping addresses and allows separate ones', () => {
    const table = new PortTable(true);
    expect(table.bind(holder(LOOPBACK4), 80)).toBe(80);
    expect(table.bind(holder(LOOPBACK4 + 1), 80)).toBe(80);
    expect(table.bind(holder(ANY4), 80)).toBe(EADDRINUSE);
    expect(table.bind(holder(ANY6), 80)).toBe(EADDRINUSE);
    expect(table.bind(holder(ANY6, { v6Only: true }), 80)).toBe(80);
    expect(table.bind(holder(LOOPBACK6), 80)).toBe(EADDRINUSE);
  });

  it('lets SO_REUSEADDR in beside others for TCP only while nobody listens', () => {
    const table = new PortTable(true);
    table.bind(holder(ANY4, { reuseAddress: true, listening: false }), 80);
    expect(table.bind(holder(ANY4, { reuseAddress: true, listening: false }), 80)).toBe(80);
    table.bind(holder(ANY4, { reuseAddress: true }), 81);
    expect(table.bind(holder(ANY4, { reuseAddress: true, listening: false }), 81)).toBe(EADDRINUSE);
  });

  it('shares by SO_REUSEPORT within one user, by where the sender is', () => {
    const table = new PortTable(true);
    const one = holder(ANY4, { reusePort: true });
    const two = holder(ANY4, { reusePort: true });
    table.bind(one, 80);
    expect(table.bind(two, 80)).toBe(80);
    expect(table.bind(holder(ANY4, { reusePort: true, uid: 7 }), 80)).toBe(EADDRINUSE);
    const from = (port: number) => table.find(LOOPBACK4, 80, LOOPBACK4, port);
    const ports = Array.from({ length: 1000 }, (_, index) => 40_000 + index);
    const first = ports.filter((port) => from(port) === one).length;
    expect(first).toBeGreaterThan(400);
    expect(first).toBeLessThan(600);
    for (const port of ports) expect(from(port)).toBe(from(port));
  });

  it('finds the most exact binding', () => {
    const table = new PortTable(true);
    const wide = holder(ANY6, { reuseAddress: true, listening: false });
    const exact = holder(LOOPBACK4, { reuseAddress: true, listening: false });
    table.bind(wide, 80);
    table.bind(exact, 80);
    expect(table.find(LOOPBACK4, 80, LOOPBACK4, 40_000)).toBe(exact);
    expect(table.find(LOOPBACK4 + 5, 80, LOOPBACK4, 40_000)).toBe(wide);
    expect(table.find(LOOPBACK6, 80, LOOPBACK4, 40_000)).toBe(wide);
    expect(table.find(LOOPBACK4, 81, LOOPBACK4, 40_000)).toBeNull();
  });

  it('runs out of ephemeral ports', () => {
    const table = new PortTable(true);
    let made = 0;
    while (table.bind(holder(LOOPBACK4), 0) > 0) made++;
    expect(made).toBe(60999 - 32768 + 1);
  });
});
