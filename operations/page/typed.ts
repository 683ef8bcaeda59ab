// What somebody typed or chose.
//
// Owns: reading it from the event. Does not own: what it means.

export function typedIn({ currentTarget }: Event): string {
  const isField = currentTarget instanceof HTMLSelectElement || currentTarget instanceof HTMLInputElement;
  return isField ? currentTarget.value : "";
}
