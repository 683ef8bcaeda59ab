// The page that shows the description of this interface, at /docs: Swagger UI's own files, from this server.
//
// Owns: its address, its content policy, how it is set up. Does not own: the description (server.ts), who may read it (access.ts).
//
// P1. It asks nobody but this server, and runs no script but Swagger UI's files. It holds no figures, so anybody may have it; the
//     description it asks for with the token from its link, as the page at / does.

export const docsPrefix = "/docs";
/** The description as the page asks for it. */
const descriptionPath = `${docsPrefix}/json`;

/** Whether a path, as it was registered, is one of the page's own files. */
export function isDocsFile(path: string | undefined): boolean {
  return path !== undefined && (path === docsPrefix || path.startsWith(`${docsPrefix}/`)) && !isDescription(path);
}

export function isDescription(path: string | undefined): boolean {
  return path === descriptionPath || path === `${docsPrefix}/yaml`;
}

/** Swagger UI sets styles by script and draws its marks from data URLs in its style sheet. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

export const docsPage = {
  routePrefix: docsPrefix,
  staticCSP: policy,
  theme: { title: "driftmend over HTTP" },
  uiConfig: {
    // Without the bar on top, whose logo brings a style of its own into the page.
    layout: "BaseLayout",
    // The fragment is where the link's token is.
    deepLinking: false,
    docExpansion: "list" as const,
    defaultModelsExpandDepth: 0,
    requestInterceptor: withToken,
  },
};

/** Runs in the page: it is written into its start script as it stands, so it uses nothing from here. */
function withToken<R extends object>(request: R): R {
  const headers: unknown = Reflect.get(request, "headers");
  const token = /[#&](?:client|viewer|operator|token)=([\x21-\x25\x27-\x7e]+)/.exec(
    String(Reflect.get(Reflect.get(globalThis, "location"), "hash")),
  )?.[1];
  if (token !== undefined && typeof headers === "object" && headers !== null && !("Authorization" in headers))
    Reflect.set(headers, "Authorization", `Bearer ${token}`);
  return request;
}
