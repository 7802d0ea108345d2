import { doctor } from './doctor.js';
import { serveMcp } from './mcp.js';
import { parseRunOptions, UsageError } from './options.js';
import { platforms } from './platforms.js';
import { runProgram } from './run.js';
import { traceProgram } from './trace.js';

const USAGE = `Usage: cordon COMMAND [OPTIONS] [--] [PROGRAM [ARGUMENTS]]

Commands
  run        runs PROGRAM in a Sentry; stdin, stdout, stderr and exit status are passed through (128+n for signal n,
             124 when a limit ended it, 125 when the Sentry failed)
  trace      the same, and prints its system calls as strace does (stderr, or -o FILE; -e NAME,NAME filters)
  doctor     which layers of isolation this machine permits, and what follows where one is missing
  mcp        tools for models, by the Model Context Protocol on stdin and stdout: through the server at CORDON_URL with
             CORDON_API_KEY, or, without CORDON_URL, in Sentries of its own. --idle TIME: sandboxes that were not used for so
             long end (15m)
  platforms  which platforms were probed, measured and chosen

Options of run and trace
  --memory SIZE      committed memory (1g)         --time TIME     wall clock (1h)
  --cpu TIME         processor time (as --time)    --processes N   tasks alive at once (1024)
  --net MODE         none or loopback (loopback)   --platform P    auto, systrap, kvm, ptrace (auto)
  --env NAME=VALUE   may repeat                    --cwd DIR       (/work)
  --file HOST[:PATH] puts a file into the sandbox, PATH relative to /work; may repeat
  -t, --terminal     a terminal instead of pipes; the default of run when stdin and stdout are one (--no-terminal: never)
  --uid N            user in the sandbox (1000)    --json          prints the end report to stderr as JSON
`;

async function main(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  switch (command) {
    case 'run':
      return runProgram(parseRunOptions(rest), { auditLevel: 'off' });
    case 'trace':
      return traceProgram(parseRunOptions(rest));
    case 'doctor':
      return doctor();
    case 'platforms':
      return platforms();
    case 'mcp':
      return serveMcp(rest);
    case undefined:
    case 'help':
    case '--help':
    case '-h':
      process.stdout.write(USAGE);
      return command === undefined ? 2 : 0;
    default:
      throw new UsageError(`no command "${command}"`);
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`cordon: ${error.message}\nTry: cordon --help\n`);
  process.exitCode = 2;
}
