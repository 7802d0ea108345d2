/** The stand-in whose rehearsals fail until the file named in its address is there. */
import { existsSync } from 'node:fs';
import { programs } from './stand-in.mjs';
import { Sentry } from './stand-in-platform.mjs';

if (existsSync(new URL(import.meta.url).searchParams.get('mended')))
  programs['/bin/sh'] = () => programs.traps({ argv: ['traps', '500'] });

export { Sentry };
