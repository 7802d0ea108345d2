# One bash context of a sandbox: an interactive bash (without terminal, history or prompt) that reads commands from descriptor 0.
#
# Interactive, because only such a shell survives an interrupt: SIGINT brings it back to its top level with all it knows, and so do
# errors like an unset ${name:?}. Code is run by `eval` at the top level, so that `declare` is global and `return` and `break` are what they
# are in a script. Whenever the shell is back at its top level it runs PROMPT_COMMAND: there the run ends, however it came to that.
#
# What the worker is told are frames on the pipe of descriptor 1 (see ../frames.ts). Nothing here is hidden from the code, so each
# frame has a token of its own, and the one that ends a run comes only when the code is over. What the worker sends (../shell-wire.ts):
# one line with the command, and, once `want` asks for it, what `read` takes by length; then the token of the end.
#
# `set -x` and `set -v` are the code's alone: they are off while anything of this here is read or run. What has to run before they are
# off runs where standard error is /dev/null. (Two things show all the same: a trace that BASH_XTRACEFD leads elsewhere has a few lines
# of ours, and behind an interrupted run with -v stands the prompt command.)

exec 250>&1
set +o history +H
unset HISTFILE MAILCHECK
export -n PS1 PS2
PS1= PS2=
__cordon_running= __cordon_status=0 __cordon_code= __cordon_prompts= __cordon_tracing= __cordon_resume= __cordon_ended=
__cordon_undo=()

# token, JSON: one frame, in one write
__cordon_frame() {
  builtin printf '\e]%s;%04x.%s' "$1" "${#2}" "$2" >&250
}

# name, value: for this run only
__cordon_set() {
  if [[ ! $1 =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; then
    builtin printf 'bash: %s: no name of a variable\n' "$1" >&2
    return
  fi
  if [[ -v $1 ]]; then
    case ${!1@a} in
      *x*) __cordon_undo+=("$1" "${!1}" -x) ;;
      *) __cordon_undo+=("$1" "${!1}" +x) ;;
    esac
  else
    __cordon_undo+=("$1" '' '')
  fi
  builtin declare -gx "$1=$2"
}

__cordon_unset() {
  local at
  for ((at = 0; at < ${#__cordon_undo[@]}; at += 3)); do
    if [[ -z ${__cordon_undo[at + 2]} ]]; then
      builtin unset -v "${__cordon_undo[at]}"
    else
      builtin declare -g "${__cordon_undo[at + 2]}" "${__cordon_undo[at]}=${__cordon_undo[at + 1]}"
    fi
  done
  __cordon_undo=()
}

# name, number of bytes: read into that variable. The locale would make characters of them.
__cordon_bytes() {
  local LC_ALL=C
  builtin printf -v "$1" ''
  [[ $2 == 0 ]] || IFS= builtin read -r -N "$2" -u 0 "$1"
}

# bytes of the environment, bytes of the code, token of `want`, token of `begun`. The status is that of the run before, unless that ends
# the shell.
__cordon_read() {
  [[ $- != *e* ]] || __cordon_status=0
  local -
  set +e
  PS1=$__cordon_prompts
  __cordon_running=yes
  __cordon_frame "$3" '{"type":"want"}'
  local environment=
  __cordon_bytes environment "$1"
  __cordon_bytes __cordon_code "$2"
  builtin eval "$environment"
  __cordon_resume=
  [[ ! $__cordon_tracing ]] || __cordon_resume='{ __cordon_trace && :; } 2>/dev/null'$'\n'
  builtin trap - INT
  __cordon_frame "$4" '{"type":"begun"}'
  return "$__cordon_status"
}

# Before the first line of code that is to be traced. From then on it says itself how it is. Keeps the status.
__cordon_trace() {
  local flags=$__cordon_tracing
  __cordon_tracing=
  builtin set "-$flags"
  return "$__cordon_status"
}

# The code is over, as it should be: nothing more is traced. Its status is kept, not returned: a trap for ERR would hear of it again.
__cordon_quiet() {
  __cordon_ended=$?
  __cordon_tracing+=${-//[!xv]}
  set +xv
}

# Interrupts are over once SIGINT is ignored: what comes before only brings the shell here again. A trap for INT ends with its run.
__cordon_prompt() {
  __cordon_last=$?
  [[ ! $__cordon_ended ]] || __cordon_last=$__cordon_ended __cordon_ended=
  [[ ! $__cordon_running ]] || __cordon_tracing+=${-//[!xv]}
  set +xv
  local -
  set +eu
  [[ $__cordon_running ]] || return 0
  builtin trap '' INT
  local token
  IFS= builtin read -r -u 0 token
  __cordon_running= __cordon_status=$__cordon_last
  __cordon_prompts=$PS1 PS1=
  __cordon_unset
  __cordon_frame "$token" "{\"type\":\"end\",\"exitCode\":$__cordon_status}"
  return 0
}

readonly -f __cordon_bytes __cordon_frame __cordon_set __cordon_unset __cordon_read __cordon_trace __cordon_quiet __cordon_prompt
readonly PROMPT_COMMAND='{ __cordon_prompt; } 2>/dev/null'
trap '' INT
