package controlplane

// Spent tells whether a test has changed something since the last call that no restoration undoes.
func Spent(c *ControlPlane) bool { return c.turn.spent.Swap(false) }
