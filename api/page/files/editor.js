// The spec file of a workload, checked by the controller while it is written.
import { ask, get, send } from './api.js';
import { html, toast, useEffect, useRef, useState } from './ui.js';

const skeleton = (w) => `apiVersion: tend/v1
kind: ${w.kind}
metadata: {name: ${w.metadata.name}}
spec: {}
`;

// open finds the file that has the spec of a workload, or thinks of one.
async function open(workload) {
  const { name } = workload.metadata;
  const files = (await get('/api/v1/specs')).items;
  const file = files.find((f) => f.workloads.includes(name));
  if (!file) return { name: `${name}.yaml`, text: skeleton(workload), etag: '' };
  const response = await ask('GET', `/api/v1/specs/${encodeURIComponent(file.metadata.name)}`);
  return { name: file.metadata.name, text: await response.text(), etag: response.headers.get('ETag') };
}

export function Editor({ workload }) {
  const [file, setFile] = useState(null); // as it was read or saved
  const [text, setText] = useState('');
  const [problems, setProblems] = useState([]);
  const [checked, setChecked] = useState(''); // the text that problems are of
  const [stale, setStale] = useState(false);
  const area = useRef(), lines = useRef();

  const load = () => open(workload).then((f) => {
    setFile(f);
    setText(f.text);
    setStale(false);
  }, (e) => toast(e.message, 'failed'));
  useEffect(() => { load(); }, [workload.metadata.name]);

  useEffect(() => {
    if (!file) return undefined;
    const timer = setTimeout(() => send('POST', '/api/v1/validate', { specs: { [file.name]: text } }).then((result) => {
      setProblems(result.problems);
      setChecked(text);
    }, (e) => toast(e.message, 'failed')), 250);
    return () => clearTimeout(timer);
  }, [file?.name, text]);

  const save = async () => {
    const headers = { 'Content-Type': 'application/yaml', ...(file.etag ? { 'If-Match': file.etag } : { 'If-None-Match': '*' }) };
    try {
      const response = await ask('PUT', `/api/v1/specs/${encodeURIComponent(file.name)}`, { body: text, headers });
      setFile({ ...file, text, etag: response.headers.get('ETag') });
      setStale(false);
      toast(`${file.name} is written`);
    } catch (e) {
      if (e.problems?.length) setProblems(e.problems);
      setStale(e.status === 412);
      toast(e.message, 'failed');
    }
  };

  const key = (e) => {
    if (e.key === 's' && (e.ctrlKey || e.metaKey)) {
      e.preventDefault();
      save();
    }
  };
  // go puts the cursor where a problem is.
  const go = (p) => {
    const start = text.split('\n').slice(0, p.line - 1).reduce((n, l) => n + l.length + 1, 0) + Math.max(0, (p.column || 1) - 1);
    area.current.focus();
    area.current.setSelectionRange(start, start);
  };

  if (!file) return html`<p class="nothing">…</p>`;
  const here = (p) => p.file?.endsWith(`/specs/${file.name}`);
  const wrong = new Set(problems.filter(here).map((p) => p.line));
  const pending = checked !== text;
  return html`<div class="editor">
    <div class="editor-head"><h2>specs/${file.name}${text !== file.text && html` <span class="edited">edited</span>`}</h2>
      <span class="verdict ${pending ? '' : problems.length ? 'bad' : 'good'}" role="status">${pending ? 'checking…' : problems.length ? `${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}` : 'valid'}</span>
      ${text !== file.text && html`<button type="button" onClick=${() => setText(file.text)}>Revert</button>`}
      <button type="button" class="primary" disabled=${text === file.text && file.etag || problems.length > 0} onClick=${save}>Save</button></div>
    ${stale && html`<p class="banner" role="alert">Somebody else has changed the file since. <button type="button" onClick=${load}>Look at theirs</button></p>`}
    <div class="code"><pre ref=${lines} aria-hidden="true">${text.split('\n').map((_, i) => html`<span class=${wrong.has(i + 1) ? 'wrong' : ''}>${i + 1}${'\n'}</span>`)}</pre>
      <textarea ref=${area} spellcheck="false" autocapitalize="off" wrap="off" aria-label="Content of specs/${file.name}" aria-invalid=${problems.length > 0} aria-describedby="problems"
        rows=${Math.max(12, Math.min(40, text.split('\n').length + 1))} value=${text} onInput=${(e) => setText(e.target.value)} onKeyDown=${key}
        onScroll=${(e) => { lines.current.scrollTop = e.target.scrollTop; }}></textarea></div>
    <ul id="problems" class="problems">${problems.map((p) => html`<li>
      ${p.line ? html`<button type="button" disabled=${!here(p)} onClick=${() => go(p)}>${(p.file || '').replace(/^.*\/(?=[^/]*$)/, '')}:${p.line}${p.column ? `:${p.column}` : ''}</button>` : ''}
      ${p.message}${p.hint && html`<small>${p.hint}</small>`}</li>`)}</ul></div>`;
}
