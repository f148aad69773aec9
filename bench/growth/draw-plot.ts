/** One line of a plot; x and y are above 0. */
export interface PlotLine {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface Plot {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly lines: readonly PlotLine[];
}

const WIDTH = 560;
const HEIGHT = 360;
const MARGIN = { left: 64, right: 16, top: 40, bottom: 52 };
const COLORS = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700"];

/**
 * An SVG with logarithmic axes, and beside each line a dashed one that begins where it begins and grows in proportion: a line that
 * stays parallel to that or flatter is linear or better.
 */
export function drawPlot({ title, xLabel, yLabel, lines }: Plot): string {
  const points = lines.flatMap((line) => line.points);
  const x = makeScale(
    points.map((point) => point.x),
    [MARGIN.left, WIDTH - MARGIN.right],
  );
  const y = makeScale(
    points.map((point) => point.y),
    [HEIGHT - MARGIN.bottom, MARGIN.top],
  );
  const [left, right, top, bottom] = [MARGIN.left, WIDTH - MARGIN.right, MARGIN.top, HEIGHT - MARGIN.bottom];
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<title>${escapeText(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(WIDTH / 2, 20, title, 'text-anchor="middle" font-size="14"'),
    ...x.ticks.map((value) => {
      const at = x.place(value);
      return `${stroke([at, top], [at, bottom])}${text(at, bottom + 16, formatTick(value), 'text-anchor="middle"')}`;
    }),
    ...y.ticks.map((value) => {
      const at = y.place(value);
      return `${stroke([left, at], [right, at])}${text(left - 6, at + 4, formatTick(value), 'text-anchor="end"')}`;
    }),
    text((left + right) / 2, HEIGHT - 14, xLabel, 'text-anchor="middle"'),
    text(
      16,
      (top + bottom) / 2,
      yLabel,
      `text-anchor="middle" transform="rotate(-90 16 ${(top + bottom) / 2})"`,
    ),
  ];
  for (const [number, line] of lines.entries()) {
    const color = COLORS[number % COLORS.length];
    const places = line.points.map((point) => `${round(x.place(point.x))},${round(y.place(point.y))}`);
    const [first, last] = [line.points[0]!, line.points.at(-1)!];
    // Cut off where it leaves the plot.
    const end = Math.min(last.x, (first.x * y.most) / first.y);
    const proportional = [first, { x: end, y: (first.y * end) / first.x }];
    parts.push(
      `<polyline points="${places.join(" ")}" fill="none" stroke="${color}" stroke-width="2"/>`,
      ...places.map((place) => {
        const [cx, cy] = place.split(",");
        return `<circle cx="${cx}" cy="${cy}" r="3" fill="${color}"/>`;
      }),
      `<polyline points="${proportional.map((point) => `${round(x.place(point.x))},${round(y.place(point.y))}`).join(" ")}" fill="none" stroke="${color}" stroke-dasharray="3 4"/>`,
      text(left + 10, top + 16 + 16 * number, line.name, `fill="${color}"`),
    );
  }
  return `${parts.join("\n")}\n</svg>\n`;
}

interface Scale {
  readonly ticks: readonly number[];
  readonly most: number;
  place(value: number): number;
}

/** Logarithmic; from the least power of ten or its double or fivefold below the values to the least above. */
function makeScale(values: readonly number[], [start, end]: readonly [number, number]): Scale {
  const steps: number[] = [];
  for (let power = -4; power <= 8; power++) for (const step of [1, 2, 5]) steps.push(step * 10 ** power);
  const least = steps.findLast((step) => step <= Math.min(...values)) ?? steps[0]!;
  const most = steps.find((step) => step >= Math.max(...values) && step > least) ?? steps.at(-1)!;
  const within = steps.filter((step) => step >= least && step <= most);
  const ticks =
    within.length <= 9 ? within : within.filter((step) => /^10*$|^0\.0*1$/.test(formatTick(step)));
  const place = (value: number) => start + ((end - start) * Math.log(value / least)) / Math.log(most / least);
  return { ticks, most, place };
}

function formatTick(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function stroke([x1, y1]: readonly [number, number], [x2, y2]: readonly [number, number]): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="#ddd"/>`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${escapeText(content)}</text>`;
}

function escapeText(content: string): string {
  return content.replace(/&/g, "&amp;").replace(/</g, "&lt;");
}
