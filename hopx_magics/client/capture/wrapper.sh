# Runs a cell of hopx_magics so that its output, its pid and its exit code are kept in files, and passes the output on.
# For agents that don't return output themselves.
#
# Set ahead of this: hopx_program, hopx_file (the name for the code), hopx_code (in base64), hopx_directory, and
# hopx_folders, of which the first usable one is taken. All names begin with hopx_: one that the environment exports
# would be changed for the cell, too. `command -p` finds tools whatever PATH the environment has.

set +o errexit +o nounset # an agent may start bash with them, or with closed streams
[[ -e /dev/fd/1 ]] || exec >/dev/null
[[ -e /dev/fd/2 ]] || exec 2>/dev/null

hopx_fail() {
  printf 'hopx: %s\n' "$2" >>"$hopx_folder/stderr"
  printf 'hopx: %s\n' "$2" >&"${hopx_stderr:-2}"
  printf '%s\n' "$1" >"$hopx_folder/exit_code"
  exit "$1"
}

# Becomes the program that runs the cell, at the sign of the guard.
hopx_run() {
  read -r -u "$hopx_begin" || exit
  export PYTHONUNBUFFERED="${PYTHONUNBUFFERED-1}"
  case $hopx_program in
  python3)
    export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" # modules beside the user's files can be imported
    ;;
  go)
    # Not `go run`, whose own exit code is always 1. It needs a HOME, and the environment may have none.
    export HOME=${HOME-~}
    go build -o "$hopx_folder/cell" "$hopx_folder/$hopx_file" && exec "$hopx_folder/cell"
    exit
    ;;
  esac
  exec "$hopx_program" "$hopx_folder/$hopx_file"
}

# Passes a signal on to the cell and all that it started.
hopx_signal() {
  [[ $hopx_pid ]] || hopx_fail 143 "ended before it began"
  hopx_again=yes
  kill -s "$1" -- "-$hopx_pid"
}

# ---------------------------------------------------------------- the folder, the code, the directory

for hopx_folder in "${hopx_folders[@]}"; do
  # stdout comes last: the folder that has it is the one to read from.
  command -p mkdir -p -m 700 "$hopx_folder" &&
    printf '' >"$hopx_folder/stderr" && printf '' >"$hopx_folder/stdout" && break
  hopx_folder=
done 2>/dev/null
if [[ -z $hopx_folder ]]; then
  printf 'hopx: no output can be kept here, so nothing was run: no room, or not writable: %s\n' "${hopx_folders[*]}" >&2
  exit 126
fi

type -P "$hopx_program" >/dev/null || hopx_fail 127 "there is no $hopx_program here"
printf '%s' "$hopx_code" | command -p base64 -d >"$hopx_folder/$hopx_file" || hopx_fail 126 "no room for the code"
cd -- "$hopx_directory" 2>/dev/null ||
  hopx_fail 126 "the working directory $hopx_directory does not exist, or can't be entered"

# ---------------------------------------------------------------- the cell

exec {hopx_stderr}>&2 2>/dev/null # this shell's own remarks, such as "Killed", are no output of the cell

hopx_pid=
trap 'hopx_signal HUP' HUP
trap 'hopx_signal INT' INT
trap 'hopx_signal QUIT' QUIT
trap 'hopx_signal TERM' TERM

# What is started from here on gets process groups of its own: signals can be sent to the cell with all its children,
# and those sent to the group of this shell end nothing that is still needed.
set -m

# The guard's input ends when this shell does, also by SIGKILL, which can't be passed on: then the guard kills the cell.
# Its first word is the sign for the cell to begin, so that no cell runs without a guard.
coproc hopx_guard {
  read -r hopx_pid hopx_out hopx_err || exit
  echo begin
  read -r
  if [[ ! -s $hopx_folder/exit_code ]]; then
    kill -s KILL -- "-$hopx_pid" "-$hopx_out" "-$hopx_err"
    printf '137\n' >"$hopx_folder/exit_code"
  fi
}
exec {hopx_begin}<&"${hopx_guard[0]}"

# Straight into the files, so that neither this shell nor the agent can hold the cell up, or break it.
hopx_run </dev/null >>"$hopx_folder/stdout" 2>>"$hopx_folder/stderr" {hopx_stderr}>&- &
hopx_pid=$!
printf '%s\n' "$hopx_pid" >"$hopx_folder/pid"

command -p tail -c +1 -s 0.1 -f --pid="$hopx_pid" "$hopx_folder/stdout" &
hopx_out=$!
command -p tail -c +1 -s 0.1 -f --pid="$hopx_pid" "$hopx_folder/stderr" >&"$hopx_stderr" &
hopx_err=$!

set +m # or the waiting would end, too, when the cell is only stopped
echo "$hopx_pid $hopx_out $hopx_err" >&"${hopx_guard[1]}"

hopx_again=yes
while [[ $hopx_again ]]; do # since a signal ends the waiting
  hopx_again=
  wait "$hopx_pid"
  hopx_exit_code=$?
done
printf '%s\n' "$hopx_exit_code" >"$hopx_folder/exit_code"
wait "$hopx_out" "$hopx_err"
exit "$hopx_exit_code"
