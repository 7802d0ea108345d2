import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** Where build.mjs puts things; this file runs from dist/platform/native/. */
function built(name: string): string {
  return fileURLToPath(new URL(`../../../build/${name}`, import.meta.url));
}

/** The addon. Each `*.unsafe.ts` beside the platform types the part it uses. */
export const native = createRequire(import.meta.url)(built('cordon.node')) as Readonly<Record<string, unknown>>;

/** The program that starts a zygote in namespaces of its own (launch.c). */
export function launcherPath(): string {
  return built('cordon-launch');
}

/** The guests' vdso (vdso.c). */
export function vdsoPath(): string {
  return built('vdso.so');
}

/** The guest that rehearsals run (rehearsal.c). */
export function rehearsalPath(): string {
  return built('rehearsal');
}

/** The library preloaded into a zygote (zygote-shim.c). */
export function shimPath(): string {
  return built('zygote-shim.so');
}
