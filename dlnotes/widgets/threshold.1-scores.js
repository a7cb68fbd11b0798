// Scores in 8 bits and a mask: counts at a threshold, the curves of all thresholds, and targets matched by their centroids.

/** Pixels of both kinds at every score from 0 to 255. */
function tally(score, mask) {
  const positive = new Float64Array(256), negative = new Float64Array(256);
  for (let i = 0; i < score.length; i++) (mask[i] ? positive : negative)[score[i]]++;
  return { positive, negative };
}

/**
 * True and false positives at the levels 256 (nothing is said), 255, ... 0 (everything is), and both areas.
 * A pixel is called foreground where its score is at least the level.
 */
function curves({ positive, negative }) {
  const tp = new Float64Array(257), fp = new Float64Array(257);
  for (let k = 1; k <= 256; k++) {
    tp[k] = tp[k - 1] + positive[256 - k];
    fp[k] = fp[k - 1] + negative[256 - k];
  }
  const P = tp[256], N = fp[256];
  let roc = 0, ap = 0;
  for (let k = 1; k <= 256; k++) {
    roc += ((fp[k] - fp[k - 1]) / N) * ((tp[k] + tp[k - 1]) / (2 * P));
    if (tp[k] > tp[k - 1]) ap += ((tp[k] - tp[k - 1]) / P) * (tp[k] / (tp[k] + fp[k]));
  }
  return { tp, fp, P, N, roc, ap };
}

/** Counts and scores at a level; null where there is nothing to divide by. */
function measures({ tp, fp, P, N }, level) {
  const k = 256 - level, TP = tp[k], FP = fp[k], FN = P - TP, TN = N - FP;
  const ratio = (part, whole) => (whole ? part / whole : null);
  return { TP, FP, FN, TN, accuracy: ratio(TP + TN, P + N), precision: ratio(TP, TP + FP), recall: ratio(TP, P),
    fpr: ratio(FP, N), iou: ratio(TP, TP + FP + FN), dice: ratio(2 * TP, 2 * TP + FP + FN) };
}

/** Connected regions, neighbours over corners too: their pixels and centroids, in the order of their first pixel. */
function regions(inside, h, w) {
  const seen = new Uint8Array(h * w), stack = new Int32Array(h * w), areas = [], ys = [], xs = [];
  for (let start = 0; start < h * w; start++) {
    if (!inside[start] || seen[start]) continue;
    let top = 0, area = 0, sy = 0, sx = 0;
    stack[top++] = start; seen[start] = 1;
    while (top) {
      const at = stack[--top], y = Math.floor(at / w), x = at - y * w;
      area++; sy += y; sx += x;
      for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, h - 1); v++) {
        for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, w - 1); u++) {
          const next = v * w + u;
          if (inside[next] && !seen[next]) { seen[next] = 1; stack[top++] = next; }
        }
      }
    }
    areas.push(area); ys.push(sy / area); xs.push(sx / area);
  }
  return { areas, ys, xs };
}

/** Rows to columns at the least total cost (Hungarian method, shortest augmenting paths); at least as many columns as rows. */
function assign(cost) {
  const n = cost.length, m = n ? cost[0].length : 0;
  const u = new Float64Array(n + 1), v = new Float64Array(m + 1), row = new Int32Array(m + 1), way = new Int32Array(m + 1);
  for (let i = 1; i <= n; i++) {
    row[0] = i;
    let j0 = 0;
    const least = new Float64Array(m + 1).fill(Infinity), used = new Uint8Array(m + 1);
    do {
      used[j0] = 1;
      let delta = Infinity, j1 = 0;
      for (let j = 1; j <= m; j++) {
        if (used[j]) continue;
        const now = cost[row[j0] - 1][j - 1] - u[row[j0]] - v[j];
        if (now < least[j]) { least[j] = now; way[j] = j0; }
        if (least[j] < delta) { delta = least[j]; j1 = j; }
      }
      for (let j = 0; j <= m; j++) {
        if (used[j]) { u[row[j]] += delta; v[j] -= delta; } else least[j] -= delta;
      }
      j0 = j1;
    } while (row[j0]);
    while (j0) { const back = way[j0]; row[j0] = row[back]; j0 = back; }
  }
  const columns = new Int32Array(n).fill(-1);
  for (let j = 1; j <= m; j++) if (row[j]) columns[row[j] - 1] = j - 1;
  return columns;
}

/** Targets found (centroids less than `distance` apart, one region for one target) and pixels of regions that match none. */
function detection(score, level, targets, h, w, distance = 3) {
  const said = new Uint8Array(score.length);
  for (let i = 0; i < said.length; i++) said[i] = score[i] >= level ? 1 : 0;
  const found = regions(said, h, w), FAR = 1e6;
  const apart = (i, j) => Math.hypot(found.ys[j] - targets.ys[i], found.xs[j] - targets.xs[i]);
  const near = targets.areas.map((_, i) => found.areas.flatMap((_, j) => (apart(i, j) < distance ? [j] : [])));
  const rows = near.flatMap((list, i) => (list.length ? [i] : []));
  const columns = [...new Set(rows.flatMap((i) => near[i]))].sort((a, b) => a - b);
  const cost = rows.map((i) => [...columns.map((j) => { const d = apart(i, j); return d < distance ? d : FAR; }),
    ...rows.map(() => FAR)]);
  const taken = new Set();
  assign(cost).forEach((c, r) => { if (c >= 0 && c < columns.length && cost[r][c] < FAR) taken.add(columns[c]); });
  let alarms = 0;
  found.areas.forEach((area, j) => { if (!taken.has(j)) alarms += area; });
  return { found: taken.size, targets: targets.areas.length, regions: found.areas.length, alarms };
}

// ---- Text

const many = (n) => Math.round(n).toLocaleString("en-US");
const three = (x) => (x == null ? "undefined" : x.toFixed(3));
const small = (x) => (x === 0 ? "0" : x >= 0.01 ? x.toFixed(3) : x.toExponential(2).replace("-", "−"));
const thresholdText = (level) => (level > 255 ? "above 1" : (level / 255).toFixed(3));

function python(scene, level, index) {
  const lines = ["import torch", "", "from dlnotes.metrics import ConfusionMatrix, RegionDetection, area_under_roc, average_precision"];
  if (scene.source) lines.push(...scene.source.split("\n"));
  else lines.push("", `score = torch.as_tensor(scenes[${index}]["score"])  # yours, (${scene.h}, ${scene.w}) in [0, 1]`,
    `mask = torch.as_tensor(scenes[${index}]["mask"]).long()  # h w, 0 and 1`);
  lines.push("", "levels = score if score.dtype == torch.uint8 else (score * 255).round().int()  # h w, 8 bits as in the widget",
    `said = (levels >= ${level}).long()  # h w, threshold ${thresholdText(level)}`, "",
    "pixels, regions = ConfusionMatrix(2), RegionDetection()", "pixels.update(said, mask)",
    "regions.update(said[None], mask[None])", 'print(pixels.matrix)  # rows true, columns said',
    'print(pixels.compute("foreground"), regions.compute())',
    "print(area_under_roc(levels, mask), average_precision(levels, mask))");
  return lines.join("\n");
}
