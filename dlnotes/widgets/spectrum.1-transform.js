// SpectrumExplorer, first part: the fast Fourier transform of a real picture, and filters on its spectrum.

// ---- The transform. Numbers live in arrays that are made once; a frame allocates nothing.

const PLANS = new Map();
/** What a transform of length n (a power of two) needs: the bit-reversed order and the n/2 roots of unity. */
function plan(n) {
  if (PLANS.has(n)) return PLANS.get(n);
  const order = new Uint32Array(n), cos = new Float64Array(n / 2), sin = new Float64Array(n / 2);
  for (let i = 1; i < n; i++) order[i] = (order[i >> 1] >> 1) | (i & 1 ? n >> 1 : 0);
  for (let i = 0; i < n / 2; i++) { cos[i] = Math.cos((2 * Math.PI * i) / n); sin[i] = Math.sin((2 * Math.PI * i) / n); }
  const made = { n, order, cos, sin };
  PLANS.set(n, made);
  return made;
}

/** In-place transform of the n complex numbers from `at` (radix 2).
    With the parts exchanged, fft(im, re, ...), it is n times the inverse. */
function fft(re, im, at, { n, order, cos, sin }) {
  for (let i = 0; i < n; i++) {
    const j = order[i];
    if (j > i) {
      let t = re[at + i]; re[at + i] = re[at + j]; re[at + j] = t;
      t = im[at + i]; im[at + i] = im[at + j]; im[at + j] = t;
    }
  }
  for (let half = 1, stride = n >> 1; half < n; half <<= 1, stride >>= 1) {
    for (let start = at; start < at + n; start += 2 * half) {
      for (let k = 0; k < half; k++) {
        const c = cos[k * stride], s = sin[k * stride], p = start + k, q = p + half;
        const a = re[q] * c + im[q] * s, b = im[q] * c - re[q] * s;
        re[q] = re[p] - a; im[q] = im[p] - b;
        re[p] += a; im[p] += b;
      }
    }
  }
}

/** Half a spectrum of an h × w picture: columns kx = 0 ... w/2, each with its h values ky in one run (index kx * h + ky). */
const half = (h, w) => ({ re: new Float64Array(h * (w / 2 + 1)), im: new Float64Array(h * (w / 2 + 1)) });

/** Real picture -> half spectrum. Two rows share one complex transform: one is its real part, one its imaginary part. */
function forward(x, h, w, into = half(h, w)) {
  const { re, im } = into, a = new Float64Array(w), b = new Float64Array(w), row = plan(w), column = plan(h);
  for (let y = 0; y < h; y += 2) {
    for (let i = 0; i < w; i++) { a[i] = x[y * w + i]; b[i] = x[(y + 1) * w + i]; }
    fft(a, b, 0, row);
    for (let k = 0; k <= w / 2; k++) {
      const m = (w - k) % w, o = k * h + y;
      re[o] = (a[k] + a[m]) / 2; im[o] = (b[k] - b[m]) / 2;
      re[o + 1] = (b[k] + b[m]) / 2; im[o + 1] = (a[m] - a[k]) / 2;
    }
  }
  for (let k = 0; k <= w / 2; k++) fft(re, im, k * h, column);
  return into;
}

/** Half spectrum -> real picture; `re` and `im` are used up, `a` and `b` are scratch of length w. */
function inverse(re, im, h, w, out, a, b) {
  const row = plan(w), column = plan(h), scale = 1 / (h * w);
  for (let k = 0; k <= w / 2; k++) fft(im, re, k * h, column);
  for (let y = 0; y < h; y += 2) {
    for (let k = 0; k <= w / 2; k++) {
      const o = k * h + y, edge = k === 0 || k === w / 2; // these two columns of a real picture are real by now
      const c = re[o], d = edge ? 0 : im[o], e = re[o + 1], f = edge ? 0 : im[o + 1];
      a[k] = c - f; b[k] = d + e;
      if (!edge) { a[w - k] = c + f; b[w - k] = e - d; }
    }
    fft(b, a, 0, row);
    for (let i = 0; i < w; i++) { out[y * w + i] = a[i] * scale; out[(y + 1) * w + i] = b[i] * scale; }
  }
  return out;
}

/** |A| with the phase of B, on half spectra. */
function swap(A, B, h, w) {
  const made = half(h, w);
  for (let i = 0; i < made.re.length; i++) {
    const size = Math.hypot(A.re[i], A.im[i]), angle = Math.atan2(B.im[i], B.re[i]);
    made.re[i] = size * Math.cos(angle); made.im[i] = size * Math.sin(angle);
  }
  return made;
}

/** The factor for a frequency at distance r from zero: the same formulas as dlnotes.fourier.frequency_mask. */
function gain(r, { filter, edge, radius, width }) {
  if (filter === "none") return 1;
  const ideal = edge === "ideal";
  if (filter === "band") return ideal ? +(Math.abs(r - radius) <= width / 2) : Math.exp(-2 * ((r - radius) / width) ** 2);
  const low = ideal ? +(r <= radius) : Math.exp(-0.5 * (r / radius) ** 2);
  return filter === "low" ? low : 1 - low;
}

/** Gains for |ky| = 0 ... h/2 (rows) and |kx| = 0 ... w/2: a quarter of the mask, the rest is its mirror image. */
function quarter(h, w, settings, out = new Float64Array((h / 2 + 1) * (w / 2 + 1))) {
  for (let y = 0, i = 0; y <= h / 2; y++) {
    for (let x = 0; x <= w / 2; x++, i++) out[i] = gain(Math.sqrt(x * x + y * y), settings);
  }
  return out;
}

/** Read a half spectrum at any (ky, kx) of fft2's order: [re, im]. */
function at(S, h, w, ky, kx) {
  if (kx <= w / 2) return [S.re[kx * h + ky], S.im[kx * h + ky]];
  const o = (w - kx) * h + ((h - ky) % h);
  return [S.re[o], -S.im[o]];
}

/** Everything that is computed from the pictures, with its memory. `apply` is what a dragged radius costs. */
function engine(h, w) {
  const cells = h * (w / 2 + 1), work = half(h, w), a = new Float64Array(w), b = new Float64Array(w);
  const mask = new Float64Array((h / 2 + 1) * (w / 2 + 1)), power = new Float64Array(cells);
  const made = {
    h, w, mask, out: new Float64Array(h * w), source: null, total: 0, dc: 0, kept: 0, keptDc: 0, count: 0,
    /** Choose the half spectrum to filter. */
    use(S) {
      made.source = S;
      made.total = 0;
      for (let i = 0; i < cells; i++) {
        const twice = i >= h && i < cells - h ? 2 : 1; // columns that stand for their mirror image as well
        made.total += power[i] = twice * (S.re[i] * S.re[i] + S.im[i] * S.im[i]);
      }
      made.dc = power[0];
    },
    apply(settings) {
      const { re, im } = made.source, stride = w / 2 + 1;
      quarter(h, w, settings, mask);
      let kept = 0, count = 0;
      for (let k = 0, i = 0; k <= w / 2; k++) {
        const twice = k > 0 && k < w / 2 ? 2 : 1;
        for (let y = 0; y < h; y++, i++) {
          const g = mask[(y <= h / 2 ? y : h - y) * stride + k];
          work.re[i] = re[i] * g; work.im[i] = im[i] * g;
          kept += power[i] * g * g;
          if (g >= 0.5) count += twice;
        }
      }
      made.kept = kept; made.keptDc = power[0] * mask[0] * mask[0]; made.count = count;
      inverse(work.re, work.im, h, w, made.out, a, b);
    },
  };
  return made;
}
