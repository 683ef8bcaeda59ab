// The digits' views: what may have happened to the picture of one sign on an empty ground, undone.
//
// Owns: the list. A view is named after what it does; each one brings the centre of ink to the middle, as digits have it from their making.
// Coarse on purpose: the network forgives what is left, and every view costs a pass while a new drift is surveyed.
import type { View } from "../views.js";

const radians = (degrees: number): number => (degrees * Math.PI) / 180;
const rounded = (value: number): number => Number(value.toFixed(6));

function turned(name: string, degrees: number): View {
  const [cos, sin] = [rounded(Math.cos(radians(degrees))), rounded(Math.sin(radians(degrees)))];
  return centred(name, [cos, sin, -sin, cos]);
}

function centred(name: string, matrix: View["matrix"]): View {
  return { name, matrix, centred: true, inverted: false };
}

export const pictureViews: readonly View[] = [
  centred("centred", [1, 0, 0, 1]),
  turned("turned-25", 25),
  turned("turned-50", 50),
  turned("turned-back-25", -25),
  turned("turned-back-50", -50),
  centred("larger", [rounded(1 / 1.4), 0, 0, rounded(1 / 1.4)]),
  centred("twice-as-large", [0.5, 0, 0, 0.5]),
  centred("sheared-06", [1, 0.6, 0, 1]),
  centred("sheared-12", [1, 1.2, 0, 1]),
  centred("sheared-back-06", [1, -0.6, 0, 1]),
  centred("sheared-back-12", [1, -1.2, 0, 1]),
  centred("wider", [rounded(1 / 1.7), 0, 0, 1]),
  centred("narrower", [rounded(1 / 0.6), 0, 0, 1]),
  centred("taller", [1, 0, 0, rounded(1 / 1.7)]),
  centred("flatter", [1, 0, 0, rounded(1 / 0.6)]),
  { name: "inverted", matrix: [1, 0, 0, 1], centred: false, inverted: true },
];
