// How long an evaluation will go on, from how long its methods took so far.
//
// Owns: the estimate. Does not own: the clock's reading, who is told.
//
// L1. Methods differ by a factor of a hundred, so each has its own pace; one that has not run yet is taken for the mean of the others.

export interface Pace {
  readonly requests: number;
  readonly ms: number;
}

export class TimeLeft {
  readonly #paces = new Map<string, Pace>();

  /** `method` answered `requests` more in `ms`. */
  took(method: string, requests: number, ms: number): void {
    const before = this.#paces.get(method) ?? { requests: 0, ms: 0 };
    this.#paces.set(method, { requests: before.requests + requests, ms: before.ms + ms });
  }

  /** Milliseconds for as many requests of each method; null while nothing is known. */
  of(open: ReadonlyMap<string, number>): number | null {
    const known = [...this.#paces.values()].filter(({ requests }) => requests > 0).map(paceOf);
    if (known.length === 0) return null;
    const mean = known.reduce((sum, pace) => sum + pace, 0) / known.length;
    let ms = 0;
    for (const [method, requests] of open) {
      const own = this.#paces.get(method);
      ms += requests * (own === undefined || own.requests === 0 ? mean : paceOf(own));
    }
    return ms;
  }
}

function paceOf({ requests, ms }: Pace): number {
  return ms / requests;
}
