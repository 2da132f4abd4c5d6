# Runs a command as the leader of its own session, and writes how it ended into a file.
#
#   sh shim.sh FOLDER COMMAND [ARGUMENT...]
#
# Standard input is the locked file by which an agent sees that this shell lives, so nobody else may inherit it.
# The records are there already and are overwritten in place, so that a full disk can't lose them.
# Hardly any variables: one that the environment exports would be changed for the command, too.
# Both records have the seconds since the machine started (Linux tells them), since its time of day may jump; and that of
# the end has whether anybody had asked for it by then.

# A handler, unlike an ignored signal, isn't inherited: what ends the command leaves this shell to tell of it.
trap : HUP INT QUIT ALRM TERM USR1 USR2 PIPE

# The shell's own remarks, such as "Killed", are no output of the command. So the command's own shell takes the stream
# back: this one would make a redirection that stands behind it its own while it waits.
exec 8>&2 2>/dev/null

# In the foreground, since a shell makes commands in the background deaf to interrupts. The second shell becomes the
# command, which makes its pid the command's. Where it can't, it adds a word to the record (bash has to be asked to live
# that long), and puts the words behind its code before the reason.
/bin/sh -c '
    read -r hopx_uptime hopx_rest </proc/uptime
    exec 2>&8 8>&-
    printf "%-63s\n" "$PPID $$ $hopx_uptime" 1<>"$1/start" || exit
    hopx_folder=$1
    trap "printf \"%s \" $PPID $$ failed 1<>\"\$hopx_folder/start\"" EXIT
    [ -z "$BASH_VERSION" ] || shopt -s execfail
    shift && exec "$@"
' 'could not start' "$@" </dev/null

hopx_code=$? hopx_uptime=
read -r hopx_asked <"$1/intent"
read -r hopx_uptime hopx_rest </proc/uptime
printf '%-63s\n' "$hopx_code ${hopx_uptime:--} ${hopx_asked:+asked}" 1<>"$1/exit"
exit "$hopx_code"
