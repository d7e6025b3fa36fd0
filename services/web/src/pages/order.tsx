import { useEffect, useState } from 'react'
import { api, Problem } from '../api'
import { Art } from '../art'
import { failureText, formatMoney, formatTime, statusName, statusText } from '../format'
import { follow } from '../follow'
import { Link, Page } from '../router'
import type { Change } from '../types'
import { Alert, asProblem, Badge, useLoaded, Waiting } from '../ui'

// useChanges follows the status of an order as it happens.
function useChanges(id: string): Change[] {
  const [changes, setChanges] = useState<Change[]>([])
  useEffect(() => {
    const abort = new AbortController()
    setChanges([])
    follow(id, abort.signal, (change) => setChanges((before) => [...before, change])).catch(() => {
      // Whoever left the page follows no more; what else went wrong is told by the order itself.
    })
    return () => abort.abort()
  }, [id])
  return changes
}

export function Order({ id }: { id: string }) {
  const changes = useChanges(id)
  const latest = changes.at(-1)?.status
  // What the status comes with, such as why an order has failed, is the order's.
  const loaded = useLoaded((signal) => api.order(id, signal), [id, latest])
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem>()
  const cancel = async () => {
    setBusy(true)
    setProblem(undefined)
    await api.cancelOrder(id).catch((error: unknown) => setProblem(asProblem(error)))
    setBusy(false)
  }
  return (
    <Page title="Your order" lead={<>Number {id}</>}>
      <Waiting of={loaded}>
        {(order) => {
          const status = latest ?? order.status
          return (
            <div className="columns">
              <section className="card" aria-labelledby="items">
                <h2 id="items">What you ordered</h2>
                <ul className="lines">
                  {order.items.map((item) => (
                    <li key={item.productId} className="line compact">
                      <Art of={item} />
                      <div className="about">
                        <h3>
                          <Link to={'/products/' + item.productId}>{item.name}</Link>
                        </h3>
                        <p className="dim">
                          {item.quantity} × {formatMoney(item.price)}
                        </p>
                      </div>
                      <p className="price">{formatMoney(item.price * item.quantity)}</p>
                    </li>
                  ))}
                </ul>
                <p className="sum">
                  <span>Total</span>
                  <span className="price">{formatMoney(order.total)}</span>
                </p>
              </section>
              <section className="card summary" aria-labelledby="status">
                <h2 id="status">Status</h2>
                <div role="status">
                  <Badge status={status} />
                  <p>{(status === 'failed' && order.failure && failureText[order.failure]) || statusText[status]}</p>
                </div>
                <ol className="history">
                  {changes.map((change, i) => (
                    <li key={i} className={change.status}>
                      {statusName[change.status]}
                      <time dateTime={change.changedAt}>{formatTime(change.changedAt)}</time>
                    </li>
                  ))}
                </ol>
                {problem && <Alert>{problem.message}</Alert>}
                {status === 'confirmed' && (
                  <button type="button" className="button" aria-disabled={busy} onClick={() => void (busy || cancel())}>
                    Cancel this order
                  </button>
                )}
              </section>
            </div>
          )
        }}
      </Waiting>
      <p>
        <Link to="/orders">All your orders</Link>
      </p>
    </Page>
  )
}
