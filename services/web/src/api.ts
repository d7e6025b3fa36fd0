import { expire, session } from './session'
import type { Address, NewAddress, NewPaymentMethod, Order, OrderList, PaymentMethod, Product, ProductList, Profile } from './types'

// Problem is why a request was refused or failed (RFC 9457).
export class Problem extends Error {
  constructor(
    readonly status: number, // 0 where nothing was answered
    detail: string,
    readonly fields: Record<string, string> = {},
    readonly orderId?: string,
  ) {
    super(detail)
  }

  // lasting reports that the same request will be refused again.
  get lasting(): boolean {
    return this.status >= 400 && this.status < 500 && this.status !== 429
  }
}

interface Options {
  body?: unknown
  key?: string
  signal?: AbortSignal
}

const attempts = 4

// call sends a request, and again where that is safe and nobody has answered.
async function call<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const repeatable = method === 'GET' || options.key !== undefined
  for (let attempt = 1; ; attempt++) {
    try {
      return await once<T>(method, path, options)
    } catch (error) {
      const away = error instanceof Problem && [0, 502, 503, 504].includes(error.status)
      if (!away || !repeatable || attempt === attempts) {
        throw error
      }
      await pause(Math.random() * 300 * 2 ** attempt, options.signal)
    }
  }
}

async function once<T>(method: string, path: string, { body, key, signal }: Options): Promise<T> {
  const headers = authorization()
  if (body !== undefined) {
    headers.set('Content-Type', 'application/json')
  }
  if (key !== undefined) {
    headers.set('Idempotency-Key', key)
  }
  let response: Response
  try {
    response = await fetch('/api' + path, { method, headers, body: body === undefined ? null : JSON.stringify(body), signal: signal ?? null })
  } catch {
    signal?.throwIfAborted()
    throw new Problem(0, 'The shop cannot be reached. Check your connection and try again.')
  }
  if (!response.ok) {
    throw await refusal(response)
  }
  return (response.status === 204 ? undefined : await response.json()) as T
}

export function authorization(): Headers {
  const token = session.get()?.token
  return new Headers(token === undefined ? {} : { Authorization: 'Bearer ' + token })
}

// refusal returns what an answer that is none says. A token that is not taken ends the session.
export async function refusal(response: Response): Promise<Problem> {
  const problem = (await response.json().catch(() => ({}))) as { detail?: string; orderId?: string; errors?: { field: string; detail: string }[] }
  if (response.status === 401) {
    expire()
  }
  if (response.status === 429) {
    return new Problem(429, `There were too many attempts. Try again in ${response.headers.get('Retry-After') ?? 'a few'} seconds.`)
  }
  const fields = Object.fromEntries((problem.errors ?? []).map(({ field, detail }) => [field, detail]))
  return new Problem(response.status, sentence(problem.detail ?? 'The shop has answered with an error. Try again.'), fields, problem.orderId)
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.')
}

export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds)
    signal?.addEventListener('abort', () => {
      clearTimeout(timer)
      reject(signal.reason)
    })
  })
}

// random returns letters that nobody guesses, for keys and tokens. Pages over plain HTTP
// have no crypto.randomUUID.
export function random(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(24)), (n) => String.fromCharCode(97 + (n % 26))).join('')
}

function query(parameters: Record<string, string | number | undefined>): string {
  const set = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '')
  return new URLSearchParams(set.map(([name, value]): [string, string] => [name, String(value)])).toString()
}

const me = () => '/users/' + (session.get()?.userId ?? '')
const at = encodeURIComponent

export const api = {
  register: (body: { email: string; password: string; firstName: string; lastName: string }, key: string) =>
    call<{ userId: string; token: string }>('POST', '/users/register', { body, key }),
  login: (body: { email: string; password: string }) => call<{ userId: string; token: string }>('POST', '/users/login', { body }),
  profile: (signal?: AbortSignal) => call<Profile>('GET', me(), given(signal)),
  rename: (body: { firstName: string; lastName: string }) => call<Profile>('PATCH', me(), { body }),
  addresses: (signal?: AbortSignal) => call<{ addresses: Address[] }>('GET', me() + '/addresses', given(signal)),
  addAddress: (body: NewAddress, key: string) => call<Address>('POST', me() + '/addresses', { body, key }),
  removeAddress: (id: string) => call<void>('DELETE', `${me()}/addresses/${at(id)}`),

  products: (filter: { category?: string; search?: string; page?: number; limit?: number }, signal?: AbortSignal) =>
    call<ProductList>('GET', '/products?' + query(filter), given(signal)),
  product: (id: string, signal?: AbortSignal) => call<Product>('GET', '/products/' + at(id), given(signal)),
  together: (id: string, signal?: AbortSignal) => call<{ recommendations: Product[] }>('GET', `/products/${at(id)}/recommendations`, given(signal)),
  changeStock: (id: string, body: { quantity: number; operation: string }, key: string) =>
    call<{ inventory: number }>('PUT', `/products/${at(id)}/inventory`, { body, key }),

  order: (id: string, signal?: AbortSignal) => call<Order>('GET', '/orders/' + at(id), given(signal)),
  orders: (page: number, signal?: AbortSignal) => call<OrderList>('GET', '/orders?' + query({ page, limit: 10 }), given(signal)),
  placeOrder: (body: { items: { productId: string; quantity: number }[]; paymentMethodId: string }, key: string) =>
    call<Order>('POST', '/orders', { body, key }),
  cancelOrder: (id: string) => call<Order>('POST', `/orders/${at(id)}/cancel`),

  paymentMethods: (signal?: AbortSignal) => call<{ paymentMethods: PaymentMethod[] }>('GET', '/payments/methods', given(signal)),
  addPaymentMethod: (body: NewPaymentMethod) => call<PaymentMethod>('POST', '/payments/methods', { body }),
  removePaymentMethod: (id: string) => call<void>('DELETE', '/payments/methods/' + at(id)),
}

function given(signal?: AbortSignal): Options {
  return signal ? { signal } : {}
}
