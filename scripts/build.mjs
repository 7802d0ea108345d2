// Makes a fresh clone runnable: dependencies, addon, TypeScript.
import { build, installDependencies } from './lib/project.mjs';

installDependencies();
build();
