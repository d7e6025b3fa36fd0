// What the services answer, as services/contracts says.

export interface Product {
  productId: string
  name: string
  description: string
  price: number
  inventory: number
  category: string
}

export interface ProductList {
  products: Product[]
  totalCount: number
  page: number
  totalPages: number
}

export type Status = 'pending' | 'confirmed' | 'cancelling' | 'cancelled' | 'failed'

export interface Item {
  productId: string
  name: string
  quantity: number
  price: number
}

export interface Order {
  orderId: string
  status: Status
  failure?: 'out_of_stock' | 'payment_declined' | 'reservation_expired'
  items: Item[]
  total: number
  paymentMethodId?: string
  createdAt: string
}

export interface OrderList {
  orders: Order[]
  totalCount: number
  page: number
  totalPages: number
}

export interface Change {
  status: Status
  changedAt: string
}

export interface Profile {
  userId: string
  email: string
  firstName: string
  lastName: string
  createdAt: string
}

export interface NewAddress {
  recipient: string
  street: string
  postalCode: string
  city: string
  country: string
}

export interface Address extends NewAddress {
  addressId: string
}

export interface NewPaymentMethod {
  token: string
  brand: string
  last4: string
  expiryMonth: number
  expiryYear: number
}

export interface PaymentMethod extends Omit<NewPaymentMethod, 'token'> {
  paymentMethodId: string
}
