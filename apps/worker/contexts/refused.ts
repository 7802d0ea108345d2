import type { ContextRefusal } from '@cordon/contracts';

/** What a context does not do, on its way to the answer. */
export class ContextRefused extends Error {
  override readonly name = 'ContextRefused';
  constructor(
    readonly status: number,
    readonly context: ContextRefusal,
    readonly detail?: string,
  ) {
    super(detail ?? context);
  }
}
