package controller

// lane bounds how many actions are under way at a time. Those that come when it is full
// wait, and begin in the order in which they came. The loop owns it.
type lane struct {
	name        string
	width, busy int
	waiting     []func()
}

// enter begins an action now, or when its turn has come.
func (l *lane) enter(begin func()) {
	if l.busy == l.width {
		l.waiting = append(l.waiting, begin)
		return
	}
	l.busy++
	begin()
}

// leave is called at the end of each action that was begun.
func (l *lane) leave() {
	l.busy--
	if len(l.waiting) > 0 {
		next := l.waiting[0]
		l.waiting = l.waiting[1:]
		l.enter(next)
	}
}
