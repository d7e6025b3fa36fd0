import type { Order, Status } from './types'

// The services' amounts name no currency.
const money = new Intl.NumberFormat('en-IE', { style: 'currency', currency: 'EUR' })
const day = new Intl.DateTimeFormat('en-IE', { dateStyle: 'long' })
const moment = new Intl.DateTimeFormat('en-IE', { dateStyle: 'medium', timeStyle: 'medium' })

export const formatMoney = (amount: number) => money.format(amount)
export const formatDay = (time: string) => day.format(new Date(time))
export const formatTime = (time: string) => moment.format(new Date(time))
export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

export const statusName: Record<Status, string> = {
  pending: 'Being settled',
  confirmed: 'Completed',
  cancelling: 'Being cancelled',
  cancelled: 'Cancelled',
  failed: 'Failed',
}

export const statusText: Record<Status, string> = {
  pending: 'We reserve your items and take the payment. This page follows along.',
  confirmed: 'Your items are reserved and paid. Thank you.',
  cancelling: 'We give back your payment.',
  cancelled: 'Your payment was given back.',
  failed: 'The order did not go through, and nothing was charged.',
}

export const failureText: Record<NonNullable<Order['failure']>, string> = {
  out_of_stock: 'Something of it is sold out. Nothing was charged.',
  payment_declined: 'The payment was declined. Nothing was charged.',
  reservation_expired: 'It was not paid in time. Nothing was charged.',
}
