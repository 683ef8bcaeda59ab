// The published OpenAPI document, tidied: what no path refers to is left out.
//
// Owns: which schemas are kept. Does not own: how the document is made (server.ts).

export interface OpenApiDocument {
  readonly info: object;
  readonly components?: object;
}

const reference = /"#\/components\/schemas\/([^"]+)"/g;

/** Every schema is generated twice, as it is taken and as it is given; mostly one of the two is used. */
export function withoutUnused(document: OpenApiDocument): OpenApiDocument {
  const { components = {}, ...rest } = document;
  const schemas = schemasIn(components);
  const used = new Set<string>();
  const waiting = referredIn(rest);
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (used.has(name)) continue;
    used.add(name);
    waiting.push(...referredIn(schemas[name]));
  }
  const kept = Object.fromEntries(Object.entries(schemas).filter(([name]) => used.has(name)));
  return { ...document, components: { ...components, schemas: kept } };
}

function schemasIn(components: {
  readonly schemas?: Readonly<Record<string, unknown>>;
}): Readonly<Record<string, unknown>> {
  return components.schemas ?? {};
}

function referredIn(part: unknown): string[] {
  return Array.from((JSON.stringify(part) ?? "").matchAll(reference), ([, name = ""]) => name);
}
