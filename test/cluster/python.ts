// Programs in Python against a cluster: whether there is a Python for them, and what they print.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";

export async function pythonWithMsgpack(): Promise<string | undefined> {
  for (const python of ["python3", "/usr/bin/python3"]) {
    const found = await promisify(execFile)(python, ["-c", "import msgpack"]).then(
      () => true,
      () => false,
    );
    if (found) return python;
  }
  return undefined;
}

export async function runPython(
  python: string,
  program: string,
  words: readonly string[],
  input: Uint8Array,
): Promise<string> {
  const child = spawn(python, [program, ...words], { stdio: ["pipe", "pipe", "inherit"] });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  child.stdin.end(input);
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
  return printed;
}
