// What can be asked of a workload and of a replica. Each button names the command that does
// the same.
import { get, send, workloadPath } from './api.js';
import { act, Dialog, html, isAdmin, onSwarm, toast, useState } from './ui.js';

const rollout = (name, verb, body) => send('POST', `${workloadPath(name)}/rollout/${verb}`, body);

function scale(workload, replicas) {
  const { name, generation } = workload.metadata;
  return act(
    () => send('PUT', `${workloadPath(name)}/scale`, { replicas }, { 'If-Match': `"${generation}"` }),
    `${name}: ${replicas} replicas are written`);
}

export function Scale({ workload }) {
  const [busy, setBusy] = useState(false);
  if (!isAdmin() || workload.kind !== 'Deployment') return null;
  const n = workload.spec.replicas;
  const { name } = workload.metadata;
  const to = async (replicas) => {
    setBusy(true);
    await scale(workload, replicas);
    setBusy(false);
  };
  const button = (replicas, sign, label) => html`<button type="button" disabled=${busy || replicas < 0} aria-label="${label} ${name} to ${replicas}"
    title="tend scale ${name} --replicas ${replicas}" onClick=${() => to(replicas)}>${sign}</button>`;
  return html`<span class="scale" role="group" aria-label="Replicas of ${name}">
    ${button(n - 1, '−', 'Scale down')}<output>${n}</output>${button(n + 1, '+', 'Scale up')}</span>`;
}

export function Verbs({ workload }) {
  const [undoing, setUndoing] = useState(null);
  if (!isAdmin() || workload.kind === 'Job') return null;
  const { name } = workload.metadata;
  const { paused } = workload.status;
  const button = (verb, label, done) => html`<button type="button" title="tend rollout ${verb} ${name}"
    onClick=${() => act(() => rollout(name, verb), `${name}: ${done}`)}>${label}</button>`;
  const undo = async () => {
    try {
      setUndoing((await get(`${workloadPath(name)}/revisions`)).items);
    } catch (e) {
      toast(e.message, 'failed');
    }
  };
  return html`<span class="verbs">
    ${button('restart', 'Restart', 'all replicas are replaced')}
    ${paused ? button('resume', 'Resume', 'the rollout goes on') : button('pause', 'Pause', 'the rollout is held')}
    <button type="button" title="tend rollout undo ${name}" onClick=${undo}>Undo…</button>
    ${undoing && html`<${Undo} name=${name} revisions=${undoing} onClose=${() => setUndoing(null)} />`}</span>`;
}

export const undoTo = (name, number) => act(
  () => rollout(name, 'undo', number ? { toRevision: number } : {}),
  `${name}: back to ${number ? `revision ${number}` : 'the revision before'}`);

function Undo({ name, revisions, onClose }) {
  const [to, setTo] = useState(0);
  return html`<${Dialog} title="Undo the rollout of ${name}" verb="Undo" onDo=${() => undoTo(name, to)} onClose=${onClose}>
    <p>It lasts until another revision is written.</p>
    <label>Back to <select value=${to} onChange=${(e) => setTo(Number(e.target.value))}>
      <option value="0">the revision before</option>
      ${revisions.filter((r) => !r.status.inForce).map((r) => html`<option value=${r.spec.number}>${r.spec.number}: ${r.spec.image}</option>`)}
    </select></label></${Dialog}>`;
}

export function Kill({ replica }) {
  const [asking, setAsking] = useState(false);
  if (!isAdmin() || onSwarm() || replica.status.state !== 'running') return null;
  const { name } = replica.metadata;
  const kill = () => act(() => send('POST', `/api/v1/replicas/${encodeURIComponent(name)}/kill`), `${name} is killed`);
  return html`<button type="button" class="danger" title="docker kill ${name}" aria-label="Kill ${name}" onClick=${() => setAsking(true)}>Kill</button>
    ${asking && html`<${Dialog} title="Kill ${name}?" verb="Kill" danger onDo=${kill} onClose=${() => setAsking(false)}>
      <p>Its process gets SIGKILL. tend starts it again.</p></${Dialog}>`}`;
}
