import type { OpenAPIObject } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { ProblemException } from './problem.js';

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;
const METHODS = ['get', 'put', 'post', 'delete', 'patch'] as const;
/** Of wrong names, those that are told. */
const TOLD_MOST = 100;

interface DocumentedRoute {
  /** As the document writes it: `/v1/keys/{id}`. */
  readonly path: string;
  /** Method and place, as the router writes them: `GET /v1/keys/:id`. */
  readonly route: string;
  readonly operation: Operation;
}

/** Of our own API; other services' endpoints are not in the document. */
export function documentedRoutes({ paths }: OpenAPIObject): DocumentedRoute[] {
  return Object.entries(paths)
    .filter(([path]) => path.startsWith('/v1/'))
    .flatMap(([path, item]) =>
      METHODS.flatMap((method) => {
        const operation = item[method];
        const route = `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`;
        return operation ? [{ path, route, operation }] : [];
      }),
    );
}

/** Where a request arrived, as `DocumentedRoute.route`. */
export const routeOf = ({ method, routeOptions }: FastifyRequest): string =>
  `${method === 'HEAD' ? 'GET' : method} ${routeOptions.url}`;

/** The query parameters that each of our routes takes, as its document says. A name there is not is a mistake: it would change nothing. */
export class QueryParameters {
  private readonly byRoute = new Map<string, ReadonlySet<string>>();
  /** Those where a WebSocket is: no router sees them. */
  private readonly upgrades: { readonly pattern: RegExp; readonly known: ReadonlySet<string> }[] = [];

  constructor(document: OpenAPIObject) {
    for (const { path, route, operation } of documentedRoutes(document)) {
      const parameters = operation.parameters ?? [];
      const known = new Set(parameters.flatMap((one) => ('in' in one && one.in === 'query' ? [one.name] : [])));
      this.byRoute.set(route, known);
      if (101 in operation.responses)
        this.upgrades.push({ pattern: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`), known });
    }
  }

  /** Throws ProblemException (422) that names each parameter that the route does not take. */
  check(request: FastifyRequest): void {
    const known = this.byRoute.get(routeOf(request));
    if (known) refuseOthers(known, Object.keys(request.query as object));
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
