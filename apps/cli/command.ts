import { UsageError } from './options.js';

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
  --profile[=json]   where each millisecond of the run went, to stderr behind it: start, guest, system calls, faults
  --uid N            user in the sandbox (1000)    --json          prints the end report to stderr as JSON
`;

/** What a command does with the words behind its name. Resolves with the exit status. */
export type Command = (args: readonly string[]) => Promise<number>;

async function run(commands: Readonly<Record<string, Command>>, args: readonly string[]): Promise<number> {
  const [name = 'help', ...rest] = args;
  if (['help', '--help', '-h'].includes(name)) {
    process.stdout.write(USAGE);
    return args.length === 0 ? 2 : 0;
  }
  if (!Object.hasOwn(commands, name)) throw new UsageError(`no command "${name}"`);
  return commands[name](rest);
}

/** The command that this process was started with, to its end: sets the exit status. Rejects for what is no mistake of the user's. */
export async function runCommand(commands: Readonly<Record<string, Command>>): Promise<void> {
  try {
    process.exitCode = await run(commands, process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`cordon: ${error.message}\nTry: cordon --help\n`);
    process.exitCode = 2;
  }
}
