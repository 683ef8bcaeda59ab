// The book of alerts: what fires, since when, who acknowledged it, what is silenced, who was told what.
//
// Owns: how events, checks, orders and time change it. Pure: time is an argument. Does not own: when a sink is told (alert-groups.ts),
// where the book is kept (transport/log/alert-bucket.ts), delivery (notify/).
//
// A1. Same name and subject, same alert: it begins once, repetitions count, it is over once nobody says any more that it is so.
// A2. An event's alert ends with its event, or when it has been quiet for its rule's time; a check's when the check passes.
// A3. What somebody has to be told of is never forgotten: a resolved alert stays until every sink that believes it fires was told.
// A4. Bounded: subjects of one name, alerts, resolved ones, silences. Beyond, subjects of one name are one alert about "(others)".
// A5. Nothing lies in the future: where the clock was set back, what was kept counts from now on, so that no alert stays for want of quiet and
//     no sink is left without news until the clock is there again.

import type { HealthReport } from "../health/health-report.js";
import type { ClusterMetrics } from "../metrics/cluster-metrics.js";
import { guideOf } from "./alert-guide.js";
import { type AlertList, type ListedAlert, type Severity, type Silence, severitySchema } from "./alert-list.js";
import { type AlertRecord, aboutMax, isFiring, messageMax, type SavedAlerts } from "./alert-record.js";
import { type AlertEvent, eventRules, fingerprintOf, nodeAlerts, subjectOf } from "./alert-rules.js";

export interface AlertChange {
  readonly kind: "fired" | "resolved";
  readonly alert: AlertRecord;
}

/** What somebody says is so. */
interface Claim {
  readonly by: "event" | "check";
  readonly name: string;
  readonly about: string;
  readonly severity: Severity;
  readonly message: string;
  readonly value: number | null;
  readonly threshold: number | null;
  readonly advice: string;
}

export const bookLimits = { subjectsOfName: 40, alerts: 600, resolved: 100, silences: 64 } as const;
/** A node counts as back when it was heard so long after the news of its death. */
const backAfterMs = 2_000;
/** A sink that could not be reached for so long is not told of the end any more. */
const owedMs = 7 * 86_400_000;

export class AlertBook {
  readonly #alerts = new Map<string, AlertRecord>();
  #silences: Silence[] = [];
  readonly #sent = new Map<string, number>();
  #version = 0;

  /** Grows with every change that a later incarnation has to know of; counts and figures of what fires already are not such. */
  get version(): number {
    return this.#version;
  }

  get alerts(): readonly AlertRecord[] {
    return [...this.#alerts.values()];
  }

  get silences(): readonly Silence[] {
    return this.#silences;
  }

  /** Undefined: never. */
  sentAtMs(sink: string): number | undefined {
    return this.#sent.get(sink);
  }

  hear(event: AlertEvent, nowMs: number): AlertChange[] {
    const { kind, detail } = event;
    const about = event.about.slice(0, aboutMax);
    return eventRules.flatMap((rule) => {
      const { name, severity } = rule;
      if (kind === rule.firesOn) {
        const message = (detail || (guideOf(name)?.means ?? name)).slice(0, messageMax);
        const advice = guideOf(name)?.advice ?? "";
        return this.#claim(
          { by: "event", name, about, severity, message, value: null, threshold: null, advice },
          nowMs,
        );
      }
      return rule.endsOn.includes(kind) ? this.#withdraw(fingerprintOf(name, about), "event", nowMs) : [];
    });
  }

