// What measuring and tracing cost, taken into the one run: telemetry-cost.ts in a process of its own, as a person would start it.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("./telemetry-cost.js", import.meta.url));

/** Its tables; rejects when it fails. */
export async function measureTelemetry(rounds: number): Promise<string> {
  const child = spawn(process.execPath, ["--enable-source-maps", script, "--rounds", `${rounds}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (part: Buffer) => {
    text += part.toString();
  });
  const code = await new Promise<number | null>((resolve) => child.once("exit", resolve));
  if (code !== 0) throw new Error(`telemetry-cost ended with ${code}`);
  return text;
}
