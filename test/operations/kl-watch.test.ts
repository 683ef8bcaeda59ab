// How far learning is from the source, and for how long.
import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { AlertBook } from "../../operations/alerts/alert-book.js";
import { KlWatch, klWindow } from "../../operations/log/kl-watch.js";

const settings = { above: 0.2, forMs: 10_000 };

test("(S0-12) the mean is that of the newest 100 steps", (t) => {
  const watch = new KlWatch(settings);
  t.is(watch.mean, null);
  const random = seededRandom(1);
  const all = Array.from({ length: 250 }, () => random() * 0.5);
  for (const [i, kl] of all.entries()) {
    watch.take(kl, i);
    const window = all.slice(Math.max(0, i + 1 - klWindow), i + 1);
    const mean = window.reduce((sum, each) => sum + each, 0) / window.length;
    t.true(Math.abs((watch.mean ?? Number.NaN) - mean) < 1e-6);
  }
});

test("(S0-13) one spike is no alert, nor are many with calm in between; what stays high for the whole time is, once", (t) => {
  const watch = new KlWatch(settings);
  t.is(watch.take(9, 0), undefined);
  for (let at = 1_000; at <= 60_000; at += 1_000) t.is(watch.take(at % 3_000 === 0 ? 0.2 : 0.4, at), undefined);
  for (let at = 61_000; at < 71_000; at += 1_000) t.is(watch.take(0.21, at), undefined, `${at}`);
  t.is(watch.take(0.21, 71_000), "high");
  t.is(watch.take(0.5, 72_000), undefined, "it is told once");
  t.is(watch.take(0.2, 73_000), "normal");
  t.is(watch.take(0.1, 74_000), undefined);
});

test("(S0-13) two high steps with a long silence between them prove nothing", (t) => {
  const watch = new KlWatch(settings);
  t.is(watch.take(0.4, 0), undefined);
  t.is(watch.take(0.4, 50_000), undefined);
  t.is(watch.take(0.4, 59_999), undefined);
  t.is(watch.take(0.4, 60_000), "high");
});

test("(S0-13) the alert fires with it and ends with it", (t) => {
  const book = new AlertBook();
  const event = (kind: string) => ({ kind, about: "digits", detail: "" });
  t.like(book.hear(event("kl_high"), 0)[0], { kind: "fired", alert: { name: "kl_high", severity: "warning" } });
  t.like(book.hear(event("kl_normal"), 5)[0], { kind: "resolved", alert: { name: "kl_high" } });
});
