// What all views are made of.
import { Component, h, render } from './preact.mjs';
import { useEffect, useRef, useState } from './hooks.mjs';
import htm from './htm.mjs';
import { changed, listen, state } from './state.js';

export const html = htm.bind(h);
export { Component, render, useEffect, useRef, useState };

// useAll has a component shown anew whenever anything has changed.
export function useAll() {
  const [, again] = useState(0);
  useEffect(() => listen(() => again((n) => n + 1)), []);
}

// useNow is the time, and has a component shown anew each second.
export function useNow() {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => { if (!document.hidden) set(Date.now()); }, 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

export const isAdmin = () => state.session?.role === 'admin';
export const onSwarm = () => Boolean(state.project?.status.swarm);

// span is a duration as short as it can be said: 4s, 3m, 2h, 5d.
export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 100) return `${s}s`;
  if (s < 6000) return `${Math.round(s / 60)}m`;
  if (s < 360000) return `${Math.round(s / 3600)}h`;
  return `${Math.round(s / 86400)}d`;
}

// clock counts down as 9:05.
export function clock(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
}

export const short = (revision) => (revision || '').slice(0, 8);
export const timeOf = (t) => new Date(t).toLocaleTimeString([], { hour12: false });

export function Age({ at }) {
  const now = useNow();
  return at ? html`<time datetime=${at} title=${new Date(at).toLocaleString()}>${span(now - Date.parse(at))}</time>` : '–';
}

const marks = { Converged: '●', Complete: '✔', Moving: '◐', Waiting: '◔', Paused: '‖', Stalled: '✖' };

export function Outcome({ status }) {
  const outcome = status.outcome || '';
  return html`<span class="outcome ${outcome.toLowerCase()}"><span aria-hidden="true">${marks[outcome] || '○'}</span> ${outcome || 'New'}</span>
    ${status.paused && outcome !== 'Paused' && html` <span class="outcome paused">‖ Paused</span>`}`;
}

const letters = {
  creating: 'C', starting: 'S', ready: 'R', unready: 'U', unhealthy: 'H', draining: 'D', stopping: 'T', exited: 'X', done: 'E', leftover: 'L',
};

export function describe(r) {
  const { phase, state: engine, blocker, exitCode, restarts } = r.status;
  let text = `${r.metadata.name}: ${phase || engine}`;
  if (exitCode !== undefined) text += `, code ${exitCode}`;
  if (restarts) text += `, ${restarts} restarts`;
  if (blocker) text += `; ${blocker}`;
  return text;
}

export function Tile({ r, old }) {
  const { phase } = r.status;
  return html`<li class="tile ${phase || 'unknown'} ${old ? 'old' : ''}" title=${describe(r)}>
    <span aria-hidden="true">${letters[phase] || '?'}</span><span class="hidden">${describe(r)}</span></li>`;
}

// Tiles are one for each replica; those of another revision than the one in force are hollow.
export function Tiles({ replicas, status }) {
  const most = 60;
  return html`<ul class="tiles" aria-label="Replicas">
    ${replicas.slice(0, most).map((r) => html`<${Tile} key=${r.status.containerID} r=${r}
      old=${isOld(r, status)} />`)}
    ${replicas.length > most && html`<li class="more">+${replicas.length - most}</li>`}</ul>`;
}

// Prose is a sentence of the controller's, with its commands set as code.
export function Prose({ text }) {
  const end = /[.!?]$/.test(text) ? '' : '.';
  return html`${text.split('`').map((part, i) => (i % 2 ? html`<code>${part}</code>` : part))}${end}`;
}

// isOld reports whether a replica is of another revision than the one in force.
export const isOld = (r, status) => Boolean(r.spec.revision && status.updateRevision && r.spec.revision !== status.updateRevision);

// Rollout is how far the move to the revision in force is, and how long it may take to come
// forward.
export function Rollout({ workload, replicas }) {
  const { spec, status } = workload;
  const now = useNow();
  if (status.converged || workload.kind === 'Job' || !replicas.length) return null;
  const old = replicas.filter((r) => isOld(r, status)).length;
  const ready = replicas.filter((r) => !isOld(r, status) && r.status.ready).length;
  if (!old && ready === spec.replicas && !status.deadline) return null;
  const most = Math.max(spec.replicas, replicas.length);
  const part = (n) => ({ width: `${100 * n / most}%` });
  const text = `${status.updatedReplicas} of ${spec.replicas} replicas at ${short(status.updateRevision)}, ${old} old`;
  return html`<div class="rollout">
    <div class="bar" role="progressbar" aria-label="Rollout" aria-valuemin="0" aria-valuemax=${spec.replicas} aria-valuenow=${status.updatedReplicas} aria-valuetext=${text}>
      <span class="new" style=${part(ready)}></span><span class="coming" style=${part(replicas.length - old - ready)}></span><span class="was" style=${part(old)}></span>
    </div>
    <p><span>${text}</span>${status.deadline && html`<span class="deadline" title="Time left to come forward">${clock(Date.parse(status.deadline) - now)} left</span>`}</p>
  </div>`;
}

// The toasts: what was done, or why not.
const toasts = [];
let count = 0;

export function toast(text, kind = 'done') {
  const one = { text, kind, key: ++count };
  toasts.push(one);
  changed();
  setTimeout(() => { toasts.splice(toasts.indexOf(one), 1); changed(); }, kind === 'failed' ? 12000 : 5000);
}

export function Toasts() {
  useAll();
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.map((t) => html`<p key=${t.key} class=${t.kind}>${t.text}</p>`)}</div>`;
}

// act does something that may fail, and says what came of it.
export async function act(what, text) {
  try {
    await what();
    toast(text);
    return true;
  } catch (e) {
    toast(e.message, 'failed');
    return false;
  }
}

// Dialog asks before something is done. It is closed with Escape, too.
export function Dialog({ title, children, verb, danger, onDo, onClose }) {
  const dialog = useRef();
  useEffect(() => { dialog.current.showModal(); }, []);
  const done = (e) => { e.preventDefault(); onDo(); onClose(); };
  return html`<dialog ref=${dialog} onClose=${onClose} aria-labelledby="dialog-title">
    <form onSubmit=${done}><h2 id="dialog-title">${title}</h2>${children}
      <p class="buttons"><button type="button" onClick=${() => dialog.current.close()}>Cancel</button>
      <button class=${danger ? 'danger' : 'primary'} type="submit">${verb}</button></p></form></dialog>`;
}

// Same shows a child anew only when what it is given has changed.
export function same(view) {
  return class extends Component {
    shouldComponentUpdate(next) {
      return Object.keys(next).some((key) => key !== 'children' && next[key] !== this.props[key]);
    }

    render(props) { return h(view, props); }
  };
}
