// What a test asks of the document itself. These run in the browser, whose names the project's compiler does not know: so they are text.

import type { Page } from "playwright-core";

/** The fragment, as a link would set it. */
export async function goTo(page: Page, fragment: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(fragment)}`);
}

/** Pixels that the document is wider than the window. */
export function overflowPx(page: Page): Promise<number> {
  return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
}

export function colourOf(page: Page, selector: string, property: "color" | "backgroundColor"): Promise<string> {
  return page.evaluate(`getComputedStyle(document.querySelector(${JSON.stringify(selector)})).${property}`);
}

export function focusedText(page: Page): Promise<string> {
  return page.evaluate("document.activeElement?.textContent ?? ''");
}

export function focusedName(page: Page): Promise<string | null> {
  return page.evaluate("document.activeElement?.getAttribute('aria-label') ?? null");
}

export async function headingIsFocused(page: Page): Promise<void> {
  await page.locator("h1:focus").waitFor();
}

/** An outline of two pixels and more around what has the focus. */
export function isFocusSeen(page: Page): Promise<boolean> {
  return page.evaluate(`(() => {
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
    return outlineStyle === "solid" && parseFloat(outlineWidth) >= 2;
  })()`);
}

/** Whatever has no name for a reader, is set too small, or is missing of the landmarks. */
export function hardToRead(page: Page): Promise<string[]> {
  return page.evaluate(`(() => {
    const nameOf = (element) => element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent ?? "";
    const named = "a, button, input, select, summary, [role=img], [role=region], section, dialog";
    const nameless = [...document.querySelectorAll(named)]
      .filter((element) => nameOf(element).trim() === "" && element.getAttribute("aria-labelledby") === null)
      .map((element) => "no name: " + element.outerHTML.slice(0, 80));
    const small = [...document.querySelectorAll("main *, header *, nav *")]
      .filter((element) => element.childElementCount === 0 && element.textContent.trim() !== "")
      .filter((element) => parseFloat(getComputedStyle(element).fontSize) < 12)
      .map((element) => "too small: " + element.outerHTML.slice(0, 80));
    const missing = ["header.top", "nav[aria-label]", "main", "h1"]
      .filter((wanted) => document.querySelectorAll(wanted).length !== 1)
      .map((wanted) => "not one " + wanted);
    return [...nameless, ...small, ...missing];
  })()`);
}

/** Headings that skip a level. */
export function skippedHeadings(page: Page): Promise<string[]> {
  return page.evaluate(`(() => {
    const headings = [...document.querySelectorAll("h1, h2, h3, h4")];
    return headings
      .filter((heading, index) => index > 0 && Number(heading.tagName[1]) > Number(headings[index - 1].tagName[1]) + 1)
      .map((heading) => heading.textContent);
  })()`);
}

export interface DrawnMark {
  readonly label: string;
  readonly atMs: number;
  readonly leftPx: number;
}

export function marksIn(page: Page, region: string): Promise<DrawnMark[]> {
  return page.evaluate(`[...document.querySelectorAll('section[aria-label="${region}"] .mark')].map((mark) => ({
    label: mark.textContent, atMs: Number(mark.dataset.atMs), leftPx: parseFloat(mark.style.left),
  }))`);
}
