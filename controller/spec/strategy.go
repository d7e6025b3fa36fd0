package spec

// WithSurge returns the strategy with so many containers beyond those wanted. Without
// any, one container has to go before the next can come.
func (s Strategy) WithSurge(surge int) Strategy {
	s.MaxSurge = surge
	if surge == 0 && s.MaxUnavailable == 0 {
		s.MaxUnavailable = 1
	}
	return s
}
