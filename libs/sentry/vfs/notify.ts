import type { Dentry, FileDescription } from './types.js';

/** What inotify(7) wants to hear of. The hooks cost one comparison each while nobody watches. */
export interface FileEvents {
  /** `mask` is of IN_*; `name` the entry in the directory, or null for the object itself. */
  event(dentry: Dentry, mask: number, name: string | null, cookie: number): void;
}

export const IN_ACCESS = 0x1;
export const IN_MODIFY = 0x2;
export const IN_ATTRIB = 0x4;
export const IN_CLOSE_WRITE = 0x8;
export const IN_CLOSE_NOWRITE = 0x10;
export const IN_OPEN = 0x20;
export const IN_MOVED_FROM = 0x40;
export const IN_MOVED_TO = 0x80;
export const IN_CREATE = 0x100;
export const IN_DELETE = 0x200;
export const IN_DELETE_SELF = 0x400;
export const IN_MOVE_SELF = 0x800;
export const IN_ISDIR = 0x40000000;

const listeners: FileEvents[] = [];
/** Who is told: nobody, the one listener, or all of them. */
let listener: FileEvents | null = null;
let cookies = 0;

const everybody: FileEvents = {
  event(dentry, mask, name, cookie): void {
    for (const one of listeners) one.event(dentry, mask, name, cookie);
  },
};

/** Precondition: not added yet. To be removed when nobody watches any more. */
export function addFileEvents(events: FileEvents): void {
  listeners.push(events);
  chooseListener();
}

export function removeFileEvents(events: FileEvents): void {
  listeners.splice(listeners.indexOf(events), 1);
  chooseListener();
}

function chooseListener(): void {
  listener = listeners.length > 1 ? everybody : (listeners[0] ?? null);
}

function tell(dentry: Dentry, mask: number): void {
  if (dentry.parent) listener?.event(dentry.parent, mask, dentry.name, 0);
  listener?.event(dentry, mask, null, 0);
}

export function notifyCreate(directory: Dentry, name: string, isDirectory: boolean): void {
  listener?.event(directory, IN_CREATE | (isDirectory ? IN_ISDIR : 0), name, 0);
}

/** A name was removed. `gone`: it was the last one, and nobody has the object open through it. */
export function notifyDelete(directory: Dentry, dentry: Dentry, isDirectory: boolean, gone: boolean): void {
  if (!listener) return;
  notifyUnlinked(dentry, isDirectory, gone);
  // Telling may have ended the last watch.
  listener?.event(directory, IN_DELETE | (isDirectory ? IN_ISDIR : 0), dentry.name, 0);
}

/** An object lost a name: also by a rename over it. */
export function notifyUnlinked(dentry: Dentry, isDirectory: boolean, gone: boolean): void {
  if (!listener) return;
  if (!isDirectory) listener.event(dentry, IN_ATTRIB, null, 0);
  if (gone) listener?.event(dentry, IN_DELETE_SELF, null, 0);
}

/** The last description of an object without names was closed. */
export function notifyGone(dentry: Dentry): void {
  listener?.event(dentry, IN_DELETE_SELF, null, 0);
}

/** link(2): the object's count of names has changed. */
export function notifyLinked(dentry: Dentry): void {
  listener?.event(dentry, IN_ATTRIB, null, 0);
}

export function notifyMove(
  from: Dentry,
  name: string,
  to: Dentry,
  newName: string,
  moved: Dentry,
  isDirectory: boolean,
): void {
  if (!listener) return;
  const extra = isDirectory ? IN_ISDIR : 0;
  cookies++;
  listener.event(from, IN_MOVED_FROM | extra, name, cookies);
  listener?.event(to, IN_MOVED_TO | extra, newName, cookies);
  listener?.event(moved, IN_MOVE_SELF, null, 0);
}

export function notifyModify(dentry: Dentry): void {
  if (listener) tell(dentry, IN_MODIFY);
}

export function notifyAttributes(dentry: Dentry): void {
  if (listener) tell(dentry, IN_ATTRIB);
}

export function notifyOpen(description: FileDescription): void {
  if (listener) tell(description.path.dentry, IN_OPEN);
}

export function notifyAccess(dentry: Dentry): void {
  if (listener) tell(dentry, IN_ACCESS);
}

/** Called when a description closes; `written`: it was open for writing. */
export function notifyClose(dentry: Dentry, written: boolean): void {
  if (listener) tell(dentry, written ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
}
