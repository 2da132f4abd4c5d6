# Runs a command as the leader of its own session, and writes how it ended into a file.
#
#   sh shim.sh FOLDER COMMAND [ARGUMENT...]
#
# Standard input is the locked file by which an agent sees that this shell lives, so nobody else may inherit it.
# The records are there already and are overwritten in place, so that a full disk can't lose them.
# Hardly any variables: one that the environment exports would be changed for the command, too.

# A handler, unlike an ignored signal, isn't inherited: what ends the command leaves this shell to tell of it.
trap : HUP INT QUIT ALRM TERM USR1 USR2 PIPE

# The shell's own remarks, such as "Killed", are no output of the command.
exec 8>&2 2>/dev/null

# In the foreground, since a shell makes commands in the background deaf to interrupts. The second shell becomes the
# command, which makes its pid the command's. Where it can't, it adds a word to the record (bash has to be asked to live
# that long), and puts the words behind its code before the reason.
/bin/sh -c '
    printf "%-63s\n" "$PPID $$" 1<>"$1/start" || exit
    hopx_folder=$1
    trap "printf \"%s \" $PPID $$ failed 1<>\"\$hopx_folder/start\"" EXIT
    [ -z "$BASH_VERSION" ] || shopt -s execfail
    shift && exec "$@"
' 'could not start' "$@" </dev/null 2>&8 8>&-

printf '%-63s\n' "$?" 1<>"$1/exit"
