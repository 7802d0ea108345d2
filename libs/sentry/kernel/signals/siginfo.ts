import {
  AUDIT_ARCH_X86_64,
  POLL_HUP,
  SI_KERNEL,
  SI_TIMER,
  SI_USER,
  SIGBUS,
  SIGCHLD,
  SIGFPE,
  SIGILL,
  SIGSEGV,
  SIGSYS,
  SIGTRAP,
} from '../../abi/signal.js';
import type { SignalInfo } from '../types.js';
import { signalInfo } from './pending.js';
import { hasCodesOfItsOwn } from './send.js';

function setI64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value, true);
  view.setInt32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}

function getI64(view: DataView, offset: number): number {
  return view.getInt32(offset + 4, true) * 0x1_0000_0000 + view.getUint32(offset, true);
}

/** Whether `signal` with a positive si_code carries a fault address. */
function isFault(signal: number): boolean {
  return signal === SIGSEGV || signal === SIGBUS || signal === SIGILL || signal === SIGFPE || signal === SIGTRAP;
}

/** Writes struct siginfo (128 bytes, zeroed before by the caller) with the union member that signal and code select. */
export function writeSignalInfo(view: DataView, offset: number, info: SignalInfo): void {
  view.setInt32(offset, info.signal, true);
  view.setInt32(offset + 4, info.error, true);
  view.setInt32(offset + 8, info.code, true);
  if (info.code > SI_USER && info.code !== SI_KERNEL && isFault(info.signal)) {
    setI64(view, offset + 16, info.address);
  } else if (info.code === SI_TIMER) {
    view.setInt32(offset + 16, info.timerId, true);
    view.setInt32(offset + 20, info.overrun, true);
    setI64(view, offset + 24, info.value);
  } else if (info.code > SI_USER && info.code !== SI_KERNEL && info.signal === SIGCHLD) {
    view.setInt32(offset + 16, info.pid, true);
    view.setUint32(offset + 20, info.uid, true);
    view.setInt32(offset + 24, info.status, true);
    setI64(view, offset + 32, info.utime);
    setI64(view, offset + 40, info.stime);
  } else if (info.code > SI_USER && info.signal === SIGSYS) {
    setI64(view, offset + 16, info.address);
    view.setInt32(offset + 24, info.status, true);
    view.setUint32(offset + 28, info.value || AUDIT_ARCH_X86_64, true);
  } else if (info.code > SI_USER && info.code <= POLL_HUP && !hasCodesOfItsOwn(info.signal)) {
    setI64(view, offset + 16, info.value);
    view.setInt32(offset + 24, info.status, true);
  } else {
    view.setInt32(offset + 16, info.pid, true);
    view.setUint32(offset + 20, info.uid, true);
    setI64(view, offset + 24, info.value);
  }
}

/** Reads what `writeSignalInfo` writes. */
export function parseSignalInfo(view: DataView): SignalInfo {
  const info = signalInfo(view.getInt32(0, true), view.getInt32(8, true));
  const { signal, code } = info;
  info.error = view.getInt32(4, true);
  const own = code > SI_USER;
  if (own && code !== SI_KERNEL && isFault(signal)) {
    info.address = getI64(view, 16);
  } else if (code === SI_TIMER) {
    info.timerId = view.getInt32(16, true);
    info.overrun = view.getInt32(20, true);
    info.value = getI64(view, 24);
  } else if (own && signal === SIGSYS) {
    info.address = getI64(view, 16);
    info.status = view.getInt32(24, true);
    info.value = view.getUint32(28, true);
  } else if (own && code <= POLL_HUP && !hasCodesOfItsOwn(signal)) {
    info.value = getI64(view, 16);
    info.status = view.getInt32(24, true);
  } else {
    info.pid = view.getInt32(16, true);
    info.uid = view.getUint32(20, true);
    if (own && code !== SI_KERNEL && signal === SIGCHLD) {
      info.status = view.getInt32(24, true);
      info.utime = getI64(view, 32);
      info.stime = getI64(view, 40);
    } else {
      info.value = getI64(view, 24);
    }
  }
  return info;
}
