// Server-sent events, line by line (WHATWG HTML, 9.2.6). Pure but for the line that is not whole yet.
//
// Owns: telling where one event ends, whatever pieces the bytes come in. Does not own: the connection (follow.ts), what an event means.

export interface ServerEvent {
  readonly event: string;
  readonly data: string;
}

/** A line longer than this is no event of ours: the connection is given up rather than the memory. */
const lineMax = 8_000_000;

export class EventLines {
  #rest = "";
  #event = "";
  #data: string[] = [];

  /** The events that are whole after these characters. */
  take(text: string): ServerEvent[] {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > lineMax) throw new Error(`a line of more than ${lineMax} characters`);
    return lines.flatMap((line) => this.#line(line));
  }

  #line(line: string): ServerEvent[] {
    if (line === "") return this.#end();
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#event = value;
    if (field === "data") this.#data.push(value);
    return [];
  }

  #end(): ServerEvent[] {
    const whole = { event: this.#event === "" ? "message" : this.#event, data: this.#data.join("\n") };
    const isEmpty = this.#data.length === 0;
    this.#event = "";
    this.#data = [];
    return isEmpty ? [] : [whole];
  }
}