  /** Checks that fail are alerts; those that fail no more are over, also when their rule is gone. */
  report(metrics: ClusterMetrics, health: HealthReport, nowMs: number): AlertChange[] {
    const failing = new Set<string>();
    const changes: AlertChange[] = [];
    for (const check of health.checks) {
      const { alert: name, severity, value, threshold, status } = check;
      if (name === null || status === "pass") continue;
      const about = subjectOf(check.about, metrics.cluster).slice(0, aboutMax);
      const message = check.message.slice(0, messageMax);
      const text = health.recommendations.find((each) => each.check === check.name && each.about === check.about)?.text;
      const advice = (text ?? guideOf(name)?.advice ?? "").slice(0, messageMax);
      failing.add(fingerprintOf(name, this.#placeFor(name, about)));
      changes.push(...this.#claim({ by: "check", name, about, severity, message, value, threshold, advice }, nowMs));
    }
    for (const { fingerprint, saidBy } of this.alerts)
      if (saidBy.includes("check") && !failing.has(fingerprint))
        changes.push(...this.#withdraw(fingerprint, "check", nowMs));
    return [...changes, ...this.#returned(metrics, nowMs)];
  }

  /** What has been quiet for long enough is over; silences end; what nobody has to know any more goes. */
  pass(nowMs: number): AlertChange[] {
    this.#bringBack(nowMs);
    const changes = eventRules.flatMap(({ name, quietAfterMs }) =>
      this.alerts
        .filter((alert) => alert.name === name && nowMs - alert.heardAtMs >= quietAfterMs)
        .flatMap(({ fingerprint }) => this.#withdraw(fingerprint, "event", nowMs)),
    );
    this.#keepSilences(this.#silences.filter(({ untilMs }) => untilMs > nowMs));
    this.#forgetOld(nowMs);
    return changes;
  }

  /** False: no such alert fires. */
  acknowledge(fingerprint: string, by: string, note: string, nowMs: number): boolean {
    const alert = this.#alerts.get(fingerprint);
    if (alert === undefined || !isFiring(alert)) return false;
    this.#put({ ...alert, acknowledged: { by, note, atMs: nowMs } });
    return true;
  }

  /** One for each pattern: the newest counts. False: there are too many. */
  silence(silence: Silence): boolean {
    const others = this.#silences.filter(({ matches }) => matches !== silence.matches);
    if (others.length >= bookLimits.silences) return false;
    this.#keepSilences([...others, silence]);
    return true;
  }

  /** False: nothing was silenced by it. */
  unsilence(matches: string): boolean {
    const others = this.#silences.filter((each) => each.matches !== matches);
    const found = others.length < this.#silences.length;
    this.#keepSilences(others);
    return found;
  }

  silencedUntilMs({ name, fingerprint }: Pick<AlertRecord, "name" | "fingerprint">, nowMs: number): number | null {
    const until = this.#silences
      .filter(({ matches, untilMs }) => untilMs > nowMs && (matches === name || matches === fingerprint))
      .map(({ untilMs }) => untilMs);
    return until.length === 0 ? null : Math.max(...until);
  }

  /** The sink took a message about these, as they were then: whoever fired on knows it fires, whoever was over is done with. */
  told(
    sink: string,
    group: { readonly firing: readonly string[]; readonly resolved: readonly string[] },
    nowMs: number,
  ) {
    for (const fingerprint of [...group.firing, ...group.resolved]) {
      const alert = this.#alerts.get(fingerprint);
      if (alert === undefined) continue;
      const others = alert.told.filter((each) => each.sink !== sink);
      const fires = group.firing.includes(fingerprint);
      this.#put({ ...alert, told: fires ? [...others, { sink, atMs: nowMs }] : others });
    }
    this.#sent.set(sink, nowMs);
    this.#version += 1;
  }

  announced(fingerprint: string): void {
    const alert = this.#alerts.get(fingerprint);
    if (alert !== undefined && !alert.isAnnounced) this.#put({ ...alert, isAnnounced: true });
  }

  saved(by: string): SavedAlerts {
    const sent = Array.from(this.#sent, ([sink, atMs]) => ({ sink, atMs }));
    return { v: 1, by, alerts: [...this.alerts], silences: [...this.#silences], sent };
  }

  list(nowMs: number): AlertList {
    return {
      v: 1,
      atMs: nowMs,
      alerts: [...this.alerts].sort(urgentFirst).map((alert) => listed(alert, this.silencedUntilMs(alert, nowMs))),
      silences: this.#silences.filter(({ untilMs }) => untilMs > nowMs),
    };
  }

  /** Takes over what an earlier leader kept, and adds what was heard meanwhile: of one alert, the newer word holds. */
  adopt(saved: SavedAlerts, nowMs: number): AlertChange[] {
    const mine = new Map(this.#alerts);
    this.#alerts.clear();
    for (const alert of saved.alerts) this.#alerts.set(alert.fingerprint, alert);
    this.#silences = [...saved.silences.filter(({ untilMs }) => untilMs > nowMs)];
    for (const { sink, atMs } of saved.sent) this.#sent.set(sink, atMs);
    return [...mine.values()].flatMap((own) => this.#addOwn(own));
  }

  #addOwn(own: AlertRecord): AlertChange[] {
    const kept = this.#alerts.get(own.fingerprint);
    if (kept === undefined || !isFiring(kept)) {
      const keptUntilMs = kept?.resolvedAtMs ?? 0;
      if (!isFiring(own) || own.sinceMs <= keptUntilMs) return [];
      // A4.
      if (kept === undefined && this.#alerts.size >= bookLimits.alerts) return [];
      return [this.#fire({ ...own, told: kept?.told ?? [] })];
    }
    if (!isFiring(own) && (own.resolvedAtMs ?? 0) > kept.heardAtMs) {
      const over = { ...kept, saidBy: [], resolvedAtMs: own.resolvedAtMs };
      this.#put(over);
      return [{ kind: "resolved", alert: over }];
    }
    const count = Math.max(kept.count, own.count);
    const saidBy = isFiring(own) ? [...new Set([...kept.saidBy, ...own.saidBy])] : kept.saidBy;
    this.#put({ ...kept, saidBy, count, heardAtMs: Math.max(kept.heardAtMs, own.heardAtMs) });
    return [];
  }

  #claim(claim: Claim, nowMs: number): AlertChange[] {
    const { by, name, advice, severity } = claim;
    const about = this.#placeFor(name, claim.about);
    const fingerprint = fingerprintOf(name, about);
    const known = this.#alerts.get(fingerprint);
    const heardAtMs = by === "event" ? nowMs : (known?.heardAtMs ?? 0);
    if (known !== undefined && isFiring(known)) return this.#repeat(known, claim, heardAtMs);
    if (known === undefined && this.#alerts.size >= bookLimits.alerts) return [];
    const { message, value, threshold } = claim;
    const what = { fingerprint, name, about, severity, message, value, threshold, advice, count: 1 };
    const when = { sinceMs: nowMs, resolvedAtMs: null, heardAtMs, saidBy: [by] };
    const intent = severity === "critical" ? `${fingerprint}@${nowMs}` : null;
    const told = known?.told ?? [];
    return [this.#fire({ ...what, ...when, intent, told, isAnnounced: false, acknowledged: null })];
  }

  /** A check knows figures, so its words stand before those of an event that says the same. */
  #repeat(known: AlertRecord, claim: Claim, heardAtMs: number): AlertChange[] {
    const { by, message, value, threshold, advice } = claim;
    const isNews = !known.saidBy.includes(by);
    const isWorse = claim.severity === "critical" && known.severity !== "critical";
    const severity = isWorse ? claim.severity : known.severity;
    const next = {
      ...known,
      severity,
      heardAtMs,
      saidBy: isNews ? [...known.saidBy, by] : known.saidBy,
      count: by === "event" ? known.count + 1 : known.count,
      intent: known.intent ?? (severity === "critical" ? `${known.fingerprint}@${known.sinceMs}` : null),
      ...(by === "check" || !known.saidBy.includes("check") ? { message, value, threshold, advice } : {}),
    };
    if (isWorse) return [this.#fire({ ...next, isAnnounced: false })];
    if (isNews) this.#put(next);
    else this.#alerts.set(known.fingerprint, next);
    return [];
  }

  #withdraw(fingerprint: string, by: "event" | "check", nowMs: number): AlertChange[] {
    const alert = this.#alerts.get(fingerprint);
    if (alert === undefined || !alert.saidBy.includes(by)) return [];
    const saidBy = alert.saidBy.filter((each) => each !== by);
    const next = { ...alert, saidBy, resolvedAtMs: saidBy.length === 0 ? nowMs : null };
    this.#put(next);
    return isFiring(next) ? [] : [{ kind: "resolved", alert: next }];
  }

  /** Nodes that are heard again, whose return no event told. */
  #returned({ nodes, atMs }: ClusterMetrics, nowMs: number): AlertChange[] {
    return this.alerts
      .filter((alert) => nodeAlerts.includes(alert.name) && isFiring(alert))
      .filter(({ about, heardAtMs }) =>
        nodes.some(
          ({ node, state, heartbeatAgeMs }) =>
            node === about && state === "running" && atMs - heartbeatAgeMs > heardAtMs + backAfterMs,
        ),
      )
      .flatMap(({ fingerprint }) => this.#withdraw(fingerprint, "event", nowMs));
  }

  #placeFor(name: string, about: string): string {
    if (this.#alerts.has(fingerprintOf(name, about))) return about;
    const subjects = this.alerts.filter((alert) => alert.name === name && isFiring(alert)).length;
    return subjects < bookLimits.subjectsOfName ? about : "(others)";
  }

  /** A5. */
  #bringBack(nowMs: number): void {
    const back = (atMs: number): number => Math.min(atMs, nowMs);
    for (const alert of this.alerts) {
      const { sinceMs, resolvedAtMs, heardAtMs, told } = alert;
      if (Math.max(sinceMs, resolvedAtMs ?? 0, heardAtMs, ...told.map(({ atMs }) => atMs)) <= nowMs) continue;
      this.#put({
        ...alert,
        sinceMs: back(sinceMs),
        resolvedAtMs: resolvedAtMs === null ? null : back(resolvedAtMs),
        heardAtMs: back(heardAtMs),
        told: told.map(({ sink, atMs }) => ({ sink, atMs: back(atMs) })),
      });
    }
    for (const [sink, atMs] of this.#sent) if (atMs > nowMs) this.#sent.set(sink, nowMs);
  }

  #forgetOld(nowMs: number): void {
    const over = this.alerts
      .filter((alert) => !isFiring(alert) && !isOwed(alert, nowMs))
      .sort((one, other) => (other.resolvedAtMs ?? 0) - (one.resolvedAtMs ?? 0));
    for (const { fingerprint } of over.slice(bookLimits.resolved)) this.#alerts.delete(fingerprint);
  }

  #keepSilences(silences: readonly Silence[]): void {
    if (silences.length === this.#silences.length && silences.every((each, at) => each === this.#silences[at])) return;
    this.#silences = [...silences];
    this.#version += 1;
  }

  #fire(alert: AlertRecord): AlertChange {
    this.#put(alert);
    return { kind: "fired", alert };
  }

  #put(alert: AlertRecord): void {
    this.#alerts.set(alert.fingerprint, alert);
    this.#version += 1;
  }
}

/** A sink believes that it fires, and has not been unreachable for so long that nobody waits for the news any more. */
function isOwed({ told, resolvedAtMs }: AlertRecord, nowMs: number): boolean {
  return told.length > 0 && nowMs - (resolvedAtMs ?? nowMs) < owedMs;
}

/** What fires before what is over, the worst first, then the newest. */
function urgentFirst(one: AlertRecord, other: AlertRecord): number {
  const rank = (alert: AlertRecord): number =>
    (isFiring(alert) ? 0 : severitySchema.options.length) + severitySchema.options.indexOf(alert.severity);
  return rank(one) - rank(other) || other.sinceMs - one.sinceMs;
}

function listed(alert: AlertRecord, silencedUntilMs: number | null): ListedAlert {
  const { fingerprint, name, severity, about, message, value, threshold, count } = alert;
  const { sinceMs, resolvedAtMs, acknowledged, advice, intent } = alert;
  const what = { fingerprint, name, severity, about, message, value, threshold, count, advice, intent };
  const state = isFiring(alert) ? "firing" : "resolved";
  return { ...what, state, sinceMs, resolvedAtMs, acknowledged, silencedUntilMs };
}
