// What `driftmend leases` shows: the records of this host's owners, and what the cluster tells.

import test from "ava";
import { plain } from "../../operations/terminal/colours.js";
import { renderLeases } from "../../operations/terminal/leases.js";
import { leaseList } from "../../operations/verbs/leases.js";
import { noLeases } from "../../transport/tensors/segment-leases.js";
import type { SeenOwner } from "../../transport/tensors/segment-sweep.js";
import { figuresOf } from "./metrics/cluster-figures.js";

const lease = {
  file: "7-1/f",
  bytes: 100 * 2 ** 20,
  about: "digits/r1",
  state: "handed_over" as const,
  createdAtMs: 9_000,
  expiresAtMs: 12_500,
};
const pool = { leased: 1, spare: 0, leasedBytes: 100 * 2 ** 20, spareBytes: 0, made: 1 };
const owner = (status: SeenOwner["status"], leases: (typeof lease)[]): SeenOwner => {
  const record = {
    v: 1,
    pid: 7,
    started: "1",
    namespaces: "",
    owner: "client\u001b[2J",
    atMs: 0,
    leases,
    totals: noLeases,
    pool,
  } as const;
  return { name: "7-1", status, record: { ...record, leases: [...leases] } };
};

test("each lease is shown with its owner, what it is for, its state and age; one of a dead owner as abandoned (S2-19)", (t) => {
  const seen = {
    directory: "ours",
    owners: [owner("alive", [lease]), owner("dead", [{ ...lease, createdAtMs: 4_000 }])],
    foreign: 1,
  } as const;
  const list = leaseList("c", "/dev/shm", seen, undefined, 10_000);
  t.deepEqual(renderLeases(list, 120, plain).split("\n"), [
    "  owner       pid      bytes  state          age  ends in  for",
    "  client\uFFFD[2J    7  100.0 MiB  abandoned    6.0 s    2.5 s  digits/r1",
    "  client\uFFFD[2J    7  100.0 MiB  handed over  1.0 s    2.5 s  digits/r1",
    "  not judged from here: 1 owner",
    "",
    "  nobody tells how many there were: no operations node answers",
  ]);
  t.like(list, { totals: null, shm: { poolBytes: 200 * 2 ** 20 } });
});

test("after idle there is none, and the totals say where they went (S2-19, S2-20)", (t) => {
  const figures = figuresOf();
  const counters = {
    tensor_leases_created: 3,
    tensor_leases_handed_over: 3,
    tensor_leases_confirmed: 2,
    tensor_leases_released: 2,
    tensor_leases_expired: 1,
  };
  const list = leaseList(
    "c",
    "/dev/shm",
    { directory: "ours", owners: [], foreign: 0 },
    { ...figures, counters },
    10_000,
  );
  t.deepEqual(list.totals, { created: 3, handedOver: 3, confirmed: 2, released: 2, expired: 1, swept: 0 });
  t.deepEqual(list.leases, []);
  const text = renderLeases(list, 120, plain);
  t.regex(text, /^ {2}no large tensor is leased on this host \(\/dev\/shm\)\n/);
  t.regex(text, /serving-1 sees 1 lease of 95\.4 MiB on its host, the oldest 20 ms old; its pools hold 190\.7 MiB\n/);
  t.regex(text, /so far 3 created, 3 handed over, 2 confirmed, 2 released, 1 expired, 0 swept$/);
});
