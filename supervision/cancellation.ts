// A cancellation whose AbortSignal is made when somebody asks for it: most incarnations and repairs end without anybody having waited on
// theirs, and making and aborting one is half the cost of a restart.

/** Without a reason of ours an abort would make an exception with its stack. */
const reason = "it is over";

export class Cancellation {
  #isCancelled = false;
  #controller: AbortController | undefined;

  get isCancelled(): boolean {
    return this.#isCancelled;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#isCancelled) this.#controller.abort(reason);
    }
    return this.#controller.signal;
  }

  cancel(): void {
    this.#isCancelled = true;
    this.#controller?.abort(reason);
  }
}
