// The directions of the architecture, as errors. Floors of libs/sentry from the ground up:
const floors = [
  'abi',
  'platform',
  'mm',
  'vfs',
  'net',
  'kernel',
  'fs',
  'audit',
  'policy',
  'syscalls',
  'snapshot',
  'boot',
];

/** A folder of libs/sentry imports only from folders above it in the list (and from itself). */
const floorRules = floors.map((floor, index) => ({
  name: `sentry-floor-${floor}`,
  severity: 'error',
  comment: `libs/sentry/${floor} may import only from: ${floors.slice(0, index).join(', ') || 'nothing'}`,
  from: { path: `^libs/sentry/${floor}/`, pathNot: '\\.spec\\.ts$' },
  to: {
    path: `^libs/sentry/(${floors
      .slice(index + 1)
      .concat('index')
      .join('|')})(/|\\.ts$)`,
  },
}));

module.exports = {
  forbidden: [
    ...floorRules,
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'libs-never-import-apps', severity: 'error', from: { path: '^libs/' }, to: { path: '^apps/' } },
    {
      name: 'apps-do-not-import-each-other',
      severity: 'error',
      from: { path: '^apps/([^/]+)/' },
      to: { path: '^apps/', pathNot: '^apps/$1/' },
    },
    {
      name: 'contracts-are-vocabulary',
      severity: 'error',
      from: { path: '^libs/contracts/' },
      to: { path: '^libs/(?!contracts/)' },
    },
    {
      name: 'sentry-knows-no-service',
      severity: 'error',
      from: { path: '^(libs|apps)/sentry/' },
      to: { path: '(^libs/(queue|pool|images|client)/)|node_modules/(@nestjs|bullmq|ioredis)' },
    },
    {
      name: 'api-and-worker-meet-in-contracts-and-queue',
      severity: 'error',
      from: { path: '^apps/api/' },
      to: { path: '^libs/(sentry|pool)/' },
    },
    {
      name: 'kernel-numbers-stay-inside',
      severity: 'error',
      comment: 'only libs/sentry and libs/pool know a syscall number',
      from: { path: '^(apps/(api|worker)|libs/(queue|contracts|images|client))/' },
      to: { path: '^libs/sentry/(abi|syscalls|kernel|mm|vfs|fs|platform)/' },
    },
    {
      name: 'client-stands-alone',
      severity: 'error',
      comment: 'it runs in browsers and knows the server by its document only',
      from: { path: '^libs/client/', pathNot: '\\.spec\\.ts$' },
      to: { pathNot: '^libs/client/' },
    },
    {
      name: 'addon-only-in-platform-and-unsafe',
      severity: 'error',
      from: { path: '^libs/sentry/', pathNot: '^libs/sentry/platform/|\\.unsafe\\.ts$|\\.spec\\.ts$' },
      to: { path: '^libs/sentry/platform/native/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(/dist/|/build/)' },
    tsConfig: { fileName: 'tsconfig.base.json' },
    tsPreCompilationDeps: true,
  },
};
