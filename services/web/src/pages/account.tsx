import { api, random } from '../api'
import { capital } from '../format'
import type { Address, PaymentMethod } from '../types'
import { Field, Form, useKey, useSubmission } from '../ui'

export const inOneLine = (a: Address) => `${a.street}, ${a.postalCode} ${a.city}, ${a.country}`
export const cardName = (m: PaymentMethod) => `${capital(m.brand)} ending in ${m.last4}`
export const expiry = (m: PaymentMethod) => `${String(m.expiryMonth).padStart(2, '0')}/${m.expiryYear}`

export function AddressForm({ added }: { added: (address: Address) => void }) {
  const withKey = useKey()
  const submission = useSubmission(async (field, form) => {
    const body = { recipient: field('recipient'), street: field('street'), postalCode: field('postalCode'), city: field('city'), country: field('country').toUpperCase() }
    const address = await withKey((key) => api.addAddress(body, key))
    form.reset()
    added(address)
  })
  return (
    <Form of={submission} label="New address" action="Save address">
      <Field label="Recipient" name="recipient" autoComplete="name" maxLength={200} of={submission} />
      <Field label="Street and number" name="street" autoComplete="street-address" maxLength={200} of={submission} />
      <div className="pair">
        <Field label="Postal code" name="postalCode" autoComplete="postal-code" maxLength={16} required={false} of={submission} />
        <Field label="City" name="city" autoComplete="address-level2" maxLength={200} of={submission} />
      </div>
      <Field label="Country" name="country" autoComplete="country" minLength={2} maxLength={2} hint="Two letters, such as IE." of={submission} />
    </Form>
  )
}

// CardForm stands for the form of a card processor, which would take the card's number and
// give a token for it. No number is asked for here, or sent.
export function CardForm({ added }: { added: (method: PaymentMethod) => void }) {
  const submission = useSubmission(async (field, form) => {
    const [month = 0, year = 0] = field('expiry').split('/').map(Number)
    const method = await api.addPaymentMethod({
      token: 'tok_' + random(), brand: field('brand'), last4: field('last4'), expiryMonth: month, expiryYear: year < 100 ? 2000 + year : year,
    })
    form.reset()
    added(method)
  })
  const wrong = submission.problem?.fields
  if (wrong?.expiryMonth || wrong?.expiryYear) {
    wrong.expiry = 'must be a month and a year to come, such as 09/30'
  }
  return (
    <Form of={submission} label="New card" action="Save card">
      <p className="note">No card is charged here. Never type a card’s whole number: a shop keeps a token of it, which a card processor gives.</p>
      <Field label="Card brand" name="brand" autoComplete="off" maxLength={30} hint="Such as Visa." of={submission} />
      <div className="pair">
        <Field label="Last four digits" name="last4" inputMode="numeric" pattern="[0-9]{4}" maxLength={4} autoComplete="off" of={submission} />
        <Field label="Expiry" name="expiry" inputMode="numeric" pattern="[0-9]{1,2}/[0-9]{2}([0-9]{2})?" placeholder="MM/YY" maxLength={7} autoComplete="off" of={submission} />
      </div>
    </Form>
  )
}
