// What the replicas of a workload write, merged and followed.
import { pause, stream, workloadPath } from './api.js';
import { html, same, timeOf, useEffect, useRef, useState } from './ui.js';

const most = 2000;

// tint is one of five colours for a name.
function tint(name) {
  let sum = 0;
  for (const c of name) sum = (31 * sum + c.charCodeAt(0)) % 5;
  return `tint${sum}`;
}

const Line = same(({ line }) => html`<div class="line"><time datetime=${line.time}>${timeOf(line.time)}</time> <b class=${tint(line.replica)}>${line.replica}</b> <span>${line.text}</span></div>`);

export function Logs({ name }) {
  const [lines, setLines] = useState([]);
  const [problem, setProblem] = useState('');
  const [filter, setFilter] = useState('');
  const [pinned, setPinned] = useState(true);
  const list = useRef();

  useEffect(() => {
    const end = new AbortController();
    let kept = [], last = '', key = 0, scheduled = false;
    const show = () => {
      scheduled = false;
      if (!end.signal.aborted) setLines(kept);
    };
    const follow = async () => {
      while (!end.signal.aborted) {
        try {
          await stream(`${workloadPath(name)}/logs?tail=200`, { lastEventID: last, signal: end.signal }, (line, id) => {
            last = id;
            kept = [...kept.slice(1 - most), { ...line, key: ++key }];
            if (!scheduled) requestAnimationFrame(show);
            scheduled = true;
          });
          setProblem('');
        } catch (e) {
          if (!end.signal.aborted) setProblem(e.message);
        }
        await pause(1000, end.signal);
      }
    };
    follow();
    return () => end.abort();
  }, [name]);
  useEffect(() => {
    if (pinned && list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [lines, pinned, filter]);

  const wanted = filter.toLowerCase();
  const shown = lines.filter((l) => !wanted || `${l.replica} ${l.text}`.toLowerCase().includes(wanted));
  return html`<div class="logs"><div class="feed-head"><h2>Logs</h2>
      <input type="search" placeholder="Filter" aria-label="Filter logs" value=${filter} onInput=${(e) => setFilter(e.target.value)} />
      <label><input type="checkbox" checked=${pinned} onChange=${(e) => setPinned(e.target.checked)} /> Follow</label></div>
    ${problem && html`<p class="failed" role="alert">${problem}</p>`}
    <div class="lines" ref=${list} role="log" aria-label="Logs of ${name}" aria-live="off" tabindex="0"
      onWheel=${(e) => { if (e.deltaY < 0) setPinned(false); }}>${shown.map((l) => html`<${Line} key=${l.key} line=${l} />`)}
      ${shown.length === 0 && html`<p class="nothing">Nothing was written.</p>`}</div></div>`;
}
