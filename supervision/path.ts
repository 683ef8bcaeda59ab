// The name of an actor or supervisor inside one node.
//
// Owns: the branded identity and the alphabet of its segments.
// Does not own: which paths exist; that is the tree in system.ts.

/**
 * Ids from below the top supervisor joined by "/": "inference", "learning/updater".
 * The top supervisor itself is "/".
 */
export type ActorPath = string & { readonly brand: unique symbol };

export const TOP_PATH = "/" as ActorPath;

/** nact accepts more, but "+" separates the generation and "." separates tokens of a NATS subject. */
const SEGMENT = /^[a-z0-9][a-z0-9_-]*$/i;

/** Throws when `id` cannot be a segment of a path: a spec is wrong, not the world. */
export function childPath(parent: ActorPath, id: string): ActorPath {
  if (!SEGMENT.test(id)) throw new Error(`actor id "${id}" must match ${SEGMENT.source}`);
  return (parent === TOP_PATH ? id : `${parent}/${id}`) as ActorPath;
}
