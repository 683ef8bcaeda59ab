// Where a server that is started may listen: pure.

import test from "ava";
import { type ListeningOptions, refusalOf } from "../../operations/cluster/listening.js";
import { listenAddress } from "../../operations/verbs/flags.js";

const old = "nats-server: v2.9.10";
const sound = "nats-server: v2.11.16";
const everywhere = { host: "0.0.0.0", port: 4222 };
const tls = { certFile: "c.pem", keyFile: "k.pem" };

test("on loopback any server may listen, with TLS or without", (t) => {
  for (const listen of [
    undefined,
    { host: "127.0.0.1", port: 4222 },
    { host: "localhost", port: 1 },
    { host: "::1", port: 0 },
  ])
    t.is(refusalOf(listen === undefined ? {} : { listen }, old), undefined);
});

test("beyond loopback a server with known holes is refused by name, unless they are accepted; so is one without TLS (S2-65)", (t) => {
  const cases: readonly (readonly [ListeningOptions, string, RegExp | undefined])[] = [
    [
      { listen: everywhere, tls },
      old,
      /--listen 0\.0\.0\.0:4222 is beyond loopback.*v2\.9\.10 has 3 known holes.*CVE-2025-30215/,
    ],
    [{ listen: everywhere, tls }, "", /known holes/],
    [{ listen: everywhere, tls, acceptKnownHoles: true }, old, undefined],
    [{ listen: everywhere, acceptKnownHoles: true }, old, /passwords and data can be read/],
    [{ listen: everywhere, acceptKnownHoles: true, plaintext: true }, old, undefined],
    [{ listen: everywhere, plaintext: true }, old, /known holes/],
    [{ listen: everywhere, tls }, sound, undefined],
    [{ listen: everywhere }, sound, /passwords and data can be read/],
    [{ listen: everywhere, plaintext: true }, sound, undefined],
    [{ listen: { host: "::", port: 4222 } }, sound, /--listen \[::\]:4222/],
  ];
  for (const [options, version, words] of cases) {
    const refusal = refusalOf(options, version);
    if (words === undefined) t.is(refusal, undefined, JSON.stringify(options));
    else {
      t.regex(refusal?.message ?? "", words);
      t.regex(refusal?.next ?? "", /--accept-known-holes|--plaintext/);
    }
  }
});

test("--listen takes a host with or without a port", (t) => {
  t.deepEqual(listenAddress("0.0.0.0"), everywhere);
  t.deepEqual(listenAddress("10.0.0.5:4300"), { host: "10.0.0.5", port: 4300 });
  t.deepEqual(listenAddress("[::1]:4300"), { host: "::1", port: 4300 });
  t.deepEqual(listenAddress("::"), { host: "::", port: 4222 });
  t.deepEqual(listenAddress("nats.example"), { host: "nats.example", port: 4222 });
  for (const wrong of ["", "a b", "host:port", "http://x"]) t.throws(() => listenAddress(wrong), undefined, wrong);
});
