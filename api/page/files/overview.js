// All workloads at a glance.
import { Scale } from './actions.js';
import { Feed } from './feed.js';
import { replicasOf, state } from './state.js';
import { html, Outcome, Prose, Rollout, same, Tiles, useAll, useState } from './ui.js';

const Card = same(({ workload, replicas }) => {
  const { metadata: { name }, kind, spec, status } = workload;
  return html`<li class="card ${(status.outcome || '').toLowerCase()}" data-workload=${name}>
    <div class="card-head"><h2><a href="#/w/${encodeURIComponent(name)}">${name}</a></h2><span class="kind">${kind}</span><${Outcome} status=${status} /></div>
    <p class="counts">${status.outcome === 'Complete' ? html`<span>ran to completion</span>` : html`<span><b>${status.readyReplicas}</b> of ${spec.replicas} ready</span>`}
      <span class="image" title=${spec.template.image}>${spec.template.image.replace(/^.*\/(?=[^/]*$)/, '').replace(/@sha256:(.{8}).*/, '@$1').replace(/^sha256:(.{8}).*/, '$1')}</span><${Scale} workload=${workload} /></p>
    <${Tiles} replicas=${replicas} status=${status} />
    <${Rollout} workload=${workload} replicas=${replicas} />
    ${status.obstacle && (status.converged || !['Moving', 'Complete'].includes(status.outcome)) && html`<p class="obstacle"><${Prose} text=${status.obstacle} /></p>`}</li>`;
});

export function Overview() {
  useAll();
  const [filter, setFilter] = useState('');
  const all = [...state.workloads.values()].sort((a, b) => a.metadata.name.localeCompare(b.metadata.name));
  const shown = all.filter((w) => `${w.metadata.name} ${w.kind} ${w.status.outcome}`.toLowerCase().includes(filter.toLowerCase()));
  const counts = {};
  for (const w of all) counts[w.status.outcome || 'New'] = (counts[w.status.outcome || 'New'] || 0) + 1;
  return html`<div class="overview"><section aria-label="Workloads">
    <div class="summary"><h1 class="hidden">Workloads</h1>
      ${Object.entries(counts).map(([outcome, n]) => html`<span key=${outcome}><b>${n}</b> <${Outcome} status=${{ outcome }} /></span>`)}
      <input type="search" placeholder="Filter workloads" aria-label="Filter workloads" value=${filter} onInput=${(e) => setFilter(e.target.value)} /></div>
    <ul class="cards">${shown.map((w) => html`<${Card} key=${w.metadata.name} workload=${w} replicas=${replicasOf(w.metadata.name)} />`)}</ul>
    ${shown.length === 0 && state.connected && html`<p class="nothing">There is no such workload.</p>`}</section>
    <aside class="panel"><${Feed} /></aside></div>`;
}
