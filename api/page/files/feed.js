// The events, newest first.
import { state } from './state.js';
import { html, same, timeOf, useAll, useState } from './ui.js';

const Event = same(({ e, workload }) => html`<article class="event ${e.type.toLowerCase()}">
  <time datetime=${e.lastTimestamp}>${timeOf(e.lastTimestamp)}</time>
  <strong>${e.reason}</strong>${e.count > 1 && html` <span class="count">×${e.count}</span>`}
  ${e.workload && !workload && html` <a href="#/w/${encodeURIComponent(e.workload)}">${e.workload}</a>`}
  <p>${e.message}${e.actor && html` <span class="actor">by ${e.actor}</span>`}</p></article>`);

export function Feed({ workload, wide }) {
  useAll();
  const [filter, setFilter] = useState('');
  const [warnings, setWarnings] = useState(false);
  const wanted = filter.toLowerCase();
  const shown = state.events.filter((e) => (!workload || e.workload === workload) && (!warnings || e.type === 'Warning') &&
    (!wanted || `${e.workload} ${e.reason} ${e.message}`.toLowerCase().includes(wanted)));
  return html`<div class="feed ${wide ? 'wide' : ''}">
    <div class="feed-head"><h2>Events</h2>
      <input type="search" placeholder="Filter" aria-label="Filter events" value=${filter} onInput=${(e) => setFilter(e.target.value)} />
      <label><input type="checkbox" checked=${warnings} onChange=${(e) => setWarnings(e.target.checked)} /> Warnings</label></div>
    <div class="feed-list" role="log" aria-label="Events" aria-live="off" tabindex="0">
      ${shown.slice(0, wide ? 300 : 80).map((e) => html`<${Event} key=${e.metadata.name} e=${e} workload=${workload} />`)}
      ${shown.length === 0 && html`<p class="nothing">Nothing has happened.</p>`}</div></div>`;
}
