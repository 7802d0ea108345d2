import { hostImage } from '@cordon/images';
import { createPool } from '@cordon/pool';
import { isFastEnough, PLATFORM_NAMES, type PlatformName, type PlatformProbe } from '@cordon/sentry/platform/choose';

/** Probes each platform in a zygote of its own, as a worker would, by running a guest on it. */
async function probe(name: PlatformName): Promise<PlatformProbe> {
  try {
    const pool = await createPool({ image: hostImage(), platform: name, spares: 1, renewAfter: 1000, rehearsals: 0 });
    const found = pool.probes().find((one) => one.name === name);
    await pool.close();
    return found ?? { name, works: false, detail: 'not probed', callTime: 0 };
  } catch (error) {
    return { name, works: false, detail: error instanceof Error ? error.message : String(error), callTime: 0 };
  }
}

function describe({ works, detail, callTime }: PlatformProbe): string {
  if (!works) return `not here: ${detail}`;
  const odd = detail ? ` (${detail})` : '';
  return `works, ${(callTime / 1000).toFixed(1)} us for a system call that does nothing${odd}`;
}

/** What can run guest code here, what it costs, and what `auto` takes: the first that works and is not slow. */
export async function platforms(): Promise<number> {
  let chosen = '';
  for (const name of PLATFORM_NAMES) {
    const found = await probe(name);
    let choice = '';
    if (found.works && !isFastEnough(found)) choice = '  (auto passes it by: too slow)';
    else if (found.works && !chosen) {
      chosen = name;
      choice = '  <- auto: the first of this list that works';
    }
    process.stdout.write(`${name.padEnd(8)} ${describe(found)}${choice}\n`);
  }
  return chosen ? 0 : 1;
}
