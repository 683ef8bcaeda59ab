// The seam to preact and htm: how a view becomes what is on the screen.
//
// Owns: the template tag, and which hooks a view may use. Does not own: what any view shows.
//
// V1. A component with state of its own is put into a template by `h`, so that the checker sees its properties; one without is called.

import htm from "htm";
import { type ComponentChildren, h } from "preact";

export { h, render } from "preact";
export { useEffect, useErrorBoundary, useMemo, useRef, useState } from "preact/hooks";

/** Whatever can stand in a template. */
export type View = ComponentChildren;

export const html: (strings: TemplateStringsArray, ...values: unknown[]) => View = htm.bind(h);
