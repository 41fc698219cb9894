package controlplane

// Spent tells whether something was done since the last call that no restoration undoes.
func Spent(c *ControlPlane) bool { return c.turn.spent.Swap(false) }
