// Questions to the server that the page came from: one answer, or why there is none.
//
// Owns: the token on its way, the reading of a refusal. Does not own: the stream of events (follow.ts), where the token is kept (token.ts).

export type Answer<T> =
  | { readonly kind: "answer"; readonly value: T }
  /** The server said no; `message` is its own word. */
  | { readonly kind: "refused"; readonly status: number; readonly message: string }
  /** Nothing came that could be read: whether it was done is not known. */
  | { readonly kind: "silent"; readonly message: string };

export interface Ask {
  /** `path` begins with a slash. */
  get<T>(path: string): Promise<Answer<T>>;
  post<T>(path: string, body: unknown): Promise<Answer<T>>;
}

export interface AskDeps {
  readonly fetch: typeof fetch;
  token(): string | null;
}

/** A health report says in its status code what it says in its body (503 when unhealthy): that is no refusal. */
const answersAnyway = ["/api/health"];

export function openAsk({ fetch, token }: AskDeps): Ask {
  const ask = async <T>(path: string, init: RequestInit): Promise<Answer<T>> => {
    try {
      const response = await fetch(path, { ...init, headers: headersOf(init, token()) });
      const text = await response.text();
      if (response.ok || answersAnyway.includes(path)) return { kind: "answer", value: JSON.parse(text) as T };
      return { kind: "refused", status: response.status, message: refusalIn(text, response.status) };
    } catch (error) {
      return { kind: "silent", message: error instanceof SyntaxError ? "the answer is no JSON" : "no connection" };
    }
  };
  return {
    get: (path) => ask(path, { method: "GET" }),
    post: (path, body) => ask(path, { method: "POST", body: JSON.stringify(body) }),
  };
}

function headersOf({ body }: RequestInit, token: string | null): Record<string, string> {
  return {
    accept: "application/json",
    ...(body === undefined ? {} : { "content-type": "application/json" }),
    ...authorization(token),
  };
}

export function authorization(token: string | null): Record<string, string> {
  return token === null ? {} : { authorization: `Bearer ${token}` };
}

const wordOf: Readonly<Record<number, string>> = {
  401: "a token is needed for this",
  403: "this token may not do this",
  404: "there is no such thing (any more)",
  503: "the cluster does not answer",
};

/** The server's own word where there is one, `{error: {message, next}}`: what is wrong, and what to do now. */
export function refusalIn(text: string, status: number): string {
  const fallback = wordOf[status] ?? `refused with ${status}`;
  try {
    const body: unknown = JSON.parse(text);
    const error = isMap(body) ? body.error : undefined;
    if (!isMap(error) || typeof error.message !== "string" || error.message === "") return fallback;
    return typeof error.next === "string" && error.next !== "" ? `${error.message}: ${error.next}` : error.message;
  } catch {
    return fallback;
  }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
