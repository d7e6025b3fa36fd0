import { useState } from 'react'
import { api } from '../api'
import { capital } from '../format'
import { Page } from '../router'
import type { Product } from '../types'
import { announce, Pages, useKey, useLoaded, useSubmission, Waiting } from '../ui'

export function Stock() {
  const [page, setPage] = useState(1)
  const loaded = useLoaded((signal) => api.products({ page, limit: 50 }, signal), [page])
  return (
    <Page title="Stock" lead="What customers order is taken off at once; add and remove count from what is there then.">
      <Waiting of={loaded}>
        {(list) => (
          <>
            <ul className="inventory card">
              {list.products.map((product) => (
                <Row key={product.productId} of={product} />
              ))}
            </ul>
            <Pages
              page={page}
              total={list.totalPages}
              to={(n) => (
                <button type="button" className="link" onClick={() => setPage(n)}>
                  {n < page ? 'Previous' : 'Next'}
                </button>
              )}
            />
          </>
        )}
      </Waiting>
    </Page>
  )
}

function Row({ of }: { of: Product }) {
  const [inventory, setInventory] = useState(of.inventory)
  const withKey = useKey()
  const submission = useSubmission(async (field, form) => {
    const body = { quantity: Number(field('quantity')), operation: field('operation') }
    const changed = await withKey((key) => api.changeStock(of.productId, body, key))
    setInventory(changed.inventory)
    announce(`${of.name}: ${changed.inventory} in stock.`)
    form.reset()
  })
  return (
    <li>
      <form aria-label={'Stock of ' + of.name} onSubmit={submission.send}>
        <div className="about">
          <h2>{of.name}</h2>
          <p className="dim">{capital(of.category)}</p>
        </div>
        <output aria-label={of.name + ' in stock'} className={inventory === 0 ? 'none' : inventory <= 20 ? 'few' : ''}>
          {inventory}
        </output>
        <select name="operation" aria-label={'Change of ' + of.name} defaultValue="add">
          <option value="add">Add</option>
          <option value="subtract">Remove</option>
          <option value="set">Set to</option>
        </select>
        <input name="quantity" type="number" required min={0} max={1000000} step={1} inputMode="numeric" aria-label={'Number of ' + of.name} />
        <button className="button small" aria-disabled={submission.busy}>
          Save<span className="unseen"> the stock of {of.name}</span>
        </button>
        {submission.problem && (
          <p className="wrong" role="alert">
            {submission.problem.fields.quantity ? 'The number ' + submission.problem.fields.quantity + '.' : submission.problem.message}
          </p>
        )}
      </form>
    </li>
  )
}
