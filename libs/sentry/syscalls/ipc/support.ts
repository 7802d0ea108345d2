/** What the System V calls share: struct ipc64_perm in and out, 64-bit fields. */
import type { IpcObject } from '../../kernel/ipc/identifiers.js';

/** Writes a 64-bit value; negative numbers as two's complement. */
export function setU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setInt32(offset + 4, Math.floor(value / 4294967296), true);
}

/** Fills struct ipc64_perm at the start of the view. */
export function writePermissions(view: DataView, object: IpcObject): void {
  view.setInt32(0, object.key, true);
  view.setUint32(4, object.uid, true);
  view.setUint32(8, object.gid, true);
  view.setUint32(12, object.cuid, true);
  view.setUint32(16, object.cgid, true);
  view.setUint32(20, object.mode, true);
  view.setUint16(24, object.sequence, true);
}

/** IPC_SET: owner and mode of a struct ipc64_perm. */
export function readOwner(view: DataView): { uid: number; gid: number; mode: number } {
  return { uid: view.getUint32(4, true), gid: view.getUint32(8, true), mode: view.getUint32(20, true) };
}
