// What stands between the broker and whoever owns it: a shell that ends with its owner, and takes the server along.
//
// Owns: its script, on how many processors the server runs. Does not own: when it starts and ends (broker.ts).

import { availableParallelism } from "node:os";

/**
 * Half of the machine, which it shares with its nodes: with more, Go's scheduler wakes threads that find nothing to do, a third of its calls into
 * the system under load. A GOMAXPROCS in the environment overrules it.
 */
const processors = `${Math.max(1, Math.floor(availableParallelism() / 2))}`;

/**
 * Runs the server ($2) with its arguments on $1 processors, and kills it when standard input, held open by the owner alone, ends.
 * The reading loop is shell-builtin, so nothing but this shell, one copy of it and the server exist.
 */
const guardianScript = `
exec 3<&0
export GOMAXPROCS="\${GOMAXPROCS:-$1}"
server="$2"; shift 2
"$server" "$@" 3<&- </dev/null &
pid=$!
( while read -r line <&3; do :; done; kill -9 $pid 2>/dev/null ) &
watcher=$!
exec 3<&-
wait $pid
code=$?
kill -9 $watcher 2>/dev/null
exit $code
`;

/** The command that runs `binary` so; its standard input is to be held open. */
export function guarded(binary: string, args: readonly string[]): readonly [string, ...string[]] {
  return ["sh", "-c", guardianScript, "driftmend-broker", processors, binary, ...args];
}
