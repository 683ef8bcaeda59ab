// The page at /docs in a real browser, from the real server: every file of it is this server's, its content policy lets it run and lets it ask
// nobody else, and the description it shows has the routes. Without a browser on the machine the files and the policy are looked at alone.

import test from "ava";
import { local, type Scene, scene, tokens } from "../operations/http/http-scene.js";
import { findBrowser, launch, openPage } from "./browser.js";

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

async function listening(reach: "loopback" | "network"): Promise<Scene & { readonly url: string }> {
  const stage = await scene({ access: { reach } });
  const outcome = await stage.server.listen({ host: "127.0.0.1", port: 0 });
  if (outcome.kind === "refused") throw new Error(outcome.why);
  return { ...stage, url: `http://127.0.0.1:${outcome.address.port}/` };
}

test("every file of the page is this server's, under a policy that lets nothing else in (S2-65)", async (t) => {
  const { server } = await scene({ access: { reach: "network" } });
  const get = (url: string, headers = {}) => server.inject({ url, headers: { ...local, ...headers } });
  const page = await get("/docs/");
  t.is(page.statusCode, 200, "it holds no figures, so anybody may have it");
  t.is(page.headers["content-security-policy"], policy);
  t.is(page.headers["x-content-type-options"], "nosniff");
  const files = Array.from(page.body.matchAll(/(?:src|href)="([^"]+)"/g), ([, file = ""]) => file);
  t.true(files.length >= 5 && files.every((file) => file.startsWith("./static/")), files.join(" "));
  t.notRegex(page.body, /<script>|<style|\sstyle=|\son\w+=/, "nothing inline");
  for (const file of files) {
    const answer = await get(`/docs/${file}`);
    t.is(answer.statusCode, 200, file);
    t.is(answer.headers["content-security-policy"], policy);
    t.notRegex(String(answer.headers["content-type"]), /html/);
  }
  t.is(
    (await get("/docs/json")).statusCode,
    401,
    "the description needs a token beyond loopback, here as at /openapi.json",
  );
  const mine = { authorization: `Bearer ${tokens.client}` };
  t.is((await get("/docs/json", mine)).statusCode, 200);
  t.deepEqual(
    (await get("/docs/json", mine)).json(),
    (await get("/openapi.json", { authorization: `Bearer ${tokens.viewer}` })).json(),
  );
});

test("in a browser it shows the routes and breaks no rule, on loopback and, with the token of its link, beyond it (S2-65)", async (t) => {
  t.timeout(90_000);
  const found = await findBrowser();
  if (found === undefined) {
    t.log("skipped: there is no chromium on this machine");
    t.pass();
    return;
  }
  const browser = await launch(found);
  t.teardown(() => browser.close());
  for (const [reach, fragment] of [
    ["loopback", ""],
    ["network", `#client=${tokens.client}`],
  ] as const) {
    const { server, url } = await listening(reach);
    t.teardown(() => server.close());
    const { page, faults, close } = await openPage(browser, url, { width: 1_280, scheme: "light" }, `docs/${fragment}`);
    await page.locator(".opblock-summary-path", { hasText: "/v2/models/{model}/infer" }).first().waitFor();
    t.true((await page.locator(".opblock").count()) >= 25, reach);
    t.is(await page.title(), "driftmend over HTTP");
    t.deepEqual(faults, [], reach);
    await close();
  }
});
