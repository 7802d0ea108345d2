/** The stand-in with a platform and a program that the rehearsal can run. */
import { programs } from './stand-in.mjs';
import { Sentry } from './stand-in-platform.mjs';

programs['/bin/sh'] = () => programs.traps({ argv: ['traps', '500'] });

export { Sentry };
