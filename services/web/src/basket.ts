import { store } from './store'

// A basket holds how many there are of each product. It is no secret, and survives a reload.
export type Basket = Readonly<Record<string, number>>

const name = 'basket'
const most = 99

export const basket = store<Basket>(stored())

export function put(productId: string, quantity: number) {
  const { [productId]: _, ...others } = basket.get()
  keep(quantity > 0 ? { ...others, [productId]: Math.min(quantity, most) } : others)
}

export function add(productId: string, quantity: number) {
  put(productId, (basket.get()[productId] ?? 0) + quantity)
}

export function empty() {
  keep({})
}

export function count(items: Basket): number {
  return Object.values(items).reduce((sum, n) => sum + n, 0)
}

function keep(items: Basket) {
  basket.set(items)
  try {
    localStorage.setItem(name, JSON.stringify(items))
  } catch {
    // A browser that keeps nothing has the basket until the page is closed.
  }
}

function stored(): Basket {
  try {
    const items = JSON.parse(localStorage.getItem(name) ?? '{}') as Record<string, unknown>
    return Object.fromEntries(Object.entries(items).filter((entry): entry is [string, number] => Number.isInteger(entry[1]) && (entry[1] as number) > 0))
  } catch {
    return {}
  }
}

// Another tab has changed it.
window.addEventListener('storage', (event) => {
  if (event.key === name) {
    basket.set(stored())
  }
})
