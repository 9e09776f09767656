// sharp makes the five usual thumbnails of every picture in a folder, as `examples/thumbs.rs` does with ours.
//   node bench.mjs best|naive|start DIR OUT REPEAT [jpeg|webp|avif]
// best: one decode, shrunk while loading to just cover the largest size, to raw pixels; the five from those.
// naive: a pipeline from the file for each size. start: loads sharp and ends.
import { readdirSync } from 'node:fs';
import { join, parse } from 'node:path';
import sharp from 'sharp';

sharp.cache(false);
sharp.concurrency(1);

const sizes = [
  { name: '1080x1920', width: 1080, height: 1920, fit: 'cover' },
  { name: '720x720', width: 720, height: 720, fit: 'cover' },
  { name: '480x480', width: 480, height: 480, fit: 'cover' },
  { name: '320w', width: 320, withoutEnlargement: true },
  { name: '150x150', width: 150, height: 150, fit: 'cover' },
];
const [mode, folder, out, repeat, format = 'jpeg'] = process.argv.slice(2);
// the peer's own defaults but for JPEG, where 80 is also ours
const options = { jpeg: { quality: 80 }, webp: { quality: 75 }, avif: { quality: 50 } }[format];

async function sources(path) {
  if (mode === 'naive') return () => sharp(path).autoOrient();
  const covering = { width: 1080, height: 1920, fit: 'outside', withoutEnlargement: true };
  const { data, info } = await sharp(path).autoOrient().resize(covering).raw().toBuffer({ resolveWithObject: true });
  const raw = { width: info.width, height: info.height, channels: info.channels };
  return () => sharp(data, { raw });
}

let photos = 0;
let bytes = 0;
for (const file of mode === 'start' ? [] : readdirSync(folder).sort()) {
  try {
    for (let round = 0; round < Number(repeat); round++) {
      const source = await sources(join(folder, file));
      for (const { name, ...size } of sizes) {
        const path = join(out, `${parse(file).name}.${name}.${format}`);
        const made = await source().resize(size).flatten({ background: '#fff' }).toFormat(format, options).toFile(path);
        if (round === 0) bytes += made.size;
      }
    }
    photos += 1;
  } catch (error) {
    console.log(`${file}: ${error.message}`);
  }
}
console.log(`${photos} photos, ${bytes} bytes`);
