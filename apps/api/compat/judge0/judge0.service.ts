import { type ExecutionDto, isTerminal } from '@cordon/contracts';
import { keys, type Principal } from '@cordon/queue';
import { Injectable } from '@nestjs/common';
import { ExecutionsService, newId } from '../../executions/executions.service.js';
import { ProblemException } from '../../http/problem.js';
import { ApiSettings } from '../../settings.js';
import { WebhooksService } from '../../webhooks/webhooks.service.js';
import { Judge0Store } from './judge0.store.js';
import { type Language, languagesOf } from './languages.js';
import { JUDGE0_CONFIG } from './limits.js';
import { type Judge0Fields, jobOf, readFields } from './request.js';
import { DEFAULT_FIELDS, toSubmission } from './submission.js';

const SHAPE = 'judge0';

/** Judge0's submissions: executions, and beside each what was asked in Judge0's terms. Its token is the execution's id. */
@Injectable()
export class Judge0Service {
  private readonly store: Judge0Store;

  constructor(
    private readonly executions: ExecutionsService,
    private readonly webhooks: WebhooksService,
    settings: ApiSettings,
  ) {
    this.store = new Judge0Store(executions.redis, settings.store.retentionSeconds);
    webhooks.addShape(SHAPE, {
      method: 'PUT',
      timeoutMs: JUDGE0_CONFIG.callbacks_timeout * 1000,
      attempts: JUDGE0_CONFIG.callbacks_max_tries,
      body: (tenant, token) => this.show(tenant, token, DEFAULT_FIELDS, true),
    });
  }

  async languages(): Promise<Language[]> {
    return languagesOf(await this.executions.runtimes());
  }

  /** -> token. Throws Judge0Invalid with every wrong field, ProblemException when there is no room. */
  async create(principal: Principal, body: unknown, encoded: boolean): Promise<string> {
    const languages = await this.languages();
    const given = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
    const fields = readFields(given, encoded, languages, (url) => this.webhooks.destinations.fault(url));
    const token = newId('exe');
    const language = languages.find(({ id }) => id === fields.language_id) as Language;
    const job = await jobOf(token, fields, language);
    const webhook = fields.callback_url === null ? null : `${SHAPE}+${new URL(fields.callback_url).href}`;
    // Before it is accepted: what was accepted is in the list, whatever dies on the way.
    await this.store.save(token, principal.tenant, fields);
    await this.store.list(token, principal.tenant, new Date());
    try {
      const made = { job, labels: {}, priority: 'interactive', webhook } as const;
      await this.executions.create(principal, null, undefined, token, () => made);
    } catch (error) {
      await this.store.forget(token, principal.tenant);
      throw error;
    }
    return token;
  }

  /** Until it is over, or the client has gone. */
  async wait(tenant: string, token: string, seconds: number, gone: AbortSignal): Promise<void> {
    await this.executions.wait(tenant, token, seconds, gone);
  }

  /** Null when there is none, or another tenant's. Throws NotUtf8. */
  async show(
    tenant: string,
    token: string,
    fields: readonly string[],
    encoded: boolean,
  ): Promise<Record<string, unknown> | null> {
    const found = await this.find(tenant, token);
    return found && toSubmission(token, found.fields, found.execution, fields, encoded);
  }

  private async find(tenant: string, token: string): Promise<{ fields: Judge0Fields; execution: ExecutionDto } | null> {
    const fields = await this.store.get(token, tenant);
    if (fields === null) return null;
    try {
      return { fields, execution: await this.executions.get(tenant, token) };
    } catch (error) {
      if (error instanceof ProblemException && error.problem.status === 404) return null;
      throw error;
    }
  }

  /** Newest first; `total` of all pages. Those whose time is over are left out. */
  async page(
    tenant: string,
    from: number,
    count: number,
    fields: readonly string[],
    encoded: boolean,
  ): Promise<{ items: Record<string, unknown>[]; total: number }> {
    const { tokens, total } = await this.store.page(tenant, from, count);
    const shown = await Promise.all(tokens.map((token) => this.show(tenant, token, fields, encoded)));
    return { items: shown.filter((one) => one !== null), total };
  }

  /** The submission as it was; `busy`: it is not over. Null when there is none. */
  async remove(
    tenant: string,
    token: string,
    fields: readonly string[],
  ): Promise<{ busy: ExecutionDto['state'] | null; shown: Record<string, unknown> } | null> {
    const found = await this.find(tenant, token);
    if (!found) return null;
    const { state } = found.execution;
    const shown = toSubmission(token, found.fields, found.execution, fields, true);
    if (!isTerminal(state)) return { busy: state, shown };
    await this.store.forget(token, tenant);
    await this.executions.redis.del(keys.execution(token), keys.events(token));
    return { busy: null, shown };
  }
}
