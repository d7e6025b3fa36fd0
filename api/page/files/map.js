// Who calls whom: ingresses lead to workloads, and workloads depend on others.
import { state } from './state.js';
import { html, useAll } from './ui.js';
import { useTraffic } from './traffic.js';

const width = 190, height = 58, gapX = 90, gapY = 22;

// edges lists who leads to whom, and whether requests were seen on the way.
function edges(workloads, traffic) {
  const all = [];
  for (const w of workloads.values()) {
    if (w.spec.backend && workloads.has(w.spec.backend.service)) {
      const seen = traffic?.find((t) => t.metadata.name === w.metadata.name)?.samples.at(-1);
      all.push({ from: w.metadata.name, to: w.spec.backend.service, rate: seen?.requests });
    }
    for (const d of w.spec.dependsOn || []) if (workloads.has(d.name)) all.push({ from: w.metadata.name, to: d.name, depends: true });
  }
  return all;
}

// place puts each workload in the column after all that lead to it.
function place(workloads, lines) {
  const column = new Map();
  const depth = (name, path) => {
    if (column.has(name)) return column.get(name);
    const before = lines.filter((l) => l.to === name && !path.has(l.from)).map((l) => depth(l.from, new Set([...path, name])) + 1);
    const d = Math.max(0, ...before);
    column.set(name, d);
    return d;
  };
  const rows = new Map(), at = new Map();
  for (const name of [...workloads.keys()].sort()) {
    const x = depth(name, new Set());
    const y = rows.get(x) || 0;
    rows.set(x, y + 1);
    at.set(name, { x: x * (width + gapX) + 1, y: y * (height + gapY) + 1 });
  }
  return { at, width: (Math.max(0, ...rows.keys()) + 1) * (width + gapX) - gapX + 2, height: Math.max(1, ...rows.values()) * (height + gapY) - gapY + 2 };
}

export function EndpointMap() {
  useAll();
  const traffic = useTraffic();
  const lines = edges(state.workloads, traffic);
  const drawn = place(state.workloads, lines);
  const path = ({ from, to }) => {
    const a = drawn.at.get(from), b = drawn.at.get(to);
    const x1 = a.x + width, y1 = a.y + height / 2, x2 = b.x, y2 = b.y + height / 2, bend = (x2 - x1) / 2;
    return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  };
  return html`<section class="panel"><h1>Map</h1>
    <p class="legend">${lines.some((l) => !l.depends) && html`<span class="through">an ingress leads to</span> `}<span class="depends">depends on</span></p>
    <div class="scroll map" tabindex="0"><svg width=${drawn.width} height=${drawn.height} viewBox="0 0 ${drawn.width} ${drawn.height}" role="group" aria-label="Who leads to whom">
      ${lines.map((l) => html`<g key="${l.from} ${l.to}"><path class="edge ${l.depends ? 'depends' : 'through'}" d=${path(l)}><title>${l.from} ${l.depends ? 'depends on' : 'leads to'} ${l.to}</title></path>
        ${l.rate > 0 && html`<text class="rate" x=${drawn.at.get(l.from).x + width + 8} y=${drawn.at.get(l.from).y + height / 2 - 6}>${Number(l.rate.toPrecision(3))}/s</text>`}</g>`)}
      ${[...state.workloads.values()].map((w) => {
        const { x, y } = drawn.at.get(w.metadata.name);
        const { status, spec } = w;
        return html`<a key=${w.metadata.name} href="#/w/${encodeURIComponent(w.metadata.name)}" aria-label="${w.metadata.name}, ${status.outcome}">
          <g class="node ${(status.outcome || '').toLowerCase()}"><rect x=${x} y=${y} width=${width} height=${height} rx="8" />
          <text class="name" x=${x + 14} y=${y + 24}>${w.metadata.name.length > 22 ? `${w.metadata.name.slice(0, 21)}…` : w.metadata.name}</text>
          <text class="sub" x=${x + 14} y=${y + 44}>${status.readyReplicas}/${spec.replicas} ready · ${status.outcome || 'New'}</text></g></a>`;
      })}</svg></div></section>`;
}
