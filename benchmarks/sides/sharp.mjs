// sharp's side of the benchmark: shrink-on-load, one decode for each photo, several photos at a time.
//
// Reads commands from stdin and answers each with one line of JSON; see ../compare.py.
// Arguments: file with the photos' paths, targets as JSON [[key, width, quality], …] from large to small, WebP effort,
// folder with sharp in its node_modules.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';

const [listFile, targetsJson, effort, home] = process.argv.slice(2);
const sharp = createRequire(path.join(home, 'package.json'))('sharp');
const photos = fs.readFileSync(listFile, 'utf8').trimEnd().split('\n');
const targets = JSON.parse(targetsJson);

const PHOTOS_AT_A_TIME = 3; // one more than cores: the third fills the pauses of the event loop
sharp.concurrency(1); // on two cores, several photos at a time beat several threads on one photo
sharp.cache(false);

const raw = (pipeline) => pipeline.raw().toBuffer({ resolveWithObject: true });

function isOpaque({ data, info }) {
  if (info.channels !== 4 && info.channels !== 2) return true;
  for (let at = info.channels - 1; at < data.length; at += info.channels) if (data[at] !== 255) return false;
  return true;
}

async function render(photo) {
  const source = await fs.promises.readFile(photo);
  const outputs = [];
  let current = null;
  let opaque = true;
  for (const [key, width, quality] of targets) {
    const input = current ? sharp(current.data, { raw: current.info }) : sharp(source).autoOrient();
    const first = current === null;
    current = await raw(input.resize({ width, withoutEnlargement: true }));
    if (first) {
      opaque = isOpaque(current);
      if (opaque && current.info.channels % 2 === 0) {
        current = await raw(sharp(current.data, { raw: current.info }).removeAlpha());
      }
    }
    const { width: w, height: h, channels } = current.info;
    current.info = { width: w, height: h, channels };
    const picture = sharp(current.data, { raw: current.info });
    outputs.push([`${key}.webp`, await picture.clone().webp({ quality, effort: Number(effort) }).toBuffer()]);
    outputs.push(
      opaque
        ? [`${key}.jpeg`, await picture.clone().jpeg({ quality }).toBuffer()]
        : [`${key}.png`, await picture.clone().png().toBuffer()],
    );
  }
  return outputs;
}

async function run(folder) {
  let next = 0;
  let bytes = 0;
  const worker = async () => {
    while (next < photos.length) {
      const photo = photos[next++];
      for (const [ending, data] of await render(photo)) {
        bytes += data.length;
        if (folder) fs.writeFileSync(path.join(folder, `${path.basename(photo)}.${ending}`), data);
      }
    }
  };
  const began = process.hrtime.bigint();
  const before = process.cpuUsage();
  await Promise.all(Array.from({ length: PHOTOS_AT_A_TIME }, worker));
  const cpu = process.cpuUsage(before);
  return { seconds: Number(process.hrtime.bigint() - began) / 1e9, cpu_seconds: (cpu.user + cpu.system) / 1e6, bytes };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await run(line.trim())));
}
