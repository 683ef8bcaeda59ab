// The model as an action of a moleculer service over NATS: one node serves, another calls.
//
// Owns: moleculer as far as the comparison needs it. Does not own: the model (runner.ts), the NATS server.
//
// Its serializer is the one it ships with, JSON, so a picture travels as base64 of its bytes, which is the least JSON can make of it.
import { ServiceBroker } from "moleculer";
import type { Call, Serve } from "./peer.js";
import { type Answer, bytesOf, pictureIn } from "./runner.js";

interface Params {
  readonly d: string;
}

function brokerAs(nodeID: string, natsUrl: string): ServiceBroker {
  return new ServiceBroker({ nodeID, transporter: natsUrl, logger: false, skipProcessEventRegistration: true });
}

export const serveMoleculer: Serve = async (runner, { natsUrl, name }) => {
  const broker = brokerAs(`${name.replaceAll(/\W/g, "-")}-server`, natsUrl);
  const service = name.replaceAll(/\W/g, "-");
  broker.createService({
    name: service,
    actions: {
      infer: ({ params }: { readonly params: Params }) => runner.infer(pictureIn(Buffer.from(params.d, "base64"))),
    },
  });
  await broker.start();
  return service;
};

export const callMoleculer: Call = async (service, { natsUrl, pictures }) => {
  const broker = brokerAs(`${service}-caller`, natsUrl);
  await broker.start();
  await broker.waitForServices(service);
  const requests = pictures.map((picture): Params => ({ d: Buffer.from(bytesOf(picture)).toString("base64") }));
  return {
    ask: (picture, done) => {
      broker.call<Answer, Params>(`${service}.infer`, requests[picture] ?? { d: "" }).then(done, () => done(undefined));
    },
    close: () => broker.stop(),
  };
};
