// A real browser for a test, found on the machine, and a page in it that notes whatever it does wrong.

import { access } from "node:fs/promises";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const flags = [
  ...[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
  ],
  ...["--disable-component-update", "--disable-sync"],
];

/** Undefined where there is no browser. */
export async function findBrowser(): Promise<string | undefined> {
  for (const place of places) {
    const isThere = await access(place).then(
      () => true,
      () => false,
    );
    if (isThere) return place;
  }
  return undefined;
}

export function launch(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: flags, timeout: 30_000 });
}

export interface Watched {
  readonly page: Page;
  /** Errors of the console and of the script, requests beyond the origin. */
  readonly faults: string[];
  close(): Promise<void>;
}

export interface Look {
  readonly width: number;
  readonly scheme: "light" | "dark";
}

export async function openPage(
  browser: Browser,
  url: string,
  { width, scheme }: Look,
  fragment = "",
): Promise<Watched> {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: scheme,
    reducedMotion: "reduce",
    locale: "en-GB",
  });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const faults: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`script: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) faults.push(`request: ${request.url()}`);
  });
  await page.goto(`${url}${fragment}`);
  return { page, faults, close: () => context.close() };
}

/** Pictures for a person to look at, where one is wanted. */
export async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env.DRIFTMEND_PAGE_SHOTS;
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}
