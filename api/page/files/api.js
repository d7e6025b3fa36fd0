// What is asked of the API.

// Failure is an answer other than a good one: a problem document (RFC 9457).
export class Failure extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `the controller answered ${status}`);
    this.status = status;
    this.problems = problem.problems || [];
  }
}

async function failure(response) {
  let problem = {};
  try {
    problem = await response.json();
  } catch { /* it is no problem document */ }
  return new Failure(response.status, problem);
}

// ask sends a request and returns the response, which is a good one.
export async function ask(method, path, { body, headers = {}, signal } = {}) {
  if (body !== undefined && typeof body !== 'string') {
    headers = { 'Content-Type': 'application/json', ...headers };
    body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, { method, body, headers, signal });
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new Failure(0, { detail: 'the controller does not answer' });
  }
  if (!response.ok) throw await failure(response);
  return response;
}

export const get = async (path, signal) => (await ask('GET', path, { signal })).json();
export const send = async (method, path, body, headers) => (await ask(method, path, { body, headers })).json();

export const workloadPath = (name) => `/api/v1/workloads/${encodeURIComponent(name)}`;

// stream calls take with each message of a stream and its ID, until the stream ends.
export async function stream(path, { lastEventID, signal }, take) {
  const headers = { Accept: 'text/event-stream' };
  if (lastEventID) headers['Last-Event-ID'] = lastEventID;
  const response = await ask('GET', path, { headers, signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '', id = '', data = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith('id: ')) id = line.slice(4);
      else if (line.startsWith('data: ')) data += line.slice(6);
      else if (line === '' && data) {
        take(JSON.parse(data), id);
        id = data = '';
      }
    }
  }
}

// pause resolves after a time, or at once where the signal is given.
export const pause = (ms, signal) => new Promise((done) => {
  const timer = setTimeout(done, ms);
  signal?.addEventListener('abort', () => { clearTimeout(timer); done(); }, { once: true });
});
