// The documents that are served: the page, stability reports, the description of the interface, the live events.
//
// Owns: these routes. Does not own: the page's making (operations/page/), reports' (sim/stability/).
//
// D1. The page itself holds no figures, so anybody may have it; what it shows it asks for with the token from its link.

import { z } from "zod";
import { stabilitySchema } from "./answer-shapes.js";
import type { PageFile } from "./page-file.js";
import { type Route, refused, route } from "./route.js";
import { replyOf } from "./routes-looks.js";
import { reportPolicy } from "./security-headers.js";
import type { Sources } from "./sources.js";

const htmlType = "text/html; charset=utf-8";

export interface DocumentDeps {
  readonly sources: Sources;
  readonly page: PageFile;
  /** Of /openapi.json; asked once everything is registered. */
  readonly openApi: () => unknown;
}

export function documentRoutes({ sources, page, openApi }: DocumentDeps): readonly Route[] {
  return [pageRoute(page), ...stabilityRoutes(sources), eventsRoute, descriptionRoute(openApi)];
}

function pageRoute(page: PageFile): Route {
  return route({
    method: "GET",
    path: "/",
    summary: "The page",
    needs: "nothing",
    answers: { kind: "text", type: htmlType, what: "one document that refers to nothing outside itself" },
    answer: () =>
      page.kind === "page"
        ? { kind: "text", type: htmlType, text: page.html, contentPolicy: page.policy }
        : refused(
            503,
            "no_page",
            "the page was not built with this program",
            "npm run build, then start the cluster again",
          ),
  });
}

function stabilityRoutes(sources: Sources): readonly Route[] {
  return [
    route({
      method: "GET",
      path: "/api/stability",
      summary: "The stability test under way, and the reports of those that ended",
      needs: "viewer",
      answers: { kind: "json", schema: stabilitySchema },
      answer: async () => replyOf(await sources.stability()),
    }),
    route({
      method: "GET",
      path: "/api/stability/:id",
      summary: "One report, as a document",
      needs: "viewer",
      params: z.object({ id: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "is no report's id") }),
      answers: { kind: "text", type: htmlType, what: "the report" },
      answer: async ({ params: { id } }) => {
        const report = await sources.stabilityReport(id);
        if (report.kind !== "found") return replyOf(report);
        return { kind: "text", type: htmlType, text: report.value, contentPolicy: reportPolicy };
      },
    }),
  ];
}

const eventsRoute = route({
  method: "GET",
  path: "/api/events",
  summary: "Live: events `metrics`, `health`, `alerts`, `series` (a point), `tree`; the newest of each comes first",
  needs: "viewer",
  answers: {
    kind: "text",
    type: "text/event-stream",
    what: "server-sent events; the data of each is JSON, shaped as the GET of the same name",
  },
  answer: () => ({ kind: "events" }),
});

function descriptionRoute(openApi: () => unknown): Route {
  return route({
    method: "GET",
    path: "/openapi.json",
    summary: "This description",
    needs: "token",
    answers: { kind: "json", schema: z.looseObject({ openapi: z.string() }) },
    answer: () => ({ kind: "json", status: 200, body: openApi() }),
  });
}
