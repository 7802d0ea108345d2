import type { OpenAPIObject } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { ProblemException } from './problem.js';

type Item = OpenAPIObject['paths'][string];
const METHODS = ['get', 'put', 'post', 'delete', 'patch'] as const;
/** Of wrong names, those that are told. */
const TOLD_MOST = 100;

/** The query parameters that each of our routes takes, as its document says. A name there is not is a mistake: it would change nothing. */
export class QueryParameters {
  /** By method and route, as the router writes it: `GET /v1/keys/:id`. */
  private readonly byRoute = new Map<string, ReadonlySet<string>>();
  /** Those where a WebSocket is: no router sees them. */
  private readonly upgrades: { readonly pattern: RegExp; readonly known: ReadonlySet<string> }[] = [];

  constructor({ paths }: OpenAPIObject) {
    for (const [path, item] of Object.entries(paths)) if (path.startsWith('/v1/')) this.learn(path, item);
  }

  private learn(path: string, item: Item): void {
    for (const method of METHODS) {
      const operation = item[method];
      if (!operation) continue;
      const parameters = (operation.parameters ?? []).flatMap((one) =>
        'in' in one && one.in === 'query' ? [one.name] : [],
      );
      const known = new Set(parameters);
      this.byRoute.set(`${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`, known);
      if (101 in operation.responses)
        this.upgrades.push({ pattern: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`), known });
    }
  }

  /** Throws ProblemException (422) that names each parameter that the route does not take. */
  check({ method, routeOptions, query }: Pick<FastifyRequest, 'method' | 'routeOptions' | 'query'>): void {
    const known = this.byRoute.get(`${method === 'HEAD' ? 'GET' : method} ${routeOptions.url}`);
    if (known) refuseOthers(known, Object.keys(query as object));
  }

  /** The same of a request to upgrade. */
  checkUpgrade(path: string, query: URLSearchParams): void {
    const found = this.upgrades.find(({ pattern }) => pattern.test(path));
    if (found) refuseOthers(found.known, new Set(query.keys()));
  }
}

function refuseOthers(known: ReadonlySet<string>, names: Iterable<string>): void {
  const strange = [...names].filter((name) => !known.has(name));
  if (strange.length === 0) return;
  const detail =
    known.size === 0 ? 'no such parameter: none is taken here' : `no such parameter, but ${[...known].join(', ')}`;
  const errors = strange.slice(0, TOLD_MOST).map((name) => ({ pointer: `?${name}`, detail }));
  throw new ProblemException('invalid-request', undefined, errors);
}
