// A question that must be answered first: the browser's own modal dialog, which keeps the focus and closes on Escape.
//
// Owns: opening and closing. Does not own: what is asked.

import { html, useEffect, useRef, type View } from "./view.js";

export interface DialogProps {
  readonly title: string;
  readonly content: View;
  close(): void;
}

export function Dialog({ title, content, close }: DialogProps): View {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return html`<dialog ref=${element} aria-labelledby="dialog-title" onClose=${close} onCancel=${close}>
    <h2 id="dialog-title">${title}</h2>
    ${content}
  </dialog>`;
}
