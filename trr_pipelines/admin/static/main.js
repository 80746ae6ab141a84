import * as crop from "./crop.js";
import * as offscreenTiles from "./offscreen-tiles.js";
import * as lightbox from "./lightbox.js";
import * as loading from "./loading.js";
import * as original from "./original.js";
import * as selection from "./selection.js";
import * as stars from "./stars.js";
import * as views from "./views.js";

for (const part of [loading, offscreenTiles, stars, lightbox, selection, crop, original, views]) part.start();
