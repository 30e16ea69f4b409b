// Restoring a picture of any size with a model of one size: compress/elir/tiles.py and restore.py, for a browser.
// The same picture, noise and model give the same pixels there and here, but for the runtime's own rounding.

const GRID = 32, LATENT = 8, TINY = 1e-6;
const f = Math.fround;

export const roundedUp = (size) => Math.ceil(size / GRID) * GRID;

// A tile off the grid belongs to a model that pads its tiles itself, to `taken`: what its noise is for.
export function planAxis(size, tile, overlap) {
  const padded = tile + roundedUp(Math.max(0, size - tile)), taken = roundedUp(tile);
  const step = Math.floor((tile - overlap) / GRID) * GRID, starts = [];
  for (let start = 0; start < padded - tile; start += step) starts.push(start);
  return { size, tile, taken, padded, starts: [...starts, padded - tile] };
}

// Index of the sample that each padded one mirrors.
export function source(axis, unit = 1) {
  const inside = unit === 1 ? axis.size : roundedUp(axis.size) / unit, period = 2 * (inside - 1);
  const length = unit === 1 ? axis.padded : (axis.padded - axis.tile + axis.taken) / unit;
  return Int32Array.from({ length }, (_, i) => {
    const at = period ? i % period : 0;
    return at < inside ? at : period - at;
  });
}

// The same for a picture `scale` times smaller, which is padded before it is enlarged: its last sample is repeated.
function reduced({ size, padded }, scale) {
  if (scale === 1) return source({ size, padded });
  const inside = size / scale;
  return Int32Array.from({ length: padded / scale }, (_, i) => {
    const at = i % (2 * inside);
    return at < inside ? at : 2 * inside - 1 - at;
  });
}

// Weight of each sample of each tile; they sum to one wherever tiles overlap.
export function weights(axis) {
  const { starts, tile, padded } = axis;
  const ofEach = starts.map(() => new Float64Array(tile).fill(1)), total = new Float64Array(padded);
  for (let i = 0; i + 1 < starts.length; i++) {
    const shared = starts[i] + tile - starts[i + 1];
    for (let j = 0; j < shared; j++) {
      const at = Math.min(1, Math.max(0, ((j + 0.5) / shared) * 2 - 0.5));
      const ramp = Math.max(0.5 - 0.5 * Math.cos(Math.PI * at), TINY);
      ofEach[i][tile - 1 - j] *= ramp;
      ofEach[i + 1][j] *= ramp;
    }
  }
  starts.forEach((start, i) => ofEach[i].forEach((w, j) => { total[start + j] += w; }));
  return starts.map((start, i) => Float32Array.from(ofEach[i], (w, j) => w / total[start + j]));
}

// --- enlarging as Pillow does: bicubic (a = -0.5), 22-bit integers, rows first ----------------------------------

const BITS = 22;

function bicubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

function kernel(size, scale) {
  return Array.from({ length: size * scale }, (_, out) => {
    const center = (out + 0.5) / scale;
    const first = Math.max(0, Math.trunc(center - 1.5)), end = Math.min(size, Math.trunc(center + 2.5));
    const taps = Array.from({ length: end - first }, (_, i) => bicubic(i + first - center + 0.5));
    const sum = taps.reduce((x, y) => x + y, 0);
    return { first, taps: taps.map((tap) => Math.trunc((tap / sum) * 2 ** BITS + (tap < 0 ? -0.5 : 0.5))) };
  });
}

// One direction of (height, width, 3) bytes: along x, or, with rows and columns changed over, along y.
function stretched(bytes, lines, size, scale, lineStep, step, outLineStep, outStep) {
  const out = new Uint8ClampedArray(bytes.length * scale), taps = kernel(size, scale);
  for (let line = 0; line < lines; line++) {
    taps.forEach(({ first, taps: own }, at) => {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 2 ** (BITS - 1);
        for (let i = 0; i < own.length; i++) sum += bytes[line * lineStep + (first + i) * step + channel] * own[i];
        out[line * outLineStep + at * outStep + channel] = Math.floor(sum / 2 ** BITS);
      }
    });
  }
  return out;
}

export function enlarge({ data, width, height }, scale) {
  if (scale === 1) return { data, width, height };
  const wide = stretched(data, height, width, scale, 3 * width, 3, 3 * width * scale, 3);
  const row = 3 * width * scale;
  return { data: stretched(wide, width * scale, height, scale, 3, row, 3, row), width: width * scale, height: height * scale };
}

// --- tiles -------------------------------------------------------------------------------------------------------

