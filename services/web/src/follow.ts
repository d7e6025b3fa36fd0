import { authorization, pause, Problem, refusal } from './api'
import type { Change } from './types'

// follow tells each status that an order has had and gets, until the order is over or the
// signal aborts. An EventSource could send no token, so the stream is read by hand: one that
// ends is opened again, after the last event that came.
export async function follow(orderId: string, signal: AbortSignal, told: (change: Change) => void) {
  let last = ''
  const one = (event: string): boolean => {
    const fields = new Map(event.split('\n').map((line) => split(line)))
    const data = fields.get('data')
    if (data === undefined) {
      return false
    }
    last = fields.get('id') ?? last
    const change = JSON.parse(data) as Change
    told(change)
    return change.status === 'cancelled' || change.status === 'failed'
  }
  for (;;) {
    const headers = authorization()
    headers.set('Accept', 'text/event-stream')
    if (last) {
      headers.set('Last-Event-ID', last)
    }
    try {
      const response = await fetch(`/api/orders/${encodeURIComponent(orderId)}/events`, { headers, signal })
      if (!response.ok || !response.body) {
        throw await refusal(response)
      }
      if (await read(response.body, one)) {
        return
      }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof Problem && error.lasting) {
        throw error
      }
    }
    await pause(1000, signal)
  }
}

// read gives each event of a stream to one, until that returns true or the stream ends.
async function read(body: ReadableStream<Uint8Array>, one: (event: string) => boolean): Promise<boolean> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) {
      return false
    }
    const events = (rest + value).split('\n\n')
    rest = events.pop() ?? ''
    for (const event of events) {
      if (one(event)) {
        await reader.cancel()
        return true
      }
    }
  }
}

function split(line: string): [string, string] {
  const colon = line.indexOf(':')
  return [line.slice(0, colon), line.slice(colon + 1).trimStart()]
}
