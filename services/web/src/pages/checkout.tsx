import { useRef, useState } from 'react'
import { api, type Problem } from '../api'
import { basket, empty } from '../basket'
import { formatMoney } from '../format'
import { Link, navigate, Page, Redirect } from '../router'
import { Alert, asProblem, useKey, useLoaded, Waiting } from '../ui'
import { AddressForm, CardForm, cardName, expiry, inOneLine } from './account'
import { lines, total, useLines } from './basket'

// newOne is the choice of what is not there yet.
const newOne = 'new'

export function Checkout() {
  const { items, products } = useLines()
  const addresses = useLoaded(api.addresses, [])
  const methods = useLoaded(api.paymentMethods, [])
  const [address, setAddress] = useState<string>()
  const [method, setMethod] = useState<string>()
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem>()
  const withKey = useKey()
  const done = useRef(false)

  if (Object.keys(items).length === 0) {
    return done.current ? null : <Redirect to="/basket" />
  }
  const chosenAddress = address ?? addresses.value?.addresses[0]?.addressId ?? newOne
  const chosenMethod = method ?? methods.value?.paymentMethods[0]?.paymentMethodId ?? newOne
  const complete = chosenAddress !== newOne && chosenMethod !== newOne

  const place = async () => {
    if (busy || !complete) {
      return
    }
    setBusy(true)
    setProblem(undefined)
    try {
      const ordered = Object.entries(basket.get()).map(([productId, quantity]) => ({ productId, quantity }))
      const order = await withKey((key) => api.placeOrder({ items: ordered, paymentMethodId: chosenMethod }, key))
      done.current = true
      empty()
      navigate('/orders/' + order.orderId, 'replace')
    } catch (error) {
      setProblem(asProblem(error))
      setBusy(false)
    }
  }

  return (
    <Page title="Checkout">
      <div className="columns">
        <div>
          <section className="card" aria-labelledby="address">
            <h2 id="address">1. Delivery address</h2>
            <Waiting of={addresses}>
              {(list) => (
                <Choice
                  name="address"
                  legend="Where shall it go?"
                  other="Another address"
                  options={list.addresses.map((a) => ({ id: a.addressId, title: a.recipient, text: inOneLine(a) }))}
                  value={chosenAddress}
                  onChange={setAddress}
                />
              )}
            </Waiting>
            {addresses.value && chosenAddress === newOne && (
              <AddressForm
                added={(a) => {
                  addresses.again()
                  setAddress(a.addressId)
                }}
              />
            )}
          </section>
          <section className="card" aria-labelledby="payment">
            <h2 id="payment">2. Payment</h2>
            <Waiting of={methods}>
              {(list) => (
                <Choice
                  name="method"
                  legend="How will you pay?"
                  other="Another card"
                  options={list.paymentMethods.map((m) => ({ id: m.paymentMethodId, title: cardName(m), text: 'Expires ' + expiry(m) }))}
                  value={chosenMethod}
                  onChange={setMethod}
                />
              )}
            </Waiting>
            {methods.value && chosenMethod === newOne && (
              <CardForm
                added={(m) => {
                  methods.again()
                  setMethod(m.paymentMethodId)
                }}
              />
            )}
          </section>
        </div>
        <section className="card summary" aria-labelledby="summary">
          <h2 id="summary">Your order</h2>
          <Waiting of={products}>
            {(found) => {
              const all = lines(found, items)
              return (
                <>
                  <ul className="short">
                    {all.map(({ product, quantity }) => (
                      <li key={product.productId}>
                        <span>
                          {quantity} × {product.name}
                        </span>
                        <span className="price">{formatMoney(product.price * quantity)}</span>
                      </li>
                    ))}
                  </ul>
                  <p className="sum">
                    <span>Total</span>
                    <span className="price">{formatMoney(total(all))}</span>
                  </p>
                </>
              )
            }}
          </Waiting>
          {problem && (
            <Alert>
              {problem.message} {problem.orderId && <Link to={'/orders/' + problem.orderId}>See what became of it</Link>}
            </Alert>
          )}
          <button type="button" className="button primary wide" disabled={!complete} aria-disabled={busy} onClick={() => void place()}>
            {busy ? 'Placing your order…' : 'Place order'}
          </button>
          {!complete && <p className="hint">Save an address and a card first.</p>}
        </section>
      </div>
    </Page>
  )
}

interface ChoiceProps {
  name: string
  legend: string
  other: string
  options: { id: string; title: string; text: string }[]
  value: string
  onChange: (id: string) => void
}

function Choice({ name, legend, other, options, value, onChange }: ChoiceProps) {
  if (options.length === 0) {
    return null
  }
  return (
    <fieldset className="choice">
      <legend>{legend}</legend>
      {[...options, { id: newOne, title: other, text: '' }].map((option) => (
        <label key={option.id}>
          <input type="radio" name={name} value={option.id} checked={value === option.id} onChange={() => onChange(option.id)} />
          <span>
            {option.title}
            {option.text && <span className="dim">{option.text}</span>}
          </span>
        </label>
      ))}
    </fieldset>
  )
}
