// What went to a workload lately.
import { get } from './api.js';
import { html, onSwarm, useEffect, useRef, useState } from './ui.js';

const time = (s) => Date.parse(s?.time) || 0;

// useTraffic asks for what is new while somebody looks: fifteen minutes are 180 samples.
export function useTraffic() {
  const [traffic, setTraffic] = useState();
  useEffect(() => {
    const end = new AbortController();
    let known = [], newest = '';
    const ask = () => {
      if (!document.hidden) get(`/api/v1/traffic?since=${newest}`, end.signal).then(({ items }) => {
        known = items.map((t) => {
          const old = known.find((k) => k.metadata.name === t.metadata.name)?.samples ?? [];
          return { ...t, samples: [...old, ...t.samples.filter((s) => time(s) > time(old.at(-1)))].slice(-180) };
        });
        newest = known.map((t) => t.samples.at(-1)).sort((a, b) => time(b) - time(a))[0]?.time ?? '';
        setTraffic(known);
      }, () => {});
    };
    ask();
    const timer = setInterval(ask, 5000);
    return () => { clearInterval(timer); end.abort(); };
  }, []);
  return traffic;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Chart draws series over time, anew when the page's colours change.
function Chart({ title, unit, times, series }) {
  const box = useRef();
  const chart = useRef(null);
  const [dark, setDark] = useState(false);
  useEffect(() => {
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    const change = () => setDark(scheme.matches);
    change();
    scheme.addEventListener('change', change);
    return () => scheme.removeEventListener('change', change);
  }, []);
  const data = [times, ...series.map((s) => s.values)];
  useEffect(() => {
    const axis = { stroke: colour('--dim'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false }, font: '12px system-ui' };
    const size = () => ({ width: box.current.clientWidth, height: 180 });
    const plot = new window.uPlot({
      ...size(), cursor: { y: false, points: { size: 6 } }, legend: { markers: { width: 2 } },
      scales: { y: { range: (_, min, max) => [0, Math.max(max * 1.1, 1e-3)] }, x: { range: (_, min, max) => [max - 900, max] } },
      axes: [{ ...axis, values: (_, at) => at.map((t) => new Date(t * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hour12: false })) },
        { ...axis, size: 56, values: (_, at) => at.map((v) => `${Number(v.toPrecision(3))}`) }],
      series: [{ value: (_, t) => (t ? new Date(t * 1000).toLocaleTimeString([], { hour12: false }) : '–') },
        ...series.map((s) => ({ label: s.label, stroke: colour(s.colour), width: 2, fill: s.fill && `${colour(s.colour)}22`, value: (_, v) => (v == null ? '–' : `${Number(v.toPrecision(3))} ${unit}`) }))],
    }, data, box.current);
    chart.current = plot;
    const observer = new ResizeObserver(() => { if (box.current) plot.setSize(size()); });
    observer.observe(box.current);
    return () => { observer.disconnect(); plot.destroy(); chart.current = null; };
  }, [dark]);
  useEffect(() => { chart.current?.setData(data); }, [times]);
  const last = series.map((s) => `${s.label} ${s.values.at(-1) ?? '–'} ${unit}`).join(', ');
  return html`<figure class="chart"><figcaption>${title}</figcaption><div ref=${box} role="img" aria-label="${title}: ${last}"></div></figure>`;
}

export function Traffic({ name }) {
  const traffic = useTraffic();
  if (onSwarm()) return html`<p class="nothing">On a Swarm the requests of ${name} are not counted: they go from task to task, or through Swarm's mesh.</p>`;
  if (!traffic) return html`<p class="nothing">…</p>`;
  const ours = traffic.filter((t) => t.workload === name || t.metadata.name === name);
  if (!ours.length) return html`<p class="nothing">No ingress or gateway counts the requests of ${name}.</p>`;
  return ours.map(({ metadata, samples }) => {
    const times = samples.map((s) => Date.parse(s.time) / 1000);
    const values = (key, factor = 1) => samples.map((s) => (s[key] === undefined ? null : s[key] * factor));
    return html`<section key=${metadata.name}><h2>${metadata.name}</h2>
      ${samples.length < 2 ? html`<p class="nothing">Nothing has been counted yet.</p>` : html`<div class="charts">
      <${Chart} title="Requests per second" unit="/s" times=${times} series=${[{ label: 'requests', colour: '--accent', fill: true, values: values('requests') }]} />
      <${Chart} title="Failures per second" unit="/s" times=${times} series=${[{ label: 'failures', colour: '--bad', fill: true, values: values('failures') }]} />
      <${Chart} title="Latency (ms)" unit="ms" times=${times} series=${[{ label: 'p50', colour: '--good', values: values('p50', 1000) }, { label: 'p99', colour: '--warn', values: values('p99', 1000) }]} /></div>`}</section>`;
  });
}
