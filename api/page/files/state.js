// What the watch has told, and who wants to know.
import { pause, stream } from './api.js';

const maxEvents = 500;

export const state = {
  session: null, // who asks; null before the login
  project: null,
  connected: false,
  workloads: new Map(), // by name
  replicas: new Map(), // by container ID
  events: [], // the newest first
};

// byWorkload has the replicas of each workload by number. A list is made anew when one of
// its replicas has changed, so that the same list means the same replicas.
const byWorkload = new Map();
const none = [];

export function replicasOf(name) {
  if (!byWorkload.has(name)) {
    const list = [...state.replicas.values()].filter((r) => r.spec.workload === name);
    list.sort((a, b) => a.spec.number - b.spec.number || a.metadata.name.localeCompare(b.metadata.name));
    byWorkload.set(name, list.length ? list : none);
  }
  return byWorkload.get(name);
}

const listeners = new Set();
let scheduled = false;

// changed has everything shown anew, once for all that changes within a frame.
export function changed() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    for (const listen of listeners) listen();
  });
}

export function listen(f) {
  listeners.add(f);
  return () => listeners.delete(f);
}

let lastEventID = '';

// take takes a message in. seen has what the stream has told of since it began.
function take({ type, object }, id, seen) {
  const gone = type === 'DELETED';
  switch (object.kind) {
    case 'Project':
      state.project = object;
      if (type === 'BOOKMARK') settle(seen);
      break;
    case 'Replica': {
      const key = object.status.containerID;
      seen.add(key);
      if (gone) state.replicas.delete(key);
      else state.replicas.set(key, object);
      byWorkload.delete(object.spec.workload);
      break;
    }
    case 'Event': {
      lastEventID = id;
      const same = (e) => e.reason === object.reason && e.message === object.message && e.workload === object.workload &&
        e.firstTimestamp === object.firstTimestamp;
      state.events = [object, ...state.events.filter((e) => !same(e))].slice(0, maxEvents);
      break;
    }
    default: // a workload, by its kind
      seen.add(object.metadata.name);
      if (gone) state.workloads.delete(object.metadata.name);
      else state.workloads.set(object.metadata.name, object);
  }
  changed();
}

// settle drops what a resumed stream has not told of: it is gone.
function settle(seen) {
  state.connected = true;
  for (const name of state.workloads.keys()) if (!seen.has(name)) state.workloads.delete(name);
  for (const id of state.replicas.keys()) if (!seen.has(id)) state.replicas.delete(id);
  byWorkload.clear();
}

// watch follows everything until the signal is given, or the session is over.
export async function watch(signal) {
  let wait = 250;
  while (!signal.aborted) {
    const seen = new Set();
    try {
      await stream('/api/v1/watch?limit=300', { lastEventID, signal }, (message, id) => {
        wait = 250;
        take(message, id, seen);
      });
    } catch (e) {
      if (signal.aborted) return;
      if (e.status === 401) {
        state.session = null;
        changed();
        return;
      }
      if (e.status === 410) { // the state was lost, and its events with it
        lastEventID = '';
        state.events = [];
        continue;
      }
    }
    state.connected = false;
    changed();
    await pause(wait, signal);
    wait = Math.min(2 * wait, 4000);
  }
}
