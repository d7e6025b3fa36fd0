// One workload, with all that is known of it.
import { Kill, Scale, undoTo, Verbs } from './actions.js';
import { get, workloadPath } from './api.js';
import { Editor } from './editor.js';
import { Feed } from './feed.js';
import { Logs } from './logs.js';
import { replicasOf, state } from './state.js';
import { Age, clock, html, isAdmin, isOld, onSwarm, Outcome, Prose, Rollout, short, Tiles, toast, useAll, useEffect, useNow, useState } from './ui.js';
import { Traffic } from './traffic.js';

export function Workload({ name, tab }) {
  useAll();
  const workload = state.workloads.get(name);
  if (!workload) {
    return html`<section class="panel">${state.connected && html`<p class="nothing">There is no workload ${name}. <a href="#/">All workloads</a></p>`}</section>`;
  }
  const replicas = replicasOf(name);
  const tabs = { status: 'Status', replicas: `Replicas`, revisions: 'Revisions', logs: 'Logs', events: 'Events', traffic: 'Traffic' };
  if (isAdmin() && workload.kind !== 'Ingress') tabs.spec = 'Spec';
  const views = {
    status: () => html`<${Status} workload=${workload} />`,
    replicas: () => html`<${Replicas} replicas=${replicas} status=${workload.status} />`,
    revisions: () => html`<${Revisions} workload=${workload} />`,
    logs: () => html`<${Logs} name=${name} />`,
    events: () => html`<${Feed} workload=${name} wide />`,
    traffic: () => html`<${Traffic} name=${name} />`,
    spec: () => html`<${Editor} workload=${workload} />`,
  };
  const shown = tabs[tab] ? tab : 'status'; // the address may name a tab that is not for who looks
  return html`<article class="workload" data-workload=${name}>
    <header class="workload-head panel">
      <div class="card-head"><h1>${name}</h1><span class="kind">${workload.kind}</span><${Outcome} status=${workload.status} />
        <span class="actions"><${Scale} workload=${workload} /><${Verbs} workload=${workload} /></span></div>
      <${Tiles} replicas=${replicas} status=${workload.status} /><${Rollout} workload=${workload} replicas=${replicas} />
    </header>
    <nav class="tabs" aria-label="About ${name}">${Object.entries(tabs).map(([key, text]) => html`<a href="#/w/${encodeURIComponent(name)}/${key}"
      aria-current=${shown === key ? 'page' : undefined}>${text}</a>`)}</nav>
    <section class="panel" aria-label=${tabs[shown]}>${views[shown]()}</section></article>`;
}

function Status({ workload }) {
  const { metadata, spec, status } = workload;
  const now = useNow();
  const fields = [
    ['Replicas', `${spec.replicas} wanted; ${status.replicas} there: ${status.updatedReplicas} updated, ${status.readyReplicas} ready, ${status.availableReplicas} available`],
    ['Image, as written', spec.template.image],
    ['Revision', `${short(status.updateRevision) || '–'} in force, ${short(status.currentRevision) || '–'} the last that was complete`],
    ['Strategy', spec.strategy.rollingUpdate ? `${spec.strategy.type}, ${spec.strategy.rollingUpdate.maxSurge} more and ${spec.strategy.rollingUpdate.maxUnavailable} less at most` : `${spec.strategy.type}${spec.strategy.reason ? `: ${spec.strategy.reason}` : ''}`],
    ['Generation', `${metadata.generation} written, ${status.observedGeneration} planned`],
    ['Depends on', (spec.dependsOn || []).map((d) => html`<a href="#/w/${encodeURIComponent(d.name)}">${d.name}</a> `)],
  ].filter(([, value]) => value?.length);
  return html`
    ${status.obstacle ? html`<div class="explain ${(status.outcome || '').toLowerCase()}">
      <p class="obstacle"><${Prose} text=${status.obstacle} /></p>
      ${status.remedy && html`<p class="remedy"><b>Next:</b> <${Prose} text=${status.remedy} /></p>`}
      ${status.blockers?.length > 0 && html`<ul>${status.blockers.map((b) => html`<li><${Prose} text=${b} /></li>`)}</ul>`}
      ${status.waitsFor?.length > 0 && html`<p>It waits for ${status.waitsFor.map((n) => html`<a href="#/w/${encodeURIComponent(n)}">${n}</a> `)}</p>`}
      ${status.next && html`<p>In ${clock(Date.parse(status.next.at) - now)}, unless something happens before: ${status.next.what}.</p>`}
    </div>` : html`<p class="explain ${(status.outcome || '').toLowerCase()}">Nothing is in its way.</p>`}
    <${Plan} workload=${workload} />
    <dl>${fields.map(([key, value]) => html`<div key=${key}><dt>${key}</dt><dd>${value}</dd></div>`)}</dl>
    <h2>Conditions</h2>
    <div class="scroll" tabindex="0"><table><thead><tr><th>Condition</th><th>Status</th><th>Reason</th><th>Since</th><th>Message</th></tr></thead>
      <tbody>${status.conditions.map((c) => html`<tr key=${c.type}><td>${c.type}</td><td>${c.status}</td><td>${c.reason}</td>
        <td><${Age} at=${c.lastTransitionTime} /></td><td>${c.message}</td></tr>`)}</tbody></table></div>`;
}

