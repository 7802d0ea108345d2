import { hostImage } from '@cordon/images';
import { createPool } from '@cordon/pool';

/** Starts one Sentry and says which layers of isolation are around it, and what follows where one is missing. */
export async function doctor(): Promise<number> {
  let pool: Awaited<ReturnType<typeof createPool>>;
  try {
    pool = await createPool({ image: hostImage(), platform: 'auto', spares: 1, renewAfter: 1000, rehearsals: 0 });
  } catch (error) {
    process.stdout.write(`no Sentry can be started here: ${(error as Error).message}\n`);
    return 1;
  }
  try {
    const layers = pool.layers();
    const width = Math.max(...layers.map(({ name }) => name.length));
    process.stdout.write(`platform ${pool.stats().platform}, as user ${process.getuid?.()}\n`);
    for (const { name, on, consequence, detail } of layers) {
      const why = !on && detail ? ` (${detail})` : '';
      process.stdout.write(`${on ? 'on ' : 'OFF'}  ${name.padEnd(width)}  ${consequence}${why}\n`);
    }
    const missing = layers.filter(({ on }) => !on).length;
    process.stdout.write(missing === 0 ? 'All layers are on.\n' : `${missing} of ${layers.length} layers are off.\n`);
    return 0;
  } finally {
    await pool.close();
  }
}
