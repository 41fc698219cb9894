package operations

// Decode reads one key of a ConfigMap as members do, and writes it again.
func Decode(k, text string) (again string, err error) {
	v, err := decode(k, text)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case *plan:
		return v.encode()
	case progress:
		return v.encode()
	default:
		return text, nil
	}
}

// Operations returns the operations of a ConfigMap, and the same operations when they are closed.
func Operations(data map[string]string) (open, closed []Operation) {
	for _, r := range new(decoder).read(data).newest() {
		open = append(open, r.operation())
		c := record{plan: r.close("", r.startedAt)}
		closed = append(closed, c.operation())
	}
	return open, closed
}
