#!/bin/sh
# Runs a command whose temporary files are in memory, if there is room: the tests start dozens of environments, and a
# deployment syncs each line of its journal to the disk. Without room, or where no program may run from there, the command
# gets the usual folder.
NEEDED_KB=4000000

room() {
    [ "$(df -k --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt "$NEEDED_KB" ] 2>/dev/null &&
        [ "$(awk '/^MemAvailable/ {print $2}' /proc/meminfo)" -gt $((2 * NEEDED_KB)) ] &&
        ! grep -q '^[^ ]* /dev/shm [^ ]* [^ ]*noexec' /proc/mounts
}

if room; then
    TMPDIR=$(mktemp -d /dev/shm/tests-XXXXXX)
    export TMPDIR
    chmod 1777 "$TMPDIR" # PostgreSQL runs as another user
    trap 'rm -rf "$TMPDIR"' EXIT
fi
"$@"
