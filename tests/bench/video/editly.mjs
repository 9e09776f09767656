// The reference video with editly: zooms, cross-fades, a line of captions at a time (it lights no words).
//   node editly.mjs SPEC.json   where SPEC holds out, sound and scenes of {image, seconds, lines}
import { readFileSync } from 'node:fs';
import editly from 'editly';

const spec = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const last = spec.scenes.length - 1;
await editly({
  outPath: spec.out, width: 1080, height: 1920, fps: 30, audioFilePath: spec.sound,
  defaults: { transition: { name: 'fade', duration: 0.4 } },
  clips: spec.scenes.map(({ image, seconds, lines }, n) => ({
    duration: seconds + (n < last ? 0.4 : 0),
    layers: [
      { type: 'image', path: image, zoomDirection: 'in', zoomAmount: 0.15 },
      ...lines.map(({ text, start, stop }) => ({ type: 'subtitle', text, start, stop })),
    ],
  })),
  customOutputArgs: ['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '21', '-pix_fmt', 'yuv420p', '-c:a', 'aac',
    '-movflags', '+faststart'],
});
