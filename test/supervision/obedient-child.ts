// A child process for process-root.test.ts: ready at once, ends with its parent, and does what its arguments say.

import { reportReady, watchParent } from "../../supervision/parent-watch.js";

const [behaviour = "serve", generation = "0"] = process.argv.slice(2);

watchParent(() => process.exit(0));
process.on("SIGTERM", () => {
  if (behaviour !== "stubborn") process.exit(0);
});
process.on("message", (message) => process.send?.({ kind: "echo", generation, message }));

if (behaviour === "line") process.stdout.write("listening\n");
else if (behaviour === "crash") process.exit(3);
else if (behaviour !== "silent") reportReady();
