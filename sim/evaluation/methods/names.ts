// The names of the methods, in the order of the report: all that the command line needs to know of them.
//
// Owns: the names. Does not own: the methods (registry.ts), which load whole libraries.

export const methodNames = [
  "source",
  "plain",
  "tent1",
  "tent64",
  "bn64",
  "running",
  "t3a",
  "lame",
  "knn",
  "A",
  "A+B",
  "A+C",
  "A+B+C",
  "all",
] as const;

export type MethodName = (typeof methodNames)[number];
