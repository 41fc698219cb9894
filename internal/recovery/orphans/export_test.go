package orphans

// Bound makes a client read so many documents of one kind at most, and a page more.
func Bound(c *Client, documents int) { c.most = documents }
