// The operations file is bad. By itself, so that who only tells of it does not load what reads it.

/** Nothing was started: whoever wrote it must mend it. One line for each problem. */
export class OperationsFileError extends Error {
  override readonly name = "OperationsFileError";
}