// picture {data (height, width, 3) bytes, width, height}, already enlarged unless the model takes images and does so;
// noise (16, h/8, w/8) floats of the enlarged picture, rounded up to 32 px, or, for a model that holds its noise, a seed,
// a whole number in [0, 2 ** 24); run(lq or image, noise or seed) -> hq
// -> {data, width, height}.
export async function restore(picture, noise, { tile, overlap, images, scale }, run, onTile) {
  const [tileHeight, tileWidth] = tile, factor = images ? scale : 1;
  const size = { width: picture.width * factor, height: picture.height * factor }, { width, height } = size;
  const rows = planAxis(height, tileHeight, overlap), columns = planAxis(width, tileWidth, overlap);
  const sum = new Float32Array(3 * width * height), total = rows.starts.length * columns.starts.length;
  const down = weights(rows), across = weights(columns);
  const window = typeof noise === "number" ? seedReader(noise) : noiseReader(noise, rows, columns);
  const read = images ? imageReader(picture, rows, columns, scale) : planesReader(picture, rows, columns);
  let done = 0;
  for (const [i, top] of rows.starts.entries()) {
    for (const [j, left] of columns.starts.entries()) {
      const hq = await run(read(top, left), window(top, left));
      check(hq.every(Number.isFinite), "the model gives NaN or infinity");
      add(sum, size, hq, { top, left, tileHeight, tileWidth }, down[i], across[j]);
      onTile(++done, total);
    }
  }
  const data = Uint8ClampedArray.from(sum, (v) => Math.floor(f(f(Math.min(1, Math.max(0, v)) * 255) + 0.5)));
  return { data, width, height };
}

function check(holds, mistake) {
  if (!holds) throw new Error(mistake);
}

// (height, width, 3) bytes -> (3, height, width) floats in [0, 1].
export function planes(bytes) {
  const size = bytes.length / 3;
  return Float32Array.from({ length: bytes.length }, (_, i) => bytes[3 * (i % size) + Math.floor(i / size)] / 255);
}

function imageReader({ data, width }, rows, columns, scale) {
  const y = reduced(rows, scale), x = reduced(columns, scale), [h, w] = [rows.tile / scale, columns.tile / scale];
  return (top, left) => {
    const image = new Uint8Array(3 * h * w);
    for (let i = 0, at = 0; i < h; i++) {
      for (let j = 0; j < w; j++) {
        const from = 3 * (y[top / scale + i] * width + x[left / scale + j]);
        for (let c = 0; c < 3; c++) image[at++] = data[from + c];
      }
    }
    return image;
  };
}

function planesReader({ data, width }, rows, columns) {
  const y = source(rows), x = source(columns), [h, w] = [rows.tile, columns.tile];
  return (top, left) => {
    const lq = new Float32Array(3 * h * w);
    for (let c = 0, at = 0; c < 3; c++) {
      for (let i = 0; i < h; i++) {
        for (let j = 0; j < w; j++) lq[at++] = data[3 * (y[top + i] * width + x[left + j]) + c] / 255;
      }
    }
    return lq;
  };
}

// Seeds with which all tiles take their parts of one noise: its rows and columns, and what is added to a seed for the
// next row and the next column.
const ROWS = 127, COLUMNS = 128, ROW_STEP = 2944, COLUMN_STEP = 12319;

function seedReader(seed) {
  check(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 24, "the seed must be a whole number in [0, 16777215]");
  return (top, left) => {
    const at = seed + (top / LATENT) * ROW_STEP + (left / LATENT) * COLUMN_STEP;
    return BigInt64Array.of(BigInt(at % (ROWS * COLUMNS)));
  };
}

function noiseReader(noise, rows, columns) {
  const size = 16 * (roundedUp(columns.size) / LATENT) * (roundedUp(rows.size) / LATENT);
  check(noise.length === size, "the noise has another size");
  check(noise.every(Number.isFinite), "the noise holds NaN or infinity");
  const v = source(rows, LATENT), u = source(columns, LATENT), [h, w] = [rows.taken, columns.taken];
  const noiseWidth = roundedUp(columns.size) / LATENT, noiseSize = noiseWidth * (roundedUp(rows.size) / LATENT);
  return (top, left) => {
    const window = new Float32Array((16 * h * w) / LATENT ** 2);
    for (let c = 0, at = 0; c < 16; c++) {
      for (let i = 0; i < h / LATENT; i++) {
        const start = c * noiseSize + v[top / LATENT + i] * noiseWidth;
        for (let j = 0; j < w / LATENT; j++) window[at++] = noise[start + u[left / LATENT + j]];
      }
    }
    return window;
  };
}

function add(sum, { width, height }, hq, { top, left, tileHeight, tileWidth }, down, across) {
  const bottom = Math.min(height, top + tileHeight), right = Math.min(width, left + tileWidth);
  for (let c = 0; c < 3; c++) {
    for (let i = top; i < bottom; i++) {
      for (let j = left; j < right; j++) {
        const weight = f(down[i - top] * across[j - left]);
        sum[3 * (i * width + j) + c] += f(hq[(c * tileHeight + i - top) * tileWidth + j - left] * weight);
      }
    }
  }
}
