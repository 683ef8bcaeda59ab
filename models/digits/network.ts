// The digits network: three convolutions, one linear layer to the embedding, one linear head; 57,000 weights.
//
// Owns: its sizes. Does not own: training (models/digits/train.ts), the graphs it becomes (models/adoption/graph.ts).

export const inputName = "input";
export const eps = 1e-5;
/** [inputs, channels] of each 3 x 3 convolution, followed by normalisation, ReLU and a 2 x 2 maximum. */
export const convolutions = [
  [1, 16],
  [16, 32],
  [32, 64],
] as const;
/** What is left of 28 x 28 after three halvings, times the channels. */
export const features = 3 * 3 * 64;
export const width = 64;
export const labels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
export const classes = labels.length;