// Plan is what is done for the workload now. It is asked for when its status has changed.
function Plan({ workload }) {
  const [actions, setActions] = useState([]);
  useEffect(() => {
    if (workload.status.converged) {
      setActions([]);
      return undefined;
    }
    const end = new AbortController();
    const timer = setTimeout(() => get(`${workloadPath(workload.metadata.name)}/plan`, end.signal)
      .then((p) => setActions(p.actions), () => {}), 100);
    return () => { clearTimeout(timer); end.abort(); };
  }, [workload]);
  if (!actions.length) return null;
  return html`<h2>Under way</h2><ul class="plan">${actions.map((a) => html`<li>
    <b>${a.action}</b> ${a.object || (a.number ? `#${a.number}` : '')}: ${a.cause}</li>`)}</ul>`;
}

function Replicas({ replicas, status }) {
  return html`<div class="scroll" tabindex="0"><table><thead><tr><th>Replica</th><th>Phase</th><th>State</th>${onSwarm() && html`<th>Node</th>`}<th>Revision</th><th>Restarts</th><th>Age</th><th>Addresses</th><th><span class="hidden">Actions</span></th></tr></thead>
    <tbody>${replicas.map((r) => html`<tr key=${r.status.containerID}>
      <td>${r.metadata.name}${r.status.blocker && html`<small>${r.status.blocker}</small>`}</td>
      <td><span class="phase ${r.status.phase || 'unknown'}">${r.status.phase || '–'}</span></td>
      <td>${r.status.state}${r.status.exitCode !== undefined ? ` (${r.status.exitCode})` : ''}</td>
      ${onSwarm() && html`<td>${r.status.node || '–'}</td>`}
      <td><code>${short(r.spec.revision)}</code>${isOld(r, status) ? ' (old)' : ''}</td>
      <td>${r.status.restarts}</td><td><${Age} at=${r.status.startedAt} /></td>
      <td>${Object.values(r.status.addresses || {}).join(', ')}${r.status.ports?.length > 0 && html`<small>${r.status.ports.join(', ')}</small>`}</td>
      <td class="act"><${Kill} replica=${r} /></td></tr>`)}</tbody></table></div>
    ${replicas.length === 0 && html`<p class="nothing">It has no replica.</p>`}
    ${isAdmin() && onSwarm() && html`<small>Swarm kills no single task: Restart replaces all of them.</small>`}`;
}

function Revisions({ workload }) {
  const { name } = workload.metadata;
  const [revisions, setRevisions] = useState([]);
  const [pair, setPair] = useState(null); // the numbers that a person chose
  const [diff, setDiff] = useState(null);
  useEffect(() => {
    get(`${workloadPath(name)}/revisions`).then((list) => setRevisions(list.items), (e) => toast(e.message, 'failed'));
  }, [name, workload.status.updateRevision, workload.metadata.generation]);
  const numbers = revisions.map((r) => r.spec.number);
  const inForce = revisions.find((r) => r.status.inForce)?.spec.number;
  const other = numbers.filter((n) => n < inForce).pop() ?? numbers.filter((n) => n > inForce).pop() ?? inForce;
  const [from, to] = pair || [other, inForce];
  useEffect(() => {
    if (!from || !to) return;
    get(`${workloadPath(name)}/revisions/diff?from=${from}&to=${to}`).then(setDiff, (e) => toast(e.message, 'failed'));
  }, [name, from, to]);
  const choose = (label, value, set) => html`<label>${label} <select value=${value} onChange=${(e) => set(Number(e.target.value))}>
    ${numbers.map((n) => html`<option value=${n}>${n}</option>`)}</select></label>`;
  return html`<div class="scroll" tabindex="0"><table><thead><tr><th>Number</th><th>Revision</th><th>Image</th><th>Age</th><th>Replicas</th><th><span class="hidden">Actions</span></th></tr></thead>
    <tbody>${[...revisions].reverse().map((r) => html`<tr key=${r.metadata.name} class=${r.status.inForce ? 'in-force' : ''}>
      <td>${r.spec.number}</td><td><code>${short(r.metadata.name)}</code></td><td>${r.spec.image}</td><td><${Age} at=${r.spec.createdAt} /></td><td>${r.status.replicas}</td>
      <td class="act">${r.status.inForce ? 'in force' : isAdmin() && html`<button type="button" title="tend rollout undo ${name} --to-revision ${r.spec.number}"
        onClick=${() => undoTo(name, r.spec.number)}>Go back to ${r.spec.number}</button>`}</td></tr>`)}</tbody></table></div>
    ${numbers.length > 1 && html`<h2>Differences</h2>
      <p class="pair">${choose('From', from, (n) => setPair([n, to]))} ${choose('to', to, (n) => setPair([from, n]))}</p>
      ${diff && html`<div class="scroll" tabindex="0"><table class="diff"><thead><tr><th>Field</th><th>From ${diff.from}</th><th>To ${diff.to}</th></tr></thead>
        <tbody>${diff.differences.map((d) => html`<tr><td><code>${d.field}</code></td>
          ${d.concealed ? html`<td colspan="2"><em>differs; the value may be secret</em></td>` : html`<td class="removed"><code>${d.from}</code></td><td class="added"><code>${d.to}</code></td>`}</tr>`)}</tbody></table></div>
        ${diff.differences.length === 0 && html`<p class="nothing">They are the same.</p>`}`}`}`;
}
