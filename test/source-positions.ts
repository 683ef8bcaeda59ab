// Loaded into every thread of `npm test` before its test file: failures name the sources, and no map is read where nothing fails.

import { nameSources } from "../models/source-positions.js";

process.setSourceMapsEnabled(false);
nameSources();
