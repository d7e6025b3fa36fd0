import { useState } from 'react'
import { api } from '../api'
import { formatDay } from '../format'
import { Page } from '../router'
import type { Profile as Person } from '../types'
import { Alert, announce, asProblem, Field, Form, useLoaded, useSubmission, Waiting, type Loaded } from '../ui'
import { AddressForm, CardForm, cardName, expiry, inOneLine } from './account'

export function Profile() {
  const person = useLoaded(api.profile, [])
  const addresses = useLoaded(api.addresses, [])
  const methods = useLoaded(api.paymentMethods, [])
  return (
    <Page title="Your profile">
      <section className="card" aria-labelledby="you">
        <h2 id="you">You</h2>
        <Waiting of={person}>{(value) => <Names of={value} />}</Waiting>
      </section>
      <section className="card" aria-labelledby="addresses">
        <h2 id="addresses">Addresses</h2>
        <Kept
          of={addresses}
          list={(value) => value.addresses.map((a) => ({ id: a.addressId, title: a.recipient, text: inOneLine(a) }))}
          remove={api.removeAddress}
          none="You have saved no address yet."
        />
        <details>
          <summary>Add an address</summary>
          <AddressForm
            added={() => {
              addresses.again()
              announce('The address is saved.')
            }}
          />
        </details>
      </section>
      <section className="card" aria-labelledby="cards">
        <h2 id="cards">Cards</h2>
        <Kept
          of={methods}
          list={(value) => value.paymentMethods.map((m) => ({ id: m.paymentMethodId, title: cardName(m), text: 'Expires ' + expiry(m) }))}
          remove={api.removePaymentMethod}
          none="You have saved no card yet."
        />
        <details>
          <summary>Add a card</summary>
          <CardForm
            added={() => {
              methods.again()
              announce('The card is saved.')
            }}
          />
        </details>
      </section>
    </Page>
  )
}

function Names({ of }: { of: Person }) {
  const submission = useSubmission(async (field) => {
    await api.rename({ firstName: field('firstName'), lastName: field('lastName') })
    announce('Your name is saved.')
  })
  return (
    <>
      <p className="dim">
        {of.email}, with us since {formatDay(of.createdAt)}
      </p>
      <Form of={submission} label="Your name" action="Save name">
        <div className="pair">
          <Field label="First name" name="firstName" autoComplete="given-name" maxLength={100} defaultValue={of.firstName} of={submission} />
          <Field label="Last name" name="lastName" autoComplete="family-name" maxLength={100} defaultValue={of.lastName} of={submission} />
        </div>
      </Form>
    </>
  )
}

interface KeptProps<T> {
  of: Loaded<T>
  list: (value: T) => { id: string; title: string; text: string }[]
  remove: (id: string) => Promise<void>
  none: string
}

// Kept lists what an account keeps, each with a button that removes it.
function Kept<T>({ of, list, remove, none }: KeptProps<T>) {
  const [problem, setProblem] = useState('')
  const drop = (id: string, title: string) => {
    setProblem('')
    remove(id).then(
      () => {
        of.again()
        announce(`${title} is removed.`)
      },
      (error: unknown) => setProblem(asProblem(error).message),
    )
  }
  return (
    <Waiting of={of}>
      {(value) => {
        const all = list(value)
        return (
          <>
            {problem && <Alert>{problem}</Alert>}
            {all.length === 0 && <p className="dim">{none}</p>}
            <ul className="kept">
              {all.map(({ id, title, text }) => (
                <li key={id}>
                  <span>
                    {title}
                    <span className="dim">{text}</span>
                  </span>
                  <button type="button" className="link" onClick={() => drop(id, title)}>
                    Remove<span className="unseen"> {title}</span>
                  </button>
                </li>
              ))}
            </ul>
          </>
        )
      }}
    </Waiting>
  )
}
