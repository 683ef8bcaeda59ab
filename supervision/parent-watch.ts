// The child's side of process-root.ts: a process does not outlive the one that started it.
//
// Owns: noticing that the parent is gone, and telling it "ready".
// Does not own: what the child does before it exits.
//
// The IPC channel closes when the parent dies, also by SIGKILL; no polling of parent ids, which are reused.
// A process that is stopped (SIGSTOP) notices once it continues.

/** What a child says to its parent once it serves. */
export interface ReadyMessage {
  readonly kind: "ready";
}

/** Calls `orphaned` once when the parent is gone. False when nobody started this process over IPC: nobody to watch. */
export function watchParent(orphaned: () => void): boolean {
  if (process.send === undefined) return false;
  process.once("disconnect", orphaned);
  if (!process.connected) orphaned();
  return true;
}

/** True when there is a parent and it was told. */
export function reportReady(): boolean {
  const ready: ReadyMessage = { kind: "ready" };
  return process.send?.(ready) ?? false;
}

export function isReady(message: unknown): message is ReadyMessage {
  return typeof message === "object" && message !== null && "kind" in message && message.kind === "ready";
}
