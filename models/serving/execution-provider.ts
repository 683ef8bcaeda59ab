// Where ONNX Runtime computes: the provider that was asked for, or the CPU with the reason why.
//
// Owns: the choice. Does not own: sessions (onnx-session.ts), who is told of it (actors/serving/provider-wish.ts).
//
// X1. The CPU is there always. A provider that cannot be opened here costs one try and a reason, never a model.
// X2. Equal inputs give equal bits on the CPU alone (O1). Another provider's answers may differ in their last bits, from the CPU's and from run to
//     run: what is learned and replayed is what the log says was answered, and no fold runs the graph again.

export const executionProviders = ["cpu", "cuda"] as const;
export type ExecutionProvider = (typeof executionProviders)[number];

export interface RunsOn {
  readonly provider: ExecutionProvider;
  /** Why it is not the one that was asked for, in one line; absent where it is. */
  readonly fellBack?: string;
}

/** Opens on what is wanted, else on the CPU. Rejects with what the CPU said: then the fault is the graph's. */
export async function openOn<S>(
  wanted: ExecutionProvider,
  open: (provider: ExecutionProvider) => Promise<S>,
): Promise<{ readonly session: S; readonly runsOn: RunsOn }> {
  if (wanted === "cpu") return { session: await open("cpu"), runsOn: { provider: "cpu" } };
  const opened = await open(wanted).then(
    (session) => ({ kind: "opened", session }) as const,
    (error: unknown) => ({ kind: "refused", why: reasonOf(error) }) as const,
  );
  if (opened.kind === "opened") return { session: opened.session, runsOn: { provider: wanted } };
  return { session: await open("cpu"), runsOn: { provider: "cpu", fellBack: opened.why } };
}

/** The first line that says anything; ONNX Runtime adds stacks. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const lines = text.split("\n").map((line) => line.trim());
  return lines.find((line) => line !== "") ?? "no reason given";
}
