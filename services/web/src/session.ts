import { store } from './store'

// Session is who is signed in. It is in memory alone: whatever can read the page's storage,
// or finds it later, finds no token. A reload ends it.
export interface Session {
  userId: string
  token: string
  admin: boolean
}

export const session = store<Session | null>(null)

// ended reports that a session has ended by itself, which its user is told.
export const ended = store(false)

let timer: number | undefined

export function begin(userId: string, token: string) {
  const claims = JSON.parse(atob(part(token))) as { role?: string; exp?: number }
  ended.set(false)
  session.set({ userId, token, admin: claims.role === 'admin' })
  clearTimeout(timer)
  // There is nothing that would renew a token.
  timer = window.setTimeout(expire, Math.max(0, (claims.exp ?? 0) * 1000 - Date.now()))
}

export function end() {
  clearTimeout(timer)
  session.set(null)
}

export function expire() {
  if (session.get()) {
    ended.set(true)
    end()
  }
}

// part returns the claims of a token in the base64 that browsers read. The services check
// tokens; what a page is told by one only decides what it offers.
function part(token: string): string {
  return (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
}
