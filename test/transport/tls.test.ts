// TLS between connections and the real server, with certificates that openssl makes for the test.

import { writeFile } from "node:fs/promises";
import anyTest, { type TestFn } from "ava";
import { AccessError, prepareListening } from "../../operations/cluster/listening.js";
import { systemClock } from "../../supervision/clock.js";
import { identityOf } from "../../transport/access/credentials.js";
import type { Tls } from "../../transport/access/tls-files.js";
import { ConnectError, connectBus } from "../../transport/bus/bus.js";
import { withTimeouts } from "../../transport/timeouts.js";
import { type Certificates, makeCertificates } from "./certificates.js";
import { type Cluster, startCluster } from "./fixture.js";

const test = anyTest as TestFn<{ certificates: Certificates; plain: Cluster; asking: Cluster }>;

test.before(async (t) => {
  const certificates = await makeCertificates();
  const { at } = certificates;
  const tls = { certFile: at("server.pem"), keyFile: at("server.key"), caFile: at("ca.pem") };
  const start = async (verify: boolean): Promise<Cluster> => {
    const own = { certFile: at("client.pem"), keyFile: at("client.key") };
    const listening = await prepareListening({ tls: { ...tls, verify }, own }, "2.9.10", systemClock.nowMs());
    return startCluster(listening);
  };
  t.context = { certificates, plain: await start(false), asking: await start(true) };
});
test.after.always(async (t) => {
  await t.context.plain.end();
  await t.context.asking.end();
  await t.context.certificates.remove();
});

/** Undefined when the connection came about. */
async function failure({ broker, credentials }: Cluster, tls: Tls | undefined, host = "127.0.0.1", connect = 20_000) {
  const { port } = new URL(broker.url);
  try {
    const bus = await connectBus({
      url: `nats://${host}:${port}`,
      ...identityOf(credentials.client),
      name: "tls-test",
      clock: systemClock,
      timeouts: withTimeouts({ connect }),
      ...(tls === undefined ? {} : { tls }),
    });
    await bus.close();
    return undefined;
  } catch (error) {
    if (error instanceof ConnectError) return error;
    throw error;
  }
}

test("whoever trusts the server's authority gets in, by every name of the certificate (S2-65)", async (t) => {
  const { plain, certificates } = t.context;
  const caFile = certificates.at("ca.pem");
  t.is(await failure(plain, { caFile }), undefined);
  t.is(await failure(plain, { caFile }, "localhost"), undefined);
  const bus = await plain.bus("node");
  t.true(await bus.flush(), "the cluster's own connections are among them");
});

test("each thing that is wrong with certificates is one sentence that names it (S2-65)", async (t) => {
  const { plain, certificates } = t.context;
  const { at } = certificates;
  await writeFile(at("words.pem"), "no certificate\n");
  const wrong: readonly (readonly [Tls | undefined, RegExp])[] = [
    [undefined, /not signed by the system's authorities; give its authority with --tls-ca/],
    [{ caFile: at("other.pem") }, /not signed by .*other\.pem/],
    [{ caFile: at("absent.pem") }, /there is no .*absent\.pem/],
    [{ caFile: at("words.pem") }, /words\.pem is no certificate/],
    [{ caFile: at("ca.pem"), certFile: at("client.pem") }, /a certificate and its key go together/],
    [
      { caFile: at("ca.pem"), certFile: at("client.pem"), keyFile: at("server.key") },
      /server\.key is not the key of .*client\.pem/,
    ],
    [{ caFile: at("ca.pem"), certFile: at("client.pem"), keyFile: at("words.pem") }, /words\.pem is no private key/],
  ];
  for (const [tls, words] of wrong) {
    const error = await failure(plain, tls);
    t.is(error?.why, "untrusted");
    t.regex(error?.message ?? "", words);
    t.false(/\n/.test(error?.message ?? ""));
  }
});

test("a server whose certificate is over, or for another name, is not trusted (S2-65)", async (t) => {
  const { at } = t.context.certificates;
  for (const [name, words] of [
    ["expired", /has expired/],
    ["elsewhere", /is for another name/],
  ] as const) {
    const tls = { certFile: at(`${name}.pem`), keyFile: at("server.key") };
    // A server is started with it without a look at the files, as somebody else's might be.
    const error = await t.throwsAsync(startCluster({ tls, trust: { caFile: at("ca.pem") }, timeouts: quick }));
    t.regex(`${error?.message}`, words, name);
  }
});

const quick = withTimeouts({ brokerReady: 2_000 });

test("a server that asks for certificates lets in who has one of its authority, and nobody else (S2-65)", async (t) => {
  const { asking, certificates } = t.context;
  const { at } = certificates;
  const caFile = at("ca.pem");
  t.is(await failure(asking, { caFile, certFile: at("client.pem"), keyFile: at("client.key") }), undefined);
  for (const tls of [{ caFile }, { caFile, certFile: at("self.pem"), keyFile: at("self.key") }]) {
    const error = await failure(asking, tls, "127.0.0.1", 1_000);
    t.truthy(error);
    t.regex(error?.message ?? "", /--tls-cert/);
  }
});

test("TLS asked of a server that speaks none is a sentence, not a plain connection (S2-65)", async (t) => {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const error = await failure(cluster, { caFile: t.context.certificates.at("ca.pem") });
  t.is(error?.why, "untrusted");
  t.regex(error?.message ?? "", /speaks no TLS/);
});

test("certificates that cannot work are refused before anything runs (S2-65)", async (t) => {
  const { at } = t.context.certificates;
  const now = systemClock.nowMs();
  const refused: readonly (readonly [Parameters<typeof prepareListening>[0], RegExp])[] = [
    [{ tls: { certFile: at("expired.pem"), keyFile: at("server.key") } }, /expired\.pem expired at/],
    [{ tls: { certFile: at("server.pem"), keyFile: at("client.key") } }, /client\.key is not the key of/],
    [{ tls: { certFile: at("absent.pem"), keyFile: at("server.key") } }, /there is no .*absent\.pem/],
    [{ tls: { certFile: at("elsewhere.pem"), keyFile: at("server.key") } }, /is for none of 127\.0\.0\.1, localhost/],
    [
      { tls: { certFile: at("server.pem"), keyFile: at("server.key"), caFile: at("other.pem") } },
      /not signed by .*other\.pem/,
    ],
    [{ tls: { certFile: at("server.pem"), keyFile: at("server.key"), verify: true } }, /--tls-verify needs/],
  ];
  for (const [options, words] of refused)
    await t.throwsAsync(prepareListening(options, "2.14.3", now), { instanceOf: AccessError, message: words });
});

test("a certificate that signed itself is its own authority", async (t) => {
  const { at } = t.context.certificates;
  const tls = { certFile: at("self.pem"), keyFile: at("self.key") };
  const listening = await prepareListening({ tls }, "2.9.10", systemClock.nowMs());
  t.deepEqual(listening.trust, { caFile: at("self.pem") });
  t.is(listening.reach, "127.0.0.1");
});
