// The page: who is logged in, and which view is shown.
import { get, send } from './api.js';
import { Feed } from './feed.js';
import { EndpointMap } from './map.js';
import { Overview } from './overview.js';
import { changed, state, watch } from './state.js';
import { html, onSwarm, render, toast, Toasts, useAll, useEffect, useState } from './ui.js';
import { Workload } from './workload.js';

let following = null; // ends the watch

function follow() {
  following?.abort();
  following = new AbortController();
  watch(following.signal);
}

// enter uses up the code of a link. A browser that the link let in before is in already.
async function enter(code) {
  try {
    return await send('POST', '/api/v1/session', { code });
  } catch (refused) {
    return get('/api/v1/session').catch(() => { throw refused; });
  }
}

// begin finds out who asks, after it has used up the code of a link that led here.
async function begin() {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  if (code) history.replaceState(null, '', location.pathname);
  try {
    state.session = await (code ? enter(code) : get('/api/v1/session'));
    follow();
  } catch (e) {
    state.session = null;
    if (e.status !== 401) toast(e.message, 'failed');
  }
  state.begun = true;
  changed();
}

function Login() {
  const [problem, setProblem] = useState('');
  const login = async (e) => {
    e.preventDefault();
    try {
      state.session = await send('POST', '/api/v1/session', { token: e.target.elements.token.value.trim() });
      follow();
      changed();
    } catch (failed) {
      setProblem(failed.message);
    }
  };
  return html`<main class="login"><h1><img src="/page/icon.svg" alt="" /> tend</h1>
    <form onSubmit=${login}>
      <label for="token">Token</label>
      <input id="token" name="token" type="password" autocomplete="off" required autofocus aria-describedby="token-help" />
      <p id="token-help">The content of <code>.tend/tokens/admin</code>, or of <code>.tend/tokens/read</code> to look on.${' '}
        <code>tend dashboard</code> opens this page without one.</p>
      ${problem && html`<p class="failed" role="alert">${problem}</p>`}
      <button class="primary" type="submit">Log in</button>
    </form></main>`;
}

async function logout() {
  following?.abort();
  await send('DELETE', '/api/v1/session').catch(() => {});
  state.session = null;
  changed();
}

// route is the view that the address names: #/, #/map, #/events, #/w/NAME/TAB.
function route() {
  const [view = '', name = '', tab = ''] = location.hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent);
  return { view, name, tab };
}

function Head({ view }) {
  const ready = state.project?.status;
  const link = (to, text) => html`<a href="#/${to}" aria-current=${view === to ? 'page' : undefined}>${text}</a>`;
  return html`<header>
    <a class="brand" href="#/"><img src="/page/icon.svg" alt="tend" /> <strong>${state.session.project}</strong>${onSwarm() && html` <span class="kind">on a Swarm</span>`}</a>
    <nav aria-label="Views">${link('', 'Workloads')}${link('map', 'Map')}${link('events', 'Events')}</nav>
    <span class="who">
      <span class="link ${state.connected ? 'on' : 'off'}" role="status">${state.connected ? 'live' : 'not connected'}</span>
      <span class="role">${state.session.role === 'admin' ? state.session.actor || 'admin' : 'read only'}</span>
      <button type="button" onClick=${logout}>Log out</button></span>
    ${ready && ready.version !== state.session.version && html`<p class="banner" role="alert">The controller is of version ${ready.version} now, and this page of ${state.session.version}. <button type="button" onClick=${() => location.reload()}>Reload</button></p>`}
    ${ready && !ready.ready && html`<p class="banner" role="alert">The controller is not ready: ${ready.message}.</p>`}
  </header>`;
}

function App() {
  useAll();
  const [at, setAt] = useState(route());
  useEffect(() => {
    const moved = () => { setAt(route()); window.scrollTo(0, 0); };
    addEventListener('hashchange', moved);
    return () => removeEventListener('hashchange', moved);
  }, []);
  if (!state.begun) return null;
  if (!state.session) return html`<${Login} /><${Toasts} />`;
  document.title = `${state.session.project} – tend`;
  let view;
  switch (at.view) {
    case 'w': view = html`<${Workload} key=${at.name} name=${at.name} tab=${at.tab || 'status'} />`; break;
    case 'map': view = html`<${EndpointMap} />`; break;
    case 'events': view = html`<section class="panel"><${Feed} wide /></section>`; break;
    default: view = html`<${Overview} />`;
  }
  return html`<a class="skip" href="#main" onClick=${(e) => { e.preventDefault(); document.getElementById('main').focus(); }}>To the content</a>
    <${Head} view=${at.view} /><main id="main" tabindex="-1">${view}</main><${Toasts} />`;
}

const app = document.getElementById('app');
app.replaceChildren(); // Preact would leave the word that the page is not loaded whole
render(html`<${App} />`, app);
begin();
